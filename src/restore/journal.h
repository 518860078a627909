/* restore/journal.h - writes a rollback journal of SQLite for a database that is about to be changed in place, and
 * reads it back.
 *
 * The format is SQLite's own ("Database File Format", section 3): a header in a sector of its own, then one record for
 * each page that will be overwritten or cut off. While a journal is at <db>-journal, SQLite puts these pages back and
 * cuts the file to its old size before it does anything else. So a kill or a power cut while pages are written leaves
 * nothing to repair.
 *
 * Under another name the same file is an undo. For that it ends with a note, which describes the database before and
 * after the change. SQLite does not read the note, because it is shorter than a second header would be.
 *
 *   offset 0      8  d9 d5 05 f9 20 a1 63 d7      note, 120 bytes, all integers big-endian:
 *                 4  records                        0   8  "SWLUNDO1"
 *                 4  nonce of the checksums         8   8  database checksum before (XOR of the page hashes)
 *                 4  size of the database, pages   16   8  database checksum after
 *                 4  sector size: 512              24   8  txid before; 0: not known
 *                 4  page size                     32   8  txid after; 0: not known
 *   offset 512, for each record:                   40  16  id of the replica that has these txids; zeros: none
 *                 4  page number                   56   4  size after, in pages
 *                 n  page                          60   4  size before, in pages
 *                 4  checksum                      64   8  inode of the database after
 *                                                  72   8  its size in bytes
 *                                                  80   8  its time of change, ns
 *                                                  88   8  XOR of the hashes of the pages in the records
 *                                                  96  16  zeros
 *                                                 112   8  XXH3 of the note up to here */
#ifndef SEAWALL_RESTORE_JOURNAL_H
#define SEAWALL_RESTORE_JOURNAL_H

#include "base/buf.h"
#include "base/stage.h"
#include "format/segment.h"

#include <stdbool.h>
#include <sys/stat.h>

#define JOURNAL_HEADER_BYTES 512
#define JOURNAL_NOTE_BYTES 120

/* The note of an undo. */
struct journal_note {
    uint64_t checksum_before, checksum_after; /* of the database */
    uint64_t txid_before, txid_after;         /* 0: not known */
    struct uid database;                      /* id of the replica that has these txids; zeros: none */
    uint32_t pages_after;
    uint64_t inode, size;      /* of the database file after; size in bytes */
    int64_t mtime_ns;          /* modification time of that file, ns since 1970 */
    uint64_t records_checksum; /* XOR of the hashes of the pages in the records */
};

struct journal_writer {
    struct stage stage;
    struct buf buf;   /* records that are not written yet */
    uint64_t written; /* bytes of the file */
    uint32_t page_size, pages, nonce, count;
    uint64_t records_checksum;
};

/* The database that is about to be changed. */
struct journal_database {
    const struct folder *folder; /* of the database */
    uint32_t page_size, pages;
    const struct stat *like; /* owner and mode for the journal, which holds contents of the database */
};

/* ---- writing: begin, add, finish; then give `stage` its name; then annotate, if it becomes an undo. Errors of all
 * functions: ERR_IO, ERR_NOMEM */

/* Makes a hidden file in the folder. The caller calls journal_end in any case. */
int journal_begin(struct journal_writer *j, const struct journal_database *database, struct err *e) MUST_CHECK;

/* Adds the old contents of a page. Precondition: 1 <= pgno <= database->pages. */
int journal_add(struct journal_writer *j, uint32_t pgno, const uint8_t *page, struct err *e) MUST_CHECK;

/* Writes the header and syncs. From here on the journal can be published. */
int journal_finish(struct journal_writer *j, struct err *e) MUST_CHECK;

/* Appends the note and syncs. Ignores note->records_checksum, which the writer knows. Precondition: journal_finish was
 * called. */
int journal_annotate(struct journal_writer *j, const struct journal_note *note, struct err *e) MUST_CHECK;

/* Closes the file. If it has no name, it is lost. */
void journal_end(struct journal_writer *j);

/* ---- reading: a kept journal */

struct journal_reader {
    int fd; /* owned; -1: not open */
    char path[PATH_TEXT_MAX];
    uint32_t page_size, pages, nonce, count;
    uint32_t next; /* record, from 0 */
    uint64_t records_checksum;
    struct journal_note note;
};

/* Opens a kept journal and reads its note. If the file is not a journal, for example a database, *ret_is_journal is
 * false and nothing is open. ERR_CORRUPT: the journal is not whole. ERR_NOTFOUND: there is no file. ERR_CONFIG,
 * ERR_IO. */
int journal_open(struct journal_reader *j, const char *path, bool *ret_is_journal, struct err *e) MUST_CHECK;

/* Reads the next record into `page`, which has room for page_size bytes. After the last record *ret_pgno is 0.
 * ERR_CORRUPT: a record is damaged, or all records together do not have the checksum of the note. ERR_IO. */
int journal_next(struct journal_reader *j, uint32_t *ret_pgno, uint8_t *page, struct err *e) MUST_CHECK;
void journal_close(struct journal_reader *j);

#endif
