/* capture/copy_reader.c */
#include "capture/copy_reader.h"

#include "base/array.h"
#include "base/invariant.h"
#include "base/page.h"
#include "capture/dirty.h"
#include "format/patch.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define RUN_BYTES SCALE(256u << 10, 1024u) /* neighbouring pages are read together, up to so many bytes */

/* One call of copy_read. */
struct reading {
    const struct copy_terms *terms;
    struct copy_cursor *cursor;
    struct capture *capture;
    struct piece *piece; /* that is being filled */
};

/* ---- pages into a piece */

static int add_version(struct piece *p, const struct version *v, struct err *e)
{
    if (array_reserve(&p->versions, &p->version_cap, p->version_count + 1, sizeof *p->versions, e))
        return -1;
    p->versions[p->version_count++] = *v;
    return 0;
}

/* Makes a patch of the image if the changed granules are known and are few. */
static void describe(const struct reading *r, struct version *v)
{
    const struct copy_terms *t = r->terms;
    const struct dirty *dirty = r->capture->dirty;
    uint64_t from = 0, mask = 0;
    if (t->kind != COPY_LEVEL || !dirty || !dirty_since(dirty, v->pgno, v->txid, t->after, &from, &mask) ||
        __builtin_popcountll(mask) > PATCH_GRANULES_WORTH)
        return;
    v->kind = VERSION_PATCH;
    v->from = from;
    v->mask = mask;
}

/* Reads n pages from `first` on into the piece. None of them is a page of zeros. */
static int add_run(const struct reading *r, uint32_t first, uint32_t n, struct err *e)
{
    uint8_t cut[PAGE_SIZE_MAX];
    struct piece *p = r->piece;
    const struct map *map = &r->capture->state->map;
    uint32_t page_size = map->page_size;
    if (buf_reserve(&p->payload, (size_t)n * page_size, e))
        return -1;
    uint8_t *bytes = p->payload.data + p->payload.len;
    if (capture_read_pages(r->capture, first, n, bytes, e))
        return -1;
    for (uint32_t i = 0; i < n; i++) {
        struct map_entry entry = map_get(map, first + i);
        struct version v = {.pgno = first + i, .kind = VERSION_IMAGE, .txid = entry.txid, .hash = entry.hash};
        const uint8_t *page = bytes + (size_t)i * page_size;
        if (entry.hash == 0 && !RULE(base_map))
            v.hash = page_hash(first + i, page, page_size);
        else if (page_hash(first + i, page, page_size) != entry.hash)
            return err_set(e, ERR_CORRUPT, 0, "page %u of the local database is not what the page map says", first + i);
        describe(r, &v);
        if (add_version(p, &v, e))
            return -1;
        if (v.kind == VERSION_PATCH) {
            patch_cut(v.mask, page, page_size, cut);
            page = cut;
        }
        size_t size = version_size(&v, page_size); /* a patch takes less room: what follows moves up */
        if (page != p->payload.data + p->payload.len)
            memmove(p->payload.data + p->payload.len, page, size);
        p->payload.len += size;
    }
    return 0;
}

/* How many pages from `pgno` to `last` can be read together: neighbours that changed after `after` and are not
 * zeros. */
static uint32_t run_length(const struct map *map, uint32_t pgno, uint32_t last, uint64_t after, uint32_t max)
{
    uint32_t run = 0, lock_page = lock_byte_page(map->page_size);
    while (run < max && pgno + run <= last && pgno + run != lock_page && map_get(map, pgno + run).txid > after &&
           (map_get(map, pgno + run).hash != 0 || !RULE(base_map)))
        run++;
    return run;
}

/* Adds the pages of `range` that changed after range->txid, until the piece is full. *ret_next: the first page
 * that was not examined. */
static int add_range(const struct reading *r, const struct page_range *range, uint32_t *ret_next, struct err *e)
{
    struct piece *p = r->piece;
    struct map *map = &r->capture->state->map;
    uint32_t pgno = range->first_page, last = range->last_page < map->pages ? range->last_page : map->pages;
    uint32_t lock_page = lock_byte_page(map->page_size);
    uint32_t run_max = map->page_size < RUN_BYTES ? RUN_BYTES / map->page_size : 1;
    while (pgno <= last && p->payload.len + map->page_size <= PIECE_BYTES &&
           p->version_count < PIECE_BYTES / PAGE_SIZE_MIN) {
        struct map_entry entry = map_get(map, pgno);
        if (pgno == lock_page || entry.txid <= range->txid) {
            pgno = map_next_changed(map, pgno + 1, range->txid);
            continue;
        }
        if (entry.hash == 0 && RULE(base_map)) {
            struct version v = {.pgno = pgno, .kind = VERSION_ZERO, .txid = entry.txid};
            if (add_version(p, &v, e))
                return -1;
            pgno++;
            continue;
        }
        uint32_t room = (uint32_t)((PIECE_BYTES - p->payload.len) / map->page_size);
        uint32_t run = run_length(map, pgno, last, range->txid, room < run_max ? room : run_max);
        if (add_run(r, pgno, run, e))
            return -1;
        pgno += run;
    }
    *ret_next = pgno;
    return 0;
}

