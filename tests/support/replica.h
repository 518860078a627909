/* support/replica.h - makes replicas with the real segment writer, and keeps a model in memory: the database after each
 * txid.
 *
 * The model keeps every state whole, so it shares no logic with the code under test. Include unit.h (or fuzz.h) first:
 * both have fail_msg. */
#ifndef TESTS_REPLICA_H
#define TESTS_REPLICA_H

#include "dice.h"
#include "object.h"

#include "base/page.h"
#include "format/names.h"
#include "format/patch.h"
#include "replica/points.h"

#include <stdio.h>

enum { MODEL_TXIDS = 40, MODEL_PAGES = 16, PLACED_MAX = 120 };

/* ---- the model */

struct model_page {
    uint64_t txid; /* of its last change */
    uint64_t hash;
    uint64_t born; /* txid of the oldest version that a patch may change; 0: none, the page is zeros */
};

struct model_state {
    struct commit_record record;
    uint32_t page_size;
    uint64_t epoch; /* first txid of this page size */
    struct model_page page[MODEL_PAGES + 1];
    uint8_t *bytes; /* owned: of all pages */
};

struct model {
    struct model_state at[MODEL_TXIDS + 1]; /* 0: the empty database */
    uint64_t newest;
};

static inline uint8_t *model_bytes(const struct model_state *s, uint32_t pgno)
{
    return s->bytes + (size_t)(pgno - 1) * s->page_size;
}

static inline void model_change(struct dice *d, struct model_state *s, uint32_t pgno)
{
    uint8_t *page = model_bytes(s, pgno);
    uint32_t at = dice_below(d, s->page_size), most = dice_below(d, 3) ? 20 : s->page_size,
             n = dice_between(d, 1, most);
    if (dice_below(d, 12) == 0 && pgno > 1)
        memset(page, 0, s->page_size);
    else
        dice_fill(d, page + at, n < s->page_size - at ? n : s->page_size - at);
    s->page[pgno].txid = s->record.txid;
}

/* Computes the hashes of changed pages, and the checksum of the state. */
static inline void model_finish(struct model_state *s)
{
    s->record.checksum = 0;
    for (uint32_t pgno = 1; pgno <= s->record.pages; pgno++) {
        struct model_page *p = &s->page[pgno];
        if (p->txid == s->record.txid) {
            p->hash = page_hash(pgno, model_bytes(s, pgno), s->page_size);
            p->born = p->hash == 0 ? 0 : p->born ? p->born : s->record.txid;
        }
        s->record.checksum ^= p->hash;
    }
}

/* Makes the next commit: it changes pages, grows the database with pages that are written or not, or shrinks it. With
 * another page size the whole database is new. */
static inline void model_commit(struct model *m, struct dice *d, uint32_t page_size)
{
    const struct model_state *before = &m->at[m->newest];
    struct model_state *s = &m->at[m->newest + 1];
    bool all_new = before->page_size != page_size;
    *s = (struct model_state){
        .record = before->record, .page_size = page_size, .epoch = all_new ? m->newest + 1 : before->epoch};
    s->bytes = calloc(MODEL_PAGES, page_size);
    if (!s->bytes)
        abort();
    s->record.txid = ++m->newest;
    s->record.time_ms += dice_below(d, 3) * 500;
    if (!all_new) {
        memcpy(s->bytes, before->bytes, (size_t)MODEL_PAGES * page_size);
        memcpy(s->page, before->page, sizeof s->page);
    }
    uint32_t old = all_new ? 0 : before->record.pages, pages = old;
    if (all_new || dice_below(d, 4) == 0)
        pages = old + dice_between(d, 1, 4) < MODEL_PAGES ? old + dice_between(d, 1, 4) : MODEL_PAGES;
    else if (dice_below(d, 8) == 0)
        pages = dice_between(d, 1, old);
    if (pages > MODEL_PAGES)
        pages = MODEL_PAGES;
    s->record.pages = pages;
    for (uint32_t pgno = pages + 1; pgno <= MODEL_PAGES; pgno++) {
        s->page[pgno] = (struct model_page){0, 0, 0};
        memset(model_bytes(s, pgno), 0, page_size);
    }
    for (uint32_t pgno = old + 1; pgno <= pages; pgno++) {
        s->page[pgno].txid = s->record.txid; /* the page is zeros, unless model_change changes it */
        if (pgno == 1 || dice_below(d, 4))
            model_change(d, s, pgno);
    }
    model_change(d, s, 1);
    for (uint32_t i = dice_below(d, 3); i > 0; i--)
        model_change(d, s, dice_between(d, 1, pages));
    model_finish(s);
}

