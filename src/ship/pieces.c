/* ship/pieces.c - objects beside level 0, built and put: parts, chunks and markers of bases, compacted segments. */
#include "base/invariant.h"
#include "base/trial.h"
#include "ship/destination.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what is named has to be there */

struct presence {
    const struct copy *copy;
    size_t count; /* of its objects, that are looked for */
    bool *there;
};

static int note_listed(void *context, const struct store_entry *entry)
{
    struct presence *p = context;
    for (size_t i = 0; i < p->count; i++)
        if (!p->there[i] && p->copy->list[i].size == entry->size && strcmp(p->copy->list[i].name, entry->key) == 0) {
            p->there[i] = true;
            break;
        }
    return 0;
}

/* What the listing does not show is asked for: listings may lag. */
static int check_one(struct destination *d, const struct listed *object, struct err *e)
{
    struct buf tail = BUF_INIT(1);
    uint64_t size = 0;
    int rc = store_read_tail(d->store, object->name, 1, &tail, &size, e);
    buf_release(&tail);
    if (rc != 0 && e->code != ERR_NOTFOUND)
        return -1;
    if (rc == 0 && size == object->size)
        return 0;
    return err_set(e, ERR_CONFLICT, 0, "object '%s' is not there any more", object->name);
}

/* Retention, by others, may have taken for given up what took so long: while this machine was suspended, or between two runs. All
 * of them have names that begin alike: of one base, or of one run. */
static int check_listed(struct destination *d, const struct copy *copy, size_t count, struct err *e)
{
    struct presence p = {.copy = copy, .count = count};
    char prefix[NAME_MAX_BYTES];
    if (count == 0)
        return 0;
    p.there = calloc(count, sizeof *p.there);
    if (!p.there)
        return err_nomem(e, count);
    snprintf(prefix, sizeof prefix, "%s", copy->list[0].name);
    *(strrchr(prefix, copy->kind == COPY_BASE ? '/' : '-') + 1) = 0;
    int rc = store_list(d->store, prefix, "", note_listed, &p, e);
    for (size_t i = 0; rc == 0 && i < count; i++)
        if (!p.there[i])
            rc = check_one(d, &copy->list[i], e);
    free(p.there);
    return rc;
}

/* ---- objects */

/* One object: what is put under which name, and how to recognise it if it is there already. */
struct object {
    struct segment_info info;
    struct name name;
    char key[NAME_MAX_BYTES];
    const struct piece *piece; /* NULL: no pages */
    struct segment_content content;
    struct digest digest;
    uint64_t size;
};

typedef bool is_ours_fn(const struct object *o, const struct segment *found);

/* Under its name lies something: put by a try of ours whose answer was lost? Then that is named from here on. */
static int take_existing(struct destination *d, const struct author *a, struct object *o, is_ours_fn *is_ours,
                         struct err *e)
{
    struct segment s;
    if (object_load_whole(d->store, o->key, a->codec, &s, &o->digest, e))
        return -1;
    bool ours = object_fits_name(&o->name, &s.trailer.info) && uid_equal(&s.trailer.info.database, &o->info.database) &&
                is_ours(o, &s);
    o->info = s.trailer.info;
    o->size = s.trailer.object_size;
    segment_release(&s);
    return ours ? 0 : err_set(e, ERR_CONFLICT, 0, "object '%s' is there already, and is not this one", o->key);
}

static int put_object(struct destination *d, const struct author *a, struct object *o, is_ours_fn *is_ours,
                      struct err *e)
{
    struct segment_writer w = {0};
    struct buf bytes = BUF_INIT(SEGMENT_BYTES_MAX);
    o->content.info = &o->info;
    name_format(&o->name, o->key);
    int rc = segment_writer_init(&w, a->codec, o->info.page_size, e);
    if (rc == 0 && o->piece)
        rc = destination_add_piece(&w, o->piece, e);
    if (rc == 0)
        rc = segment_writer_finish(&w, &o->content, &bytes, &o->digest, e);
    segment_writer_release(&w);
    o->size = bytes.len;
    if (rc == 0)
        rc = store_put_new(d->store, o->key, bytes.data, bytes.len, NULL, e);
    buf_release(&bytes);
    if (rc != 0 && e->code == ERR_EXISTS)
        return take_existing(d, a, o, is_ours, e);
    return rc;
}

