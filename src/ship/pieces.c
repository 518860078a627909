/* ship/pieces.c - builds and puts the objects beside level 0: parts, chunks and markers of bases, compacted
 * segments. */
#include "base/invariant.h"
#include "base/trial.h"
#include "replica/losses.h"
#include "ship/destination.h"
#include "ship/found_interior.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- checks that the objects of a list still exist */

struct presence {
    const struct listed *list;
    size_t count;
    bool *there;
};

static int note_listed(void *context, const struct store_entry *entry)
{
    struct presence *p = context;
    for (size_t i = 0; i < p->count; i++)
        if (!p->there[i] && p->list[i].size == entry->size && strcmp(p->list[i].name, entry->key) == 0) {
            p->there[i] = true;
            break;
        }
    return 0;
}

/* Reads an object that the listing lacks, because a listing can lag. */
static int check_one(struct store *store, const struct listed *object, struct err *e)
{
    struct buf tail = BUF_INIT(1);
    uint64_t size = 0;
    int rc = store_read_tail(store, object->name, 1, &tail, &size, e);
    buf_release(&tail);
    if (rc != 0 && e->code != ERR_NOTFOUND)
        return -1;
    if (rc == 0 && size == object->size)
        return 0;
    return err_set(e, ERR_CONFLICT, 0, "object '%s' does not exist any more", object->name);
}

/* Checks the first `count` objects of a copy. The retention of another process deletes parts and chunks that no object
 * has named for a long time. This copy may have taken that long: the machine was suspended, or an earlier run began it.
 * The names of the objects begin alike, because they belong to one base or one run. */
static int check_listed(struct store *store, const struct copy *copy, size_t count, struct err *e)
{
    const struct listed *list = copy->objects.list;
    struct presence p = {.list = list, .count = count};
    char prefix[NAME_MAX_BYTES];
    if (count == 0)
        return 0;
    p.there = calloc(count, sizeof *p.there);
    if (!p.there)
        return err_nomem(e, count);
    snprintf(prefix, sizeof prefix, "%s", list[0].name);
    *(strrchr(prefix, copy->terms.kind == COPY_BASE ? '/' : '-') + 1) = 0;
    int rc = store_list(store, prefix, "", note_listed, &p, e);
    for (size_t i = 0; rc == 0 && i < count; i++)
        if (!p.there[i])
            rc = check_one(store, &list[i], e);
    free(p.there);
    return rc;
}

/* ---- objects */

/* An object and its name. */
struct object {
    struct segment_info info;
    struct name name;
    char key[NAME_MAX_BYTES];
    const struct piece *piece;       /* its pages; NULL: none */
    const struct interior *interior; /* its pages; NULL: none */
    struct store *store;             /* of interior pages: where the chunks of their base are, */
    struct codec *codec;
    const struct copy_objects *chunks; /* and which these are */
    struct segment_content content;
    struct digest digest;
    uint64_t size;
};

/* Whether the object that was found under the key of `o` is the object that we would put. */
typedef bool is_ours_fn(const struct object *o, const struct segment *found);

/* The key exists already. If an earlier try of ours put that object, *o becomes that object. */
static int take_existing(const struct destination_place *p, const struct author *a, struct object *o,
                         is_ours_fn *is_ours, struct err *e)
{
    struct segment s;
    if (object_load_whole(p->store, o->key, a->codec, &s, &o->digest, e))
        return -1;
    bool ours = object_fits_name(&o->name, &s.trailer.info) && uid_equal(&s.trailer.info.database, &o->info.database) &&
                is_ours(o, &s);
    o->info = s.trailer.info;
    o->size = s.trailer.object_size;
    segment_release(&s);
    if (!ours)
        return err_set(e, ERR_CONFLICT, 0, "another object is under the key '%s' already", o->key);
    return store_confirm(p->store, o->key, e);
}

