/* reader/snapshot.h: the pages of a snapshot are those of the model, at each txid and after each object that comes. */
#include "unit.h"

#include "base/clock.h"
#include "claims.h"
#include "failing_alloc.h"
#include "reader/blocks.h"
#include "reader/interior_pages.h"
#include "reader/snapshot.h"
#include "replica_fixture.h"

#include <pthread.h>
#include <time.h>
#include <unistd.h>

#define BLOCKS_SMALL 3000 /* so little memory that blocks have to be read again and again */

static struct origin *origin;

static int setup(void **state)
{
    struct err e;
    (void)state;
    return replica_fixture(20, 12) || origin_over(store, &origin, &e) ? -1 : 0;
}

/* What a new process knows. */
static void forget_all(void)
{
    blocks_set_limit(0);
    blocks_set_limit(BLOCKS_BYTES_MAX);
    interior_forget();
}

static int teardown(void **state)
{
    origin_release(origin);
    forget_all();
    return replica_fixture_release(state);
}

static void assert_is(const struct snapshot *s, const struct model_state *m)
{
    struct read_ahead ahead = {.turn = 0};
    uint8_t page[PAGE_SIZE_MAX];
    struct err e;
    assert_true(s->record.txid == m->record.txid && s->record.checksum == m->record.checksum);
    assert_int_equal(s->record.pages, m->record.pages);
    assert_int_equal(s->page_size, m->page_size);
    for (uint32_t pgno = 1; pgno <= s->record.pages; pgno++) {
        assert_ok(snapshot_read(s, pgno, &ahead, page, &e), &e);
        assert_memory_equal(page, model_bytes(m, pgno), m->page_size);
    }
}

static int open_txid(struct origin *o, uint64_t txid, struct snapshot **ret_snapshot, struct err *e)
{
    const struct moment m = {.kind = MOMENT_TXID, .txid = txid};
    return snapshot_open(o, &m, ret_snapshot, e);
}

static void each_restore_point_of_any_replica_reads_as_the_model(void **state)
{
    static struct replica any;
    unsigned read = 0;
    (void)state;
    for (unsigned seed = 0; seed < 300; seed++) {
        struct store *s = memory_store_new();
        struct origin *o = NULL;
        struct err e;
        assert_non_null(s);
        s->slow = seed % 2;
        replica_init(&any, s, codec, seed);
        replica_random(&any);
        assert_ok(origin_over(s, &o, &e), &e);
        blocks_set_limit(seed % 3 ? BLOCKS_BYTES_MAX : BLOCKS_SMALL);
        for (uint64_t t = 1; t <= any.model.newest; t++) {
            struct snapshot *one = NULL;
            if (!replica_can_restore(&any, t))
                continue;
            if (any.model.at[t].record.pages == 0) {
                assert_error(open_txid(o, t, &one, &e), &e, ERR_NOTFOUND);
                continue;
            }
            assert_ok(open_txid(o, t, &one, &e), &e);
            assert_is(one, &any.model.at[t]);
            snapshot_release(one);
            read++;
        }
        origin_release(o);
        replica_release(&any);
        store_close(s);
    }
    assert_true(read > 1500);
}

/* Puts one commit after the other, and follows. */
static void what_comes_is_read_as_the_model_and_what_was_open_stays(void **state)
{
    struct snapshot *first = NULL, *s = NULL, *next = NULL;
    enum snapshot_age age = SNAPSHOT_FOREIGN;
    struct err e;
    (void)state;
    replica_commits(&r, 20, 512);
    replica_put_full(&r, 1, 4, SEGMENT_FROM_EMPTY);
    assert_ok(open_txid(origin, 4, &first, &e), &e);
    s = snapshot_retain(first);
    for (uint64_t t = 5; t <= 32; t += 1 + t % 3) {
        const uint64_t last = t + t % 3;
        assert_ok(snapshot_advance(s, &next, &e), &e);
        assert_null(next);
        assert_ok(snapshot_look(s, &age, &e), &e);
        assert_int_equal(age, SNAPSHOT_NEWEST);
        if (last > 32)
            break;
        replica_put_full(&r, t, last, 0);
        assert_ok(snapshot_look(s, &age, &e), &e);
        assert_int_equal(age, SNAPSHOT_OLD);
        assert_ok(snapshot_advance(s, &next, &e), &e);
        assert_non_null(next);
        snapshot_release(s);
        s = next;
        assert_is(s, &r.model.at[last]);
        assert_is(first, &r.model.at[4]);
    }
    assert_true(s->layer_count < 8); /* twice as large each, so few */
    snapshot_release(s);
    snapshot_release(first);
}

