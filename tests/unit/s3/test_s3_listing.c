/* s3/listing.h: pages of a listing, and the rules that a listing must obey. */
#include "failing_alloc.h"

#include "s3/listing.h"

static int read_page(struct s3_listing *l, const char *text, struct err *e)
{
    struct http_response r = {.status = 200, .body = BUF_INIT(100000)};
    assert_int_equal(buf_append(&r.body, text, strlen(text), e), 0);
    int rc = s3_listing_read_page(l, &r, e);
    http_response_release(&r);
    return rc;
}

static int collect(void *context, const struct store_entry *entry)
{
    char *out = context;
    snprintf(out + strlen(out), 200 - strlen(out), "%s:%d ", entry->key, (int)entry->size);
    return 0;
}

#define CONTENTS(key, size) "<Contents><Key>" key "</Key><Size>" size "</Size></Contents>"
#define PAGE(truncated, more)                                                                                          \
    "<ListBucketResult xmlns=\"x\"><IsTruncated>" truncated "</IsTruncated>" more "</ListBucketResult>"

static void pages_follow_each_other_by_token_or_by_the_last_key(void **state)
{
    struct s3_listing l;
    struct err e;
    const char *query = NULL;
    char out[200] = "";
    bool more = false;
    (void)state;
    assert_ok(s3_listing_init(&l, "a b/", "0/", "0/1", &e), &e);
    assert_ok(s3_listing_query(&l, &query, &e), &e);
    assert_string_equal(query, "list-type=2&max-keys=1000&prefix=a%20b%2F0%2F&start-after=a%20b%2F0%2F1");
    assert_ok(
        read_page(&l, PAGE("true", "<NextContinuationToken>t+/=</NextContinuationToken>" CONTENTS("a b/0/2", "5")), &e),
        &e);
    assert_ok(s3_listing_deliver(&l, collect, out, &more, &e), &e);
    assert_true(more);
    assert_ok(s3_listing_query(&l, &query, &e), &e);
    assert_string_equal(query, "continuation-token=t%2B%2F%3D&list-type=2&max-keys=1000&prefix=a%20b%2F0%2F");
    assert_error(read_page(&l, PAGE("true", CONTENTS("a b/0/2", "5") CONTENTS("a b/0/&amp;3", "6")), &e), &e,
                 ERR_REMOTE); /* '&' < '2' */
    assert_error(read_page(&l, PAGE("true", CONTENTS("a b/0/2", "5") CONTENTS("a b/0/4", "7")), &e), &e, ERR_REMOTE);
    assert_contains(e.msg, "it has '0/2' twice");
    assert_ok(read_page(&l, PAGE("true", CONTENTS("a b/0/4", "7")), &e), &e); /* the page is asked for a second time */
    assert_ok(s3_listing_deliver(&l, collect, out, &more, &e), &e);
    assert_true(more);
    assert_ok(s3_listing_query(&l, &query, &e), &e); /* no token: after the last key */
    assert_string_equal(query, "list-type=2&max-keys=1000&prefix=a%20b%2F0%2F&start-after=a%20b%2F0%2F4");
    assert_error(read_page(&l, PAGE("true", CONTENTS("a b/0/3", "5") CONTENTS("a b/0/5", "7")), &e), &e, ERR_REMOTE);
    assert_contains(e.msg, "advance: '0/3' comes after '0/4'");
    assert_contains(e.msg, "HINT");
    assert_string_equal(out, "0/2:5 0/4:7 ");
    s3_listing_release(&l);
}

/* Reads the pages of a listing of the prefix "p/". Returns the error of the first page that has one, or ERR_NONE.
 * `out`: the keys that were delivered. */
static enum err_code list_pages(const char *const *pages, size_t count, char out[200], struct err *e)
{
    struct s3_listing l;
    bool more = true;
    int rc = s3_listing_init(&l, "p/", "", "", e);
    out[0] = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        assert_true(more);
        rc = read_page(&l, pages[i], e);
        if (rc == 0)
            rc = s3_listing_deliver(&l, collect, out, &more, e);
    }
    s3_listing_release(&l);
    return rc ? e->code : ERR_NONE;
}

#define NEXT(token) "<NextContinuationToken>" token "</NextContinuationToken>"

