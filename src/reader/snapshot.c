/* reader/snapshot.c */
#include "reader/snapshot.h"

#include "base/hash.h"
#include "base/page.h"
#include "base/thread.h"
#include "base/trial.h"
#include "format/patch.h"
#include "reader/blocks.h"
#include "reader/interior_pages.h"
#include "replica/points.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLANS_MAX 4

/* ---- life */

static void release_chunks(struct chunk_list *c)
{
    if (c && atomic_fetch_sub(&c->users, 1) == 1)
        free(c);
}

struct snapshot *snapshot_retain(struct snapshot *s)
{
    atomic_fetch_add(&s->users, 1);
    return s;
}

void snapshot_release(struct snapshot *s)
{
    if (!s || atomic_fetch_sub(&s->users, 1) != 1)
        return;
    release_chunks(s->chunks);
    for (size_t i = 0; i < s->layer_count; i++)
        layer_release(s->layers[i]);
    origin_release(s->origin);
    free(s);
}

static struct snapshot *new_snapshot(struct origin *origin, struct err *e)
{
    struct snapshot *s = calloc(1, sizeof *s);
    if (!s) {
        err_nomem(e, sizeof *s);
        return NULL;
    }
    atomic_init(&s->users, 1);
    s->origin = origin_retain(origin);
    return s;
}

/* ---- from a plan */

static int take_chunks(struct snapshot *s, const struct plan *p, struct err *e)
{
    size_t count = 0;
    while (count < p->source_count && p->sources[count].kind == OBJECT_CHUNK)
        count++;
    if (count == 0)
        return 0;
    struct chunk_list *c = calloc(1, sizeof *c + count * sizeof c->list[0]);
    if (!c)
        return err_nomem(e, count * sizeof c->list[0]);
    atomic_init(&c->users, 1);
    c->count = count;
    s->chunks = c;
    for (size_t i = 0; i < count; i++) {
        const struct plan_source *from = &p->sources[i];
        struct chunk *to = &c->list[i];
        memcpy(to->key, from->key, sizeof to->key);
        memcpy(to->id, from->digest.bytes, sizeof to->id);
        to->size = from->size;
        to->max = from->max;
        to->first_page = from->first_page;
        to->last_page = from->last_page;
        if (to->first_page == 0 || to->last_page < to->first_page || (i > 0 && to->first_page <= to[-1].last_page))
            return err_set(e, ERR_CORRUPT, 0, "object '%s': its base says a range of pages that can't be", to->key);
    }
    return 0;
}

static int check_source(const struct plan_source *source, const struct segment *segment, const struct plan *p,
                        struct err *e)
{
    const struct segment_info *i = &segment->trailer.info;
    if (i->kind != source->kind || i->max != source->max || segment->trailer.object_size != source->size)
        return err_set(e, ERR_CORRUPT, 0, "object '%s' has another kind, size or txid than the replica says",
                       source->key);
    if (i->page_size != p->page_size || !uid_equal(&i->database, &p->database))
        return err_set(e, ERR_CORRUPT, 0, "object '%s' belongs to another database", source->key);
    return 0;
}

static int add_source(struct origin *o, const struct plan *p, size_t i, struct codec *codec, struct layer *l,
                      struct err *e)
{
    const struct plan_source *source = &p->sources[i];
    struct segment segment = {0};
    if (object_load(o->store, source->key, codec, SEGMENT_WANT_ALL, &segment, e))
        return store_listed_is_gone(e);
    atomic_fetch_add(&o->requests, 1);
    int rc = check_source(source, &segment, p, e);
    segment_drop_records(&segment);
    if (rc == 0)
        rc = layer_add(l, i, source->key, &segment, e);
    segment_release(&segment);
    return rc;
}

