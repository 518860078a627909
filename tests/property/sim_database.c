/* property/sim_database.c - the database of an application: pages, a real WAL, and what SQLite does with both. */
#include "sim.h"

#include "base/endian.h"
#include "base/hash.h"
#include "base/page.h"

#include <stdlib.h>
#include <string.h>

enum { MAGIC_NATIVE = 0x377f0682, COUNTER_AT = 24, PAGES_AT = 28, VALID_FOR_AT = 92, BODY_AT = 100 };

struct truth *truths;
size_t truth_count;

/* ---- times */

/* The kernel's clock moves in steps, and is the clock of the machine. Any program can set an mtime. */
static void set_times(struct files *f, bool sets_mtime_back)
{
    f->ctime_ns = world_clock_ms(f->host) / TICK_MS * TICK_MS * 1000000;
    if (!sets_mtime_back)
        f->mtime_ns = true_ms * 1000000 + dice_below(&luck, 1000000);
}

/* ---- truth */

static size_t add_truth(const struct truth *t)
{
    static size_t cap;
    if (truth_count + 2 > cap) {
        cap = cap ? 2 * cap : 256;
        truths = realloc(truths, cap * sizeof *truths);
        if (!truths)
            abort();
    }
    truths[++truth_count] = *t;
    return truth_count;
}

size_t truth_find(uint64_t page1_hash)
{
    for (size_t i = truth_count; i > 0; i--)
        if (truths[i].page1_hash == page1_hash)
            return i;
    return 0;
}

bool truth_equal(const struct truth *t, const uint8_t *bytes, uint32_t pages, uint32_t page_size)
{
    if (t->pages != pages || t->page_size != page_size)
        return false;
    for (uint32_t pgno = 1; pgno <= pages; pgno++) {
        size_t at = (size_t)(pgno - 1) * page_size;
        if (!t->wild[pgno] && pgno != lock_byte_page(page_size) && memcmp(t->bytes + at, bytes + at, page_size) != 0)
            return false;
    }
    return true;
}

/* ---- reading */

static size_t frame_bytes(const struct files *f)
{
    return WAL_FRAME_HEADER_BYTES + f->page_size;
}

static uint32_t latest_frame(const struct files *f, uint32_t pgno)
{
    for (uint32_t frame = f->index.mx_frame; frame > 0; frame--)
        if (get_be32(f->wal + wal_frame_offset(frame, f->page_size)) == pgno)
            return frame;
    return 0;
}

void sim_files_read(const struct files *f, uint32_t pgno, uint8_t *out)
{
    uint32_t frame = latest_frame(f, pgno);
    if (frame)
        memcpy(out, f->wal + wal_frame_offset(frame, f->page_size) + WAL_FRAME_HEADER_BYTES, f->page_size);
    else if (pgno <= f->file_pages)
        memcpy(out, f->file + (size_t)(pgno - 1) * f->page_size, f->page_size);
    else
        memset(out, 0, f->page_size);
}

static uint32_t size_in_pages(const struct files *f)
{
    return f->index.mx_frame ? f->index.db_pages : f->file_pages;
}

/* ---- the log */

static void put_bytes(struct files *f, size_t at, const void *bytes, size_t n)
{
    if (at + n > f->wal_cap) {
        f->wal_cap = 2 * (at + n);
        f->wal = realloc(f->wal, f->wal_cap);
        if (!f->wal)
            abort();
    }
    memcpy(f->wal + at, bytes, n);
    if (at + n > f->wal_len)
        f->wal_len = at + n;
    if (at < f->wal_synced)
        f->wal_synced = at;
}

static void begin_generation(struct files *f)
{
    uint8_t h[WAL_HEADER_BYTES];
    if (f->wal_len == 0) /* a new WAL file: its first writer makes random salts */
        dice_fill(&luck, f->index.salt, WAL_SALT_BYTES);
    put_be32(h, MAGIC_NATIVE | (WAL_NATIVE_ORDER == WAL_BIG_ENDIAN));
    put_be32(h + 4, WAL_FORMAT_VERSION);
    put_be32(h + 8, f->page_size);
    put_be32(h + 12, f->checkpoint_seq);
    memcpy(h + 16, f->index.salt, WAL_SALT_BYTES);
    struct wal_sum sum = wal_sum_add((struct wal_sum){0, 0}, WAL_NATIVE_ORDER, h, 24);
    put_be32(h + 24, sum.s0);
    put_be32(h + 28, sum.s1);
    put_bytes(f, 0, h, sizeof h);
    f->index.frame_sum = sum;
    f->generation_begun = true;
}

