/* follow/check.c */
#include "follow/check.h"

#include "base/clock.h"
#include "base/page.h"
#include "follow/page1.h"
#include "replica/plan.h"

#include <stdlib.h>

int check_position(const struct mirror *copy, struct note *note, bool *ret_settled, struct err *e)
{
    struct mirror_stamp stamp;
    struct wal_pos pos = mirror_pos(copy);
    *ret_settled = false;
    if (mirror_stamp(copy, &stamp, e))
        return -1;
    if (note->now.txid == 0 || note->boot == 0 || note->boot != clock_boot_id())
        return 0;
    if (!mirror_stamp_equal(&stamp, &note->stamp) && !(note->checkpointing && stamp.inode == note->stamp.inode))
        return 0;
    if (pos.frame == 0 && (!note->copied || note->next.txid > 0 || note->checkpointing))
        return 0;
    if (pos.frame > 0 && note->next.txid > 0 && wal_pos_equal(&pos, &note->next.pos)) {
        note->now = note->next;
        note->copied = false;
    } else if (pos.frame > 0 && !wal_pos_equal(&pos, &note->now.pos)) {
        return 0;
    }
    note->next = (struct note_point){.txid = 0};
    *ret_settled = true;
    return 0;
}

/* ---- by all pages */

int check_read(struct mirror *copy, const atomic_bool *cancel, struct check_pages *ret, struct err *e)
{
    uint32_t pages = copy->header.db_pages, page_size = copy->header.page_size;
    uint8_t *page = malloc(PAGE_SIZE_MAX);
    *ret = (struct check_pages){.pages = pages, .page_size = page_size};
    ret->hashes = calloc((size_t)pages + 1, sizeof *ret->hashes);
    ret->page1 = calloc(1, PAGE_SIZE_MAX);
    int rc = page && ret->hashes && ret->page1 ? mirror_read(copy, 1, ret->page1, e)
                                               : err_nomem(e, ((size_t)pages + 1) * sizeof *ret->hashes);
    for (uint32_t pgno = 2; rc == 0 && pgno <= pages; pgno++) {
        if (cancel && atomic_load(cancel))
            rc = err_set(e, ERR_CANCELED, 0, "interrupted");
        else
            rc = mirror_read(copy, pgno, page, e);
        if (rc == 0 && pgno != lock_byte_page(page_size))
            ret->hashes[pgno - 1] = page_hash(pgno, page, page_size);
        ret->rest ^= ret->hashes[pgno - 1];
    }
    free(page);
    return rc;
}

void check_release(struct check_pages *p)
{
    free(p->hashes);
    free(p->page1);
    *p = (struct check_pages){.pages = 0};
}

uint64_t check_checksum(struct check_pages *p, const struct page1_kept *kept)
{
    const struct page1_kept own = page1_keep(p->page1);
    page1_to_replica(p->page1, kept);
    p->hashes[0] = page_hash(1, p->page1, p->page_size);
    page1_to_replica(p->page1, &own);
    return p->rest ^ p->hashes[0];
}

bool check_is(struct check_pages *p, const struct note_point *point)
{
    return point->txid > 0 && point->pages == p->pages && point->page_size == p->page_size &&
           check_checksum(p, &point->page1) == point->checksum;
}

/* The ways in which page 1 of the replica can differ from that of the copy: with the cookie that is shifted or not, and with
 * the version numbers of WAL mode or of a rollback mode. */
#define VARIANTS 4

static struct page1_kept variant(const struct check_pages *p, uint32_t cookie_shift, unsigned number)
{
    struct page1_kept k = page1_keep(p->page1);
    if (number & 1)
        k.bytes[0] = k.bytes[1] = 1;
    if (number & 2)
        put_be32(k.bytes + 2, page1_cookie(&k) - cookie_shift);
    return k;
}

static bool fits_record(struct check_pages *p, const struct commit_record *record, const struct note_point *like,
                        struct note_point *ret_point)
{
    for (unsigned i = 0; record->pages == p->pages && i < VARIANTS; i++) {
        const struct page1_kept kept = variant(p, like->cookie_shift, i);
        if (check_checksum(p, &kept) != record->checksum)
            continue;
        *ret_point = (struct note_point){.txid = record->txid,
                                         .time_ms = record->time_ms,
                                         .checksum = record->checksum,
                                         .pages = record->pages,
                                         .page_size = p->page_size,
                                         .page1 = kept,
                                         .cookie_shift = i & 2 ? like->cookie_shift : 0};
        return true;
    }
    return false;
}

bool check_fits(struct check_pages *p, struct note_point *point)
{
    const struct commit_record record = {
        .txid = point->txid, .time_ms = point->time_ms, .checksum = point->checksum, .pages = point->pages};
    const struct note_point like = *point;
    return point->txid > 0 && point->page_size == p->page_size && fits_record(p, &record, &like, point);
}

int check_search(struct catalog *c, struct check_pages *p, const struct note_point *like, struct note_point *ret_point,
                 struct err *e)
{
    *ret_point = (struct note_point){.txid = 0};
    for (size_t i = catalog_segment_count(c); i > 0; i--) {
        struct catalog_object *o = catalog_segment(c, i - 1);
        if (catalog_load(c, o, e)) {
            if (plan_must_stop(e))
                return -1;
            continue;
        }
        const struct segment *s = o->segment;
        for (uint32_t k = s->trailer.record_count; s->trailer.info.page_size == p->page_size && k > 0; k--)
            if (s->records[k - 1].txid > ret_point->txid)
                fits_record(p, &s->records[k - 1], like, ret_point);
        catalog_spare(c, o);
    }
    return 0;
}
