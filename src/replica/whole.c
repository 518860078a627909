/* replica/whole.c */
#include "replica/whole.h"

#include "base/hash.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define PIECE_BYTES (1u << 20) /* of an object that are read at a time; a block is smaller */

static int check_block(const struct catalog *c, const char *key, const struct segment_block *b, const uint8_t *stored,
                       struct err *e)
{
    uint8_t *raw = malloc(b->raw_size ? b->raw_size : 1);
    int rc = raw ? segment_block_inflate(b, stored, c->codec, raw, e) : err_nomem(e, b->raw_size);
    free(raw);
    return rc ? err_wrap(e, "object '%s'", key) : 0;
}

/* Reads and checks blocks from `first` on that lie within PIECE_BYTES. *ret_next: the block after them. */
static int check_piece(const struct catalog *c, const char *key, const struct segment *s, uint32_t first,
                       uint32_t *ret_next, struct err *e)
{
    const uint64_t at = s->blocks[first].offset;
    uint64_t end = at;
    uint32_t next = first;
    while (next < s->trailer.block_count &&
           (next == first || s->blocks[next].offset + s->blocks[next].stored_size <= at + PIECE_BYTES)) {
        end = s->blocks[next].offset + s->blocks[next].stored_size;
        next++;
    }
    uint8_t *stored = malloc((size_t)(end - at) + 1);
    int rc = stored ? store_read(c->store, key, at, stored, (size_t)(end - at), e) : err_nomem(e, (size_t)(end - at));
    for (uint32_t i = first; rc == 0 && i < next; i++)
        rc = check_block(c, key, &s->blocks[i], stored + (s->blocks[i].offset - at), e);
    free(stored);
    *ret_next = next;
    return rc;
}

static int check_blocks(const struct catalog *c, const char *key, const struct segment *s, struct err *e)
{
    for (uint32_t i = 0; i < s->trailer.block_count;) {
        if (c->store->cancel && atomic_load(c->store->cancel))
            return err_set(e, ERR_CANCELED, 0, "interrupted");
        if (check_piece(c, key, s, i, &i, e))
            return -1;
    }
    return 0;
}

static int read_whole(const struct catalog *c, const struct name *name, const char *key, struct err *e)
{
    struct segment s;
    if (object_load(c->store, key, c->codec, SEGMENT_WANT_ALL, &s, e))
        return -1;
    const struct segment_info *i = &s.trailer.info;
    int rc = object_fits_name(name, i) && uid_equal(&i->database, &c->identity.database)
                 ? check_blocks(c, key, &s, e)
                 : err_set(e, ERR_CORRUPT, 0, "object '%s' is not the one that its key says", key);
    segment_release(&s);
    return rc;
}

int whole_check_named(const struct catalog *c, const struct name *name, struct err *e)
{
    char key[NAME_MAX_BYTES];
    assert(name->kind == NAME_PACK || name->kind == NAME_LEVEL0);
    name_format(name, key);
    return read_whole(c, name, key, e) ? store_listed_is_gone(e) : 0;
}

static uint64_t hash_of(const struct catalog_object *o, const struct segment_trailer *t)
{
    uint8_t bytes[NAME_MAX_BYTES + sizeof o->size + sizeof o->time_ms + UID_BYTES] = {0};
    char key[NAME_MAX_BYTES] = "";
    size_t at = NAME_MAX_BYTES;
    name_format(&o->name, key);
    memcpy(bytes, key, strlen(key));
    memcpy(bytes + at, &o->size, sizeof o->size);
    at += sizeof o->size;
    memcpy(bytes + at, &o->time_ms, sizeof o->time_ms);
    at += sizeof o->time_ms;
    memcpy(bytes + at, t->info.nonce.bytes, UID_BYTES);
    const uint64_t hash = hash64(bytes, sizeof bytes);
    return hash ? hash : 1;
}

int whole_check(const struct catalog *c, const struct catalog_object *o, struct whole_packs *known, struct err *e)
{
    struct segment_trailer t = {0};
    assert(o->name.kind == NAME_PACK);
    if (catalog_look(c, o, &t, e))
        return -1;
    const uint64_t hash = hash_of(o, &t);
    for (size_t i = 0; known && i < WHOLE_PACKS; i++)
        if (known->seen[i] == hash)
            return 0;
    if (whole_check_named(c, &o->name, e))
        return -1;
    if (known)
        known->seen[known->next++ % WHOLE_PACKS] = hash;
    return 0;
}
