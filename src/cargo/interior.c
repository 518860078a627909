/* cargo/interior.c */
#include "cargo/interior.h"

#include "base/array.h"
#include "base/btree.h"
#include "base/claim.h"
#include "base/page.h"
#include "base/search.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAP 16
#define SCHEMA_SHARE 4 /* the pages below page 1 may take so much of the room: one in ... */

/* ---- one page */

bool interior_children(uint32_t pgno, const uint8_t *page, uint32_t page_size, uint32_t ret_children[2])
{
    const size_t at = btree_header_at(pgno), content = btree_content_at(page, at);
    const unsigned cells = btree_cells(page, at);
    const size_t end = at + BTREE_HEADER_BYTES + 2 * (size_t)cells;
    if (page[at] != BTREE_INDEX_INTERIOR && page[at] != BTREE_TABLE_INTERIOR)
        return false;
    if (cells == 0 || end > content || content > page_size)
        return false;
    const size_t first = btree_cell_at(page, page_size, at, 0);
    if (first < content)
        return false;
    ret_children[0] = get_be32(page + first);
    ret_children[1] = btree_last_child(page, at);
    return ret_children[0] > 1 && ret_children[1] > 1 && ret_children[0] <= SEGMENT_PAGE_MAX &&
           ret_children[1] <= SEGMENT_PAGE_MAX;
}

/* ---- memory
 *
 * It is claimed (base/claim.h), and never so that more than half of the budget is taken: what is read from replicas needs
 * it more. */

static int charge(struct interior *in, size_t bytes, struct err *e)
{
    if (claim_take(bytes, e))
        return -1;
    in->charged += bytes;
    return claim_is_tight() ? err_set(e, ERR_CLAIM, 0, "interior pages would take memory that others may need") : 0;
}

static void free_page(struct interior *in, const struct interior_page *page)
{
    free(page->bytes);
    claim_give(in->page_size);
    in->charged -= in->page_size;
}

/* As array_reserve. */
static int reserve(struct interior *in, void *array, size_t *cap, size_t needed, size_t element_bytes, struct err *e)
{
    size_t room = *cap ? *cap : FIRST_CAP;
    if (needed <= *cap)
        return 0;
    while (room < needed)
        room *= 2;
    return charge(in, (room - *cap) * element_bytes, e) ? -1 : array_reserve(array, cap, room, element_bytes, e);
}

/* ---- life */

static void drop_all(struct interior *in)
{
    claim_give(in->charged);
    for (size_t i = 0; i < in->count; i++)
        free(in->pages[i].bytes);
    free(in->pages);
    free(in->noted);
    free(in->schema);
    *in = (struct interior){.closed = true};
}

void interior_free(struct interior *in)
{
    if (in)
        drop_all(in);
    free(in);
}

/* ---- heights */

struct noted_query {
    const struct interior_height *noted;
    uint32_t pgno;
};

static bool noted_is_not_before(const void *context, size_t index)
{
    const struct noted_query *q = context;
    return q->noted[index].pgno >= q->pgno;
}

static size_t noted_place(const struct interior *in, uint32_t pgno)
{
    const struct noted_query q = {in->noted, pgno};
    return search_first(in->noted_count, noted_is_not_before, &q);
}

static struct interior_height *noted(const struct interior *in, uint32_t pgno)
{
    const size_t at = noted_place(in, pgno);
    return at < in->noted_count && in->noted[at].pgno == pgno ? &in->noted[at] : NULL;
}

/* A page that was read, and was not noted as an interior one, is a leaf. */
static unsigned height_above(const struct interior *in, const uint32_t children[2])
{
    for (unsigned i = 0; i < 2; i++) {
        const struct interior_height *child = noted(in, children[i]);
        if (child && child->height < INTERIOR_HEIGHT_UNKNOWN - 1)
            return child->height + 1;
        if (!child && children[i] >= in->read_from && children[i] <= in->read_upto)
            return 1;
    }
    return INTERIOR_HEIGHT_UNKNOWN;
}

static int note(struct interior *in, uint32_t pgno, unsigned height, struct err *e)
{
    if (in->noted_count == INTERIOR_NOTED_MAX)
        return 0;
    if (reserve(in, &in->noted, &in->noted_cap, in->noted_count + 1, sizeof *in->noted, e))
        return -1;
    const size_t at = noted_place(in, pgno);
    memmove(&in->noted[at + 1], &in->noted[at], (in->noted_count - at) * sizeof *in->noted);
    in->noted[at] = (struct interior_height){pgno, height};
    in->noted_count++;
    return 0;
}

/* Finds heights that were not known. Most children of these pages come after them, so the last page is first. */
static void find_heights(struct interior *in)
{
    for (size_t i = in->count; i-- > 0;) {
        struct interior_page *p = &in->pages[i];
        if (p->height != INTERIOR_HEIGHT_UNKNOWN)
            continue;
        p->height = height_above(in, p->children);
        struct interior_height *n = noted(in, p->version.pgno);
        if (n)
            n->height = p->height;
    }
}

/* ---- what stays */

