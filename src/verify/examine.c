/* verify/examine.c
 *
 * Most objects take one read, that of the tail. Whole objects are read 1 MiB at a time, so that memory does not
 * grow with them. */
#include "verify/examine.h"

#include "base/claim.h"
#include "base/page.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define READ_BYTES (1u << 20)

static int bad(struct err *e, const char *what)
{
    return err_set(e, ERR_CORRUPT, 0, "%s", what);
}

/* ---- the trailer */

static int check_key(const struct name *n, const struct segment_info *i, struct err *e)
{
    return object_fits_name(n, i) ? 0 : bad(e, "its trailer does not fit its key");
}

/* Compares a part or chunk with the entry in the list of its owner. */
static int check_listed(const struct item *it, const struct segment_trailer *t, struct err *e)
{
    const struct listed *l = it->listed;
    const struct segment_info *i = &t->info, *o = item_info(it->owner);
    char owner[NAME_MAX_BYTES];
    name_format(&it->owner->name, owner);
    if (t->object_size != l->size)
        return err_set(e, ERR_CORRUPT, 0, "has %" PRIu64 " bytes, '%s' names %" PRIu64, t->object_size, owner, l->size);
    bool same = i->max == l->max && i->first_page == l->first_page && i->last_page == l->last_page &&
                i->page_size == o->page_size && i->min == (i->kind == OBJECT_PART ? o->min : 0);
    return same ? 0 : err_set(e, ERR_CORRUPT, 0, "is not the object that '%s' names", owner);
}

/* ---- pages and lists */

static uint32_t next_page(uint32_t pgno, uint32_t page_size)
{
    return pgno + (pgno + 1 == lock_byte_page(page_size) ? 2 : 1);
}

/* A chunk has images and zero versions of consecutive pages, from the first of its range on. (How many it must
 * have depends on the size of the database: chain.c checks that.) */
static int check_chunk(const struct segment *s, struct err *e)
{
    const struct segment_info *i = &s->trailer.info;
    uint32_t expected = i->first_page == lock_byte_page(i->page_size) ? i->first_page + 1 : i->first_page;
    for (uint32_t k = 0; k < s->trailer.version_count; k++) {
        const struct version *v = &s->versions[k];
        if (v->kind == VERSION_PATCH)
            return err_set(e, ERR_CORRUPT, 0, "has a patch of page %u, but is a chunk of a base", v->pgno);
        if (v->pgno != expected)
            return err_set(e, ERR_CORRUPT, 0, "has no version of page %u", expected);
        expected = next_page(expected, i->page_size);
    }
    return 0;
}

static int check_interior(const struct item *it, const struct segment *s, struct err *e)
{
    const struct segment_info *i = &s->trailer.info, *base = item_info(it->owner);
    const bool fits = i->page_size == base->page_size && i->max <= base->max && i->last_page <= base->last_page;
    if (s->trailer.list_count > 0)
        return bad(e, "names other objects");
    return fits ? 0 : bad(e, "can't have the interior pages of its base");
}

static int check_marker_list(const struct segment *s, const struct name *name, struct err *e)
{
    const struct segment_info *i = &s->trailer.info;
    uint64_t first = i->first_page, max = i->start;
    if (s->trailer.version_count > 0)
        return bad(e, "has pages, but is a marker");
    for (uint32_t k = 0; k < s->trailer.list_count; k++) {
        const struct listed *l = &s->list[k];
        struct name n = name_parse(l->name);
        if (n.kind != NAME_CHUNK || n.start != name->start || !uid_equal(&n.run, &name->run) ||
            n.first_page != l->first_page)
            return err_set(e, ERR_CORRUPT, 0, "names '%s', which can't be one of its chunks", l->name);
        if ((i->last_page != 0 && l->first_page != first) || l->max < i->start)
            return err_set(e, ERR_CORRUPT, 0, "names '%s', which does not continue its chunks", l->name);
        first = (uint64_t)l->last_page + 1;
        max = l->max > max ? l->max : max;
    }
    if (i->last_page != 0 && first != (uint64_t)i->last_page + 1)
        return err_set(e, ERR_CORRUPT, 0, "names no chunk for the pages from %" PRIu64 " on", first);
    return max == i->max ? 0 : bad(e, "its max is not the highest of its chunks");
}

