/* restore/apply.h, restore.h, target.h, integrity.h: a restore gives the database of the model, or an error and no
 * file. */
#include "failing_alloc.h"
#include "sql.h"

#include "claims.h"
#include "memory_store.h"
#include "replica.h"
#include "restore/apply.h"
#include "restore/integrity.h"
#include "restore/restore.h"
#include "restore/target.h"
#include "state/state.h"

#include <sys/mman.h>

static struct codec *codec;
static struct store *store; /* in memory */
static struct replica r;
static struct catalog catalog;

static int setup(void **state)
{
    codec = codec_new();
    store = memory_store_new();
    if (!codec || !store || temp_setup(state))
        return -1;
    replica_init(&r, store, codec, 30);
    return 0;
}

static int teardown(void **state)
{
    catalog_release(&catalog);
    replica_release(&r);
    store_close(store);
    codec_free(codec);
    return temp_teardown(state);
}

static void list_objects(struct store *s)
{
    struct err e;
    catalog_release(&catalog);
    assert_ok(catalog_open(&catalog, s, codec, &e), &e);
}

/* Plans and applies into a file in memory. Returns its descriptor, or -1. */
static int apply_txid(uint64_t txid, unsigned jobs, struct map *ret_map, struct err *e)
{
    struct plan p = {0};
    struct apply_options o = {.jobs = jobs};
    int fd = memfd_create("restore", MFD_CLOEXEC);
    o.fd = fd;
    assert_true(fd >= 0);
    int rc = plan_make(&catalog, txid, &p, e);
    if (rc == 0)
        rc = apply_plan(&catalog, &p, &o, ret_map, e);
    plan_release(&p);
    if (rc)
        close(fd);
    return rc ? -1 : fd;
}

static void assert_file_is(int fd, const struct model_state *s)
{
    struct stat st;
    size_t size = (size_t)s->record.pages * s->page_size;
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, size);
    uint8_t *bytes = malloc(size + 1);
    assert_non_null(bytes);
    assert_int_equal(pread(fd, bytes, size, 0), size);
    assert_memory_equal(bytes, s->bytes, size);
    free(bytes);
}

static void assert_map_is(const struct map *m, const struct model_state *s)
{
    assert_int_equal(m->pages, s->record.pages);
    assert_true(m->checksum == s->record.checksum);
    for (uint32_t pgno = 1; pgno <= m->pages; pgno++)
        assert_true(map_get(m, pgno).hash == s->page[pgno].hash && map_get(m, pgno).txid == s->page[pgno].txid);
}

static void assert_restores(const struct replica *any, uint64_t txid, unsigned jobs)
{
    struct map map;
    struct err e;
    int fd = apply_txid(txid, jobs, &map, &e);
    if (fd < 0)
        fail_msg("txid %d: %s", (int)txid, e.msg);
    assert_file_is(fd, &any->model.at[txid]);
    assert_map_is(&map, &any->model.at[txid]);
    map_release(&map);
    close(fd);
}

/* ---- apply */

static void every_restore_point_of_any_replica_gives_the_model(void **state)
{
    static struct replica any;
    unsigned restored = 0;
    (void)state;
    for (unsigned seed = 0; seed < 300; seed++) {
        struct store *s = NULL;
        struct err e;
        char name[16];
        snprintf(name, sizeof name, "%u", seed);
        if (seed % 10 == 0)
            assert_ok(store_open(temp_path(name), STORE_WRITE, &s, &e), &e);
        else
            s = memory_store_new();
        assert_non_null(s);
        replica_init(&any, s, codec, seed);
        replica_random(&any);
        list_objects(s);
        for (uint64_t t = 1; t <= any.model.newest; t++) {
            struct plan p = {0};
            bool planned = plan_make(&catalog, t, &p, &e) == 0;
            plan_release(&p);
            if (planned) {
                assert_restores(&any, t, 1 + seed % 3);
                restored++;
            }
        }
        catalog_release(&catalog);
        replica_release(&any);
        store_close(s);
    }
    assert_true(restored > 1500);
}

static void the_number_of_threads_makes_no_difference(void **state)
{
    static const unsigned jobs[] = {1, 2, 7, 64, 1000};
    (void)state;
    replica_commits(&r, 30, 4096);
    for (uint64_t t = 1; t <= 30; t++)
        replica_put_full(&r, t, t, t == 1 ? SEGMENT_FROM_EMPTY : 0);
    list_objects(store);
    for (size_t i = 0; i < COUNT_OF(jobs); i++)
        assert_restores(&r, 30, jobs[i]);
}

static void all_page_sizes_are_restored(void **state)
{
    (void)state;
    for (uint32_t page_size = PAGE_SIZE_MIN; page_size <= PAGE_SIZE_MAX; page_size *= 2) {
        replica_release(&r);
        store_close(store);
        store = memory_store_new();
        replica_init(&r, store, codec, page_size);
        replica_commits(&r, 10, page_size);
        replica_put_full(&r, 1, 6, SEGMENT_FROM_EMPTY);
        replica_put_last(&r, 0, 7, 8, SEGMENT_IN_PARTS);
        replica_put_full(&r, 9, 10, 0);
        replica_put_base(&r, 6, 8);
        list_objects(store);
        assert_restores(&r, 5, 2);
        assert_restores(&r, 8, 2);
        assert_restores(&r, 10, 2);
    }
}

/* The page at 1 GiB has SQLite's lock bytes. No object has it, a restore does not miss it, and its hash counts as 0. In
 * this test all other pages are zeros. */