static int put_object(const struct destination_place *p, const struct author *a, struct object *o, is_ours_fn *is_ours,
                      struct err *e)
{
    struct segment_writer w = {0};
    struct buf bytes = BUF_INIT(SEGMENT_BYTES_MAX);
    o->content.info = &o->info;
    name_format(&o->name, o->key);
    int rc = segment_writer_init(&w, a->codec, o->info.page_size, e);
    w.small = o->name.kind == NAME_LEVEL || o->name.kind == NAME_PART;
    if (rc == 0 && o->piece)
        rc = destination_add_piece(&w, o->piece, e);
    for (size_t i = 0; rc == 0 && o->interior && i < o->interior->count; i++)
        rc = segment_writer_add(&w, &o->interior->pages[i].version, o->interior->pages[i].bytes, e);
    if (rc == 0)
        rc = segment_writer_finish(&w, &o->content, &bytes, &o->digest, e);
    segment_writer_release(&w);
    o->size = bytes.len;
    if (rc == 0)
        rc = store_put_new(p->store, o->key, bytes.data, bytes.len, NULL, e);
    buf_release(&bytes);
    if (rc != 0 && e->code == ERR_EXISTS)
        return take_existing(p, a, o, is_ours, e);
    return rc;
}

static int begin(const struct destination_place *p, const struct author *a, const struct piece *piece, struct object *o,
                 struct err *e)
{
    *o = (struct object){.piece = piece};
    if (author_info(a, &p->database, &o->info, e))
        return -1;
    if (piece) {
        o->info.page_size = piece->page_size;
        o->info.max = piece->record.txid;
        o->info.first_page = piece->first_page;
        o->info.last_page = piece->last_page;
    }
    return 0;
}

/* ---- parts and chunks */

/* The same range of the same base, read earlier. (The names of parts are random, so a part is never found.) */
static bool is_our_chunk(const struct object *o, const struct segment *found)
{
    const struct segment_info *i = &found->trailer.info;
    return i->kind == OBJECT_CHUNK && i->last_page == o->info.last_page && i->page_size == o->info.page_size &&
           i->max <= o->info.max;
}

int destination_put_piece(const struct destination_place *place, const struct author *a, const struct piece *piece,
                          const struct copy_terms *terms, struct listed *ret_listed, struct err *e)
{
    struct object o;
    assert(place->store && piece && terms->kind != COPY_NONE);
    if (begin(place, a, piece, &o, e))
        return -1;
    if (terms->kind == COPY_BASE) {
        INVARIANT(terms->start <= o.info.max, "a chunk at txid %" PRIu64 " of a base from %" PRIu64, o.info.max,
                  terms->start);
        o.info.kind = OBJECT_CHUNK;
        o.info.start = terms->start;
        o.info.run = terms->id;
        o.name =
            (struct name){.kind = NAME_CHUNK, .start = terms->start, .run = terms->id, .first_page = piece->first_page};
    } else {
        o.info.kind = OBJECT_PART;
        o.info.min = terms->after + 1;
        o.name = (struct name){.kind = NAME_PART, .run = a->run};
        memcpy(&o.name.number, o.info.nonce.bytes, sizeof o.name.number);
    }
    if (put_object(place, a, &o, is_our_chunk, e))
        return -1;
    *ret_listed = (struct listed){.size = o.size,
                                  .digest = o.digest,
                                  .first_page = o.info.first_page,
                                  .last_page = o.info.last_page,
                                  .max = o.info.max};
    snprintf(ret_listed->name, sizeof ret_listed->name, "%s", o.key);
    return 0;
}

/* ---- interior pages */

/* Pages that the chunks of this base have. An earlier run may have put them, or this one before its marker failed. */
static bool is_our_interior(const struct object *o, const struct segment *found)
{
    const struct segment_info *i = &found->trailer.info;
    struct err ignored; /* they are not named then */
    bool right = false;
    return i->page_size == o->info.page_size && i->max <= o->info.max &&
           found_interior_check(o->store, o->codec, o->key, o->chunks, &right, &ignored) == 0 && right;
}

