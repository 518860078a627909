/* follow/mirror.h - the copy of a database that is kept fresh for other programs, which read it with stock SQLite.
 *
 * The copy is a database in WAL mode. A publication is one transaction: its frames go into the -wal, behind the committed
 * ones, and the wal-index says that they count. SQLite's own commit does the same steps under the same locks, so a read
 * transaction of any program sees one state from its begin to its end, and waits for nothing. A process that dies before
 * the last step leaves frames that do not count, or that SQLite's recovery finds whole.
 *
 * All files are read and written through the handles of one connection of SQLite, which stays open: no descriptor of our
 * own is ever opened, whose close would cost the process its POSIX locks.
 *
 * The page size of the database can change in a publication that writes every page.
 *
 * Only one process publishes: the owner of the note (note.h). That nobody else writes is checked before each
 * publication: the wal-index must be as we left it. One thread only. */
#ifndef SEAWALL_FOLLOW_MIRROR_H
#define SEAWALL_FOLLOW_MIRROR_H

#include "base/folder.h"
#include "base/trial.h"
#include "wal/index.h"

#include <sqlite3.h>
#include <stdatomic.h>

struct mirror {
    char path[PATH_TEXT_MAX];
    struct folder folder; /* of `path` */
    mode_t mode;          /* of an ordinary database at this path; the copy has it without permission to write */
    sqlite3 *db;
    sqlite3_file *file, *wal; /* of SQLite */
    uint8_t **blocks;         /* owned list of mapped blocks of the wal-index */
    uint32_t block_count;
    struct wal_index_header header; /* as we left it; db_pages and page_size are set even if the log has no frames */
    uint32_t checkpoint_seq;
    uint32_t waited_at; /* mx_frame when a publication last waited for readers */
    uint64_t inodes[3]; /* of the database file, the -wal and the -shm that are open; 0: not known */

    /* the publication under way */
    bool writing;       /* WAL_WRITE_LOCK is held */
    uint32_t last;      /* the newest frame of it, or header.mx_frame */
    uint32_t page_size; /* of it */
    struct wal_sum sum; /* of the frame before the last one */
    bool held;          /* the last frame is in `frame`, and not in the -wal yet */
    uint32_t held_pgno;
    struct wal_pos sealed; /* after mirror_seal */
    uint32_t sealed_pages;
    uint8_t *frame; /* owned: a frame of the largest size */
};

#define MIRROR_NONE ((struct mirror){.folder = FOLDER_NONE})

/* Opens the copy at `path`. Takes away the permission to write it. The caller closes it. ERR_CONFIG: it is not a database
 * in WAL mode, or its files are not regular. ERR_SQLITE, ERR_BUSY, ERR_IO, ERR_NOMEM. */
int mirror_open(struct mirror *c, const char *path, mode_t mode, struct err *e) MUST_CHECK;
void mirror_close(struct mirror *c); /* leaves the -wal in place. MIRROR_NONE is fine */

/* Reads what is committed now into c->header, with a recovery by SQLite if it is needed. What another process wrote is taken
 * as it is. ERR_SQLITE, ERR_BUSY. */
int mirror_look(struct mirror *c, struct err *e) MUST_CHECK;

/* Whether the log is as we left it: nobody else wrote, emptied or recovered it. A few loads, no system call. */
bool mirror_is_ours(const struct mirror *c);

/* Checks that the files that are open are still at their paths. ERR_GONE: one was removed or replaced. ERR_IO. */
int mirror_in_place(const struct mirror *c, struct err *e) MUST_CHECK;

/* The position that c->header names. That of a log without frames is zeros. */
struct wal_pos mirror_pos(const struct mirror *c);

/* Size and time of the database file, and which file it is. */
struct mirror_stamp {
    uint64_t inode, size;
    int64_t mtime_ns;
};
int mirror_stamp(const struct mirror *c, struct mirror_stamp *ret_stamp, struct err *e) MUST_CHECK;
bool mirror_stamp_equal(const struct mirror_stamp *a, const struct mirror_stamp *b);

/* ---- a publication: begin, any number of write and read, then seal and publish, or abandon */

/* Begins a publication with pages of this size. If the whole log was copied into the database, and no reader needs it, the
 * log starts again from its first frame. Another page size than before needs that.
 * ERR_CONFLICT: another process wrote to the copy since. ERR_GONE: see mirror_in_place. ERR_BUSY: another process holds the lock of writers, or readers keep
 * the log from starting again, which another page size needs. ERR_SQLITE, ERR_NOMEM. After an error nothing is held. */
int mirror_begin(struct mirror *c, uint32_t page_size, struct err *e) MUST_CHECK;

/* Reads a page as the publication has it so far: what it wrote, or what was committed. A page beyond the end of the committed
 * database is zeros. Without a publication, reads what is committed. */
int mirror_read(struct mirror *c, uint32_t pgno, uint8_t *page, struct err *e) MUST_CHECK;

/* Adds a page. A later write of the same page replaces it. ERR_SQLITE (also: the disk is full), ERR_NOMEM. */
int mirror_write(struct mirror *c, uint32_t pgno, const uint8_t *page, struct err *e) MUST_CHECK;

/* Decides how the publication ends: with a database of `pages` pages. c->sealed is the position after it. The last frame is
 * not written yet, so nothing counts. Precondition: a page was written. */
void mirror_seal(struct mirror *c, uint32_t pages);

/* Writes the last frame, and publishes. From now on readers see it. ERR_SQLITE: nothing was published, and the log may
 * have the transaction all the same: a recovery would find it. */
int mirror_publish(struct mirror *c, struct err *e) MUST_CHECK;

/* Ends a publication that was not published. Does nothing if none is under way. */
void mirror_abandon(struct mirror *c);

/* ---- the log */

#define MIRROR_LOG_FRAMES SCALE(1000, 25) /* from this length on it is copied back */

enum mirror_checkpoint {
    MIRROR_PASSIVE, /* as far as readers permit */
    MIRROR_PATIENT, /* repeats that for up to 2 s, until everything is copied; nothing is published meanwhile, so the read
                       transactions that keep frames in the log end. From then on new ones need no frame of it */
    MIRROR_WHOLE,   /* waits for readers a moment, and empties the -wal */
};
/* Whether the log is so long that a publication is worth waiting for readers: it starts again then. */
bool mirror_is_long(const struct mirror *c);

/* Copies the log into the database file. *ret_all: all of it was copied. ERR_SQLITE. */
int mirror_checkpoint(struct mirror *c, enum mirror_checkpoint kind, bool *ret_all, struct err *e) MUST_CHECK;

/* Gives back the permission to write. ERR_IO. */
int mirror_permit_writing(const struct mirror *c, struct err *e) MUST_CHECK;

/* Takes it away again. ERR_IO. */
int mirror_forbid_writing(const struct mirror *c, struct err *e) MUST_CHECK;

/* Makes the copy an ordinary database: empties the log as far as readers permit, and gives back the permission to write.
 * It stays open. ERR_IO, ERR_SQLITE. */
int mirror_make_ordinary(struct mirror *c, struct err *e) MUST_CHECK;

#endif
