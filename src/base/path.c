/* base/path.c */
#include "base/path.h"

#include "base/io.h"
#include "base/privacy.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

/* Bytes before the colon, if the path begins as a URL does. 0: it does not. */
static size_t scheme_of(const char *path)
{
    static const char *const schemes[] = {"s3",  "file", "sftp", "ftp",   "ssh", "scp",    "http",   "https", "gs",
                                          "gcs", "abs",  "az",   "azure", "b2",  "rclone", "webdav", "nats",  "sqlite"};
    const size_t n = strcspn(path, ":/?@");
    if (path[n] != ':')
        return 0;
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
        if (strlen(schemes[i]) == n && strncasecmp(path, schemes[i], n) == 0)
            return n;
    return strncmp(path + n, "://", 3) == 0 ? n : 0;
}

int path_check_given(const char *path, struct err *e)
{
    if (strcmp(path, "-") == 0) {
        err_set(e, ERR_CONFIG, 0, "'-' is not the name of a file here");
        return err_hint(e, "standard input and output can't be used for it; for a file of this name write './-'");
    }
    if (path[0] == '~' && (path[1] == 0 || path[1] == '/')) {
        err_set(e, ERR_CONFIG, 0, "'%s': no shell has put a home folder in the place of '~'", path);
        return err_hint(e, "write the whole path, or, for a folder with the name '~', './%s'", path);
    }
    const size_t scheme = scheme_of(path);
    if (scheme == 0)
        return 0;
    err_set(e, ERR_CONFIG, 0, "a path is expected here, and this begins as a URL: '%.*s:'", (int)scheme, path);
    return err_hint(e, "write a path; the URL of a replica has its own place in the command; for a file of this name "
                       "write './' before it");
}

int path_format(char out[PATH_TEXT_MAX], struct err *e, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(out, PATH_TEXT_MAX, fmt, args);
    va_end(args);
    if (n < 0 || n >= PATH_TEXT_MAX)
        return err_set(e, ERR_CONFIG, ENAMETOOLONG, "path longer than %d bytes: '%.60s...'", PATH_TEXT_MAX - 1, out);
    return 0;
}

int path_parent(const char *path, char out[PATH_TEXT_MAX], struct err *e)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return path_format(out, e, ".");
    if (slash == path)
        return path_format(out, e, "/");
    return path_format(out, e, "%.*s", (int)(slash - path), path);
}

const char *path_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

bool path_resolve(const char *path, char out[PATH_TEXT_MAX])
{
    char dir[PATH_TEXT_MAX], real[PATH_TEXT_MAX];
    struct err e;
    for (int tries = 0; tries < 2; tries++) {
        if (realpath(path, real))
            return path_format(out, &e, "%s", real) == 0;
        if (!io_is_passing(errno))
            break;
    }
    if (io_is_passing(errno)) /* it may be a link: then its own folder is the wrong one */
        return false;
    if (path_parent(path, dir, &e) || !realpath(dir, real))
        return false;
    return path_format(out, &e, "%s/%s", strcmp(real, "/") == 0 ? "" : real, path_name(path)) == 0;
}

int path_absolute(const char *path, char out[PATH_TEXT_MAX], struct err *e)
{
    char whole[PATH_TEXT_MAX], here[PATH_TEXT_MAX] = "";
    size_t len = 0;
    if (*path != '/' && !getcwd(here, sizeof here))
        return err_sys(e, errno, "the current folder");
    if (path_format(whole, e, "%s/%s", here, path))
        return -1;
    for (const char *at = whole; *at;) {
        size_t n = strcspn(at, "/");
        if (n > 0 && !(n == 1 && *at == '.')) {
            out[len++] = '/';
            memcpy(out + len, at, n);
            len += n;
        }
        at += n + (at[n] == '/');
    }
    if (len == 0)
        out[len++] = '/';
    out[len] = 0;
    return 0;
}

bool path_has_parent(const char *path)
{
    for (const char *at = path; *at; at += strcspn(at, "/"), at += *at == '/')
        if (strcspn(at, "/") == 2 && strncmp(at, "..", 2) == 0)
            return true;
    return false;
}

int path_fsync_parent(const char *path, struct err *e)
{
    char dir[PATH_TEXT_MAX];
    if (path_parent(path, dir, e))
        return -1;
    return io_fsync_dir(dir, e);
}

/* Needed for names that exist: a process can have died between making the name and syncing it. */
int path_sync_name(const char *path, struct err *e)
{
    return path_fsync_parent(path, e) && e->sys != EACCES && e->sys != EPERM && e->sys != EROFS ? -1 : 0;
}

static int make_dir(const char *path, bool durable, struct err *e)
{
    if (mkdir(path, 0777 & ~privacy()) == 0)
        return durable ? path_fsync_parent(path, e) : 0;
    struct stat st;
    if (errno != EEXIST)
        return err_sys(e, errno, "mkdir '%s'", path);
    const bool looked = stat(path, &st) == 0;
    if (looked && S_ISDIR(st.st_mode))
        return durable ? path_sync_name(path, e) : 0;
    if (!looked && errno != ENOENT) /* a link that leads nowhere */
        return err_sys(e, errno, "stat '%s'", path);
    err_set(e, ERR_IO, ENOTDIR, "'%s' is not a folder", path);
    return err_hint(e, "move it away, or name another folder");
}

static int make_dirs(const char *path, bool durable, struct err *e)
{
    char part[PATH_TEXT_MAX];
    struct stat st;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return 0;
    if (path_format(part, e, "%s", path))
        return -1;
    for (char *p = part + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = 0;
        if (make_dir(part, durable, e))
            return -1;
        *p = '/';
    }
    return make_dir(part, durable, e);
}

int path_make_dirs(const char *path, struct err *e)
{
    return make_dirs(path, true, e);
}

int path_make_dirs_unsynced(const char *path, struct err *e)
{
    return make_dirs(path, false, e);
}

void path_remove_empty_dir(const char *path)
{
    int rc = rmdir(path);
    (void)rc;
}
