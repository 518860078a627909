/* restore/journal.h - SQLite's rollback journal, written for a database that is about to be changed in place, and read back.
 *
 * The format is SQLite's own ("Database File Format", section 3): a header in a sector of its own, then of each page that will be
 * overwritten or cut off its number, its bytes and a checksum. While a journal lies at <db>-journal, whoever opens the database
 * with SQLite first puts these pages back and cuts the file to its old size. So a process that is killed, or a power cut, while
 * pages are written leaves nothing to repair.
 *
 * Kept under another name the same file is an undo. For that it ends with a note: what the database was and became. SQLite does not
 * look at it: it is shorter than the header that could follow there.
 *
 *   offset 0      8  d9 d5 05 f9 20 a1 63 d7      note, 120 bytes, all integers big-endian:
 *                 4  records                        0   8  "SWLUNDO1"
 *                 4  nonce of the checksums         8   8  database checksum before (XOR of the page hashes)
 *                 4  size of the database, pages   16   8  and after
 *                 4  sector size: 512              24   8  txid before; 0: not known
 *                 4  page size                     32   8  and after; 0: not known
 *   offset 512, for each record:                   40  16  id of the replica these txids are of; zeros: none
 *                 4  page number                   56   4  size after, in pages
 *                 n  page                          60   4  and before
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

/* What only somebody who keeps it as an undo wants to know. */
struct journal_note {
    uint64_t checksum_before, checksum_after;
    uint64_t txid_before, txid_after;
    struct uid database;
    uint32_t pages_after;
    uint64_t inode, size;
    int64_t mtime_ns;
    uint64_t records_checksum;
};

struct journal_writer {
    struct stage stage;
    struct buf buf; /* records that are not written yet */
    uint64_t written;
    uint32_t page_size, pages, nonce, count;
    uint64_t records_checksum;
};

/* Makes it in `dir`, seen by nobody. `pages`: size of the database now. `like`: owner and mode it gets, as it holds the contents.
 */
int journal_begin(struct journal_writer *j, const char *dir, uint32_t page_size, uint32_t pages,
                  const struct stat *like, struct err *e) MUST_CHECK;
int journal_add(struct journal_writer *j, uint32_t pgno, const uint8_t *page, struct err *e) MUST_CHECK;
/* Writes the header and syncs: it can be published. */
int journal_finish(struct journal_writer *j, struct err *e) MUST_CHECK;
/* Appends the note and syncs, published or not; records_checksum is filled in. */
int journal_annotate(struct journal_writer *j, const struct journal_note *note, struct err *e) MUST_CHECK;
void journal_end(struct journal_writer *j); /* closes; if it was never published it is gone */

/* A kept journal. */
struct journal_reader {
    int fd; /* owned */
    char path[PATH_TEXT_MAX];
    uint32_t page_size, pages, nonce, count;
    uint32_t next; /* record, from 0 */
    uint64_t records_checksum;
    struct journal_note note;
};

/* ERR_CORRUPT: not whole. *ret_is_journal false, and nothing is open: something else, a database for example. */
int journal_open(struct journal_reader *j, const char *path, bool *ret_is_journal, struct err *e) MUST_CHECK;
/* The next record; *ret_pgno 0 after the last, once they are what the note says. Ascending. `page` has room for page_size bytes. */
int journal_next(struct journal_reader *j, uint32_t *ret_pgno, uint8_t *page, struct err *e) MUST_CHECK;
void journal_close(struct journal_reader *j);

#endif
