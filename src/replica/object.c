/* replica/object.c */
#include "replica/object.h"

#include "base/claim.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

/* Most objects are smaller, and take one read. A larger one is read in several, so that it takes little memory. */
#define WHOLE_PIECE_BYTES (1u << 20)

#define END_SHARE 64 /* of a large segment, records and index take one in ... */

size_t object_end_bytes(uint64_t size)
{
    const uint64_t share = size < SEGMENT_BYTES_MAX ? size / END_SHARE : SEGMENT_BYTES_MAX / END_SHARE;
    return share > OBJECT_TAIL_BYTES ? (size_t)share : OBJECT_TAIL_BYTES;
}

bool object_fits_name(const struct name *n, const struct segment_info *i)
{
    switch (n->kind) {
    case NAME_LEVEL0:
        return i->kind == OBJECT_SEGMENT && i->level == 0 && i->min == n->min;
    case NAME_PACK:
        return i->kind == OBJECT_SEGMENT && i->level == 0 && i->flags == 0 && i->min == n->min && i->max == n->max;
    case NAME_LEVEL:
        return i->kind == OBJECT_SEGMENT && i->level == n->level && i->min == n->min && i->max == n->max;
    case NAME_MARKER:
        return i->kind == OBJECT_MARKER && i->start == n->start && uid_equal(&i->run, &n->run);
    case NAME_CHUNK:
        return i->kind == OBJECT_CHUNK && i->start == n->start && uid_equal(&i->run, &n->run) &&
               i->first_page == n->first_page;
    case NAME_INTERIOR:
        return i->kind == OBJECT_INTERIOR && i->start == n->start && uid_equal(&i->run, &n->run);
    case NAME_PART:
        return i->kind == OBJECT_PART && uid_equal(&i->run, &n->run);
    default:
        return false;
    }
}

static int of_object(const struct object_reader *r, struct err *e)
{
    return err_wrap(e, "object '%s'", r->key);
}

/* A marker names the chunks of its base, each once, in the order of their keys. Other objects name parts. */
static int check_list(const struct segment *s, struct err *e)
{
    const bool marker = s->trailer.info.kind == OBJECT_MARKER;
    for (uint32_t i = 0; i < s->trailer.list_count; i++) {
        const char *name = s->list[i].name;
        if (name_parse(name).kind != (marker ? NAME_CHUNK : NAME_PART))
            return err_set(e, ERR_CORRUPT, 0, "list: entry %u names an object that can't be one of its own", i);
        const int order = i == 0 ? 1 : strcmp(name, s->list[i - 1].name);
        if (order == 0)
            return err_set(e, ERR_CORRUPT, 0, "list: '%s' comes twice", name);
        if (marker && order < 0)
            return err_set(e, ERR_CORRUPT, 0, "list: '%s' is out of order", name);
    }
    return 0;
}

static int read_tail_from(struct object_reader *r, uint64_t offset, size_t bytes, struct err *e)
{
    r->tail->len = 0;
    if (buf_reserve(r->tail, bytes, e) || store_read(r->store, r->key, offset, r->tail->data, bytes, e))
        return -1;
    r->tail->len = bytes;
    return 0;
}

static int decode(struct object_reader *r, enum segment_want want, struct segment *ret_segment, struct err *e)
{
    struct buf *tail = r->tail;
    struct segment_trailer t = {0};
    if (r->size < SEGMENT_HEADER_BYTES + SEGMENT_TRAILER_BYTES)
        return err_set(e, ERR_CORRUPT, 0, "object '%s': %" PRIu64 " bytes are too few for a segment", r->key, r->size);
    if (segment_trailer_decode(tail->data + tail->len - SEGMENT_TRAILER_BYTES, r->size, &t, e))
        return of_object(r, e);
    size_t need = (size_t)(r->size - t.tail_offset), more = need > tail->len ? need : 0;
    if (more && claim_take(more, e))
        return err_wrap(e, "object '%s': records, index and list", r->key);
    if (more && read_tail_from(r, t.tail_offset, need, e)) {
        claim_give(more);
        return -1;
    }
    int rc = tail->len == r->size ? segment_header_check(tail->data, tail->len, e) : 0;
    if (rc == 0)
        rc = segment_decode(&(struct segment_decoder){r->codec, want}, &t, tail->data + tail->len - need, ret_segment,
                            e);
    claim_give(more);
    if (rc)
        return of_object(r, e);
    if (check_list(ret_segment, e)) {
        segment_release(ret_segment);
        return of_object(r, e);
    }
    return 0;
}

