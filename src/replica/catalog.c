/* replica/catalog.c */
#include "replica/catalog.h"

#include "base/array.h"
#include "base/claim.h"
#include "base/search.h"
#include "replica/ways.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- listing */

struct list_context {
    struct catalog *catalog;
    size_t caps[NAME_KINDS];  /* of the list of each kind; that of chunks is under NAME_CHUNK */
    char last[STORE_KEY_MAX]; /* the last key of the replica */
    bool ascending;           /* the keys of the replica come in ascending order, each once */
    struct err *e;
    int rc;
};

/* During the listing, the list of one kind; NULL if objects of this kind are not listed. *ret_count: the address of its count. */
static struct catalog_object **list_of(struct catalog *c, enum name_kind kind, size_t **ret_count)
{
    switch (kind) {
    case NAME_LEVEL0:
        *ret_count = &c->level0_count;
        return &c->level0;
    case NAME_PACK:
        *ret_count = &c->packed_count;
        return &c->packed;
    case NAME_LEVEL:
        *ret_count = &c->level_count;
        return &c->levels;
    case NAME_MARKER:
        *ret_count = &c->marker_count;
        return &c->markers;
    case NAME_CHUNK:
    case NAME_INTERIOR:
        *ret_count = &c->chunk_count;
        return &c->chunks;
    case NAME_PART:
        *ret_count = &c->part_count;
        return &c->parts;
    case NAME_OTHER:
        break;
    }
    return NULL;
}

static int compare_numbers(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

/* Two names of one kind, in the order of their keys. */
static int compare_names(const struct name *a, const struct name *b)
{
    int order[] = {compare_numbers(a->level, b->level),
                   compare_numbers(a->min, b->min),
                   compare_numbers(a->max, b->max),
                   compare_numbers(a->start, b->start),
                   memcmp(a->run.bytes, b->run.bytes, UID_BYTES),
                   compare_numbers(a->kind == NAME_INTERIOR, b->kind == NAME_INTERIOR),
                   compare_numbers(a->first_page, b->first_page),
                   compare_numbers(a->number, b->number)};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++)
        if (order[i] != 0)
            return order[i];
    return 0;
}

static int add_object(struct list_context *l, const struct catalog_object *o)
{
    size_t *count = NULL;
    struct catalog_object **list = list_of(l->catalog, o->name.kind, &count);
    const enum name_kind of = o->name.kind == NAME_INTERIOR ? NAME_CHUNK : o->name.kind;
    if (array_reserve(list, &l->caps[of], *count + 1, sizeof **list, l->e))
        return -1;
    (*list)[(*count)++] = *o;
    return 0;
}

static int comes_twice(const struct catalog *c, const char *key, struct err *e)
{
    err_set(e, ERR_CORRUPT, 0, "list '%s': object '%s' comes twice", c->store->url, key);
    return err_hint(e,
                    "the listing of this store can't be trusted; copy the replica into a folder, and use that folder");
}

static int add_entry(void *context, const struct store_entry *entry)
{
    struct list_context *l = context;
    struct catalog *c = l->catalog;
    const struct catalog_object o = {.name = name_parse(entry->key), .size = entry->size, .time_ms = entry->time_ms};
    const bool identity = strcmp(entry->key, NAME_IDENTITY) == 0;
    if (writer_note_is_key(entry->key) || strncmp(entry->key, STORE_PROBE_PREFIX, strlen(STORE_PROBE_PREFIX)) == 0)
        return 0; /* nothing depends on it */
    if ((o.name.kind == NAME_OTHER && !identity) || !name_in_range(&o.name)) {
        c->foreign++;
        return 0;
    }
    l->ascending &= strcmp(entry->key, l->last) > 0;
    memcpy(l->last, entry->key, strlen(entry->key) + 1);
    c->objects++;
    c->bytes += entry->size;
    if (identity && c->identity_listed)
        return l->rc = comes_twice(c, entry->key, l->e);
    if (identity) {
        c->identity_listed = true;
        c->identity_size = entry->size;
        c->identity_time_ms = entry->time_ms;
        return 0;
    }
    return l->rc = add_object(l, &o);
}

static int by_name(const void *a, const void *b)
{
    return compare_names(&((const struct catalog_object *)a)->name, &((const struct catalog_object *)b)->name);
}

