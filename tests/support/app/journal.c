/* journal.c - records each change that the process makes on a disk, for LD_PRELOAD; disk.py reads the record.
 *   JOURNAL         the file to write
 *   JOURNAL_BELOW   a folder: changes in it are recorded
 *   JOURNAL_STATE   the mapped state file in that folder: its changed bytes are recorded before each entry
 * Of changes to the database of that state file, and to SQLite's files beside it, only the kind is recorded.
 *
 * An entry is a line "KIND INODE OFFSET LENGTH<tab>PATH<tab>TO" and LENGTH bytes. Only one call is carried out at a
 * time, so the entries are in the order in which the calls had their effect. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "changes.h"

#include <pthread.h>

static const char *const names[] = {
    [CHANGE_CREATE] = "create", [CHANGE_WRITE] = "write", [CHANGE_LENGTH] = "length",
    [CHANGE_SYNC] = "sync",     [CHANGE_LINK] = "link",   [CHANGE_RENAME] = "rename",
    [CHANGE_UNLINK] = "unlink", [CHANGE_MKDIR] = "mkdir", [CHANGE_CLOSE] = "close",
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int journal = -1;
static const char *folder, *state;
static char database[PATH_MAX];
static uint8_t *seen, *room; /* the state file as it was recorded last, and as it is now */
static size_t seen_bytes, seen_cap;

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("JOURNAL");
    folder = getenv("JOURNAL_BELOW");
    state = getenv("JOURNAL_STATE");
    if (path == NULL || folder == NULL || state == NULL)
        return;
    snprintf(database, sizeof database, "%.*s", (int)(strlen(state) - strlen("-seawall")), state);
    journal = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
}

static bool change_concerns(const char *path)
{
    return journal >= 0 && change_is_below(path, folder);
}

static void put(const void *bytes, size_t n)
{
    const uint8_t *from = bytes;
    while (n > 0) {
        ssize_t done = syscall(SYS_write, journal, from, n);
        if (done <= 0)
            abort();
        from += done;
        n -= (size_t)done;
    }
}

static void enter(const char *kind, uint64_t inode, off_t offset, const void *bytes, size_t n, const char *path,
                  const char *to)
{
    char line[2 * PATH_MAX + 200];
    int length = snprintf(line, sizeof line, "%s %llu %lld %zu\t%s\t%s\n", kind, (unsigned long long)inode,
                          (long long)offset, n, path, to != NULL ? to : "");
    put(line, (size_t)length);
    put(bytes, n);
}

static bool make_room(size_t n)
{
    if (n <= seen_cap)
        return true;
    uint8_t *a = realloc(seen, n);
    seen = a != NULL ? a : seen;
    uint8_t *b = realloc(room, n);
    room = b != NULL ? b : room;
    if (a == NULL || b == NULL)
        return false;
    seen_cap = n;
    return true;
}

/* The program's lock on the state file belongs to its descriptor, so another descriptor may be opened and closed. */
static void look_at_state(void)
{
    struct stat st;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, state, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && make_room((size_t)st.st_size)) {
        ssize_t n = syscall(SYS_pread64, fd, room, (size_t)st.st_size, 0);
        if (n > 0 && ((size_t)n != seen_bytes || memcmp(room, seen, (size_t)n) != 0)) {
            memcpy(seen, room, (size_t)n);
            seen_bytes = (size_t)n;
            enter("state", st.st_ino, 0, seen, seen_bytes, state, NULL);
        }
    }
    syscall(SYS_close, fd);
}

static bool is_database(const char *path)
{
    size_t n = strlen(database);
    return strncmp(path, database, n) == 0 && strcmp(path, state) != 0;
}

static bool counts(const struct change *c)
{
    return c->kind != CHANGE_LOCK && c->kind != CHANGE_MAP && journal >= 0;
}

static uint64_t inode_of(const struct change *c)
{
    struct stat st;
    int rc = c->fd >= 0 ? fstat(c->fd, &st) : lstat(c->to != NULL ? c->to : c->path, &st);
    return rc == 0 ? st.st_ino : 0;
}

static void change_begins(struct change *c)
{
    int before = errno;
    if (!counts(c))
        return;
    pthread_mutex_lock(&lock);
    if (c->kind == CHANGE_SYNC && c->fd < 0) /* msync: only the state file stays mapped */
        snprintf(c->path, sizeof c->path, "%s", state);
    look_at_state();
    if (c->kind == CHANGE_CLOSE && !is_database(c->path))
        enter(names[c->kind], inode_of(c), 0, NULL, 0, c->path, NULL);
    errno = before;
}

static void change_ends(struct change *c, bool done)
{
    if (!counts(c))
        return;
    if (done && is_database(c->path)) {
        if (c->kind == CHANGE_WRITE || c->kind == CHANGE_LENGTH)
            enter("database", 0, 0, NULL, 0, c->path, NULL);
    } else if (done && c->kind != CHANGE_CLOSE) {
        bool bytes = c->kind == CHANGE_WRITE;
        enter(c->kind == CHANGE_LENGTH && c->grow ? "grow" : names[c->kind], inode_of(c), c->offset,
              bytes ? c->bytes : NULL, bytes ? c->n : 0, c->path, c->to);
    }
    pthread_mutex_unlock(&lock);
}
