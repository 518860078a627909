/* A restore of a damaged replica gives the right database, or an error. An input is a list of damages, 6 bytes each:
 *   object | how | offset (2) | value | target
 * how: 0 to 2: XOR a byte; 3: the same in the trailer, whose checksum is fitted; 4: cut the object off there; 5: remove
 * the object. */
#include "fuzz.h"

#include "memory_store.h"
#include "replica.h"
#include "replica/inventory.h"
#include "restore/apply.h"

#include <sys/mman.h>
#include <unistd.h>

const struct fuzz_bounds fuzz_bounds = {.inputs = 8000, .megasteps = 2, .megabytes = 8};

enum { DAMAGE_BYTES = 6, TXIDS = 16 };

static struct replica replica;
static struct codec *codec;

static void make_replica(void)
{
    if (codec)
        return;
    codec = codec_new();
    replica_init(&replica, memory_store_new(), codec, 77);
    replica_commits(&replica, TXIDS, 512);
    for (uint64_t t = 1; t <= TXIDS; t += 2)
        if (t == 5)
            replica_put_last(&replica, 0, t, t + 1, SEGMENT_IN_PARTS);
        else
            replica_put_full(&replica, t, t + 1, t == 1 ? SEGMENT_FROM_EMPTY : 0);
    replica_put_last(&replica, 1, 1, 4, SEGMENT_FROM_EMPTY);
    replica_put_last(&replica, 1, 5, 8, SEGMENT_IN_PARTS);
    replica_put_last(&replica, 2, 1, 8, SEGMENT_FROM_EMPTY);
    replica_put_base(&replica, 6, 8);
    replica_put_base(&replica, 10, 10);
}

size_t fuzz_seed(unsigned index, uint8_t *out, size_t cap)
{
    struct dice d = dice_of(index);
    size_t n = DAMAGE_BYTES * (1 + index % 3);
    if (index >= 40 || n > cap)
        return 0;
    dice_fill(&d, out, n);
    for (size_t i = 0; i < n; i += DAMAGE_BYTES) {
        out[i + 1] = (uint8_t)(index % 6);
        out[i + 2] &= 3; /* the objects are smaller than 1024 bytes */
    }
    return n;
}

/* A copy of the replica that can be damaged. Objects are small. */
static struct memory_store *copy_of(const struct memory_store *m)
{
    struct memory_store *copy = (struct memory_store *)memory_store_new();
    struct err e;
    FUZZ_CHECK(copy);
    for (size_t i = 0; i < m->count; i++)
        FUZZ_CHECK(memory_store_insert(copy, m->objects[i].key, m->objects[i].bytes, m->objects[i].size, &e) == 0);
    return copy;
}

/* Damages an object. Returns whether a checksum was fitted to the damage. */
static bool damage(struct memory_store *m, const uint8_t d[DAMAGE_BYTES])
{
    struct err e;
    struct memory_object *o = &m->objects[d[0] % m->count];
    size_t at = o->size ? get_be16(d + 2) % o->size : 0;
    bool trailer = o->size > SEGMENT_TRAILER_BYTES && d[1] % 6 == 3;
    if (d[1] % 6 == 5) {
        FUZZ_CHECK(memory_store_remove(&m->base, o->key, &e) == 0);
    } else if (d[1] % 6 == 4) {
        o->size = at;
    } else if (o->size > 0) {
        if (trailer)
            at = o->size - SEGMENT_TRAILER_BYTES + at % TRAILER_CHECKSUM;
        o->bytes[at] ^= d[4];
        if (trailer)
            object_seal(o->bytes, o->size);
    }
    return trailer;
}

static void assert_database_is(int fd, uint64_t txid)
{
    static uint8_t bytes[MODEL_PAGES * 512 + 1];
    const struct model_state *s = &replica.model.at[txid];
    size_t size = (size_t)s->record.pages * s->page_size;
    FUZZ_CHECK(pread(fd, bytes, sizeof bytes, 0) == (ssize_t)size);
    FUZZ_CHECK(memcmp(bytes, s->bytes, size) == 0);
}

/* `forged`: a checksum was fitted, so the restored database may be wrong. */
static void restore(struct store *store, uint64_t txid, bool forged)
{
    static atomic_bool cancel;
    struct apply_options options = {.jobs = 1, .cancel = &cancel};
    struct catalog c = {0};
    struct plan p = {0};
    struct map map;
    struct err e = {.code = ERR_NONE};
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    FUZZ_CHECK(fd >= 0);
    options.fd = fd;
    int rc = catalog_open(&c, store, codec, &e);
    if (rc == 0)
        rc = plan_make(&c, txid, &p, &e);
    if (rc == 0)
        rc = apply_plan(&c, &p, &options, &map, &e);
    FUZZ_CHECK(rc == 0 || e.code == ERR_CORRUPT || e.code == ERR_NOTFOUND || e.code == ERR_GONE);
    if (rc == 0 && !forged)
        assert_database_is(fd, txid);
    if (rc == 0)
        map_release(&map);
    plan_release(&p);
    catalog_release(&c);
    close(fd);
}

static int add_points(void *context, const struct point_range *range)
{
    FUZZ_CHECK(range->first_txid <= range->first_point && range->first_point <= range->last_txid);
    *(uint64_t *)context += range->points;
    return 0;
}

static int count_point(void *context, const struct commit_record *record)
{
    ++*(uint64_t *)context;
    return record->txid == 0;
}

static int count_object(void *context, const struct inventory_object *object)
{
    ++*(uint64_t *)context;
    return object->key[0] == 0;
}

static void list(struct store *store)
{
    struct catalog c = {0};
    struct inventory v = {0};
    struct err e = {.code = ERR_NONE};
    uint64_t points = 0, in_ranges = 0, objects = 0;
    int rc = catalog_open(&c, store, codec, &e);
    if (rc == 0)
        rc = points_each(&c, count_point, &points, &e);
    if (rc == 0)
        rc = points_ranges(&c, add_points, &in_ranges, &e);
    if (rc == 0)
        rc = inventory_take(&v, &c, &e);
    if (rc == 0)
        rc = inventory_objects(&v, count_object, &objects, &e);
    FUZZ_CHECK(rc != 0 || (points == in_ranges && objects == c.objects));
    inventory_release(&v);
    FUZZ_CHECK(rc == 0 || e.code == ERR_CORRUPT || e.code == ERR_NOTFOUND || e.code == ERR_GONE);
    catalog_release(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool forged = false;
    uint64_t target = TXIDS;
    make_replica();
    struct memory_store *m = copy_of((struct memory_store *)replica.store);
    for (size_t i = 0; i + DAMAGE_BYTES <= size && i < 16 * DAMAGE_BYTES && m->count > 0; i += DAMAGE_BYTES) {
        forged |= damage(m, data + i);
        target = 1 + data[i + 5] % TXIDS;
    }
    restore(&m->base, target, forged);
    list(&m->base);
    store_close(&m->base);
    return 0;
}