/* Puts the objects of one kind in the order of their keys. Searches rely on it, and on keys that come once. */
static int sort_list(struct catalog *c, enum name_kind kind, struct err *e)
{
    size_t *count = NULL;
    struct catalog_object *list = *list_of(c, kind, &count);
    if (*count > 0)
        qsort(list, *count, sizeof *list, by_name);
    for (size_t i = 1; i < *count; i++) {
        char key[NAME_MAX_BYTES];
        name_format(&list[i].name, key);
        if (compare_names(&list[i - 1].name, &list[i].name) == 0)
            return comes_twice(c, key, e);
    }
    return 0;
}

/* ---- packs */

struct name_query {
    const struct catalog_object *list;
    const struct name *name;
};

static bool is_not_before(const void *context, size_t index)
{
    const struct name_query *q = context;
    return compare_names(&q->list[index].name, q->name) >= 0;
}

static struct catalog_object *seek_in(struct catalog_object *list, size_t count, const struct name *name)
{
    const struct name_query q = {list, name};
    size_t first = search_first(count, is_not_before, &q);
    return first < count ? list + first : NULL;
}

/* Packs with the same begin: the one that reaches furthest first. */
static int by_pack(const void *a, const void *b)
{
    const struct name *x = &((const struct catalog_object *)a)->name, *y = &((const struct catalog_object *)b)->name;
    const int order = compare_numbers(x->min, y->min);
    return order ? order : compare_numbers(y->max, x->max);
}

/* Merges objects of level 0 and packs, both in ascending order, into the lists `level0` and `packed`. */
static void merge_packs(struct catalog *c, const struct catalog_object *small, size_t small_count,
                        const struct catalog_object *packs, size_t pack_count)
{
    uint64_t far = 0; /* the packs in level 0 reach so far */
    size_t s = 0, p = 0;
    while (s < small_count || p < pack_count) {
        const bool is_pack = p < pack_count && (s == small_count || packs[p].name.min <= small[s].name.min);
        const struct catalog_object *o = is_pack ? &packs[p++] : &small[s++];
        const bool within = o->aside || (is_pack ? o->name.max : o->name.min) <= far;
        if (within)
            c->packed[c->packed_count++] = *o;
        else
            c->level0[c->level0_count++] = *o;
        if (is_pack && !within)
            far = o->name.max;
    }
}

/* Whether an object, or a pack that stays, has the first txid of a pack. */
static bool begin_is_listed(const struct catalog *c, const struct name *pack, uint64_t last)
{
    const struct name begin = {.kind = NAME_LEVEL0, .min = pack->min};
    const struct catalog_object *o = seek_in(c->level0, c->level0_count, &begin);
    bool listed = o && o->name.min == pack->min;
    for (size_t i = 0; i < c->packed_count && !listed; i++)
        listed =
            c->packed[i].name.min <= pack->min && c->packed[i].name.max >= pack->min && c->packed[i].name.max < last;
    return listed;
}

static int note_level0(void *context, const struct store_entry *entry)
{
    *(bool *)context = name_parse(entry->key).kind == NAME_LEVEL0;
    return *(bool *)context;
}

/* Whether a pack reaches `last`, the last object of level 0 that was listed, and level 0 has a newer one by now. */
static int look_for_newer(const struct catalog *c, uint64_t last, bool *ret_newer, struct err *e)
{
    const struct name name = {.kind = NAME_LEVEL0, .min = last};
    char key[NAME_MAX_BYTES];
    bool reaches = false;
    for (size_t i = 0; i < c->packed_count && !reaches; i++)
        reaches = c->packed[i].name.max >= last;
    *ret_newer = false;
    if (!reaches)
        return 0;
    name_format(&name, key);
    return store_list(c->store, NAME_LEVEL0_PREFIX, key, note_level0, ret_newer, e);
}

/* Takes out the packs that came after level 0 was listed: the newest object is never packed, and what lies in them was
 * listed, or is newer. If level 0 has nothing newer, a pack whose begin was not listed stays: what was there behind it
 * is lost. *ret_count: how many stay. Before: as place_packs. */
