/* wal/: any bytes as a WAL, frame after frame, and as a wal-index header: as they are, and with the right checksums. */
#include "fuzz.h"

#include "base/endian.h"
#include "base/page.h"
#include "dice.h"
#include "wal/reader.h"

const struct fuzz_bounds fuzz_bounds = {.inputs = 100000, .megasteps = 1, .megabytes = 4};

enum { FRAMES = 4 };

static struct wal_sum frame_sum(struct wal_sum before, enum wal_order order, const uint8_t *frame, uint32_t page_size)
{
    return wal_sum_add(wal_sum_add(before, order, frame, 8), order, frame + WAL_FRAME_HEADER_BYTES, page_size);
}

/* Fits the checksums to the bytes. */
static void seal(uint8_t *log, size_t size)
{
    enum wal_order order = log[3] & 1 ? WAL_BIG_ENDIAN : WAL_LITTLE_ENDIAN;
    uint32_t page_size = get_be32(log + 8);
    struct wal_sum sum = wal_sum_add((struct wal_sum){0, 0}, order, log, 24);
    put_be32(log + 24, sum.s0);
    put_be32(log + 28, sum.s1);
    if (!page_size_valid(page_size))
        return;
    for (uint32_t i = 1; wal_frame_offset(i + 1, page_size) <= size; i++) {
        uint8_t *frame = log + wal_frame_offset(i, page_size);
        sum = frame_sum(sum, order, frame, page_size);
        memcpy(frame + 8, log + 16, WAL_SALT_BYTES);
        put_be32(frame + 16, sum.s0);
        put_be32(frame + 20, sum.s1);
    }
}

size_t fuzz_seed(unsigned index, uint8_t *out, size_t cap)
{
    static const uint32_t sizes[] = {512, 1024, 8192};
    struct dice d = dice_of(index);
    if (index >= 2 * COUNT_OF(sizes))
        return 0;
    uint32_t page_size = sizes[index / 2];
    size_t n = wal_frame_offset(FRAMES + 1, page_size);
    if (n > cap)
        return 0;
    dice_fill(&d, out, n);
    put_be32(out, 0x377f0682 | (index & 1));
    put_be32(out + 4, WAL_FORMAT_VERSION);
    put_be32(out + 8, page_size);
    for (uint32_t i = 1; i <= FRAMES; i++) {
        put_be32(out + wal_frame_offset(i, page_size), i);
        put_be32(out + wal_frame_offset(i, page_size) + 4, i % 2 ? 0 : i);
    }
    seal(out, n);
    return n;
}

static void read_log(const uint8_t *log, size_t size)
{
    struct wal_header h;
    struct wal_reader r;
    struct wal_frame f;
    struct err e;
    if (size < WAL_HEADER_BYTES || wal_header_decode(log, &h, &e))
        return;
    FUZZ_CHECK(page_size_valid(h.page_size));
    wal_reader_start(&r, &h);
    while (wal_frame_offset(r.pos.frame + 2, h.page_size) <= size) {
        struct wal_reader before = r;
        const uint8_t *frame = log + wal_frame_offset(r.pos.frame + 1, h.page_size);
        if (wal_reader_next(&r, frame, &f, &e)) {
            FUZZ_CHECK(e.code == ERR_CORRUPT && wal_pos_equal(&r.pos, &before.pos));
            return;
        }
        FUZZ_CHECK(f.number == before.pos.frame + 1 && f.pgno > 0 && f.page == frame + WAL_FRAME_HEADER_BYTES);
        FUZZ_CHECK(wal_reader_resume(&before, &h, &r.pos, &e) == 0 && wal_pos_equal(&before.pos, &r.pos));
    }
}

static void read_index(const uint8_t *bytes, size_t size)
{
    uint8_t copies[2 * WAL_INDEX_HEADER_BYTES];
    struct wal_index_header h;
    if (size < sizeof copies)
        return;
    memcpy(copies, bytes, sizeof copies);
    wal_index_header_decode(copies, copies + WAL_INDEX_HEADER_BYTES, &h);
    copies[12] |= 1;
    struct wal_sum sum = wal_sum_add((struct wal_sum){0, 0}, WAL_NATIVE_ORDER, copies, 40);
    memcpy(copies + 40, &sum, sizeof sum);
    memcpy(copies + WAL_INDEX_HEADER_BYTES, copies, WAL_INDEX_HEADER_BYTES);
    FUZZ_CHECK(wal_index_header_decode(copies, copies + WAL_INDEX_HEADER_BYTES, &h));
    struct wal_pos pos = wal_index_pos(&h);
    FUZZ_CHECK(pos.frame == h.mx_frame && wal_pos_equal(&pos, &pos));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *sealed = malloc(size ? size : 1);
    FUZZ_CHECK(sealed);
    memcpy(sealed, data, size);
    read_log(data, size);
    read_index(data, size);
    if (size >= WAL_HEADER_BYTES) {
        seal(sealed, size);
        read_log(sealed, size);
    }
    free(sealed);
    return 0;
}
