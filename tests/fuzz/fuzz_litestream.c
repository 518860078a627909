/* litestream/: a replica that Litestream wrote, with any damage, gives the right database or an error. The first byte of an
 * input chooses:
 *   0 and up, even: a list of damages to a whole replica, 5 bytes each: object | how | offset (2) | value
 *   1: the rest is a file of 0.5
 *   3: the rest is a WAL of 0.3, in an LZ4 frame that is whole
 *   5: the rest is a database file, in the same way
 *   7: the rest is an object of 0.3 */
#include "fuzz.h"

#include "dice.h"
#include "litestream.h"
#include "litestream/apply.h"
#include "memory_store.h"
#include "wal/header.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

const struct fuzz_bounds fuzz_bounds = {.inputs = 3000, .megasteps = 1, .megabytes = 10};

enum { PAGE = 512, PAGES = 6, TXIDS = 4, DAMAGE_BYTES = 5 };

static const char wal_key[] = "generations/00000000000000aa/wal/00000000_00000000.wal.lz4";
static const char snapshot_key[] = "generations/00000000000000aa/snapshots/00000000.snapshot.lz4";
static uint8_t database[TXIDS + 1][PAGES * PAGE];

static void insert(struct memory_store *m, const char *key, const void *bytes, size_t n)
{
    struct err e;
    m->now_ms++;
    FUZZ_CHECK(memory_store_insert(m, key, bytes, n, &e) == 0);
}

static void make_states(void)
{
    struct dice d = dice_of(9);
    if (database[TXIDS][0])
        return;
    dice_fill(&d, database[0], sizeof database[0]);
    memcpy(database[0], "SQLite format 3", 16);
    put_be16(database[0] + 16, PAGE);
    database[0][18] = database[0][19] = 2;
    for (unsigned t = 1; t <= TXIDS; t++) {
        memcpy(database[t], database[t - 1], sizeof database[0]);
        memset(database[t] + (t % PAGES) * PAGE, (int)t, PAGE);
    }
}

/* The pages that changed after state min - 1, as of state max. */
static struct buf ltx_of(unsigned min, unsigned max)
{
    struct ltx_writer w = ltx_begin(PAGE, PAGES, min, max, max);
    for (unsigned p = 0; p < PAGES; p++)
        if (min == 1 || (p >= min && p <= max))
            ltx_page(&w, p + 1, database[max] + (size_t)p * PAGE, max % 2);
    ltx_end(&w);
    return w.bytes;
}

/* A WAL with one commit of the last page. */
static size_t wal_of(uint8_t out[32 + 24 + PAGE])
{
    struct wal_sum sum = {0, 0};
    memset(out, 0, 56);
    put_be32(out, 0x377f0682);
    put_be32(out + 4, WAL_FORMAT_VERSION);
    put_be32(out + 8, PAGE);
    sum = wal_sum_add(sum, WAL_LITTLE_ENDIAN, out, 24);
    put_be32(out + 24, sum.s0);
    put_be32(out + 28, sum.s1);
    put_be32(out + 32, PAGES);
    put_be32(out + 36, PAGES);
    memset(out + 56, 7, PAGE);
    sum = wal_sum_add(sum, WAL_LITTLE_ENDIAN, out + 32, 8);
    sum = wal_sum_add(sum, WAL_LITTLE_ENDIAN, out + 56, PAGE);
    put_be32(out + 48, sum.s0);
    put_be32(out + 52, sum.s1);
    return 56 + PAGE;
}

static void put_frame(struct memory_store *m, const char *key, const void *bytes, size_t n)
{
    struct buf b = lz4_frame_of(bytes, n);
    insert(m, key, b.data, b.len);
    buf_release(&b);
}

static void put_files(struct memory_store *m)
{
    static const unsigned files[][3] = {{0, 1, 1}, {0, 2, 2}, {0, 3, 3}, {0, 4, 4}, {1, 1, 2}, {9, 1, 3}};
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        char key[STORE_KEY_MAX];
        const struct lite_name n = {.kind = LITE_LTX, .level = files[i][0], .min = files[i][1], .max = files[i][2]};
        struct buf b = ltx_of(files[i][1], files[i][2]);
        lite_name_format(&n, key);
        insert(m, key, b.data, b.len);
        buf_release(&b);
    }
}

static void put_generation(struct memory_store *m)
{
    uint8_t wal[56 + PAGE];
    put_frame(m, snapshot_key, database[0], sizeof database[0]);
    put_frame(m, wal_key, wal, wal_of(wal));
}