static inline void model_release(struct model *m)
{
    for (size_t i = 0; i <= MODEL_TXIDS; i++)
        free(m->at[i].bytes);
    memset(m, 0, sizeof *m);
}

/* ---- the replica */

struct placed { /* an object that was put */
    struct name name;
    uint64_t min, max, start;
    int64_t born; /* when it was put, by the clock of the store */
    uint32_t flags;
    bool full; /* an object of level 0 that has a record of every txid */
    bool gone; /* it was removed or damaged */
};

struct replica {
    struct model model;
    struct store *store; /* borrowed */
    struct codec *codec; /* borrowed */
    struct dice dice;
    struct uid database, run;
    struct digest head;
    int64_t time_ms;              /* in the trailers of objects that are put */
    uint64_t lost_min;            /* min of the markers that are put */
    bool interior;                /* bases that are put have interior pages: some of their pages, once more */
    uint64_t checksum_before_lie; /* XORed into checksum_before of objects that are put */
    struct placed placed[PLACED_MAX];
    size_t placed_count;
};

static inline void replica_init(struct replica *r, struct store *store, struct codec *codec, uint64_t seed)
{
    struct err e;
    struct replica_identity id;
    memset(r, 0, sizeof *r);
    r->store = store;
    r->codec = codec;
    r->dice = dice_of(seed);
    r->run.bytes[0] = 0x52;
    r->time_ms = 5000;
    if (replica_identity_obtain(store, NULL, &id, &e))
        fail_msg("%s", e.msg);
    r->database = id.database;
}

static inline void replica_release(struct replica *r)
{
    model_release(&r->model);
}

static inline void replica_commits(struct replica *r, unsigned count, uint32_t page_size)
{
    while (count-- > 0)
        model_commit(&r->model, &r->dice, page_size);
}

/* The versions of one object. */
struct packing {
    struct version versions[MODEL_TXIDS * MODEL_PAGES];
    size_t count;
    struct buf payload;
};

static inline void pack(struct packing *p, const struct version *v, const uint8_t *page, uint32_t page_size)
{
    struct err e;
    if (buf_reserve(&p->payload, page_size, &e))
        fail_msg("%s", e.msg);
    uint8_t *out = p->payload.data + p->payload.len;
    if (v->kind == VERSION_PATCH)
        patch_cut(v->mask, page, page_size, out);
    else if (v->kind == VERSION_IMAGE)
        memcpy(out, page, page_size);
    p->payload.len += version_size(v, page_size);
    p->versions[p->count++] = *v;
}

/* Adds page `pgno` of state `txid`: as a patch of its version in state `from`, if a patch is allowed, or as an image or
 * zeros. */
static inline void pack_page(struct replica *r, struct packing *p, uint32_t pgno, uint64_t txid, uint64_t from)
{
    const struct model_state *s = &r->model.at[txid], *f = &r->model.at[from];
    const struct model_page *page = &s->page[pgno], *old = &f->page[pgno];
    struct version v = {
        .pgno = pgno, .kind = page->hash ? VERSION_IMAGE : VERSION_ZERO, .txid = page->txid, .hash = page->hash};
    if (page->born && page->born == old->born && s->epoch == f->epoch && dice_below(&r->dice, 4)) {
        for (uint64_t t = from; t < txid; t++)
            v.mask |=
                patch_diff(model_bytes(&r->model.at[t], pgno), model_bytes(&r->model.at[t + 1], pgno), s->page_size);
        if (v.mask != 0 && old->txid < page->txid) {
            v.kind = VERSION_PATCH;
            v.from = old->txid;
        }
    }
    pack(p, &v, model_bytes(s, pgno), s->page_size);
}

