/* ship/pack.c - finds a row of objects, merges their versions page by page, and puts the result.
 *
 * Each object has its versions in the order of pages, then txids, and the objects follow each other. So of each page the
 * versions are taken from one object after the other. Of each object one block is in memory. */
#include "ship/pack.h"

#include "base/claim.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/prices.h"
#include "replica/packs.h"
#include "replica/ways.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define RAW_MAX (8u << 20) /* inflated blocks of all sources together */
#define SMALL_SHARE 8      /* a pack up to this share of terms->bytes is packed again */
#define SOURCES_MAX 4096   /* objects of one pack */

/* Where requests cost money: */
#define PAGE_KEYS SCALE(1000, 1) /* of a listing, which is one request */
#define ROUND_LISTINGS 2         /* of a prune that deletes something */
#define BACK_REQUESTS 4          /* read a pack back, when it was put and before it is relied on */
#define READS_MAX 2048           /* objects that are read in one go */

/* One object of the pack. */
struct source {
    struct catalog_object *o;
    struct segment segment; /* owned */
    struct digest digest;   /* of an object of level 0 */
    struct buf bytes;       /* owned; the whole object if it is small, otherwise empty */
    uint32_t version;       /* the next one to take */
    uint32_t block;         /* the block of that version */
    uint8_t *raw;           /* owned; that block, inflated; NULL: not yet */
    size_t at;              /* of the version in `raw` */
};

struct packing {
    struct catalog *c;
    const struct pack_terms *terms;
    struct source *sources; /* owned; in the order of history */
    size_t count;
    uint64_t bytes, raw; /* of the sources; of their largest blocks */
    double round_ms;     /* between two prunes; where requests cost money */
    size_t reads;        /* objects that were read so far; likewise */
    struct pack_figures done;
};

static const struct commit_record *first_record(const struct source *s)
{
    return &s->segment.records[0];
}

static const struct commit_record *last_record(const struct source *s)
{
    return &s->segment.records[s->segment.trailer.record_count - 1];
}

/* ---- sources */

static void release_source(struct source *s)
{
    segment_release(&s->segment);
    buf_release(&s->bytes);
    free(s->raw);
    *s = (struct source){.o = NULL};
}

static void release_from(struct packing *p, size_t first)
{
    while (p->count > first)
        release_source(&p->sources[--p->count]);
}

static uint32_t largest_block(const struct segment *s)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < s->trailer.block_count; i++)
        most = s->blocks[i].raw_size > most ? s->blocks[i].raw_size : most;
    return most;
}

/* Reads an object. The digest of a pack is of no use: nothing links to it. */
static int read_source(const struct packing *p, struct catalog_object *o, struct source *s, struct err *e)
{
    char key[NAME_MAX_BYTES];
    struct segment again = {0};
    *s = (struct source){.o = o, .bytes = BUF_INIT(SEGMENT_BYTES_MAX)};
    struct object_reader r = {.store = p->c->store, .codec = p->terms->codec, .key = key, .tail = &s->bytes};
    name_format(&o->name, key);
    if (o->name.kind == NAME_LEVEL0 && kept_read(p->terms->kept, o->name.min, o->size, &s->bytes)
            ? object_decode_whole(&r, SEGMENT_WANT_ALL, &s->segment, e)
            : object_read(&r, OBJECT_TAIL_BYTES, SEGMENT_WANT_ALL, &s->segment, e))
        return -1;
    const struct segment_info *i = &s->segment.trailer.info;
    if (!object_fits_name(&o->name, i) || !uid_equal(&i->database, &p->c->identity.database))
        return err_set(e, ERR_CORRUPT, 0, "object '%s' is not the one that its key says", key);
    if (s->bytes.len == r.size)
        return digest_of(s->bytes.data, s->bytes.len, &s->digest, e);
    buf_release(&s->bytes);
    if (o->name.kind == NAME_PACK)
        return 0;
    int rc = object_load_whole(p->c->store, key, p->terms->codec, &again, &s->digest, e);
    segment_release(&again);
    return rc;
}