static int note_range(struct copy_cursor *c, const struct page_range *range, struct err *e)
{
    if (array_reserve(&c->ranges, &c->range_cap, c->range_count + 1, sizeof *c->ranges, e))
        return -1;
    c->ranges[c->range_count++] = *range;
    return 0;
}

static int by_first_page(const void *a, const void *b)
{
    uint32_t x = ((const struct page_range *)a)->first_page, y = ((const struct page_range *)b)->first_page;
    return (x > y) - (x < y);
}

/* Adds the pages that changed after their range was read, as far as they fit. *ret_complete: the copy is complete. */
static int add_changed_again(const struct reading *reading, bool *ret_complete, struct err *e)
{
    struct copy_cursor *c = reading->cursor;
    const struct capture *capture = reading->capture;
    *ret_complete = false;
    if (c->range_count > 0)
        qsort(c->ranges, c->range_count, sizeof *c->ranges, by_first_page);
    for (size_t i = 0; i < c->range_count; i++) {
        struct page_range *r = &c->ranges[i];
        uint32_t next = 0, last = r->last_page < capture->state->map.pages ? r->last_page : capture->state->map.pages;
        if (add_range(reading, r, &next, e))
            return -1;
        if (next <= last) { /* the piece is full within the range: the rest of the range keeps its txid */
            struct page_range rest = {.first_page = next, .last_page = r->last_page, .txid = r->txid};
            r->last_page = next - 1;
            r->txid = capture->txid;
            return note_range(c, &rest, e);
        }
        r->txid = capture->txid;
    }
    *ret_complete = true;
    return 0;
}

static int read_catch_up(const struct reading *r, struct err *e)
{
    struct copy_cursor *c = r->cursor;
    struct piece *p = r->piece;
    uint32_t pages = r->capture->state->map.pages, next = c->next_page;
    bool complete = false;
    if (c->next_page <= pages) {
        struct page_range range = {.first_page = c->next_page, .last_page = pages, .txid = r->terms->after};
        if (add_range(r, &range, &next, e))
            return -1;
        range.last_page = next - 1;
        range.txid = r->capture->txid;
        if (next > c->next_page && note_range(c, &range, e))
            return -1;
        c->next_page = next;
    }
    if (c->next_page <= pages)
        return 0;
    if (c->range_count > 1 && p->version_count > 0)
        return 0; /* pages that changed again need another piece, because page numbers ascend within a piece */
    if (add_changed_again(r, &complete, e))
        return -1;
    p->last = complete;
    c->read_all = complete;
    return 0;
}

static int read_base(const struct reading *r, struct err *e)
{
    const struct copy_terms *t = r->terms;
    struct copy_cursor *c = r->cursor;
    struct piece *p = r->piece;
    const struct page_range range = {.first_page = c->next_page, .last_page = t->end_page, .txid = 0};
    uint32_t next = c->next_page;
    p->first_page = c->next_page;
    if (add_range(r, &range, &next, e))
        return -1;
    bool shrunk = next > r->capture->state->map.pages; /* the database shrank: there are no pages beyond */
    p->last_page = shrunk || next > t->end_page ? t->end_page : next - 1;
    c->next_page = p->last_page + 1;
    c->read_all = c->next_page > t->end_page;
    return 0;
}

int copy_read(const struct copy_terms *terms, struct copy_cursor *cursor, struct capture *capture,
              struct piece **ret_piece, struct err *e)
{
    assert(terms->kind != COPY_NONE && !cursor->read_all);
    INVARIANT(capture->proven, "pages are copied by a map that is not proven");
    if (terms->page_size != capture->state->map.page_size) { /* it could change back before the copy is used */
        cursor->failed = true;
        return 0;
    }
    struct piece *p = calloc(1, sizeof *p);
    if (!p)
        return err_nomem(e, sizeof *p);
    p->payload = BUF_INIT(PIECE_BYTES);
    p->index = cursor->pieces;
    p->record = capture_record(capture);
    p->page_size = capture->state->map.page_size;
    int rc = buf_reserve(&p->payload, PIECE_BYTES, e); /* at once: memory that is not written to costs nothing */
    const struct reading r = {.terms = terms, .cursor = cursor, .capture = capture, .piece = p};
    if (rc == 0)
        rc = terms->kind == COPY_BASE ? read_base(&r, e) : read_catch_up(&r, e);
    if (rc) {
        /* A range may count as read although no piece has it. Only a base reads the same range again. */
        cursor->failed = terms->kind != COPY_BASE;
        piece_free(p);
        return err_wrap(e, "copy pages");
    }
    if (terms->kind != COPY_BASE) {
        p->first_page = p->version_count ? p->versions[0].pgno : 0;
        p->last_page = p->version_count ? p->versions[p->version_count - 1].pgno : 0;
    }
    cursor->pieces++;
    *ret_piece = p;
    return 0;
}