static inline struct segment_info replica_info(const struct replica *r, enum object_kind kind, uint64_t min,
                                               uint64_t max)
{
    struct segment_info i = {.kind = kind,
                             .min = min,
                             .max = max,
                             .page_size = r->model.at[max].page_size,
                             .time_ms = r->time_ms,
                             .database = r->database,
                             .writer = {{0x57}},
                             .run = r->run};
    if (kind == OBJECT_SEGMENT)
        i.checksum_before = r->model.at[min - 1].record.checksum ^ r->checksum_before_lie;
    return i;
}

static inline void replica_put(struct replica *r, const struct name *name, struct object_parts *parts,
                               struct packing *p, struct listed *ret_listed)
{
    char key[NAME_MAX_BYTES];
    struct buf object = {0};
    struct digest digest;
    struct err e;
    parts->versions = p->versions;
    parts->version_count = p->count;
    parts->payload = p->payload.data;
    if (p->count > 0 && parts->info.last_page == 0) {
        parts->info.first_page = p->versions[0].pgno;
        parts->info.last_page = p->versions[p->count - 1].pgno;
    }
    name_format(name, key);
    if (object_make(r->codec, parts, &object, &digest, &e) ||
        store_put_new(r->store, key, object.data, object.len, NULL, &e))
        fail_msg("%s", e.msg);
    if (name->kind == NAME_LEVEL0)
        r->head = digest;
    if (ret_listed) {
        *ret_listed = (struct listed){.size = object.len,
                                      .digest = digest,
                                      .first_page = parts->info.first_page,
                                      .last_page = parts->info.last_page,
                                      .max = parts->info.max};
        snprintf(ret_listed->name, sizeof ret_listed->name, "%s", key);
    }
    buf_release(&object);
    buf_release(&p->payload);
    p->count = 0;
}

static inline struct packing *packing_new(void)
{
    static struct packing p;
    p.count = 0;
    p.payload = BUF_INIT(64 << 20);
    return &p;
}

static inline struct placed *replica_note(struct replica *r, const struct name *name, const struct segment_info *i)
{
    struct err e;
    if (r->placed_count == PLACED_MAX)
        fail_msg("too many objects for the model");
    struct placed *o = &r->placed[r->placed_count++];
    *o = (struct placed){.name = *name, .min = i->min, .max = i->max, .start = i->start, .flags = i->flags};
    o->full = name->kind == NAME_LEVEL0 && !(i->flags & SEGMENT_LAST_ONLY);
    if (store_time(r->store, &o->born, &e))
        fail_msg("%s", e.msg);
    return o;
}

/* Puts an object that has every version, under the name `name`. */
static inline struct placed *replica_put_every(struct replica *r, const struct name *name, uint64_t min, uint64_t max,
                                               uint32_t flags)
{
    struct packing *p = packing_new();
    struct commit_record records[MODEL_TXIDS];
    struct object_parts parts = {.info = replica_info(r, OBJECT_SEGMENT, min, max), .records = records};
    parts.info.flags = flags;
    parts.info.digest_before = r->head;
    for (uint64_t t = min; t <= max; t++)
        records[parts.record_count++] = r->model.at[t].record;
    for (uint32_t pgno = 1; pgno <= MODEL_PAGES; pgno++)
        for (uint64_t t = min; t <= max; t++)
            if (r->model.at[t].page[pgno].txid == t)
                pack_page(r, p, pgno, t, t - 1);
    replica_put(r, name, &parts, p, NULL);
    return replica_note(r, name, &parts.info);
}