static void prefetch(const struct origin *o, const struct plan *p, size_t first)
{
    struct store_end *ends = malloc((p->source_count + 1) * sizeof *ends);
    size_t count = 0;
    for (size_t i = p->source_count; ends && i-- > first;)
        ends[count++] = (struct store_end){p->sources[i].key, object_end_bytes(p->sources[i].size)};
    if (ends)
        store_prefetch(o->store, ends, count);
    free(ends);
}

/* Reads the indexes of the segments, the newest first. */
static int take_segments(struct snapshot *s, const struct plan *p, struct err *e)
{
    const size_t chunks = s->chunks ? s->chunks->count : 0;
    struct layer *l = NULL;
    if (chunks == p->source_count)
        return 0;
    struct codec *codec = origin_take_codec(s->origin);
    int rc = codec ? layer_begin(p->record.txid, p->page_size, p->source_count, &l, e) : err_nomem(e, 0);
    prefetch(s->origin, p, chunks);
    for (size_t i = p->source_count; rc == 0 && i-- > chunks;)
        rc = add_source(s->origin, p, i, codec, l, e);
    if (codec)
        origin_give_codec(s->origin, codec);
    if (rc) {
        layer_release(l);
        return -1;
    }
    layer_end(l);
    s->layers[s->layer_count++] = l;
    return 0;
}

/* The loaded marker of the base of a plan; NULL: it has none, or the marker is not in memory any more. */
static const struct segment *marker_of(const struct catalog *c, const struct plan *p)
{
    const bool base = p->source_count > 0 && p->sources[0].kind == OBJECT_CHUNK;
    const struct name chunk = base ? name_parse(p->sources[0].key) : (struct name){.kind = NAME_OTHER};
    const struct name name = {.kind = NAME_MARKER, .start = chunk.start, .run = chunk.run};
    const struct catalog_object *marker = base ? catalog_find(c, &name) : NULL;
    return marker ? marker->segment : NULL;
}

static void take_interior(struct snapshot *s, const struct segment *marker)
{
    if (marker && s->chunks)
        s->chunks->has_interior = interior_id(marker, s->chunks->interior);
}

static int of_plan(struct origin *o, const struct plan *p, struct snapshot **ret_snapshot, struct err *e)
{
    struct snapshot *s = new_snapshot(o, e);
    if (!s)
        return -1;
    s->record = p->record;
    s->page_size = p->page_size;
    s->database = p->database;
    if (take_chunks(s, p, e) || take_segments(s, p, e)) {
        snapshot_release(s);
        return -1;
    }
    *ret_snapshot = s;
    return 0;
}

/* ---- from a replica */

static int note_head(struct catalog *c, struct snapshot *s, struct err *e)
{
    struct catalog_object *head = catalog_head(c);
    if (!head)
        return 0;
    if (catalog_load(c, head, e))
        return -1;
    s->head_min = head->name.min;
    s->head_max = head->segment->trailer.info.max;
    s->head_size = head->size;
    return 0;
}

static int open_listed(struct origin *o, struct catalog *c, const struct moment *m, struct snapshot **ret_snapshot,
                       struct err *e)
{
    uint64_t txid = m->kind == MOMENT_TXID ? m->txid : POINT_NEWEST;
    struct plan plan = {0};
    struct snapshot *s = NULL;
    struct interior_fetch interior = {.origin = NULL};
    if (m->kind == MOMENT_TIME && points_at_time(c, m->time_ms, &txid, e))
        return -1;
    const struct catalog_object *base = catalog_newest_base(c, txid);
    if (base)
        interior_fetch_begin(&interior, o, c, base);
    catalog_prefetch_way(c, txid);
    int rc = points_plan(c, txid, &plan, e);
    if (rc == 0)
        rc = of_plan(o, &plan, &s, e);
    interior_fetch_end(&interior, base ? base->segment : NULL);
    if (rc == 0)
        take_interior(s, marker_of(c, &plan));
    if (rc == 0)
        rc = note_head(c, s, e);
    plan_release(&plan);
    if (rc) {
        snapshot_release(s);
        return -1;
    }
    *ret_snapshot = s;
    return 0;
}

