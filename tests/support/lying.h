/* support/lying.h - replicas that lie: the checksums of each object are valid, but the objects may contradict each
 * other. For fuzzers, and for tests of the real program (replicatool).
 *
 * An object is described by LYING_FIELDS bytes, so that a fuzzer can choose them:
 *   kind and level | min | max | start | flags | first page | last page | pages | time | names | lie | page of the
 *   version | block
 * A byte below 240 is the number itself; a byte from 240 on is a number near the end of the range of its field.
 * BLOCK_TXIDS times the block is added to each txid. `names` says which objects before this one a marker, or a segment
 * in parts, names. `lie` overwrites a number of the trailer, and makes the checksum of the trailer right again. */
#ifndef TESTS_LYING_H
#define TESTS_LYING_H

#include "dice.h"
#include "object.h"

#include "base/page.h"
#include "format/names.h"
#include "replica/identity.h"
#include "storage/store.h"

#include <stdbool.h>

enum {
    LYING_FIELDS = 13,
    LYING_PAGE_BYTES = 512,
    LYING_PAGES_MAX = 300,
    LYING_NAMES_MAX = 64, /* in one object */
    LYING_BLOCK_TXIDS = 100,
};

enum lying_field {
    LYING_KIND,
    LYING_MIN,
    LYING_MAX,
    LYING_START,
    LYING_FLAGS,
    LYING_FIRST,
    LYING_LAST,
    LYING_PAGES,
    LYING_TIME,
    LYING_NAMES,
    LYING_LIE,
    LYING_PAGE,
    LYING_BLOCK,
};

struct lying {
    struct store *store; /* borrowed, like the codec */
    struct codec *codec;
    struct uid database;
    struct listed listed[LYING_NAMES_MAX]; /* the objects that were put last */
    size_t count;                          /* how many are in `listed` */
    uint64_t put;                          /* how many were put */
    struct digest head;
};

static inline void lying_must(bool condition, const char *what)
{
    if (!condition)
        fail_msg("a lying replica: %s\n", what);
}

/* An empty replica in an empty store. */
static inline void lying_begin(struct lying *l, struct store *store, struct codec *codec)
{
    struct replica_identity id;
    struct err e;
    *l = (struct lying){.store = store, .codec = codec};
    lying_must(replica_identity_obtain(store, NULL, &id, &e) == 0, "no identity");
    l->database = id.database;
}

static inline uint64_t lying_number(uint8_t byte)
{
    static const uint64_t odd[] = {0,          INT64_MAX,  INT64_MAX - 1, (uint64_t)INT64_MAX + 1,
                                   UINT64_MAX, UINT32_MAX, INT32_MAX,     UINT32_MAX - 1u,
                                   1u << 20,   0x80000000, UINT64_MAX - 1};
    return byte < 240 ? byte : odd[(byte - 240u) % (sizeof odd / sizeof odd[0])];
}

static inline uint64_t lying_txid(uint8_t byte, uint8_t block)
{
    return lying_number(byte) + (byte < 240 ? (uint64_t)LYING_BLOCK_TXIDS * block : 0);
}

static inline struct name lying_name(const struct segment_info *i)
{
    struct name n = {
        .level = i->level, .min = i->min, .max = i->max, .start = i->start, .run = i->run, .first_page = i->first_page};
    switch (i->kind) {
    case OBJECT_SEGMENT:
        n.kind = i->level ? NAME_LEVEL : i->flags == 0 && i->run.bytes[1] >= 2 ? NAME_PACK : NAME_LEVEL0;
        break;
    case OBJECT_PART:
        n.kind = NAME_PART;
        n.number = i->max;
        break;
    case OBJECT_CHUNK:
        n.kind = NAME_CHUNK;
        break;
    default:
        n.kind = NAME_MARKER;
    }
    return n;
}