/* Puts an object of level 0 that has every version. */
static inline struct placed *replica_put_full(struct replica *r, uint64_t min, uint64_t max, uint32_t flags)
{
    const struct name name = {.kind = NAME_LEVEL0, .min = min};
    return replica_put_every(r, &name, min, max, flags);
}

/* Puts a pack. */
static inline struct placed *replica_put_pack(struct replica *r, uint64_t min, uint64_t max)
{
    const struct name name = {.kind = NAME_PACK, .min = min, .max = max};
    return replica_put_every(r, &name, min, max, 0);
}

/* Adds the pages first to last that were last changed after the txid `after`, up to `at`, as they are in state `at`. */
static inline void pack_range(struct replica *r, struct packing *p, uint32_t first, uint32_t last, uint64_t after,
                              uint64_t at)
{
    const struct model_state *s = &r->model.at[at];
    for (uint32_t pgno = first; pgno <= last && pgno <= s->record.pages; pgno++) {
        uint64_t from = after, deeper = dice_below(&r->dice, 4);
        if (s->page[pgno].txid <= after)
            continue;
        while (deeper-- > 0 && from > 1 && r->model.at[from - 1].page[pgno].born == s->page[pgno].born)
            from--; /* a patch may start before the range */
        pack_page(r, p, pgno, at, from);
    }
}

/* Puts a segment that has only the last version of each page: level 0 (LAST_ONLY) or a higher one. With IN_PARTS half
 * of the pages are in parts that were read at earlier moments. */
static inline struct placed *replica_put_last(struct replica *r, unsigned level, uint64_t min, uint64_t max,
                                              uint32_t flags)
{
    struct listed list[2];
    struct name name = {.kind = level ? NAME_LEVEL : NAME_LEVEL0, .level = level, .min = min, .max = level ? max : 0};
    struct object_parts parts = {.info = replica_info(r, OBJECT_SEGMENT, min, max),
                                 .records = &r->model.at[max].record,
                                 .record_count = 1,
                                 .list = list};
    uint64_t part_at[2] = {min - 1, min - 1}, epoch = r->model.at[max].epoch;
    parts.info.level = level;
    parts.info.flags = flags | (level ? 0 : SEGMENT_LAST_ONLY);
    for (uint32_t i = 0; (flags & SEGMENT_IN_PARTS) && i < 2; i++) {
        struct name part = {.kind = NAME_PART, .run = r->run, .number = max * 16 + level * 2 + i};
        struct object_parts content = {.info = replica_info(r, OBJECT_PART, min, min)};
        struct packing *p = packing_new();
        part_at[i] = dice_between(&r->dice, (uint32_t)(min > epoch ? min : epoch), (uint32_t)max);
        content.info.max = part_at[i];
        content.info.page_size = parts.info.page_size;
        pack_range(r, p, i * 4 + 1, i * 4 + 4, min - 1, part_at[i]);
        replica_put(r, &part, &content, p, &list[parts.list_count++]);
    }
    struct packing *p = packing_new();
    pack_range(r, p, 1, 4, part_at[0], max);
    pack_range(r, p, 5, 8, part_at[1], max);
    pack_range(r, p, 9, MODEL_PAGES, min - 1, max);
    if (level == 0)
        parts.info.digest_before = r->head;
    replica_put(r, &name, &parts, p, NULL);
    return replica_note(r, &name, &parts.info);
}

/* Puts a segment without pages. It needs a base that starts at its end or later. */
static inline struct placed *replica_put_anchor(struct replica *r, uint64_t min, uint64_t max, uint32_t flags)
{
    struct packing *p = packing_new();
    struct name name = {.kind = NAME_LEVEL0, .min = min};
    struct object_parts parts = {
        .info = replica_info(r, OBJECT_SEGMENT, min, max), .records = &r->model.at[max].record, .record_count = 1};
    parts.info.flags = flags | SEGMENT_LAST_ONLY | SEGMENT_BASE_ONLY;
    parts.info.digest_before = r->head;
    replica_put(r, &name, &parts, p, NULL);
    return replica_note(r, &name, &parts.info);
}