/* Makes the block of the next version the one in memory. */
static int inflate(const struct packing *p, struct source *s, struct err *e)
{
    const struct segment_block *b = &s->segment.blocks[s->block];
    char key[NAME_MAX_BYTES];
    uint8_t *stored = NULL;
    free(s->raw);
    s->at = 0;
    s->raw = malloc(b->raw_size ? b->raw_size : 1);
    if (!s->raw)
        return err_nomem(e, b->raw_size);
    if (s->bytes.len > 0)
        return segment_block_inflate(b, s->bytes.data + b->offset, p->terms->codec, s->raw, e);
    name_format(&s->o->name, key);
    stored = malloc(b->stored_size);
    int rc = stored ? store_read(p->c->store, key, b->offset, stored, b->stored_size, e) : err_nomem(e, b->stored_size);
    if (rc == 0)
        rc = segment_block_inflate(b, stored, p->terms->codec, s->raw, e);
    free(stored);
    return rc;
}

/* Adds the versions of one page to the pack. */
static int add_page(const struct packing *p, struct source *s, uint32_t pgno, struct segment_writer *w, struct err *e)
{
    const struct segment_trailer *t = &s->segment.trailer;
    for (; s->version < t->version_count && s->segment.versions[s->version].pgno == pgno; s->version++) {
        const struct version *v = &s->segment.versions[s->version];
        const struct segment_block *b = &s->segment.blocks[s->block];
        const bool next = s->version == b->first_version + b->versions;
        s->block += next;
        if ((next || !s->raw) && inflate(p, s, e))
            return -1;
        if (segment_writer_add(w, v, s->raw + s->at, e))
            return -1;
        s->at += version_size(v, w->page_size);
    }
    return 0;
}

/* ---- which objects */

/* Whether the first object of a run must stay where it is: replica/packs.h, rule 5. */
static bool is_young(const struct packing *p, const struct source *s)
{
    const int64_t own_ms = s->segment.trailer.info.time_ms;
    const int64_t ms = own_ms > s->o->time_ms && own_ms < p->terms->now_ms ? own_ms : s->o->time_ms;
    return ms + (int64_t)p->terms->grace_ms >= p->terms->now_ms;
}

/* Whether another run than that of this object put the one before it. Before: `o` is in the list of level 0, and `s` is
 * the next source. */
static int begins_run(const struct packing *p, const struct source *s, bool *ret_begins, struct err *e)
{
    struct catalog_object *before = s->o > p->c->level0 ? s->o - 1 : NULL;
    const struct segment_info *own = &s->segment.trailer.info, *other = NULL;
    *ret_begins = s->o->name.kind != NAME_PACK;
    if (s->o->name.kind == NAME_PACK || !before)
        return 0;
    if (p->count > 0 && s[-1].o == before)
        other = &s[-1].segment.trailer.info;
    else if (catalog_load(p->c, before, e))
        return e->code == ERR_CORRUPT || e->code == ERR_GONE ? 0 : -1;
    else
        other = &before->segment->trailer.info;
    *ret_begins = !uid_equal(&other->run, &own->run) || other->max + 1 != s->o->name.min;
    if (before->segment)
        catalog_spare(p->c, before);
    return 0;
}

/* Whether an object can be in a pack at all: replica/packs.h, rule 1. */
static bool is_plain(const struct source *s)
{
    bool plain = s->segment.trailer.info.flags == 0 && s->segment.trailer.info.level == 0;
    for (uint32_t i = 0; plain && i < s->segment.trailer.record_count; i++)
        plain = s->segment.records[i].clock_ms == 0;
    return plain;
}

static bool continues(const struct source *before, const struct source *s)
{
    const struct segment_info *a = &before->segment.trailer.info, *b = &s->segment.trailer.info;
    if (b->min != a->max + 1 || b->page_size != a->page_size || b->checksum_before != last_record(before)->checksum ||
        first_record(s)->time_ms < last_record(before)->time_ms)
        return false;
    return before->o->name.kind == NAME_PACK || digest_equal(&b->digest_before, &before->digest);
}

/* ---- what is not worth it */