static void another_history_is_noticed(void **state)
{
    struct snapshot *s = NULL, *next = NULL;
    enum snapshot_age age = SNAPSHOT_NEWEST;
    struct err e;
    (void)state;
    replica_put_full(&r, 1, 3, SEGMENT_FROM_EMPTY);
    struct placed *head = replica_put_full(&r, 4, 5, 0);
    assert_ok(open_txid(origin, 5, &s, &e), &e);
    replica_put_full(&r, 6, 8, SEGMENT_FROM_EMPTY); /* begins a history */
    assert_error(snapshot_advance(s, &next, &e), &e, ERR_GONE);
    replica_remove(&r, head);
    assert_ok(snapshot_look(s, &age, &e), &e);
    assert_int_equal(age, SNAPSHOT_FOREIGN);
    snapshot_release(s);
}

static void a_moment_chooses_the_state(void **state)
{
    struct snapshot *s = NULL;
    struct err e;
    (void)state;
    replica_put_full(&r, 1, 7, SEGMENT_FROM_EMPTY);
    struct moment m = {.kind = MOMENT_NEWEST};
    assert_ok(snapshot_open(origin, &m, &s, &e), &e);
    assert_is(s, &r.model.at[7]);
    snapshot_release(s);
    m = (struct moment){.kind = MOMENT_TIME, .time_ms = r.model.at[3].record.time_ms};
    assert_ok(snapshot_open(origin, &m, &s, &e), &e);
    assert_true(s->record.time_ms == r.model.at[3].record.time_ms);
    snapshot_release(s);
    m = (struct moment){.kind = MOMENT_TIME, .time_ms = r.model.at[1].record.time_ms - 1};
    assert_error(snapshot_open(origin, &m, &s, &e), &e, ERR_NOTFOUND);
    assert_error(open_txid(origin, 8, &s, &e), &e, ERR_NOTFOUND);
}

static void an_object_that_is_gone_is_told_as_gone(void **state)
{
    struct read_ahead ahead = {.turn = 0};
    uint8_t page[PAGE_SIZE_MAX];
    struct snapshot *s = NULL;
    struct err e;
    (void)state;
    struct placed *only = replica_put_full(&r, 1, 7, SEGMENT_FROM_EMPTY);
    assert_ok(open_txid(origin, 7, &s, &e), &e);
    replica_remove(&r, only);
    assert_error(snapshot_read(s, 1, &ahead, page, &e), &e, ERR_GONE);
    snapshot_release(s);
}

/* Each byte of each object: the page is right, or the object is named. */
static void a_damaged_byte_never_gives_another_page(void **state)
{
    struct memory_store *m = (struct memory_store *)store;
    unsigned told = 0;
    (void)state;
    replica_put_full(&r, 1, 5, SEGMENT_FROM_EMPTY);
    replica_put_full(&r, 6, 9, 0);
    r.interior = true;
    replica_put_base(&r, 3, 5);
    for (size_t i = 0; i < m->count; i++) {
        struct memory_object *o = &m->objects[i];
        for (size_t at = 0; at < o->size; at += 1 + o->size / 150) {
            struct read_ahead ahead = {.turn = 0};
            struct snapshot *s = NULL;
            uint8_t page[PAGE_SIZE_MAX];
            struct err e;
            o->bytes[at] ^= 0x40;
            blocks_set_limit(0);
            blocks_set_limit(BLOCKS_BYTES_MAX);
            int rc = open_txid(origin, 9, &s, &e);
            for (uint32_t pgno = 1; rc == 0 && pgno <= s->record.pages; pgno++) {
                rc = snapshot_read(s, pgno, &ahead, page, &e);
                if (rc == 0)
                    assert_memory_equal(page, model_bytes(&r.model.at[9], pgno), 512);
            }
            told += rc != 0;
            if (rc != 0)
                assert_int_equal(e.code, ERR_CORRUPT);
            snapshot_release(s);
            o->bytes[at] ^= 0x40;
        }
    }
    assert_true(told > 100);
}

/* ---- patches in several objects */

static struct store_ops meeting_ops; /* those of the memory store, but its reads wait for each other, or are counted */
static pthread_mutex_t meeting_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t meeting_changed = PTHREAD_COND_INITIALIZER;
static struct {
    unsigned expected; /* reads that wait until so many have come; 0: none waits */
    unsigned come;     /* reads */
    bool missed;       /* one has waited in vain */
} meeting;

