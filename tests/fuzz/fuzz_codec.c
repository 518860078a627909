/* format/codec.h: any bytes inflate to the given size, or are an error, with each engine. Input and output lie before
 * pages that may not be touched. */
#include "fuzz.h"

#include "dice.h"
#include "format/codec.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

const struct fuzz_bounds fuzz_bounds = {.inputs = 60000, .megasteps = 1, .megabytes = 4};

enum { OUT_MAX = 65536 };

/* Memory that ends before a page that may not be touched. The engines are partly in assembly, which no sanitizer sees.
 */
static uint8_t *guarded(size_t n)
{
    static uint8_t *regions[2];
    static unsigned turn;
    size_t page = (size_t)sysconf(_SC_PAGESIZE), room = FUZZ_INPUT_MAX + OUT_MAX;
    uint8_t **region = &regions[turn++ % 2];
    if (!*region) {
        *region = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        FUZZ_CHECK(*region != MAP_FAILED && mprotect(*region + room, page, PROT_NONE) == 0);
    }
    return *region + room - n;
}

static struct codec *codec_of(enum codec_engine engine)
{
    static struct codec *codecs[2];
    if (!codecs[engine])
        codecs[engine] = codec_new_with(engine);
    FUZZ_CHECK(codecs[engine]);
    return codecs[engine];
}

/* An input: the size of the result (2 bytes), then the stream. */
size_t fuzz_seed(unsigned index, uint8_t *out, size_t cap)
{
    static const uint16_t sizes[] = {0, 1, 100, 520, 4096, 40000};
    static uint8_t raw[OUT_MAX];
    struct dice d = dice_of(index);
    struct buf b = BUF_INIT(1 << 20);
    struct err e;
    if (index >= 3 * COUNT_OF(sizes))
        return 0;
    size_t n = sizes[index / 3];
    memset(raw, 'x', n);
    if (index % 3 == 0)
        dice_fill(&d, raw, n < 2000 ? n : 2000);
    for (size_t i = 0; index % 3 == 1 && i < n; i++)
        raw[i] = (uint8_t)(i % 251 * (i / 64));
    FUZZ_CHECK(codec_deflate(codec_of(index % 2 ? CODEC_ZLIB : CODEC_FASTEST), raw, n, &b, &e) == 0);
    size_t size = b.len + 2;
    if (size <= cap) {
        out[0] = (uint8_t)(n >> 8);
        out[1] = (uint8_t)n;
        memcpy(out + 2, b.data, b.len);
    }
    buf_release(&b);
    return size <= cap ? size : 0;
}

/* Both engines give the same bytes, or an error. One may be stricter about headers than the other. */
static void inflate_it(const uint8_t *stream, size_t n, size_t raw_size)
{
    static uint8_t first[OUT_MAX];
    bool got = false;
    for (int engine = 0; engine < 2; engine++) {
        struct err e = {.code = ERR_NONE};
        uint8_t *in = guarded(n), *out = guarded(raw_size);
        if (n > 0)
            memcpy(in, stream, n);
        int rc = codec_inflate(codec_of((enum codec_engine)engine), &(struct codec_stream){in, n, raw_size}, out, &e);
        FUZZ_CHECK(rc == 0 || e.code == ERR_CORRUPT);
        if (rc == 0 && got)
            FUZZ_CHECK(memcmp(first, out, raw_size) == 0);
        if (rc == 0)
            memcpy(first, out, raw_size);
        got |= rc == 0;
    }
}

static void round_trip(const uint8_t *bytes, size_t n)
{
    for (int engine = 0; engine < 2; engine++) {
        struct buf b = BUF_INIT(1 << 20);
        struct err e;
        uint8_t *in = guarded(n);
        if (n > 0)
            memcpy(in, bytes, n);
        FUZZ_CHECK(codec_deflate(codec_of((enum codec_engine)engine), in, n, &b, &e) == 0);
        uint8_t *out = guarded(n);
        out = out == in ? guarded(n) : out;
        FUZZ_CHECK(codec_inflate(codec_of((enum codec_engine) !engine), &(struct codec_stream){b.data, b.len, n}, out,
                                 &e) == 0);
        FUZZ_CHECK(n == 0 || memcmp(out, bytes, n) == 0);
        buf_release(&b);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    inflate_it(data + 2, size - 2, (size_t)(data[0] << 8 | data[1]));
    if (size % 8 == 0)
        round_trip(data, size);
    return 0;
}