static inline struct segment_info lying_info(const struct lying *l, const uint8_t *o)
{
    static const enum object_kind kinds[] = {OBJECT_SEGMENT, OBJECT_SEGMENT, OBJECT_PART,
                                             OBJECT_CHUNK,   OBJECT_MARKER,  OBJECT_MARKER};
    const size_t kind = (o[LYING_KIND] & 15) % (sizeof kinds / sizeof kinds[0]);
    const uint8_t block = o[LYING_BLOCK];
    struct segment_info i = {.kind = kinds[kind],
                             .flags = o[LYING_FLAGS] & SEGMENT_FLAGS_KNOWN,
                             .min = lying_txid(o[LYING_MIN], block),
                             .max = lying_txid(o[LYING_MAX], block),
                             .start = lying_txid(o[LYING_START], block),
                             .page_size = LYING_PAGE_BYTES,
                             .first_page = (uint32_t)lying_number(o[LYING_FIRST]),
                             .last_page = (uint32_t)lying_number(o[LYING_LAST]),
                             .time_ms = (int64_t)(lying_number(o[LYING_TIME]) & INT64_MAX),
                             .database = l->database,
                             .run = {{0x52, o[LYING_KIND] >> 6}},
                             .digest_before = l->head};
    if (kind == 1)
        i.level = 1 + (o[LYING_KIND] >> 4) % SEGMENT_LEVEL_MAX;
    if (i.kind == OBJECT_CHUNK || i.kind == OBJECT_MARKER)
        i.min = 0;
    else
        i.start = 0;
    return i;
}

/* Overwrites a number of the trailer. Most values of `byte` change nothing. */
static inline void lying_lie(struct buf *object, uint8_t byte)
{
    uint8_t *trailer = object->data + object->len - SEGMENT_TRAILER_BYTES;
    if (byte < 200)
        return;
    put_be64(trailer + (byte - 200u) * 8 % (TRAILER_CHECKSUM - 8), lying_number(byte));
    object_seal(object->data, object->len);
}

/* The objects that this one names: objects before it. The first may be named twice, or with a wrong size. */
static inline size_t lying_names(const struct lying *l, uint8_t byte, struct listed out[LYING_NAMES_MAX + 1])
{
    size_t n = 0;
    for (size_t i = byte % 8; i < l->count; i++)
        out[n++] = l->listed[i];
    if (n > 0 && byte & 64) {
        out[n] = out[0];
        n++;
    }
    if (n > 0 && byte & 128)
        out[0].size = lying_number(byte);
    return n;
}

static inline void lying_note(struct lying *l, const struct listed *made)
{
    if (l->count == LYING_NAMES_MAX) {
        memmove(l->listed, l->listed + 1, (LYING_NAMES_MAX - 1) * sizeof l->listed[0]);
        l->count--;
    }
    l->listed[l->count++] = *made;
    l->put++;
}

/* Puts an object. Does nothing if the object can't be made, or if its name is taken. */
static inline void lying_put(struct lying *l, const uint8_t o[LYING_FIELDS])
{
    static uint8_t page[LYING_PAGE_BYTES];
    static struct commit_record records[256];
    static struct listed list[LYING_NAMES_MAX + 1];
    struct object_parts p = {.info = lying_info(l, o), .records = records, .list = list, .payload = page};
    struct segment_info *i = &p.info;
    struct version v = {.pgno = 1 + o[LYING_PAGE] % LYING_PAGES_MAX, .kind = VERSION_IMAGE, .txid = i->max};
    struct digest digest;
    struct buf object = {0};
    struct err e;
    memset(page, 'a' + o[LYING_PAGE] % 3, sizeof page);
    v.hash = page_hash(v.pgno, page, sizeof page);
    bool full = i->kind == OBJECT_SEGMENT && i->level == 0 && !(i->flags & SEGMENT_LAST_ONLY) && i->min <= i->max &&
                i->max - i->min < 256;
    p.record_count = i->kind != OBJECT_SEGMENT ? 0 : full ? (size_t)(i->max - i->min + 1) : 1;
    for (size_t k = 0; k < p.record_count; k++)
        records[k] = (struct commit_record){.txid = full ? i->min + k : i->max,
                                            .time_ms = i->time_ms,
                                            .pages = (uint32_t)(lying_number(o[LYING_PAGES]) % LYING_PAGES_MAX),
                                            .checksum = v.hash};
    if (i->kind != OBJECT_MARKER && !(i->flags & SEGMENT_BASE_ONLY)) {
        p.versions = &v;
        p.version_count = 1;
    }
    if (i->kind == OBJECT_MARKER || i->flags & SEGMENT_IN_PARTS)
        p.list_count = lying_names(l, o[LYING_NAMES], list);
    const struct name name = lying_name(i);
    struct listed made = {.first_page = i->first_page, .last_page = i->last_page, .max = i->max};
    name_format(&name, made.name);
    if (object_make(l->codec, &p, &object, &digest, &e) == 0) {
        lying_lie(&object, o[LYING_LIE]);
        made.size = object.len;
        lying_must(digest_of(object.data, object.len, &made.digest, &e) == 0, "no digest");
        if (store_put_new(l->store, made.name, object.data, object.len, NULL, &e) == 0)
            lying_note(l, &made);
        if (name.kind == NAME_LEVEL0)
            l->head = made.digest;
    }
    buf_release(&object);
}