enum { BASE_CHUNKS = 3 };

/* Puts every second page of a base once more. */
static inline struct digest replica_put_interior(struct replica *r, const struct segment_info *marker,
                                                 const struct listed *chunks, size_t count)
{
    struct name name = {.kind = NAME_INTERIOR, .start = marker->start, .run = marker->run};
    struct object_parts parts = {.info = replica_info(r, OBJECT_INTERIOR, 0, marker->max)};
    struct packing *p = packing_new();
    struct listed listed = {.size = 0};
    parts.info.start = marker->start;
    for (size_t i = 0; i < count; i++)
        for (uint32_t pgno = chunks[i].first_page | 1; pgno <= chunks[i].last_page; pgno += 2) {
            const struct model_state *s = &r->model.at[chunks[i].max];
            if (pgno <= s->record.pages && s->page[pgno].hash != 0)
                pack_page(r, p, pgno, chunks[i].max, 0);
        }
    if (p->count > 0)
        replica_put(r, &name, &parts, p, &listed);
    return listed.digest;
}

/* Puts a base: the chunks, each read at a moment from `start` to `max`, the last one at `max`; then the marker. */
static inline struct placed *replica_put_base(struct replica *r, uint64_t start, uint64_t max)
{
    struct listed list[BASE_CHUNKS];
    struct name name = {.kind = NAME_MARKER, .start = start, .run = r->run};
    uint32_t pages = r->model.at[start].record.pages, first = 1;
    struct object_parts marker = {.info = replica_info(r, OBJECT_MARKER, 0, max), .list = list};
    marker.info.min = r->lost_min;
    marker.info.start = start;
    marker.info.first_page = 1;
    marker.info.last_page = pages;
    for (uint32_t i = 0; i < BASE_CHUNKS && first <= pages; i++) {
        uint32_t last = i == BASE_CHUNKS - 1 ? pages : first + dice_below(&r->dice, pages - first + 1);
        uint64_t at = last == pages ? max : dice_between(&r->dice, (uint32_t)start, (uint32_t)max);
        struct name chunk = {.kind = NAME_CHUNK, .start = start, .run = r->run, .first_page = first};
        struct object_parts content = {.info = replica_info(r, OBJECT_CHUNK, 0, at)};
        struct packing *p = packing_new();
        content.info.start = start;
        content.info.first_page = first;
        content.info.last_page = last;
        for (uint32_t pgno = first; pgno <= last && pgno <= r->model.at[at].record.pages; pgno++)
            pack_page(r, p, pgno, at, 0);
        replica_put(r, &chunk, &content, p, &list[marker.list_count++]);
        first = last + 1;
    }
    if (r->interior)
        marker.info.digest_before = replica_put_interior(r, &marker.info, list, marker.list_count);
    replica_put(r, &name, &marker, packing_new(), NULL);
    return replica_note(r, &name, &marker.info);
}

static inline void replica_remove(struct replica *r, struct placed *o)
{
    char key[NAME_MAX_BYTES];
    struct err e;
    name_format(&o->name, key);
    if (store_remove(r->store, key, &e))
        fail_msg("%s", e.msg);
    o->gone = true;
}

/* ---- random replicas: levels nest, a base has one page size, any object may be missing */

static inline void replica_random_levels(struct replica *r, unsigned level, const uint64_t *ends, size_t count)
{
    uint64_t merged[MODEL_TXIDS];
    size_t n = 0, i = 0;
    while (i + 1 < count && level <= 3) {
        size_t take = dice_between(&r->dice, 2, 4), last = i + take - 1 < count ? i + take - 1 : count - 1;
        uint64_t min = i ? ends[i - 1] + 1 : 1, max = ends[last], epoch = r->model.at[max].epoch;
        uint32_t flags = epoch >= min ? SEGMENT_FROM_EMPTY : 0;
        if (dice_below(&r->dice, 4))
            replica_put_last(r, level, min, max, flags | (dice_below(&r->dice, 4) ? 0 : SEGMENT_IN_PARTS));
        merged[n++] = max;
        i = last + 1;
    }
    if (n > 1)
        replica_random_levels(r, level + 1, merged, n);
}