static int pass_over_later(struct catalog *c, size_t *ret_count, struct err *e)
{
    const uint64_t last = c->level0_count ? c->level0[c->level0_count - 1].name.min : UINT64_MAX;
    bool newer = false;
    *ret_count = 0;
    if (look_for_newer(c, last, &newer, e))
        return -1;
    for (size_t i = 0; i < c->packed_count; i++) {
        const struct catalog_object o = c->packed[i];
        if (o.name.max < last || (!newer && !begin_is_listed(c, &o.name, last))) {
            c->packed[(*ret_count)++] = o; /* those that stay are all in the list, at every moment */
            continue;
        }
        c->objects--;
        c->bytes -= o.size;
        if (o.name.max > c->later.max)
            c->later = o.name;
    }
    return 0;
}

/* Puts packs in the place of what lies in them. Before: each list is sorted, and `packed` has all packs. */
static int place_packs(struct catalog *c, struct err *e)
{
    struct catalog_object *small = c->level0, *packs = c->packed;
    const size_t small_count = c->level0_count;
    size_t pack_count = 0;
    if (c->packed_count == 0)
        return 0;
    if (pass_over_later(c, &pack_count, e))
        return -1;
    const size_t all = small_count + pack_count;
    struct catalog_object *level0 = calloc(all + 1, sizeof *level0), *packed = calloc(all + 1, sizeof *packed);
    c->packed_count = pack_count;
    if (!level0 || !packed) {
        free(level0);
        free(packed);
        return err_nomem(e, all * sizeof *level0);
    }
    if (pack_count > 0)
        qsort(packs, pack_count, sizeof *packs, by_pack);
    c->level0 = level0;
    c->packed = packed;
    c->level0_count = c->packed_count = 0;
    merge_packs(c, small, small_count, packs, pack_count);
    free(small);
    free(packs);
    if (c->packed_count > 0)
        qsort(c->packed, c->packed_count, sizeof *c->packed, by_name);
    return 0;
}

bool catalog_lies_in(const struct catalog *c, const struct catalog_object *pack)
{
    const struct name begin = {.kind = NAME_LEVEL0, .min = pack->name.min};
    if (c->packed_count == 0)
        return false;
    const struct catalog_object *end = c->packed + c->packed_count;
    const struct catalog_object *o = seek_in(c->packed, c->packed_count, &begin);
    while (o && o < end && o->aside)
        o++;
    return o && o < end && o->name.min <= pack->name.max;
}

/* Places packs once more, after some were marked as set aside. */
static int place_again(struct catalog *c, struct err *e)
{
    const size_t all = c->level0_count + c->packed_count;
    struct catalog_object *small = calloc(all + 1, sizeof *small), *packs = calloc(all + 1, sizeof *packs);
    size_t small_count = 0, pack_count = 0;
    if (!small || !packs) {
        free(small);
        free(packs);
        return err_nomem(e, all * sizeof *small);
    }
    for (size_t i = 0; i < all; i++) {
        const struct catalog_object *o = i < c->level0_count ? &c->level0[i] : &c->packed[i - c->level0_count];
        if (o->name.kind == NAME_PACK)
            packs[pack_count++] = *o;
        else
            small[small_count++] = *o;
    }
    if (small_count > 0)
        qsort(small, small_count, sizeof *small, by_name);
    free(c->level0);
    free(c->packed);
    c->level0 = small;
    c->level0_count = small_count;
    c->packed = packs;
    c->packed_count = pack_count;
    if (place_packs(c, e))
        return -1;
    ways_free(c->ways);
    c->ways = NULL;
    return catalog_make_ways(c, e);
}

int catalog_set_aside(struct catalog *c, struct catalog_object *pack, struct err *e)
{
    assert(pack->name.kind == NAME_PACK && catalog_segment_index(c, pack) < c->level0_count);
    pack->aside = true;
    return place_again(c, e);
}

/* Only packs are loaded in which something lies: few, since it soon goes. */
int catalog_set_damaged_aside(struct catalog *c, struct err *e)
{
    for (bool found = true; found;) {
        found = false;
        for (size_t i = 0; i < c->level0_count; i++) {
            struct catalog_object *o = &c->level0[i];
            if (o->name.kind != NAME_PACK || !catalog_lies_in(c, o))
                continue;
            if (catalog_load(c, o, e) == 0)
                catalog_spare(c, o);
            else if (e->code == ERR_NOMEM || e->code == ERR_CANCELED)
                return -1;
            else if (e->code != ERR_CLAIM)
                found = o->aside = true;
        }
        if (found && place_again(c, e))
            return -1;
    }
    return 0;
}

