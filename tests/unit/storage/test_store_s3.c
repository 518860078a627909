/* s3/s3.h: rules for S3 beyond the contract of stores. tests/support/store_places.h says which server. */
#include "store_places.h"

enum { MANY = 1100 }; /* objects: more than the 1000 of one page of a listing */

/* ---- more objects than one page of a listing */

struct filler {
    struct store *store;
    int first, failed;
    struct err error; /* of the last PUT that failed */
};

static void *fill(void *arg)
{
    struct filler *f = arg;
    char key[STORE_KEY_MAX];
    struct err e;
    for (int i = f->first; i < MANY; i += RACERS) {
        snprintf(key, sizeof key, "0/%016x", (unsigned)i);
        if (store_put_new(f->store, key, key, (size_t)i % 7, NULL, &e)) {
            f->failed++;
            f->error = e;
        }
    }
    return NULL;
}

static void put_many(struct store *s)
{
    pthread_t threads[RACERS];
    struct filler fillers[RACERS];
    for (int i = 0; i < RACERS; i++) {
        fillers[i] = (struct filler){.store = s, .first = i};
        assert_int_equal(pthread_create(&threads[i], NULL, fill, &fillers[i]), 0);
    }
    for (int i = 0; i < RACERS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < RACERS; i++)
        assert_ok(fillers[i].failed, &fillers[i].error);
}

struct expected {
    int next;
    bool wrong;
};

static int check_next(void *context, const struct store_entry *entry)
{
    struct expected *x = context;
    char key[STORE_KEY_MAX];
    snprintf(key, sizeof key, "0/%016x", (unsigned)x->next);
    x->wrong = x->wrong || strcmp(key, entry->key) != 0 || entry->size != (uint64_t)x->next % 7;
    x->next++;
    return 0;
}

static void a_listing_of_several_pages_has_each_object_once_and_in_order(void **state)
{
    struct store *s = open_it(state);
    struct err e;
    put_many(s);
    struct expected all = {.next = 0};
    assert_ok(store_list(s, "0/", "", check_next, &all, &e), &e);
    assert_false(all.wrong);
    assert_int_equal(all.next, MANY);
    struct expected rest = {.next = 12};
    assert_ok(store_list(s, "0/", "0/000000000000000b", check_next, &rest, &e), &e);
    assert_false(rest.wrong);
    assert_int_equal(rest.next, MANY);
}

static void many_objects_are_removed_with_one_request(void **state)
{
    static char keys[STORE_REMOVE_MAX][STORE_KEY_MAX];
    static const char *names[STORE_REMOVE_MAX];
    struct store *s = open_it(state);
    struct err e;
    put_many(s);
    for (unsigned i = 0; i < STORE_REMOVE_MAX; i++) {
        snprintf(keys[i], sizeof keys[i], "0/%016x", i + 50);
        names[i] = keys[i];
    }
    unsigned long long before = atomic_load(&s->traffic.remove);
    assert_ok(store_remove_all(s, names, STORE_REMOVE_MAX, &e), &e);
    assert_ok(store_remove_all(s, names, 3, &e), &e); /* a missing object counts as removed */
    assert_int_equal(atomic_load(&s->traffic.remove) - before, 2);
    struct expected first = {.next = 0}, last = {.next = STORE_REMOVE_MAX + 50};
    assert_ok(store_list(s, "0/000000000000000", "", check_next, &first, &e), &e);
    assert_int_equal(first.next, 16);
    assert_ok(store_list(s, "0/", "0/0000000000000031", check_next, &last, &e), &e);
    assert_int_equal(last.next, MANY);
    assert_false(first.wrong || last.wrong);
}

static void an_exclusive_put_is_one_request_and_a_refused_one_too(void **state)
{
    struct store *s = open_it(state);
    struct err e;
    put(s, "seawall.json", "{}");
    assert_ok(store_probe(s, "seawall.json", "{}", 2, &e), &e);
    unsigned long long puts = atomic_load(&s->traffic.put);
    put(s, "0/01", "first");
    assert_error(store_put_new(s, "0/01", "other", 5, NULL, &e), &e, ERR_EXISTS);
    assert_int_equal(atomic_load(&s->traffic.put) - puts, 2);
    assert_int_equal(atomic_load(&s->traffic.get), 0);
    assert_int_equal(atomic_load(&s->traffic.head), 0);
    assert_int_equal(atomic_load(&s->traffic.list), 0);
    assert_int_equal(atomic_load(&s->traffic.failed), 0);
}

/* ---- messages */

/* The URL with another value for one key of the query, or another bucket. */
static const char *url_with(const char *more)
{
    static char other[sizeof s3_url + 256];
    snprintf(other, sizeof other, "%s%s%s", s3_url, strchr(s3_url, '?') ? "&" : "?", more);
    return other;
}

static void the_url_that_is_shown_has_no_query_but_the_endpoint(void **state)
{
    struct err e;
    struct store *s = NULL;
    (void)state;
    assert_ok(store_open(url_with("header=X-Test:secret"), STORE_WRITE, &s, &e), &e);
    track_it(s);
    assert_null(strstr(s->url, "secret"));
    assert_null(strstr(s->url, "ca-file"));
    assert_int_equal(strncmp(s->url, "s3://", 5), 0);
}

static void a_wrong_secret_is_an_error_at_once(void **state)
{
    static struct store_listing l;
    struct err e;
    struct store *s = NULL;
    char kept[256];
    (void)state;
    snprintf(kept, sizeof kept, "%s", getenv("AWS_SECRET_ACCESS_KEY"));
    assert_int_equal(setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret", 1), 0);
    e.msg[0] = 0;
    int rc = store_open(s3_url, STORE_READ, &s, &e);
    if (rc == 0)
        rc = store_list(s, "", "", store_listing_add, &l, &e);
    store_close(s);
    assert_int_equal(setenv("AWS_SECRET_ACCESS_KEY", kept, 1), 0);
    assert_int_not_equal(rc, 0);
    assert_contains(e.msg, "SignatureDoesNotMatch");
    assert_null(strstr(e.msg, "not-the-secret"));
}

int main(void)
{
    const struct {
        struct CMUnitTest test;
        bool left_out;
    } all[] = {
        {STORE_TEST(a_listing_of_several_pages_has_each_object_once_and_in_order, s3), false},
        {STORE_TEST(many_objects_are_removed_with_one_request, s3), s3_lacks("deletion")},
        {STORE_TEST(the_url_that_is_shown_has_no_query_but_the_endpoint, s3), false},
        {STORE_TEST(a_wrong_secret_is_an_error_at_once, s3), s3_lacks("signatures")},
        {STORE_TEST(an_exclusive_put_is_one_request_and_a_refused_one_too, s3), false},
    };
    struct CMUnitTest tests[COUNT_OF(all)];
    size_t count = 0;
    if (!s3_is_there()) {
        printf("1..0 # skip: SEAWALL_TEST_S3 names no S3 server; make check-s3-store does\n");
        return 0;
    }
    if (!s3_find_fencing())
        return 1;
    for (size_t i = 0; i < COUNT_OF(all) - s3.weak; i++) /* the last test needs exclusive PUT */
        if (!all[i].left_out)
            tests[count++] = all[i].test;
    return store_run_tests(tests, count);
}
