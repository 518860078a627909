/* base/io.h - complete reads and writes, and the kinds of sync that make files durable. */
#ifndef SEAWALL_BASE_IO_H
#define SEAWALL_BASE_IO_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Reads exactly n bytes. ERR_CORRUPT: the file ends before. ERR_IO. */
int io_pread(int fd, void *out, size_t n, uint64_t offset, struct err *e) MUST_CHECK;

/* Write exactly n bytes. ERR_IO. */
int io_pwrite(int fd, const void *bytes, size_t n, uint64_t offset, struct err *e) MUST_CHECK;
int io_write(int fd, const void *bytes, size_t n, struct err *e) MUST_CHECK;

/* Whether this errno of a write says that there is no room: on the disk, in a quota, or below a limit of file sizes. */
bool io_is_no_room(int sys);

/* Whether this errno of a call that looks at a path says nothing about what is there: memory, descriptors or the device
 * failed, and the next call can succeed. */
bool io_is_passing(int sys);

/* Makes the contents of a file durable. `path`: for the message. ERR_IO: the kernel may have dropped the data. Then a
 * later success does not mean that the data is durable. */
int io_fsync(int fd, const char *path, struct err *e) MUST_CHECK;

/* Makes the names in a folder durable. ERR_NOTFOUND: the folder does not exist. ERR_IO. */
int io_fsync_dir(const char *dir, struct err *e) MUST_CHECK;

/* Makes all contents and names durable of the file system that has the folder `dir`: of many small files at once.
 * ERR_NOTFOUND: the folder does not exist. ERR_IO. */
int io_sync_file_system(const char *dir, struct err *e) MUST_CHECK;

/* Closes a descriptor and sets it to -1. -1 does nothing. */
void io_close(int *fd);

#endif
