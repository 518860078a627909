/* reader/trees.c */
#include "reader/trees.h"

#include "base/btree.h"
#include "base/buf.h"
#include "base/page.h"

#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 20      /* of a b-tree, in SQLite */
#define FREELIST_AT 32    /* in page 1 */
#define AUTO_VACUUM_AT 52 /* in page 1 */
#define RESERVED_AT 20    /* in page 1 */

struct trees {
    struct reader *reader[2]; /* borrowed */
    uint32_t pages[2], most, page_size, usable[2];
    uint8_t *differs, *unknown; /* owned bits, by pgno; unknown: it differs and is not accounted for */
    uint8_t *in[2];             /* owned bits: of the table that is compared, the pages with rows */
    uint64_t unknowns;
    bool damaged; /* a b-tree can't be walked: nothing is known */
};

static bool bit(const uint8_t *bits, uint32_t pgno)
{
    return bits[pgno / 8] >> pgno % 8 & 1;
}

static void set_bit(uint8_t *bits, uint32_t pgno)
{
    bits[pgno / 8] |= (uint8_t)(1u << pgno % 8);
}

/* ---- pages that differ */

static void account(struct trees *t, uint32_t pgno)
{
    if (pgno == 0 || pgno > t->most || !bit(t->unknown, pgno))
        return;
    t->unknown[pgno / 8] &= (uint8_t)~(1u << pgno % 8);
    t->unknowns--;
}

static int read_page(const struct trees *t, int side, uint32_t pgno, uint8_t *page, struct err *e)
{
    return reader_read(t->reader[side], (uint64_t)(pgno - 1) * t->page_size, page, t->page_size, e);
}

/* Pages that one state does not have were not an overflow page of it. */
static int find_differing(struct trees *t, struct err *e)
{
    const uint32_t least = t->pages[0] < t->pages[1] ? t->pages[0] : t->pages[1];
    for (uint32_t pgno = 1; pgno <= t->most; pgno++) {
        bool same = false;
        if (pgno <= least && reader_same_page(t->reader[0], t->reader[1], pgno, &same, e))
            return -1;
        if (same)
            continue;
        set_bit(t->differs, pgno);
        if (pgno > least || pgno == lock_byte_page(t->page_size))
            continue;
        set_bit(t->unknown, pgno);
        t->unknowns++;
    }
    return 0;
}

/* A page of the freelist is not an overflow page. */
static int account_freelist(struct trees *t, int side, uint32_t trunk, uint8_t *page, struct err *e)
{
    for (uint32_t seen = 0; trunk > 0 && trunk <= t->pages[side] && seen <= t->pages[side]; seen++) {
        account(t, trunk);
        if (read_page(t, side, trunk, page, e))
            return -1;
        const uint32_t room = t->usable[side] / 4 - 2;
        uint32_t count = get_be32(page + 4);
        for (uint32_t i = 0; i < (count < room ? count : room); i++)
            account(t, get_be32(page + 8 + 4 * (size_t)i));
        trunk = get_be32(page);
    }
    return 0;
}

/* Pages with pointers of a database with auto_vacuum. */
static void account_pointers(struct trees *t, uint32_t usable)
{
    for (uint64_t pgno = 2; pgno <= t->most; pgno += usable / 5 + 1)
        account(t, (uint32_t)(pgno == lock_byte_page(t->page_size) ? pgno + 1 : pgno));
}

static int account_for_others(struct trees *t, struct err *e)
{
    uint8_t *page = malloc(t->page_size);
    int rc = page ? 0 : err_nomem(e, t->page_size);
    account(t, 1);
    for (int side = 0; rc == 0 && side < 2; side++) {
        rc = read_page(t, side, 1, page, e);
        if (rc)
            break;
        t->usable[side] = t->page_size - page[RESERVED_AT];
        if (get_be32(page + AUTO_VACUUM_AT) != 0)
            account_pointers(t, t->usable[side]);
        rc = account_freelist(t, side, get_be32(page + FREELIST_AT), page, e);
    }
    free(page);
    return rc;
}