static void the_lock_byte_page_is_neither_stored_nor_missed(void **state)
{
    enum { PAGES = 16390, PAGE_SIZE = 65536 };
    uint32_t lock_page = lock_byte_page(PAGE_SIZE);
    struct version *versions = calloc(PAGES, sizeof *versions);
    static uint8_t images[3][PAGE_SIZE], page[PAGE_SIZE];
    const uint32_t written[] = {1, lock_page - 1, lock_page + 1};
    struct commit_record record = {.txid = 1, .pages = PAGES};
    struct name name = {.kind = NAME_LEVEL0, .min = 1};
    struct buf object = {0};
    struct digest digest;
    struct err e;
    struct map map;
    struct stat st;
    char key[NAME_MAX_BYTES];
    size_t n = 0;
    (void)state;
    assert_non_null(versions);
    for (uint32_t pgno = 1; pgno <= PAGES; pgno++)
        if (pgno != lock_page)
            versions[n++] = (struct version){.pgno = pgno, .txid = 1};
    for (size_t i = 0; i < 3; i++) {
        struct version *v = &versions[written[i] - 1 - (written[i] > lock_page)];
        assert_int_equal(v->pgno, written[i]);
        dice_fill(&r.dice, images[i], PAGE_SIZE);
        v->kind = VERSION_IMAGE;
        v->hash = page_hash(v->pgno, images[i], PAGE_SIZE);
        record.checksum ^= v->hash;
    }
    struct object_parts parts = {.info = {.kind = OBJECT_SEGMENT,
                                          .flags = SEGMENT_FROM_EMPTY,
                                          .min = 1,
                                          .max = 1,
                                          .page_size = PAGE_SIZE,
                                          .first_page = 1,
                                          .last_page = PAGES,
                                          .database = r.database},
                                 .records = &record,
                                 .record_count = 1,
                                 .versions = versions,
                                 .version_count = n,
                                 .payload = images[0]};
    assert_ok(object_make(codec, &parts, &object, &digest, &e), &e);
    name_format(&name, key);
    assert_ok(store_put_new(store, key, object.data, object.len, NULL, &e), &e);
    list_objects(store);
    int fd = apply_txid(1, 2, &map, &e);
    if (fd < 0)
        fail_msg("%s", e.msg);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, (off_t)PAGES * PAGE_SIZE);
    assert_true(st.st_blocks * 512 < 1 << 20); /* pages of zeros stay holes */
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(pread(fd, page, PAGE_SIZE, (off_t)(written[i] - 1) * PAGE_SIZE), PAGE_SIZE);
        assert_memory_equal(page, images[i], PAGE_SIZE);
    }
    assert_int_equal(map_get(&map, lock_page).txid, 0);
    assert_true(map.checksum == record.checksum);
    map_release(&map);
    close(fd);
    buf_release(&object);
    free(versions);
}

static int apply_nothing(void)
{
    struct map map;
    struct err e;
    struct stat st;
    int fd = apply_txid(0, 1, &map, &e);
    return fd >= 0 && fstat(fd, &st) == 0 && st.st_size == 0 && map.pages == 0 ? 0 : 1;
}

/* ---- apply, for a caller that has most pages already */

/* Brings state `from` of the model to state `to`, as a delta does. Returns how many bytes of objects were read. */
static uint64_t assert_delta(const struct replica *any, uint64_t from, uint64_t to)
{
    const struct model_state *a = &any->model.at[from], *b = &any->model.at[to];
    struct apply_have have = {.known_upto = from};
    struct plan p = {0};
    struct map map;
    struct err e;
    uint64_t fetched = 0;
    bool misfit = false;
    struct apply_options o = {.jobs = 2, .have = &have, .fetched = &fetched, .misfit = &misfit};
    uint8_t *page = malloc(b->page_size);
    int fd = memfd_create("delta", MFD_CLOEXEC);
    o.fd = fd;
    assert_true(fd >= 0 && page);
    assert_ok(plan_make(&catalog, to, &p, &e), &e);
    map_init_memory(&have.map, b->page_size);
    assert_ok(map_resize(&have.map, b->record.pages, &e), &e);
    for (uint32_t pgno = 1; pgno <= b->record.pages && pgno <= a->record.pages; pgno++)
        if (a->page[pgno].txid > 0 && a->page[pgno].txid <= to)
            map_set(&have.map, pgno, (struct map_entry){.hash = a->page[pgno].hash, .txid = a->page[pgno].txid});
    if (apply_plan(&catalog, &p, &o, &map, &e))
        fail_msg("from %d to %d: %s", (int)from, (int)to, e.msg);
    assert_map_is(&map, b);
    for (uint32_t pgno = 1; pgno <= b->record.pages; pgno++) {
        assert_int_equal(pread(fd, page, b->page_size, (off_t)(pgno - 1) * b->page_size), b->page_size);
        bool stays = pgno <= a->record.pages && a->page[pgno].hash == b->page[pgno].hash;
        assert_memory_equal(stays ? model_bytes(a, pgno) : page, model_bytes(b, pgno), b->page_size);
    }
    map_release(&map);
    plan_release(&p);
    close(fd);
    free(page);
    return fetched;
}