static int meeting_read(struct store *s, const char *key, uint64_t offset, void *out, size_t n, struct err *e)
{
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += 10;
    pthread_mutex_lock(&meeting_lock);
    meeting.come++;
    pthread_cond_broadcast(&meeting_changed);
    while (!meeting.missed && meeting.come < meeting.expected)
        meeting.missed = pthread_cond_timedwait(&meeting_changed, &meeting_lock, &end) != 0;
    pthread_mutex_unlock(&meeting_lock);
    return memory_store_read(s, key, offset, out, n, e);
}

/* Reads a page with nothing in memory. Returns how many reads it took. */
static unsigned reads_of(const struct snapshot *s, uint32_t pgno, bool slow, unsigned expected)
{
    struct read_ahead ahead = {.turn = 0};
    uint8_t page[PAGE_SIZE_MAX];
    struct err e;
    forget_all();
    store->slow = slow;
    meeting.expected = expected;
    meeting.come = 0;
    assert_ok(snapshot_read(s, pgno, &ahead, page, &e), &e);
    assert_memory_equal(page, model_bytes(&r.model.at[s->record.txid], pgno), 512);
    assert_false(meeting.missed);
    return meeting.come;
}

static void a_slow_store_is_asked_for_all_versions_of_a_page_at_a_time(void **state)
{
    struct snapshot *s = NULL;
    struct err e;
    unsigned most = 0;
    (void)state;
    replica_put_full(&r, 1, 3, SEGMENT_FROM_EMPTY);
    replica_put_base(&r, 3, 3);
    for (uint64_t t = 4; t <= 12; t++)
        replica_put_full(&r, t, t, 0);
    assert_ok(open_txid(origin, 12, &s, &e), &e);
    meeting_ops = *store->ops;
    meeting_ops.read = meeting_read;
    store->ops = &meeting_ops;
    for (uint32_t pgno = 1; pgno <= s->record.pages; pgno++) {
        const unsigned reads = reads_of(s, pgno, false, 0);
        assert_int_equal(reads_of(s, pgno, true, reads), reads);
        most = reads > most ? reads : most;
    }
    assert_true(most > 2);
    snapshot_release(s);
}

/* Reads each page, while `key` can't be read. Returns how many were not there: it is named then. */
static unsigned pages_without(const struct snapshot *s, const char *key)
{
    struct memory_store *m = (struct memory_store *)store;
    struct read_ahead ahead = {.turn = 0};
    uint8_t page[PAGE_SIZE_MAX];
    unsigned told = 0;
    struct err e;
    m->unread = key;
    for (uint32_t pgno = 1; pgno <= s->record.pages; pgno++) {
        forget_all();
        if (snapshot_read(s, pgno, &ahead, page, &e) == 0) {
            assert_memory_equal(page, model_bytes(&r.model.at[s->record.txid], pgno), 512);
            continue;
        }
        assert_non_null(strstr(e.msg, key));
        told++;
    }
    m->unread = NULL;
    return told;
}

static void a_version_that_is_gone_is_told_while_others_are_read(void **state)
{
    struct snapshot *s = NULL;
    unsigned told = 0;
    struct err e;
    (void)state;
    replica_put_full(&r, 1, 3, SEGMENT_FROM_EMPTY);
    for (uint64_t t = 4; t <= 12; t++)
        replica_put_full(&r, t, t, 0);
    assert_ok(open_txid(origin, 12, &s, &e), &e);
    for (uint64_t t = 3; t <= 12; t++) {
        const struct name name = {.kind = NAME_LEVEL0, .min = t == 3 ? 1 : t};
        char key[NAME_MAX_BYTES];
        name_format(&name, key);
        store->slow = false;
        const unsigned pages = pages_without(s, key);
        store->slow = true;
        assert_int_equal(pages_without(s, key), pages);
        told += pages;
    }
    assert_true(told >= 10);
    snapshot_release(s);
}

static int open_and_read(struct err *e)
{
    struct read_ahead ahead = {.turn = 0};
    struct snapshot *s = NULL;
    uint8_t page[PAGE_SIZE_MAX];
    blocks_set_limit(0);
    int rc = open_txid(origin, 9, &s, e);
    for (uint32_t pgno = 1; rc == 0 && pgno <= s->record.pages; pgno++)
        rc = snapshot_read(s, pgno, &ahead, page, e);
    if (rc == 0)
        assert_memory_equal(page, model_bytes(&r.model.at[9], s->record.pages), 512);
    snapshot_release(s);
    return rc;
}

