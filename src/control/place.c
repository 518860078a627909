/* control/place.c */
#include "control/place.h"

#include "base/folder.h"
#include "base/hash.h"
#include "base/io.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME_BYTES 16 /* of the hash, in the name of a socket */
#define OWNERS_MAX 3  /* this user, the owner of the database and that of its state file */
#define LOOK_MS 200   /* how long to wait for an answer of another process that listens */
#define PLACES 4      /* folders for each user */
#define MODE_SHARED 0755
#define MODE_PRIVATE 0700

/* ---- names */

static int name_of(const char *db, char out[2 * NAME_BYTES + sizeof ".sock"], struct err *e)
{
    char path[PATH_TEXT_MAX], dir[PATH_TEXT_MAX], text[PATH_TEXT_MAX], hex[2 * NAME_BYTES + 1];
    struct digest digest;
    struct stat st;
    errno = 0;
    if (!path_resolve(db, path)) /* the database may not be there yet, but its folder must be */
        return io_is_passing(errno) ? err_sys(e, errno, "look at '%s'", db)
                                    : err_set(e, ERR_NOTFOUND, ENOENT, "'%s' leads nowhere", db);
    if (path_parent(path, dir, e))
        return -1;
    if (stat(dir, &st) != 0)
        return err_sys(e, errno, "stat '%s'", dir);
    if (path_format(text, e, "%llu %llu %s", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino,
                    path_name(path)) ||
        digest_of(text, strlen(text), &digest, e))
        return -1;
    hex_encode(digest.bytes, NAME_BYTES, hex);
    snprintf(out, 2 * NAME_BYTES + sizeof ".sock", "%s.sock", hex);
    return 0;
}

/* The folder number `index` of those in which a daemon of this user may listen. False: this user has none there. */
static bool place_of(uid_t user, unsigned index, char out[PATH_TEXT_MAX])
{
    const char *runtime = user == geteuid() ? getenv("XDG_RUNTIME_DIR") : NULL;
    struct err e;
    switch (index) {
    case 0:
        return path_format(out, &e, "/run/seawall") == 0;
    case 1:
        return runtime && runtime[0] == '/' && path_format(out, &e, "%s/seawall", runtime) == 0;
    case 2:
        return path_format(out, &e, "/run/user/%lu/seawall", (unsigned long)user) == 0;
    default:
        return path_format(out, &e, "/tmp/seawall-%lu", (unsigned long)user) == 0;
    }
}

/* ---- the daemon */

static int listen_in(const char *folder, const struct folder_trust *trust, const char *name,
                     struct socket_listener *ret_listener, struct err *e)
{
    char path[PATH_TEXT_MAX];
    struct folder f;
    int fd = -1;
    if (path_format(path, e, "%s/%s", folder, name) || folder_open_trusted(&f, folder, trust, e))
        return -1;
    folder_close(&f); /* nobody else can replace it */
    if (socket_connect(path, LOOK_MS, &fd, e) == 0) {
        close(fd);
        err_set(e, ERR_EXISTS, EADDRINUSE, "another process listens at '%s'", path);
        return err_hint(e, "it may be a daemon on another database in the same place of another container: choose a "
                           "folder with --control");
    }
    return socket_listen(path, ret_listener, e);
}

int control_place_listen(const char *db, const char *folder, struct socket_listener *ret_listener, struct err *e)
{
    char name[2 * NAME_BYTES + sizeof ".sock"], place[PATH_TEXT_MAX];
    if (name_of(db, name, e))
        return -1;
    if (folder)
        return listen_in(folder, &(struct folder_trust){.make = MODE_PRIVATE, .may_be_link = true}, name, ret_listener,
                         e);
    for (unsigned i = 0; i < PLACES; i++) {
        struct folder_trust trust = {.make = i == 0 ? MODE_SHARED : MODE_PRIVATE};
        if (i == 2 || !place_of(geteuid(), i, place)) /* without XDG_RUNTIME_DIR that folder may vanish at a logout */
            continue;
        if (listen_in(place, &trust, name, ret_listener, e) == 0)
            return 0;
        if (e->code == ERR_EXISTS)
            return -1;
    }
    return err_hint(e, "choose a folder with --control, for the daemon and for the commands");
}

