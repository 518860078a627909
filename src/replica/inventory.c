/* replica/inventory.c
 *
 * The lists of the catalog are in the order of keys. So markers and chunks of all bases are found in one pass
 * through both lists. */
#include "replica/inventory.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- named objects */

static int compare_uids(const struct uid *a, const struct uid *b)
{
    return memcmp(a->bytes, b->bytes, UID_BYTES);
}

static int compare_bases(const struct name *a, const struct name *b)
{
    if (a->start != b->start)
        return a->start < b->start ? -1 : 1;
    return compare_uids(&a->run, &b->run);
}

/* Notes the objects that this marker or segment names. Returns false if one of them does not exist or has another
 * size. */
static bool note_named(struct inventory *v, const struct segment *s)
{
    const struct segment_info *i = &s->trailer.info;
    const struct catalog *c = v->catalog;
    const bool marker = i->kind == OBJECT_MARKER;
    const struct catalog_object *list = marker ? c->chunks : c->parts;
    bool all = true;
    for (uint32_t k = 0; k < s->trailer.list_count; k++) {
        const struct name wanted = name_parse(s->list[k].name);
        const struct catalog_object *found =
            wanted.kind == (marker ? NAME_CHUNK : NAME_PART) ? catalog_find(c, &wanted) : NULL;
        all &= found && found->size == s->list[k].size;
        if (found)
            (marker ? v->chunk_names : v->part_names)[found - list] =
                (struct inventory_naming){.named = true, .min = marker ? i->start : i->min, .max = s->list[k].max};
    }
    const struct name name = {.kind = NAME_INTERIOR, .start = i->start, .run = i->run};
    const struct catalog_object *interior =
        marker && !digest_is_zero(&i->digest_before) ? catalog_find(c, &name) : NULL;
    if (interior)
        v->chunk_names[interior - list] = (struct inventory_naming){.named = true, .min = i->start, .max = i->max};
    return all;
}

/* Loads a segment or marker. A damaged one is not an error: o->segment is NULL then. */
static int load(struct inventory *v, struct catalog_object *o, struct err *e)
{
    if (catalog_load(v->catalog, o, e) == 0)
        return 0;
    v->unreadable = true;
    return e->code == ERR_CORRUPT || e->code == ERR_GONE ? 0 : -1;
}

/* ---- bases and levels */

static int add_marker(struct inventory *v, struct inventory_base *b, struct catalog_object *marker, struct err *e)
{
    if (load(v, marker, e))
        return -1;
    b->bytes += marker->size;
    b->state = INVENTORY_DAMAGED;
    b->time_ms = marker->time_ms;
    if (!marker->segment)
        return 0;
    b->state = note_named(v, marker->segment) ? INVENTORY_COMPLETE : INVENTORY_LACKS_CHUNKS;
    b->max = marker->segment->trailer.info.max;
    b->time_ms = marker->segment->trailer.info.time_ms;
    catalog_spare(v->catalog, marker);
    return 0;
}

/* Makes one base of the chunks and the marker with the same start and run. Either may be missing. */
static int take_bases(struct inventory *v, struct err *e)
{
    struct catalog *c = v->catalog;
    size_t m = 0, k = 0;
    while (m < c->marker_count || k < c->chunk_count) {
        bool chunk_first =
            m == c->marker_count || (k < c->chunk_count && compare_bases(&c->chunks[k].name, &c->markers[m].name) < 0);
        const struct name name = chunk_first ? c->chunks[k].name : c->markers[m].name;
        struct inventory_base *b = &v->bases[v->base_count++];
        *b = (struct inventory_base){.start = name.start, .run = name.run, .state = INVENTORY_NOT_COMPLETE};
        for (; k < c->chunk_count && compare_bases(&c->chunks[k].name, &name) == 0; k++) {
            b->chunks += c->chunks[k].name.kind == NAME_CHUNK;
            b->bytes += c->chunks[k].size;
            if (c->chunks[k].time_ms > b->time_ms)
                b->time_ms = c->chunks[k].time_ms;
        }
        if (b->chunks == 0 && chunk_first) /* interior pages come after all chunks of their base */
            b->state = INVENTORY_DELETED;
        if (m < c->marker_count && compare_bases(&c->markers[m].name, &name) == 0 &&
            add_marker(v, b, &c->markers[m++], e))
            return -1;
    }
    return 0;
}

static size_t count_bases(const struct catalog *c)
{
    size_t n = c->marker_count;
    for (size_t k = 0; k < c->chunk_count; k++)
        n += k == 0 || compare_bases(&c->chunks[k].name, &c->chunks[k - 1].name) != 0;
    return n;
}

static int take_levels(struct inventory *v, struct err *e)
{
    struct catalog *c = v->catalog;
    struct catalog_object *head = catalog_head(c);
    for (size_t i = 0; i < catalog_segment_count(c); i++) {
        const struct catalog_object *o = catalog_segment(c, i);
        struct inventory_level *l = &v->levels[o->name.level];
        const uint64_t last = o->name.kind == NAME_LEVEL0 ? o->name.min : o->name.max;
        if (l->objects++ == 0 || o->name.min < l->first_txid)
            l->first_txid = o->name.min;
        if (last > l->last_txid)
            l->last_txid = last;
        l->bytes += o->size;
    }
    if (head && load(v, head, e)) /* its last txid is not in its key */
        return -1;
    if (head && head->segment) {
        v->levels[0].last_txid = head->segment->trailer.info.max;
        catalog_spare(c, head);
    }
    v->parts = c->part_count;
    for (size_t i = 0; i < c->part_count; i++)
        v->part_bytes += c->parts[i].size;
    return 0;
}

