/* capture/lock_table.h - the kernel's table of locks, /proc/locks. F_GETLK shows one lock of a range; the table shows all,
 * of all processes that this one can see: not those of another container. Source: proc_locks(5), "man 5 proc". */
#ifndef SEAWALL_CAPTURE_LOCK_TABLE_H
#define SEAWALL_CAPTURE_LOCK_TABLE_H

#include <sys/types.h>

/* Finds a process that has a lock on the database file, as an open connection has, and none on the -shm. `db`, `shm`:
 * descriptors of the two files. Before: this process has both locks; its own lines show how the table names the files.
 * Returns the least such pid; 0: there is
 * none, or the table can't be read. */
pid_t lock_table_unseen(int db, int shm);

#endif
