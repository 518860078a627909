/* support/store_contract.h - the contract of base/store.h as tests. They run over any kind of store.
 *
 * A test program describes where the store is in a `store_under_test`, and gets its tests from
 * store_contract_tests(). Its own tests of the same store are written STORE_TEST(test, place). They open the store
 * with open_it() and need not close it: what is open when a test ends or fails is closed before the next one
 * begins. */
#ifndef TESTS_STORE_CONTRACT_H
#define TESTS_STORE_CONTRACT_H

#include "unit.h"

#include "storage/open.h"

#include <assert.h>
#include <pthread.h>

struct store_under_test {
    struct store *(*open)(void); /* another handle of the store; NULL: it cannot be opened */
    int (*clear)(void **state);  /* before each test: creates the place, empty */
    int (*forget)(void **state); /* after each test; NULL: nothing to do */
    bool weak;                   /* put_new is not exclusive */
    bool unordered;              /* lists in another order than that of bytes */
    bool one_process;            /* other processes cannot open the place */
};

/* ---- handles of the test that runs */

static struct store *store_handles[16]; /* open, or NULL */

/* Closes `s` when the test ends. Returns `s`. */
static inline struct store *track_it(struct store *s)
{
    assert_non_null(s);
    for (size_t i = 0; i < COUNT_OF(store_handles); i++)
        if (!store_handles[i]) {
            store_handles[i] = s;
            return s;
        }
    fail_msg("more than %zu handles", COUNT_OF(store_handles));
    return NULL;
}

static inline struct store *open_it(void **state)
{
    const struct store_under_test *t = *state;
    return track_it(t->open());
}

/* Closes a handle before the test ends. */
static inline void close_it(struct store *s)
{
    for (size_t i = 0; i < COUNT_OF(store_handles); i++)
        if (store_handles[i] == s)
            store_handles[i] = NULL;
    store_close(s);
}

static inline int store_test_begin(void **state)
{
    const struct store_under_test *t = *state;
    return t->clear(state);
}

static inline int store_test_end(void **state)
{
    const struct store_under_test *t = *state;
    for (size_t i = 0; i < COUNT_OF(store_handles); i++) {
        store_close(store_handles[i]);
        store_handles[i] = NULL;
    }
    return t->forget ? t->forget(state) : 0;
}

#define STORE_TEST(test, place) {#test, test, store_test_begin, store_test_end, &(place)}

/* ---- helpers */

struct store_listing {
    char keys[64][STORE_KEY_MAX];
    uint64_t sizes[64];
    size_t count, stop_at;
    size_t strange; /* entries without a key */
};

static inline int store_listing_add(void *context, const struct store_entry *entry)
{
    struct store_listing *l = context;
    if (!entry->key[0]) {
        l->strange++;
        return 0;
    }
    assert_int_equal(l->strange, 0); /* entries without a key come last */
    assert_true(l->count < COUNT_OF(l->keys));
    snprintf(l->keys[l->count], STORE_KEY_MAX, "%s", entry->key);
    l->sizes[l->count++] = entry->size;
    return l->count == l->stop_at;
}

/* The listing has exactly `keys`, which are separated by blanks, and `strange` entries that can't be objects. */
static inline void assert_listing_with(struct store *s, const char *prefix, const char *start_after, const char *keys,
                                       size_t strange)
{
    static struct store_listing l;
    char found[sizeof l.keys] = "";
    struct err e;
    size_t at = 0;
    l.count = l.stop_at = l.strange = 0;
    assert_ok(store_list(s, prefix, start_after, store_listing_add, &l, &e), &e);
    for (size_t i = 0; i < l.count; i++)
        at += (size_t)snprintf(found + at, sizeof found - at, "%s%s", i ? " " : "", l.keys[i]);
    assert_string_equal(found, keys);
    assert_int_equal(l.strange, strange);
}

static inline void assert_listing(struct store *s, const char *prefix, const char *start_after, const char *keys)
{
    assert_listing_with(s, prefix, start_after, keys, 0);
}

static inline void put(struct store *s, const char *key, const char *text)
{
    struct err e;
    assert_ok(store_put_new(s, key, text, strlen(text), NULL, &e), &e);
}

static inline void an_object_that_was_put_reads_back_from_any_handle(void **state)
{
    struct err e;
    struct store *s = open_it(state), *other = open_it(state);
    char out[16] = "";
    put(s, "0/000000000000002a", "hello, world");
    assert_ok(store_read(other, "0/000000000000002a", 0, out, 12, &e), &e);
    assert_memory_equal(out, "hello, world", 12);
    close_it(s);
    assert_ok(store_read(other, "0/000000000000002a", 7, out, 5, &e), &e);
    assert_memory_equal(out, "world", 5);
    store_close(NULL); /* allowed */
}