/* Leaves the lowest pages out. What comes later and is as low is not kept either. */
static void raise_floor(struct interior *in)
{
    size_t kept = 0;
    find_heights(in);
    in->floor = INTERIOR_HEIGHT_SCHEMA;
    for (size_t i = 0; i < in->count; i++)
        in->floor = in->pages[i].height < in->floor ? in->pages[i].height : in->floor;
    for (size_t i = 0; i < in->count; i++) {
        if (in->pages[i].height > in->floor)
            in->pages[kept++] = in->pages[i];
        else
            free_page(in, &in->pages[i]);
    }
    in->count = kept;
}

static int keep(struct interior *in, const struct interior_page *page, const uint8_t *bytes, struct err *e)
{
    size_t at = in->count;
    if (page->height <= in->floor)
        return 0;
    if (reserve(in, &in->pages, &in->cap, in->count + 1, sizeof *in->pages, e) || charge(in, in->page_size, e))
        return -1;
    uint8_t *copy = malloc(in->page_size);
    if (!copy)
        return err_nomem(e, in->page_size);
    memcpy(copy, bytes, in->page_size);
    while (at > 0 && in->pages[at - 1].version.pgno > page->version.pgno)
        at--;
    memmove(&in->pages[at + 1], &in->pages[at], (in->count - at) * sizeof *in->pages);
    in->pages[at] = *page;
    in->pages[at].bytes = copy;
    in->count++;
    while (in->count * in->page_size > INTERIOR_BYTES_MAX)
        raise_floor(in);
    return 0;
}

static int compare_pgnos(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Notes the children of an interior page of sqlite_schema. */
static int note_schema(struct interior *in, uint32_t pgno, const uint8_t *page, struct err *e)
{
    const size_t at = btree_header_at(pgno), cells = btree_cells(page, at);
    const size_t max = INTERIOR_BYTES_MAX / SCHEMA_SHARE / in->page_size;
    const size_t room = max > in->schema_count ? max - in->schema_count : 0,
                 count = cells + 1 < room ? cells + 1 : room;
    if (reserve(in, &in->schema, &in->schema_cap, in->schema_count + count, sizeof *in->schema, e))
        return -1;
    for (size_t i = 0; i < count; i++) {
        const size_t cell = i < cells ? btree_cell_at(page, in->page_size, at, (unsigned)i) : 0;
        if (i == cells || cell > 0)
            in->schema[in->schema_count++] = i == cells ? btree_last_child(page, at) : get_be32(page + cell);
    }
    qsort(in->schema, in->schema_count, sizeof *in->schema, compare_pgnos);
    return 0;
}

static bool is_of_schema(const struct interior *in, uint32_t pgno)
{
    return pgno == 1 || (in->schema_count > 0 &&
                         bsearch(&pgno, in->schema, in->schema_count, sizeof *in->schema, compare_pgnos) != NULL);
}

static int take_page(struct interior *in, const struct version *v, const uint8_t *bytes, struct err *e)
{
    struct interior_page page = {.version = *v};
    const bool interior = interior_children(v->pgno, bytes, in->page_size, page.children);
    const bool schema = is_of_schema(in, v->pgno);
    if (!interior && !schema)
        return 0;
    page.height = schema ? INTERIOR_HEIGHT_SCHEMA : height_above(in, page.children);
    if (interior && schema && note_schema(in, v->pgno, bytes, e))
        return -1;
    if (interior && !schema && note(in, v->pgno, page.height, e))
        return -1;
    return keep(in, &page, bytes, e);
}

/* An encrypted database has no header, or nothing behind it that a page could begin with. */
static bool is_readable(const uint8_t *page1)
{
    const uint8_t type = page1[btree_header_at(1)];
    return sqlite_file_has_magic(page1, SQLITE_FILE_MAGIC_BYTES) &&
           (type == BTREE_TABLE_INTERIOR || type == BTREE_TABLE_LEAF);
}

static int take(struct interior *in, const struct piece *piece, struct err *e)
{
    const uint8_t *bytes = piece->payload.data;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < piece->version_count; i++) {
        const struct version *v = &piece->versions[i];
        if (v->pgno == 1 && (v->kind != VERSION_IMAGE || !is_readable(bytes))) {
            drop_all(in);
            return 0;
        }
        if (v->kind == VERSION_IMAGE)
            rc = take_page(in, v, bytes, e);
        bytes += version_size(v, piece->page_size);
        in->read_from = in->read_from == 0 || v->pgno < in->read_from ? v->pgno : in->read_from;
        in->read_upto = v->pgno > in->read_upto ? v->pgno : in->read_upto;
    }
    return rc;
}

void interior_take(struct interior **in, const struct piece *piece)
{
    struct err e;
    if (!*in)
        *in = calloc(1, sizeof **in);
    if (!*in || (*in)->closed)
        return;
    assert((*in)->page_size == 0 || (*in)->page_size == piece->page_size);
    (*in)->page_size = piece->page_size;
    if (take(*in, piece, &e))
        drop_all(*in);
}

/* The children of pages of sqlite_schema stay noted: to note them twice changes nothing but the room for them. */
void interior_rewind(struct interior *in, uint32_t page)
{
    assert(page > 0);
    while (in->count > 0 && in->pages[in->count - 1].version.pgno >= page)
        free_page(in, &in->pages[--in->count]);
    in->noted_count = noted_place(in, page);
    in->read_upto = page - 1 < in->read_upto ? page - 1 : in->read_upto;
}