static void put_frame(struct files *f, uint32_t number, uint32_t pgno, uint32_t db_pages, const uint8_t *page,
                      struct wal_sum *sum)
{
    uint8_t h[WAL_FRAME_HEADER_BYTES];
    put_be32(h, pgno);
    put_be32(h + 4, db_pages);
    memcpy(h + 8, f->index.salt, WAL_SALT_BYTES);
    *sum = wal_sum_add(*sum, WAL_NATIVE_ORDER, h, 8);
    *sum = wal_sum_add(*sum, WAL_NATIVE_ORDER, page, f->page_size);
    put_be32(h + 16, sum->s0);
    put_be32(h + 20, sum->s1);
    size_t at = (size_t)wal_frame_offset(number, f->page_size);
    put_bytes(f, at, h, sizeof h);
    put_bytes(f, at + sizeof h, page, f->page_size);
}

/* ---- commits */

static void change_page(uint8_t *page, uint32_t pgno, uint32_t page_size)
{
    static const unsigned counts[] = {1, 1, 2, 5, 200};
    uint32_t first = pgno == 1 ? BODY_AT : 0;
    if (pgno != 1 && chance(4)) {
        memset(page, 0, page_size);
        return;
    }
    for (unsigned n = counts[dice_below(&luck, 5)]; n > 0; n--)
        page[first + dice_below(&luck, page_size - first)] =
            (uint8_t)(dice_below(&luck, 4) ? dice_below(&luck, 256) : 0);
}

/* Every third page is an interior page of a b-tree, as far as its header tells. */
static void stamp_interior(uint8_t *page, uint32_t pgno, uint32_t page_size)
{
    static const uint8_t zeros[PAGE_BYTES_MAX];
    if (pgno == 1 || pgno % 3 != 0 || memcmp(page, zeros, page_size) == 0)
        return;
    page[0] = 5;
    put_be16(page + 3, 1);
    put_be16(page + 5, (uint16_t)(page_size - 8));
    put_be32(page + 8, pgno + 1);
    put_be16(page + 12, (uint16_t)(page_size - 8));
    put_be32(page + page_size - 8, pgno + 2);
}

/* A database without tables, in WAL mode: SQLite can read its pages. The schema cookie belongs to the state. */
static void stamp_page1(uint8_t *page1, uint32_t page_size, uint32_t pages, size_t serial)
{
    static const uint8_t fixed[] = {2, 2, 0, 64, 32, 32}, empty[] = {13, 0, 0, 0, 0};
    memset(page1, 0, BODY_AT);
    memcpy(page1, "SQLite format 3", 16);
    put_be16(page1 + 16, (uint16_t)page_size);
    memcpy(page1 + 18, fixed, sizeof fixed);
    put_be32(page1 + COOKIE_AT, (uint32_t)serial / 3);
    put_be32(page1 + 44, 4);
    put_be32(page1 + 56, 1);
    memcpy(page1 + BODY_AT, empty, sizeof empty);
    put_be16(page1 + BODY_AT + 5, (uint16_t)page_size);
    page1[BODY_AT + 7] = 0;
    put_be32(page1 + COUNTER_AT, (uint32_t)serial);
    put_be32(page1 + VALID_FOR_AT, (uint32_t)serial);
    put_be32(page1 + PAGES_AT, pages);
    put_be64(page1 + SERIAL_AT, serial);
}

/* A transaction: the pages of the state after it, and which of them it writes. */
struct transaction {
    struct truth after;
    bool writes[PAGES_MAX + 1];
};