/* Back and forth in time, over any objects. */
static void any_state_becomes_any_restore_point(void **state)
{
    static struct replica any;
    unsigned done = 0;
    (void)state;
    for (unsigned seed = 0; seed < 150; seed++) {
        struct store *s = memory_store_new();
        struct err e;
        assert_non_null(s);
        replica_init(&any, s, codec, seed);
        replica_random(&any);
        list_objects(s);
        for (uint64_t to = 1; to <= any.model.newest; to++) {
            struct plan p = {0};
            bool planned = plan_make(&catalog, to, &p, &e) == 0;
            plan_release(&p);
            for (uint64_t from = 1 + (seed + to) % 3; planned && from <= any.model.newest; from += 3)
                if (any.model.at[from].page_size == any.model.at[to].page_size) {
                    assert_delta(&any, from, to);
                    done++;
                }
        }
        catalog_release(&catalog);
        replica_release(&any);
        store_close(s);
    }
    assert_true(done > 3000);
}

static void a_state_that_is_not_in_the_past_of_the_replica_is_noticed(void **state)
{
    struct apply_have have = {.known_upto = 9};
    struct plan p = {0};
    struct map map;
    struct err e;
    bool misfit = false;
    struct apply_options o = {.jobs = 1, .have = &have, .misfit = &misfit};
    (void)state;
    replica_commits(&r, 9, 512);
    replica_put_full(&r, 1, 9, SEGMENT_FROM_EMPTY);
    list_objects(store);
    assert_ok(plan_make(&catalog, 8, &p, &e), &e);
    map_init_memory(&have.map, 512);
    assert_ok(map_resize(&have.map, p.record.pages, &e), &e);
    map_set(&have.map, 1, (struct map_entry){.hash = 4711, .txid = 1});
    int fd = memfd_create("delta", MFD_CLOEXEC);
    o.fd = fd;
    assert_error(apply_plan(&catalog, &p, &o, &map, &e), &e, ERR_CORRUPT);
    assert_true(misfit);
    plan_release(&p);
    close(fd);
}

/* A caller that has all pages reads no object. Damage in objects that are not read does no harm. */
static void of_a_base_only_chunks_that_are_needed_are_read(void **state)
{
    struct memory_store *m = (struct memory_store *)store;
    struct map map;
    struct err e;
    (void)state;
    replica_commits(&r, 12, 4096);
    replica_put_full(&r, 1, 10, SEGMENT_FROM_EMPTY);
    replica_put_base(&r, 10, 10);
    replica_put_full(&r, 11, 12, 0);
    list_objects(store);
    uint64_t least = assert_delta(&r, 12, 12), some = assert_delta(&r, 11, 12), chunks = 0;
    assert_int_equal(least, 0);
    for (size_t i = 0; i < m->count; i++)
        chunks += strncmp(m->objects[i].key, "base/", 5) == 0;
    assert_true(chunks > 1 && some > 0);
    for (size_t i = 0; i < m->count; i++) /* damages all objects that are not needed */
        if (strncmp(m->objects[i].key, "base/", 5) == 0 && !strstr(m->objects[i].key, "marker"))
            m->objects[i].bytes[m->objects[i].size - 1] ^= 1;
    assert_delta(&r, 12, 12);
    assert_int_equal(apply_txid(12, 1, &map, &e), -1);
}

static void the_empty_state_is_an_empty_file(void **state)
{
    (void)state;
    replica_commits(&r, 2, 512);
    replica_put_full(&r, 1, 2, SEGMENT_FROM_EMPTY);
    list_objects(store);
    int result = in_child(apply_nothing);
    if (result < 0)
        fail_msg("ended by signal %d (%s)", -result, strsignal(-result));
    assert_int_equal(result, 0);
}

static void a_canceled_restore_stops(void **state)
{
    atomic_bool cancel;
    struct apply_options o = {.jobs = 1, .cancel = &cancel};
    struct plan p = {0};
    struct map map;
    struct err e;
    (void)state;
    replica_commits(&r, 5, 512);
    replica_put_full(&r, 1, 5, SEGMENT_FROM_EMPTY);
    list_objects(store);
    assert_ok(plan_make(&catalog, 5, &p, &e), &e);
    int fd = memfd_create("restore", MFD_CLOEXEC);
    o.fd = fd;
    atomic_store(&cancel, true);
    assert_error(apply_plan(&catalog, &p, &o, &map, &e), &e, ERR_CANCELED);
    atomic_store(&cancel, false);
    assert_ok(apply_plan(&catalog, &p, &o, &map, &e), &e);
    map_release(&map);
    plan_release(&p);
    close(fd);
}

/* ---- wrong databases */

static struct memory_object *object_of(const char *key)
{
    struct memory_object *o = memory_store_object((struct memory_store *)store, key);
    assert_non_null(o);
    return o;
}

/* Damages each byte of each object. The restore fails, or gives the right database. */
static void damage_anywhere_is_never_restored(void **state)
{
    unsigned refused = 0, right = 0;
    (void)state;
    replica_commits(&r, 9, 512);
    replica_put_full(&r, 1, 3, SEGMENT_FROM_EMPTY);
    replica_put_last(&r, 0, 4, 6, SEGMENT_IN_PARTS);
    replica_put_full(&r, 7, 9, 0);
    replica_put_base(&r, 3, 3);
    struct memory_store *m = (struct memory_store *)store;
    for (size_t i = 0; i < m->count; i++) {
        struct memory_object *o = &m->objects[i];
        if (strcmp(o->key, NAME_IDENTITY) == 0)
            continue;
        for (size_t at = 0; at < o->size; at += at < 300 || at + 500 > o->size ? 3 : 23) {
            struct map map;
            struct err e;
            o->bytes[at] ^= 0x11;
            list_objects(store);
            int fd = apply_txid(8, 1, &map, &e);
            if (fd >= 0) {
                assert_file_is(fd, &r.model.at[8]);
                map_release(&map);
                close(fd);
                right++;
            } else {
                assert_int_equal(e.code, ERR_CORRUPT);
                assert_contains(e.msg, "object '");
                refused++;
            }
            o->bytes[at] ^= 0x11;
        }
    }
    assert_true(refused > 100 && right > 100); /* without a damaged base there is a way through the levels */
}

