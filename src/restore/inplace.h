/* restore/inplace.h - changes pages of a database file in place, all of them or none, while no other process has it
 * open.
 *
 *   1. SQLite completes what a crash left in -wal or -journal. Then the file alone is the database.
 *   2. Locks keep every other process out, until inplace_close.
 *   3. The old contents of each page that will change or be cut off are written to a rollback journal. It is synced,
 *      then named <db>-journal. From here on, SQLite puts the old pages back whenever the database is opened.
 *   4. The pages are written, the file is cut or grown, synced, read back and compared.
 *   5. The journal is renamed to <db>-seawall-undo, or removed. This is the moment of change.
 *
 * If a step fails before 5 is done, or the process dies, the database becomes what it was: at once, or when SQLite
 * opens it next. */
#ifndef SEAWALL_RESTORE_INPLACE_H
#define SEAWALL_RESTORE_INPLACE_H

#include "base/path.h"
#include "restore/journal.h"
#include "state/map.h"

#include <stdatomic.h>
#include <sys/stat.h>

enum inplace_fit {
    INPLACE_READY,
    INPLACE_NOT_THERE, /* there is no file */
    INPLACE_UNFIT,     /* the file is not a database of whole pages */
};

enum inplace_purpose {
    INPLACE_LOOK,   /* nothing is written; changes in -wal and -journal are ignored */
    INPLACE_CHANGE, /* SQLite first brings the changes in -wal and -journal into the file */
};

struct inplace {
    char path[PATH_TEXT_MAX];
    struct folder folder;      /* of `path` */
    int fd;                    /* of the database; holds the locks; -1: not open */
    struct stat found;         /* of the file as it was opened, or as inplace_change left it */
    uint32_t page_size, pages; /* of the file as it was opened */
    bool unsettled;            /* INPLACE_LOOK: -wal or -journal holds changes */
};

/* Opens and locks the database at `path`. *ret_fit says whether it can be changed in place. It is open only with
 * INPLACE_READY; then the caller closes it. ERR_BUSY: another process has it open. ERR_CONFIG: it is not a regular
 * file, or its -wal, -shm or -journal is not a regular file with one name. ERR_SQLITE: SQLite can't complete what a
 * crash left. ERR_IO. */
int inplace_open(struct inplace *ip, const char *path, enum inplace_purpose purpose, enum inplace_fit *ret_fit,
                 struct err *e) MUST_CHECK;
void inplace_close(struct inplace *ip);

/* Checks whether the -wal or -journal of a database holds changes. ERR_CONFIG, ERR_NOTFOUND, ERR_IO: as
 * folder_check_sqlite_files. */
int inplace_needs_settling(const char *path, bool *ret_needs, struct err *e) MUST_CHECK;

/* Makes SQLite bring the changes in -wal and -journal into the database, if there are any. ERR_BUSY: the database is in
 * use. ERR_SQLITE: SQLite can't do that. Other errors: those of inplace_needs_settling. */
int inplace_settle(const char *path, struct err *e) MUST_CHECK;

/* Reads a page into `page`, which has room for page_size bytes, and hashes it. Precondition: 1 <= pgno <= pages.
 * ERR_IO. */
int inplace_read(const struct inplace *ip, uint32_t pgno, uint8_t *page, uint64_t *ret_hash, struct err *e) MUST_CHECK;

/* Whether the file still has these attributes, so that it is the same file and unchanged. `size`: bytes. */
bool inplace_is_as_left(const struct inplace *ip, uint64_t inode, uint64_t size, int64_t mtime_ns);

enum inplace_flags { INPLACE_KEEP_UNDO = 1, INPLACE_INTEGRITY_CHECK = 2 };

/* The database after the change. A page with the same hash in `before` and `after` stays as it is. */
struct change {
    uint32_t pages;           /* size after */
    int source;               /* a file with the pages that change, each at its place */
    const struct map *after;  /* hash of each page after */
    const uint64_t *before;   /* before[pgno - 1]: hash of page pgno now */
    uint64_t checksum_before; /* database checksum now */
    uint64_t checksum_after;  /* database checksum after; `before` and `after` must lead from one to the other */
    uint64_t txid_before, txid_after; /* for the note of the undo; 0: not known */
    struct uid database;              /* for the note: id of the replica that has these txids */
    unsigned flags;                   /* enum inplace_flags */
    const atomic_bool *cancel;        /* when it becomes true before step 3 ends: ERR_CANCELED; may be NULL */
};

/* The number of pages that inplace_change would write. */
uint32_t change_count(const struct inplace *ip, const struct change *c);

/* Changes the database. Precondition: inplace_open with INPLACE_CHANGE found INPLACE_READY. An error leaves the
 * database as it was, with one exception: if only the folder can't be synced, the database is changed, and the message
 * says that it is restored. ERR_BUSY, with *ret_mismatch: the pages do not have the hashes of `before`, or the
 * checksums do not fit. ERR_CANCELED, ERR_CONTENT (integrity check), ERR_IO, ERR_NOMEM. */
int inplace_change(struct inplace *ip, const struct change *c, bool *ret_mismatch, struct err *e) MUST_CHECK;

#endif