static inline void a_second_put_of_a_key_is_refused_and_changes_nothing(void **state)
{
    struct err e;
    struct store *s = open_it(state);
    char out[8] = "";
    put(s, "a/b", "first");
    assert_error(store_put_new(s, "a/b", "second", 6, NULL, &e), &e, ERR_EXISTS);
    assert_error(store_put_new(s, "a/b", "first", 5, NULL, &e), &e, ERR_EXISTS);
    assert_ok(store_read(s, "a/b", 0, out, 5, &e), &e);
    assert_memory_equal(out, "first", 5);
    assert_listing(s, "", "", "a/b");
}

static inline void a_read_beyond_the_end_is_corrupt_and_a_missing_object_is_not_found(void **state)
{
    struct err e;
    struct store *s = open_it(state);
    struct buf b = BUF_INIT(100);
    uint64_t size = 0;
    char out[8];
    put(s, "a/b", "12345");
    assert_error(store_read(s, "a/b", 0, out, 6, &e), &e, ERR_CORRUPT);
    assert_error(store_read(s, "a/b", 5, out, 1, &e), &e, ERR_CORRUPT);
    assert_error(store_read(s, "a/b", 1000000, out, 1, &e), &e, ERR_CORRUPT);
    assert_ok(store_read(s, "a/b", 4, out, 1, &e), &e);
    assert_error(store_read(s, "a/c", 0, out, 1, &e), &e, ERR_NOTFOUND);
    assert_contains(e.msg, "a/c");
    assert_error(store_read_tail(s, "a/c", 1, &b, &size, &e), &e, ERR_NOTFOUND);
    assert_error(store_read(s, "c/a/b", 0, out, 1, &e), &e, ERR_NOTFOUND);
    buf_release(&b);
}

static inline void a_read_that_is_tried_gives_the_begin_of_an_object(void **state)
{
    struct err e;
    struct store *s = open_it(state);
    atomic_bool given_up = false;
    char out[8] = "";
    put(s, "a/b", "12345");
    assert_ok(store_try_read(s, "a/b", out, 4, &given_up, &e), &e);
    assert_string_equal(out, "1234");
    assert_error(store_try_read(s, "a/b", out, 6, &given_up, &e), &e, ERR_CORRUPT);
    assert_error(store_try_read(s, "a/c", out, 1, &given_up, &e), &e, ERR_NOTFOUND);
    assert_contains(e.msg, "a/c");
    atomic_store(&given_up, true);
    assert_true(store_try_read(s, "a/b", out, 5, &given_up, &e) == 0 || e.code == ERR_CANCELED);
}

static inline void the_tail_of_an_object_comes_with_its_size(void **state)
{
    struct err e;
    struct store *s = open_it(state);
    struct buf b = BUF_INIT(100);
    uint64_t size = 0;
    put(s, "a/b", "0123456789");
    assert_ok(store_read_tail(s, "a/b", 4, &b, &size, &e), &e);
    assert_int_equal(size, 10);
    assert_ok(store_read_tail(s, "a/b", 10, &b, &size, &e), &e); /* appended to what is there */
    assert_ok(store_read_tail(s, "a/b", 1000, &b, &size, &e), &e);
    assert_int_equal(size, 10);
    assert_int_equal(b.len, 24);
    assert_memory_equal(b.data, "678901234567890123456789", 24);
    struct buf small = BUF_INIT(5);
    assert_error(store_read_tail(s, "a/b", 6, &small, &size, &e), &e, ERR_LIMIT);
    buf_release(&small);
    buf_release(&b);
}

static inline void an_empty_object_is_an_object(void **state)
{
    struct err e;
    struct store *s = open_it(state);
    struct buf b = BUF_INIT(10);
    uint64_t size = 99;
    put(s, "a/b", "");
    assert_ok(store_read_tail(s, "a/b", 10, &b, &size, &e), &e);
    assert_int_equal(size, 0);
    assert_int_equal(b.len, 0);
    assert_error(store_put_new(s, "a/b", "", 0, NULL, &e), &e, ERR_EXISTS);
    assert_listing(s, "", "", "a/b");
    buf_release(&b);
}

