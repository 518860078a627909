/* ship/found_interior.h: interior pages that are found are right if the chunks have each of them as it is. */
#include "unit.h"

#include "base/hash.h"
#include "failing_alloc.h"
#include "memory_store.h"
#include "object.h"
#include "ship/found_interior.h"

#define SIZE 512
#define PAGES 12 /* in three chunks of four */
#define START 3

static struct store *store;
static struct codec *codec;
static struct listed list[3];
static const struct copy_objects chunks = {.list = list, .count = 3};
static char key[] = "base/0000000000000003-00000000000000000000000000000000/interior";

/* Puts an object with these pages of txid 5. `content`: of each page. */
static void put_pages(const char *name, enum object_kind kind, const uint32_t *pages, size_t count, uint8_t content)
{
    struct segment_info info = {.kind = kind,
                                .max = 5,
                                .start = START,
                                .page_size = SIZE,
                                .first_page = pages[0],
                                .last_page = pages[count - 1]};
    struct version versions[PAGES];
    uint8_t payload[PAGES * SIZE];
    struct buf bytes = BUF_INIT(SEGMENT_BYTES_MAX);
    struct digest digest;
    struct err e;
    for (size_t i = 0; i < count; i++) {
        uint8_t *page = payload + i * SIZE;
        memset(page, content, SIZE);
        put_be32(page, pages[i]);
        versions[i] = (struct version){
            .pgno = pages[i], .kind = VERSION_IMAGE, .txid = 5, .hash = page_hash(pages[i], page, SIZE)};
    }
    const struct object_parts parts = {.info = info, .versions = versions, .version_count = count, .payload = payload};
    assert_ok(object_make(codec, &parts, &bytes, &digest, &e), &e);
    assert_ok(store_put_new(store, name, bytes.data, bytes.len, NULL, &e), &e);
    buf_release(&bytes);
}

static int setup(void **state)
{
    (void)state;
    store = memory_store_new();
    codec = codec_new();
    for (uint32_t i = 0; i < 3; i++) {
        const uint32_t pages[] = {4 * i + 1, 4 * i + 2, 4 * i + 3, 4 * i + 4};
        list[i] = (struct listed){.first_page = pages[0], .last_page = pages[3], .max = 5};
        snprintf(list[i].name, sizeof list[i].name, "base/0000000000000003-%032d/%08x", 0, pages[0]);
        put_pages(list[i].name, OBJECT_CHUNK, pages, 4, 7);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    store_close(store);
    codec_free(codec);
    return 0;
}

static bool is_right(const uint32_t *pages, size_t count, uint8_t content)
{
    struct err e;
    bool right = false;
    put_pages(key, OBJECT_INTERIOR, pages, count, content);
    assert_ok(found_interior_check(store, codec, key, &chunks, &right, &e), &e);
    assert_ok(store_remove(store, key, &e), &e);
    return right;
}

static void pages_that_the_chunks_have_are_right(void **state)
{
    (void)state;
    assert_true(is_right((uint32_t[]){1}, 1, 7));
    assert_true(is_right((uint32_t[]){1, 3, 9, 12}, 4, 7));
    assert_true(is_right((uint32_t[]){4, 5, 6, 7, 8}, 5, 7));
}

static void a_page_that_a_chunk_has_otherwise_is_not_right(void **state)
{
    (void)state;
    assert_false(is_right((uint32_t[]){1}, 1, 8));
    assert_false(is_right((uint32_t[]){1, 12}, 2, 8));
}

static void a_page_that_no_chunk_has_is_not_right(void **state)
{
    (void)state;
    assert_false(is_right((uint32_t[]){13}, 1, 7));
    assert_false(is_right((uint32_t[]){1, 12, 13}, 3, 7));
}

static void a_chunk_that_cannot_be_read_is_an_error(void **state)
{
    struct err e;
    bool right = false;
    (void)state;
    put_pages(key, OBJECT_INTERIOR, (uint32_t[]){2, 6}, 2, 7);
    assert_ok(store_remove(store, list[1].name, &e), &e);
    assert_error(found_interior_check(store, codec, key, &chunks, &right, &e), &e, ERR_NOTFOUND);
    assert_ok(store_remove(store, key, &e), &e);
    assert_error(found_interior_check(store, codec, key, &chunks, &right, &e), &e, ERR_NOTFOUND);
}

static int check(void *context, struct err *e)
{
    bool right = false;
    int rc = found_interior_check(store, codec, context, &chunks, &right, e);
    if (rc == 0)
        assert_true(right);
    return rc;
}

static void each_allocation_fails_once(void **state)
{
    (void)state;
    put_pages(key, OBJECT_INTERIOR, (uint32_t[]){2, 6}, 2, 7);
    assert_each_allocation_fails_once(check, key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(pages_that_the_chunks_have_are_right, setup, teardown),
        cmocka_unit_test_setup_teardown(a_page_that_a_chunk_has_otherwise_is_not_right, setup, teardown),
        cmocka_unit_test_setup_teardown(a_page_that_no_chunk_has_is_not_right, setup, teardown),
        cmocka_unit_test_setup_teardown(a_chunk_that_cannot_be_read_is_an_error, setup, teardown),
        cmocka_unit_test_setup_teardown(each_allocation_fails_once, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
