/* wal/header.h, checksum.h, reader.h: WALs that SQLite wrote, and damaged ones. Results are compared with those of
 * SQLite itself. */
#include "sql.h"

#include "base/endian.h"
#include "base/page.h"
#include "wal/reader.h"

#include <ctype.h>

struct log {
    uint8_t *bytes; /* of the -wal; owned */
    size_t size;
    uint8_t *index; /* of the -shm; owned; may be NULL */
    struct wal_header header;
    uint32_t frames; /* how many the file has room for */
};

static void log_release(struct log *l)
{
    free(l->bytes);
    free(l->index);
}

static void log_decode(struct log *l)
{
    struct err e;
    assert_true(l->bytes && l->size >= WAL_HEADER_BYTES);
    assert_ok(wal_header_decode(l->bytes, &l->header, &e), &e);
    l->frames = (uint32_t)((l->size - WAL_HEADER_BYTES) / (WAL_FRAME_HEADER_BYTES + l->header.page_size));
}

/* The WAL of a database that is open in this process. */
static struct log log_of(const char *db_path)
{
    struct log l = {0};
    char path[1100];
    size_t n = 0;
    snprintf(path, sizeof path, "%s-wal", db_path);
    l.bytes = file_bytes_apart(path, &l.size);
    snprintf(path, sizeof path, "%s-shm", db_path);
    l.index = file_bytes_apart(path, &n);
    assert_true(l.index && n >= WAL_INDEX_MIN_BYTES);
    log_decode(&l);
    return l;
}

static struct log log_from_vector(const char *name)
{
    struct log l = {0};
    char path[256];
    size_t n = 0;
    snprintf(path, sizeof path, "tests/vectors/%s", name);
    char *text = (char *)file_bytes(path, &n);
    if (!text)
        fail_msg("can't read '%s': unit tests run in the top folder of the source", path);
    l.bytes = malloc(n);
    assert_non_null(l.bytes);
    for (const char *at = text; *at;) {
        unsigned value = 0;
        if (*at == '#')
            at += strcspn(at, "\n");
        else if (isxdigit((unsigned char)*at) && sscanf(at, "%2x", &value) == 1) {
            l.bytes[l.size++] = (uint8_t)value;
            at += 2;
        } else
            at++;
    }
    free(text);
    log_decode(&l);
    return l;
}

static uint8_t *frame_at(const struct log *l, uint32_t number)
{
    return l->bytes + wal_frame_offset(number, l->header.page_size);
}

/* Reads frames until one is refused, at most `limit`; returns how many were proven. */
static uint32_t read_frames(const struct log *l, struct wal_reader *r, uint32_t limit)
{
    struct wal_frame f;
    struct err e = {.code = ERR_NONE};
    uint32_t n = 0;
    while (n < limit && r->pos.frame < l->frames && wal_reader_next(r, frame_at(l, r->pos.frame + 1), &f, &e) == 0)
        n++;
    return n;
}

static struct wal_index_header index_of(const struct log *l)
{
    struct wal_index_header h;
    assert_true(wal_index_header_decode(l->index, l->index + WAL_INDEX_HEADER_BYTES, &h));
    return h;
}

static sqlite3 *wal_database(const char *path, uint32_t page_size)
{
    char text[64];
    sqlite3 *db = sql_open(path, NULL);
    snprintf(text, sizeof text, "PRAGMA page_size=%u", page_size);
    sql(db, text);
    sql(db, "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; PRAGMA synchronous=OFF; CREATE TABLE t(x)");
    return db;
}

#define SOME_ROWS                                                                                                      \
    "SELECT randomblob(300) FROM (WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 200) "      \
    "SELECT i FROM c)"

/* ---- what SQLite writes */