static bool is_refused(const struct packing *p, const struct catalog_object *o)
{
    const struct pack_refused *r = p->terms->refused;
    for (size_t i = 0; r && i < PACK_REFUSED; i++)
        if (r->ranges[i].last && o->name.min >= r->ranges[i].first && o->name.min <= r->ranges[i].last)
            return true;
    return false;
}

/* Notes that the object can never be in a pack. Before: its segment is read. */
static void refuse(const struct packing *p, const struct source *s)
{
    struct pack_refused *r = p->terms->refused;
    const uint64_t min = s->o->name.min, max = s->segment.trailer.info.max;
    if (!r || s->o->name.kind == NAME_PACK)
        return;
    for (size_t i = 0; i < PACK_REFUSED; i++)
        if (r->ranges[i].last && r->ranges[i].last + 1 == min) {
            r->ranges[i].last = max;
            return;
        }
    r->ranges[r->next].first = min;
    r->ranges[r->next].last = max;
    r->next = (r->next + 1) % PACK_REFUSED;
}

/* The time between two prunes, in ms: they come when `objects` were put, and as often as the policy says. */
static double round_ms(const struct packing *p)
{
    const struct catalog *c = p->c;
    const double most = (double)p->terms->interval_ms;
    const double least = (double)pack_settle_ms(c->store, p->terms->grace_ms) / PACK_PAUSES;
    if (c->level0_count <= p->terms->objects)
        return most;
    const struct catalog_object *last = &c->level0[c->level0_count - 1];
    const double span = (double)(last->time_ms - (last - p->terms->objects)->time_ms);
    return span > most ? most : span < least ? least : span;
}

/* What listings cost until the object goes without a pack, in millionths of a dollar. */
static double listed(const struct packing *p, const struct catalog_object *o)
{
    const double age_ms = (double)(p->terms->now_ms - o->time_ms);
    const double left_ms =
        (double)p->terms->keep_ms - (double)pack_settle_ms(p->c->store, p->terms->grace_ms) - (age_ms > 0 ? age_ms : 0);
    return left_ms > 0 ? left_ms / p->round_ms * ROUND_LISTINGS * PRICE_WRITE / PAGE_KEYS : 0;
}

/* Whether the object may be read for a pack. */
static bool may_read(const struct packing *p, const struct catalog_object *o)
{
    if (is_refused(p, o))
        return false;
    if (!p->c->store->costs || kept_has(p->terms->kept, o->name.min, o->size))
        return true;
    return o->size <= KEPT_OBJECT_MAX && p->reads < READS_MAX && listed(p, o) > PRICE_READ;
}

/* Whether a pack of all sources is worth it. `least`: so many objects are wanted. */
static bool is_worth(const struct packing *p, size_t least)
{
    double saves = 0;
    for (size_t i = 0; p->c->store->costs && i < p->count; i++)
        saves += listed(p, p->sources[i].o);
    return p->count >= least && (!p->c->store->costs || saves > PRICE_WRITE + BACK_REQUESTS * PRICE_READ);
}

/* ---- rows of sources */

/* Adds the object to the sources. *ret_added: it may follow them. */
static int add_source(struct packing *p, struct catalog_object *o, bool *ret_added, struct err *e)
{
    struct source *s = &p->sources[p->count];
    bool begins = false;
    *ret_added = false;
    p->reads += p->c->store->costs && !kept_has(p->terms->kept, o->name.min, o->size);
    int rc = read_source(p, o, s, e);
    const bool plain = rc == 0 && is_plain(s);
    if (plain)
        rc = begins_run(p, s, &begins, e);
    else if (rc == 0)
        refuse(p, s);
    if (rc == 0 && plain && (!begins || !is_young(p, s) || !RULE(pack_first)) &&
        (p->count == 0 || continues(s - 1, s)) && p->raw + largest_block(&s->segment) <= RAW_MAX) {
        p->raw += largest_block(&s->segment);
        p->bytes += o->size;
        p->count++;
        *ret_added = true;
        return 0;
    }
    release_source(s);
    if (rc == 0 || e->code == ERR_CORRUPT || e->code == ERR_GONE || e->code == ERR_NOTFOUND || e->code == ERR_CLAIM)
        return 0; /* the row ends before this object */
    return -1;
}

