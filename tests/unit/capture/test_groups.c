/* capture/capture.h: commits that are captured in groups are the same database, with fewer restore points. */
#include "capture/capture.h"

#include "format/codec.h"
#include "format/patch.h"
#include "sql.h"

#define PAGE 1024u
#define PAGES_MAX 4096u

static struct watch watch;
static struct state state_file;
static struct capture capture;
static sqlite3 *app;
static uint8_t (*model)[PAGE]; /* the database as the versions make it; page n at n - 1 */
static uint32_t model_pages;
static unsigned commits; /* of the application, since the capture began */

static struct wal_index_header header(void)
{
    struct wal_index_header h;
    struct err e;
    assert_ok(watch_hand_over(&watch, &e), &e);
    assert_true(watch_header(&watch, &h));
    return h;
}

static void commit(const char *text)
{
    sql(app, text);
    commits++;
}

static int begin(void **state)
{
    struct err e;
    bool switched = false;
    enum state_found found;
    temp_setup(state);
    commits = 0;
    assert_int_equal(seawall_vfs_register(0), SQLITE_OK);
    app = sql_open(temp_path("app.db"), NULL);
    sql(app,
        "PRAGMA page_size=1024; PRAGMA auto_vacuum=incremental; PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0;"
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a); CREATE INDEX i ON t(a);"
        "INSERT INTO t(a) SELECT randomblob(200) FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
        "WHERE i < 300) SELECT i FROM n)");
    assert_ok(state_open(&state_file, temp_path("app.db"), &found, &e), &e);
    assert_ok(watch_open(&watch, temp_path("app.db"), WATCH_REQUIRE_WAL, &switched, &e), &e);
    capture_init(&capture, &watch, &state_file);
    const struct wal_index_header h = header();
    struct resync_result result;
    assert_ok(capture_resync(&capture, &h, &(struct resync_request){.lost = true}, &result, &e), &e);
    model = calloc(PAGES_MAX, PAGE);
    assert_non_null(model);
    model_pages = state_file.map.pages;
    assert_ok(capture_read_pages(&capture, 1, model_pages, model[0], &e), &e);
    return 0;
}

static int end(void **state)
{
    free(model);
    capture_release(&capture);
    watch_close(&watch);
    state_close(&state_file);
    sqlite3_close(app);
    return temp_teardown(state);
}

static void apply(const struct batch *b, const struct captured *v)
{
    assert_in_range(v->version.pgno, 1, PAGES_MAX);
    uint8_t *page = model[v->version.pgno - 1];
    if (v->version.kind == VERSION_ZERO)
        memset(page, 0, PAGE);
    else if (v->version.kind == VERSION_IMAGE)
        memcpy(page, b->payload.data + v->at, PAGE);
    else
        patch_apply(v->version.mask, b->payload.data + v->at, PAGE, page);
    assert_int_equal(v->version.hash, v->version.kind == VERSION_ZERO ? 0 : page_hash(v->version.pgno, page, PAGE));
}

/* After each record the model has the size and the checksum of the record; so each restore point is whole. */
static void follow(const struct batch *b)
{
    size_t at = 0;
    for (size_t r = 0; r < b->record_count; r++) {
        const struct commit_record *record = &b->records[r];
        uint64_t checksum = 0;
        for (; at < b->version_count && b->versions[at].version.txid == record->txid; at++) {
            if (b->versions[at].dead)
                continue;
            assert_in_range(b->versions[at].version.pgno, 1, record->pages);
            apply(b, &b->versions[at]);
        }
        for (uint32_t n = record->pages; n < model_pages; n++)
            memset(model[n], 0, PAGE);
        model_pages = record->pages;
        for (uint32_t n = 1; n <= model_pages; n++)
            checksum ^= page_hash(n, model[n - 1], PAGE);
        assert_int_equal(checksum, record->checksum);
    }
    assert_int_equal(at, b->version_count);
}

/* Captures all that the WAL has, in groups. Returns how many restore points that made. */
static unsigned captured(void)
{
    const struct wal_index_header h = header();
    const uint64_t before = capture.txid;
    enum capture_end how = CAPTURE_MORE;
    struct err e;
    while (how == CAPTURE_MORE) {
        struct batch *b = batch_new(capture.txid + 1, PAGE);
        assert_ok(capture_pass(&capture, &h, b, CAPTURE_GROUPS, &how, &e), &e);
        follow(b);
        batch_free(b);
    }
    assert_int_equal(how, CAPTURE_DONE);
    assert_true(capture_is_current(&capture, &h));
    return (unsigned)(capture.txid - before);
}

