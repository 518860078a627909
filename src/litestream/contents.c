/* litestream/contents.c */
#include "litestream/contents.h"

#include "base/array.h"
#include "base/log.h"
#include "format/names.h"
#include "litestream/ltx.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SNAPSHOTS_BACK 64 /* how many are looked at for one segment */

/* ---- listing */

struct listing {
    struct lite_contents *contents;
    struct err *e;
    int rc;
};

static struct lite_list *list_of(struct lite_contents *c, enum lite_kind kind)
{
    return kind == LITE_LTX ? &c->files : kind == LITE_SNAPSHOT ? &c->snapshots : &c->segments;
}

static int add(void *context, const struct store_entry *entry)
{
    struct listing *l = context;
    const struct lite_object o = {.name = lite_name_parse(entry->key), .size = entry->size, .time_ms = entry->time_ms};
    if (o.name.kind == LITE_OTHER) {
        l->contents->foreign++;
        l->contents->ours |= strcmp(entry->key, NAME_IDENTITY) == 0 || name_parse(entry->key).kind != NAME_OTHER;
        return 0;
    }
    struct lite_list *list = list_of(l->contents, o.name.kind);
    if (array_reserve(&list->all, &list->cap, list->count + 1, sizeof *list->all, l->e))
        return l->rc = -1;
    list->all[list->count++] = o;
    l->contents->objects++;
    l->contents->bytes += o.size;
    return 0;
}

static int compare_numbers(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int compare(const void *left, const void *right)
{
    const struct lite_name *a = &((const struct lite_object *)left)->name;
    const struct lite_name *b = &((const struct lite_object *)right)->name;
    const int order[] = {compare_numbers(a->max, b->max),
                         compare_numbers(a->min, b->min),
                         compare_numbers(b->level, a->level),
                         compare_numbers(a->flat, b->flat),
                         compare_numbers(a->generation, b->generation),
                         compare_numbers(a->index, b->index),
                         compare_numbers(a->offset, b->offset)};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++)
        if (order[i] != 0)
            return order[i];
    return 0;
}

static int sort(struct lite_list *l, const struct store *store, struct err *e)
{
    if (l->count > 0)
        qsort(l->all, l->count, sizeof *l->all, compare);
    for (size_t i = 1; i < l->count; i++) {
        char key[STORE_KEY_MAX];
        if (compare(&l->all[i - 1], &l->all[i]) != 0)
            continue;
        lite_name_format(&l->all[i].name, key);
        return err_set(e, ERR_CORRUPT, 0, "list '%s': object '%s' comes twice", store->url, key);
    }
    return 0;
}

/* ---- points */

/* Finds which files lead to a restore point. They are sorted by max: a file continues the greatest state before its max,
 * or none. */
static void find_file_points(struct lite_contents *c)
{
    c->top = c->beyond = 0;
    for (size_t i = 0; i < c->files.count; i++) {
        struct lite_object *o = &c->files.all[i];
        o->point = !o->damaged && (o->name.min == 1 || (c->top > 0 && o->name.min - 1 <= c->top));
        if (o->point)
            c->top = o->name.max;
    }
    for (size_t i = c->files.count; i-- > 0 && c->files.all[i].name.max > c->top;)
        if (c->beyond == 0 || c->files.all[i].name.min < c->beyond)
            c->beyond = c->files.all[i].name.min;
}

/* Finds since which index the WAL is whole up to each segment. */
static void find_whole(struct lite_list *segments)
{
    for (size_t i = 0; i < segments->count; i++) {
        struct lite_object *o = &segments->all[i];
        const struct lite_object *before = i > 0 && o[-1].name.generation == o->name.generation ? o - 1 : NULL;
        const bool starts = o->name.offset == 0;
        const bool continues = before && before->whole && before->name.index == o->name.index - (starts ? 1u : 0u);
        o->whole = starts || continues;
        o->since = continues ? before->since : o->name.index;
    }
}