static void compose(const struct sim_database *db, struct transaction *t)
{
    const struct files *f = db->files;
    const struct truth *before = &truths[db->serial];
    uint32_t old = size_in_pages(f), pages = old;
    unsigned roll = dice_below(&luck, 100);
    if (roll < 15 && old > 2)
        pages = dice_between(&luck, 1, old);
    else if (roll < 40 || old < 2)
        pages = old + dice_between(&luck, 1, 4) < PAGES_MAX ? old + dice_between(&luck, 1, 4) : PAGES_MAX;
    if (pages > PAGES_MAX)
        pages = PAGES_MAX;
    *t = (struct transaction){
        .after = {.host = db->host, .before = db->serial, .pages = pages, .page_size = f->page_size}};
    t->after.bytes = calloc(PAGES_MAX, f->page_size);
    if (!t->after.bytes)
        abort();
    bool large = chance(4);
    for (uint32_t pgno = 1; pgno <= pages; pgno++) {
        uint8_t *page = t->after.bytes + (size_t)(pgno - 1) * f->page_size;
        sim_files_read(f, pgno, page);
        t->after.wild[pgno] = pgno <= old ? before->wild[pgno] : true;
        if (pgno == lock_byte_page(f->page_size))
            continue;
        if (pgno == 1 || large || chance(pgno > old ? 60 : 20)) {
            if (t->after.wild[pgno])
                memset(page, 0, f->page_size);
            change_page(page, pgno, f->page_size);
            stamp_interior(page, pgno, f->page_size);
            t->writes[pgno] = true;
            t->after.wild[pgno] = false;
        }
    }
    stamp_page1(t->after.bytes, f->page_size, pages, truth_count + 1);
    t->after.page1_hash = page_hash(1, t->after.bytes, f->page_size);
}

/* Appends the frames of a transaction. Returns the header that a commit would write. `commits` false: the frames were
 * spilled to the WAL, and none of them ends a commit. */
static struct wal_index_header write_frames(struct files *f, const struct transaction *t, bool commits)
{
    if (f->index.mx_frame == 0 && !f->generation_begun)
        begin_generation(f);
    struct wal_index_header h = f->index;
    uint32_t last = 0;
    for (uint32_t pgno = 1; pgno <= t->after.pages; pgno++)
        if (t->writes[pgno])
            last = pgno;
    for (uint32_t pgno = 1; pgno <= last; pgno++) {
        const uint8_t *page = t->after.bytes + (size_t)(pgno - 1) * f->page_size;
        uint8_t earlier[PAGE_BYTES_MAX];
        if (!t->writes[pgno])
            continue;
        if (chance(5)) { /* the page was spilled, and then changed again */
            memcpy(earlier, page, f->page_size);
            earlier[BODY_AT] ^= 0x55;
            put_frame(f, ++h.mx_frame, pgno, 0, earlier, &h.frame_sum);
        }
        put_frame(f, ++h.mx_frame, pgno, commits && pgno == last ? t->after.pages : 0, page, &h.frame_sum);
    }
    h.db_pages = t->after.pages;
    h.page_size = f->page_size;
    h.change++;
    return h;
}

void sim_database_commit(struct sim_database *db)
{
    struct transaction t;
    compose(db, &t);
    db->files->index = write_frames(db->files, &t, true);
    db->serial = add_truth(&t.after);
}

void sim_database_torn(struct sim_database *db)
{
    sim_database_commit(db);
    db->files->torn = true;
}

void sim_database_roll_back(struct sim_database *db)
{
    struct transaction t;
    compose(db, &t);
    write_frames(db->files, &t, false);
    free(t.after.bytes);
}

/* ---- checkpoints */

void sim_database_backfill(struct files *f)
{
    uint8_t page[PAGE_BYTES_MAX];
    f->wal_synced = f->wal_len;
    if (f->index.mx_frame == 0 || f->backfilled == f->index.mx_frame)
        return;
    for (uint32_t pgno = 1; pgno <= f->index.db_pages; pgno++)
        if (latest_frame(f, pgno)) {
            sim_files_read(f, pgno, page);
            memcpy(f->file + (size_t)(pgno - 1) * f->page_size, page, f->page_size);
        }
    size_t end = (size_t)f->index.db_pages * f->page_size;
    memset(f->file + end, 0, sizeof f->file - end); /* the file was truncated, or grew by a hole */
    f->file_pages = f->index.db_pages;
    f->backfilled = f->index.mx_frame;
    set_times(f, chance(10));
}

/* Lets the next writer begin at frame 1. The new salts are in the wal-index at once, and in the WAL with its first
 * frame. */
void sim_database_reset(struct files *f, bool truncate)
{
    sim_database_backfill(f);
    put_be32(f->index.salt, get_be32(f->index.salt) + 1);
    dice_fill(&luck, f->index.salt + 4, 4);
    f->index.mx_frame = 0;
    f->index.frame_sum = (struct wal_sum){0, 0};
    f->index.change++;
    f->backfilled = 0;
    f->checkpoint_seq++;
    f->generation_begun = false;
    if (truncate)
        f->wal_len = f->wal_synced = 0;
}