static int check_segment(const struct segment *s, struct err *e)
{
    const struct segment_info *i = &s->trailer.info;
    bool in_parts = (i->flags & SEGMENT_IN_PARTS) != 0, last_only = i->level > 0 || (i->flags & SEGMENT_LAST_ONLY);
    if ((s->trailer.list_count > 0) != in_parts)
        return bad(e, "its list contradicts its flags");
    if ((i->flags & SEGMENT_BASE_ONLY) && (s->trailer.version_count > 0 || in_parts))
        return bad(e, "has pages, but its flags say that it waits for a base");
    for (uint32_t k = 0; k < s->trailer.list_count; k++)
        if (name_parse(s->list[k].name).kind != NAME_PART || s->list[k].max < i->min)
            return err_set(e, ERR_CORRUPT, 0, "names '%s', which can't be one of its parts", s->list[k].name);
    for (uint32_t k = 1; last_only && k < s->trailer.version_count; k++)
        if (s->versions[k].pgno == s->versions[k - 1].pgno)
            return err_set(e, ERR_CORRUPT, 0, "has two versions of page %u, but may have only the last one",
                           s->versions[k].pgno);
    return 0;
}

static int check_content(const struct check *c, const struct item *it, const struct segment *s, struct err *e)
{
    const struct segment_info *i = &s->trailer.info;
    if (check_key(&it->name, i, e))
        return -1;
    if (!uid_equal(&i->database, &c->catalog->identity.database))
        return bad(e, "belongs to another database than '" NAME_IDENTITY "' says");
    if (it->listed && check_listed(it, &s->trailer, e))
        return -1;
    if (i->kind == OBJECT_INTERIOR)
        return check_interior(it, s, e);
    if (i->kind == OBJECT_CHUNK || i->kind == OBJECT_PART)
        return s->trailer.list_count ? bad(e, "names other objects") : i->kind == OBJECT_CHUNK ? check_chunk(s, e) : 0;
    return i->kind == OBJECT_MARKER ? check_marker_list(s, &it->name, e) : check_segment(s, e);
}

/* ---- reading */

struct whole { /* an object that is read */
    struct check *check;
    struct worker *worker;
    struct object_reader reader; /* its tail is worker->tail */
    uint64_t blocks_end;         /* offset behind the last block */
    uint64_t stored_at;          /* worker->stored holds the bytes from this offset on */
};

/* Gets `n` bytes at `offset`, before the tail or in it. If they have to be fetched, up to READ_BYTES are read at once.
 * The bytes are borrowed until the next call. */
static int bytes_at(struct whole *o, uint64_t offset, size_t n, const uint8_t **ret_bytes, struct err *e)
{
    const struct object_reader *r = &o->reader;
    struct buf *stored = &o->worker->stored;
    if (offset >= r->size - r->tail->len) {
        *ret_bytes = r->tail->data + (offset - (r->size - r->tail->len));
        return 0;
    }
    if (offset < o->stored_at || offset + n > o->stored_at + stored->len) {
        size_t ahead = o->blocks_end - offset < READ_BYTES ? (size_t)(o->blocks_end - offset) : READ_BYTES;
        size_t want = ahead > n ? ahead : n;
        stored->len = 0;
        if (buf_reserve(stored, want, e) || store_read(r->store, r->key, offset, stored->data, want, e))
            return -1;
        stored->len = want;
        o->stored_at = offset;
    }
    *ret_bytes = stored->data + (offset - o->stored_at);
    return 0;
}

static int check_images(const struct segment *s, const struct segment_block *b, const uint8_t *raw, struct err *e)
{
    uint32_t page_size = s->trailer.info.page_size;
    for (uint32_t k = 0; k < b->versions; k++) {
        const struct version *v = &s->versions[b->first_version + k];
        if (v->kind == VERSION_IMAGE && page_hash(v->pgno, raw, page_size) != v->hash)
            return err_set(e, ERR_CORRUPT, 0, "page %u of txid %" PRIu64 " has the wrong hash", v->pgno, v->txid);
        raw += version_size(v, page_size);
    }
    return 0;
}

/* Reads and checks all blocks. *ret_digest is the SHA-256 of all bytes. After a damaged block it still reads the rest
 * for the digest, and fails at the end. */
