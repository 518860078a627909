/* reader/reader.h: readers in several threads see whole states while objects come; a forked child opens its own. */
#include "unit.h"

#include "base/clock.h"
#include "reader/blocks.h"
#include "reader/feed.h"
#include "reader/reader.h"
#include "replica.h"

#include <pthread.h>

enum { THREADS = 8, BEFORE = 4, COMMITS = 36 };

static struct replica r;
static struct store *store;
static struct codec *codec;
static char *url;

/* A replica in a folder, with the first BEFORE commits of COMMITS. */
static int setup(void **state)
{
    struct err e;
    if (temp_setup(state))
        return -1;
    url = strdup(temp_path("replica"));
    codec = codec_new();
    if (!url || !codec || store_open(url, STORE_WRITE, &store, &e))
        return -1;
    replica_init(&r, store, codec, 7);
    replica_commits(&r, COMMITS, 512);
    replica_put_full(&r, 1, BEFORE, SEGMENT_FROM_EMPTY);
    return 0;
}

static int teardown(void **state)
{
    replica_release(&r);
    store_close(store);
    codec_free(codec);
    free(url);
    return temp_teardown(state);
}

static struct reader *opened(int64_t follow_ms)
{
    const struct reader_options options = {.url = url, .follow_ms = follow_ms};
    struct reader *reader = NULL;
    struct err e;
    assert_ok(reader_open(&options, &reader, &e), &e);
    return reader;
}

/* The txid whose state the reader shows, page by page. 0: it shows none. */
static uint64_t state_of(struct reader *reader, struct err *e)
{
    const struct commit_record now = *reader_record(reader);
    const struct model_state *m = &r.model.at[now.txid];
    uint8_t page[PAGE_SIZE_MAX];
    if (now.pages != m->record.pages || now.checksum != m->record.checksum)
        return 0;
    for (uint32_t pgno = 1; pgno <= now.pages; pgno++) {
        if (reader_read(reader, (uint64_t)(pgno - 1) * 512, page, 512, e))
            return 0;
        if (memcmp(page, model_bytes(m, pgno), 512) != 0 || reader_record(reader)->txid != now.txid)
            return 0;
    }
    return now.txid;
}

/* What a thread found. */
struct follower {
    pthread_t thread;
    uint64_t last;
    bool wrong;
};

static void *follow(void *context)
{
    struct follower *f = context;
    const struct reader_options options = {.url = url, .follow_ms = 1};
    struct reader *reader = NULL;
    struct err e;
    if (reader_open(&options, &reader, &e)) {
        f->wrong = true;
        return NULL;
    }
    while (!f->wrong && f->last < COMMITS) {
        bool there = false;
        if (reader_wait(reader, f->last + 1, 20000, &there, &e) || !there || reader_begin(reader, &e)) {
            f->wrong = true;
            break;
        }
        const uint64_t txid = state_of(reader, &e);
        f->wrong = txid <= f->last || reader_known_ms(reader) < 0;
        f->last = txid;
    }
    reader_close(reader);
    return NULL;
}

static void threads_see_whole_states_in_order_while_objects_come(void **state)
{
    static struct follower followers[THREADS];
    (void)state;
    blocks_set_limit(20000); /* so that blocks leave the memory too */
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&followers[i].thread, NULL, follow, &followers[i]), 0);
    for (uint64_t t = BEFORE + 1; t <= COMMITS; t++) {
        replica_put_full(&r, t, t, 0);
        usleep(3000);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(followers[i].thread, NULL);
        assert_false(followers[i].wrong);
        assert_int_equal(followers[i].last, COMMITS);
    }
    blocks_set_limit(BLOCKS_BYTES_MAX);
}

static void a_reader_without_follow_stays(void **state)
{
    struct err e;
    bool there = true;
    (void)state;
    struct reader *stays = opened(0), *follows = opened(1);
    replica_put_full(&r, BEFORE + 1, COMMITS, 0);
    assert_ok(reader_wait(follows, COMMITS, 5000, &there, &e), &e);
    assert_true(there);
    assert_int_equal(state_of(follows, &e), BEFORE); /* its transaction has not ended */
    assert_ok(reader_begin(follows, &e), &e);
    assert_int_equal(state_of(follows, &e), COMMITS);
    assert_ok(reader_begin(stays, &e), &e);
    assert_int_equal(state_of(stays, &e), BEFORE);
    assert_error(reader_wait(stays, COMMITS, 10, &there, &e), &e, ERR_CONFIG);
    assert_true(reader_known_ms(stays) == -1 && reader_known_ms(follows) >= 0);
    assert_ok(reader_wait(follows, COMMITS + 1, 20, &there, &e), &e);
    assert_false(there);
    reader_close(stays);
    reader_close(follows);
}

/* Another reader of the process finds something newer. That does not make the older state the newest one. */
static void the_age_of_a_state_is_its_own(void **state)
{
    struct err e;
    (void)state;
    struct reader *holds = opened(1), *goes_on = opened(1);
    assert_ok(reader_begin(holds, &e), &e);
    clock_sleep_us(30000);
    replica_put_full(&r, BEFORE + 1, COMMITS, 0);
    assert_ok(reader_begin(goes_on, &e), &e);
    assert_int_equal(reader_record(goes_on)->txid, COMMITS);
    assert_true(reader_known_ms(holds) >= 29);
    reader_close(holds);
    reader_close(goes_on);
}