static const struct name *name_of_segment(const void *context, size_t index)
{
    return &catalog_segment(context, index)->name;
}

int catalog_make_ways(struct catalog *c, struct err *e)
{
    const struct ways_segments segments = {
        .name = name_of_segment, .context = c, .level0_count = c->level0_count, .count = c->level_count};
    return ways_make(&segments, &c->ways, e);
}

int catalog_list(struct catalog *c, struct store *store, struct codec *codec, struct err *e)
{
    struct err full;
    struct list_context l = {.catalog = c, .ascending = true, .e = &full};
    assert(store && codec);
    *c = (struct catalog){.store = store, .codec = codec};
    int rc = store_list(store, "", "", add_entry, &l, e);
    if (rc == 0 && l.rc) { /* a listing that is ended early is not an error of the store */
        *e = full;
        rc = -1;
    }
    for (int kind = NAME_LEVEL0; rc == 0 && !l.ascending && kind < NAME_KINDS; kind++)
        rc = sort_list(c, (enum name_kind)kind, e);
    if (rc == 0)
        rc = place_packs(c, e);
    if (rc == 0)
        rc = catalog_make_ways(c, e);
    if (rc)
        catalog_release(c);
    return rc;
}

static int read_identity(struct catalog *c, struct err *e)
{
    if (c->objects == 0)
        return err_set(e, ERR_NOTFOUND, 0, "'%s' holds no replica", c->store->url);
    if (!c->identity_listed)
        return replica_identity_lost(c->store, e);
    if (replica_identity_read(c->store, &c->identity, e))
        return store_listed_is_gone(e); /* ERR_NOTFOUND would say that there is no replica */
    return 0;
}

int catalog_identify(struct catalog *c, struct err *e)
{
    return read_identity(c, e) || catalog_set_damaged_aside(c, e) ? -1 : 0;
}

int catalog_open(struct catalog *c, struct store *store, struct codec *codec, struct err *e)
{
    if (catalog_list(c, store, codec, e))
        return -1;
    if (catalog_identify(c, e) == 0)
        return 0;
    catalog_release(c);
    return -1;
}

static void forget(struct catalog_object *o)
{
    if (o->segment)
        segment_release(o->segment);
    free(o->segment);
    o->segment = NULL;
}

static void release_objects(struct catalog_object *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        forget(&list[i]);
    free(list);
}

void catalog_release(struct catalog *c)
{
    release_objects(c->level0, c->level0_count);
    release_objects(c->packed, c->packed_count);
    release_objects(c->levels, c->level_count);
    release_objects(c->markers, c->marker_count);
    free(c->chunks);
    free(c->parts);
    ways_free(c->ways);
    *c = (struct catalog){0};
}

/* ---- records */

static int check_object(const struct catalog *c, const struct catalog_object *o, const struct segment_trailer *t,
                        struct err *e)
{
    if (!object_fits_name(&o->name, &t->info))
        return err_set(e, ERR_CORRUPT, 0, "its trailer does not fit its key");
    if (!uid_equal(&t->info.database, &c->identity.database))
        return err_set(e, ERR_CORRUPT, 0, "belongs to another database than '" NAME_IDENTITY "' says");
    return 0;
}

static size_t kept_bytes(const struct segment *s)
{
    return sizeof *s + s->charged;
}

int catalog_load(struct catalog *c, struct catalog_object *o, struct err *e)
{
    char key[NAME_MAX_BYTES];
    struct segment s;
    assert(o->name.kind != NAME_CHUNK && o->name.kind != NAME_INTERIOR && o->name.kind != NAME_PART &&
           o->name.kind != NAME_OTHER);
    if (o->segment)
        return 0;
    name_format(&o->name, key);
    if (object_load(c->store, key, c->codec, SEGMENT_WANT_RECORDS, &s, e))
        return store_listed_is_gone(e);
    struct segment *kept = malloc(sizeof *kept);
    int rc = kept ? check_object(c, o, &s.trailer, e) : err_nomem(e, sizeof *kept);
    if (rc) {
        segment_release(&s);
        free(kept);
        return err_wrap(e, "object '%s'", key);
    }
    *kept = s;
    o->segment = kept;
    c->bytes_kept += kept_bytes(kept);
    c->loads++;
    return 0;
}

