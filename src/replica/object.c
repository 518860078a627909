/* replica/object.c */
#include "replica/object.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

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

static int decode(struct object_reader *r, enum segment_want want, struct segment *ret_segment, struct err *e)
{
    struct buf *tail = r->tail;
    struct segment_trailer t = {0};
    if (r->size < SEGMENT_HEADER_BYTES + SEGMENT_TRAILER_BYTES)
        return err_set(e, ERR_CORRUPT, 0, "object '%s': %" PRIu64 " bytes are too few for a segment", r->key, r->size);
    if (segment_trailer_decode(tail->data + tail->len - SEGMENT_TRAILER_BYTES, r->size, &t, e))
        return of_object(r, e);
    size_t need = (size_t)(r->size - t.tail_offset);
    if (need > tail->len) {
        tail->len = 0;
        if (buf_reserve(tail, need, e) || store_read(r->store, r->key, t.tail_offset, tail->data, need, e))
            return -1;
        tail->len = need;
    }
    if (tail->len == r->size && segment_header_check(tail->data, tail->len, e))
        return of_object(r, e);
    if (segment_decode(&(struct segment_decoder){r->codec, want}, &t, tail->data + tail->len - need, ret_segment, e))
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

int object_load(struct store *store, const char *key, struct codec *codec, enum segment_want want,
                struct segment *ret_segment, struct err *e)
{
    struct buf tail = BUF_INIT(SEGMENT_BYTES_MAX);
    struct object_reader r = {.store = store, .codec = codec, .key = key, .tail = &tail};
    int rc = object_read(&r, OBJECT_TAIL_BYTES, want, ret_segment, e);
    buf_release(&tail);
    return rc;
}

int object_load_whole(struct store *store, const char *key, struct codec *codec, struct segment *ret_segment,
                      struct digest *ret_digest, struct err *e)
{
    struct buf whole = BUF_INIT(SEGMENT_BYTES_MAX);
    struct object_reader r = {.store = store, .codec = codec, .key = key, .tail = &whole};
    int rc = object_read(&r, SEGMENT_BYTES_MAX, SEGMENT_WANT_RECORDS, ret_segment, e);
    if (rc == 0) {
        rc = digest_of(whole.data, whole.len, ret_digest, e);
        if (rc)
            segment_release(ret_segment);
    }
    buf_release(&whole);
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
    return err_set(e, ERR_CORRUPT, 0, "object '%s' is not the segment that its key says", key);
}