/* What a listing shows is taken one by one. The next one is missing, because a pack has it, but that was not all. */
static void objects_behind_a_pack_are_not_missed(void **state)
{
    struct err e;
    (void)state;
    struct reader *first = opened(1);
    replica_put_full(&r, BEFORE + 1, BEFORE + 1, 0);
    replica_put_pack(&r, BEFORE + 2, COMMITS - 1);
    replica_put_full(&r, COMMITS, COMMITS, 0);
    struct reader *reader = opened(1);
    assert_int_equal(state_of(reader, &e), COMMITS);
    reader_close(first);
    reader_close(reader);
}

/* The pages of the newest object come with a base, later. No object of level 0 shows when. */
static void a_base_that_is_complete_gives_a_newer_state(void **state)
{
    struct err e;
    (void)state;
    replica_put_anchor(&r, BEFORE + 1, COMMITS - 1, SEGMENT_FROM_EMPTY);
    struct reader *first = opened(1);
    assert_int_equal(state_of(first, &e), BEFORE);
    replica_put_base(&r, COMMITS - 1, COMMITS - 1);
    struct reader *reader = opened(1);
    assert_int_equal(state_of(reader, &e), COMMITS - 1);
    reader_close(first);
    reader_close(reader);
}

/* Its objects are replaced by one that has the same state at its end. */
static void a_state_is_read_from_other_objects_when_its_own_are_gone(void **state)
{
    struct err e;
    (void)state;
    replica_put_full(&r, BEFORE + 1, 20, 0);
    struct reader *reader = opened(0);
    replica_put_last(&r, 1, 1, 20, SEGMENT_FROM_EMPTY);
    replica_put_full(&r, 21, 22, 0);
    blocks_set_limit(0);
    replica_remove(&r, &r.placed[0]);
    replica_remove(&r, &r.placed[1]);
    assert_int_equal(state_of(reader, &e), 20);
    replica_remove(&r, &r.placed[2]);
    e.msg[0] = 0;
    assert_int_equal(state_of(reader, &e), 0);
    assert_contains(e.msg, "txid 20");
    blocks_set_limit(BLOCKS_BYTES_MAX);
    reader_close(reader);
}

static void parts_of_pages_are_read(void **state)
{
    uint8_t bytes[3000];
    struct err e;
    (void)state;
    struct reader *reader = opened(0);
    const struct model_state *m = &r.model.at[BEFORE];
    const size_t size = m->record.pages * 512u;
    for (size_t at = 0; at < size; at += 61) {
        const size_t n = size - at < sizeof bytes ? size - at : sizeof bytes;
        assert_ok(reader_read(reader, at, bytes, n, &e), &e);
        assert_memory_equal(bytes, m->bytes + at, n);
    }
    reader_close(reader);
}

static void a_child_opens_its_own_reader(void **state)
{
    int status = 0;
    struct err e;
    (void)state;
    struct reader *parent = opened(1);
    assert_int_equal(state_of(parent, &e), BEFORE);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const struct reader_options options = {.url = url};
        struct reader *own = NULL;
        bool refused = reader_begin(parent, &e) != 0 && state_of(parent, &e) == 0 && e.code == ERR_IO;
        bool ok = reader_open(&options, &own, &e) == 0 && state_of(own, &e) == BEFORE;
        reader_close(own);
        reader_close(parent);
        _exit(refused && ok ? 0 : 1);
    }
    assert_true(waitpid(child, &status, 0) == child && WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(state_of(parent, &e), BEFORE);
    reader_close(parent);
}

/* A commit is seen sooner by the time that a look takes; readers that wait for a slow one do not all look again. */
static void the_interval_counts_from_the_begin_of_a_look_that_was_fast(void **state)
{
    (void)state;
    assert_int_equal(feed_interval_from_ms(1000, 1025, 100), 1000);
    assert_int_equal(feed_interval_from_ms(1000, 1050, 100), 1000);
    assert_int_equal(feed_interval_from_ms(1000, 1051, 100), 1001);
    assert_int_equal(feed_interval_from_ms(1000, 9000, 100), 8950);
    assert_int_equal(feed_interval_from_ms(1000, 1025, 0), 1025);
    assert_int_equal(feed_interval_from_ms(1000, 1025, FEED_SURELY), 1025);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(threads_see_whole_states_in_order_while_objects_come, setup, teardown),
        cmocka_unit_test_setup_teardown(a_reader_without_follow_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(the_age_of_a_state_is_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(objects_behind_a_pack_are_not_missed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_base_that_is_complete_gives_a_newer_state, setup, teardown),
        cmocka_unit_test_setup_teardown(a_state_is_read_from_other_objects_when_its_own_are_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(parts_of_pages_are_read, setup, teardown),
        cmocka_unit_test_setup_teardown(a_child_opens_its_own_reader, setup, teardown),
        cmocka_unit_test(the_interval_counts_from_the_begin_of_a_look_that_was_fast),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