static void a_log_of_sqlite_is_proven_frame_by_frame(void **state)
{
    static const uint32_t sizes[] = {512, 1024, 4096, 65536};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        const char *path = temp_path("a.db");
        struct wal_reader r;
        struct wal_frame f;
        struct err e;
        uint32_t commits = 0, pages = 0;
        sqlite3 *db = wal_database(path, sizes[i]);
        for (int k = 0; k < 20; k++)
            sql(db, "INSERT INTO t VALUES(randomblob(700))");
        struct log l = log_of(path);
        struct wal_index_header h = index_of(&l);
        assert_int_equal(l.header.page_size, sizes[i]);
        assert_int_equal(h.page_size, sizes[i]);
        assert_int_equal(l.header.order, WAL_NATIVE_ORDER);
        wal_reader_start(&r, &l.header);
        while (r.pos.frame < h.mx_frame) {
            assert_ok(wal_reader_next(&r, frame_at(&l, r.pos.frame + 1), &f, &e), &e);
            assert_int_equal(f.number, r.pos.frame);
            assert_true(f.page == frame_at(&l, f.number) + WAL_FRAME_HEADER_BYTES);
            commits += f.db_pages > 0;
            pages = f.db_pages ? f.db_pages : pages;
        }
        struct wal_pos pos = wal_index_pos(&h);
        assert_true(wal_pos_equal(&r.pos, &pos));
        assert_int_equal(commits, 21);
        assert_int_equal(pages, h.db_pages);
        assert_int_equal(pages, sql_number(db, "PRAGMA page_count"));
        log_release(&l);
        sqlite3_close(db);
        unlink(path);
    }
}

/* The frames, written over the database file, give the same file as a checkpoint of SQLite. */
static void the_frames_are_what_a_checkpoint_copies(void **state)
{
    const char *path = temp_path("a.db");
    size_t size = 0, after_size = 0;
    struct wal_reader r;
    struct wal_frame f;
    struct err e;
    (void)state;
    sqlite3 *db = wal_database(path, 1024);
    sql(db, "INSERT INTO t " SOME_ROWS);
    sql(db, "UPDATE t SET x = randomblob(200) WHERE rowid % 3 = 0; CREATE INDEX i ON t(x); DELETE FROM t WHERE rowid % "
            "5 = 0");
    struct log l = log_of(path);
    uint8_t *before = file_bytes_apart(path, &size);
    uint8_t *pages = calloc(1, 4 << 20);
    assert_true(before && pages);
    memcpy(pages, before, size);
    wal_reader_start(&r, &l.header);
    while (r.pos.frame < l.frames) {
        assert_ok(wal_reader_next(&r, frame_at(&l, r.pos.frame + 1), &f, &e), &e);
        memcpy(pages + (size_t)(f.pgno - 1) * 1024, f.page, 1024);
    }
    sql(db, "PRAGMA wal_checkpoint(TRUNCATE)");
    uint8_t *after = file_bytes_apart(path, &after_size);
    assert_non_null(after);
    assert_int_equal(after_size, (size_t)f.db_pages * 1024);
    assert_memory_equal(after, pages, after_size);
    free(before);
    free(after);
    free(pages);
    log_release(&l);
    sqlite3_close(db);
}

static void the_vectors_of_both_byte_orders_read_alike(void **state)
{
    static const uint8_t salt[WAL_SALT_BYTES] = {0xa5, 0x57, 0xed, 0x9d, 0xd4, 0x7a, 0x8f, 0x4e};
    static const struct wal_sum sums[2][3] = {
        {{0x7a1962aa, 0xe0001e16}, {0x15055de7, 0x2f7a0ead}, {0x53822e7a, 0x61d2119e}},
        {{0x2ba0935a, 0xd0871676}, {0x5cc599bc, 0xe2f847ee}, {0x4253dbeb, 0x76da49e5}}};
    (void)state;
    for (int big = 0; big < 2; big++) {
        struct log l = log_from_vector(big ? "wal-big-endian.hex" : "wal-little-endian.hex");
        struct wal_reader r;
        struct wal_frame f;
        struct err e;
        assert_int_equal(l.header.order, big ? WAL_BIG_ENDIAN : WAL_LITTLE_ENDIAN);
        assert_int_equal(l.header.page_size, 512);
        assert_int_equal(l.header.checkpoint_seq, 0);
        assert_memory_equal(l.header.salt, salt, WAL_SALT_BYTES);
        assert_int_equal(l.frames, 3);
        wal_reader_start(&r, &l.header);
        for (uint32_t i = 0; i < 3; i++) {
            assert_ok(wal_reader_next(&r, frame_at(&l, i + 1), &f, &e), &e);
            assert_int_equal(f.pgno, i ? 2 : 1);
            assert_int_equal(f.db_pages, i ? 2 : 0);
            assert_true(wal_sum_equal(r.pos.sum, sums[big][i]));
        }
        log_release(&l);
    }
}

