/* format/codec.h: zlib streams that inflate to exactly what was said, or not at all. */
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

static void what_was_deflated_inflates_again(void **state)
{
    static uint8_t raw[SIZE_MAX_TRIED], back[SIZE_MAX_TRIED];
    struct err e;
    struct dice d = dice_of(6);
    struct codec *c = codec_new();
    struct buf out = BUF_INIT(16 << 20);
    (void)state;
    for (int round = 0; round < 60; round++) {
        size_t n = random_bytes_for(&d, raw), before = out.len; /* appended to what is there */
        if (before > 8 << 20)
            before = out.len = 0;
        assert_ok(codec_deflate(c, raw, n, &out, &e), &e);
        assert_ok(codec_inflate(c, out.data + before, out.len - before, back, n, &e), &e);
        assert_memory_equal(back, raw, n);
    }
    buf_release(&out);
    codec_free(c);
    codec_free(NULL);
}

static void the_stream_is_plain_zlib(void **state)
{
    struct err e;
    struct codec *c = codec_new();
    struct buf out = BUF_INIT(1000);
    uint8_t back[16];
    uLongf n = sizeof back;
    (void)state;
    assert_ok(codec_deflate(c, "seawall seawall", 15, &out, &e), &e);
    assert_int_equal(uncompress(back, &n, out.data, out.len), Z_OK);
    assert_int_equal(n, 15);
    assert_memory_equal(back, "seawall seawall", 15);
    buf_release(&out);
    codec_free(c);
}

static void a_stream_of_another_size_is_corrupt_and_the_codec_goes_on(void **state)
{
    static uint8_t raw[5000], back[5010];
    struct err e;
    struct dice d = dice_of(7);
    struct codec *c = codec_new();
    struct buf out = BUF_INIT(100000);
    (void)state;
    dice_fill(&d, raw, sizeof raw);
    assert_ok(codec_deflate(c, raw, sizeof raw, &out, &e), &e);
    assert_ok(buf_append(&out, "x", 1, &e), &e);
    size_t n = out.len - 1;
    assert_error(codec_inflate(c, out.data, n, back, sizeof raw - 1, &e), &e, ERR_CORRUPT);
    assert_error(codec_inflate(c, out.data, n, back, sizeof raw + 1, &e), &e, ERR_CORRUPT);
    assert_error(codec_inflate(c, out.data, n, back, 0, &e), &e, ERR_CORRUPT);
    assert_error(codec_inflate(c, out.data, n + 1, back, sizeof raw, &e), &e, ERR_CORRUPT);
    for (size_t cut = 0; cut < n; cut += 97)
        assert_error(codec_inflate(c, out.data, cut, back, sizeof raw, &e), &e, ERR_CORRUPT);
    assert_error(codec_inflate(c, raw, sizeof raw, back, sizeof raw, &e), &e, ERR_CORRUPT);
    assert_ok(codec_inflate(c, out.data, n, back, sizeof raw, &e), &e);
    assert_memory_equal(back, raw, sizeof raw);
    buf_release(&out);
    codec_free(c);
}

static void a_ceiling_of_the_output_is_an_error(void **state)
{
    struct err e;
    struct codec *c = codec_new();
    struct buf out = BUF_INIT(10);
    (void)state;
    assert_error(codec_deflate(c, "0123456789", 10, &out, &e), &e, ERR_LIMIT);
    assert_int_equal(out.len, 0);
    buf_release(&out);
    codec_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(what_was_deflated_inflates_again),
        UNIT(the_stream_is_plain_zlib),
        UNIT(a_stream_of_another_size_is_corrupt_and_the_codec_goes_on),
        UNIT(a_ceiling_of_the_output_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
