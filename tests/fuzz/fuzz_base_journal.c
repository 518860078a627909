/* ship/base_journal.h: any bytes as the journal are read as chunks that cover the first pages, or as no base.
 *
 * An input: the header (92 bytes) and records of chunks (68 bytes each), without their checksums. These are fitted,
 * unless bit 0 of the first byte is set. */
#include "fuzz_files.h"
#include "fuzz_input.h"

#include "base/endian.h"
#include "dice.h"
#include "format/names.h"
#include "ship/base_journal.h"

const struct fuzz_bounds fuzz_bounds = {.inputs = 40000, .megasteps = 1, .megabytes = 4};

enum { HEAD = 8 + DIGEST_BYTES + UID_BYTES + UID_BYTES + 8 + 4 + 4 + 8, RECORD = 28 + DIGEST_BYTES };

static struct identity_replica replica;

size_t fuzz_seed(unsigned index, uint8_t *out, size_t cap)
{
    struct dice d = dice_of(index);
    uint32_t next = 1;
    if (index >= 10 || cap < 1 + HEAD + 20 * RECORD)
        return 0;
    memset(out, 0, 1 + HEAD + 20 * RECORD);
    uint8_t *b = out + 1;
    memcpy(b, "SWBASE1\n", 8);
    dice_fill(&d, b + 8 + DIGEST_BYTES + UID_BYTES, UID_BYTES);
    put_be64(b + HEAD - 24, 7);
    put_be32(b + HEAD - 16, 4096);
    put_be32(b + HEAD - 12, 100);
    put_be64(b + HEAD - 8, 9);
    for (unsigned i = 0; i < 2 * index; i++) {
        uint8_t *r = b + HEAD + i * RECORD;
        put_be32(r, i ^ (index % 3 == 2));
        put_be32(r + 4, next);
        next += dice_below(&d, 10) + 1;
        put_be32(r + 8, next - 1);
        put_be64(r + 12, 8);
        put_be64(r + 20, 1000);
    }
    return 1 + HEAD + 2 * index * RECORD;
}

static size_t with_sums(const uint8_t *in, size_t size, bool fitted, uint8_t *out)
{
    size_t n = 0, step = HEAD;
    for (; size >= step; in += step, size -= step, step = RECORD) {
        memcpy(out + n, in, step);
        put_be64(out + n + step, hash64(in, step) ^ !fitted);
        n += step + 8;
    }
    memcpy(out + n, in, size); /* a record that is cut off */
    return n + size;
}

static void check(const struct copy *c)
{
    uint32_t next = 1;
    if (c->terms.kind == COPY_NONE)
        return;
    FUZZ_CHECK(c->objects.count == c->objects.resumed && c->objects.put == c->objects.count);
    for (size_t i = 0; i < c->objects.count; i++) {
        const struct listed *l = &c->objects.list[i];
        struct name name = name_parse(l->name);
        FUZZ_CHECK(l->first_page == next && l->last_page >= next && name.kind == NAME_CHUNK && name.first_page == next);
        FUZZ_CHECK(l->last_page < UINT32_MAX);
        next = l->last_page + 1;
    }
    FUZZ_CHECK(c->cursor.next_page == next && c->cursor.read_all == (next > c->terms.end_page));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t file[2 * FUZZ_INPUT_MAX];
    struct slice in = {data, size};
    const char *path = fuzz_path("app.db-seawall-base-0");
    bool fitted = !(slice_byte(&in) & 1);
    fuzz_write(path, file, with_sums(in.bytes, in.size, fitted, file));
    struct copy c = base_journal_load(path, &replica);
    FUZZ_CHECK(fitted || c.terms.kind == COPY_NONE);
    check(&c);
    copy_release(&c);
    return 0;
}
