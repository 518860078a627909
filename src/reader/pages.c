/* reader/pages.c
 *
 * The index of a chunk in memory: the count of its blocks (4 bytes, and 4 unused), a struct chunk_place for each page
 * of its range, and its table of blocks. In the folder: the end of the object, from its records on. */
#include "reader/pages.h"

#include "base/hash.h"
#include "base/thread.h"
#include "reader/blocks.h"
#include "replica/object.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW_MAX 128u /* blocks: 8 MiB of pages */
#define SKIP_WINDOWS 2  /* a stream may pass over so many windows */
#define FETCH_BYTES_MAX (8u << 20)
#define CHUNK_PAGES_MAX (1u << 20)
#define INDEX_HEAD 8

static struct block_key key_of(const uint8_t *id, uint32_t number, uint32_t kind)
{
    struct block_key k = {.number = number, .kind = kind};
    memcpy(k.id, id, sizeof k.id);
    return k;
}

static void name_of(const uint8_t *id, const char *part, char out[DISK_NAME_MAX])
{
    char hex[2 * UID_BYTES + 1];
    hex_encode(id, UID_BYTES, hex);
    snprintf(out, DISK_NAME_MAX, "%s-%s", hex, part);
}

static void name_of_block(const uint8_t *id, uint32_t block, char out[DISK_NAME_MAX])
{
    char part[12];
    snprintf(part, sizeof part, "%x", block);
    name_of(id, part, out);
}

/* ---- blocks */

/* The stream that has come close to `place`: a scan passes over pages of others, and comes back for some. */
static struct read_stream *find_stream(struct read_ahead *ahead, const uint8_t *id, uint64_t place, uint32_t step)
{
    for (size_t i = 0; i < READ_STREAMS; i++) {
        struct read_stream *s = &ahead->streams[i];
        const uint64_t far = (uint64_t)SKIP_WINDOWS * s->window * step;
        const uint64_t away = place >= s->next ? place - s->next : s->next - place;
        if (s->window > 0 && memcmp(s->id, id, UID_BYTES) == 0 && away <= far)
            return s;
    }
    return NULL;
}

static struct read_stream *oldest_stream(struct read_ahead *ahead)
{
    struct read_stream *oldest = &ahead->streams[0];
    for (size_t i = 1; i < READ_STREAMS; i++)
        if (ahead->streams[i].used < oldest->used)
            oldest = &ahead->streams[i];
    return oldest;
}

struct read_stream *pages_stream(struct read_ahead *ahead, const uint8_t *id, uint64_t place, uint32_t step)
{
    struct read_stream *s = find_stream(ahead, id, place, step);
    if (!s) {
        s = oldest_stream(ahead);
        memcpy(s->id, id, UID_BYTES);
        s->window = 1;
        s->next = place;
    } else if (place >= s->next && place - s->next < step) {
        s->window = s->window < WINDOW_MAX ? 2 * s->window : WINDOW_MAX;
    }
    s->used = ++ahead->turn;
    return s;
}

void pages_stream_reached(struct read_stream *s, uint64_t place)
{
    if (place > s->next)
        s->next = place;
}

uint32_t pages_missing(const struct block_source *s)
{
    for (uint32_t i = 1; i < s->count; i++) {
        const struct block_key key = key_of(s->id, s->first + i, BLOCKS_BLOCK);
        if (blocks_has(&key))
            return i;
    }
    return s->count;
}

/* Inflates a block, and keeps it in memory. */
static int keep_block(const struct block_source *s, uint32_t i, const uint8_t *stored, struct codec *codec,
                      uint8_t *raw, struct err *e)
{
    const struct block_key key = key_of(s->id, s->first + i, BLOCKS_BLOCK);
    if (segment_block_inflate(&s->blocks[i], stored, codec, raw, e))
        return err_wrap(e, "object '%s'", s->key);
    blocks_put(&key, raw, s->blocks[i].raw_size);
    return 0;
}

static bool from_disk(const struct block_source *s, struct codec *codec, uint8_t *raw)
{
    struct buf stored = BUF_INIT(SEGMENT_BYTES_MAX);
    char name[DISK_NAME_MAX];
    struct err e;
    name_of_block(s->id, s->first, name);
    bool found = disk_get(s->origin->disk, name, &stored);
    if (found && (stored.len != s->blocks[0].stored_size || keep_block(s, 0, stored.data, codec, raw, &e))) {
        disk_drop(s->origin->disk, name);
        found = false;
    }
    buf_release(&stored);
    return found;
}

