/* The note of a copy: what is saved is read again, and a damaged note is never half believed. */
#include "follow/note.h"

#include "failing_alloc.h"

static struct note sample(uint64_t txid)
{
    struct note n = {
        .phase = NOTE_FOLLOWING,
        .mode = 0640,
        .now = {.txid = txid, .time_ms = 5, .checksum = 77, .pages = 9, .page_size = 65536, .cookie_shift = 3},
        .stamp = {.inode = 4, .size = 8192, .mtime_ns = -7},
        .copied = true,
        .boot = 99,
        .newest = txid + 1,
        .steps = 12,
        .error = "an error",
        .url = "s3://bucket/app"};
    memset(n.database.bytes, 0xab, sizeof n.database.bytes);
    memset(n.now.pos.salt, 0xcd, sizeof n.now.pos.salt);
    memset(n.now.head.bytes, 0xef, sizeof n.now.head.bytes);
    memcpy(n.now.page1.bytes, "123456", sizeof n.now.page1.bytes);
    n.now.pos.frame = 1000000;
    n.now.pos.sum = (struct wal_sum){1, UINT32_MAX};
    n.next = n.now;
    n.next.txid = txid + 1;
    return n;
}

static void assert_is(const struct note *n, uint64_t txid)
{
    const struct note wanted = sample(txid);
    assert_int_equal(n->phase, wanted.phase);
    assert_int_equal(n->mode, wanted.mode);
    assert_int_equal(n->newest, wanted.newest);
    assert_true(n->copied);
    assert_int_equal(n->boot, wanted.boot);
    assert_string_equal(n->error, wanted.error);
    assert_string_equal(n->url, wanted.url);
    assert_memory_equal(&n->database, &wanted.database, sizeof n->database);
    assert_memory_equal(&n->stamp, &wanted.stamp, sizeof n->stamp);
    const struct note_point *a[] = {&n->now, &n->next}, *b[] = {&wanted.now, &wanted.next};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(a[i]->txid, b[i]->txid);
        assert_int_equal(a[i]->checksum, b[i]->checksum);
        assert_int_equal(a[i]->pages, b[i]->pages);
        assert_int_equal(a[i]->page_size, b[i]->page_size);
        assert_int_equal(a[i]->cookie_shift, b[i]->cookie_shift);
        assert_true(wal_pos_equal(&a[i]->pos, &b[i]->pos));
        assert_true(digest_equal(&a[i]->head, &b[i]->head));
        assert_memory_equal(&a[i]->page1, &b[i]->page1, sizeof a[i]->page1);
    }
}

/* Saves notes of txid 1 to `last`, beside a database. */
static const char *save(uint64_t last)
{
    const char *path = temp_path("copy.db");
    struct note_file f;
    struct note n;
    struct err e;
    enum note_found found;
    assert_int_equal(file_write(path, "x", 1), 0);
    assert_ok(note_open(&f, path, &n, &found, &e), &e);
    assert_int_equal(found, NOTE_NONE);
    for (uint64_t txid = 1; txid <= last; txid++) {
        n = sample(txid);
        assert_ok(note_save(&f, &n, &e), &e);
    }
    note_close(&f);
    return path;
}

static void the_newest_note_is_read_again(void **state)
{
    (void)state;
    for (uint64_t last = 1; last < 5; last++) {
        struct note_file f;
        struct note n;
        struct err e;
        enum note_found found;
        const char *path = save(last);
        assert_ok(note_open(&f, path, &n, &found, &e), &e);
        assert_int_equal(found, NOTE_WHOLE);
        assert_is(&n, last);
        assert_ok(note_remove(&f, &e), &e);
        assert_int_equal(access(temp_path("copy.db-seawall-follow"), F_OK), -1);
    }
}

static void a_note_that_was_torn_leaves_the_one_before(void **state)
{
    (void)state;
    for (size_t at = 0; at < 4096; at += 509) {
        struct note_file f;
        struct note n;
        struct err e;
        enum note_found found;
        size_t size = 0;
        const char *path = save(6), *note = temp_path("copy.db-seawall-follow");
        uint8_t *bytes = file_bytes(note, &size); /* serial 6 is in the first slot */
        assert_int_equal(size, 8192);
        bytes[at] ^= 1;
        assert_int_equal(file_write(note, bytes, size), 0);
        free(bytes);
        assert_ok(note_open(&f, path, &n, &found, &e), &e);
        assert_int_equal(found, NOTE_WHOLE);
        assert_is(&n, 5);
        assert_ok(note_remove(&f, &e), &e);
    }
}