static void keys_ascend_by_bytes_or_by_paths_from_the_first_page_to_the_last(void **state)
{
    static const struct {
        const char *pages[3];
        const char *keys; /* NULL: an error */
    } cases[] = {
        /* by bytes: '-' < '.' < '/' < '0' */
        {{PAGE("true", NEXT("1") CONTENTS("p/a-b", "1") CONTENTS("p/a.b", "1")),
          PAGE("true", NEXT("2") CONTENTS("p/a/b", "1")), PAGE("false", CONTENTS("p/a0", "1"))},
         "a-b:1 a.b:1 a/b:1 a0:1 "},
        /* by paths */
        {{PAGE("true", NEXT("1") CONTENTS("p/a/b", "1") CONTENTS("p/a/b/c", "1")),
          PAGE("true", NEXT("2") CONTENTS("p/a/b-", "1") CONTENTS("p/a-b", "1")),
          PAGE("false", CONTENTS("p/a.b", "1"))},
         "a/b:1 a/b/c:1 a/b-:1 a-b:1 a.b:1 "},
        /* a mixture of both orders, also if each page has one of them */
        {{PAGE("true", NEXT("1") CONTENTS("p/a/b", "1") CONTENTS("p/a-b", "1")),
          PAGE("true", NEXT("2") CONTENTS("p/b", "1")), PAGE("false", CONTENTS("p/c-b", "1") CONTENTS("p/c/b", "1"))},
         NULL},
        {{PAGE("true", NEXT("1") CONTENTS("p/b", "1")), PAGE("true", NEXT("2") CONTENTS("p/c", "1")),
          PAGE("false", CONTENTS("p/b", "1"))},
         NULL},
        {{PAGE("true", NEXT("1") CONTENTS("p/b", "1")), PAGE("true", NEXT("2") CONTENTS("p/c", "1")),
          PAGE("false", CONTENTS("p/c", "1"))},
         NULL},
        {{PAGE("true", NEXT("1") CONTENTS("p/b", "1")), PAGE("true", NEXT("2")), PAGE("false", CONTENTS("p/c", "1"))},
         "b:1 c:1 "},
        {{PAGE("true", NEXT("1") CONTENTS("p/b", "1")), PAGE("true", NEXT("2")), PAGE("false", CONTENTS("p/a", "1"))},
         NULL},
        /* an empty page without a token, or with its own token */
        {{PAGE("true", NEXT("1") CONTENTS("p/b", "1")), PAGE("true", NEXT("2")), PAGE("true", "")}, NULL},
        {{PAGE("true", NEXT("1") CONTENTS("p/b", "1")), PAGE("true", NEXT("2")), PAGE("true", NEXT("2"))}, NULL},
    };
    char out[200];
    struct err e;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        enum err_code found = list_pages(cases[i].pages, 3, out, &e);
        if (cases[i].keys) {
            assert_int_equal(found, ERR_NONE);
            assert_string_equal(out, cases[i].keys);
            continue;
        }
        assert_int_equal(found, ERR_REMOTE);
        assert_contains(e.msg, "the listing does not advance");
        assert_contains(e.msg, "HINT");
    }
}

static int count_strange(void *context, const struct store_entry *entry)
{
    int *counts = context;
    counts[!entry->key[0]]++;
    return 0;
}

static void keys_that_no_object_can_have_are_counted_at_the_end(void **state)
{
    static char page[4000], key[1100];
    struct s3_listing l;
    struct err e;
    bool more = false;
    int counts[2] = {0, 0};
    (void)state;
    memset(key, 'k', 1024);
    snprintf(page, sizeof page, PAGE("%s", CONTENTS("p/", "0") CONTENTS("p/0/1", "1") CONTENTS("p/%s", "1")), "true",
             key);
    assert_ok(s3_listing_init(&l, "p/", "", "", &e), &e);
    assert_ok(read_page(&l, page, &e), &e);
    assert_ok(s3_listing_deliver(&l, count_strange, counts, &more, &e), &e);
    assert_true(more && counts[0] == 1 && counts[1] == 0);
    assert_ok(read_page(&l, PAGE("false", CONTENTS("p/z", "1")), &e), &e);
    assert_ok(s3_listing_deliver(&l, count_strange, counts, &more, &e), &e);
    assert_true(!more && counts[0] == 2 && counts[1] == 2);
    memset(key, 'z', 1025);
    snprintf(page, sizeof page, PAGE("%s", CONTENTS("p/%s", "1")), "false", key);
    assert_error(read_page(&l, page, &e), &e, ERR_REMOTE);
    s3_listing_release(&l);
}

