/* Replicas that lie (lying.h): list, plan, restore, read, verify and retention end with a result, or with an error
 * whose text is safe for a terminal. Steps and memory of each are limited in proportion to the number of objects.
 *
 * An input is a list of descriptions of objects. If its first byte is 255, it is shape | number of objects (2) | seed
 * of the dice (4), for replicas of up to CROWD_MAX objects. */
#include "fuzz_input.h"

#include "lying.h"
#include "memory_store.h"
#include "reader/blocks.h"
#include "reader/snapshot.h"
#include "replica/inventory.h"
#include "replica/points.h"
#include "restore/apply.h"
#include "retention/retention.h"
#include "verify/verify.h"

#include <sys/mman.h>
#include <unistd.h>

const struct fuzz_bounds fuzz_bounds = {.inputs = 2500, .megasteps = 400, .megabytes = 64};

enum { OBJECTS_MAX = 40, CROWD = 255, CROWD_MAX = 2000, MUTATED_MAX = 200, SMALL_SEEDS = 60, READ_PAGES = 100 };

/* Limits of one command: for any replica, and for each object more. */
enum { STEPS_AT_ALL = 2000000, STEPS_EACH = 20000, BYTES_AT_ALL = 4000000, BYTES_EACH = 4000 };

size_t fuzz_seed(unsigned index, uint8_t *out, size_t cap)
{
    struct dice d = dice_of(index);
    unsigned objects = 2 + index % 12;
    if (index >= SMALL_SEEDS + LYING_SHAPES || objects * LYING_FIELDS > cap)
        return 0;
    if (index >= SMALL_SEEDS) {
        const uint8_t crowd[8] = {CROWD, (uint8_t)(index - SMALL_SEEDS), CROWD_MAX >> 8, CROWD_MAX & 255};
        memcpy(out, crowd, sizeof crowd);
        return sizeof crowd;
    }
    for (unsigned i = 0; i < objects; i++)
        lying_describe(&d, (enum lying_shape)(index % LYING_SHAPES), i, objects, out + i * LYING_FIELDS);
    return objects * LYING_FIELDS;
}

/* Makes the replica. Returns how many objects it has. */
static uint64_t make(struct lying *l, struct slice in)
{
    uint8_t o[LYING_FIELDS];
    if (in.size > 0 && in.bytes[0] == CROWD) {
        uint8_t b[8] = {0};
        memcpy(b, in.bytes, in.size < sizeof b ? in.size : sizeof b);
        unsigned count = get_be16(b + 2) == CROWD_MAX ? CROWD_MAX : get_be16(b + 2) % MUTATED_MAX; /* most are quick */
        struct dice d = dice_of(get_be32(b + 4));
        for (unsigned i = 0; i < count; i++) {
            lying_describe(&d, (enum lying_shape)(b[1] % LYING_SHAPES), i, count, o);
            lying_put(l, o);
        }
    }
    for (; in.size >= LYING_FIELDS && in.bytes[0] != CROWD && l->put < OBJECTS_MAX;
         in.bytes += LYING_FIELDS, in.size -= LYING_FIELDS)
        lying_put(l, in.bytes);
    return l->put;
}

/* ---- the commands */

static void assert_message(int rc, const struct err *e)
{
    if (rc == 0)
        return;
    FUZZ_CHECK(e->code != ERR_NONE && e->msg[0]);
    for (const char *p = e->msg; *p; p++)
        FUZZ_CHECK((unsigned char)*p >= 32 || strncmp(p, TEXT_HINT, strlen(TEXT_HINT)) == 0);
}

static int any_point(void *context, const struct commit_record *r)
{
    *(uint64_t *)context = r->txid;
    return 0;
}

static int any_range(void *context, const struct point_range *r)
{
    (void)context;
    FUZZ_CHECK(r->first_txid <= r->first_point && r->first_point <= r->last_txid);
    return 0;
}

static int any_object(void *context, const struct inventory_object *o)
{
    (void)context;
    return o->key[0] == 0;
}

static void list(struct lying *l, uint64_t *ret_newest)
{
    struct catalog c = {0};
    struct inventory v = {0};
    struct err e = {.code = ERR_NONE};
    int rc = catalog_open(&c, l->store, l->codec, &e);
    if (rc == 0)
        rc = points_each(&c, any_point, ret_newest, &e);
    if (rc == 0)
        rc = points_ranges(&c, any_range, NULL, &e);
    if (rc == 0)
        rc = inventory_take(&v, &c, &e);
    if (rc == 0)
        rc = inventory_objects(&v, any_object, NULL, &e);
    assert_message(rc, &e);
    inventory_release(&v);
    catalog_release(&c);
}

