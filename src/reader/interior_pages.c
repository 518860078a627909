/* reader/interior_pages.c
 *
 * An entry of the memory has the txid of a page and the page. Its id is the beginning of the digest that the marker
 * names: it binds the pages to what the writer of the base put. Page 0 says that all pages were put
 * into memory, where each may have been replaced meanwhile. */
#include "reader/interior_pages.h"

#include "base/hash.h"
#include "base/thread.h"
#include "reader/blocks.h"
#include "reader/pages.h"
#include "replica/object.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TXID_BYTES sizeof(uint64_t)

static struct block_key key_of(const uint8_t *id, uint32_t pgno)
{
    struct block_key k = {.number = pgno, .kind = BLOCKS_INTERIOR};
    memcpy(k.id, id, UID_BYTES);
    return k;
}

bool interior_page(const uint8_t id[UID_BYTES], uint32_t pgno, uint32_t page_size, uint8_t *out, uint64_t *ret_txid)
{
    const struct block_key key = key_of(id, pgno);
    return blocks_get(&key, 0, ret_txid, TXID_BYTES) && blocks_get(&key, TXID_BYTES, out, page_size);
}

/* ---- fetching */

/* Says that the pages of this base were put into memory, before its marker is known. */
static struct block_key key_of_base(const struct uid *run, uint64_t start)
{
    return key_of(run->bytes, (uint32_t)start);
}

static void name_on_disk(const struct interior_fetch *f, char out[DISK_NAME_MAX])
{
    char hex[2 * UID_BYTES + 1];
    hex_encode(f->name.run.bytes, UID_BYTES, hex);
    snprintf(out, DISK_NAME_MAX, "%s-need-%" PRIx64, hex, f->name.start); /* the letters of other names there */
}

static void fetch(struct interior_fetch *f)
{
    char key[NAME_MAX_BYTES], name[DISK_NAME_MAX];
    struct err ignored; /* the pages are read from the base, and 'seawall verify' names a damaged object */
    name_on_disk(f, name);
    if (disk_get(f->origin->disk, name, &f->bytes))
        return;
    name_format(&f->name, key);
    atomic_fetch_add(&f->origin->requests, 1);
    if (buf_reserve(&f->bytes, f->size, &ignored) ||
        store_read(f->origin->store, key, 0, f->bytes.data, f->size, &ignored))
        return;
    f->bytes.len = f->size;
    atomic_fetch_add(&f->origin->bytes, f->size);
    disk_put(f->origin->disk, name, f->bytes.data, f->bytes.len);
}

static void *fetch_thread(void *context)
{
    fetch(context);
    return NULL;
}

void interior_fetch_begin(struct interior_fetch *f, struct origin *o, const struct catalog *c,
                          const struct name *marker)
{
    const struct name name = {.kind = NAME_INTERIOR, .start = marker->start, .run = marker->run};
    const struct catalog_object *object = catalog_find(c, &name);
    const struct block_key of_base = key_of_base(&name.run, name.start);
    *f = (struct interior_fetch){.name = name, .bytes = BUF_INIT(INTERIOR_OBJECT_MAX)};
    if (!object || object->size > INTERIOR_OBJECT_MAX || blocks_has(&of_base))
        return;
    f->origin = o;
    f->size = (size_t)object->size;
    f->running = o->store->slow && thread_start(&f->thread, fetch_thread, f) == 0;
}

/* ---- keeping */

static int check(const struct interior_fetch *f, const struct segment *s, const struct segment_info *marker,
                 struct err *e)
{
    const struct segment_info *i = &s->trailer.info;
    struct digest digest;
    if (digest_of(f->bytes.data, f->bytes.len, &digest, e))
        return -1;
    if (!digest_equal(&digest, &marker->digest_before))
        return err_set(e, ERR_CORRUPT, 0, "it is not the object that its base names");
    if (!object_fits_name(&f->name, i) || i->page_size != marker->page_size || i->max > marker->max ||
        !uid_equal(&i->database, &marker->database) || i->last_page > marker->last_page)
        return err_set(e, ERR_CORRUPT, 0, "it does not fit its base");
    return (uint64_t)s->trailer.version_count * i->page_size <= INTERIOR_OBJECT_MAX
               ? 0
               : err_set(e, ERR_LIMIT, 0, "it has %u pages", s->trailer.version_count);
}

