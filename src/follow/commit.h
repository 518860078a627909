/* follow/commit.h - one publication of the copy, with its note: the pages of a new state, and the proof that they are that
 * state.
 *
 *   commit_begin, then commit_page for each page that may differ, then commit_end
 *
 * The database checksum of the copy is counted along: the hash of each page that is replaced or cut off goes out, that of
 * each new page comes in. In the end it must be the checksum in the commit record. So no state is published that is not the
 * one of the replica, page by page. The note gets the new state as `next` before the last frame is written. */
#ifndef SEAWALL_FOLLOW_COMMIT_H
#define SEAWALL_FOLLOW_COMMIT_H

#include "follow/note.h"

struct commit {
    struct mirror *copy; /* borrowed, all three */
    struct note *note;
    struct note_file *file;
    struct note_point next;
    bool whole; /* every page comes: nothing of the old state counts */
    bool raise;
    uint64_t checksum;
    uint64_t written; /* frames */
    uint8_t *old;     /* owned: room for a page */
};

/* Begins the change to `next`: txid, time_ms, checksum, pages, page_size and head are set. `whole`: every page of the state
 * comes in commit_page; another page size needs that. `raise`: the schema may be another without another cookie (page1.h). The caller ends it with commit_end or
 * commit_abandon. Errors: those of mirror_begin; then nothing has begun. ERR_CONFLICT also: the log has no frames, and the
 * database file is not as the last checkpoint left it. */
struct commit_terms {
    const struct note_point *next;
    bool whole, raise;
};
int commit_begin(struct commit *c, const struct commit_terms *terms, struct err *e) MUST_CHECK;

/* Reads a page of the replica, as the copy has it so far, and hashes it. The page has room for a page of the copy.
 * Precondition: the publication keeps the page size. ERR_SQLITE. */
int commit_read(struct commit *c, uint32_t pgno, uint8_t *page, uint64_t *ret_hash, struct err *e) MUST_CHECK;

/* Makes this page of the replica one of the state. `page` is changed. `old_hash`: of the page before, as commit_read gave it;
 * with `whole` it does not count. ERR_SQLITE. */
struct commit_version {
    uint32_t pgno;
    uint64_t hash, old_hash;
    uint8_t *page;
};
int commit_page(struct commit *c, const struct commit_version *v, struct err *e) MUST_CHECK;

/* Checks the state, and publishes it. ERR_CORRUPT: the pages are not the state of the record; nothing was published.
 * ERR_SQLITE, ERR_IO: it was not published, unless a recovery finds it. */
int commit_end(struct commit *c, struct err *e) MUST_CHECK;
void commit_abandon(struct commit *c); /* after commit_end it does nothing */

/* Reads a page of the replica out of the copy, without a publication. `point`: what the copy is. ERR_SQLITE. */
int commit_read_page(struct mirror *copy, const struct note_point *point, uint32_t pgno, uint8_t *page,
                     uint64_t *ret_hash, struct err *e) MUST_CHECK;

/* Copies the log back into the database file, as far as readers permit, and notes the stamp of the file, also after an error.
 * If the log is long (mirror_is_long), waits for them.
 * No publication may be under way. ERR_CONFLICT: another process changed the database file since. ERR_SQLITE, ERR_IO. */
int commit_copy_back(struct mirror *mirror, struct note *note, struct note_file *file, struct err *e) MUST_CHECK;

#endif