static inline void large_objects_and_ranges_are_exact(void **state)
{
    enum { SIZE = 3000000 };
    struct err e;
    struct store *s = open_it(state);
    struct dice d = dice_of(5);
    uint8_t *bytes = malloc(SIZE), *out = malloc(SIZE);
    assert_true(bytes && out);
    dice_fill(&d, bytes, SIZE);
    assert_ok(store_put_new(s, "large", bytes, SIZE, NULL, &e), &e);
    for (int i = 0; i < 50; i++) {
        uint32_t at = dice_below(&d, SIZE), n = dice_below(&d, SIZE - at + 1);
        assert_ok(store_read(s, "large", at, out, n, &e), &e);
        assert_memory_equal(out, bytes + at, n);
    }
    free(bytes);
    free(out);
}

static inline void a_listing_is_in_ascending_byte_order_whatever_the_folders(void **state)
{
    struct store *s = open_it(state);
    static const char *const keys[] = {"base/02/marker", "0/0b",   "seawall.json", "base/02/0a", "0/0a", "1/0a-0b",
                                       "base.x",         "base-x", "base/02-a/a",  "part/a",     "1-x"};
    for (size_t i = 0; i < COUNT_OF(keys); i++)
        put(s, keys[i], keys[i]);
    assert_listing(s, "", "",
                   "0/0a 0/0b 1-x 1/0a-0b base-x base.x base/02-a/a base/02/0a base/02/marker part/a seawall.json");
}

static inline void a_listing_begins_with_its_prefix_and_after_its_start(void **state)
{
    struct store *s = open_it(state);
    static const char *const keys[] = {"0/01", "0/02", "0/03", "00/01", "1/01-02", "base/01/x", "base/02/x", "c"};
    for (size_t i = 0; i < COUNT_OF(keys); i++)
        put(s, keys[i], "x");
    assert_listing(s, "0/", "", "0/01 0/02 0/03");
    assert_listing(s, "0", "", "0/01 0/02 0/03 00/01");
    assert_listing(s, "0/", "0/01", "0/02 0/03");
    assert_listing(s, "0/", "0/011", "0/02 0/03");
    assert_listing(s, "0/", "0/03", "");
    assert_listing(s, "0/02", "", "0/02");
    assert_listing(s, "0/0", "0/02", "0/03");
    assert_listing(s, "", "0/03", "00/01 1/01-02 base/01/x base/02/x c");
    assert_listing(s, "", "base/01", "base/01/x base/02/x c");
    assert_listing(s, "base/0", "base/01/x", "base/02/x");
    assert_listing(s, "base/02/x", "", "base/02/x");
    assert_listing(s, "base/02/x/", "", "");
    assert_listing(s, "b", "a", "base/01/x base/02/x");
    assert_listing(s, "nothing/here/", "", "");
}

static inline void a_listing_tells_sizes_and_ends_when_the_reader_says_so(void **state)
{
    static struct store_listing l;
    struct err e;
    struct store *s = open_it(state);
    l = (struct store_listing){.stop_at = 2};
    put(s, "a", "1");
    put(s, "b", "22");
    put(s, "c", "333");
    assert_ok(store_list(s, "", "", store_listing_add, &l, &e), &e);
    assert_int_equal(l.count, 2);
    assert_int_equal(l.sizes[0], 1);
    assert_int_equal(l.sizes[1], 2);
}

static inline void an_empty_place_has_an_empty_listing(void **state)
{
    struct store *s = open_it(state);
    assert_listing(s, "", "", "");
}

/* ---- folders */

static inline int store_listing_add_folder(void *context, const char *name)
{
    struct store_listing *l = context;
    if (!name[0]) {
        l->strange++;
        return 0;
    }
    assert_int_equal(l->strange, 0); /* what is not a folder comes last */
    assert_true(l->count < COUNT_OF(l->keys) && strlen(name) < STORE_KEY_MAX);
    snprintf(l->keys[l->count++], STORE_KEY_MAX, "%s", name);
    return l->count == l->stop_at;
}