/* What is only kept for later may be missing without an error. */
static void each_allocation_fails_once(void **state)
{
    unsigned told = 0;
    bool failed = true;
    (void)state;
    replica_put_full(&r, 1, 5, SEGMENT_FROM_EMPTY);
    replica_put_full(&r, 6, 9, 0);
    r.interior = true;
    replica_put_base(&r, 3, 5);
    for (unsigned long nth = 1; failed; nth++) {
        struct err e = {.code = ERR_NONE};
        failing_alloc_arm(nth);
        int rc = open_and_read(&e);
        failed = failing_alloc_disarm();
        assert_true(rc == 0 || (failed && e.code == ERR_NOMEM));
        told += rc != 0;
    }
    assert_true(told > 30);
}

/* ---- interior pages */

/* Reads page `pgno` of the state that is a base, and counts the requests since the snapshot was opened. */
static uint64_t requests_for(uint32_t pgno)
{
    struct read_ahead ahead = {.turn = 0};
    struct snapshot *s = NULL;
    uint8_t page[PAGE_SIZE_MAX];
    struct err e;
    forget_all();
    assert_ok(open_txid(origin, 5, &s, &e), &e);
    const uint64_t before = atomic_load(&origin->requests);
    assert_ok(snapshot_read(s, pgno, &ahead, page, &e), &e);
    assert_memory_equal(page, model_bytes(&r.model.at[5], pgno), 512);
    snapshot_release(s);
    return atomic_load(&origin->requests) - before;
}

static struct memory_object *interior_of(uint64_t start)
{
    const struct name name = {.kind = NAME_INTERIOR, .start = start, .run = r.run};
    char key[NAME_MAX_BYTES];
    name_format(&name, key);
    struct memory_object *o = memory_store_object((struct memory_store *)store, key);
    assert_non_null(o);
    return o;
}

/* A page of state 5 that is not zeros, in the interior pages or not. 0: there is none. */
static uint32_t page_of_base(bool interior)
{
    for (uint32_t pgno = interior ? 1 : 2; pgno <= r.model.at[5].record.pages; pgno += 2)
        if (r.model.at[5].page[pgno].hash != 0)
            return pgno;
    return 0;
}

/* A base of txid 5, and segments after it. */
static void put_base_with_interior(void)
{
    replica_put_full(&r, 1, 5, SEGMENT_FROM_EMPTY);
    replica_put_full(&r, 6, 9, 0);
    r.interior = true;
    replica_put_base(&r, 5, 5);
    assert_true(page_of_base(true) > 0 && page_of_base(false) > 0);
}

static void interior_pages_need_no_request_of_their_own(void **state)
{
    (void)state;
    put_base_with_interior();
    assert_int_equal(requests_for(page_of_base(true)), 0);
    assert_int_equal(requests_for(page_of_base(false)), 2); /* the index of the chunk, and a block */
}

static void interior_pages_are_fetched_once_for_all_snapshots_of_a_base(void **state)
{
    struct snapshot *first = NULL, *second = NULL;
    struct err e;
    (void)state;
    put_base_with_interior();
    const uint64_t none = atomic_load(&origin->requests);
    assert_ok(open_txid(origin, 9, &first, &e), &e);
    const uint64_t once = atomic_load(&origin->requests) - none;
    assert_ok(open_txid(origin, 9, &second, &e), &e);
    assert_int_equal(atomic_load(&origin->requests) - none - once, once - 1);
    assert_true(first->chunks->has_interior && second->chunks->has_interior);
    snapshot_release(first);
    snapshot_release(second);
}

static void interior_pages_that_are_not_those_of_the_base_are_passed_over(void **state)
{
    struct err e;
    char key[STORE_KEY_MAX];
    (void)state;
    put_base_with_interior();
    const uint32_t pgno = page_of_base(true);
    struct memory_object *o = interior_of(5);
    for (size_t at = 0; at < o->size; at += 1 + o->size / 100) { /* damaged */
        o->bytes[at] ^= 1;
        assert_int_equal(requests_for(pgno), 2);
        o->bytes[at] ^= 1;
    }
    const size_t whole = o->size;
    for (o->size = 0; o->size < whole; o->size += 1 + whole / 20) /* cut off */
        assert_int_equal(requests_for(pgno), 2);
    o->size = whole;
    assert_int_equal(requests_for(pgno), 0);
    struct buf other = BUF_INIT(SEGMENT_BYTES_MAX);
    replica_put_base(&r, 4, 5); /* those of another base, and of another run of the writer */
    assert_ok(buf_append(&other, interior_of(4)->bytes, interior_of(4)->size, &e), &e);
    snprintf(key, sizeof key, "%s", interior_of(5)->key);
    assert_ok(store_remove(store, key, &e), &e);
    assert_int_equal(requests_for(pgno), 2); /* missing */
    assert_ok(store_put_new(store, key, other.data, other.len, NULL, &e), &e);
    assert_int_equal(requests_for(pgno), 2); /* another */
    buf_release(&other);
}