static int begin(const struct destination *d, const struct author *a, const struct piece *piece, struct object *o,
                 struct err *e)
{
    *o = (struct object){.piece = piece};
    if (destination_info(d, a, &o->info, e))
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

/* The same range of the same base, as it was at some moment before. (No part's name comes twice.) */
static bool is_our_chunk(const struct object *o, const struct segment *found)
{
    const struct segment_info *i = &found->trailer.info;
    return i->kind == OBJECT_CHUNK && i->last_page == o->info.last_page && i->page_size == o->info.page_size &&
           i->max <= o->info.max;
}

int destination_put_piece(struct destination *d, const struct author *a, const struct piece *piece,
                          const struct copy *copy, struct listed *ret_listed, struct err *e)
{
    struct object o;
    if (begin(d, a, piece, &o, e))
        return -1;
    if (copy->kind == COPY_BASE) {
        INVARIANT(copy->start <= o.info.max, "a chunk at txid %" PRIu64 " of a base from %" PRIu64, o.info.max,
                  copy->start);
        o.info.kind = OBJECT_CHUNK;
        o.info.start = copy->start;
        o.info.run = copy->id;
        o.name =
            (struct name){.kind = NAME_CHUNK, .start = copy->start, .run = copy->id, .first_page = piece->first_page};
    } else {
        o.info.kind = OBJECT_PART;
        o.info.min = copy->after + 1;
        o.name = (struct name){.kind = NAME_PART, .run = a->run};
        memcpy(&o.name.number, o.info.nonce.bytes, sizeof o.name.number);
    }
    if (put_object(d, a, &o, is_our_chunk, e))
        return -1;
    *ret_listed = (struct listed){.size = o.size,
                                  .digest = o.digest,
                                  .first_page = o.info.first_page,
                                  .last_page = o.info.last_page,
                                  .max = o.info.max};
    snprintf(ret_listed->name, sizeof ret_listed->name, "%s", o.key);
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

/* Their ranges, side by side, are all pages of the base. */
static bool chunks_fill_base(const struct copy *copy)
{
    uint64_t next = 1;
    for (size_t i = 0; i < copy->list_count; i++) {
        if (copy->list[i].first_page != next || copy->list[i].last_page < next)
            return false;
        next = (uint64_t)copy->list[i].last_page + 1;
    }
    return copy->end_page > 0 && next == (uint64_t)copy->end_page + 1;
}

int destination_put_marker(struct destination *d, const struct author *a, const struct copy *copy, uint32_t page_size,
                           struct err *e)
{
    struct object o;
    uint64_t bytes = 0;
    if (begin(d, a, NULL, &o, e))
        return -1;
    o.info.kind = OBJECT_MARKER;
    o.info.run = copy->id;
    o.info.start = o.info.max = copy->start;
    o.info.page_size = page_size;
    o.info.first_page = copy->end_page ? 1 : 0;
    o.info.last_page = copy->end_page;
    for (size_t i = 0; i < copy->list_count; i++) {
        bytes += copy->list[i].size;
        if (copy->list[i].max > o.info.max)
            o.info.max = copy->list[i].max;
    }
    INVARIANT(o.info.max <= d->entry.durable_txid || !RULE(durable_first),
              "a base reaches txid %" PRIu64 ", the replica %" PRIu64, o.info.max, d->entry.durable_txid);
    o.name = (struct name){.kind = NAME_MARKER, .start = copy->start, .run = copy->id};
    o.content.list = copy->list;
    o.content.list_count = copy->list_count;
    if (!chunks_fill_base(copy))
        return err_set(e, ERR_CONFLICT, 0, "the chunks of the base from txid %" PRIu64 " leave out pages", copy->start);
    if (check_listed(d, copy, copy->resumed, e) || put_object(d, a, &o, is_our_marker, e))
        return -1;
    levels_note_base(&d->levels, o.info.max, bytes);
    return 0;
}

/* ---- compacted segments */

/* Whoever put it: it covers the same commits and leads to the same state. */
static bool is_same_segment(const struct object *o, const struct segment *found)
{
    return found->trailer.record_count == 1 && found->records[0].checksum == o->content.records[0].checksum &&
           found->trailer.info.page_size == o->info.page_size;
}

int destination_put_level(struct destination *d, const struct author *a, const struct piece *piece,
                          const struct copy *copy, uint64_t *ret_size, struct err *e)
{
    struct object o;
    const struct level_end *from = &d->levels.ends[copy->level];
    if (begin(d, a, piece, &o, e))
        return -1;
    INVARIANT(piece->record.txid == d->entry.durable_txid || !RULE(durable_first),
              "a segment of level %u to txid %" PRIu64 ", the head is %" PRIu64, copy->level, piece->record.txid,
              d->entry.durable_txid);
    INVARIANT(copy->after == from->txid, "a segment of level %u from txid %" PRIu64 ", the last one ends at %" PRIu64,
              copy->level, copy->after, from->txid);
    o.info.kind = OBJECT_SEGMENT;
    o.info.level = copy->level;
    o.info.min = copy->after + 1;
    o.info.checksum_before = from->checksum;
    o.info.flags = copy->list_count ? SEGMENT_IN_PARTS : 0;
    o.name = (struct name){.kind = NAME_LEVEL, .level = copy->level, .min = o.info.min, .max = o.info.max};
    o.content = (struct segment_content){
        .records = &piece->record, .record_count = 1, .list = copy->list, .list_count = copy->list_count};
    uint64_t bytes = 0;
    for (size_t i = 0; i < copy->list_count; i++)
        bytes += copy->list[i].size;
    struct level_end end = {.txid = piece->record.txid, .checksum = piece->record.checksum};
    if (check_listed(d, copy, copy->list_count, e) || put_object(d, a, &o, is_same_segment, e))
        return -1;
    levels_note_segment(&d->levels, copy->level, &end, bytes + o.size);
    *ret_size = o.size;
    return 0;
}