/* ---- the other byte order: SQLite itself shows whether the checksums are right */

/* Makes the WAL as a machine of the other byte order would write it. */
static void transcode(struct log *l)
{
    enum wal_order order = l->header.order == WAL_BIG_ENDIAN ? WAL_LITTLE_ENDIAN : WAL_BIG_ENDIAN;
    l->bytes[3] = (uint8_t)((l->bytes[3] & ~1) | (order == WAL_BIG_ENDIAN));
    struct wal_sum sum = wal_sum_add((struct wal_sum){0, 0}, order, l->bytes, 24);
    put_be32(l->bytes + 24, sum.s0);
    put_be32(l->bytes + 28, sum.s1);
    for (uint32_t i = 1; i <= l->frames; i++) {
        uint8_t *at = frame_at(l, i);
        sum = wal_sum_add(sum, order, at, 8);
        sum = wal_sum_add(sum, order, at + WAL_FRAME_HEADER_BYTES, l->header.page_size);
        put_be32(at + 16, sum.s0);
        put_be32(at + 20, sum.s1);
    }
    log_decode(l);
}

static void sqlite_and_the_reader_agree_on_logs_of_the_other_byte_order(void **state)
{
    const char *path = temp_path("a.db"), *copy = temp_path("b.db"), *copy_wal = temp_path("b.db-wal");
    (void)state;
    sqlite3 *db = wal_database(path, 512);
    for (int i = 0; i < 10; i++)
        sql(db, "INSERT INTO t VALUES(randomblob(900))");
    for (int broken = 0; broken < 2; broken++) {
        struct log l = log_of(path);
        struct wal_reader r;
        uint32_t whole = l.frames, rows = 10;
        transcode(&l);
        if (broken) { /* damages the last commit */
            frame_at(&l, l.frames)[500] ^= 1;
            whole--;
            rows--;
        }
        wal_reader_start(&r, &l.header);
        assert_int_equal(read_frames(&l, &r, UINT32_MAX), whole);
        assert_int_equal(file_copy_apart(path, copy), 0);
        assert_int_equal(file_write(copy_wal, l.bytes, l.size), 0);
        sqlite3 *other = sql_open(copy, NULL);
        assert_int_equal(sql_number(other, "SELECT count(*) FROM t"), rows);
        assert_sql_text(other, "PRAGMA integrity_check", "ok");
        sqlite3_close(other);
        log_release(&l);
    }
    sqlite3_close(db);
}

/* ---- the end of a WAL */

static void a_frame_with_stale_salts_ends_the_log(void **state)
{
    const char *path = temp_path("a.db");
    struct wal_reader r;
    struct wal_frame f;
    struct err e;
    (void)state;
    sqlite3 *db = wal_database(path, 512);
    for (int i = 0; i < 10; i++)
        sql(db, "INSERT INTO t VALUES(randomblob(900))");
    sql(db, "PRAGMA wal_checkpoint(RESTART)");
    sql(db, "INSERT INTO t VALUES(1)"); /* writes at the start of the file, over old frames */
    struct log l = log_of(path);
    struct wal_index_header h = index_of(&l);
    assert_true(h.mx_frame > 0 && h.mx_frame < l.frames);
    wal_reader_start(&r, &l.header);
    assert_int_equal(read_frames(&l, &r, UINT32_MAX), h.mx_frame);
    struct wal_pos pos = r.pos;
    assert_error(wal_reader_next(&r, frame_at(&l, h.mx_frame + 1), &f, &e), &e, ERR_CORRUPT);
    assert_contains(e.msg, "salts");
    assert_true(wal_pos_equal(&r.pos, &pos));
    log_release(&l);
    sqlite3_close(db);
}

