/* format/codec.h: a zlib stream inflates to exactly the given size or is an error, with each engine. */
#include "failing_alloc.h"
#include "unit.h"

#include "format/codec.h"

#include <zlib.h>

enum { SIZE_MAX_TRIED = 200000 };

static size_t random_bytes_for(struct dice *d, uint8_t *out)
{
    static const uint32_t sizes[] = {0, 1, 7, 511, 512, 4096, 65535, 65536, SIZE_MAX_TRIED};
    uint32_t n = sizes[dice_below(d, COUNT_OF(sizes))];
    if (dice_below(d, 2))
        dice_fill(d, out, n);
    else
        for (uint32_t i = 0; i < n; i++)
            out[i] = (uint8_t)(i / 37);
    return n;
}

enum { ENGINES = 2 };
static struct codec *codecs[ENGINES]; /* by enum codec_engine */

static int setup(void **state)
{
    (void)state;
    codecs[CODEC_FASTEST] = codec_new();
    codecs[CODEC_ZLIB] = codec_new_with(CODEC_ZLIB);
    return codecs[0] && codecs[1] ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < ENGINES; i++)
        codec_free(codecs[i]);
    codec_free(NULL);
    return 0;
}

static void what_one_engine_deflated_every_engine_inflates(void **state)
{
    static uint8_t raw[SIZE_MAX_TRIED], back[SIZE_MAX_TRIED];
    struct err e;
    struct dice d = dice_of(6);
    struct buf out = BUF_INIT(16 << 20);
    (void)state;
    for (int round = 0; round < 120; round++) {
        size_t n = random_bytes_for(&d, raw), before = out.len; /* the stream is appended */
        if (before > 8 << 20)
            before = out.len = 0;
        assert_ok(round % 4 < 2 ? codec_deflate(codecs[round % 2], raw, n, &out, &e)
                                : codec_deflate_small(codecs[round % 2], raw, n, &out, &e),
                  &e);
        for (int i = 0; i < ENGINES; i++) {
            memset(back, 0xaa, n);
            assert_ok(
                codec_inflate(codecs[i], &(struct codec_stream){out.data + before, out.len - before, n}, back, &e), &e);
            assert_memory_equal(back, raw, n);
        }
    }
    buf_release(&out);
}

static void the_stream_is_plain_zlib(void **state)
{
    (void)state;
    for (int i = 0; i < ENGINES; i++) {
        struct err e;
        struct buf out = BUF_INIT(10000);
        uint8_t back[16];
        uLongf n = sizeof back;
        assert_ok(codec_deflate(codecs[i], "seawall seawall", 15, &out, &e), &e);
        assert_int_equal(uncompress(back, &n, out.data, out.len), Z_OK);
        assert_int_equal(n, 15);
        assert_memory_equal(back, "seawall seawall", 15);
        buf_release(&out);
    }
}

static void a_stream_of_another_size_is_corrupt_and_the_codec_goes_on(void **state)
{
    static uint8_t raw[5000], back[5010];
    struct dice d = dice_of(7);
    (void)state;
    dice_fill(&d, raw, sizeof raw / 2);
    for (int i = 0; i < ENGINES * ENGINES; i++) {
        struct err e;
        struct codec *c = codecs[i % 2];
        struct buf out = BUF_INIT(100000);
        assert_ok(codec_deflate(codecs[i / 2], raw, sizeof raw, &out, &e), &e);
        assert_ok(buf_append(&out, "x", 1, &e), &e);
        size_t n = out.len - 1;
        assert_error(codec_inflate(c, &(struct codec_stream){out.data, n, sizeof raw - 1}, back, &e), &e, ERR_CORRUPT);
        assert_error(codec_inflate(c, &(struct codec_stream){out.data, n, sizeof raw + 1}, back, &e), &e, ERR_CORRUPT);
        assert_error(codec_inflate(c, &(struct codec_stream){out.data, n, 0}, back, &e), &e, ERR_CORRUPT);
        assert_error(codec_inflate(c, &(struct codec_stream){out.data, n + 1, sizeof raw}, back, &e), &e, ERR_CORRUPT);
        for (size_t cut = 0; cut < n; cut += n - cut < 20 ? 1 : 17)
            assert_error(codec_inflate(c, &(struct codec_stream){out.data, cut, sizeof raw}, back, &e), &e,
                         ERR_CORRUPT);
        assert_error(codec_inflate(c, &(struct codec_stream){raw, sizeof raw, sizeof raw}, back, &e), &e, ERR_CORRUPT);
        assert_ok(codec_inflate(c, &(struct codec_stream){out.data, n, sizeof raw}, back, &e), &e);
        assert_memory_equal(back, raw, sizeof raw);
        buf_release(&out);
    }
}

