/* capture/candidate.c */
#include "capture/candidate.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/path.h"
#include "base/sqlite_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- what it is */

static int cant_open(const char *path, int error, struct err *e)
{
    return err_set(e, io_is_passing(error) ? ERR_IO : ERR_CONFIG, error, "database '%s': %s", path, strerror(error));
}

int candidate_check(const char *path, struct stat *ret_stat, struct err *e)
{
    uint8_t bytes[SQLITE_FILE_MAGIC_BYTES];
    *ret_stat = (struct stat){.st_size = 0};
    if (sqlite_file_is_beside(path)) {
        err_set(e, ERR_CONFIG, 0, "'%s' is not a SQLite database: SQLite keeps it beside one", path);
        return err_hint(e, "name the database itself");
    }
    if (stat(path, ret_stat) == 0 && S_ISREG(ret_stat->st_mode) && ret_stat->st_nlink > 1)
        return 0; /* it may be the wal-index of a database that is open here. It is refused for its names */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* does not block if it is a FIFO */
    if (fd < 0)
        return errno == ENOENT ? 0 : cant_open(path, errno, e);
    int rc = fstat(fd, ret_stat);
    bool regular = rc == 0 && S_ISREG(ret_stat->st_mode);
    size_t n = regular && ret_stat->st_size < (off_t)sizeof bytes ? (size_t)ret_stat->st_size : sizeof bytes;
    if (rc != 0)
        err_sys(e, errno, "stat");
    else if (regular)
        rc = io_pread(fd, bytes, n, 0, e);
    close(fd);
    if (rc != 0)
        return err_wrap(e, "database '%s'", path);
    if (!regular) {
        err_set(e, ERR_CONFIG, 0, "'%s' is not a SQLite database: it is not a regular file", path);
        return err_hint(e, "the path of the database file comes first, then the URLs of its replicas");
    }
    if (n == 0 || sqlite_file_has_magic(bytes, n))
        return 0;
    err_set(e, ERR_CONFIG, 0, "'%s' is not a SQLite database", path);
    return err_hint(e, "the database comes first, then the URLs; an encrypted database can't be replicated");
}

const char *candidate_engine(const char *path)
{
    static const struct {
        const char *suffix, *engine;
        mode_t kind;
    } signs[] = {{".lock", "the VFS unix-dotfile", S_IFDIR}, {"-tshm", "another engine", S_IFREG}};
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++) {
        char full[PATH_TEXT_MAX];
        struct stat st;
        struct err e;
        if (path_format(full, &e, "%s%s", path, signs[i].suffix) == 0 && stat(full, &st) == 0 &&
            (st.st_mode & S_IFMT) == signs[i].kind)
            return signs[i].engine;
    }
    return NULL;
}

/* ---- who has it open. The bytes are those that SQLite's unix VFS locks */

const struct candidate_range candidate_db_open = {.type = F_WRLCK, .start = 0x40000002, .bytes = 510};
const struct candidate_range candidate_shm_open = {.type = F_WRLCK, .start = 128, .bytes = 1};
static const struct candidate_range against_all = {.type = F_RDLCK, .start = 0x40000002, .bytes = 510};

const char candidate_locked_hint[] = "it uses PRAGMA locking_mode=EXCLUSIVE, the VFS unix-excl, another engine such as "
                                     "Turso, or a long transaction in a "
                                     "rollback-journal mode: end that, and the daemon goes on by itself";

bool candidate_is_locked(int fd, const struct candidate_range *range, int *ret_pid)
{
    struct flock lock = {.l_type = range->type, .l_whence = SEEK_SET, .l_start = range->start, .l_len = range->bytes};
    if (fd < 0 || fcntl(fd, F_GETLK, &lock) != 0 || lock.l_type == F_UNLCK)
        return false;
    *ret_pid = lock.l_pid > 0 ? lock.l_pid : 0;
    return true;
}

int candidate_is_unseen(const char *path, int pid, struct err *e)
{
    char who[64] = "a process of another container";
    if (pid > 0)
        snprintf(who, sizeof who, "process %d", pid);
    err_set(
        e, ERR_CONFIG, 0,
        "%s has '%s' open by another name or without its wal-index: its commits are in another -wal, and can be lost",
        who, path);
    return err_hint(e, "let every program open the database by one path; give a container the folder of the database, "
                       "not the single file");
}

static int keeps_it(const char *path, int pid, struct err *e)
{
    char who[64] = "of another container ";
    if (pid > 0)
        snprintf(who, sizeof who, "%d ", pid);
    err_set(e, ERR_BUSY, 0, "process %skeeps '%s' locked against all others", who, path);
    return err_hint(e, "%s", candidate_locked_hint);
}

static int open_beside(const char *path, const char *suffix)
{
    char full[PATH_TEXT_MAX];
    struct err e;
    if (path_format(full, &e, "%s%s", path, suffix))
        return -1;
    return open(full, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

enum holder {
    HOLDER_NONE,
    HOLDER_OPEN,   /* a process has it open, and may have the wal-index open */
    HOLDER_KEEPS,  /* it keeps it locked against all others */
    HOLDER_UNSEEN, /* it has it open without the wal-index */
};

static enum holder look_once(const char *path, bool wal, int *ret_pid)
{
    int db = open_beside(path, ""), shm = open_beside(path, "-shm"), pid = 0;
    enum holder h = HOLDER_NONE;
    if (candidate_is_locked(db, &against_all, ret_pid))
        h = HOLDER_KEEPS;
    else if (candidate_is_locked(db, &candidate_db_open, ret_pid))
        h = wal && !candidate_is_locked(shm, &candidate_shm_open, &pid) ? HOLDER_UNSEEN : HOLDER_OPEN;
    io_close(&db);
    io_close(&shm);
    return h;
}

int candidate_check_kept(const char *path, bool *ret_open, struct err *e)
{
    int pid = 0;
    enum holder h = look_once(path, false, &pid);
    *ret_open = h != HOLDER_NONE;
    return h == HOLDER_KEEPS ? keeps_it(path, pid, e) : 0;
}

int candidate_check_locks(const char *path, bool wal, struct err *e)
{
    int pid = 0;
    enum holder h = look_once(path, wal, &pid);
    for (unsigned looks = 1; (h == HOLDER_KEEPS || h == HOLDER_UNSEEN) && looks < CANDIDATE_LOOKS; looks++) {
        clock_sleep_us(CANDIDATE_WAIT_MS * INT64_C(1000));
        enum holder next = look_once(path, wal, &pid);
        h = next == h ? h : HOLDER_NONE;
    }
    if (h == HOLDER_NONE || h == HOLDER_OPEN)
        return 0;
    return h == HOLDER_KEEPS ? keeps_it(path, pid, e) : candidate_is_unseen(path, pid, e);
}