/* How many of the blocks are fetched in one read: they lie one behind the other. */
static uint32_t blocks_together(const struct block_source *s)
{
    uint32_t n = 1;
    uint64_t end = s->blocks[0].offset + s->blocks[0].stored_size;
    while (n < s->count && s->blocks[n].offset == end &&
           end + s->blocks[n].stored_size - s->blocks[0].offset <= FETCH_BYTES_MAX)
        end += s->blocks[n++].stored_size;
    return n;
}

static int from_store(const struct block_source *s, struct codec *codec, uint8_t *raw, struct err *e)
{
    const uint32_t count = blocks_together(s);
    const struct segment_block *last = &s->blocks[count - 1];
    const uint64_t from = s->blocks[0].offset;
    const size_t n = (size_t)(last->offset + last->stored_size - from);
    uint8_t *stored = malloc(n + 1), *other = malloc(SEGMENT_BLOCK_BYTES);
    char name[DISK_NAME_MAX];
    int rc = stored && other ? 0 : err_nomem(e, n);
    if (rc == 0 && store_read(s->origin->store, s->key, from, stored, n, e))
        rc = store_listed_is_gone(e);
    atomic_fetch_add(&s->origin->requests, 1);
    atomic_fetch_add(&s->origin->bytes, n);
    for (uint32_t i = count; rc == 0 && i-- > 0;) { /* the wanted one last: it is the last to leave the memory */
        const uint8_t *at = stored + (s->blocks[i].offset - from);
        struct err later;
        if (keep_block(s, i, at, codec, i == 0 ? raw : other, i == 0 ? e : &later)) {
            rc = i == 0 ? -1 : 0; /* nobody has asked for the others */
            continue;
        }
        name_of_block(s->id, s->first + i, name);
        disk_put(s->origin->disk, name, at, s->blocks[i].stored_size);
    }
    free(stored);
    free(other);
    return rc;
}

int pages_block(const struct block_source *s, size_t offset, uint8_t *out, size_t n, struct err *e)
{
    const struct block_key key = key_of(s->id, s->first, BLOCKS_BLOCK);
    if (blocks_get(&key, offset, out, n))
        return 0;
    if (s->count == 0 || offset > s->blocks[0].raw_size || n > s->blocks[0].raw_size - offset)
        return err_set(e, ERR_CORRUPT, 0, "object '%s': a version lies outside of its block", s->key);
    uint8_t *raw = malloc(SEGMENT_BLOCK_BYTES);
    struct codec *codec = raw ? origin_take_codec(s->origin) : NULL;
    int rc = codec ? 0 : err_nomem(e, SEGMENT_BLOCK_BYTES);
    if (rc == 0 && !from_disk(s, codec, raw))
        rc = from_store(s, codec, raw, e);
    if (rc == 0)
        memcpy(out, raw + offset, n);
    if (codec)
        origin_give_codec(s->origin, codec);
    free(raw);
    return rc;
}

static void *fetch_thread(void *context)
{
    struct pages_fetch *f = context;
    for (size_t i = 0; (i = atomic_fetch_add(&f->next, 1)) < f->count && !atomic_load(&f->failed);) {
        uint8_t none = 0;
        struct err e;
        if (pages_block(&f->list[i], 0, &none, 0, &e) && !atomic_exchange(&f->failed, true))
            f->e = e;
    }
    return NULL;
}

void pages_fetch_begin(struct pages_fetch *f, const struct block_source *list, size_t count)
{
    const size_t want = count < PAGES_THREADS ? count : PAGES_THREADS;
    f->list = list;
    f->count = count;
    atomic_init(&f->next, 0);
    atomic_init(&f->failed, false);
    f->started = threads_start(f->threads, want, fetch_thread, f);
}

int pages_fetch_end(struct pages_fetch *f, struct err *e)
{
    threads_join(f->threads, f->started);
    if (!atomic_load(&f->failed))
        return 0;
    *e = f->e;
    return -1;
}

/* ---- the index of a chunk */

