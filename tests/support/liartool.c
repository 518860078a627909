/* support/liartool.c - makes a replica in a folder whose objects are small and claim to hold far more than honest ones.
 *
 *   liartool DIR versions OBJECTS COUNT    segments of one commit with COUNT pages of zeros each
 *   liartool DIR records OBJECTS COUNT     segments of COUNT commits each
 *   liartool DIR names OBJECTS COUNT       two segments, and markers of bases that name COUNT chunks each
 *
 * The claims are true, and every checksum is right: only the amounts are not those of an honest replica. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define fail_msg(...)                                                                                                  \
    do {                                                                                                               \
        fprintf(stderr, __VA_ARGS__);                                                                                  \
        exit(1);                                                                                                       \
    } while (0)

#include "object.h"

#include "base/clock.h"
#include "base/page.h"
#include "format/names.h"
#include "replica/identity.h"
#include "storage/open.h"

#define PAGE_BYTES 4096u

struct liar {
    struct store *store;
    struct codec *codec;
    struct uid database;
    struct digest head; /* of the newest segment */
    int64_t now_ms;
};

static void put(struct liar *l, const struct object_parts *p, const struct name *name, struct digest *ret_digest)
{
    char key[NAME_MAX_BYTES];
    struct buf object = BUF_INIT(SEGMENT_BYTES_MAX);
    struct err e;
    name_format(name, key);
    if (object_make(l->codec, p, &object, ret_digest, &e) ||
        store_put_new(l->store, key, object.data, object.len, NULL, &e))
        fail_msg("%s\n", e.msg);
    buf_release(&object);
}

static void *need(size_t count, size_t bytes)
{
    void *p = calloc(count, bytes);
    if (!p)
        fail_msg("out of memory\n");
    return p;
}

/* A segment of the commits from `min` on, whose first one writes `version_count` pages of zeros. */
static void put_segment(struct liar *l, uint64_t min, uint32_t record_count, uint32_t version_count)
{
    struct commit_record *records = need(record_count, sizeof *records);
    struct version *versions = need(version_count, sizeof *versions);
    const uint64_t max = min + record_count - 1;
    for (uint32_t i = 0; i < version_count; i++)
        versions[i] =
            (struct version){.pgno = i + 1 + (i + 1 >= lock_byte_page(PAGE_BYTES)), .kind = VERSION_ZERO, .txid = min};
    const uint32_t pages = versions[version_count - 1].pgno;
    for (uint32_t i = 0; i < record_count; i++)
        records[i] = (struct commit_record){.txid = min + i, .time_ms = l->now_ms, .pages = pages};
    const struct object_parts p = {.info = {.kind = OBJECT_SEGMENT,
                                            .min = min,
                                            .max = max,
                                            .flags = min == 1 ? SEGMENT_FROM_EMPTY : 0,
                                            .page_size = PAGE_BYTES,
                                            .first_page = 1,
                                            .last_page = pages,
                                            .time_ms = l->now_ms,
                                            .database = l->database,
                                            .digest_before = l->head},
                                   .records = records,
                                   .record_count = record_count,
                                   .versions = versions,
                                   .version_count = version_count,
                                   .payload = (const uint8_t *)""};
    put(l, &p, &(struct name){.kind = NAME_LEVEL0, .min = min}, &l->head);
    free(records);
    free(versions);
}

static void put_marker(struct liar *l, uint8_t number, uint32_t name_count)
{
    struct listed *list = need(name_count, sizeof *list);
    const struct uid run = {{'R', number}};
    struct digest digest;
    for (uint32_t i = 0; i < name_count; i++) {
        const struct name chunk = {.kind = NAME_CHUNK, .start = 1, .run = run, .first_page = i + 1};
        name_format(&chunk, list[i].name);
        list[i].first_page = list[i].last_page = i + 1;
        list[i].max = 1;
    }
    const struct object_parts p = {.info = {.kind = OBJECT_MARKER,
                                            .max = 1,
                                            .start = 1,
                                            .page_size = PAGE_BYTES,
                                            .first_page = 1,
                                            .last_page = name_count,
                                            .time_ms = l->now_ms,
                                            .database = l->database,
                                            .run = run},
                                   .list = list,
                                   .list_count = name_count,
                                   .payload = (const uint8_t *)""};
    put(l, &p, &(struct name){.kind = NAME_MARKER, .start = 1, .run = run}, &digest);
    free(list);
}

int main(int argc, char **argv)
{
    struct liar l = {.codec = codec_new(), .now_ms = clock_wall_ms() - 60000};
    struct replica_identity identity;
    struct err e;
    if (argc != 5 || !l.codec)
        fail_msg("usage: liartool DIR versions|records|names OBJECTS COUNT\n");
    const uint32_t objects = (uint32_t)strtoul(argv[3], NULL, 10), count = (uint32_t)strtoul(argv[4], NULL, 10);
    if (store_open(argv[1], STORE_WRITE, &l.store, &e) || replica_identity_obtain(l.store, NULL, &identity, &e))
        fail_msg("%s\n", e.msg);
    l.database = identity.database;
    for (uint32_t i = 0; i < objects; i++) {
        if (argv[2][0] == 'v')
            put_segment(&l, i + 1, 1, count);
        else if (argv[2][0] == 'r')
            put_segment(&l, 1 + (uint64_t)i * count, count, 1);
        else
            put_marker(&l, (uint8_t)(i + 1), count);
    }
    for (uint64_t txid = 1; argv[2][0] == 'n' && txid <= 2; txid++)
        put_segment(&l, txid, 1, 1);
    store_close(l.store);
    codec_free(l.codec);
    return 0;
}
