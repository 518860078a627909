/* base/buf.h: growing buffers with a ceiling, varints, cursors. */
#include "failing_alloc.h"
#include "unit.h"

#include "base/buf.h"
#include "base/endian.h"

static void a_buffer_grows_up_to_its_ceiling_and_not_beyond(void **state)
{
    struct err e;
    struct buf b = BUF_INIT(1000);
    (void)state;
    for (int i = 0; i < 1000; i++)
        assert_ok(buf_append(&b, "x", 1, &e), &e);
    assert_int_equal(b.len, 1000);
    assert_error(buf_append(&b, "x", 1, &e), &e, ERR_LIMIT);
    assert_error(buf_append_zeros(&b, 1, &e), &e, ERR_LIMIT);
    assert_error(buf_append_varint(&b, 1, &e), &e, ERR_LIMIT);
    assert_error(buf_append_be64(&b, 1, &e), &e, ERR_LIMIT);
    assert_int_equal(b.len, 1000);
    assert_true(b.cap <= 1000);
    buf_release(&b);
}

static void a_request_that_would_overflow_is_refused(void **state)
{
    struct err e;
    struct buf b = BUF_INIT(SIZE_MAX);
    (void)state;
    assert_ok(buf_append(&b, "abc", 3, &e), &e);
    assert_error(buf_reserve(&b, SIZE_MAX - 1, &e), &e, ERR_LIMIT);
    assert_memory_equal(b.data, "abc", 3);
    buf_release(&b);
}

static void a_released_buffer_is_empty_and_keeps_its_ceiling(void **state)
{
    struct err e;
    struct buf b = BUF_INIT(4);
    (void)state;
    assert_ok(buf_append(&b, "abcd", 4, &e), &e);
    buf_release(&b);
    assert_int_equal(b.len, 0);
    assert_null(b.data);
    assert_ok(buf_append_zeros(&b, 4, &e), &e);
    assert_memory_equal(b.data, "\0\0\0\0", 4);
    assert_error(buf_append(&b, "x", 1, &e), &e, ERR_LIMIT);
    buf_release(&b);
}

static void appending_nothing_needs_no_bytes(void **state)
{
    struct err e;
    struct buf b = BUF_INIT(0);
    (void)state;
    assert_ok(buf_append(&b, NULL, 0, &e), &e);
    assert_ok(buf_append_zeros(&b, 0, &e), &e);
    assert_int_equal(b.len, 0);
    buf_release(&b);
}

/* SQLite "Database File Format", section 1.6: big-endian groups of seven bits, a ninth byte holds eight. */
static void varints_are_those_of_sqlite(void **state)
{
    static const struct {
        uint64_t value;
        size_t size;
        uint8_t bytes[9];
    } known[] = {
        {0, 1, {0}},
        {1, 1, {1}},
        {127, 1, {0x7f}},
        {128, 2, {0x81, 0x00}},
        {16383, 2, {0xff, 0x7f}},
        {16384, 3, {0x81, 0x80, 0x00}},
        {UINT32_MAX, 5, {0x8f, 0xff, 0xff, 0xff, 0x7f}},
        {UINT64_C(0x00ffffffffffffff), 8, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}},
        {UINT64_C(0x0100000000000000), 9, {0x80, 0xc0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00}},
        {UINT64_MAX, 9, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
    };
    struct err e;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        struct buf b = BUF_INIT(64);
        assert_ok(buf_append_varint(&b, known[i].value, &e), &e);
        assert_int_equal(b.len, known[i].size);
        assert_memory_equal(b.data, known[i].bytes, known[i].size);
        buf_release(&b);
    }
}

static void every_varint_reads_back_as_it_was_written(void **state)
{
    struct err e;
    struct dice d = dice_of(1);
    (void)state;
    for (int round = 0; round < 20000; round++) {
        uint64_t value = dice_next(&d) >> dice_below(&d, 64);
        struct buf b = BUF_INIT(64);
        assert_ok(buf_append_varint(&b, value, &e), &e);
        struct cursor c = cursor_of(b.data, b.len);
        assert_true(cursor_varint(&c) == value);
        assert_false(c.bad);
        assert_int_equal(cursor_left(&c), 0);
        c = cursor_of(b.data, b.len - 1);
        assert_int_equal(cursor_varint(&c), 0);
        assert_true(c.bad);
        buf_release(&b);
    }
}

static void a_cursor_that_ran_past_the_end_stays_bad_and_gives_zeros(void **state)
{
    static const uint8_t bytes[] = {1, 2, 3, 4, 5};
    struct cursor c = cursor_of(bytes, sizeof bytes);
    (void)state;
    assert_int_equal(cursor_u8(&c), 1);
    assert_int_equal(cursor_be16(&c), 0x0203);
    assert_int_equal(cursor_be32(&c), 0);
    assert_true(c.bad);
    assert_int_equal(cursor_u8(&c), 0); /* two bytes are left, but nothing is believed any more */
    assert_int_equal(cursor_be64(&c), 0);
    assert_int_equal(cursor_varint(&c), 0);
    assert_null(cursor_bytes(&c, 0));
}

static void integers_in_files_are_big_endian(void **state)
{
    static const uint8_t expected[] = {0x01, 0x02, 0x03, 0x04, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18};
    struct err e;
    struct buf b = BUF_INIT(64);
    (void)state;
    assert_ok(buf_append_be32(&b, 0x01020304, &e), &e);
    assert_ok(buf_append_be64(&b, UINT64_C(0x1112131415161718), &e), &e);
    assert_int_equal(b.len, sizeof expected);
    assert_memory_equal(b.data, expected, sizeof expected);
    struct cursor c = cursor_of(b.data, b.len);
    assert_int_equal(cursor_be32(&c), 0x01020304);
    assert_true(cursor_be64(&c) == UINT64_C(0x1112131415161718));
    assert_false(c.bad);
    buf_release(&b);
    uint8_t two[2];
    put_be16(two, 0xfeff);
    assert_int_equal(get_be16(two), 0xfeff);
    assert_int_equal(two[0], 0xfe);
    assert_int_equal(get_le32(expected), 0x04030201);
}

static int append_all(void *context, struct err *e)
{
    struct buf b = BUF_INIT(1u << 20);
    int rc = 0;
    (void)context;
    for (uint64_t i = 0; rc == 0 && i < 2000; i++)
        if (buf_append_be32(&b, (uint32_t)i, e) || buf_append_be64(&b, i, e) || buf_append_varint(&b, i << 20, e) ||
            buf_append_zeros(&b, 3, e) || buf_append(&b, "abc", 3, e))
            rc = -1;
    buf_release(&b);
    return rc;
}

static void each_allocation_of_a_buffer_fails_once(void **state)
{
    (void)state;
    assert_each_allocation_fails_once(append_all, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(a_buffer_grows_up_to_its_ceiling_and_not_beyond),
        UNIT(a_request_that_would_overflow_is_refused),
        UNIT(a_released_buffer_is_empty_and_keeps_its_ceiling),
        UNIT(appending_nothing_needs_no_bytes),
        UNIT(varints_are_those_of_sqlite),
        UNIT(every_varint_reads_back_as_it_was_written),
        UNIT(a_cursor_that_ran_past_the_end_stays_bad_and_gives_zeros),
        UNIT(integers_in_files_are_big_endian),
        UNIT(each_allocation_of_a_buffer_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