static inline int store_listing_order(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* The store has exactly `folders` at its root, which are separated by blanks, and `others` other things. */
static inline void assert_folders(struct store *s, const char *folders, size_t others)
{
    static struct store_listing l;
    char found[sizeof l.keys] = "";
    struct err e;
    size_t at = 0;
    l.count = l.stop_at = l.strange = 0;
    assert_ok(store_folders(s, store_listing_add_folder, &l, &e), &e);
    qsort(l.keys, l.count, sizeof l.keys[0], store_listing_order);
    for (size_t i = 0; i < l.count; i++)
        at += (size_t)snprintf(found + at, sizeof found - at, "%s%s", i ? " " : "", l.keys[i]);
    assert_string_equal(found, folders);
    assert_int_equal(l.strange, others);
}

static inline void folders_are_the_first_parts_of_keys_that_have_another_part(void **state)
{
    struct store *s = open_it(state);
    static const char *const keys[] = {"0/01",      "0/02",         "00/01",  "base/02-a/a",
                                       "base/03/b", "seawall.json", "base-x", "a/b/c/d"};
    assert_folders(s, "", 0);
    for (size_t i = 0; i < COUNT_OF(keys); i++)
        put(s, keys[i], "x");
    assert_folders(s, "0 00 a base", 2);
}

static inline void a_list_of_folders_ends_when_the_reader_says_so(void **state)
{
    static struct store_listing l;
    struct err e;
    struct store *s = open_it(state);
    l = (struct store_listing){.stop_at = 2};
    put(s, "a/1", "1");
    put(s, "b/1", "1");
    put(s, "c/1", "1");
    assert_ok(store_folders(s, store_listing_add_folder, &l, &e), &e);
    assert_int_equal(l.count, 2);
}

static inline void a_removed_object_is_gone_and_its_key_is_free(void **state)
{
    struct err e;
    struct store *s = open_it(state);
    char out;
    put(s, "a/b/c", "1");
    put(s, "a/b/d", "2");
    assert_ok(store_remove(s, "a/b/c", &e), &e);
    assert_ok(store_remove(s, "a/b/c", &e), &e); /* not there counts as removed */
    assert_ok(store_remove(s, "x/y/z", &e), &e);
    assert_error(store_read(s, "a/b/c", 0, &out, 1, &e), &e, ERR_NOTFOUND);
    assert_listing(s, "", "", "a/b/d");
    put(s, "a/b/c", "3");
    assert_ok(store_read(s, "a/b/c", 0, &out, 1, &e), &e);
    assert_int_equal(out, '3');
}

static inline void the_clock_of_the_store_does_not_fall(void **state)
{
    struct err e;
    struct store *s = open_it(state);
    int64_t a = 0, b = 0;
    assert_ok(store_time(s, &a, &e), &e);
    assert_ok(store_time(s, &b, &e), &e);
    assert_true(a > 0 && b >= a);
}

/* ---- races */

enum { RACERS = 8, RACES = 40 };

static inline void race_key(int round, char out[STORE_KEY_MAX])
{
    snprintf(out, STORE_KEY_MAX, "race/%04d", round);
}

/* Puts each key in turn. Returns how many PUTs succeeded, or -1 after an error other than ERR_EXISTS. */
static inline int run_race(struct store *s, uint32_t who)
{
    char key[STORE_KEY_MAX];
    uint32_t bytes[1000];
    struct err e;
    int won = 0;
    for (size_t i = 0; i < COUNT_OF(bytes); i++)
        bytes[i] = who;
    for (int round = 0; round < RACES; round++) {
        race_key(round, key);
        if (store_put_new(s, key, bytes, sizeof bytes, NULL, &e) == 0)
            won++;
        else if (e.code != ERR_EXISTS)
            return -1;
    }
    return won;
}

static inline void assert_races_are_whole(struct store *s, const int won[RACERS])
{
    uint32_t bytes[1000];
    int wins[RACERS] = {0}, total = 0;
    char key[STORE_KEY_MAX];
    struct err e;
    for (int round = 0; round < RACES; round++) {
        race_key(round, key);
        assert_ok(store_read(s, key, 0, bytes, sizeof bytes, &e), &e);
        assert_true(bytes[0] < RACERS);
        for (size_t i = 1; i < COUNT_OF(bytes); i++)
            assert_int_equal(bytes[i], bytes[0]);
        wins[bytes[0]]++;
    }
    for (int i = 0; i < RACERS; i++) {
        assert_int_equal(wins[i], won[i]);
        total += won[i];
    }
    assert_int_equal(total, RACES);
}

struct racer {
    struct store *store;
    pthread_barrier_t *start;
    uint32_t who;
    int won;
};

static inline void *race_thread(void *arg)
{
    struct racer *r = arg;
    pthread_barrier_wait(r->start);
    r->won = run_race(r->store, r->who);
    return NULL;
}

static inline void of_several_threads_that_put_one_key_exactly_one_wins(void **state)
{
    struct store *s = open_it(state);
    struct racer racers[RACERS];
    pthread_t threads[RACERS];
    pthread_barrier_t start;
    int won[RACERS];
    pthread_barrier_init(&start, NULL, RACERS);
    for (uint32_t i = 0; i < RACERS; i++) {
        racers[i] = (struct racer){.store = s, .start = &start, .who = i};
        assert_int_equal(pthread_create(&threads[i], NULL, race_thread, &racers[i]), 0);
    }
    for (int i = 0; i < RACERS; i++) {
        pthread_join(threads[i], NULL);
        won[i] = racers[i].won;
    }
    pthread_barrier_destroy(&start);
    assert_races_are_whole(s, won);
}

static inline void of_several_processes_that_put_one_key_exactly_one_wins(void **state)
{
    const struct store_under_test *t = *state;
    pid_t children[RACERS];
    int won[RACERS], gate[2];
    char go;
    assert_int_equal(pipe(gate), 0);
    for (uint32_t i = 0; i < RACERS; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            struct store *s = t->open();
            close(gate[1]);
            alarm(60);                         /* a process that hangs is killed, and the test fails */
            ssize_t n = read(gate[0], &go, 1); /* returns in all processes when the pipe is closed */
            _exit(n == 0 && s ? run_race(s, i) : 255);
        }
    }
    close(gate[0]);
    close(gate[1]);
    for (int i = 0; i < RACERS; i++) {
        int status = 0;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_true(WIFEXITED(status));
        won[i] = WEXITSTATUS(status);
    }
    struct store *s = open_it(state);
    assert_races_are_whole(s, won);
}