/* ---- where a pack may end */

/* The last txid at which a pack from `min` on may end: replica/packs.h, rule 3. */
static uint64_t end_limit(const struct catalog *c, uint64_t min)
{
    uint64_t limit = UINT64_MAX;
    for (size_t i = 0; i < c->level_count; i++) {
        const struct name *n = &c->levels[i].name;
        if (n->min < min && n->max >= min && n->max < limit && RULE(pack_aligned))
            limit = n->max;
    }
    return limit;
}

/* *ret_ends: a compacted segment ends after this object, in the same state. */
static int ends_here(const struct packing *p, const struct source *s, bool *ret_ends, struct err *e)
{
    const struct ways *w = p->c->ways;
    const uint64_t max = s->segment.trailer.info.max;
    *ret_ends = false;
    for (size_t at = ways_upto(w, max); at > 0 && w->order[at - 1].max == max && !*ret_ends; at--) {
        struct catalog_object *level = &p->c->levels[w->order[at - 1].index];
        if (catalog_load(p->c, level, e)) {
            if (e->code != ERR_CORRUPT && e->code != ERR_GONE)
                return -1;
            continue;
        }
        const struct segment *g = level->segment;
        *ret_ends = g->records[g->trailer.record_count - 1].checksum == last_record(s)->checksum;
        catalog_spare(p->c, level);
    }
    return 0;
}

/* Drops the sources behind the last one after which a pack may end. */
static int cut(struct packing *p, uint64_t limit, struct err *e)
{
    bool ends = false;
    while (p->count > 0) {
        const struct source *last = &p->sources[p->count - 1];
        if (last->segment.trailer.info.max <= limit && ends_here(p, last, &ends, e))
            return -1;
        if (ends)
            return 0;
        release_from(p, p->count - 1);
    }
    return 0;
}

/* ---- the pack */

static int describe(const struct packing *p, struct segment_info *ret_info, struct err *e)
{
    const struct source *first = &p->sources[0], *last = &p->sources[p->count - 1];
    const int64_t now_ms = clock_wall_ms();
    *ret_info = (struct segment_info){.kind = OBJECT_SEGMENT,
                                      .min = first->segment.trailer.info.min,
                                      .max = last->segment.trailer.info.max,
                                      .page_size = first->segment.trailer.info.page_size,
                                      .time_ms = now_ms,
                                      .database = p->c->identity.database,
                                      .writer = p->terms->writer,
                                      .run = last->segment.trailer.info.run, /* begins_run looks at it */
                                      .checksum_before = first->segment.trailer.info.checksum_before,
                                      .digest_before = first->segment.trailer.info.digest_before};
    if (last_record(last)->time_ms > now_ms) /* otherwise the time would count as clamped */
        ret_info->time_ms = last_record(last)->time_ms;
    return random_bytes(ret_info->nonce.bytes, UID_BYTES, e);
}

/* The first page that a source has not given yet; 0: there is none. */
static uint32_t next_page(const struct packing *p)
{
    uint32_t least = 0;
    for (size_t i = 0; i < p->count; i++) {
        const struct source *s = &p->sources[i];
        const bool more = s->version < s->segment.trailer.version_count;
        if (more && (least == 0 || s->segment.versions[s->version].pgno < least))
            least = s->segment.versions[s->version].pgno;
    }
    return least;
}

static int add_pages(struct packing *p, struct segment_writer *w, struct segment_info *info, struct err *e)
{
    for (uint32_t pgno = next_page(p); pgno != 0; pgno = next_page(p)) {
        info->first_page = info->first_page ? info->first_page : pgno;
        info->last_page = pgno;
        for (size_t i = 0; i < p->count; i++)
            if (add_page(p, &p->sources[i], pgno, w, e))
                return -1;
    }
    return 0;
}