int trees_open(struct reader *a, struct reader *b, struct trees **ret_trees, struct err *e)
{
    *ret_trees = NULL;
    if (reader_page_size(a) != reader_page_size(b) || reader_history(a) != reader_history(b))
        return 0;
    struct trees *t = calloc(1, sizeof *t);
    if (!t)
        return err_nomem(e, sizeof *t);
    *t = (struct trees){.reader = {a, b},
                        .pages = {reader_record(a)->pages, reader_record(b)->pages},
                        .page_size = reader_page_size(a)};
    t->most = t->pages[0] > t->pages[1] ? t->pages[0] : t->pages[1];
    uint8_t **const bits[] = {&t->differs, &t->unknown, &t->in[0], &t->in[1]};
    const size_t bytes = t->most / 8 + 1;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof bits / sizeof bits[0]; i++)
        if (!(*bits[i] = calloc(bytes, 1)))
            rc = err_nomem(e, bytes);
    if (rc || find_differing(t, e) || account_for_others(t, e)) {
        trees_close(t);
        return -1;
    }
    *ret_trees = t;
    return 0;
}

void trees_close(struct trees *t)
{
    if (!t)
        return;
    free(t->differs);
    free(t->unknown);
    free(t->in[0]);
    free(t->in[1]);
    free(t);
}

bool trees_wants_more(const struct trees *t)
{
    return t->unknowns > 0;
}

/* ---- walking a b-tree */

/* A page above the leaves, and the child that comes next. */
struct level {
    uint8_t *page;
    size_t header;        /* where it begins in the page */
    uint32_t next, count; /* children: cells, and one on the right */
    int64_t low;          /* the first rowid that the next child can have */
    int64_t high;         /* the last one of the page */
};

struct walk {
    struct trees *t;
    int side;
    struct level levels[DEPTH_MAX];
    int depth, height; /* height: of the levels above the leaves */
    uint64_t visited;
    bool is_index;
    void *context;
    void (*visit)(struct walk *w, uint32_t pgno, bool has_rows, int64_t low, int64_t high);
};

/* The child number `n` of a page, and the last rowid that it can have. False: the page is damaged. */
static bool child_of(const struct walk *w, const struct level *l, uint32_t n, uint32_t *ret_pgno, int64_t *ret_high)
{
    *ret_high = l->high;
    if (n + 1 == l->count) {
        *ret_pgno = btree_last_child(l->page, l->header);
        return true;
    }
    const size_t at = btree_cell_at(l->page, w->t->page_size, l->header, n);
    if (at == 0)
        return false;
    *ret_pgno = get_be32(l->page + at);
    if (w->is_index)
        return true;
    struct cursor rowid = cursor_of(l->page + at + 4, w->t->page_size - at - 4);
    *ret_high = (int64_t)cursor_varint(&rowid);
    return !rowid.bad;
}

/* Reads a page above the leaves. *ret_leaf: it is a leaf. False in *ret_ok: it is none of the tree's pages. */
static int enter(struct walk *w, uint32_t pgno, int64_t low, int64_t high, bool *ret_leaf, bool *ret_ok, struct err *e)
{
    struct level *l = &w->levels[w->depth];
    *ret_ok = pgno >= 1 && pgno <= w->t->pages[w->side] && ++w->visited <= w->t->pages[w->side];
    if (!*ret_ok)
        return 0;
    if (!l->page && !(l->page = malloc(w->t->page_size)))
        return err_nomem(e, w->t->page_size);
    if (read_page(w->t, w->side, pgno, l->page, e))
        return -1;
    l->header = btree_header_at(pgno);
    const uint8_t type = l->page[l->header];
    const bool index = type == BTREE_INDEX_INTERIOR || type == BTREE_INDEX_LEAF;
    *ret_leaf = type == BTREE_INDEX_LEAF || type == BTREE_TABLE_LEAF;
    *ret_ok = index || type == BTREE_TABLE_INTERIOR || type == BTREE_TABLE_LEAF;
    if (w->depth == 0)
        w->is_index = index;
    *ret_ok = *ret_ok && index == w->is_index;
    l->next = 0;
    l->count = *ret_leaf ? 0 : btree_cells(l->page, l->header) + 1u;
    l->low = low;
    l->high = high;
    return 0;
}