/* Puts the interior pages of a base whose marker will be `marker`. If the base has some already, these count if they are
 * right. So they do if this run has none: it found all chunks there. *ret_digest: zeros if there are none. */
static int put_interior(const struct destination_place *place, const struct author *a, const struct copy *copy,
                        const struct segment_info *marker, struct digest *ret_digest, struct err *e)
{
    const struct interior *in = copy->objects.interior;
    const bool collected = in && in->count > 0;
    struct object o;
    *ret_digest = (struct digest){0};
    if (copy->objects.count < 2) /* what a base of one chunk has is found as fast in that */
        return 0;
    if (!collected && copy->objects.resumed == 0)
        return 0;
    if (begin(place, a, NULL, &o, e))
        return -1;
    o.interior = in;
    o.store = place->store;
    o.codec = a->codec;
    o.chunks = &copy->objects;
    o.info.kind = OBJECT_INTERIOR;
    o.info.run = marker->run;
    o.info.start = marker->start;
    o.info.max = marker->max;
    o.info.page_size = marker->page_size;
    o.info.first_page = collected ? in->pages[0].version.pgno : 0;
    o.info.last_page = collected ? in->pages[in->count - 1].version.pgno : 0;
    o.name = (struct name){.kind = NAME_INTERIOR, .start = marker->start, .run = marker->run};
    name_format(&o.name, o.key);
    if (collected ? put_object(place, a, &o, is_our_interior, e) : take_existing(place, a, &o, is_our_interior, e))
        return e->code == ERR_CANCELED ? -1 : 0; /* nothing depends on it: the base does not wait for it */
    *ret_digest = o.digest;
    return 0;
}

/* ---- markers */

static bool is_our_marker(const struct object *o, const struct segment *found)
{
    bool same = found->trailer.info.kind == OBJECT_MARKER && found->trailer.list_count == o->content.list_count;
    for (size_t i = 0; same && i < o->content.list_count; i++)
        same = digest_equal(&found->list[i].digest, &o->content.list[i].digest) &&
               strcmp(found->list[i].name, o->content.list[i].name) == 0;
    return same;
}

/* Whether the chunks cover every page of the base once, in order. */
static bool chunks_fill_base(const struct copy *copy)
{
    uint64_t next = 1;
    for (size_t i = 0; i < copy->objects.count; i++) {
        const struct listed *chunk = &copy->objects.list[i];
        if (chunk->first_page != next || chunk->last_page < next)
            return false;
        next = (uint64_t)chunk->last_page + 1;
    }
    return copy->terms.end_page > 0 && next == (uint64_t)copy->terms.end_page + 1;
}

/* Which restore points were lost, if this base is needed because objects were. *ret_min: as in the marker. */
static int find_loss(const struct destination *d, const struct author *a, uint64_t *ret_min, struct err *e)
{
    struct catalog c;
    *ret_min = 0;
    if (d->entry.base_owed <= 1)
        return 0;
    if (catalog_open(&c, d->store, a->codec, e))
        return -1;
    int rc = losses_before(&c, d->entry.base_owed, ret_min, e);
    catalog_release(&c);
    return rc == 0 ? 0 : err_wrap(e, "find the restore points that were lost");
}