/* The first object of a list of snapshots or segments that comes after generation and index of `n`. */
static size_t first_after(const struct lite_list *list, const struct lite_name *n)
{
    size_t low = 0, high = list->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const struct lite_name *s = &list->all[middle].name;
        if (s->generation < n->generation || (s->generation == n->generation && s->index <= n->index))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Whether the segment before `g` is of the WAL after the snapshot, and was stored after the snapshot. Then `g` has all
 * that was in the WAL when the snapshot was made. The first segment after a snapshot need not: it can have been copied
 * out of the WAL before. */
static bool is_settled(const struct lite_contents *c, const struct lite_object *s, const struct lite_object *g)
{
    const struct lite_object *before = g > c->segments.all ? g - 1 : NULL;
    return before && before->name.generation == s->name.generation && before->name.index >= s->name.index &&
           s->time_ms <= before->time_ms && s->time_ms <= g->time_ms;
}

/* The newest snapshot from which the segments lead to `g`. `settled`: only one for which that is true. */
static const struct lite_object *find_snapshot(const struct lite_contents *c, const struct lite_object *g, bool settled)
{
    size_t i = first_after(&c->snapshots, &g->name);
    for (unsigned tries = 0; g->whole && i-- > 0 && tries < SNAPSHOTS_BACK; tries++) {
        const struct lite_object *s = &c->snapshots.all[i];
        if (s->name.generation != g->name.generation || s->name.index < g->since)
            return NULL;
        if (!settled || is_settled(c, s, g))
            return s;
    }
    return NULL;
}

const struct lite_object *lite_snapshot_of(const struct lite_contents *c, const struct lite_object *segment)
{
    const struct lite_object *s = find_snapshot(c, segment, true);
    const bool last =
        segment + 1 == c->segments.all + c->segments.count || segment[1].name.generation != segment->name.generation;
    /* At the end of a generation all that a snapshot has was shipped too, unless the machine died in the second in which
     * the snapshot was made. */
    return s || !last ? s : find_snapshot(c, segment, false);
}

/* A snapshot alone counts only if its generation has no better point. */
static bool is_point(const struct lite_contents *c, const struct lite_object *snapshot)
{
    const struct lite_name end = {.generation = snapshot->name.generation, .index = UINT32_MAX};
    for (size_t i = first_after(&c->segments, &end); i-- > 0;) {
        if (c->segments.all[i].name.generation != snapshot->name.generation)
            break;
        if (c->segments.all[i].point)
            return false;
    }
    return true;
}

static void find_generation_points(struct lite_contents *c)
{
    find_whole(&c->segments);
    for (size_t i = 0; i < c->segments.count; i++)
        c->segments.all[i].point = lite_snapshot_of(c, &c->segments.all[i]) != NULL;
    for (size_t i = 0; i < c->snapshots.count; i++) {
        struct lite_object *s = &c->snapshots.all[i];
        const bool same = i > 0 && s[-1].name.generation == s->name.generation;
        s->point = same ? s[-1].point : is_point(c, s);
    }
}

void lite_find_points(struct lite_contents *c)
{
    find_file_points(c);
    find_generation_points(c);
}

int lite_list(struct lite_contents *c, struct store *store, bool *ret_beside, struct err *e)
{
    *c = (struct lite_contents){.store = store};
    struct listing l = {.contents = c, .e = e};
    int rc = store_list(store, "", "", add, &l, e) || l.rc ? -1 : 0;
    *ret_beside = rc == 0 && c->ours && c->objects > 0;
    if (rc == 0 && c->objects == 0)
        rc = err_set(e, ERR_NOTFOUND, 0, "'%s' has no replica of Litestream", store->url);
    else if (rc == 0 && c->ours)
        rc = err_set(e, ERR_NOTFOUND, 0, "'%s' has a replica of Seawall", store->url);
    if (rc == 0)
        rc = sort(&c->files, store, e) || sort(&c->snapshots, store, e) || sort(&c->segments, store, e) ? -1 : 0;
    if (rc) {
        lite_release(c);
        return -1;
    }
    lite_find_points(c);
    return 0;
}

void lite_release(struct lite_contents *c)
{
    free(c->files.all);
    free(c->snapshots.all);
    free(c->segments.all);
    *c = (struct lite_contents){0};
}

/* ---- headers */

static int read_header(struct lite_object *o, struct feed *f, struct err *e)
{
    struct ltx_header h;
    const uint8_t *bytes = feed_take(f, LTX_HEADER_BYTES, e);
    if (!bytes || ltx_header_decode(bytes, &h, e))
        return -1;
    if (h.min != o->name.min || h.max != o->name.max)
        return err_set(e, ERR_CORRUPT, 0, "its header has the txids %" PRIu64 " to %" PRIu64, h.min, h.max);
    o->time_ms = h.time_ms;
    o->pages = h.pages;
    return 0;
}

int lite_read_headers(struct lite_contents *c, const struct feed_options *options, struct err *e)
{
    struct feed *f = NULL;
    struct feed_item *items = calloc(c->files.count + 1, sizeof *items);
    if (!items)
        return err_nomem(e, (c->files.count + 1) * sizeof *items);
    for (size_t i = 0; i < c->files.count; i++) {
        lite_name_format(&c->files.all[i].name, items[i].key);
        items[i].bytes = c->files.all[i].size < LTX_HEADER_BYTES ? c->files.all[i].size : LTX_HEADER_BYTES;
    }
    int rc = feed_new(c->store, items, c->files.count, options, &f, e);
    for (size_t i = 0; rc == 0 && i < c->files.count; i++) {
        const struct feed_item *item = feed_next(f);
        assert(item);
        rc = read_header(&c->files.all[i], f, e);
        if (rc && e->code == ERR_CORRUPT) {
            log_warn("object '%s' is passed over: %s", item->key, e->msg);
            c->files.all[i].damaged = true;
            rc = 0;
        }
    }
    lite_find_points(c);
    feed_free(f);
    free(items);
    return rc;
}