/* Finds out how many levels are above the leaves: as many on each way. Leaves the first way in w->levels. */
static int descend(struct walk *w, uint32_t root, bool *ret_ok, struct err *e)
{
    uint32_t pgno = root;
    int64_t high = INT64_MAX;
    bool leaf = false;
    for (w->depth = 0, *ret_ok = true; *ret_ok && w->depth < DEPTH_MAX; w->depth++) {
        if (enter(w, pgno, INT64_MIN, high, &leaf, ret_ok, e))
            return -1;
        if (!*ret_ok || leaf)
            break;
        *ret_ok = child_of(w, &w->levels[w->depth], 0, &pgno, &high);
    }
    *ret_ok = *ret_ok && leaf;
    w->height = w->depth;
    w->visited = 0;
    return 0;
}

/* Goes to the next child of the page at w->depth. False: it has none that can be. */
static bool step(struct walk *w, uint32_t *ret_child, int64_t *ret_low, int64_t *ret_high)
{
    struct level *l = &w->levels[w->depth];
    if (!child_of(w, l, l->next, ret_child, ret_high))
        return false;
    *ret_low = l->low;
    l->low = *ret_high < INT64_MAX ? *ret_high + 1 : INT64_MAX;
    l->next++;
    return *ret_child >= 1 && *ret_child <= w->t->pages[w->side];
}

static int walk_levels(struct walk *w, uint32_t root, bool *ret_ok, struct err *e)
{
    uint32_t pgno = root;
    int64_t low = INT64_MIN, high = INT64_MAX;
    bool leaf = false;
    w->depth = 0;
    w->visit(w, root, w->height == 0 || w->is_index, low, high);
    if (w->height == 0)
        return 0;
    if (enter(w, root, low, high, &leaf, ret_ok, e))
        return -1;
    while (*ret_ok && w->depth >= 0) {
        if (w->levels[w->depth].next == w->levels[w->depth].count) {
            w->depth--;
            continue;
        }
        *ret_ok = step(w, &pgno, &low, &high);
        if (!*ret_ok)
            break;
        const bool is_leaf = w->depth + 1 == w->height;
        w->visit(w, pgno, is_leaf || w->is_index, low, high);
        if (is_leaf)
            continue;
        w->depth++;
        if (enter(w, pgno, low, high, &leaf, ret_ok, e))
            return -1;
        *ret_ok = *ret_ok && !leaf;
    }
    return 0;
}

/* Visits each page of a b-tree, without reading the leaves. False in *ret_ok: the tree is damaged. */
static int walk(struct walk *w, uint32_t root, bool *ret_ok, struct err *e)
{
    int rc = descend(w, root, ret_ok, e);
    if (rc == 0 && *ret_ok)
        rc = walk_levels(w, root, ret_ok, e);
    for (int i = 0; i < DEPTH_MAX; i++)
        free(w->levels[i].page);
    return rc;
}

static void visit_to_account(struct walk *w, uint32_t pgno, bool has_rows, int64_t low, int64_t high)
{
    (void)has_rows;
    (void)low;
    (void)high;
    account(w->t, pgno);
}

int trees_account(struct trees *t, int side, uint32_t root, struct err *e)
{
    struct walk w = {.t = t, .side = side, .visit = visit_to_account};
    bool ok = true;
    if (root == 0 || root > t->pages[side])
        return 0;
    if (walk(&w, root, &ok, e))
        return -1;
    t->damaged = t->damaged || !ok;
    return 0;
}