static void assert_model_is_database(void)
{
    struct err e;
    uint8_t page[PAGE];
    assert_int_equal(model_pages, sql_number(app, "PRAGMA page_count"));
    for (uint32_t n = 1; n <= model_pages; n++) {
        assert_ok(capture_read_pages(&capture, n, 1, page, &e), &e);
        assert_memory_equal(page, model[n - 1], PAGE);
    }
}

static void many_small_commits_are_few_restore_points(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 500; i++)
        commit("INSERT INTO t(a) VALUES(randomblob(50))");
    const unsigned points = captured();
    assert_in_range(points, 2, 50);
    assert_int_equal(capture.commits, commits);
    assert_model_is_database();
}

static void one_commit_stays_one(void **state)
{
    (void)state;
    commit("UPDATE t SET a=1 WHERE id=7");
    assert_int_equal(captured(), 1);
    assert_int_equal(capture.commits, 1);
    assert_model_is_database();
}

/* It is longer than a group may be, and does not end where the group before it began. */
static void a_long_commit_between_short_ones_is_captured_alone(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 5; i++)
        commit("INSERT INTO t(a) VALUES(randomblob(50))");
    commit("INSERT INTO t(a) SELECT randomblob(700) FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM "
           "n WHERE i < 500) SELECT i FROM n)");
    for (unsigned i = 0; i < 5; i++)
        commit("DELETE FROM t WHERE id=(SELECT max(id) FROM t)");
    assert_int_equal(captured(), 3);
    assert_int_equal(capture.commits, commits);
    assert_model_is_database();
}

static void a_database_that_shrinks_and_grows_within_a_group_has_the_pages_of_its_end(void **state)
{
    (void)state;
    commit("INSERT INTO t(a) SELECT randomblob(700) FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM "
           "n WHERE i < 20) SELECT i FROM n)");
    commit("DELETE FROM t WHERE id > 300");
    commit("PRAGMA incremental_vacuum");
    const unsigned points = captured();
    assert_true(points < commits);
    assert_int_equal(capture.commits, commits);
    commit("INSERT INTO t(a) SELECT randomblob(700) FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM "
           "n WHERE i < 20) SELECT i FROM n)");
    commit("DELETE FROM t WHERE id > 310");
    commit("PRAGMA incremental_vacuum");
    commit("INSERT INTO t(a) SELECT randomblob(700) FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM "
           "n WHERE i < 3) SELECT i FROM n)");
    (void)captured();
    assert_int_equal(capture.commits, commits);
    assert_int_equal(model_pages, sql_number(app, "PRAGMA page_count"));
}

static void groups_and_single_commits_follow_each_other(void **state)
{
    enum capture_end how;
    struct err e;
    (void)state;
    for (unsigned round = 0; round < 20; round++) {
        for (unsigned i = 0; i < 10; i++)
            commit("UPDATE t SET a=randomblob(60) WHERE id=1 + abs(random() % 300)");
        assert_true(captured() < 10);
        for (unsigned i = 0; i < 10; i++)
            commit("UPDATE t SET a=randomblob(60) WHERE id=1 + abs(random() % 300)");
        const struct wal_index_header h = header();
        const uint64_t before = capture.txid;
        struct batch *b = batch_new(before + 1, PAGE);
        assert_ok(capture_pass(&capture, &h, b, CAPTURE_EACH, &how, &e), &e);
        assert_int_equal(capture.txid, before + 10);
        follow(b);
        batch_free(b);
    }
    assert_int_equal(capture.commits, commits);
    assert_model_is_database();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(many_small_commits_are_few_restore_points, begin, end),
        cmocka_unit_test_setup_teardown(one_commit_stays_one, begin, end),
        cmocka_unit_test_setup_teardown(a_long_commit_between_short_ones_is_captured_alone, begin, end),
        cmocka_unit_test_setup_teardown(a_database_that_shrinks_and_grows_within_a_group_has_the_pages_of_its_end,
                                        begin, end),
        cmocka_unit_test_setup_teardown(groups_and_single_commits_follow_each_other, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
