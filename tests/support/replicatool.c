/* support/replicatool.c - makes a replica in a folder, for tests that need a long history.
 *
 *   replicatool DIR NEWEST_MS              nine days, see below
 *   replicatool DIR NEWEST_MS TXID         one object, which begins a history at this txid
 *   replicatool DIR lying SHAPE COUNT SEED up to COUNT objects that lie (lying.h); SHAPE is a number from 0 on
 *
 * Each of the nine days has four transactions, each in an object of level 0. Two of these make a segment of level 1,
 * and a day makes a segment of level 2, every second day in parts. A day ends with a base. NEWEST_MS is the time of the
 * last marker. The pages do not make a SQLite database, but hashes and checksums are right, so a restore succeeds. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define fail_msg(...)                                                                                                  \
    do {                                                                                                               \
        fprintf(stderr, __VA_ARGS__);                                                                                  \
        exit(1);                                                                                                       \
    } while (0)

#include "lying.h"
#include "replica.h"

#define DAYS 9
#define OF_DAY 4 /* transactions of a day */
#define DAY_MS INT64_C(86400000)

static void make_day(struct replica *r, uint64_t day, int64_t newest_ms)
{
    const uint64_t first = day * OF_DAY + 1, last = first + OF_DAY - 1;
    const uint32_t flags = day == 0 ? SEGMENT_FROM_EMPTY : 0;
    r->time_ms = newest_ms - (int64_t)(DAYS - 1 - day) * DAY_MS;
    for (uint64_t t = first; t <= last; t++)
        replica_put_full(r, t, t, t == 1 ? SEGMENT_FROM_EMPTY : 0);
    for (uint64_t t = first; t < last; t += 2)
        replica_put_last(r, 1, t, t + 1, t == 1 ? SEGMENT_FROM_EMPTY : 0);
    replica_put_last(r, 2, first, last, flags | (day % 2 ? SEGMENT_IN_PARTS : 0));
    r->interior = true;
    replica_put_base(r, last, last);
}

static void make_one(struct replica *r, uint64_t txid, int64_t newest_ms)
{
    struct commit_record record = {.txid = txid, .time_ms = newest_ms, .pages = 1};
    struct version version = {.pgno = 1, .kind = VERSION_ZERO, .txid = txid};
    struct object_parts parts = {.info = {.kind = OBJECT_SEGMENT,
                                          .min = txid,
                                          .max = txid,
                                          .flags = SEGMENT_FROM_EMPTY,
                                          .page_size = 1024,
                                          .first_page = 1,
                                          .last_page = 1,
                                          .time_ms = newest_ms,
                                          .database = r->database},
                                 .records = &record,
                                 .record_count = 1,
                                 .versions = &version,
                                 .version_count = 1,
                                 .payload = (const uint8_t *)""};
    const struct name name = {.kind = NAME_LEVEL0, .min = txid};
    char key[NAME_MAX_BYTES];
    struct buf object = {0};
    struct digest digest;
    struct err e;
    name_format(&name, key);
    if (object_make(r->codec, &parts, &object, &digest, &e) ||
        store_put_new(r->store, key, object.data, object.len, NULL, &e))
        fail_msg("%s\n", e.msg);
    buf_release(&object);
}

/* Makes a replica that lies. False: the shape does not exist. */
static bool make_lying(struct store *store, struct codec *codec, char **words)
{
    struct lying l;
    struct dice d = dice_of(strtoull(words[2], NULL, 10));
    unsigned shape = (unsigned)strtoul(words[0], NULL, 10), count = (unsigned)strtoul(words[1], NULL, 10);
    if (shape >= LYING_SHAPES)
        return false;
    lying_begin(&l, store, codec);
    for (unsigned i = 0; i < count; i++) {
        uint8_t description[LYING_FIELDS];
        lying_describe(&d, (enum lying_shape)shape, i, count, description);
        lying_put(&l, description);
    }
    return true;
}

int main(int argc, char **argv)
{
    static struct replica r;
    struct store *store = NULL;
    struct codec *codec = codec_new();
    struct err e;
    bool lying = argc == 6 && strcmp(argv[2], "lying") == 0;
    if ((argc < 3 || argc > 4) && !lying)
        fail_msg("usage: replicatool DIR NEWEST_MS [TXID] | DIR lying SHAPE COUNT SEED\n");
    if (!codec)
        fail_msg("out of memory\n");
    if (store_open(argv[1], STORE_WRITE, &store, &e))
        fail_msg("%s\n", e.msg);
    if (lying) {
        bool made = make_lying(store, codec, argv + 3);
        store_close(store);
        codec_free(codec);
        return made ? 0 : 1;
    }
    replica_init(&r, store, codec, 20);
    if (argc == 4)
        make_one(&r, strtoull(argv[3], NULL, 10), strtoll(argv[2], NULL, 10));
    else
        replica_commits(&r, DAYS * OF_DAY, 1024);
    for (uint64_t day = 0; argc == 3 && day < DAYS; day++)
        make_day(&r, day, strtoll(argv[2], NULL, 10));
    replica_release(&r);
    store_close(store);
    codec_free(codec);
    return 0;
}