static void a_missing_part_or_chunk_is_named_and_makes_the_restore_plan_again(void **state)
{
    struct map map;
    struct err e;
    const char *chunk = "base/0000000000000004-52000000000000000000000000000000/00000001";
    const char *part = "part/52000000000000000000000000000000-0000000000000060";
    (void)state;
    replica_commits(&r, 6, 512);
    replica_put_full(&r, 1, 4, SEGMENT_FROM_EMPTY);
    replica_put_last(&r, 0, 5, 6, SEGMENT_IN_PARTS);
    list_objects(store);
    assert_restores(&r, 6, 1);
    assert_ok(store_remove(store, part, &e), &e);
    assert_int_equal(apply_txid(6, 1, &map, &e), -1);
    assert_int_equal(e.code, ERR_GONE);
    assert_contains(e.msg, part);
    replica_put_base(&r, 4, 4);
    list_objects(store);
    assert_ok(store_remove(store, chunk, &e), &e);
    assert_int_equal(apply_txid(4, 1, &map, &e), -1);
    assert_int_equal(e.code, ERR_GONE);
    assert_contains(e.msg, chunk);
    list_objects(store);
    assert_restores(&r, 4, 1); /* without the base */
}

/* Takes the object `key` apart, calls `change`, and puts it together again with checksums that fit. */
static void forge(const char *key, void (*change)(struct forgery *f))
{
    struct memory_object *o = object_of(key);
    struct forgery f;
    struct buf out = BUF_INIT(1 << 28);
    struct err e;
    assert_ok(forgery_open(&f, o->bytes, o->size, codec, &e), &e);
    change(&f);
    assert_ok(forgery_close(&f, codec, &out, &e), &e);
    free(o->bytes);
    o->bytes = out.data;
    o->size = out.len;
    forgery_release(&f);
}

static void lie_about_the_checksum(struct forgery *f)
{
    f->records.data[f->records.len - 1] ^= 1;
}

static void lie_about_a_page_hash(struct forgery *f)
{
    f->index.data[f->index.len - 1] ^= 1;
}

static void lie_about_the_size(struct forgery *f)
{
    f->records.data[f->records.len - 9]++; /* one page more than the database has */
}

static void a_forged_object_is_shown_by_the_pages(void **state)
{
    static const struct {
        void (*change)(struct forgery *f);
        const char *story;
    } known[] = {{lie_about_the_checksum, "database checksum"},
                 {lie_about_a_page_hash, "wrong hash"},
                 {lie_about_the_size, "no object holds page"}};
    const char *key = "0/0000000000000001";
    (void)state;
    replica_commits(&r, 1, 512);
    replica_put_full(&r, 1, 1, SEGMENT_FROM_EMPTY);
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        struct memory_object *o = object_of(key);
        size_t size = o->size;
        uint8_t *kept = malloc(size);
        struct map map;
        struct err e;
        assert_non_null(kept);
        memcpy(kept, o->bytes, size);
        list_objects(store);
        assert_restores(&r, 1, 1);
        forge(key, known[i].change);
        list_objects(store);
        assert_int_equal(apply_txid(1, 1, &map, &e), -1);
        assert_int_equal(e.code, ERR_CORRUPT);
        assert_contains(e.msg, known[i].story);
        free(o->bytes);
        o->bytes = kept;
        o->size = size;
    }
}

/* A decoder that accepts page 0 makes a restore write in front of its map (see test_segment.c). */
static void lie_about_a_page_number(struct forgery *f)
{
    struct err e;
    put_be32(f->trailer + TRAILER_FIRST_PAGE, 0);
    put_be32(f->trailer + TRAILER_LAST_PAGE, 0);
    put_be32(f->trailer + TRAILER_VERSION_COUNT, 1);
    put_be32(f->trailer + TRAILER_BLOCK_COUNT, 1);
    f->blocks.len = 0;
    f->index.len = 0;
    if (codec_deflate(codec, "", 0, &f->blocks, &e) || buf_append_varint(&f->index, 1, &e) ||
        buf_append_varint(&f->index, f->blocks.len, &e) ||
        buf_append_be64(&f->index, hash64(f->blocks.data, f->blocks.len), &e) || buf_append_zeros(&f->index, 3, &e))
        fail_msg("%s", e.msg);
}

static int apply_txid_1(void)
{
    struct map map;
    struct err e = {.code = ERR_NONE};
    return apply_txid(1, 1, &map, &e) < 0 && e.code == ERR_CORRUPT ? 0 : 1;
}

static void an_object_with_a_page_zero_ends_in_an_error_and_no_crash(void **state)
{
    (void)state;
    replica_commits(&r, 1, 512);
    replica_put_full(&r, 1, 1, SEGMENT_FROM_EMPTY);
    forge("0/0000000000000001", lie_about_a_page_number);
    list_objects(store);
    int result = in_child(apply_txid_1);
    if (result < 0)
        fail_msg("ended by signal %d (%s)", -result, strsignal(-result));
    assert_int_equal(result, 0);
}