bool sim_database_checkpoint_guarded(struct sim_database *db)
{
    struct files *f = db->files;
    if (f->torn || f->backfilled != f->index.mx_frame)
        return false;
    sim_database_reset(f, chance(90)); /* otherwise it dies before it truncates the file */
    return true;
}

/* ---- death */

static size_t serial_of(const struct files *f)
{
    uint8_t page1[PAGE_BYTES_MAX];
    sim_files_read(f, 1, page1);
    return (size_t)get_be64(page1 + SERIAL_AT);
}

void sim_database_recover(struct sim_database *db)
{
    struct files *f = db->files;
    struct wal_header header;
    struct wal_reader reader;
    struct err e;
    struct wal_index_header h = {.change = f->index.change + 1};
    f->torn = false;
    f->backfilled = 0;
    f->generation_begun = false;
    if (f->wal_len >= WAL_HEADER_BYTES && wal_header_decode(f->wal, &header, &e) == 0 &&
        header.page_size == f->page_size) {
        struct wal_frame frame;
        f->generation_begun = true;
        f->checkpoint_seq = header.checkpoint_seq;
        memcpy(h.salt, header.salt, WAL_SALT_BYTES);
        h.frame_sum = header.sum;
        wal_reader_start(&reader, &header);
        while (wal_frame_offset(reader.pos.frame + 2, f->page_size) <= f->wal_len &&
               wal_reader_next(&reader, f->wal + wal_frame_offset(reader.pos.frame + 1, f->page_size), &frame, &e) == 0)
            if (frame.db_pages) {
                h.mx_frame = frame.number;
                h.db_pages = frame.db_pages;
                h.page_size = f->page_size;
                h.frame_sum = reader.pos.sum;
            }
    }
    f->index = h;
    db->serial = serial_of(f);
}

void sim_database_power_cut(struct sim_database *db)
{
    struct files *f = db->files;
    if (f->wal_len > f->wal_synced) {
        size_t lost = dice_below(&luck, (uint32_t)(f->wal_len - f->wal_synced) + 1);
        if (chance(70))
            lost = lost / frame_bytes(f) * frame_bytes(f);
        f->wal_len -= lost;
        if (chance(20) && f->wal_len > f->wal_synced + 8)
            f->wal[f->wal_synced + dice_below(&luck, (uint32_t)(f->wal_len - f->wal_synced))] ^=
                0x10; /* a frame is damaged */
    }
    sim_database_recover(db);
    f->wal_synced = f->wal_len;
}

/* ---- other databases */

static struct files *new_files(unsigned host, uint32_t page_size)
{
    static uint64_t inode = 1000;
    struct files *f = calloc(1, sizeof *f);
    if (!f)
        abort();
    f->host = host;
    f->inode = ++inode;
    f->page_size = page_size;
    set_times(f, false);
    return f;
}

void sim_database_replace(struct sim_database *db, unsigned host, const uint8_t *bytes, uint32_t pages,
                          uint32_t page_size, size_t serial)
{
    struct files *f = new_files(host, page_size); /* processes that have the old files open keep them */
    memcpy(f->file, bytes, (size_t)pages * page_size);
    f->file_pages = pages;
    *db = (struct sim_database){.host = host, .files = f, .serial = serial};
}

static size_t make_alone(unsigned host, const struct truth *from, uint32_t page_size)
{
    struct truth t = {.host = host, .alone = true, .pages = from ? from->pages : 1, .page_size = page_size};
    t.bytes = calloc(PAGES_MAX, page_size);
    if (!t.bytes)
        abort();
    dice_fill(&luck, t.bytes, (size_t)t.pages * page_size);
    stamp_page1(t.bytes, page_size, t.pages, truth_count + 1);
    t.page1_hash = page_hash(1, t.bytes, page_size);
    return add_truth(&t);
}

void sim_database_create(struct sim_database *db, unsigned host, uint32_t page_size)
{
    size_t serial = make_alone(host, NULL, page_size);
    sim_database_replace(db, host, truths[serial].bytes, 1, page_size, serial);
}

void sim_database_rebuild(struct sim_database *db, uint32_t page_size)
{
    size_t serial = make_alone(db->host, &truths[db->serial], page_size);
    uint64_t inode = db->files->inode;
    sim_database_replace(db, db->host, truths[serial].bytes, truths[serial].pages, page_size, serial);
    db->files->inode = inode;
}
