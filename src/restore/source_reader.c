/* restore/source_reader.c */
#include "restore/source_reader.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

/* Adjacent blocks are fetched in one read of up to this many bytes, but always at least one block. */
#define READ_AHEAD_BYTES (1u << 20)
#define READ_AHEAD_SLOW (2u << 20) /* from a slow store */

/* ---- loading */

static int check_source(const struct plan_source *source, const struct segment *s, const struct plan *p, struct err *e)
{
    const struct segment_info *i = &s->trailer.info;
    if (i->kind != source->kind || i->max != source->max || s->trailer.object_size != source->size)
        return err_set(e, ERR_CORRUPT, 0, "object '%s' has another kind, size or txid than the replica says",
                       source->key);
    if (i->page_size != p->page_size || !uid_equal(&i->database, &p->database))
        return err_set(e, ERR_CORRUPT, 0, "object '%s' belongs to another database", source->key);
    return 0;
}

int source_load(const struct source_origin *from, const struct plan_source *source, struct codec *codec,
                struct segment *ret_segment, struct err *e)
{
    if (object_load(from->store, source->key, codec, SEGMENT_WANT_ALL, ret_segment, e))
        return store_listed_is_gone(e);
    if (check_source(source, ret_segment, from->plan, e)) {
        segment_release(ret_segment);
        return -1;
    }
    atomic_fetch_add(from->fetched, ret_segment->trailer.object_size - ret_segment->trailer.tail_offset);
    return 0;
}

/* ---- life */

int source_reader_new(const struct source_origin *from, source_filter_fn *filter, const void *filter_context,
                      struct source_reader **ret_reader, struct err *e)
{
    struct source_reader *r = calloc(1, sizeof *r);
    if (r)
        r->codec = codec_new();
    if (!r || !r->codec) {
        free(r);
        return err_nomem(e, sizeof *r);
    }
    r->from = *from;
    r->filter = filter;
    r->filter_context = filter_context;
    r->stored = BUF_INIT(SEGMENT_BYTES_MAX);
    *ret_reader = r;
    return 0;
}

void source_reader_close(struct source_reader *r)
{
    segment_release(&r->own);
    r->segment = NULL;
    r->stored.len = 0;
    r->next = 0;
}

void source_reader_free(struct source_reader *r)
{
    if (!r)
        return;
    source_reader_close(r);
    buf_release(&r->stored);
    codec_free(r->codec);
    free(r);
}

int source_reader_open(struct source_reader *r, const struct plan_source *source, const struct segment *index,
                       struct err *e)
{
    assert(source);
    source_reader_close(r);
    r->source = source;
    if (!index && source_load(&r->from, source, r->codec, &r->own, e))
        return -1;
    r->segment = index ? index : &r->own;
    return 0;
}

/* ---- blocks */

static bool is_needed(const struct source_reader *r, const struct segment_block *b)
{
    for (uint32_t i = 0; i < b->versions; i++)
        if (r->filter(r->filter_context, &r->segment->versions[b->first_version + i]))
            return true;
    return false;
}

static bool is_fetched(const struct source_reader *r, const struct segment_block *b)
{
    return r->stored.len > 0 && b->offset >= r->stored_at && b->offset + b->stored_size <= r->stored_at + r->stored.len;
}

/* Reads block `index` into r->stored, together with the needed blocks that follow it. */
static int fetch(struct source_reader *r, uint32_t index, struct err *e)
{
    const struct segment *s = r->segment;
    const struct segment_block *b = &s->blocks[index];
    uint64_t end = b->offset + b->stored_size, ahead = r->from.store->slow ? READ_AHEAD_SLOW : READ_AHEAD_BYTES;
    for (uint32_t i = index + 1; i < s->trailer.block_count && is_needed(r, &s->blocks[i]); i++) {
        uint64_t next_end = s->blocks[i].offset + s->blocks[i].stored_size;
        if (next_end - b->offset > ahead)
            break;
        end = next_end;
    }
    size_t n = (size_t)(end - b->offset);
    r->stored.len = 0;
    if (buf_reserve(&r->stored, n ? n : 1, e))
        return -1;
    if (store_read(r->from.store, r->source->key, b->offset, r->stored.data, n, e))
        return store_listed_is_gone(e);
    atomic_fetch_add(r->from.fetched, n);
    r->stored.len = n;
    r->stored_at = b->offset;
    return 0;
}

int source_reader_next(struct source_reader *r, const struct segment_block **ret_block, struct err *e)
{
    assert(r->segment);
    const struct segment *s = r->segment;
    while (r->next < s->trailer.block_count && !is_needed(r, &s->blocks[r->next]))
        r->next++;
    *ret_block = NULL;
    if (r->next == s->trailer.block_count)
        return 0;
    const struct segment_block *b = &s->blocks[r->next];
    if (!is_fetched(r, b) && fetch(r, r->next, e))
        return -1;
    if (segment_block_inflate(b, r->stored.data + (b->offset - r->stored_at), r->codec, r->raw, e))
        return err_wrap(e, "object '%s'", r->source->key);
    r->next++;
    *ret_block = b;
    return 0;
}

int source_reader_damaged(const struct source_reader *r, const struct version *v, struct err *e)
{
    return err_set(e, ERR_CORRUPT, 0, "object '%s': page %u of txid %" PRIu64 " has the wrong hash", r->source->key,
                   v->pgno, v->txid);
}