static void restore(struct lying *l, uint64_t txid)
{
    static atomic_bool cancel;
    struct apply_options options = {.jobs = 1, .cancel = &cancel};
    struct catalog c = {0};
    struct plan p = {0};
    struct map map;
    struct err e = {.code = ERR_NONE};
    options.fd = memfd_create("fuzz", MFD_CLOEXEC);
    FUZZ_CHECK(options.fd >= 0);
    int rc = catalog_open(&c, l->store, l->codec, &e);
    if (rc == 0)
        rc = plan_make(&c, txid, &p, &e);
    if (rc == 0)
        rc = apply_plan(&c, &p, &options, &map, &e);
    assert_message(rc, &e);
    if (rc == 0)
        map_release(&map);
    plan_release(&p);
    catalog_release(&c);
    close(options.fd);
}

/* Reads pages without a restore. `ahead` and the memory for blocks are those of the replica before: nothing of it may
 * come back. */
static void read_pages(struct lying *l, uint64_t txid)
{
    static uint8_t page[PAGE_SIZE_MAX];
    const struct moment moment = {.kind = MOMENT_TXID, .txid = txid};
    struct read_ahead ahead = {.turn = 0};
    struct origin *o = NULL;
    struct snapshot *s = NULL, *next = NULL;
    enum snapshot_age age;
    struct err e = {.code = ERR_NONE};
    int rc = origin_over(l->store, &o, &e);
    if (rc == 0)
        rc = snapshot_open(o, &moment, &s, &e);
    assert_message(rc, &e);
    for (uint32_t pgno = 1; s && pgno <= s->record.pages && pgno <= READ_PAGES; pgno++)
        assert_message(snapshot_read(s, pgno, &ahead, page, &e), &e);
    if (s) {
        assert_message(snapshot_look(s, &age, &e), &e);
        assert_message(snapshot_advance(s, &next, &e), &e);
    }
    snapshot_release(next);
    snapshot_release(s);
    origin_release(o);
    blocks_set_limit(0);
    blocks_set_limit(BLOCKS_BYTES_MAX);
}

static void verify(struct lying *l)
{
    const struct verify_options options = {.flags = VERIFY_FULL};
    struct replica_handle r = replica_handle_borrow(l->store, l->codec);
    struct verify_result found = {0};
    struct err e = {.code = ERR_NONE};
    assert_message(verify_run(&r, &options, &found, &e), &e);
    verify_result_release(&found);
    replica_handle_close(&r);
}

static void prune(struct lying *l, int64_t now_ms)
{
    const struct retention_policy policy = {.grace_ms = 1, .keep_all_ms = 10, .keep_levels_ms = 50, .keep_daily = 2};
    struct catalog c = {0};
    struct retention_plan p = {0};
    struct err e = {.code = ERR_NONE};
    int rc = catalog_open(&c, l->store, l->codec, &e);
    if (rc == 0)
        rc = retention_decide(&c, &policy, now_ms, &p, &e);
    assert_message(rc, &e);
    if (rc == 0)
        retention_plan_release(&p);
    catalog_release(&c);
}

/* Checks the cost of a command. Only the driver of the test run counts it. */
static void check_cost(const char *command, const struct lying *l)
{
    if (!fuzz_cost)
        return;
    const struct fuzz_cost c = fuzz_cost(); /* since the last call */
    if (!l)
        return;
    unsigned long steps = (unsigned long)c.steps, bytes = (unsigned long)c.bytes;
    if (getenv("FUZZ_COSTS"))
        dprintf(2, "%s of %u objects: %lu steps, %lu bytes\n", command, (unsigned)l->put, steps, bytes);
    if (steps > STEPS_AT_ALL + STEPS_EACH * l->put || bytes > BYTES_AT_ALL + BYTES_EACH * l->put)
        fail_msg("%s of %u objects: %lu steps, %lu bytes\n", command, (unsigned)l->put, steps, bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct codec *codec;
    static struct lying l;
    uint64_t newest = 0;
    struct store *store = memory_store_new();
    if (!codec)
        codec = codec_new();
    FUZZ_CHECK(codec && store);
    lying_begin(&l, store, codec);
    make(&l, (struct slice){data, size});
    check_cost("", NULL);
    list(&l, &newest);
    check_cost("list", &l);
    restore(&l, newest);
    check_cost("restore", &l);
    restore(&l, size ? lying_number(data[size - 1]) : 1);
    check_cost("restore to any txid", &l);
    read_pages(&l, newest);
    check_cost("read", &l);
    verify(&l);
    check_cost("verify", &l);
    prune(&l, size > 1 ? (int64_t)(lying_number(data[size - 2]) & INT64_MAX) : 1000);
    check_cost("prune", &l);
    store_close(store);
    return 0;
}
