/* replica/object.c */
#include "replica/object.h"

#include "base/endian.h"

bool object_fits_name(const struct name *n, const struct segment_info *i)
{
    switch (n->kind) {
    case NAME_LEVEL0:
        return i->kind == OBJECT_SEGMENT && i->level == 0 && i->min == n->min;
    case NAME_LEVEL:
        return i->kind == OBJECT_SEGMENT && i->level == n->level && i->min == n->min && i->max == n->max;
    case NAME_MARKER:
        return i->kind == OBJECT_MARKER && i->start == n->start && uid_equal(&i->run, &n->run);
    case NAME_CHUNK:
        return i->kind == OBJECT_CHUNK && i->start == n->start && uid_equal(&i->run, &n->run) &&
               i->first_page == n->first_page;
    case NAME_PART:
        return i->kind == OBJECT_PART && uid_equal(&i->run, &n->run);
    default:
        return false;
    }
}

/* `tail` holds the last tail->len bytes of an object of `size` bytes. */
static int decode_trailer(const struct buf *tail, uint64_t size, struct segment_trailer *ret_trailer, struct err *e)
{
    if (size < SEGMENT_HEADER_BYTES + SEGMENT_TRAILER_BYTES)
        return err_set(e, ERR_CORRUPT, 0, "%llu bytes are too few for a segment", (unsigned long long)size);
    return segment_trailer_decode(tail->data + tail->len - SEGMENT_TRAILER_BYTES, size, ret_trailer, e);
}

static int decode(struct store *store, const char *key, struct buf *tail, uint64_t size, struct codec *codec,
                  enum segment_want want, struct segment *ret_segment, struct err *e)
{
    struct segment_trailer t = {0};
    if (decode_trailer(tail, size, &t, e))
        return err_wrap(e, "object '%s'", key);
    size_t need = (size_t)(size - t.tail_offset);
    if (need > tail->len) {
        tail->len = 0;
        if (buf_reserve(tail, need, e) || store_read(store, key, t.tail_offset, tail->data, need, e))
            return -1;
        tail->len = need;
    }
    if (tail->len == size && segment_header_check(tail->data, tail->len, e))
        return err_wrap(e, "object '%s'", key);
    if (segment_decode(&t, tail->data + tail->len - need, codec, want, ret_segment, e))
        return err_wrap(e, "object '%s'", key);
    return 0;
}

int object_load(struct store *store, const char *key, struct codec *codec, enum segment_want want,
                struct segment *ret_segment, struct err *e)
{
    struct buf tail = BUF_INIT(SEGMENT_BYTES_MAX);
    uint64_t size = 0;
    int rc = store_read_tail(store, key, OBJECT_TAIL_BYTES, &tail, &size, e);
    if (rc == 0)
        rc = decode(store, key, &tail, size, codec, want, ret_segment, e);
    buf_release(&tail);
    return rc;
}

int object_load_whole(struct store *store, const char *key, struct codec *codec, struct segment *ret_segment,
                      struct digest *ret_digest, struct err *e)
{
    struct buf whole = BUF_INIT(SEGMENT_BYTES_MAX);
    uint64_t size = 0;
    struct digest digest = {{0}};
    int rc = store_read_tail(store, key, SEGMENT_BYTES_MAX, &whole, &size, e);
    if (rc == 0)
        rc = digest_of(whole.data, whole.len, &digest, e);
    if (rc == 0)
        rc = decode(store, key, &whole, size, codec, SEGMENT_WANT_RECORDS, ret_segment, e);
    buf_release(&whole);
    if (rc == 0)
        *ret_digest = digest;
    return rc;
}

int object_load_level0(struct store *store, uint64_t min, struct codec *codec, struct segment *ret_segment,
                       struct digest *ret_digest, struct err *e)
{
    struct name name = {.kind = NAME_LEVEL0, .min = min};
    char key[NAME_MAX_BYTES];
    name_format(&name, key);
    if (object_load_whole(store, key, codec, ret_segment, ret_digest, e))
        return -1;
    if (object_fits_name(&name, &ret_segment->trailer.info))
        return 0;
    segment_release(ret_segment);
    return err_set(e, ERR_CORRUPT, 0, "object '%s' is not the segment that its name says", key);
}