static struct commit_record *collect_records(const struct packing *p, size_t *ret_count)
{
    size_t n = 0;
    for (size_t i = 0; i < p->count; i++)
        n += p->sources[i].segment.trailer.record_count;
    struct commit_record *records = malloc((n + 1) * sizeof *records); /* never of no bytes */
    n = 0;
    for (size_t i = 0; records && i < p->count; i++) {
        const struct segment *s = &p->sources[i].segment;
        memcpy(records + n, s->records, s->trailer.record_count * sizeof *records);
        n += s->trailer.record_count;
    }
    *ret_count = n;
    return records;
}

static int build(struct packing *p, struct segment_info *info, struct buf *ret_bytes, struct digest *ret_digest,
                 struct err *e)
{
    struct segment_writer w = {0};
    size_t count = 0;
    struct commit_record *records = collect_records(p, &count);
    int rc = records ? describe(p, info, e) : err_nomem(e, count * sizeof *records);
    if (rc == 0)
        rc = segment_writer_init(&w, p->terms->codec, info->page_size, e);
    w.small = true;
    if (rc == 0)
        rc = add_pages(p, &w, info, e);
    if (rc == 0) {
        const struct segment_content content = {.info = info, .records = records, .record_count = count};
        rc = segment_writer_finish(&w, &content, ret_bytes, ret_digest, e);
    }
    segment_writer_release(&w);
    free(records);
    return rc;
}

/* Reads the pack back. What lies in it may go only because it is there. */
static int check_pack(const struct packing *p, const struct name *name, const struct digest *digest, struct err *e)
{
    struct segment found = {0};
    struct digest same;
    char key[NAME_MAX_BYTES];
    struct err failed;
    name_format(name, key);
    int rc = object_load_named(p->c->store, name, p->terms->codec, &found, &same, e);
    segment_release(&found);
    if (rc == 0 && digest_equal(&same, digest))
        return 0;
    if (rc == 0 || e->code == ERR_CORRUPT) {
        (void)!store_remove(p->c->store, key, &failed);
        return err_set(e, ERR_CORRUPT, 0, "object '%s' is not what was put: it was removed again", key);
    }
    return -1;
}

/* Puts a pack of all sources. */
static int put_pack(struct packing *p, struct err *e)
{
    struct segment_info info;
    struct digest digest;
    struct buf bytes = BUF_INIT(SEGMENT_BYTES_MAX);
    char key[NAME_MAX_BYTES];
    int rc = build(p, &info, &bytes, &digest, e);
    if (rc)
        kept_forget(p->terms->kept, UINT64_MAX); /* if what is kept was wrong, it is read from the store next time */
    const struct name name = {.kind = NAME_PACK, .min = info.min, .max = info.max};
    name_format(&name, key);
    if (rc == 0)
        rc = store_put_new(p->c->store, key, bytes.data, bytes.len, NULL, e);
    if (rc == 0)
        rc = check_pack(p, &name, &digest, e);
    else if (bytes.len > 0 && e->code == ERR_EXISTS) /* another writer, or an answer that got lost */
        rc = whole_check_named(p->c, &name, e);
    if (rc == 0) {
        p->done.packs++;
        p->done.bytes += bytes.len;
        kept_forget(p->terms->kept, p->sources[p->count - 1].o->name.min);
    }
    buf_release(&bytes);
    return rc;
}

/* ---- rows */

/* A row of objects that may be worth a pack, as far as names say. */
struct row {
    size_t first, end; /* in the list of level 0 */
    size_t least;      /* a pack needs so many objects, unless something ends the row */
    size_t enough;     /* a row of fewer objects is left as it is */
};

/* Whether the object at `i` can be the next source, as far as is known without reading it. */
static bool is_next(const struct packing *p, const struct row *row, size_t i, uint64_t limit)
{
    const struct catalog_object *o = &p->c->level0[i];
    return i < row->end && i - row->first < SOURCES_MAX && o->name.min <= limit && may_read(p, o);
}