static int check_chunk(const struct pages_of *of, const struct chunk *c, const struct segment *index, struct err *e)
{
    const struct segment_info *i = &index->trailer.info;
    if (i->kind != OBJECT_CHUNK || i->max != c->max || index->trailer.object_size != c->size ||
        i->first_page != c->first_page || i->last_page != c->last_page)
        return err_set(e, ERR_CORRUPT, 0, "object '%s' has another kind, size, txid or range than its base says",
                       c->key);
    if (i->page_size != of->page_size || !uid_equal(&i->database, &of->database))
        return err_set(e, ERR_CORRUPT, 0, "object '%s' belongs to another database", c->key);
    return 0;
}

static void fill_places(const struct segment *index, uint32_t page_size, struct chunk_place *places)
{
    for (uint32_t b = 0; b < index->trailer.block_count; b++) {
        uint32_t offset = 0;
        for (uint32_t i = 0; i < index->blocks[b].versions; i++) {
            const struct version *v = &index->versions[index->blocks[b].first_version + i];
            const struct segment_info *info = &index->trailer.info;
            if (v->kind != VERSION_PATCH && v->pgno >= info->first_page && v->pgno <= info->last_page)
                places[v->pgno - info->first_page] =
                    (struct chunk_place){.hash = v->hash, .txid = v->txid, .block = b, .offset = offset};
            offset += (uint32_t)version_size(v, page_size);
        }
    }
}

static size_t places_bytes(const struct chunk *c)
{
    return INDEX_HEAD + (size_t)(c->last_page - c->first_page + 1) * sizeof(struct chunk_place);
}

/* Makes the form that is kept in memory. */
static int pack_index(const struct pages_of *of, const struct chunk *c, const struct segment *index, struct buf *out,
                      struct err *e)
{
    const size_t places = places_bytes(c), table = index->trailer.block_count * sizeof *index->blocks;
    if (check_chunk(of, c, index, e))
        return -1;
    if (c->last_page - c->first_page >= CHUNK_PAGES_MAX)
        return err_set(e, ERR_LIMIT, 0, "object '%s' has more than %u pages", c->key, CHUNK_PAGES_MAX);
    if (buf_append_zeros(out, places, e))
        return -1;
    memcpy(out->data, &index->trailer.block_count, sizeof index->trailer.block_count);
    fill_places(index, of->page_size, (struct chunk_place *)(void *)(out->data + INDEX_HEAD));
    return table > 0 ? buf_append(out, index->blocks, table, e) : 0;
}

/* Decodes the end of a chunk: what the folder of the cache has of it. */
static int decode_end(const struct pages_of *of, const struct chunk *c, const struct buf *end,
                      struct segment *ret_index, struct err *e)
{
    struct segment_trailer t;
    if (end->len < SEGMENT_TRAILER_BYTES || c->size < end->len)
        return err_set(e, ERR_CORRUPT, 0, "too short");
    if (segment_trailer_decode(end->data + end->len - SEGMENT_TRAILER_BYTES, c->size, &t, e))
        return -1;
    if (c->size - t.tail_offset != end->len)
        return err_set(e, ERR_CORRUPT, 0, "has another length");
    struct codec *codec = origin_take_codec(of->origin);
    if (!codec)
        return err_nomem(e, 0);
    const struct segment_decoder decoder = {codec, SEGMENT_WANT_ALL};
    int rc = segment_decode(&decoder, &t, end->data, ret_index, e);
    origin_give_codec(of->origin, codec);
    return rc;
}

static bool index_from_disk(const struct pages_of *of, const struct chunk *c, const char *name, struct buf *out)
{
    struct buf end = BUF_INIT(SEGMENT_BYTES_MAX);
    struct segment index = {0};
    struct err e;
    bool found = disk_get(of->origin->disk, name, &end);
    if (found && (decode_end(of, c, &end, &index, &e) || pack_index(of, c, &index, out, &e))) {
        disk_drop(of->origin->disk, name);
        out->len = 0;
        found = false;
    }
    segment_release(&index);
    buf_release(&end);
    return found;
}

