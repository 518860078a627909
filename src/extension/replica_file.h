/* extension/replica_file.h - a replica as a file of SQLite: read-only, without journal and without -wal.
 *
 * The file is what a restore would give, with these differences on page 1. Bytes 18 and 19 are 1, so that SQLite looks
 * for no -wal. The change counter (24 and 92) is made from the txid, so that SQLite keeps its cache of pages while
 * nothing changes, and drops it when something does. The size (28) is that of the file. */
#ifndef SEAWALL_EXTENSION_REPLICA_FILE_H
#define SEAWALL_EXTENSION_REPLICA_FILE_H

#include "extension/host.h"
#include "reader/reader.h"

#include <stddef.h>

/* A file control of ours, which VFS above pass on. Sets *(struct reader **) to the reader of the file, which is valid
 * while the connection is open. Another VFS answers SQLITE_NOTFOUND. */
#define REPLICA_FILE_READER 0x53574c31

/* The functions of struct shim_opener. `context`: a struct host. */
int replica_file_open(const void *context, const char *name, sqlite3_file *file, int flags, int *ret_flags);
int replica_file_is_wal_name(const char *name);
int replica_file_bytes(void);

/* Changes `n` bytes of a file, which were read at `offset`, as described above. For tests. */
void replica_file_adapt(const struct commit_record *record, uint32_t history, uint64_t offset, uint8_t *bytes,
                        size_t n);

#endif