int catalog_look(const struct catalog *c, const struct catalog_object *o, struct segment_trailer *ret_trailer,
                 struct err *e)
{
    char key[NAME_MAX_BYTES];
    struct buf tail = BUF_INIT(SEGMENT_TRAILER_BYTES);
    uint64_t size = 0;
    name_format(&o->name, key);
    int rc = store_read_tail(c->store, key, SEGMENT_TRAILER_BYTES, &tail, &size, e);
    if (rc != 0)
        rc = store_listed_is_gone(e);
    if (rc == 0 && tail.len < SEGMENT_TRAILER_BYTES)
        rc = err_set(e, ERR_CORRUPT, 0, "%" PRIu64 " bytes are too few for a segment", size);
    if (rc == 0)
        rc = segment_trailer_decode(tail.data, size, ret_trailer, e);
    if (rc == 0)
        rc = check_object(c, o, ret_trailer, e);
    buf_release(&tail);
    return rc == 0 ? 0 : err_wrap(e, "object '%s'", key);
}

void catalog_forget(struct catalog *c, struct catalog_object *o)
{
    if (!o->segment || o->lent)
        return;
    assert(c->bytes_kept >= kept_bytes(o->segment));
    c->bytes_kept -= kept_bytes(o->segment);
    c->loads++;
    forget(o);
}

void catalog_spare(struct catalog *c, struct catalog_object *o)
{
    if (c->bytes_kept > CATALOG_BYTES_MAX || claim_is_tight())
        catalog_forget(c, o);
}

/* Ends of objects that are announced to the store. */
struct hints {
    char (*names)[NAME_MAX_BYTES]; /* owned, as the next; NULL: out of memory */
    struct store_end *ends;
    size_t count;
};

static struct hints begin_hints(const struct catalog *c)
{
    const size_t most = catalog_segment_count(c) + 1;
    struct hints h = {.names = malloc(most * sizeof *h.names), .ends = malloc(most * sizeof *h.ends)};
    if (h.names && h.ends)
        return h;
    free(h.names);
    free(h.ends);
    return (struct hints){.names = NULL};
}

static void add_hint(struct hints *h, const struct catalog_object *o)
{
    if (!h->names)
        return;
    name_format(&o->name, h->names[h->count]);
    h->ends[h->count] = (struct store_end){h->names[h->count], object_end_bytes(o->size)};
    h->count++;
}

/* Those of level 0 with `after` < min <= `upto`. */
static void add_level0(struct hints *h, const struct catalog *c, uint64_t after, uint64_t upto)
{
    for (size_t i = 0; i < c->level0_count; i++)
        if (c->level0[i].name.min > after && c->level0[i].name.min <= upto)
            add_hint(h, &c->level0[i]);
}

static void give_hints(struct hints *h, const struct catalog *c)
{
    if (h->names)
        store_prefetch(c->store, h->ends, h->count);
    free(h->names);
    free(h->ends);
}

void catalog_prefetch(const struct catalog *c)
{
    struct hints h = begin_hints(c);
    add_level0(&h, c, 0, UINT64_MAX);
    give_hints(&h, c);
}

const struct catalog_object *catalog_newest_base(const struct catalog *c, uint64_t txid)
{
    const struct catalog_object *base = NULL;
    for (size_t i = 0; i < c->marker_count; i++)
        if (c->markers[i].name.start <= txid && (!base || c->markers[i].name.start > base->name.start))
            base = &c->markers[i];
    return base;
}

void catalog_prefetch_way(const struct catalog *c, uint64_t txid)
{
    const struct catalog_object *base = catalog_newest_base(c, txid);
    const size_t below = ways_upto(c->ways, txid);
    const uint64_t start = base ? base->name.start : 0;
    uint64_t pos = start;
    struct hints h = begin_hints(c);
    if (base)
        add_hint(&h, base);
    for (const struct ways_place *p = NULL; (p = ways_best(c->ways, INCOMPLETE_TOO, pos, below)); pos = p->max)
        add_hint(&h, &c->levels[p->index]);
    add_level0(&h, c, pos > start || pos == 0 ? pos : pos - 1, txid); /* it has the record of the start of the base */
    give_hints(&h, c);
}