static int read_whole(struct whole *o, const struct segment *s, struct digest *ret_digest, struct err *e)
{
    struct worker *w = o->worker;
    const uint8_t *bytes = NULL;
    int rc = 0;
    o->blocks_end = s->trailer.tail_offset;
    o->stored_at = 0;
    w->stored.len = 0;
    digest_stream_begin(w->digest);
    if (bytes_at(o, 0, SEGMENT_HEADER_BYTES, &bytes, e) || segment_header_check(bytes, (size_t)o->reader.size, e))
        return -1;
    digest_stream_add(w->digest, bytes, SEGMENT_HEADER_BYTES);
    for (uint32_t k = 0; k < s->trailer.block_count; k++) {
        const struct segment_block *b = &s->blocks[k];
        if (check_canceled(o->check, e) || bytes_at(o, b->offset, b->stored_size, &bytes, e))
            return -1;
        digest_stream_add(w->digest, bytes, b->stored_size);
        if (rc == 0)
            rc = segment_block_inflate(b, bytes, w->codec, w->raw, e);
        if (rc == 0)
            rc = check_images(s, b, w->raw, e);
    }
    size_t rest = (size_t)(o->reader.size - o->blocks_end);
    digest_stream_add(w->digest, w->tail.data + w->tail.len - rest, rest);
    *ret_digest = digest_stream_end(w->digest);
    return rc;
}

/* What its owner says; NULL: it has none. */
static const struct digest *digest_expected(const struct item *it)
{
    if (it->name.kind == NAME_INTERIOR)
        return &item_info(it->owner)->digest_before;
    return it->listed ? &it->listed->digest : NULL;
}

static int read_object(struct check *c, struct worker *w, struct item *it, struct segment *ret_segment, struct err *e)
{
    char key[NAME_MAX_BYTES];
    struct whole o = {
        .check = c, .worker = w, .reader = {.store = c->store, .codec = w->codec, .key = key, .tail = &w->tail}};
    name_format(&it->name, key);
    if (object_read(&o.reader, OBJECT_TAIL_BYTES, SEGMENT_WANT_ALL, ret_segment, e))
        return -1;
    it->size = o.reader.size;
    const bool whole = w->tail.len == it->size;
    int rc = check_content(c, it, ret_segment, e);
    if (rc == 0 && check_is_full(c))
        rc = read_whole(&o, ret_segment, &it->digest, e);
    else if (rc == 0 && whole)
        rc = digest_of(w->tail.data, w->tail.len, &it->digest, e);
    it->digest_known = rc == 0 && (check_is_full(c) || whole);
    const struct digest *expected = digest_expected(it);
    if (it->digest_known && expected && !digest_equal(&it->digest, expected)) {
        char owner[NAME_MAX_BYTES];
        name_format(&it->owner->name, owner);
        rc = err_set(e, ERR_CORRUPT, 0, "is not the object that '%s' names: its SHA-256 is another", owner);
    }
    if (rc)
        segment_release(ret_segment);
    return rc;
}

/* Keeps the list of a segment or marker, and its records while there is room. The rest of the object is read again when
 * it is needed. */
static int keep_records(struct check *c, struct item *it, struct segment *s, struct err *e)
{
    const uint32_t records = s->trailer.record_count;
    segment_drop_index(s);
    if (!it->object) {
        segment_release(s);
        return 0;
    }
    if (records) {
        it->first = s->records[0];
        it->last = s->records[records - 1];
    }
    if (records > 2 && (claim_is_tight() || atomic_load(&c->kept) + s->charged > CATALOG_BYTES_MAX))
        segment_drop_records(s);
    atomic_fetch_add(&c->kept, s->charged);
    it->object->segment = malloc(sizeof *s);
    if (!it->object->segment) {
        segment_release(s);
        return err_nomem(e, sizeof *s);
    }
    *it->object->segment = *s;
    return 0;
}

static int examine(struct check *c, struct worker *w, struct item *it, struct err *e)
{
    struct segment s = {0};
    if (read_object(c, w, it, &s, e))
        return check_failed(c, it, e);
    it->last_page = s.trailer.version_count ? s.versions[s.trailer.version_count - 1].pgno : 0;
    if (keep_records(c, it, &s, e))
        return -1;
    it->sound = true;
    return 0;
}

int examine_item(struct check *c, struct worker *w, size_t index, struct err *e)
{
    assert(index < c->item_count);
    return examine(c, w, &c->items[index], e);
}

int examine_named(struct check *c, struct worker *w, size_t index, struct err *e)
{
    assert(index < c->named_count && c->named[index].owner->sound);
    return examine(c, w, &c->named[index], e);
}
