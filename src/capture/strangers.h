/* capture/strangers.h - finds strangers: processes whose commits the watch can't see. They open the database by another
 * name, which has another -wal, or with an engine or VFS that does not use the wal-index.
 *
 * The signs:
 *   (1) The database file has several names, or is a mount of a single file (folder_check_one_name).
 *   (2) In STRANGERS_LOOKS looks in a row another process holds a lock on the database file, and no process holds one
 *       on the -shm. In WAL mode SQLite holds both as long as a connection is open. It does not count if that process
 *       keeps the database locked against all others as soon as the watch is closed: then it only waited for that. If
 *       other processes hold one on the -shm, the kernel's table of locks shows the same of one process, if it is not
 *       of another container. Then STRANGERS_BEHIND_LOOKS looks must find that process: it takes a minute.
 *   (3) The -wal has commits that the wal-index does not show, and no process holds WAL_WRITE_LOCK. To see that once
 *       proves nothing: a process may have been killed between the two writes, or the bytes are those of an older
 *       generation. It is a sign if the last of these commits changes STRANGERS_MOVES times while the wal-index stays
 *       as it is. One change is enough if a file says which engine writes: the folder <db>.lock of the VFS
 *       unix-dotfile, or the file <db>-tshm of Turso.
 *
 * F_GETLK shows locks of other processes and takes none. It needs descriptors of our own, and when one of them is
 * closed, the process loses its POSIX locks on the file. So strangers_close comes after watch_close, never before. */
#ifndef SEAWALL_CAPTURE_STRANGERS_H
#define SEAWALL_CAPTURE_STRANGERS_H

#include "capture/watch.h"

#include <sys/types.h>

#define STRANGERS_LOOKS 3
#define STRANGERS_MOVES 3
#define STRANGERS_BEHIND_LOOKS 6
#define STRANGERS_BEHIND_NS INT64_C(10000000000) /* the least time between two of these */
#define STRANGERS_WAIT_NS INT64_C(3000000000)    /* how long strangers_may_write is true after a move */
#define STRANGERS_LOOK_NS INT64_C(900000000)     /* the least time between two looks for (2) */
#define STRANGERS_STEP_MS 50
#define STRANGERS_CLOSED_MS 500 /* longer than SQLite waits between two tries */
#define STRANGERS_AGAIN_MS 3000 /* SQLite waits at most 0.1 s between two tries, without usleep() 1 s */

struct strangers {
    int db_fd, shm_fd;             /* -1: not open */
    bool usable;                   /* both are the files of the watch */
    unsigned unseen;               /* looks in a row that found (2) */
    int64_t looked_ns;             /* monotonic; when (2) was looked for last */
    pid_t behind;                  /* the process that the last look behind others found; 0: none */
    unsigned behind_looks;         /* looks in a row that found that process */
    int64_t behind_ns;             /* monotonic; when the last one was */
    struct wal_index_header index; /* of the last look for (3) */
    struct wal_pos end;            /* the last commit in the -wal that `index` does not show; frame 0: none */
    bool known;                    /* `index` and `end` are known */
    unsigned moves;                /* how often `end` changed while the index stayed as it is */
    int64_t moved_ns;              /* monotonic; when it changed last */
};
#define STRANGERS_NONE ((struct strangers){.db_fd = -1, .shm_fd = -1})

/* Opens the files of the watch once more. Before: the watch is open, and not `rollback`. If a file can't be opened, the
 * signs (2) and (3) are never found. */
void strangers_open(struct strangers *s, const struct watch *w);

/* Before: the watch is closed. STRANGERS_NONE is allowed. */
void strangers_close(struct strangers *s);

/* Looks for (2), with a few system calls. True: strangers_look will report it. Before: no local job runs. */
bool strangers_suspect(struct strangers *s, int64_t now_ns);

/* Whether another process has the database open, as the lock on the -shm shows that each connection holds. True also if that
 * can't be found out. Before: no local job runs. */
bool strangers_any(const struct strangers *s);

/* Whether one process holds both WAL_WRITE_LOCK and WAL_CKPT_LOCK. A checkpoint FULL, RESTART or TRUNCATE does, as long as
 * it waits for readers; and a process that checkpoints on one connection and writes on another one. */
bool strangers_keep_writers_out(const struct strangers *s);

/* Whether a stranger may be writing: strangers_look has seen the end of the -wal move a short time ago. While this is
 * true, a checkpoint should not reset the -wal, so that the next looks can find more moves. */
bool strangers_may_write(const struct strangers *s);

/* Looks for (1) and (3), and reports (2). Before: the watch is open. ERR_CONFIG: one of them was found. */
int strangers_look(struct strangers *s, const struct watch *w, struct err *e) MUST_CHECK;

/* Whether the last look found (2). A process that waits to have the database for itself, as with PRAGMA
 * locking_mode=EXCLUSIVE, looks the same as long as the watch is open: strangers_look_again tells them apart. */
bool strangers_have_lock(const struct strangers *s);

/* Looks at the locks again for STRANGERS_AGAIN_MS. Before: (2) was found, and strangers_close was called since, so that
 * a process that waits can have the database at `path`. Returns -1 always. ERR_BUSY: a process waited, and keeps the
 * database locked now; or nobody had it open for STRANGERS_CLOSED_MS, so that no -wal is left. Otherwise `e` stays as
 * it was: nothing else proves that there is no stranger. */
int strangers_look_again(const char *path, struct err *e) MUST_CHECK;

#endif
