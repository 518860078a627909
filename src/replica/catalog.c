/* replica/catalog.c */
#include "replica/catalog.h"

#include "base/array.h"
#include "base/claim.h"
#include "base/search.h"
#include "replica/ways.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* ---- listing */

struct list_context {
    struct catalog *catalog;
    size_t caps[NAME_PART + 1]; /* of the list of each kind */
    char last[STORE_KEY_MAX];   /* the last key of the replica */
    bool ascending;             /* the keys of the replica come in ascending order, each once */
    struct err *e;
    int rc;
};

/* The list of one kind; NULL if objects of this kind are not listed. *ret_count: the address of its count. */
static struct catalog_object **list_of(struct catalog *c, enum name_kind kind, size_t **ret_count)
{
    switch (kind) {
    case NAME_LEVEL0:
        *ret_count = &c->level0_count;
        return &c->level0;
    case NAME_LEVEL:
        *ret_count = &c->level_count;
        return &c->levels;
    case NAME_MARKER:
        *ret_count = &c->marker_count;
        return &c->markers;
    case NAME_CHUNK:
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
    if (array_reserve(list, &l->caps[o->name.kind], *count + 1, sizeof **list, l->e))
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
    if (writer_note_is_key(entry->key)) /* nothing depends on it */
        return 0;
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
    for (int kind = NAME_LEVEL0; rc == 0 && !l.ascending && kind <= NAME_PART; kind++)
        rc = sort_list(c, (enum name_kind)kind, e);
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
    int rc = replica_identity_read(c->store, &c->identity, e);
    if (rc != 0 && e->code == ERR_NOTFOUND)
        e->code = ERR_GONE; /* it was listed: ERR_NOTFOUND would say that there is no replica */
    return rc;
}

int catalog_open(struct catalog *c, struct store *store, struct codec *codec, struct err *e)
{
    if (catalog_list(c, store, codec, e))
        return -1;
    if (read_identity(c, e) == 0)
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
    release_objects(c->levels, c->level_count);
    release_objects(c->markers, c->marker_count);
    free(c->chunks);
    free(c->parts);
    ways_free(c->ways);
    *c = (struct catalog){0};
}

/* ---- records */

static int check_object(const struct catalog *c, const struct catalog_object *o, const struct segment *s, struct err *e)
{
    if (!object_fits_name(&o->name, &s->trailer.info))
        return err_set(e, ERR_CORRUPT, 0, "its trailer does not fit its key");
    if (!uid_equal(&s->trailer.info.database, &c->identity.database))
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
    assert(o->name.kind == NAME_LEVEL0 || o->name.kind == NAME_LEVEL || o->name.kind == NAME_MARKER);
    if (o->segment)
        return 0;
    name_format(&o->name, key);
    if (object_load(c->store, key, c->codec, SEGMENT_WANT_RECORDS, &s, e)) {
        if (e->code == ERR_NOTFOUND)
            e->code = ERR_GONE;
        return -1;
    }
    struct segment *kept = malloc(sizeof *kept);
    int rc = kept ? check_object(c, o, &s, e) : err_nomem(e, sizeof *kept);
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

void catalog_prefetch(const struct catalog *c, uint64_t after, uint64_t upto)
{
    char(*names)[NAME_MAX_BYTES] = malloc((c->level0_count + 1) * sizeof *names);
    const char **keys = malloc((c->level0_count + 1) * sizeof *keys);
    size_t count = 0;
    assert(after <= upto);
    for (size_t i = 0; names && keys && i < c->level0_count; i++)
        if (c->level0[i].name.min > after && c->level0[i].name.min <= upto) {
            name_format(&c->level0[i].name, names[count]);
            keys[count] = names[count];
            count++;
        }
    if (names && keys)
        store_prefetch(c->store, keys, count);
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
    const bool level0 = segment->name.kind == NAME_LEVEL0;
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

struct name_query {
    const struct catalog_object *list;
    const struct name *name;
};

static bool is_not_before(const void *context, size_t index)
{
    const struct name_query *q = context;
    return compare_names(&q->list[index].name, q->name) >= 0;
}

struct catalog_object *catalog_seek(const struct catalog *c, const struct name *name)
{
    struct catalog all = *c; /* a copy, since list_of returns addresses that may be written to */
    size_t *count = NULL;
    struct catalog_object **list = list_of(&all, name->kind, &count);
    if (!list)
        return NULL;
    const struct name_query q = {*list, name};
    size_t first = search_first(*count, is_not_before, &q);
    return first < *count ? *list + first : NULL;
}

struct catalog_object *catalog_find(const struct catalog *c, const struct name *name)
{
    struct catalog_object *o = catalog_seek(c, name);
    return o && compare_names(&o->name, name) == 0 ? o : NULL;
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
