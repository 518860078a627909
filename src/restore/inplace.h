/* restore/inplace.h - a database that nobody has open, and whose pages are changed where they are, all of them or none.
 *
 *   1. what a crash left in its -wal or -journal is completed by SQLite, so that the file alone is the database
 *   2. everybody is kept out by locks until inplace_close
 *   3. the old contents of each page that will change or is cut off go into a rollback journal, which is synced, then named
 *      <db>-journal: from here on whoever opens the database with SQLite would put them back
 *   4. pages are written, the file cut or grown, synced, read back and compared
 *   5. the journal is renamed to <db>-seawall-undo, or removed: that is the moment of change
 *
 * If anything fails or dies between 3 and 5 the database is what it was, at the latest when it is opened next. */
#ifndef SEAWALL_RESTORE_INPLACE_H
#define SEAWALL_RESTORE_INPLACE_H

#include "base/path.h"
#include "restore/journal.h"
#include "state/map.h"

#include <stdatomic.h>
#include <sys/stat.h>

enum inplace_fit {
    INPLACE_READY,
    INPLACE_NOT_THERE, /* no file */
    INPLACE_UNFIT,     /* a file that is no database of whole pages */
};

enum inplace_purpose {
    INPLACE_LOOK, /* nothing is written; what lies in -wal and -journal is not counted */
    INPLACE_CHANGE,
};

struct inplace {
    char path[PATH_TEXT_MAX], dir[PATH_TEXT_MAX];
    int fd; /* holds the locks */
    struct stat found;
    uint32_t page_size, pages;
    bool unsettled; /* INPLACE_LOOK: SQLite would have something to complete first */
};

/* ERR_BUSY: somebody has it open. ERR_CONFIG: not a regular file. ERR_SQLITE: SQLite can't complete what a crash left. */
int inplace_open(struct inplace *ip, const char *path, enum inplace_purpose purpose, enum inplace_fit *ret_fit,
                 struct err *e) MUST_CHECK;
void inplace_close(struct inplace *ip);

/* Does a -wal or -journal beside it hold something? */
int inplace_needs_settling(const char *path, bool *ret_needs, struct err *e) MUST_CHECK;

/* Completes the database by what its -wal and -journal hold, if anything. */
int inplace_settle(const char *path, struct err *e) MUST_CHECK;

/* Hash of the page as it is now. `page` gets it. ERR_IO. */
int inplace_read(const struct inplace *ip, uint32_t pgno, uint8_t *page, uint64_t *ret_hash, struct err *e) MUST_CHECK;

/* Is the file the one, and as, that somebody noted? */
bool inplace_is_as_left(const struct inplace *ip, uint64_t inode, uint64_t size, int64_t mtime_ns);

enum inplace_flags { INPLACE_KEEP_UNDO = 1, INPLACE_INTEGRITY_CHECK = 2 };

/* What the database shall be. Pages whose hash is the same in `before` and `after` stay; both can be 0 for those. */
struct change {
    uint32_t pages; /* size after */
    int source;     /* a file with the pages, each at its place */
    const struct map *after;
    const uint64_t *before;                   /* of page pgno: before[pgno - 1], for each page that is there now */
    uint64_t checksum_before, checksum_after; /* of the whole database: the changes must lead from one to the other */
    uint64_t txid_before, txid_after;         /* for the note; 0: not known */
    struct uid database;
    unsigned flags;
    const atomic_bool *cancel; /* looked at until the journal has its name; may be NULL */
};
uint32_t change_count(const struct inplace *ip, const struct change *c); /* pages to write */

/* *ret_mismatch: a page is not what `before` says; nothing was changed, ERR_BUSY. */
int inplace_change(struct inplace *ip, const struct change *c, bool *ret_mismatch, struct err *e) MUST_CHECK;

#endif