/* A transaction that spilled its cache and rolled back leaves frames with valid checksums. Only mxFrame shows that they
 * do not count. */
static void frames_that_prove_themselves_can_lie_beyond_mx_frame(void **state)
{
    const char *path = temp_path("a.db");
    struct wal_reader r;
    (void)state;
    sqlite3 *db = wal_database(path, 512);
    sql(db, "PRAGMA cache_size=2; BEGIN; INSERT INTO t " SOME_ROWS "; ROLLBACK");
    struct log l = log_of(path);
    struct wal_index_header h = index_of(&l);
    wal_reader_start(&r, &l.header);
    assert_true(read_frames(&l, &r, UINT32_MAX) > h.mx_frame);
    log_release(&l);
    sqlite3_close(db);
}

static void any_changed_byte_ends_the_log_and_the_reader_stays(void **state)
{
    struct log l = log_from_vector("wal-little-endian.hex");
    struct wal_frame f;
    struct err e;
    (void)state;
    for (uint32_t number = 1; number <= 3; number++) {
        struct wal_reader start, r;
        wal_reader_start(&start, &l.header);
        assert_int_equal(read_frames(&l, &start, number - 1), number - 1);
        for (size_t i = 0; i < WAL_FRAME_HEADER_BYTES + 512; i++) {
            frame_at(&l, number)[i] ^= 0x40;
            r = start;
            assert_error(wal_reader_next(&r, frame_at(&l, number), &f, &e), &e, ERR_CORRUPT);
            assert_memory_equal(&r, &start, sizeof r);
            frame_at(&l, number)[i] ^= 0x40;
        }
    }
    log_release(&l);
}

static void a_frame_that_follows_another_frame_does_not_continue_the_log(void **state)
{
    struct log l = log_from_vector("wal-little-endian.hex");
    struct wal_reader r;
    struct wal_frame f;
    struct err e;
    (void)state;
    wal_reader_start(&r, &l.header);
    assert_error(wal_reader_next(&r, frame_at(&l, 2), &f, &e), &e, ERR_CORRUPT); /* skipped */
    assert_int_equal(read_frames(&l, &r, 1), 1);
    assert_error(wal_reader_next(&r, frame_at(&l, 1), &f, &e), &e, ERR_CORRUPT); /* again */
    assert_error(wal_reader_next(&r, frame_at(&l, 3), &f, &e), &e, ERR_CORRUPT);
    assert_int_equal(read_frames(&l, &r, UINT32_MAX), 2);
    log_release(&l);
}

static void a_frame_of_page_zero_is_refused_even_with_a_fitting_checksum(void **state)
{
    struct log l = log_from_vector("wal-little-endian.hex");
    struct wal_reader r;
    struct wal_frame f;
    struct err e;
    uint8_t *at = frame_at(&l, 1);
    (void)state;
    put_be32(at, 0);
    struct wal_sum sum =
        wal_sum_add(wal_sum_add(l.header.sum, l.header.order, at, 8), l.header.order, at + WAL_FRAME_HEADER_BYTES, 512);
    put_be32(at + 16, sum.s0);
    put_be32(at + 20, sum.s1);
    wal_reader_start(&r, &l.header);
    assert_error(wal_reader_next(&r, at, &f, &e), &e, ERR_CORRUPT);
    assert_int_equal(r.pos.frame, 0);
    log_release(&l);
}

static void a_reader_continues_at_the_position_of_another(void **state)
{
    struct log l = log_from_vector("wal-big-endian.hex");
    struct wal_reader r, again;
    struct wal_pos start = {{0}, 0, {0, 0}};
    struct err e;
    (void)state;
    wal_reader_start(&r, &l.header);
    for (uint32_t n = 0; n <= 3; n++) {
        assert_ok(wal_reader_resume(&again, &l.header, &r.pos, &e), &e);
        assert_int_equal(read_frames(&l, &again, UINT32_MAX), 3 - n);
        read_frames(&l, &r, 1);
    }
    memcpy(start.salt, l.header.salt, WAL_SALT_BYTES); /* at frame 0 the checksum comes from the header */
    assert_ok(wal_reader_resume(&again, &l.header, &start, &e), &e);
    assert_int_equal(read_frames(&l, &again, UINT32_MAX), 3);
    start.salt[7]++;
    assert_error(wal_reader_resume(&again, &l.header, &start, &e), &e, ERR_CORRUPT);
    log_release(&l);
}