int destination_put_marker(struct destination *d, const struct author *a, const struct copy *copy, struct err *e)
{
    const struct copy_terms *terms = &copy->terms;
    const struct copy_objects *chunks = &copy->objects;
    const struct destination_place place = destination_place(d);
    struct object o;
    uint64_t bytes = 0;
    assert(terms->kind == COPY_BASE);
    INVARIANT(d->state == DESTINATION_ATTACHED, "replica '%s': a marker is put in state %d", d->url, d->state);
    if (begin(&place, a, NULL, &o, e))
        return -1;
    o.info.kind = OBJECT_MARKER;
    o.info.run = terms->id;
    o.info.start = o.info.max = terms->start;
    o.info.page_size = terms->page_size;
    o.info.first_page = terms->end_page ? 1 : 0;
    o.info.last_page = terms->end_page;
    for (size_t i = 0; i < chunks->count; i++) {
        bytes += chunks->list[i].size;
        if (chunks->list[i].max > o.info.max)
            o.info.max = chunks->list[i].max;
    }
    INVARIANT(o.info.max <= d->entry.durable_txid || !RULE(durable_first),
              "a base reaches txid %" PRIu64 ", the replica %" PRIu64, o.info.max, d->entry.durable_txid);
    o.name = (struct name){.kind = NAME_MARKER, .start = terms->start, .run = terms->id};
    o.content.list = chunks->list;
    o.content.list_count = chunks->count;
    if (!chunks_fill_base(copy))
        return err_set(e, ERR_CONFLICT, 0, "the chunks of the base from txid %" PRIu64 " do not hold every page",
                       terms->start);
    if (check_listed(d->store, copy, chunks->resumed, e) || find_loss(d, a, &o.info.min, e) ||
        put_interior(&place, a, copy, &o.info, &o.info.digest_before, e) || put_object(&place, a, &o, is_our_marker, e))
        return -1;
    d->lost_first = o.info.min;
    d->lost_last = o.info.min ? o.info.max - 1 : 0;
    levels_note_base(&d->levels, o.info.max, bytes);
    d->entry.base_owed = 0;
    state_set_replica(a->state, d->index, &d->entry);
    return 0;
}

/* ---- compacted segments */

/* Whether the object covers the same commits and leads to the same state. It does not matter who put it. */
static bool is_same_segment(const struct object *o, const struct segment *found)
{
    return found->trailer.record_count == 1 && found->records[0].checksum == o->content.records[0].checksum &&
           found->trailer.info.page_size == o->info.page_size;
}

int destination_put_level(struct destination *d, const struct author *a, const struct piece *piece,
                          const struct copy *copy, uint64_t *ret_size, struct err *e)
{
    const struct copy_terms *terms = &copy->terms;
    const struct copy_objects *parts = &copy->objects;
    const struct destination_place place = destination_place(d);
    const struct level_end *from = &d->levels.ends[terms->level];
    struct object o;
    uint64_t bytes = 0;
    assert(terms->kind == COPY_LEVEL && piece->last && terms->level >= 1 && terms->level <= SEGMENT_LEVEL_MAX);
    INVARIANT(d->state == DESTINATION_ATTACHED, "replica '%s': a level is put in state %d", d->url, d->state);
    if (begin(&place, a, piece, &o, e))
        return -1;
    INVARIANT(piece->record.txid == d->entry.durable_txid || !RULE(durable_first),
              "a segment of level %u to txid %" PRIu64 ", the head is %" PRIu64, terms->level, piece->record.txid,
              d->entry.durable_txid);
    INVARIANT(terms->after == from->txid, "a segment of level %u from txid %" PRIu64 ", the last one ends at %" PRIu64,
              terms->level, terms->after, from->txid);
    o.info.kind = OBJECT_SEGMENT;
    o.info.level = terms->level;
    o.info.min = terms->after + 1;
    o.info.checksum_before = from->checksum;
    o.info.flags = parts->count ? SEGMENT_IN_PARTS : 0;
    o.name = (struct name){.kind = NAME_LEVEL, .level = terms->level, .min = o.info.min, .max = o.info.max};
    o.content = (struct segment_content){
        .records = &piece->record, .record_count = 1, .list = parts->list, .list_count = parts->count};
    for (size_t i = 0; i < parts->count; i++)
        bytes += parts->list[i].size;
    struct level_end end = {.txid = piece->record.txid, .checksum = piece->record.checksum};
    if (check_listed(d->store, copy, parts->count, e) || put_object(&place, a, &o, is_same_segment, e))
        return -1;
    levels_note_segment(&d->levels, terms->level, &end, bytes + o.size);
    *ret_size = o.size;
    return 0;
}