/* ---- all of them */

enum { STORE_CONTRACT_MAX = 17 };

/* Writes to `out` the tests of those parts of the contract that the store at `place` keeps. Returns how many there are.
 * Their names begin with `kind`. */
static inline size_t store_contract_tests(const char *kind, struct store_under_test *place,
                                          struct CMUnitTest out[STORE_CONTRACT_MAX])
{
#define CONTRACT(test) {#test, test, true}
    const struct {
        const char *name;
        CMUnitTestFunction test;
        bool runs;
    } all[] = {
        CONTRACT(an_object_that_was_put_reads_back_from_any_handle),
        CONTRACT(a_second_put_of_a_key_is_refused_and_changes_nothing),
        CONTRACT(a_read_beyond_the_end_is_corrupt_and_a_missing_object_is_not_found),
        CONTRACT(a_read_that_is_tried_gives_the_begin_of_an_object),
        CONTRACT(the_tail_of_an_object_comes_with_its_size),
        CONTRACT(an_empty_object_is_an_object),
        CONTRACT(large_objects_and_ranges_are_exact),
        {"a_listing_is_in_ascending_byte_order_whatever_the_folders",
         a_listing_is_in_ascending_byte_order_whatever_the_folders, !place->unordered},
        {"a_listing_begins_with_its_prefix_and_after_its_start", a_listing_begins_with_its_prefix_and_after_its_start,
         !place->unordered},
        CONTRACT(a_listing_tells_sizes_and_ends_when_the_reader_says_so),
        CONTRACT(an_empty_place_has_an_empty_listing),
        CONTRACT(folders_are_the_first_parts_of_keys_that_have_another_part),
        CONTRACT(a_list_of_folders_ends_when_the_reader_says_so),
        CONTRACT(a_removed_object_is_gone_and_its_key_is_free),
        CONTRACT(the_clock_of_the_store_does_not_fall),
        {"of_several_threads_that_put_one_key_exactly_one_wins", of_several_threads_that_put_one_key_exactly_one_wins,
         !place->weak},
        {"of_several_processes_that_put_one_key_exactly_one_wins",
         of_several_processes_that_put_one_key_exactly_one_wins, !place->weak && !place->one_process},
    };
#undef CONTRACT
    static char names[8 * STORE_CONTRACT_MAX][100];
    static size_t named;
    size_t count = 0;
    assert(COUNT_OF(all) <= STORE_CONTRACT_MAX);
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        if (!all[i].runs)
            continue;
        assert(named < COUNT_OF(names));
        snprintf(names[named], sizeof names[named], "%s: %s", kind, all[i].name);
        out[count++] = (struct CMUnitTest){.name = names[named++],
                                           .test_func = all[i].test,
                                           .setup_func = store_test_begin,
                                           .teardown_func = store_test_end,
                                           .initial_state = place};
    }
    return count;
}

/* Runs `count` tests as one group. */
static inline int store_run_tests(const struct CMUnitTest *tests, size_t count)
{
    return _cmocka_run_group_tests("tests", tests, count, NULL, NULL);
}

#endif