/* After a power cut other frames can follow with the same salts. */
static void a_position_with_another_checksum_proves_nothing(void **state)
{
    struct log l = log_from_vector("wal-little-endian.hex");
    struct wal_reader r;
    struct wal_frame f;
    struct err e;
    (void)state;
    wal_reader_start(&r, &l.header);
    assert_int_equal(read_frames(&l, &r, 1), 1);
    struct wal_pos other = r.pos;
    other.sum.s1++;
    assert_false(wal_pos_equal(&r.pos, &other));
    assert_ok(wal_reader_resume(&r, &l.header, &other, &e), &e);
    assert_error(wal_reader_next(&r, frame_at(&l, 2), &f, &e), &e, ERR_CORRUPT);
    log_release(&l);
}

/* ---- headers */

static void every_byte_of_the_log_header_is_guarded(void **state)
{
    (void)state;
    for (int big = 0; big < 2; big++) {
        struct log l = log_from_vector(big ? "wal-big-endian.hex" : "wal-little-endian.hex");
        struct wal_header h;
        struct err e;
        for (size_t i = 0; i < WAL_HEADER_BYTES; i++)
            for (int bit = 0; bit < 8; bit++) {
                l.bytes[i] ^= (uint8_t)(1 << bit);
                assert_error(wal_header_decode(l.bytes, &h, &e), &e, ERR_CORRUPT);
                l.bytes[i] ^= (uint8_t)(1 << bit);
            }
        log_release(&l);
    }
}

static void a_log_header_of_an_impossible_page_size_is_refused(void **state)
{
    static const uint32_t sizes[] = {0, 1, 256, 513, 131072, UINT32_C(1) << 31};
    struct log l = log_from_vector("wal-little-endian.hex");
    struct wal_header h;
    struct err e;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        put_be32(l.bytes + 8, sizes[i]);
        struct wal_sum sum = wal_sum_add((struct wal_sum){0, 0}, WAL_LITTLE_ENDIAN, l.bytes, 24);
        put_be32(l.bytes + 24, sum.s0);
        put_be32(l.bytes + 28, sum.s1);
        assert_error(wal_header_decode(l.bytes, &h, &e), &e, ERR_CORRUPT);
        assert_contains(e.msg, "page size");
    }
    log_release(&l);
}

static void a_torn_index_header_is_never_believed(void **state)
{
    const char *path = temp_path("a.db");
    struct wal_index_header h;
    (void)state;
    sqlite3 *db = wal_database(path, 4096);
    struct log l = log_of(path);
    uint8_t *one = l.index, *two = l.index + WAL_INDEX_HEADER_BYTES;
    assert_true(wal_index_header_decode(one, two, &h));
    for (size_t i = 0; i < WAL_INDEX_HEADER_BYTES; i++) {
        one[i] ^= 0x10; /* only the first copy is new */
        assert_false(wal_index_header_decode(one, two, &h));
        two[i] ^= 0x10; /* both are, but the checksum is not */
        assert_false(wal_index_header_decode(one, two, &h));
        one[i] ^= 0x10; /* only the second */
        assert_false(wal_index_header_decode(one, two, &h));
        two[i] ^= 0x10;
    }
    log_release(&l);
    sqlite3_close(db);
}

static void an_index_header_that_is_not_initialised_says_nothing(void **state)
{
    uint8_t zeros[2 * WAL_INDEX_HEADER_BYTES] = {0};
    struct wal_index_header h;
    (void)state;
    assert_false(wal_index_header_decode(zeros, zeros + WAL_INDEX_HEADER_BYTES, &h));
}