/* ---- descriptions at random */

enum lying_shape {
    LYING_TIDY,    /* level 0 without holes; levels and bases at random */
    LYING_OVERLAP, /* segments of all levels, anywhere */
    LYING_BASES,   /* bases and their chunks, which name each other */
    LYING_PARTS,   /* segments in parts, which share their parts */
    LYING_EMPTY,   /* each segment begins a history */
    LYING_ANY,     /* any fields */
    LYING_SHAPES,
};

/* Describes the object at `index` of `count`. */
static inline void lying_describe(struct dice *d, enum lying_shape shape, unsigned index, unsigned count,
                                  uint8_t out[LYING_FIELDS])
{
    /* segments of level 0 and above, parts, chunks, markers: see lying_info */
    static const uint8_t kinds[LYING_SHAPES][4] = {{1, 1, 3, 4}, {1, 1, 1, 0}, {3, 3, 4, 5},
                                                   {2, 2, 0, 1}, {0, 1, 0, 1}, {0, 1, 2, 3}};
    const unsigned history = shape == LYING_BASES ? count / 4 : count / 2, txid = index % LYING_BLOCK_TXIDS;
    const bool early = index < history;
    dice_fill(d, out, LYING_FIELDS);
    if (shape == LYING_ANY)
        return;
    out[LYING_KIND] = (uint8_t)(early ? 0 : kinds[shape][dice_below(d, 4)] | dice_below(d, 9) << 4);
    out[LYING_BLOCK] = (uint8_t)(index / LYING_BLOCK_TXIDS);
    out[LYING_MIN] = out[LYING_MAX] = (uint8_t)(1 + txid);
    if (!early) {
        out[LYING_BLOCK] = (uint8_t)dice_below(d, history / LYING_BLOCK_TXIDS + 1);
        out[LYING_MIN] = (uint8_t)(1 + dice_below(d, LYING_BLOCK_TXIDS));
        out[LYING_MAX] = (uint8_t)(out[LYING_MIN] + dice_below(d, shape == LYING_OVERLAP ? 100 : 12));
    }
    out[LYING_START] = (uint8_t)(1 + dice_below(d, LYING_BLOCK_TXIDS));
    out[LYING_FLAGS] = (uint8_t)(index == 0 || shape == LYING_EMPTY ? SEGMENT_FROM_EMPTY : 0);
    if (shape == LYING_PARTS && !early)
        out[LYING_FLAGS] |= SEGMENT_IN_PARTS;
    out[LYING_FIRST] = out[LYING_LAST] = (uint8_t)(shape == LYING_BASES ? 1 + dice_below(d, 200) : 1);
    out[LYING_PAGE] = out[LYING_FIRST] - 1;
    out[LYING_PAGES] = (uint8_t)(1 + dice_below(d, 3));
    out[LYING_TIME] = (uint8_t)(index * 200 / count);
    out[LYING_LIE] = dice_below(d, 50) ? 0 : out[LYING_LIE];
}

#endif