static void a_note_without_a_whole_slot_is_broken(void **state)
{
    struct note_file f;
    struct note n;
    struct err e;
    enum note_found found;
    bool running = true;
    size_t size = 0;
    (void)state;
    const char *path = save(6), *note = temp_path("copy.db-seawall-follow");
    uint8_t *bytes = file_bytes(note, &size);
    bytes[100] ^= 1;
    bytes[4096 + 100] ^= 1;
    assert_int_equal(file_write(note, bytes, size), 0);
    free(bytes);
    assert_error(note_peek(path, &n, &running, &e), &e, ERR_CORRUPT);
    assert_ok(note_open(&f, path, &n, &found, &e), &e);
    assert_int_equal(found, NOTE_BROKEN);
    note_close(&f);
}

/* A power cut can tear all that was written since the file was synced. */
static void a_note_that_was_synced_stays_when_both_slots_are_torn(void **state)
{
    (void)state;
    for (uint64_t synced = 1; synced < 4; synced++) {
        struct note_file f;
        struct note n;
        struct err e;
        enum note_found found;
        size_t size = 0;
        const char *path = save(synced), *note = temp_path("copy.db-seawall-follow");
        assert_ok(note_open(&f, path, &n, &found, &e), &e);
        assert_ok(note_sync(&f, &e), &e);
        n = sample(9);
        for (int i = 0; i < 2; i++)
            assert_ok(note_save(&f, &n, &e), &e);
        note_close(&f);
        uint8_t *bytes = file_bytes(note, &size);
        bytes[100] ^= 1;
        bytes[4096 + 100] ^= 1;
        assert_int_equal(file_write(note, bytes, size), 0);
        free(bytes);
        assert_ok(note_open(&f, path, &n, &found, &e), &e);
        assert_int_equal(found, NOTE_WHOLE);
        assert_is(&n, synced);
        n = sample(10);
        assert_ok(note_save(&f, &n, &e), &e);
        note_close(&f);
        assert_ok(note_open(&f, path, &n, &found, &e), &e);
        assert_is(&n, 10);
        assert_ok(note_remove(&f, &e), &e);
    }
}

static void a_file_of_another_program_is_not_a_note(void **state)
{
    struct note_file f;
    struct note n;
    struct err e;
    enum note_found found;
    (void)state;
    assert_int_equal(file_write(temp_path("copy.db"), "x", 1), 0);
    assert_int_equal(file_write(temp_path("copy.db-seawall-follow"), "a diary", 7), 0);
    assert_error(note_open(&f, temp_path("copy.db"), &n, &found, &e), &e, ERR_CONFIG);
}

static void one_follower_has_the_note_and_others_can_look(void **state)
{
    struct note_file f, g;
    struct note n;
    struct err e;
    enum note_found found;
    bool running = false;
    (void)state;
    const char *path = save(3);
    assert_ok(note_peek(path, &n, &running, &e), &e);
    assert_false(running);
    assert_ok(note_open(&f, path, &n, &found, &e), &e);
    assert_error(note_open(&g, path, &n, &found, &e), &e, ERR_BUSY);
    assert_contains(e.msg, "HINT");
    assert_ok(note_peek(path, &n, &running, &e), &e);
    assert_true(running);
    assert_is(&n, 3);
    note_close(&f);
    assert_error(note_peek(temp_path("other.db"), &n, &running, &e), &e, ERR_NOTFOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_IN_TEMP(the_newest_note_is_read_again),
        UNIT_IN_TEMP(a_note_that_was_torn_leaves_the_one_before),
        UNIT_IN_TEMP(a_note_without_a_whole_slot_is_broken),
        UNIT_IN_TEMP(a_note_that_was_synced_stays_when_both_slots_are_torn),
        UNIT_IN_TEMP(a_file_of_another_program_is_not_a_note),
        UNIT_IN_TEMP(one_follower_has_the_note_and_others_can_look),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