/* ---- the whole restore, with files */

static atomic_bool no_cancel;

static int run(uint64_t txid, unsigned flags, struct restore_result *ret_result, struct err *e)
{
    struct restore_options o = {.url = temp_path("replica"),
                                .path = temp_path("out.db"),
                                .txid = txid,
                                .flags = flags,
                                .jobs = 2,
                                .cancel = &no_cancel};
    return restore_run(&o, ret_result, e);
}

/* Puts a real database into a replica in a folder, as one segment. Returns its bytes, which the caller frees. */
static uint8_t *make_real_replica(size_t *ret_size)
{
    static struct version versions[400];
    struct store *s = NULL;
    struct replica_identity id;
    struct commit_record record = {.txid = 1, .time_ms = 1000};
    struct buf object = {0};
    struct digest digest;
    struct err e;
    sqlite3 *db = sql_open(temp_path("app.db"), NULL);
    sql(db, "PRAGMA page_size=1024; CREATE TABLE t(a INTEGER PRIMARY KEY, b); CREATE INDEX i ON t(b);"
            "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 900) INSERT INTO t(b) SELECT "
            "hex(randomblob(50)) FROM c");
    sqlite3_close(db);
    uint8_t *bytes = file_bytes(temp_path("app.db"), ret_size);
    assert_non_null(bytes);
    record.pages = (uint32_t)(*ret_size / 1024);
    assert_true(record.pages <= COUNT_OF(versions));
    for (uint32_t i = 0; i < record.pages; i++) {
        versions[i] = (struct version){
            .pgno = i + 1, .kind = VERSION_IMAGE, .txid = 1, .hash = page_hash(i + 1, bytes + i * 1024, 1024)};
        assert_true(versions[i].hash != 0);
        record.checksum ^= versions[i].hash;
    }
    assert_ok(store_open(temp_path("replica"), STORE_WRITE, &s, &e), &e);
    assert_ok(replica_identity_obtain(s, NULL, &id, &e), &e);
    struct object_parts parts = {.info = {.kind = OBJECT_SEGMENT,
                                          .flags = SEGMENT_FROM_EMPTY,
                                          .min = 1,
                                          .max = 1,
                                          .page_size = 1024,
                                          .first_page = 1,
                                          .last_page = record.pages,
                                          .database = id.database},
                                 .records = &record,
                                 .record_count = 1,
                                 .versions = versions,
                                 .version_count = record.pages,
                                 .payload = bytes};
    assert_ok(object_make(codec, &parts, &object, &digest, &e), &e);
    assert_ok(store_put_new(s, "0/0000000000000001", object.data, object.len, NULL, &e), &e);
    buf_release(&object);
    store_close(s);
    return bytes;
}

static unsigned files_in_temp(void)
{
    unsigned n = 0;
    FILE *p;
    char command[600];
    snprintf(command, sizeof command, "ls -A '%s' | wc -l", temp_dir);
    p = popen(command, "re");
    assert_non_null(p);
    assert_int_equal(fscanf(p, "%u", &n), 1);
    pclose(p);
    return n;
}

static void assert_same_file(const char *name, const void *bytes, size_t size)
{
    size_t n = 0;
    uint8_t *found = file_bytes(temp_path(name), &n);
    assert_non_null(found);
    assert_int_equal(n, size);
    assert_memory_equal(found, bytes, size);
    free(found);
}

static void a_real_database_comes_back_and_its_state_file_goes_on(void **state)
{
    struct restore_result result;
    struct state st;
    enum state_found found;
    struct err e;
    size_t size = 0;
    (void)state;
    uint8_t *bytes = make_real_replica(&size);
    assert_ok(run(POINT_NEWEST, RESTORE_INTEGRITY_CHECK, &result, &e), &e);
    assert_same_file("out.db", bytes, size);
    assert_true(result.record.txid == 1 && result.newest_txid == 1 && result.objects == 1 && result.page_size == 1024);
    assert_int_equal(files_in_temp(), 4); /* app.db, replica, out.db, out.db-seawall */
    assert_ok(state_open(&st, temp_path("out.db"), &found, &e), &e);
    assert_int_equal(found, STATE_INTACT);
    assert_true(st.map.checksum == result.record.checksum && state_txid(&st) == 1);
    assert_int_equal(state_identity(&st).replica_count, 1);
    assert_int_equal(state_identity(&st).replicas[0].durable_txid, 1);
    assert_false(digest_is_zero(&(struct digest[]){state_identity(&st).replicas[0].head}[0]));
    state_close(&st);
    free(bytes);
}