void catalog_hold(const struct catalog *c)
{
    const size_t all = catalog_segment_count(c);
    bool packs = false;
    for (size_t i = 0; i < c->level0_count && !packs; i++)
        packs = c->level0[i].name.kind == NAME_PACK;
    char(*names)[NAME_MAX_BYTES] = packs ? malloc(all * sizeof *names) : NULL;
    const char **keys = packs ? malloc(all * sizeof *keys) : NULL;
    size_t count = 0;
    for (size_t i = 0; names && keys && i < all; i++) {
        name_format(&catalog_segment(c, i)->name, names[count]);
        keys[count] = names[count];
        count++;
    }
    if (count > 0)
        store_hold(c->store, keys, count);
    free(names);
    free(keys);
}

/* ---- level 0, then levels */

size_t catalog_segment_count(const struct catalog *c)
{
    return c->level0_count + c->level_count;
}

struct catalog_object *catalog_segment(const struct catalog *c, size_t index)
{
    assert(index < catalog_segment_count(c));
    return index < c->level0_count ? &c->level0[index] : &c->levels[index - c->level0_count];
}

size_t catalog_segment_index(const struct catalog *c, const struct catalog_object *segment)
{
    const bool level0 = segment->name.kind != NAME_LEVEL;
    const size_t at = (size_t)(segment - (level0 ? c->level0 : c->levels));
    assert(at < (level0 ? c->level0_count : c->level_count));
    return level0 ? at : c->level0_count + at;
}

/* ---- searching */

struct catalog_object *catalog_head(const struct catalog *c)
{
    return c->level0_count ? &c->level0[c->level0_count - 1] : NULL;
}

struct level0_query {
    const struct catalog_object *level0;
    uint64_t txid;
};

static bool begins_after(const void *context, size_t index)
{
    const struct level0_query *q = context;
    return q->level0[index].name.min > q->txid;
}

struct catalog_object *catalog_level0_at(const struct catalog *c, uint64_t txid)
{
    const struct level0_query q = {c->level0, txid};
    size_t behind = search_first(c->level0_count, begins_after, &q);
    return behind ? &c->level0[behind - 1] : NULL;
}

struct catalog_object *catalog_seek(const struct catalog *c, const struct name *name)
{
    struct catalog all = *c; /* a copy, since list_of returns addresses that may be written to */
    size_t *count = NULL;
    struct catalog_object **list = list_of(&all, name->kind == NAME_PACK ? NAME_LEVEL0 : name->kind, &count);
    return list ? seek_in(*list, *count, name) : NULL;
}

static bool is_of_name(const struct catalog_object *o, const struct name *name)
{
    return o && o->name.kind == name->kind && compare_names(&o->name, name) == 0;
}

struct catalog_object *catalog_find(const struct catalog *c, const struct name *name)
{
    struct catalog_object *o = catalog_seek(c, name);
    if (!is_of_name(o, name) && (name->kind == NAME_LEVEL0 || name->kind == NAME_PACK))
        o = seek_in(c->packed, c->packed_count, name);
    return is_of_name(o, name) ? o : NULL;
}

bool catalog_has_all(const struct catalog *c, const struct segment *s)
{
    for (uint32_t i = 0; i < s->trailer.list_count; i++) {
        const struct name name = name_parse(s->list[i].name);
        const struct catalog_object *o = catalog_find(c, &name);
        if (!o || o->size != s->list[i].size)
            return false;
    }
    return true;
}

int catalog_has(const struct catalog *c, const char *key, uint64_t size, bool *ret_has, struct err *e)
{
    const struct name name = name_parse(key);
    const struct catalog_object *o = catalog_find(c, &name);
    struct buf tail = BUF_INIT(1);
    uint64_t found = 0;
    *ret_has = o && o->size == size;
    if (*ret_has)
        return 0;
    int rc = store_read_tail(c->store, key, 1, &tail, &found, e);
    buf_release(&tail);
    if (rc != 0)
        return e->code == ERR_NOTFOUND ? 0 : -1;
    *ret_has = found == size;
    return 0;
}