/* Where requests cost money: whether reading the objects of the row would be worth it, if all of them can be packed. */
static bool is_promising(const struct packing *p, const struct row *row, uint64_t limit)
{
    double saves = 0;
    uint64_t bytes = 0;
    if (!p->c->store->costs)
        return true;
    for (size_t i = row->first; is_next(p, row, i, limit) && bytes + p->c->level0[i].size <= p->terms->bytes; i++) {
        const struct catalog_object *o = &p->c->level0[i];
        saves += listed(p, o) - (kept_has(p->terms->kept, o->name.min, o->size) ? 0 : PRICE_READ);
        bytes += o->size;
    }
    return saves > PRICE_WRITE + BACK_REQUESTS * PRICE_READ;
}

/* Adds the objects of the row, and puts a pack if it is worth it. *ret_next: where the next row can begin. */
static int pack_row(struct packing *p, const struct row *row, size_t *ret_next, struct err *e)
{
    const uint64_t limit = end_limit(p->c, p->c->level0[row->first].name.min);
    bool added = is_promising(p, row, limit);
    size_t i = row->first;
    p->bytes = p->raw = 0;
    while (added && is_next(p, row, i, limit) && p->bytes + p->c->level0[i].size <= p->terms->bytes) {
        if (p->c->store->cancel && atomic_load(p->c->store->cancel))
            return err_set(e, ERR_CANCELED, 0, "interrupted");
        if (add_source(p, &p->c->level0[i], &added, e))
            return -1;
        i += added;
    }
    const bool ended = i < row->end; /* by something that will not change: later objects make it no longer */
    const size_t stopped = i;
    if (cut(p, limit, e))
        return -1;
    *ret_next = p->count ? row->first + p->count : stopped > row->first ? stopped : stopped + 1;
    return is_worth(p, ended ? 2 : row->least) ? put_pack(p, e) : 0;
}

/* The objects of level 0 from `first` on, up to a pack or the head. */
static struct row objects_from(const struct packing *p, size_t first)
{
    const struct catalog *c = p->c;
    struct row r = {.first = first, .end = first, .least = p->terms->objects / 2};
    while (r.end + 1 < c->level0_count && c->level0[r.end].name.kind == NAME_LEVEL0)
        r.end++;
    const bool grows = r.end + 1 >= c->level0_count;
    if (!grows)
        r.least = 2;
    r.enough = grows ? p->terms->objects - p->terms->objects / 8 : 2;
    return r;
}

/* Packs what can be packed of the row, which objects_from found. */
static int pack_objects(struct packing *p, struct row row, struct err *e)
{
    while (row.first < row.end && row.end - row.first >= row.enough) {
        if (may_read(p, &p->c->level0[row.first])) {
            int rc = pack_row(p, &row, &row.first, e);
            release_from(p, 0);
            if (rc)
                return -1;
        } else {
            row.first++;
        }
    }
    return 0;
}

/* Small packs from `first` on, and few objects between them. */
static struct row packs_from(const struct packing *p, size_t first)
{
    const struct catalog *c = p->c;
    struct row r = {.first = first, .end = first, .least = p->terms->packs};
    uint64_t bytes = 0;
    size_t packs = 0;
    while (r.end + 1 < c->level0_count && bytes + c->level0[r.end].size <= p->terms->bytes) {
        const struct catalog_object *o = &c->level0[r.end];
        if (o->name.kind == NAME_PACK ? o->size > p->terms->bytes / SMALL_SHARE : o[1].name.kind != NAME_PACK)
            break;
        packs += o->name.kind == NAME_PACK;
        bytes += o->size;
        r.end++;
    }
    if (packs < p->terms->packs)
        r.first = r.end;
    return r;
}

static int pack_all_objects(struct packing *p, struct err *e)
{
    for (size_t i = 0; i + 1 < p->c->level0_count;) {
        const struct row row = objects_from(p, i);
        if (pack_objects(p, row, e))
            return -1;
        i = row.end > i ? row.end : i + 1;
    }
    return 0;
}

static int pack_all_packs(struct packing *p, struct err *e)
{
    for (size_t i = 0; i + 1 < p->c->level0_count;) {
        const struct row row = packs_from(p, i);
        size_t next = i + 1;
        if (p->c->level0[i].name.kind == NAME_PACK && row.first < row.end) {
            int rc = pack_row(p, &row, &next, e);
            release_from(p, 0);
            if (rc)
                return -1;
        }
        i = next;
    }
    return 0;
}