static void an_empty_log_has_a_position_without_checksum(void **state)
{
    const char *path = temp_path("a.db");
    (void)state;
    sqlite3 *db = wal_database(path, 4096);
    struct log before = log_of(path);
    sql(db, "PRAGMA wal_checkpoint(TRUNCATE)");
    size_t n = 0;
    uint8_t *index = file_bytes_apart(temp_path("a.db-shm"), &n);
    struct wal_index_header h, old = index_of(&before);
    assert_true(index && wal_index_header_decode(index, index + WAL_INDEX_HEADER_BYTES, &h));
    struct wal_pos pos = wal_index_pos(&h), old_pos = wal_index_pos(&old);
    assert_int_equal(pos.frame, 0);
    assert_true(wal_sum_equal(pos.sum, (struct wal_sum){0, 0}));
    assert_false(wal_pos_equal(&pos, &old_pos));
    assert_int_equal(get_be32(index + WAL_INDEX_NBACKFILL), 0);
    free(index);
    log_release(&before);
    sqlite3_close(db);
}

static void offsets_of_frames_do_not_overflow(void **state)
{
    (void)state;
    assert_true(wal_frame_offset(1, 4096) == 32);
    assert_true(wal_frame_offset(2, 4096) == 32 + 24 + 4096);
    assert_true(wal_frame_offset(UINT32_MAX, 65536) == 32 + UINT64_C(4294967294) * 65560);
}

/* By the definition, one step after the other. */
static struct wal_sum sum_by_steps(struct wal_sum sum, enum wal_order order, const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i += 8) {
        bool big = order == WAL_BIG_ENDIAN;
        sum.s0 += (big ? get_be32(bytes + i) : get_le32(bytes + i)) + sum.s1;
        sum.s1 += (big ? get_be32(bytes + i + 4) : get_le32(bytes + i + 4)) + sum.s0;
    }
    return sum;
}

static void the_sum_of_any_length_is_that_of_its_steps(void **state)
{
    static uint8_t bytes[65536 + 64];
    struct dice d = dice_of(31);
    (void)state;
    dice_fill(&d, bytes, sizeof bytes);
    memset(bytes + 3000, 0xff, 3000);
    for (int round = 0; round < 3000; round++) {
        enum wal_order order = round % 4 == 0 ? WAL_BIG_ENDIAN : WAL_LITTLE_ENDIAN;
        size_t n = 8 * (size_t)dice_below(&d, round % 100 == 0 ? 8193 : 200), at = dice_below(&d, 64);
        struct wal_sum before;
        dice_fill(&d, &before, sizeof before);
        struct wal_sum sum = wal_sum_add(before, order, bytes + at, n);
        assert_true(wal_sum_equal(sum, sum_by_steps(before, order, bytes + at, n)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(the_sum_of_any_length_is_that_of_its_steps),
        UNIT_IN_TEMP(a_log_of_sqlite_is_proven_frame_by_frame),
        UNIT_IN_TEMP(the_frames_are_what_a_checkpoint_copies),
        UNIT(the_vectors_of_both_byte_orders_read_alike),
        UNIT_IN_TEMP(sqlite_and_the_reader_agree_on_logs_of_the_other_byte_order),
        UNIT_IN_TEMP(a_frame_with_stale_salts_ends_the_log),
        UNIT_IN_TEMP(frames_that_prove_themselves_can_lie_beyond_mx_frame),
        UNIT(any_changed_byte_ends_the_log_and_the_reader_stays),
        UNIT(a_frame_that_follows_another_frame_does_not_continue_the_log),
        UNIT(a_frame_of_page_zero_is_refused_even_with_a_fitting_checksum),
        UNIT(a_reader_continues_at_the_position_of_another),
        UNIT(a_position_with_another_checksum_proves_nothing),
        UNIT(every_byte_of_the_log_header_is_guarded),
        UNIT(a_log_header_of_an_impossible_page_size_is_refused),
        UNIT_IN_TEMP(a_torn_index_header_is_never_believed),
        UNIT(an_index_header_that_is_not_initialised_says_nothing),
        UNIT_IN_TEMP(an_empty_log_has_a_position_without_checksum),
        UNIT(offsets_of_frames_do_not_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