int object_read(struct object_reader *r, size_t tail_bytes, enum segment_want want, struct segment *ret_segment,
                struct err *e)
{
    assert(r->store && r->codec && r->key && r->tail && tail_bytes >= SEGMENT_TRAILER_BYTES);
    r->tail->len = 0;
    if (store_read_tail(r->store, r->key, tail_bytes, r->tail, &r->size, e))
        return -1;
    return decode(r, want, ret_segment, e);
}

int object_decode_whole(struct object_reader *r, enum segment_want want, struct segment *ret_segment, struct err *e)
{
    assert(r->codec && r->key && r->tail);
    r->size = r->tail->len;
    return decode(r, want, ret_segment, e);
}

int object_load(struct store *store, const char *key, struct codec *codec, enum segment_want want,
                struct segment *ret_segment, struct err *e)
{
    struct buf tail = BUF_INIT(SEGMENT_BYTES_MAX);
    struct object_reader r = {.store = store, .codec = codec, .key = key, .tail = &tail};
    int rc = object_read(&r, OBJECT_TAIL_BYTES, want, ret_segment, e);
    buf_release(&tail);
    return rc;
}

/* Computes the SHA-256 of all bytes. Bytes that are not in r->tail are read WHOLE_PIECE_BYTES at a time. */
static int digest_object(const struct object_reader *r, struct digest *ret_digest, struct err *e)
{
    const uint64_t tail_at = r->size - r->tail->len;
    struct digest_stream *sum = digest_stream_new();
    struct buf piece = BUF_INIT(WHOLE_PIECE_BYTES);
    int rc = sum ? buf_reserve(&piece, WHOLE_PIECE_BYTES, e) : err_nomem(e, WHOLE_PIECE_BYTES);
    if (sum)
        digest_stream_begin(sum);
    for (uint64_t at = 0; rc == 0 && sum && at < tail_at;) {
        const size_t n = tail_at - at < WHOLE_PIECE_BYTES ? (size_t)(tail_at - at) : WHOLE_PIECE_BYTES;
        rc = store_read(r->store, r->key, at, piece.data, n, e);
        if (rc == 0 && at == 0 && segment_header_check(piece.data, (size_t)r->size, e))
            rc = of_object(r, e);
        if (rc == 0)
            digest_stream_add(sum, piece.data, n);
        at += n;
    }
    if (rc == 0 && sum) {
        digest_stream_add(sum, r->tail->data, r->tail->len);
        *ret_digest = digest_stream_end(sum);
    }
    buf_release(&piece);
    digest_stream_free(sum);
    return rc;
}

int object_load_whole(struct store *store, const char *key, struct codec *codec, struct segment *ret_segment,
                      struct digest *ret_digest, struct err *e)
{
    struct buf tail = BUF_INIT(SEGMENT_BYTES_MAX);
    struct object_reader r = {.store = store, .codec = codec, .key = key, .tail = &tail};
    int rc = object_read(&r, WHOLE_PIECE_BYTES, SEGMENT_WANT_RECORDS, ret_segment, e);
    if (rc == 0) {
        rc = digest_object(&r, ret_digest, e);
        if (rc)
            segment_release(ret_segment);
    }
    buf_release(&tail);
    return rc;
}

int object_load_named(struct store *store, const struct name *name, struct codec *codec, struct segment *ret_segment,
                      struct digest *ret_digest, struct err *e)
{
    char key[NAME_MAX_BYTES];
    name_format(name, key);
    if (object_load_whole(store, key, codec, ret_segment, ret_digest, e))
        return -1;
    if (object_fits_name(name, &ret_segment->trailer.info))
        return 0;
    segment_release(ret_segment);
    return err_set(e, ERR_CORRUPT, 0, "object '%s' is not the segment that its key says", key);
}