/* ---- damaged packs */

/* Sets aside the packs that are damaged. Only those are read in which something lies: of others nothing else is there. */
static int set_aside(const struct packing *p, struct err *e)
{
    struct catalog *c = p->c;
    for (size_t i = 0; i < c->level0_count; i++) {
        if (c->level0[i].name.kind != NAME_PACK || !catalog_lies_in(c, &c->level0[i]) ||
            whole_check(c, &c->level0[i], p->terms->whole, e) == 0)
            continue;
        if (e->code == ERR_CLAIM || e->code == ERR_GONE)
            continue;
        if (e->code != ERR_CORRUPT)
            return -1;
        if (catalog_set_aside(c, &c->level0[i], e))
            return -1;
        i = SIZE_MAX; /* from the first one on */
    }
    return 0;
}

/* *ret_all: full, sound objects of level 0, or sound packs, hold each txid of the pack. */
static int is_all_there(const struct packing *p, const struct name *pack, bool *ret_all, struct err *e)
{
    struct catalog *c = p->c;
    uint64_t next = pack->min;
    *ret_all = false;
    while (next <= pack->max) {
        struct catalog_object *o = catalog_level0_at(c, next);
        if (!o || o->name.min != next)
            return 0;
        if (catalog_load(c, o, e) || whole_check_named(c, &o->name, e))
            return e->code == ERR_CORRUPT || e->code == ERR_GONE ? 0 : -1;
        if (o->segment->trailer.info.flags != 0)
            return 0;
        next = o->segment->trailer.info.max + 1;
        catalog_spare(c, o);
    }
    *ret_all = next == pack->max + 1;
    return 0;
}

/* Removes damaged packs of which nothing is lost. They would keep what lies in them from being packed. */
static int remove_damaged(struct packing *p, struct err *e)
{
    char key[NAME_MAX_BYTES];
    if (set_aside(p, e))
        return -1;
    for (size_t i = 0; i < p->c->packed_count; i++) {
        const struct catalog_object *o = &p->c->packed[i];
        bool all = false;
        if (!o->aside || whole_check_named(p->c, &o->name, e) == 0)
            continue;
        if (e->code != ERR_CORRUPT)
            continue; /* it is gone, or can't be read now */
        if (is_all_there(p, &o->name, &all, e))
            return -1;
        if (!all)
            continue;
        name_format(&o->name, key);
        if (store_remove(p->c->store, key, e))
            return -1;
        p->done.removed++;
        log_warn("'%s': object '%s' was damaged and is removed: all that lay in it is still there, and is packed again",
                 p->c->store->url, key);
    }
    return 0;
}

static int check_head(const struct packing *p, struct err *e)
{
    struct catalog_object *head = catalog_head(p->c);
    if (!head)
        return err_set(e, ERR_NOTFOUND, 0, "'%s' has no object of level 0", p->c->store->url);
    if (catalog_load(p->c, head, e))
        return -1;
    if (!uid_equal(&head->segment->trailer.info.writer, &p->terms->writer))
        return err_set(e, ERR_CONFLICT, 0, "another writer put its newest object: nothing is packed");
    return 0;
}

int pack_all(struct catalog *c, const struct pack_terms *terms, struct pack_figures *ret_figures, struct err *e)
{
    struct packing p = {.c = c, .terms = terms, .sources = calloc(SOURCES_MAX, sizeof *p.sources)};
    assert(c->store && terms->codec && pack_is_of_use(c->store) && (!c->store->costs || terms->interval_ms > 0));
    p.round_ms = round_ms(&p);
    int rc = p.sources ? check_head(&p, e) : err_nomem(e, SOURCES_MAX * sizeof *p.sources);
    if (rc == 0)
        rc = remove_damaged(&p, e);
    if (rc == 0)
        rc = pack_all_objects(&p, e);
    if (rc == 0 && !c->store->costs)
        rc = pack_all_packs(&p, e);
    if (p.sources)
        release_from(&p, 0);
    free(p.sources);
    *ret_figures = p.done;
    return rc ? err_wrap(e, "pack objects of level 0") : 0;
}