static struct catalog_object *first_pack(const struct catalog *c)
{
    for (size_t i = 0; i < c->level0_count; i++)
        if (c->level0[i].name.kind == NAME_PACK)
            return &c->level0[i];
    return NULL;
}

/* Something is damaged. What packs have is often there a second time, in levels. */
static int open_past_packs(struct origin *o, struct catalog *c, const struct moment *m, struct snapshot **ret_snapshot)
{
    struct err without;
    struct catalog_object *pack = first_pack(c);
    if (!pack)
        return -1;
    for (; pack; pack = first_pack(c))
        if (catalog_set_aside(c, pack, &without))
            return -1;
    return open_listed(o, c, m, ret_snapshot, &without);
}

static void *read_identity_ahead(void *context)
{
    const struct store_end end = {NAME_IDENTITY, 1};
    store_prefetch(context, &end, 1);
    return NULL;
}

/* As catalog_open. A slow store is asked for the identity and for the listing at the same time. */
static int open_catalog(struct catalog *c, struct store *store, struct codec *codec, struct err *e)
{
    pthread_t ahead;
    const bool running = store->slow && thread_start(&ahead, read_identity_ahead, store) == 0;
    int rc = catalog_list(c, store, codec, e);
    if (running)
        pthread_join(ahead, NULL);
    if (rc == 0 && (rc = catalog_identify(c, e)))
        catalog_release(c);
    return rc;
}

static int open_once(struct origin *o, const struct moment *m, struct snapshot **ret_snapshot, struct err *e)
{
    struct catalog c;
    struct codec *codec = origin_take_codec(o);
    int rc = codec ? open_catalog(&c, o->store, codec, e) : err_nomem(e, 0);
    if (rc == 0) {
        rc = open_listed(o, &c, m, ret_snapshot, e);
        if (rc != 0 && e->code == ERR_CORRUPT)
            rc = open_past_packs(o, &c, m, ret_snapshot);
        catalog_release(&c);
    }
    if (codec)
        origin_give_codec(o, codec);
    return rc;
}

int snapshot_open(struct origin *origin, const struct moment *moment, struct snapshot **ret_snapshot, struct err *e)
{
    struct snapshot *s = NULL;
    int rc = open_once(origin, moment, &s, e);
    for (int tries = 1; rc != 0 && e->code == ERR_GONE && tries < PLANS_MAX; tries++)
        rc = open_once(origin, moment, &s, e);
    if (rc == 0 && (!page_size_valid(s->page_size) || s->record.pages == 0)) {
        snapshot_release(s);
        return err_set(e, ERR_NOTFOUND, 0, "the database is empty at that moment");
    }
    if (rc == 0)
        *ret_snapshot = s;
    return rc;
}

/* ---- the next object of level 0 */

/* Whether the segment continues the snapshot so that no plan is needed. */
static bool continues(const struct snapshot *s, const struct segment *next)
{
    const struct segment_info *i = &next->trailer.info;
    return i->kind == OBJECT_SEGMENT && i->level == 0 && i->min == s->head_max + 1 && s->head_max == s->record.txid &&
           !(i->flags & (SEGMENT_FROM_EMPTY | SEGMENT_BASE_ONLY | SEGMENT_IN_PARTS)) && next->trailer.list_count == 0 &&
           i->page_size == s->page_size && uid_equal(&i->database, &s->database) &&
           i->checksum_before == s->record.checksum && next->trailer.record_count > 0;
}

static int add_layers(struct snapshot *next, const struct snapshot *s, struct layer *l, struct err *e)
{
    for (size_t i = 0; i < s->layer_count; i++)
        next->layers[next->layer_count++] = layer_retain(s->layers[i]);
    while (next->layer_count > 0 && 2 * l->count >= next->layers[next->layer_count - 1]->count) {
        struct layer *older = next->layers[next->layer_count - 1], *merged = NULL;
        if (layer_merge(older, l, &merged, e)) {
            layer_release(l);
            return -1;
        }
        layer_release(older);
        layer_release(l);
        next->layer_count--;
        l = merged;
    }
    if (next->layer_count == SNAPSHOT_LAYERS_MAX) {
        layer_release(l);
        return err_set(e, ERR_LIMIT, 0, "more than %d layers", SNAPSHOT_LAYERS_MAX);
    }
    next->layers[next->layer_count++] = l;
    return 0;
}