static int index_from_store(const struct pages_of *of, const struct chunk *c, const char *name, struct buf *out,
                            struct err *e)
{
    struct buf tail = BUF_INIT(SEGMENT_BYTES_MAX);
    struct segment index = {0};
    struct codec *codec = origin_take_codec(of->origin);
    struct object_reader r = {.store = of->origin->store, .codec = codec, .key = c->key, .tail = &tail};
    int rc = codec ? 0 : err_nomem(e, 0);
    if (rc == 0 && object_read(&r, OBJECT_TAIL_BYTES, SEGMENT_WANT_ALL, &index, e))
        rc = store_listed_is_gone(e);
    atomic_fetch_add(&of->origin->requests, 1);
    atomic_fetch_add(&of->origin->bytes, tail.len);
    if (rc == 0)
        rc = pack_index(of, c, &index, out, e);
    if (rc == 0) {
        const size_t n = (size_t)(index.trailer.object_size - index.trailer.tail_offset);
        disk_put(of->origin->disk, name, tail.data + (tail.len - n), n);
    }
    if (codec)
        origin_give_codec(of->origin, codec);
    segment_release(&index);
    buf_release(&tail);
    return rc;
}

/* Fetches the index of a chunk into memory. *ret_index: the form that is kept; the caller releases it. */
static int load_index(const struct pages_of *of, const struct chunk *c, struct buf *ret_index, struct err *e)
{
    const struct block_key key = key_of(c->id, 0, BLOCKS_INDEX);
    char name[DISK_NAME_MAX];
    name_of(c->id, "end-", name); /* the names of blocks have no second '-' */
    *ret_index = BUF_INIT(SEGMENT_BYTES_MAX);
    if (!index_from_disk(of, c, name, ret_index) && index_from_store(of, c, name, ret_index, e)) {
        buf_release(ret_index);
        return -1;
    }
    blocks_put(&key, ret_index->data, ret_index->len);
    return 0;
}

int pages_in_chunk(const struct pages_of *of, const struct chunk *c, uint32_t pgno, struct chunk_place *ret_place,
                   struct err *e)
{
    const struct block_key key = key_of(c->id, 0, BLOCKS_INDEX);
    const size_t at = INDEX_HEAD + (size_t)(pgno - c->first_page) * sizeof *ret_place;
    struct buf index;
    assert(pgno >= c->first_page && pgno <= c->last_page);
    if (blocks_get(&key, at, ret_place, sizeof *ret_place))
        return 0;
    if (load_index(of, c, &index, e))
        return -1;
    memcpy(ret_place, index.data + at, sizeof *ret_place);
    buf_release(&index);
    return 0;
}

/* Copies up to `*count` entries of the table of blocks, beginning with `block`. */
static int copy_table(const struct pages_of *of, const struct chunk *c, uint32_t block, struct segment_block *out,
                      uint32_t *count, struct err *e)
{
    const struct block_key key = key_of(c->id, 0, BLOCKS_INDEX);
    const size_t table = places_bytes(c);
    uint32_t all = 0;
    if (blocks_get(&key, 0, &all, sizeof all) && block < all) {
        *count = *count < all - block ? *count : all - block;
        if (blocks_get(&key, table + block * sizeof *out, out, *count * sizeof *out))
            return 0;
    }
    struct buf index;
    if (load_index(of, c, &index, e))
        return -1;
    memcpy(&all, index.data, sizeof all);
    *count = block >= all ? 0 : *count < all - block ? *count : all - block;
    memcpy(out, index.data + table + block * sizeof *out, *count * sizeof *out);
    buf_release(&index);
    return 0;
}

int pages_chunk_block(const struct pages_of *of, const struct chunk *c, const struct chunk_page *page, uint8_t *out,
                      struct read_ahead *ahead, struct err *e)
{
    static const uint8_t base[UID_BYTES];
    const struct chunk_place *place = &page->place;
    const struct block_key key = key_of(c->id, place->block, BLOCKS_BLOCK);
    struct segment_block blocks[WINDOW_MAX];
    if (blocks_get(&key, place->offset, out, of->page_size))
        return 0;
    const uint32_t step = SEGMENT_BLOCK_BYTES / of->page_size;
    struct read_stream *stream = pages_stream(ahead, base, page->pgno, step);
    struct block_source source = {.origin = of->origin,
                                  .key = c->key,
                                  .id = c->id,
                                  .first = place->block,
                                  .blocks = blocks,
                                  .count = stream->window};
    if (copy_table(of, c, place->block, blocks, &source.count, e))
        return -1;
    source.count = pages_missing(&source);
    if (source.count > 0)
        pages_stream_reached(stream, (uint64_t)c->first_page + blocks[source.count - 1].first_version +
                                         blocks[source.count - 1].versions);
    return pages_block(&source, place->offset, out, of->page_size, e);
}
