/* capture/copy_reader.c */
#include "capture/copy_reader.h"

#include "base/array.h"
#include "base/page.h"
#include "capture/dirty.h"
#include "format/patch.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define RUN_BYTES SCALE(256u << 10, 1024u) /* neighbouring pages are read together */

/* ---- pages into a piece */

static int add_version(struct piece *p, const struct version *v, struct err *e)
{
    if (array_reserve(&p->versions, &p->version_cap, p->version_count + 1, sizeof *p->versions, e))
        return -1;
    p->versions[p->version_count++] = *v;
    return 0;
}

/* A patch in place of the image, where what changed is known and is worth it. */
static void describe(const struct copy_terms *t, const struct capture *capture, struct version *v)
{
    uint64_t from = 0, mask = 0;
    if (t->kind != COPY_LEVEL || !capture->dirty ||
        !dirty_since(capture->dirty, v->pgno, v->txid, t->after, &from, &mask) ||
        __builtin_popcountll(mask) > PATCH_GRANULES_WORTH)
        return;
    v->kind = VERSION_PATCH;
    v->from = from;
    v->mask = mask;
}

/* Reads pages first..first+n-1, which all have a hash, into the piece. */
static int add_run(const struct copy_terms *t, struct piece *p, struct capture *capture, uint32_t first, uint32_t n,
                   struct err *e)
{
    uint8_t cut[PAGE_SIZE_MAX];
    const struct map *map = &capture->state->map;
    uint32_t page_size = map->page_size;
    if (buf_reserve(&p->payload, (size_t)n * page_size, e))
        return -1;
    uint8_t *bytes = p->payload.data + p->payload.len;
    if (capture_read_pages(capture, first, n, bytes, e))
        return -1;
    for (uint32_t i = 0; i < n; i++) {
        struct map_entry entry = map_get(map, first + i);
        struct version v = {.pgno = first + i, .kind = VERSION_IMAGE, .txid = entry.txid, .hash = entry.hash};
        const uint8_t *page = bytes + (size_t)i * page_size;
        if (entry.hash == 0 && !RULE(base_map))
            v.hash = page_hash(first + i, page, page_size);
        else if (page_hash(first + i, page, page_size) != entry.hash)
            return err_set(e, ERR_CORRUPT, 0, "page %u of the local database is not what the page map says", first + i);
        describe(t, capture, &v);
        if (add_version(p, &v, e))
            return -1;
        if (v.kind == VERSION_PATCH) {
            patch_cut(v.mask, page, page_size, cut);
            page = cut;
        }
        size_t size = version_size(&v, page_size); /* patches take less room: what follows moves up */
        memmove(p->payload.data + p->payload.len, page, size);
        p->payload.len += size;
    }
    return 0;
}

/* Adds what changed after `after` of pages first..last, until the piece is full. *ret_next: the first page not looked at. */
static int add_range(const struct copy_terms *t, struct piece *p, struct capture *capture, uint32_t first,
                     uint32_t last, uint64_t after, uint32_t *ret_next, struct err *e)
{
    const struct map *map = &capture->state->map;
    uint32_t pgno = first, lock_page = lock_byte_page(map->page_size), run_max = RUN_BYTES / map->page_size;
    if (run_max == 0)
        run_max = 1;
    if (last > map->pages)
        last = map->pages;
    while (pgno <= last && p->payload.len + map->page_size <= PIECE_BYTES &&
           p->version_count < PIECE_BYTES / PAGE_SIZE_MIN) {
        struct map_entry entry = map_get(map, pgno);
        uint32_t run = 0;
        if (pgno == lock_page || entry.txid <= after) {
            pgno = map_next_changed(&capture->state->map, pgno + 1, after);
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
        uint32_t max = room < run_max ? room : run_max;
        while (run < max && pgno + run <= last && pgno + run != lock_page && map_get(map, pgno + run).txid > after &&
               (map_get(map, pgno + run).hash != 0 || !RULE(base_map)))
            run++;
        if (add_run(t, p, capture, pgno, run, e))
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

/* Adds the pages that changed since their range was read, as far as they fit. *ret_complete: nothing is missing now. */
static int add_changed_again(const struct copy_terms *t, struct copy_cursor *c, struct piece *p,
                             struct capture *capture, bool *ret_complete, struct err *e)
{
    *ret_complete = false;
    if (c->range_count > 0)
        qsort(c->ranges, c->range_count, sizeof *c->ranges, by_first_page);
    for (size_t i = 0; i < c->range_count; i++) {
        struct page_range *r = &c->ranges[i];
        uint32_t next = 0, last = r->last_page < capture->state->map.pages ? r->last_page : capture->state->map.pages;
        if (add_range(t, p, capture, r->first_page, r->last_page, r->txid, &next, e))
            return -1;
        if (next <= last) { /* full in the middle of the range: split it, the rest keeps its older txid */
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

static int read_catch_up(const struct copy_terms *t, struct copy_cursor *c, struct piece *p, struct capture *capture,
                         struct err *e)
{
    uint32_t pages = capture->state->map.pages, next = c->next_page;
    bool complete = false;
    if (c->next_page <= pages) {
        struct page_range read = {.first_page = c->next_page, .txid = capture->txid};
        if (add_range(t, p, capture, c->next_page, pages, t->after, &next, e))
            return -1;
        read.last_page = next - 1;
        if (next > c->next_page && note_range(c, &read, e))
            return -1;
        c->next_page = next;
    }
    if (c->next_page <= pages)
        return 0;
    if (c->range_count > 1 && p->version_count > 0)
        return 0; /* pages that changed again need a piece of their own: pages ascend within a piece */
    if (add_changed_again(t, c, p, capture, &complete, e))
        return -1;
    p->last = complete;
    c->read_all = complete;
    return 0;
}

static int read_base(const struct copy_terms *t, struct copy_cursor *c, struct piece *p, struct capture *capture,
                     struct err *e)
{
    uint32_t next = c->next_page;
    p->first_page = c->next_page;
    if (add_range(t, p, capture, c->next_page, t->end_page, 0, &next, e))
        return -1;
    bool shrunk = next > capture->state->map.pages; /* the pages beyond are gone */
    p->last_page = shrunk || next > t->end_page ? t->end_page : next - 1;
    c->next_page = p->last_page + 1;
    c->read_all = c->next_page > t->end_page;
    return 0;
}

int copy_read(const struct copy_terms *terms, struct copy_cursor *cursor, struct capture *capture,
              struct piece **ret_piece, struct err *e)
{
    assert(terms->kind != COPY_NONE && !cursor->read_all && capture->proven);
    if (terms->page_size != capture->state->map.page_size) { /* and may change back before anybody looks */
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
    int rc = buf_reserve(&p->payload, PIECE_BYTES, e); /* at once; memory that is not written to costs nothing */
    if (rc == 0)
        rc = terms->kind == COPY_BASE ? read_base(terms, cursor, p, capture, e)
                                      : read_catch_up(terms, cursor, p, capture, e);
    if (rc) {
        /* Ranges may count as read that are in no piece. A base asks for the same range again. */
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
