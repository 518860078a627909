/* base/sqlite_file.h - the header of a SQLite database file: the first 100 bytes of page 1.
 * Source: SQLite "Database File Format", section 1.3. */
#ifndef SEAWALL_BASE_SQLITE_FILE_H
#define SEAWALL_BASE_SQLITE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SQLITE_FILE_HEADER_BYTES 100
#define SQLITE_FILE_MAGIC_BYTES 16

struct sqlite_file {
    uint32_t page_size;      /* bytes, a power of two from 512 to 65536 */
    uint8_t write_version;   /* 1: rollback journal, 2: WAL; a larger one: this file must not be written */
    uint8_t read_version;    /* as write_version; a larger one: this file must not be read */
    uint32_t change_counter; /* goes up with every change in a rollback-journal mode */
    uint32_t pages;          /* size of the database in pages; 0: the header does not know it */
};

/* Checks whether `bytes`, the first `n` bytes of a file, begin with the magic string of SQLite. */
bool sqlite_file_has_magic(const uint8_t *bytes, size_t n);

/* Whether `path` leads to a file that SQLite keeps beside a database which exists: NAME-shm, NAME-wal or NAME-journal.
 * That file must not be opened by a process that may have the database open: closing it drops the locks on it. */
bool sqlite_file_is_beside(const char *path);

/* The page size that a header gives, in bytes, whether or not it is valid. 0 in an empty file, read as zeros. */
uint32_t sqlite_file_page_size(const uint8_t bytes[SQLITE_FILE_HEADER_BYTES]);

/* Decodes a header. Returns false, and leaves *ret_file alone, if the magic string or the page size is not valid.
 * `pages` is 0 if the header was last written by a SQLite older than 3.7.0: such a header may hold a stale size. */
bool sqlite_file_decode(const uint8_t bytes[SQLITE_FILE_HEADER_BYTES], struct sqlite_file *ret_file);

#endif