static void keep_page(const uint8_t *id, const struct version *v, const uint8_t *page, uint32_t page_size,
                      uint8_t *entry)
{
    const struct block_key key = key_of(id, v->pgno);
    memcpy(entry, &v->txid, TXID_BYTES);
    memcpy(entry + TXID_BYTES, page, page_size);
    blocks_put(&key, entry, TXID_BYTES + page_size);
}

static int keep_block(const struct segment *s, const struct segment_block *b, const uint8_t *id, const uint8_t *raw,
                      struct err *e)
{
    const uint32_t page_size = s->trailer.info.page_size;
    uint8_t *entry = malloc(TXID_BYTES + page_size);
    int rc = entry ? 0 : err_nomem(e, page_size);
    for (uint32_t i = 0; rc == 0 && entry && i < b->versions; i++) {
        const struct version *v = &s->versions[b->first_version + i];
        if (page_hash(v->pgno, raw + (size_t)i * page_size, page_size) != v->hash)
            rc = err_set(e, ERR_CORRUPT, 0, "page %u has the wrong hash", v->pgno);
        else
            keep_page(id, v, raw + (size_t)i * page_size, page_size, entry);
    }
    free(entry);
    return rc;
}

static int keep_pages(const struct interior_fetch *f, const struct segment *s, const uint8_t *id, struct codec *codec,
                      struct err *e)
{
    uint8_t *raw = malloc(SEGMENT_BLOCK_BYTES);
    int rc = raw ? 0 : err_nomem(e, SEGMENT_BLOCK_BYTES);
    for (uint32_t b = 0; rc == 0 && b < s->trailer.block_count; b++) {
        rc = segment_block_inflate(&s->blocks[b], f->bytes.data + s->blocks[b].offset, codec, raw, e);
        if (rc == 0)
            rc = keep_block(s, &s->blocks[b], id, raw, e);
    }
    free(raw);
    return rc;
}

static int keep(struct interior_fetch *f, const struct segment_info *marker, const uint8_t *id, struct err *e)
{
    struct segment s = {0};
    char key[NAME_MAX_BYTES], name[DISK_NAME_MAX];
    struct codec *codec = origin_take_codec(f->origin);
    struct object_reader r = {.store = f->origin->store, .codec = codec, .key = key, .tail = &f->bytes};
    name_format(&f->name, key);
    int rc = codec ? object_decode_whole(&r, SEGMENT_WANT_ALL, &s, e) : err_nomem(e, 0);
    if (rc == 0)
        rc = check(f, &s, marker, e);
    if (rc == 0)
        rc = keep_pages(f, &s, id, codec, e);
    segment_release(&s);
    if (codec)
        origin_give_codec(f->origin, codec);
    name_on_disk(f, name);
    if (rc)
        disk_drop(f->origin->disk, name);
    return rc;
}

bool interior_fetch_end(struct interior_fetch *f, const struct segment *marker, uint8_t ret_id[UID_BYTES])
{
    const struct segment_info *info = marker ? &marker->trailer.info : NULL;
    struct err ignored;
    bool there = false;
    if (f->running)
        pthread_join(f->thread, NULL);
    else if (f->origin && info)
        fetch(f);
    if (info && !digest_is_zero(&info->digest_before)) {
        memcpy(ret_id, info->digest_before.bytes, UID_BYTES);
        const struct block_key all = key_of(ret_id, 0), of_base = key_of_base(&info->run, info->start);
        there = blocks_has(&all);
        if (!there && f->origin && f->bytes.len > 0 && uid_equal(&info->run, &f->name.run) &&
            info->start == f->name.start)
            there = keep(f, info, ret_id, &ignored) == 0;
        if (there) {
            blocks_put(&all, "", 1);
            blocks_put(&of_base, "", 1);
        }
    }
    buf_release(&f->bytes);
    *f = (struct interior_fetch){.origin = NULL};
    return there;
}