static void an_existing_target_stays_unless_it_is_to_be_replaced(void **state)
{
    struct restore_result result;
    struct err e;
    size_t size = 0;
    (void)state;
    uint8_t *bytes = make_real_replica(&size);
    assert_int_equal(file_write(temp_path("out.db"), "old", 3), 0);
    assert_int_equal(file_write(temp_path("out.db-wal"), "stale", 5), 0);
    assert_int_equal(chmod(temp_path("out.db"), 0640), 0);
    assert_error(run(1, 0, &result, &e), &e, ERR_EXISTS);
    assert_contains(e.msg, "HINT");
    assert_same_file("out.db", "old", 3);
    assert_same_file("out.db-wal", "stale", 5);
    assert_int_equal(files_in_temp(), 4);
    assert_ok(run(1, RESTORE_FORCE, &result, &e), &e);
    assert_same_file("out.db", bytes, size);
    assert_int_equal(files_in_temp(),
                     6); /* the stale -wal was set aside with the old database; a state file was made */
    assert_true(result.undo);
    assert_same_file("out.db-seawall-undo", "old", 3);
    assert_same_file("out.db-seawall-undo-wal", "stale", 5);
    assert_ok(run(1, RESTORE_FORCE | RESTORE_NO_UNDO, &result, &e), &e);
    assert_false(result.undo);
    assert_same_file("out.db", bytes, size);
    assert_int_equal(files_in_temp(), 4);
    struct stat st;
    assert_int_equal(stat(temp_path("out.db"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    free(bytes);
}

/* For start scripts: there is a database, or nothing, or a file that a person must look at. */
static void only_a_file_that_is_not_empty_counts_as_a_database(void **state)
{
    static const struct {
        const char *suffix, *bytes;
        enum err_code code; /* without a database beside it */
    } beside[] = {{"-wal", "x", ERR_EXISTS},  {"-wal", "", ERR_NONE},  {"-journal", "x", ERR_EXISTS},
                  {"-journal", "", ERR_NONE}, {"-shm", "x", ERR_NONE}, {"-seawall-undo", "x", ERR_NONE},
                  {"-seawall", "x", ERR_NONE}};
    const char *path = temp_path("out.db");
    enum target_found found;
    struct err e;
    (void)state;
    assert_ok(target_look(path, &found, &e), &e);
    assert_int_equal(found, TARGET_FREE);
    for (size_t i = 0; i < COUNT_OF(beside); i++) {
        char other[600];
        snprintf(other, sizeof other, "%s%s", path, beside[i].suffix);
        assert_int_equal(file_write(other, beside[i].bytes, strlen(beside[i].bytes)), 0);
        if (beside[i].code == ERR_NONE) {
            assert_ok(target_look(path, &found, &e), &e);
            assert_int_equal(found, TARGET_FREE);
        } else {
            assert_error(target_look(path, &found, &e), &e, beside[i].code);
            assert_contains(e.msg, other);
        }
        assert_int_equal(file_write(path, "d", 1), 0);
        assert_ok(target_look(path, &found, &e), &e);
        assert_int_equal(found, TARGET_DATABASE);
        assert_int_equal(unlink(path) | unlink(other), 0);
    }
    assert_int_equal(file_write(path, "", 0), 0);
    assert_error(target_look(path, &found, &e), &e, ERR_EXISTS);
    assert_contains(e.msg, "empty");
    assert_int_equal(unlink(path) | mkdir(path, 0700), 0);
    assert_error(target_look(path, &found, &e), &e, ERR_CONFIG);
    assert_int_equal(rmdir(path) | symlink("nowhere", path), 0);
    assert_error(target_look(path, &found, &e), &e, ERR_EXISTS);
    assert_int_equal(file_write(temp_path("nowhere"), "d", 1), 0);
    assert_ok(target_look(path, &found, &e), &e);
    assert_int_equal(found, TARGET_DATABASE);
    assert_error(target_look(temp_path("nowhere/x.db"), &found, &e), &e, ERR_IO); /* a file in place of a folder */
}

/* The target was free when the restore began. A file that is there at the end belongs to another program, and its -wal
 * too. */
static void a_database_that_comes_meanwhile_is_not_touched(void **state)
{
    struct target t;
    struct err e;
    (void)state;
    assert_ok(target_begin(&t, temp_path("out.db"), TARGET_REFUSE, 0600, &e), &e);
    assert_int_equal(file_write(temp_path("out.db"), "new", 3), 0);
    assert_int_equal(file_write(temp_path("out.db-wal"), "commits", 7), 0);
    bool undo = true;
    assert_error(target_commit(&t, &undo, &e), &e, ERR_EXISTS);
    assert_false(undo);
    target_abort(&t);
    assert_same_file("out.db", "new", 3);
    assert_same_file("out.db-wal", "commits", 7);
    assert_int_equal(files_in_temp(), 2);
}

static void a_start_script_learns_what_was_at_the_target(void **state)
{
    struct restore_result result;
    struct err e;
    size_t size = 0;
    (void)state;
    assert_error(run(POINT_NEWEST, RESTORE_IF_NO_DB, &result, &e), &e, ERR_NOTFOUND);
    assert_ok(run(POINT_NEWEST, RESTORE_IF_NO_DB | RESTORE_IF_REPLICA, &result, &e), &e); /* the folder is missing */
    assert_int_equal(result.outcome, RESTORE_NO_REPLICA);
    assert_int_equal(mkdir(temp_path("replica"), 0700), 0);
    assert_ok(run(POINT_NEWEST, RESTORE_IF_REPLICA, &result, &e), &e);
    assert_int_equal(result.outcome, RESTORE_NO_REPLICA);
    assert_contains(result.no_replica, "replica'");
    assert_int_equal(rmdir(temp_path("replica")), 0);
    uint8_t *bytes = make_real_replica(&size);
    assert_error(run(1000, RESTORE_IF_REPLICA, &result, &e), &e, ERR_NOTFOUND); /* the replica lacks this point */
    assert_ok(run(POINT_NEWEST, RESTORE_IF_NO_DB | RESTORE_IF_REPLICA, &result, &e), &e);
    assert_int_equal(result.outcome, RESTORE_DONE);
    assert_same_file("out.db", bytes, size);
    assert_int_equal(file_write(temp_path("out.db"), "other", 5), 0);
    assert_ok(run(POINT_NEWEST, RESTORE_IF_NO_DB, &result, &e), &e);
    assert_int_equal(result.outcome, RESTORE_NOTHING_TO_DO);
    assert_same_file("out.db", "other", 5);
    free(bytes);
}

static void a_target_in_use_is_not_replaced(void **state)
{
    struct restore_result result;
    struct err e;
    size_t size = 0;
    int ready[2], done[2];
    char byte = 0;
    (void)state;
    free(make_real_replica(&size));
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(done), 0);
    pid_t child = fork(); /* an idle application, in WAL mode */
    if (child == 0) {
        sqlite3 *db = NULL;
        close(done[1]);
        int rc = sqlite3_open(temp_path("out.db"), &db);
        rc |= sqlite3_exec(db, "PRAGMA journal_mode=WAL; CREATE TABLE u(x); SELECT * FROM u", NULL, NULL, NULL);
        if (write(ready[1], rc ? "n" : "y", 1) != 1 || read(done[0], &byte, 1) != 0)
            _exit(1);
        _exit(0);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    int rc = run(1, RESTORE_FORCE, &result, &e);
    close(done[0]);
    close(done[1]);
    close(ready[0]);
    close(ready[1]);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_not_equal(rc, 0);
    assert_int_equal(e.code, ERR_BUSY);
    assert_contains(e.msg, "in use");
}

static void a_failed_restore_leaves_the_target_and_nothing_beside_it(void **state)
{
    static const struct {
        const char *what;
        uint64_t txid;
        enum err_code code;
    } known[] = {{"damaged block", 1, ERR_CORRUPT}, {"no such txid", 7, ERR_NOTFOUND}};
    size_t size = 0;
    (void)state;
    free(make_real_replica(&size));
    char object[1100];
    snprintf(object, sizeof object, "%s", temp_path("replica/0/0000000000000001"));
    uint8_t *bytes = file_bytes(object, &size);
    assert_non_null(bytes);
    bytes[size / 3] ^= 1;
    assert_int_equal(file_write(object, bytes, size), 0);
    free(bytes);
    for (size_t i = 0; i < COUNT_OF(known) * 2; i++) {
        struct restore_result result;
        struct err e;
        bool exists = i % 2;
        if (exists)
            assert_int_equal(file_write(temp_path("out.db"), "old", 3), 0);
        unsigned before = files_in_temp();
        assert_error(run(known[i / 2].txid, RESTORE_FORCE, &result, &e), &e, known[i / 2].code);
        assert_int_equal(files_in_temp(), before);
        if (exists)
            assert_same_file("out.db", "old", 3);
        unlink(temp_path("out.db"));
    }
}

static void with_an_integrity_check_a_damaged_database_is_not_put_in_place(void **state)
{
    struct store *s = NULL;
    struct replica any;
    struct restore_result result;
    struct err e;
    (void)state;
    assert_ok(store_open(temp_path("replica"), STORE_WRITE, &s, &e), &e);
    replica_init(&any, s, codec, 7);
    replica_commits(&any, 3, 512); /* random bytes: a sound replica of a file that is not a database */
    replica_put_full(&any, 1, 3, SEGMENT_FROM_EMPTY);
    assert_error(run(3, RESTORE_INTEGRITY_CHECK, &result, &e), &e, ERR_CONTENT);
    assert_contains(e.msg, "integrity check");
    assert_int_equal(files_in_temp(), 1);
    assert_ok(run(3, 0, &result, &e), &e);
    assert_same_file("out.db", any.model.at[3].bytes, (size_t)any.model.at[3].record.pages * 512);
    replica_release(&any);
    store_close(s);
}

/* A replica in a folder: six commits in two objects of level 0. The caller releases it, and closes the store. */
static void make_two_objects(struct replica *ret_replica, struct store **ret_store)
{
    struct err e;
    assert_ok(store_open(temp_path("replica"), STORE_WRITE, ret_store, &e), &e);
    replica_init(ret_replica, *ret_store, codec, 8);
    replica_commits(ret_replica, 6, 512);
    replica_put_full(ret_replica, 1, 3, SEGMENT_FROM_EMPTY);
    replica_put_full(ret_replica, 4, 6, 0);
}

static void a_dry_run_writes_nothing_and_an_older_target_names_no_head(void **state)
{
    struct store *s = NULL;
    struct replica any;
    struct restore_result result;
    struct state st;
    enum state_found found;
    struct err e;
    (void)state;
    make_two_objects(&any, &s);
    assert_ok(run(5, RESTORE_DRY_RUN, &result, &e), &e);
    assert_true(result.record.txid == 5 && result.newest_txid == 6 && result.objects == 2 && result.bytes > 0);
    assert_int_equal(files_in_temp(), 1);
    assert_ok(run(5, 0, &result, &e), &e);
    assert_ok(state_open(&st, temp_path("out.db"), &found, &e), &e);
    assert_int_equal(found, STATE_INTACT);
    assert_true(digest_is_zero(&(struct digest[]){
        state_identity(&st).replicas[0].head}[0])); /* the replica has later commits: a daemon must not continue here */
    state_close(&st);
    replica_release(&any);
    store_close(s);
}

static int lose_the_head(void *context, const struct restore_result *result, struct err *e)
{
    (void)e;
    *(bool *)context = unlink(temp_path("replica/0/0000000000000004")) == 0 && result->newest_txid == 6;
    return 0;
}

/* Retention puts it into a pack at any moment. */
static void the_head_may_go_while_the_pages_are_restored(void **state)
{
    struct store *s = NULL;
    struct replica any;
    bool lost = false;
    struct restore_result result;
    struct state st;
    enum state_found found;
    struct err e;
    (void)state;
    make_two_objects(&any, &s);
    replica_put_last(&any, 1, 1, 6, SEGMENT_FROM_EMPTY); /* has all pages */
    const struct restore_options o = {.url = temp_path("replica"),
                                      .path = temp_path("out.db"),
                                      .txid = POINT_NEWEST,
                                      .jobs = 2,
                                      .cancel = &no_cancel,
                                      .planned = lose_the_head,
                                      .planned_context = &lost};
    assert_ok(restore_run(&o, &result, &e), &e);
    assert_true(lost);
    assert_ok(state_open(&st, temp_path("out.db"), &found, &e), &e);
    assert_int_equal(found, STATE_INTACT);
    assert_false(digest_is_zero(&(struct digest[]){state_identity(&st).replicas[0].head}[0]));
    state_close(&st);
    replica_release(&any);
    store_close(s);
}

static void sqlite_says_which_file_is_a_database(void **state)
{
    struct err e;
    (void)state;
    sqlite3 *db = sql_open(temp_path("a b%3f?.db"), NULL);
    sql(db, "CREATE TABLE t(x); INSERT INTO t VALUES(1)");
    sqlite3_close(db);
    assert_ok(integrity_check(temp_path("a b%3f?.db"), &e), &e);
    assert_int_equal(file_write(temp_path("no.db"),
                                "This is no database, but it is long enough to have a header of 100 bytes, "
                                "which SQLite reads before it says so.",
                                111),
                     0);
    assert_error(integrity_check(temp_path("no.db"), &e), &e, ERR_CONTENT);
    assert_error(integrity_check(temp_path("absent.db"), &e), &e, ERR_SQLITE);
}

/* Only allocations of the calling thread fail. That of a prefetch does no harm; any other one is ERR_NOMEM. */
static void out_of_memory_a_restore_fails_and_leaks_nothing(void **state)
{
    unsigned long refused = 0, nth = 1;
    struct plan p = {0};
    struct err e;
    bool over = false;
    (void)state;
    replica_commits(&r, 9, 512);
    replica_put_full(&r, 1, 4, SEGMENT_FROM_EMPTY);
    replica_put_full(&r, 5, 9, 0);
    list_objects(store);
    assert_ok(plan_make(&catalog, 9, &p, &e), &e);
    for (; !over; nth++) {
        struct apply_have have = {.known_upto = 3};
        struct apply_options o = {.jobs = 1, .fd = memfd_create("restore", MFD_CLOEXEC)};
        struct map map = {.fd = -1};
        if (nth % 2) { /* every second time as a delta of a caller that has no page */
            map_init_memory(&have.map, 512);
            assert_ok(map_resize(&have.map, p.record.pages, &e), &e);
            o.have = &have;
        }
        failing_alloc_arm((nth + 1) / 2);
        int rc = apply_plan(&catalog, &p, &o, &map, &e);
        over = !failing_alloc_disarm() && nth % 2 == 0;
        refused += rc != 0;
        if (rc)
            assert_int_equal(e.code, ERR_NOMEM);
        else
            assert_file_is(o.fd, &r.model.at[9]);
        map_release(&map);
        close(o.fd);
    }
    assert_true(refused >= 10);
    plan_release(&p);
}

CLAIMS_FIXTURES

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIMS_TEST(every_restore_point_of_any_replica_gives_the_model),
        CLAIMS_TEST(the_number_of_threads_makes_no_difference),
        CLAIMS_TEST(all_page_sizes_are_restored),
        CLAIMS_TEST(the_lock_byte_page_is_neither_stored_nor_missed),
        CLAIMS_TEST(any_state_becomes_any_restore_point),
        CLAIMS_TEST(a_state_that_is_not_in_the_past_of_the_replica_is_noticed),
        CLAIMS_TEST(of_a_base_only_chunks_that_are_needed_are_read),
        CLAIMS_TEST(the_empty_state_is_an_empty_file),
        CLAIMS_TEST(a_canceled_restore_stops),
        CLAIMS_TEST(out_of_memory_a_restore_fails_and_leaks_nothing),
        CLAIMS_TEST(damage_anywhere_is_never_restored),
        CLAIMS_TEST(a_missing_part_or_chunk_is_named_and_makes_the_restore_plan_again),
        CLAIMS_TEST(a_forged_object_is_shown_by_the_pages),
        CLAIMS_TEST(an_object_with_a_page_zero_ends_in_an_error_and_no_crash),
        CLAIMS_TEST(a_real_database_comes_back_and_its_state_file_goes_on),
        CLAIMS_TEST(the_head_may_go_while_the_pages_are_restored),
        CLAIMS_TEST(an_existing_target_stays_unless_it_is_to_be_replaced),
        CLAIMS_TEST(only_a_file_that_is_not_empty_counts_as_a_database),
        CLAIMS_TEST(a_database_that_comes_meanwhile_is_not_touched),
        CLAIMS_TEST(a_start_script_learns_what_was_at_the_target),
        CLAIMS_TEST(a_target_in_use_is_not_replaced),
        CLAIMS_TEST(a_failed_restore_leaves_the_target_and_nothing_beside_it),
        CLAIMS_TEST(with_an_integrity_check_a_damaged_database_is_not_put_in_place),
        CLAIMS_TEST(a_dry_run_writes_nothing_and_an_older_target_names_no_head),
        CLAIMS_TEST(sqlite_says_which_file_is_a_database),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
