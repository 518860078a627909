/* capture/strangers.h - finds processes that commit to the database where the watch can't see it: by another name of the
 * file, which has another -wal, or with an engine or VFS that does not use the wal-index.
 *
 * The signs:
 *   (1) The database file has several names, or is a mount of a single file (folder_check_one_name).
 *   (2) Another process holds a lock on the database file, and none holds one on the -shm, for STRANGERS_LOOKS looks. In
 *       WAL mode SQLite holds both as long as a connection is open.
 *   (3) The -wal has commits that the wal-index does not show, and nobody holds WAL_WRITE_LOCK. One such end of the -wal
 *       proves nothing: a process may have been killed between the two writes, or the bytes are an older generation's. It is
 *       a sign if the end moves twice while the wal-index stays, or if a file tells which engine writes: the folder
 *       <db>.lock of the VFS unix-dotfile, or the <db>-tshm of Turso.
 *
 * Locks are looked at with F_GETLK, which takes none. That needs descriptors of our own. POSIX locks of the process are
 * lost when any descriptor of the file is closed. So strangers_close comes after watch_close, never before. */
#ifndef SEAWALL_CAPTURE_STRANGERS_H
#define SEAWALL_CAPTURE_STRANGERS_H

#include "capture/watch.h"

#define STRANGERS_LOOKS 3
#define STRANGERS_WAIT_NS INT64_C(3000000000)
#define STRANGERS_LOOK_NS INT64_C(900000000) /* the least time between two looks that count */

struct strangers {
    int db_fd, shm_fd; /* -1: not open */
    bool usable;       /* both are the files of the watch */
    unsigned unseen;   /* looks in a row that found (2) */
    int64_t looked_ns;
    struct wal_index_header index; /* of the last look for (3) */
    struct wal_pos end;            /* the last commit in the -wal beyond it; frame 0: none */
    bool known;                    /* the two above are known */
    unsigned moves;                /* how often `end` moved while the index stayed */
    int64_t moved_ns;              /* when it did so last */
};
#define STRANGERS_NONE ((struct strangers){.db_fd = -1, .shm_fd = -1})

/* Before: the watch is open, and not `rollback`. Where a file can't be opened, its sign is never found. */
void strangers_open(struct strangers *s, const struct watch *w);

/* Before: the watch is closed. STRANGERS_NONE is fine. */
void strangers_close(struct strangers *s);

/* Looks for (2), for a few system calls. True: strangers_look will report it. Between two runs of the local job. */
bool strangers_suspect(struct strangers *s, int64_t now_ns);

/* After strangers_look: did the end of the -wal move a short time ago, so that the next looks may tell more? Until then its
 * -wal should stay. */
bool strangers_may_write(const struct strangers *s);

/* Looks for all signs. Before: the watch is open. ERR_CONFIG: one was found; the message says which. */
int strangers_look(struct strangers *s, const struct watch *w, struct err *e) MUST_CHECK;

#endif