/* Flips each bit of a stream in turn. The checksum at its end shows every change of the bytes. */
static void a_damaged_stream_is_corrupt_or_gives_the_same_bytes(void **state)
{
    static uint8_t raw[600], back[600];
    struct dice d = dice_of(9);
    (void)state;
    dice_fill(&d, raw, sizeof raw / 4);
    for (int i = 0; i < ENGINES * ENGINES; i++) {
        struct err e;
        struct buf out = BUF_INIT(100000);
        assert_ok(codec_deflate(codecs[i / 2], raw, sizeof raw, &out, &e), &e);
        for (size_t bit = 0; bit < out.len * 8; bit++) {
            out.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
            if (codec_inflate(codecs[i % 2], &(struct codec_stream){out.data, out.len, sizeof raw}, back, &e) == 0)
                assert_memory_equal(back, raw, sizeof raw);
            else
                assert_int_equal(e.code, ERR_CORRUPT);
            out.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        buf_release(&out);
    }
}

static void a_ceiling_of_the_output_is_an_error(void **state)
{
    (void)state;
    for (int i = 0; i < ENGINES; i++) {
        struct err e;
        struct buf out = BUF_INIT(10);
        assert_error(codec_deflate(codecs[i], "0123456789", 10, &out, &e), &e, ERR_LIMIT);
        assert_int_equal(out.len, 0);
        buf_release(&out);
    }
}

static int use_new_codec(void *context, struct err *e)
{
    enum codec_engine engine = *(enum codec_engine *)context;
    static const uint8_t raw[3000] = {1, 2, 3};
    uint8_t back[sizeof raw];
    struct buf out = BUF_INIT(1u << 20);
    struct codec *c = codec_new_with(engine);
    int rc = c ? codec_deflate(c, raw, sizeof raw, &out, e) : err_nomem(e, 0);
    if (rc == 0)
        rc = codec_inflate(c, &(struct codec_stream){out.data, out.len, sizeof raw}, back, e);
    if (rc == 0)
        assert_memory_equal(back, raw, sizeof raw);
    buf_release(&out);
    codec_free(c);
    return rc;
}

static void each_allocation_of_a_codec_fails_once(void **state)
{
    (void)state;
    for (enum codec_engine engine = CODEC_FASTEST; engine <= CODEC_ZLIB; engine++)
        assert_true(assert_each_allocation_fails_once(use_new_codec, &engine) >= 2);
}

/* Bytes like those of patches: short repetitions, and random bytes between them. */
static void patch_like(uint8_t *out, size_t n)
{
    struct dice d = dice_of(9);
    for (size_t i = 0; i < n; i++)
        out[i] = i % 32 < 12                    ? (uint8_t)(i % 32)
                 : i > 700 && dice_below(&d, 3) ? out[i - 64 * (1 + dice_below(&d, 10))]
                                                : (uint8_t)dice_below(&d, 64);
}

static void fewer_bytes_are_made_in_more_time_until_too_many_came(void **state)
{
    static uint8_t raw[65536];
    struct err e;
    struct buf fast = BUF_INIT(1 << 20), small = BUF_INIT(1 << 20);
    (void)state;
    patch_like(raw, sizeof raw);
    for (int i = 0; i < ENGINES; i++) {
        fast.len = small.len = 0;
        assert_ok(codec_deflate(codecs[i], raw, sizeof raw, &fast, &e), &e);
        assert_ok(codec_deflate_small(codecs[i], raw, sizeof raw, &small, &e), &e);
        assert_true(small.len < fast.len);
    }
    /* far more than come in while the loop runs */
    for (size_t n = 0; n < 40u * CODEC_SMALL_BYTES && small.len != fast.len; n += sizeof raw) {
        small.len = 0;
        assert_ok(codec_deflate_small(codecs[CODEC_ZLIB], raw, sizeof raw, &small, &e), &e);
    }
    assert_int_equal(small.len, fast.len);
    buf_release(&fast);
    buf_release(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(what_one_engine_deflated_every_engine_inflates),
        UNIT(the_stream_is_plain_zlib),
        UNIT(fewer_bytes_are_made_in_more_time_until_too_many_came),
        UNIT(a_stream_of_another_size_is_corrupt_and_the_codec_goes_on),
        UNIT(a_damaged_stream_is_corrupt_or_gives_the_same_bytes),
        UNIT(a_ceiling_of_the_output_is_an_error),
        UNIT(each_allocation_of_a_codec_fails_once),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