/* A replica of a program that did not know them, or whose marker does not name those that are there. */
static void a_base_whose_marker_names_none_is_read_without(void **state)
{
    (void)state;
    replica_put_full(&r, 1, 5, SEGMENT_FROM_EMPTY);
    replica_put_full(&r, 6, 9, 0);
    replica_put_base(&r, 5, 5);
    assert_int_equal(requests_for(page_of_base(true)), 2);
    struct segment_info marker = replica_info(&r, OBJECT_MARKER, 0, 5);
    const struct listed chunk = {.first_page = 1, .last_page = r.model.at[5].record.pages, .max = 5};
    marker.start = 5;
    replica_put_interior(&r, &marker, &chunk, 1);
    assert_int_equal(requests_for(page_of_base(true)), 2);
}

/* ---- interior pages that do not come, or are of no use */

static struct store_ops counting_ops; /* those of the memory store, but it counts what is tried */
static atomic_uint tries;
static enum { ANSWER, REFUSE, STALL } behavior;

static int counting_try_read(struct store *s, const char *key, void *out, size_t n, const atomic_bool *cancel,
                             struct err *e)
{
    atomic_fetch_add(&tries, 1);
    if (behavior == REFUSE)
        return err_set(e, ERR_REMOTE, 503, "SlowDown");
    while (behavior == STALL && !atomic_load(cancel))
        usleep(1000);
    return behavior == STALL ? err_set(e, ERR_CANCELED, 0, "interrupted") : s->ops->read(s, key, 0, out, n, e);
}

static void count_tries(bool slow)
{
    counting_ops = *store->ops;
    counting_ops.try_read = counting_try_read;
    store->ops = &counting_ops;
    store->slow = slow;
    behavior = ANSWER;
    atomic_store(&tries, 0);
}

/* Opens the base some times, also while a state of it is open, and reads all pages. Returns how often its interior pages
 * were asked for. */
static unsigned tries_of_opens(unsigned opens)
{
    struct snapshot *kept = NULL;
    struct err e;
    atomic_store(&tries, 0);
    for (unsigned i = 0; i < opens; i++) {
        struct snapshot *s = NULL;
        assert_ok(open_txid(origin, 5 + i % 2, &s, &e), &e);
        if (s->record.txid == 5)
            assert_is(s, &r.model.at[5]);
        snapshot_release(kept);
        kept = s;
    }
    snapshot_release(kept);
    return atomic_load(&tries);
}

static void a_slow_store_is_asked_for_interior_pages_beside_the_rest(void **state)
{
    (void)state;
    put_base_with_interior();
    count_tries(true);
    assert_int_equal(tries_of_opens(3), 1);
    assert_int_equal(requests_for(page_of_base(true)), 0);
}

/* Without an end to that wait this test does not end either. */
static void an_answer_with_interior_pages_that_does_not_come_is_given_up(void **state)
{
    (void)state;
    put_base_with_interior();
    count_tries(true);
    behavior = STALL;
    const int64_t begun = clock_mono_ms();
    assert_int_equal(tries_of_opens(4), 1);
    assert_true(clock_mono_ms() - begun >= INTERIOR_WAIT_MIN_MS);
    assert_int_equal(requests_for(page_of_base(true)), 2);
}

static void interior_pages_are_asked_for_once_whatever_comes(void **state)
{
    (void)state;
    put_base_with_interior();
    for (unsigned slow = 0; slow < 2; slow++) {
        forget_all();
        count_tries(slow);
        behavior = REFUSE;
        assert_int_equal(tries_of_opens(4), 1);
        forget_all();
        behavior = ANSWER;
        interior_of(5)->bytes[20] ^= 1;
        assert_int_equal(tries_of_opens(4), 1);
        forget_all();
        interior_of(5)->bytes[20] ^= 1;
        assert_int_equal(tries_of_opens(4), 1);
        blocks_set_limit(0); /* memory has lost them */
        blocks_set_limit(BLOCKS_BYTES_MAX);
        assert_int_equal(tries_of_opens(4), 1);
    }
}

