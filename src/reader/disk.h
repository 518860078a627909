/* reader/disk.h - a folder that keeps bytes of replicas which were read, for later processes.
 *
 * Several processes may use a folder at a time. A file is named by the object and the part of it that it has: objects
 * never change, so a file is never out of date. A file gets its name when it is complete, and has a checksum of its
 * bytes, so that one which was damaged is read from the store again. The folder must belong to this user, and others
 * must not be able to write to it: a checksum does not protect against an attacker. All functions may be called from
 * any thread. */
#ifndef SEAWALL_READER_DISK_H
#define SEAWALL_READER_DISK_H

#include "base/buf.h"

#define DISK_BYTES_DEFAULT ((uint64_t)1 << 30)
#define DISK_NAME_MAX 64 /* with NUL */

struct disk;

/* Opens the folder, and makes it if it is missing, but not its parent. It is kept below about `bytes_max` bytes: the
 * files that were not used for the longest time go. The caller closes it. ERR_NOTFOUND, ERR_CONFIG, ERR_IO, ERR_NOMEM:
 * as folder_open_trusted. */
int disk_open(const char *path, uint64_t bytes_max, struct disk **ret_disk, struct err *e) MUST_CHECK;
void disk_close(struct disk *d); /* NULL does nothing */

/* Appends the bytes of a file to `out`. False: it is not there, it is damaged and was removed, or `out` has no room.
 * `d` may be NULL. */
bool disk_get(struct disk *d, const char *name, struct buf *out);

/* Keeps bytes. An error means that they are not kept. `d` may be NULL. */
void disk_put(struct disk *d, const char *name, const void *bytes, size_t n);

/* Removes a file whose bytes turned out to be wrong. `d` may be NULL. */
void disk_drop(struct disk *d, const char *name);

#endif