/* Reads pages that `format` makes of ascending numbers, until one is an error. Returns how many keys were delivered. */
static unsigned read_endless(const char *format, uint64_t keys_before, struct err *e)
{
    static char page[400];
    struct s3_listing l;
    bool more = true;
    unsigned n = 0;
    int counts[2] = {0, 0};
    assert_ok(s3_listing_init(&l, "p/", "", "", e), e);
    l.done.keys = keys_before;
    for (;; n++) {
        snprintf(page, sizeof page, format, n, n);
        assert_true(more && n < 100000);
        assert_ok(read_page(&l, page, e), e);
        if (s3_listing_deliver(&l, count_strange, counts, &more, e))
            break;
    }
    s3_listing_release(&l);
    return n;
}

static void a_listing_without_end_is_an_error(void **state)
{
    struct err e;
    (void)state;
    assert_int_equal(read_endless(PAGE("true", NEXT("%u") CONTENTS("p/%08x", "1")), 0, &e), S3_LISTING_PAGES_MAX - 1);
    assert_true(e.code == ERR_LIMIT);
    assert_contains(e.msg, "11000 pages with 11000 keys");
    assert_contains(e.msg, "HINT");
    assert_int_equal(read_endless(PAGE("true", NEXT("%u") CONTENTS("p/%08x", "1")), STORE_LIST_MAX - 5, &e), 5);
    assert_true(e.code == ERR_LIMIT);
    assert_int_equal(read_endless(PAGE("true", NEXT("%u-%u")), 0, &e), 1000);
    assert_true(e.code == ERR_REMOTE);
    assert_contains(e.msg, "pages in a row are empty");
}

static void a_malformed_page_is_an_error_and_not_a_short_listing(void **state)
{
    static const char *const pages[] = {
        "",
        "<html><body>Welcome</body></html>",
        "<Error><Code>SlowDown</Code></Error>",
        "<ListBucketResult><IsTruncated>false</IsTruncated>" CONTENTS("p/a", "1"),
        "<ListBucketResult></ListBucketResult>",
        PAGE("false", CONTENTS("other/a", "1")),
        PAGE("false", CONTENTS("p/b", "1") CONTENTS("p/a", "1")),
        PAGE("false", CONTENTS("p/a", "1") CONTENTS("p/a", "1")),
        PAGE("false", CONTENTS("p/a", "many")),
        "<!DOCTYPE x [<!ENTITY a \"b\">]>" PAGE("false", CONTENTS("p/&a;", "1")),
        "<a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a></a></a></a></a></a></a></a></a></a></a></a></a></a></"
        "a></a></a></"
        "a></a>",
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(pages); i++) {
        struct s3_listing l;
        struct err e;
        assert_ok(s3_listing_init(&l, "p/", "", "", &e), &e);
        assert_error(read_page(&l, pages[i], &e), &e, ERR_REMOTE);
        s3_listing_release(&l);
    }
}

static int list_two_pages(void *context, struct err *e)
{
    struct s3_listing l;
    const char *query = NULL;
    char out[200] = "";
    bool more = false;
    (void)context;
    int rc = s3_listing_init(&l, "p/", "0/", "", e);
    for (int page = 0; rc == 0 && page < 2; page++) {
        static const char *const pages[] = {PAGE("true", CONTENTS("p/0/1", "5")),
                                            PAGE("false", CONTENTS("p/0/2", "6"))};
        struct http_response r = {.status = 200,
                                  .body = {.data = (uint8_t *)(uintptr_t)pages[page], .len = strlen(pages[page])}};
        rc = s3_listing_query(&l, &query, e);
        if (rc == 0)
            rc = s3_listing_read_page(&l, &r, e);
        if (rc == 0)
            rc = s3_listing_deliver(&l, collect, out, &more, e);
    }
    if (rc == 0)
        assert_string_equal(out, "0/1:5 0/2:6 ");
    s3_listing_release(&l);
    return rc;
}

static void each_allocation_of_a_listing_fails_once(void **state)
{
    (void)state;
    assert_each_allocation_fails_once(list_two_pages, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(pages_follow_each_other_by_token_or_by_the_last_key),
        UNIT(keys_ascend_by_bytes_or_by_paths_from_the_first_page_to_the_last),
        UNIT(keys_that_no_object_can_have_are_counted_at_the_end),
        UNIT(a_listing_without_end_is_an_error),
        UNIT(a_malformed_page_is_an_error_and_not_a_short_listing),
        UNIT(each_allocation_of_a_listing_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
