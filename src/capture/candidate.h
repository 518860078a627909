/* capture/candidate.h - looks at a file from outside: whether it can be a database that Seawall follows. Opens no
 * database. Descriptors are closed again, which drops the POSIX locks of this process on the file: before each call,
 * this process must not have the file open. */
#ifndef SEAWALL_CAPTURE_CANDIDATE_H
#define SEAWALL_CAPTURE_CANDIDATE_H

#include "base/err.h"

#include <stdbool.h>
#include <sys/stat.h>

/* Checks that `path` is a regular file that begins as a SQLite database does, or is empty or missing: a database may
 * appear later. *ret_stat: st_mode is 0 if the file is missing or can't be opened. ERR_CONFIG: it is something else, or
 * may not be read. ERR_IO: it can't be opened now. A file with several names is not opened, and passes. */
int candidate_check(const char *path, struct stat *ret_stat, struct err *e) MUST_CHECK;

/* The engine or VFS that does not use the wal-index, and whose file or folder is beside the database. NULL: none. */
const char *candidate_engine(const char *path);

#define CANDIDATE_LOOKS 3     /* that must find the same */
#define CANDIDATE_WAIT_MS 200 /* between two of them */

/* Looks at the locks that other processes hold on the database at `path`, which exists. Takes a moment if there are
 * some. `wal`: the database is in WAL mode.
 * ERR_BUSY: one process keeps it locked against all others, so that it can't be opened.
 * ERR_CONFIG: a process has it open by another name, or without the wal-index. */
int candidate_check_locks(const char *path, bool wal, struct err *e) MUST_CHECK;

/* One look. ERR_BUSY: one process keeps the database locked against all others. *ret_open: a process has it open. */
int candidate_check_kept(const char *path, bool *ret_open, struct err *e) MUST_CHECK;

/* What to do about a database that an application keeps locked. */
extern const char candidate_locked_hint[];

/* For strangers.c: whether another process holds a lock on these bytes that is in the way of a lock of this `type`,
 * F_RDLCK or F_WRLCK. *ret_pid is set if so; 0: a process of another container. */
struct candidate_range {
    short type;
    long start, bytes;
};
bool candidate_is_locked(int fd, const struct candidate_range *range, int *ret_pid);
extern const struct candidate_range candidate_db_open;  /* of the database file: a connection is open */
extern const struct candidate_range candidate_shm_open; /* of the -shm: a connection is open */

/* Sets ERR_CONFIG: process `pid` has the database open, and its wal-index is not. Returns -1. */
int candidate_is_unseen(const char *path, int pid, struct err *e);

#endif