int inventory_take(struct inventory *v, struct catalog *c, struct err *e)
{
    assert(c->store);
    *v = (struct inventory){.catalog = c,
                            .bases = calloc(count_bases(c) + 1, sizeof *v->bases),
                            .chunk_names = calloc(c->chunk_count + 1, sizeof *v->chunk_names),
                            .part_names = calloc(c->part_count + 1, sizeof *v->part_names)};
    int rc = v->bases && v->chunk_names && v->part_names
                 ? 0
                 : err_nomem(e, (c->chunk_count + c->part_count) * sizeof *v->part_names);
    if (rc == 0)
        rc = take_bases(v, e);
    if (rc == 0)
        rc = take_levels(v, e);
    if (rc)
        inventory_release(v);
    return rc;
}

void inventory_release(struct inventory *v)
{
    free(v->bases);
    free(v->chunk_names);
    free(v->part_names);
    *v = (struct inventory){0};
}

/* ---- one by one */

static struct inventory_object object_of(const struct catalog_object *o)
{
    struct inventory_object out = {
        .kind = o->name.kind, .level = o->name.level, .time_ms = o->time_ms, .size = o->size};
    name_format(&o->name, out.key);
    return out;
}

struct teller {
    struct inventory *v;
    inventory_object_fn *fn;
    void *context;
    bool stopped; /* `fn` wants no more objects */
};

static void tell(struct teller *t, const struct inventory_object *o)
{
    t->stopped = t->stopped || t->fn(t->context, o) != 0;
}

/* Reports a segment or a marker. */
static int tell_loaded(struct teller *t, struct catalog_object *o, struct err *e)
{
    struct inventory *v = t->v;
    struct inventory_object out = object_of(o);
    const bool marker = out.kind == NAME_MARKER;
    if (load(v, o, e))
        return -1;
    out.damaged = !o->segment;
    out.min = marker ? o->name.start : o->name.min;
    out.max = o->name.max;
    if (o->segment) {
        const struct segment_info *i = &o->segment->trailer.info;
        out.max = i->max;
        out.time_ms = i->time_ms;
        out.flags = i->flags;
        note_named(v, o->segment);
    }
    catalog_spare(v->catalog, o);
    tell(t, &out);
    return 0;
}

/* Reports a chunk, interior pages or a part. All segments and markers that may name it were reported before. */
static void tell_named(struct teller *t, const struct catalog_object *o, const struct inventory_naming *naming)
{
    struct inventory_object out = object_of(o);
    out.min = naming->named ? naming->min : o->name.start;
    out.max = naming->max;
    out.orphan = !naming->named && !t->v->unreadable;
    out.unknown = !naming->named && t->v->unreadable;
    tell(t, &out);
}

/* Reports the chunks from *k on, up to and including those of the base that `upto` names; NULL: all. */
static void tell_chunks(struct teller *t, size_t *k, const struct name *upto)
{
    const struct catalog *c = t->v->catalog;
    for (; !t->stopped && *k < c->chunk_count && (!upto || compare_bases(&c->chunks[*k].name, upto) <= 0); (*k)++)
        tell_named(t, &c->chunks[*k], &t->v->chunk_names[*k]);
}

static void tell_identity(struct teller *t)
{
    const struct catalog *c = t->v->catalog;
    const struct inventory_object id = {
        .key = NAME_IDENTITY, .kind = NAME_OTHER, .time_ms = c->identity_time_ms, .size = c->identity_size};
    tell(t, &id);
}

/* Reports the objects of level 0, or the packs: those in the list of level 0 and those that lie in packs, together in the
 * order of keys. */
static int tell_kind(struct teller *t, enum name_kind kind, struct err *e)
{
    struct catalog *c = t->v->catalog;
    size_t i = 0, k = 0;
    while (!t->stopped && (i < c->level0_count || k < c->packed_count)) {
        struct catalog_object *a = i < c->level0_count ? &c->level0[i] : NULL;
        struct catalog_object *b = k < c->packed_count ? &c->packed[k] : NULL;
        const bool first =
            a && (!b || a->name.min < b->name.min || (a->name.min == b->name.min && a->name.max < b->name.max));
        struct catalog_object *next = first ? a : b;
        assert(next);
        *(first ? &i : &k) += 1;
        if (next->name.kind == kind && tell_loaded(t, next, e))
            return -1;
    }
    return 0;
}

int inventory_objects(struct inventory *v, inventory_object_fn *fn, void *context, struct err *e)
{
    struct catalog *c = v->catalog;
    assert(c && v->bases);
    struct teller t = {.v = v, .fn = fn, .context = context};
    size_t k = 0;
    if (tell_kind(&t, NAME_LEVEL0, e))
        return -1;
    for (size_t i = 0; !t.stopped && i < c->level_count; i++)
        if (tell_loaded(&t, &c->levels[i], e))
            return -1;
    for (size_t i = 0; !t.stopped && i < c->marker_count; i++) {
        tell_chunks(&t, &k, &c->markers[i].name);
        if (!t.stopped && tell_loaded(&t, &c->markers[i], e))
            return -1;
    }
    tell_chunks(&t, &k, NULL);
    if (tell_kind(&t, NAME_PACK, e))
        return -1;
    for (size_t i = 0; !t.stopped && i < c->part_count; i++)
        tell_named(&t, &c->parts[i], &v->part_names[i]);
    if (!t.stopped)
        tell_identity(&t);
    return 0;
}