size_t fuzz_seed(unsigned index, uint8_t *out, size_t cap)
{
    struct dice d = dice_of(index);
    make_states();
    if (index < 40) {
        const size_t n = 1 + DAMAGE_BYTES * (1 + index % 3);
        dice_fill(&d, out, n);
        out[0] = (uint8_t)(2 * (index % 3));
        for (size_t i = 1; i < n; i += DAMAGE_BYTES) {
            out[i + 1] = (uint8_t)(index % 3);
            out[i + 2] &= 3;
        }
        return n;
    }
    const uint8_t modes[] = {1, 1, 3, 5, 7};
    if (index - 40 >= COUNT_OF(modes))
        return 0;
    struct buf b = BUF_INIT(1 << 20);
    uint8_t wal[56 + PAGE];
    struct err e;
    const unsigned which = index - 40;
    if (which < 2)
        b = ltx_of(1, which + 1);
    else if (which == 4)
        b = lz4_frame_of(database[0], sizeof database[0]);
    else
        FUZZ_CHECK(buf_append(&b, which == 2 ? wal : database[0], which == 2 ? wal_of(wal) : sizeof database[0], &e) ==
                   0);
    FUZZ_CHECK(b.len + 1 <= cap);
    out[0] = modes[which];
    memcpy(out + 1, b.data, b.len);
    const size_t n = b.len + 1;
    buf_release(&b);
    return n;
}

/* Damages an object: XOR a byte, cut it off, or remove it. */
static void damage(struct memory_store *m, const uint8_t d[DAMAGE_BYTES])
{
    struct err e;
    struct memory_object *o = &m->objects[d[0] % m->count];
    const size_t at = o->size ? get_be16(d + 2) % o->size : 0;
    if (d[1] % 3 == 2)
        FUZZ_CHECK(memory_store_remove(&m->base, o->key, &e) == 0);
    else if (d[1] % 3 == 1)
        o->size = at;
    else if (o->size > 0)
        o->bytes[at] ^= d[4];
}

static struct memory_store *replica_of(const uint8_t *data, size_t size)
{
    struct memory_store *m = (struct memory_store *)memory_store_new();
    const uint8_t mode = data[0];
    m->removes = UINT_MAX;
    data++;
    size--;
    if (mode == 1) {
        insert(m, "ltx/0/0000000000000001-0000000000000001.ltx", data, size);
    } else if (mode == 3) {
        put_frame(m, snapshot_key, database[0], sizeof database[0]);
        put_frame(m, wal_key, data, size);
    } else if (mode == 5) {
        put_generation(m);
        struct err e;
        FUZZ_CHECK(memory_store_remove(&m->base, snapshot_key, &e) == 0);
        put_frame(m, snapshot_key, data, size);
    } else if (mode == 7) {
        insert(m, snapshot_key, data, size);
    } else {
        if (mode % 6 != 2)
            put_files(m);
        if (mode % 6 != 0)
            put_generation(m);
        for (size_t i = 0; i + DAMAGE_BYTES <= size && i < 16 * DAMAGE_BYTES && m->count > 0; i += DAMAGE_BYTES)
            damage(m, data + i);
    }
    return m;
}

/* What the checksums of a replica of damages allow: the exact state. */
static void assert_right(int fd, const struct lite_plan *p, const struct lite_applied *a)
{
    static uint8_t got[PAGES * PAGE + 1];
    FUZZ_CHECK(a->page_size == PAGE && a->pages == PAGES && pread(fd, got, sizeof got, 0) == PAGES * PAGE);
    if (p->kind == LITE_LTX) {
        FUZZ_CHECK(memcmp(got, database[p->last->name.max], sizeof database[0]) == 0);
        return;
    }
    FUZZ_CHECK(memcmp(got, database[0], (PAGES - 1) * PAGE) == 0);
    for (size_t i = (PAGES - 1) * PAGE; p->kind == LITE_SEGMENT && i < PAGES * PAGE; i++)
        FUZZ_CHECK(got[i] == 7);
}

static bool allowed(const struct err *e)
{
    return e->code == ERR_CORRUPT || e->code == ERR_NOTFOUND || e->code == ERR_GONE || e->code == ERR_CONFIG;
}

static void restore(struct store *store, const struct lite_target *t, bool known)
{
    const struct feed_options options = {.jobs = 1};
    struct lite_contents c = {0};
    struct lite_plan p = {0};
    struct lite_applied applied;
    struct err e = {.code = ERR_NONE};
    bool beside = false;
    int fd = memfd_create("database", MFD_CLOEXEC), spool = memfd_create("wal", MFD_CLOEXEC);
    FUZZ_CHECK(fd >= 0 && spool >= 0);
    int rc = lite_list(&c, store, &beside, &e);
    if (rc == 0)
        rc = lite_read_headers(&c, &options, &e);
    if (rc == 0)
        rc = lite_plan_make(&c, t, &p, &e);
    if (rc == 0)
        rc = lite_apply(store, &p, &options, fd, spool, &applied, &e);
    FUZZ_CHECK(rc == 0 || allowed(&e));
    if (rc == 0 && known)
        assert_right(fd, &p, &applied);
    lite_plan_release(&p);
    lite_release(&c);
    close(fd);
    close(spool);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    make_states();
    struct memory_store *m = replica_of(data, size);
    const bool known = data[0] % 2 == 0;
    restore(&m->base, &(struct lite_target){.txid = 0}, known);
    restore(&m->base, &(struct lite_target){.txid = 1 + data[size - 1] % TXIDS}, known);
    restore(&m->base, &(struct lite_target){.by_time = true, .time_ms = data[size - 1] % 16}, known);
    store_close(&m->base);
    return 0;
}
