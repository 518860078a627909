/* restore/journal.h and undo.h: any bytes as an undo file are read to their end, or are an error. Some undo files are
 * carried out on a database: afterwards it is as it was before, or as the undo file says.
 *
 * The first byte: bit 0: checksums are fitted to the bytes; bit 1: the undo is carried out. */
#include "fuzz_files.h"
#include "fuzz_input.h"

#include "base/endian.h"
#include "base/hash.h"
#include "base/page.h"
#include "base/sqlite_file.h"
#include "dice.h"
#include "restore/inplace.h"
#include "restore/undo.h"

#include <sqlite3.h>

const struct fuzz_bounds fuzz_bounds = {.inputs = 40000, .megasteps = 8, .megabytes = 64};

enum { FITTED = 1, CARRIED_OUT = 2, PAGE_BYTES = 512, PAGES = 4, CHECKSUM_STEP = 200, MANY_PAGES = 10000 };

static uint8_t database[16 * PAGE_BYTES];
static size_t database_size;

static void make_database(void)
{
    const char *path = fuzz_path("made.db");
    sqlite3 *db = NULL;
    FUZZ_CHECK(sqlite3_open(path, &db) == SQLITE_OK);
    FUZZ_CHECK(sqlite3_exec(db,
                            "PRAGMA page_size=512; CREATE TABLE t(a, b); INSERT INTO t VALUES(1, zeroblob(1200));"
                            "PRAGMA journal_mode=wal",
                            NULL, NULL, NULL) == SQLITE_OK);
    sqlite3_close(db);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, database, sizeof database) : -1;
    FUZZ_CHECK(n == PAGES * PAGE_BYTES + 0 || n > 0);
    close(fd);
    unlink(path);
    database_size = (size_t)n;
}

static uint64_t checksum_of(const uint8_t *bytes, size_t size)
{
    uint64_t sum = 0;
    for (size_t at = 0; at + PAGE_BYTES <= size; at += PAGE_BYTES)
        sum ^= page_hash((uint32_t)(at / PAGE_BYTES + 1), bytes + at, PAGE_BYTES);
    return sum;
}

/* Fits the checksums and the note of a journal, as far as the bytes look like a journal. */
static void fit(uint8_t *b, size_t size)
{
    static const uint8_t magic[8] = {0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7};
    if (size < JOURNAL_HEADER_BYTES + JOURNAL_NOTE_BYTES)
        return;
    memcpy(b, magic, sizeof magic);
    uint32_t page_size = get_be32(b + 24), pages = get_be32(b + 16);
    uint64_t records = 0;
    if (!page_size_valid(page_size))
        return;
    size_t count = (size - JOURNAL_HEADER_BYTES - JOURNAL_NOTE_BYTES) / (page_size + 8);
    put_be32(b + 8, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        uint8_t *record = b + JOURNAL_HEADER_BYTES + i * (page_size + 8), *page = record + 4;
        uint32_t sum = get_be32(b + 12);
        for (uint32_t at = page_size - CHECKSUM_STEP; at > 0 && at < page_size; at -= CHECKSUM_STEP)
            sum += page[at];
        put_be32(page + page_size, sum);
        records ^= page_hash(get_be32(record), page, page_size);
    }
    uint8_t *note = b + size - JOURNAL_NOTE_BYTES;
    memcpy(note, "SWLUNDO1", 8);
    put_be32(note + 60, pages);
    put_be64(note + 88, records);
    put_be64(note + 112, hash64(note, 112));
}

size_t fuzz_seed(unsigned index, uint8_t *out, size_t cap)
{
    struct dice d = dice_of(index);
    uint8_t *b = out + 1;
    size_t records = index % 4, size = JOURNAL_HEADER_BYTES + records * (PAGE_BYTES + 8) + JOURNAL_NOTE_BYTES;
    if (index >= 12 || size >= cap)
        return 0;
    if (database_size == 0)
        make_database();
    memset(out, 0, size + 1);
    out[0] = (uint8_t)(FITTED | (index % 3 ? CARRIED_OUT : 0));
    put_be32(b + 16, (uint32_t)(database_size / PAGE_BYTES));
    put_be32(b + 20, JOURNAL_HEADER_BYTES);
    put_be32(b + 24, PAGE_BYTES);
    for (size_t i = 0; i < records; i++) {
        uint8_t *record = b + JOURNAL_HEADER_BYTES + i * (PAGE_BYTES + 8);
        put_be32(record, (uint32_t)i + 2);
        dice_fill(&d, record + 4, PAGE_BYTES);
    }
    uint8_t *note = b + size - JOURNAL_NOTE_BYTES;
    uint64_t before = checksum_of(database, database_size);
    put_be64(note + 16, before);
    for (size_t i = 0; i < records; i++) {
        uint32_t pgno = (uint32_t)i + 2;
        if (pgno <= database_size / PAGE_BYTES)
            before ^= page_hash(pgno, database + (pgno - 1) * PAGE_BYTES, PAGE_BYTES);
        before ^= page_hash(pgno, b + JOURNAL_HEADER_BYTES + i * (PAGE_BYTES + 8) + 4, PAGE_BYTES);
    }
    put_be64(note + 8, before);
    put_be32(note + 56, (uint32_t)(database_size / PAGE_BYTES));
    fit(b, size);
    return size + 1;
}

static void read_all(const char *path)
{
    static uint8_t page[PAGE_SIZE_MAX];
    struct journal_reader j;
    struct err e = {.code = ERR_NONE};
    bool is_journal = false;
    uint32_t pgno = 1, records = 0;
    if (journal_open(&j, path, &is_journal, &e)) {
        FUZZ_CHECK(e.code == ERR_CORRUPT);
        return;
    }
    while (is_journal && pgno > 0) {
        if (journal_next(&j, &pgno, page, &e)) {
            FUZZ_CHECK(e.code == ERR_CORRUPT);
            break;
        }
        FUZZ_CHECK(pgno <= j.pages && ++records <= j.count + 1);
    }
    if (is_journal)
        journal_close(&j);
}

static void carry_out(const char *path)
{
    static uint8_t after[sizeof database];
    struct undo_result result;
    struct err e = {.code = ERR_NONE};
    fuzz_write(path, database, database_size);
    int rc = undo_run(&(struct undo_options){.path = path}, &result, &e);
    if (rc == 0)
        return;
    FUZZ_CHECK(e.code != ERR_CORRUPT && e.msg[0]);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    FUZZ_CHECK(fd >= 0 && read(fd, after, sizeof after) == (ssize_t)database_size &&
               memcmp(after, database, database_size) == 0);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = {data, size};
    uint8_t how = slice_byte(&in), *bytes = malloc(in.size + 1);
    const char *undo = fuzz_path("app.db-seawall-undo");
    struct sqlite_file header;
    FUZZ_CHECK(bytes);
    if (database_size == 0)
        make_database();
    if (in.size > 0)
        memcpy(bytes, in.bytes, in.size);
    if (in.size >= SQLITE_FILE_HEADER_BYTES && sqlite_file_decode(bytes, &header))
        FUZZ_CHECK(page_size_valid(header.page_size));
    if (how & FITTED)
        fit(bytes, in.size);
    fuzz_write(undo, bytes, in.size);
    read_all(undo);
    if (how & CARRIED_OUT &&
        (in.size < 20 || get_be32(bytes + 16) < MANY_PAGES)) /* the time grows with the pages that the journal claims */
        carry_out(fuzz_path("app.db"));
    fuzz_empty_folder();
    free(bytes);
    return 0;
}
