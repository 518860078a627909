/* base/io.h - whole reads and writes, and the two fsyncs that make a file durable. */
#ifndef SEAWALL_BASE_IO_H
#define SEAWALL_BASE_IO_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

int io_pread(int fd, void *out, size_t n, uint64_t offset,
             struct err *e) MUST_CHECK; /* all n bytes, or ERR_CORRUPT at the end of the file */
int io_pwrite(int fd, const void *bytes, size_t n, uint64_t offset, struct err *e) MUST_CHECK;
int io_write(int fd, const void *bytes, size_t n, struct err *e) MUST_CHECK;
int io_fsync(int fd, const char *path,
             struct err *e) MUST_CHECK; /* never retried: after a failed fsync nothing is known */
int io_fsync_dir(const char *dir, struct err *e) MUST_CHECK;
void io_close(int *fd); /* -1 is fine */

#endif