static inline void replica_random_level0(struct replica *r, uint64_t *ends, size_t *ret_count)
{
    uint64_t min = 1, newest = r->model.newest;
    while (min <= newest) {
        uint64_t max = min + dice_below(&r->dice, 4), epoch = r->model.at[min].epoch;
        max = max < newest ? max : newest;
        while (r->model.at[max].epoch != epoch)
            max--;
        uint32_t flags = epoch == min ? SEGMENT_FROM_EMPTY : 0, kind = dice_below(&r->dice, 12);
        if (kind == 0)
            replica_put_anchor(r, min, max, flags);
        else if (kind < 4)
            replica_put_last(r, 0, min, max, flags | (dice_below(&r->dice, 2) ? SEGMENT_IN_PARTS : 0));
        else
            replica_put_full(r, min, max, flags);
        ends[(*ret_count)++] = max;
        min = max + 1;
    }
}

static inline void replica_random(struct replica *r)
{
    static const uint32_t sizes[] = {512, 1024};
    uint64_t ends[MODEL_TXIDS];
    size_t count = 0;
    uint32_t page_size = sizes[dice_below(&r->dice, 2)];
    unsigned total = dice_between(&r->dice, 1, 24),
             turn = dice_below(&r->dice, 3) ? total : dice_below(&r->dice, total);
    r->interior = total % 2;
    replica_commits(r, turn, page_size);
    replica_commits(r, total - turn, page_size ^ 512 ^ 1024);
    replica_random_level0(r, ends, &count);
    replica_random_levels(r, 1, ends, count);
    for (uint32_t i = dice_below(&r->dice, 3); i > 0; i--) {
        size_t a = dice_below(&r->dice, (uint32_t)count), b = a + dice_below(&r->dice, (uint32_t)(count - a));
        bool taken = false;
        for (size_t k = 0; k < r->placed_count; k++)
            taken |= r->placed[k].name.kind == NAME_MARKER && r->placed[k].start == ends[a];
        if (!taken && r->model.at[ends[a]].epoch == r->model.at[ends[b]].epoch)
            replica_put_base(r, ends[a], ends[b]);
    }
    if (dice_below(&r->dice, 3))
        for (size_t i = 0; i < r->placed_count; i++)
            if (dice_below(&r->dice, 5) == 0)
                replica_remove(r, &r->placed[i]);
}

/* Whether txid t can be restored by the rules of replica/plan.h. It tries all ways, so it is simpler and slower than
 * the planner. */
static inline bool replica_can_restore(const struct replica *r, uint64_t t)
{
    bool reached[MODEL_TXIDS + 1] = {true}, record = false, grown = true;
    for (size_t i = 0; i < r->placed_count; i++) {
        const struct placed *o = &r->placed[i];
        if (o->gone)
            continue;
        if (o->name.kind == NAME_MARKER)
            reached[o->start] |= o->max <= t;
        else
            record |= o->max == t || (o->full && o->min <= t && t <= o->max);
    }
    while (grown) {
        grown = false;
        for (size_t i = 0; i < r->placed_count; i++) {
            const struct placed *o = &r->placed[i];
            bool reaches = o->max <= t || (o->full && o->min <= t);
            uint64_t end = o->max < t ? o->max : t;
            if (o->gone || o->name.kind == NAME_MARKER || (o->flags & SEGMENT_BASE_ONLY) || !reaches || reached[end])
                continue;
            for (uint64_t pos = 0; pos < end && !reached[end]; pos++)
                if (reached[pos] && (o->min <= pos + 1 || (o->flags & SEGMENT_FROM_EMPTY)))
                    reached[end] = grown = true;
        }
    }
    return record && reached[t];
}

#endif