static int continue_with(const struct snapshot *s, const char *key, struct segment *segment, struct snapshot **ret_next,
                         struct err *e)
{
    const struct segment_info info = segment->trailer.info;
    struct layer *l = NULL;
    struct snapshot *next = new_snapshot(s->origin, e);
    if (!next)
        return -1;
    next->record = segment->records[segment->trailer.record_count - 1];
    next->page_size = s->page_size;
    next->database = s->database;
    next->chunks = s->chunks;
    if (next->chunks)
        atomic_fetch_add(&next->chunks->users, 1);
    next->head_min = info.min;
    next->head_max = info.max;
    next->head_size = segment->trailer.object_size;
    int rc = next->record.pages > 0 ? layer_begin(info.max, s->page_size, 1, &l, e) : -1;
    if (next->record.pages == 0)
        rc = err_set(e, ERR_GONE, 0, "object '%s': an empty database", key);
    if (rc == 0 && (rc = layer_add(l, 0, key, segment, e)))
        layer_release(l);
    if (rc == 0) {
        layer_end(l);
        rc = add_layers(next, s, l, e);
    }
    if (rc) {
        snapshot_release(next);
        return -1;
    }
    *ret_next = next;
    return 0;
}

int snapshot_advance(const struct snapshot *s, struct snapshot **ret_next, struct err *e)
{
    const struct name name = {.kind = NAME_LEVEL0, .min = s->head_max + 1};
    struct codec *codec = origin_take_codec(s->origin);
    struct segment segment = {0};
    char key[NAME_MAX_BYTES];
    *ret_next = NULL;
    if (!codec)
        return err_nomem(e, 0);
    name_format(&name, key);
    int rc = object_load(s->origin->store, key, codec, SEGMENT_WANT_ALL, &segment, e);
    origin_give_codec(s->origin, codec);
    if (rc)
        return e->code == ERR_NOTFOUND ? 0 : -1;
    if (continues(s, &segment) || !RULE(reader_continues))
        rc = continue_with(s, key, &segment, ret_next, e);
    else
        rc = err_set(e, ERR_GONE, 0, "object '%s' does not continue txid %" PRIu64, key, s->record.txid);
    segment_release(&segment);
    return rc;
}

/* What a listing that begins before the head has. */
struct head_look {
    uint64_t min, size;
    unsigned found;
    enum snapshot_age age;
};

static int note_entry(void *context, const struct store_entry *entry)
{
    struct head_look *l = context;
    const struct name name = name_parse(entry->key);
    if (name.kind != NAME_LEVEL0)
        return 0;
    if (l->found++ == 0)
        l->age = name.min == l->min && entry->size == l->size ? SNAPSHOT_NEWEST : SNAPSHOT_FOREIGN;
    else
        l->age = l->age == SNAPSHOT_NEWEST ? SNAPSHOT_OLD : l->age;
    return l->found == 2;
}

int snapshot_look(const struct snapshot *s, enum snapshot_age *ret_age, struct err *e)
{
    const struct name name = {.kind = NAME_LEVEL0, .min = s->head_min ? s->head_min - 1 : 0};
    struct head_look look = {.min = s->head_min, .size = s->head_size, .age = SNAPSHOT_FOREIGN};
    char key[NAME_MAX_BYTES];
    name_format(&name, key);
    if (store_list(s->origin->store, NAME_LEVEL0_PREFIX, key, note_entry, &look, e))
        return -1;
    *ret_age = look.age;
    return 0;
}