/* ---- a command */

static size_t owners_of(const char *db, uid_t owners[OWNERS_MAX])
{
    char real[PATH_TEXT_MAX], path[PATH_TEXT_MAX];
    static const char *const suffixes[] = {"-seawall", ""};
    struct stat st;
    struct err e;
    size_t n = 0;
    owners[n++] = geteuid();
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        if (path_format(path, &e, "%s%s", realpath(db, real) ? real : db, suffixes[i]) || stat(path, &st) != 0)
            continue;
        bool known = false;
        for (size_t k = 0; k < n; k++)
            known |= owners[k] == st.st_uid;
        if (!known)
            owners[n++] = st.st_uid;
    }
    return n;
}

/* Checks that a daemon that this user may believe listens: one of this user, of root, or of the owner of the database.
 * In a folder that others may write to, anybody can listen under the name of the socket. */
static int check_peer(const char *path, const struct folder_trust *trust, int fd, struct err *e)
{
    uid_t user = 0;
    if (socket_peer_user(fd, &user, e))
        return err_wrap(e, "'%s'", path);
    bool known = user == 0;
    for (size_t i = 0; i < trust->owner_count; i++)
        known |= trust->owners[i] == user;
    if (known)
        return 0;
    err_set(e, ERR_IO, EPERM,
            "'%s': a process of user %u listens there, who does not own the database: it is not asked", path,
            (unsigned)user);
    return err_hint(e, "choose a folder with --control that only the user of the daemon can write to");
}

/* Tries to connect in one folder. True: the search is over, and *ret_rc is its outcome. Otherwise `e` keeps the error
 * that helps a person most, a missing permission. */
static bool try_place(const char *folder, const struct folder_trust *trust, const char *name, int64_t timeout_ms,
                      int *ret_fd, int *ret_rc, struct err *e)
{
    char path[PATH_TEXT_MAX];
    struct folder f = FOLDER_NONE;
    struct err now;
    *ret_rc = path_format(path, &now, "%s/%s", folder, name);
    if (*ret_rc == 0)
        *ret_rc = folder_open_trusted(&f, folder, trust, &now);
    folder_close(&f);
    if (*ret_rc == 0)
        *ret_rc = socket_connect(path, timeout_ms, ret_fd, &now);
    if (*ret_rc == 0 && check_peer(path, trust, *ret_fd, &now)) {
        io_close(ret_fd);
        *ret_rc = -1;
    }
    if (*ret_rc == 0)
        return true;
    if (e->code == ERR_NOTFOUND && now.code != ERR_NOTFOUND && now.code != ERR_CONFIG)
        *e = now;
    return now.code == ERR_TIMEOUT || now.code == ERR_CANCELED;
}

int control_place_connect(const char *db, const char *folder, int64_t timeout_ms, int *ret_fd, struct err *e)
{
    char name[2 * NAME_BYTES + sizeof ".sock"], place[PATH_TEXT_MAX];
    uid_t owners[OWNERS_MAX];
    struct folder_trust trust = {.owners = owners, .owner_count = owners_of(db, owners), .may_be_link = folder != NULL};
    int rc = 0;
    if (name_of(db, name, e))
        return -1;
    err_set(e, ERR_NOTFOUND, ENOENT, "there is no socket '%s'", name);
    if (folder) {
        (void)try_place(folder, &trust, name, timeout_ms, ret_fd, &rc, e);
        return rc;
    }
    for (size_t u = 0; u < trust.owner_count; u++)
        for (unsigned i = 0; i < PLACES; i++)
            if (place_of(owners[u], i, place) && try_place(place, &trust, name, timeout_ms, ret_fd, &rc, e))
                return rc;
    return -1;
}