/* An open that fails before the marker could be read says nothing about the interior pages. */
static void interior_pages_are_asked_for_again_after_an_open_that_failed(void **state)
{
    struct snapshot *s = NULL;
    struct err e;
    (void)state;
    put_base_with_interior();
    count_tries(false);
    const struct name marker = {.kind = NAME_MARKER, .start = 5, .run = r.run};
    char key[NAME_MAX_BYTES];
    name_format(&marker, key);
    ((struct memory_store *)store)->unread = key;
    assert_int_equal(open_txid(origin, 5, &s, &e), -1);
    ((struct memory_store *)store)->unread = NULL;
    assert_int_equal(tries_of_opens(4), 1);
    assert_int_equal(requests_for(page_of_base(true)), 0);
}

/* The folder of a cache keeps that as well. */
static void useless_interior_pages_are_fetched_once_for_all_processes(void **state)
{
    struct err e;
    assert_int_equal(temp_setup(state), 0);
    assert_ok(disk_open(temp_path("cache"), DISK_BYTES_DEFAULT, &origin->disk, &e), &e);
    put_base_with_interior();
    count_tries(false);
    interior_of(5)->bytes[20] ^= 1;
    assert_int_equal(tries_of_opens(2), 1);
    forget_all();
    assert_int_equal(tries_of_opens(2), 0);
    disk_close(origin->disk);
    origin->disk = NULL;
    assert_int_equal(temp_teardown(state), 0);
}

/* A writer was killed before it put the marker, and another run of it put one. */
static void interior_pages_that_no_marker_names_are_fetched_once(void **state)
{
    (void)state;
    replica_put_full(&r, 1, 5, SEGMENT_FROM_EMPTY);
    replica_put_full(&r, 6, 9, 0);
    replica_put_base(&r, 5, 5);
    struct segment_info marker = replica_info(&r, OBJECT_MARKER, 0, 5);
    const struct listed chunk = {.first_page = 1, .last_page = r.model.at[5].record.pages, .max = 5};
    marker.start = 5;
    replica_put_interior(&r, &marker, &chunk, 1);
    count_tries(true);
    assert_true(tries_of_opens(4) <= 1);
    assert_int_equal(tries_of_opens(4), 0);
    assert_int_equal(requests_for(page_of_base(true)), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_restore_point_of_any_replica_reads_as_the_model, setup, teardown),
        cmocka_unit_test_setup_teardown(what_comes_is_read_as_the_model_and_what_was_open_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(another_history_is_noticed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_moment_chooses_the_state, setup, teardown),
        cmocka_unit_test_setup_teardown(an_object_that_is_gone_is_told_as_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(a_damaged_byte_never_gives_another_page, setup, teardown),
        cmocka_unit_test_setup_teardown(a_slow_store_is_asked_for_all_versions_of_a_page_at_a_time, setup, teardown),
        cmocka_unit_test_setup_teardown(a_version_that_is_gone_is_told_while_others_are_read, setup, teardown),
        cmocka_unit_test_setup_teardown(each_allocation_fails_once, setup, teardown),
        cmocka_unit_test_setup_teardown(interior_pages_need_no_request_of_their_own, setup, teardown),
        cmocka_unit_test_setup_teardown(interior_pages_are_fetched_once_for_all_snapshots_of_a_base, setup, teardown),
        cmocka_unit_test_setup_teardown(interior_pages_that_are_not_those_of_the_base_are_passed_over, setup, teardown),
        cmocka_unit_test_setup_teardown(a_base_whose_marker_names_none_is_read_without, setup, teardown),
        cmocka_unit_test_setup_teardown(a_slow_store_is_asked_for_interior_pages_beside_the_rest, setup, teardown),
        cmocka_unit_test_setup_teardown(an_answer_with_interior_pages_that_does_not_come_is_given_up, setup, teardown),
        cmocka_unit_test_setup_teardown(interior_pages_are_asked_for_once_whatever_comes, setup, teardown),
        cmocka_unit_test_setup_teardown(interior_pages_are_asked_for_again_after_an_open_that_failed, setup, teardown),
        cmocka_unit_test_setup_teardown(useless_interior_pages_are_fetched_once_for_all_processes, setup, teardown),
        cmocka_unit_test_setup_teardown(interior_pages_that_no_marker_names_are_fetched_once, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
