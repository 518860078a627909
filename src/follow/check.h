/* follow/check.h - which state of the replica a copy is, and whether another process wrote to it.
 *
 * The position in the log says it, if the note has that position, the database file is as the last checkpoint left it, and the
 * machine has not started since. A log without frames says it only if all of it had been copied back. Otherwise every page is
 * read: after a power cut, or when another process copied the log back. A copy that is not a state of
 * the replica was written by another process. */
#ifndef SEAWALL_FOLLOW_CHECK_H
#define SEAWALL_FOLLOW_CHECK_H

#include "follow/note.h"
#include "replica/catalog.h"

/* Settles note->now by the position alone, and clears note->next. False: it does not say. ERR_CONFLICT: the file is gone. */
int check_position(const struct mirror *copy, struct note *note, bool *ret_settled, struct err *e) MUST_CHECK;

/* All pages of a copy. */
struct check_pages {
    uint32_t pages, page_size;
    uint64_t rest;    /* XOR of the hashes of all pages but the first */
    uint64_t *hashes; /* owned, of page pgno: hashes[pgno - 1]; that of page 1 is 0 */
    uint8_t *page1;   /* owned: as the copy has it */
};

/* Reads every page. The caller releases *ret, also after an error. ERR_CANCELED, ERR_SQLITE, ERR_NOMEM. */
int check_read(struct mirror *copy, const atomic_bool *cancel, struct check_pages *ret, struct err *e) MUST_CHECK;
void check_release(struct check_pages *p);

/* The database checksum of the replica, if it has these bytes in page 1; hashes[0] becomes the hash of page 1. */
uint64_t check_checksum(struct check_pages *p, const struct page1_kept *kept);

/* Whether the pages are the state of a point. */
bool check_is(struct check_pages *p, const struct note_point *point);

/* The same for a point of which neither position nor bytes of page 1 are known. Sets these bytes if it is. */
bool check_fits(struct check_pages *p, struct note_point *point);

/* Looks for the pages among the states of the replica that have a record, the newest first. `like`: has bytes of page 1, and
 * the shift. *ret_point has txid 0 if they are none of them. Errors: those of catalog_load that are not about one object. */
int check_search(struct catalog *c, struct check_pages *p, const struct note_point *like, struct note_point *ret_point,
                 struct err *e) MUST_CHECK;

#endif