/* ---- comparing */

struct comparison {
    struct row_ranges *ranges;
    bool any; /* a page of the tree differs */
};

static void visit_to_note(struct walk *w, uint32_t pgno, bool has_rows, int64_t low, int64_t high)
{
    struct comparison *c = w->context;
    (void)low;
    (void)high;
    c->any = c->any || bit(w->t->differs, pgno);
    if (has_rows)
        set_bit(w->t->in[w->side], pgno);
}

static void add_range(struct row_ranges *r, int64_t low, int64_t high)
{
    if (r->count == ROW_RANGES_MAX)
        r->all = true;
    else
        r->list[r->count++] = (struct row_range){low, high};
}

/* Whether what begins at `low` continues a range, or overlaps it. Precondition for ranges in order: low is not before it. */
static bool continues(const struct row_range *r, int64_t low)
{
    return low >= r->low && (r->high == INT64_MAX || low <= r->high + 1);
}

/* Makes the last range longer, if what begins at `low` continues it. It may be one of the other state, and end later. */
static bool extend(struct row_range *list, size_t count, int64_t low, int64_t high)
{
    struct row_range *last = count > 0 ? &list[count - 1] : NULL;
    if (!last || !continues(last, low))
        return false;
    last->high = high > last->high ? high : last->high;
    return true;
}

/* A page with rows that differs, or that is not one of the other state's tree. */
static void visit_to_compare(struct walk *w, uint32_t pgno, bool has_rows, int64_t low, int64_t high)
{
    struct comparison *c = w->context;
    struct row_ranges *r = c->ranges;
    if (!has_rows || (!bit(w->t->differs, pgno) && bit(w->t->in[1 - w->side], pgno)))
        return;
    if (w->is_index)
        r->all = true;
    else if (!extend(r->list, r->count, low, high))
        add_range(r, low, high);
}

static int by_low(const void *a, const void *b)
{
    const struct row_range *x = a, *y = b;
    return (x->low > y->low) - (x->low < y->low);
}

/* Joins what both states gave. */
static void join(struct row_ranges *r)
{
    size_t count = 0;
    qsort(r->list, r->count, sizeof r->list[0], by_low);
    for (size_t i = 0; i < r->count; i++)
        if (!extend(r->list, count, r->list[i].low, r->list[i].high))
            r->list[count++] = r->list[i];
    r->count = count;
}

static int visit_both(struct trees *t, const uint32_t roots[2], struct comparison *c,
                      void (*visit)(struct walk *, uint32_t, bool, int64_t, int64_t), struct err *e)
{
    bool ok = true;
    for (int side = 0; ok && side < 2; side++) {
        struct walk w = {.t = t, .side = side, .visit = visit, .context = c};
        if (walk(&w, roots[side], &ok, e))
            return -1;
    }
    c->ranges->all = c->ranges->all || !ok;
    return 0;
}

int trees_compare(struct trees *t, const uint32_t roots[2], struct row_ranges *ret_ranges, struct err *e)
{
    struct comparison c = {.ranges = ret_ranges};
    ret_ranges->count = 0;
    ret_ranges->all = t->unknowns > 0 || t->damaged || roots[0] == 0 || roots[1] == 0 || roots[0] > t->pages[0] ||
                      roots[1] > t->pages[1];
    if (ret_ranges->all)
        return 0;
    memset(t->in[0], 0, t->most / 8 + 1);
    memset(t->in[1], 0, t->most / 8 + 1);
    if (visit_both(t, roots, &c, visit_to_note, e))
        return -1;
    if (ret_ranges->all || (!c.any && roots[0] == roots[1]))
        return 0;
    if (visit_both(t, roots, &c, visit_to_compare, e))
        return -1;
    join(ret_ranges);
    return 0;
}
