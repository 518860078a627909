/* s3/folders.h: pages of a list of folders, and the rules that it must obey. */
#include "failing_alloc.h"

#include "s3/folders.h"

static int read_page(struct s3_folders *f, const char *text, struct err *e)
{
    struct http_response r = {.status = 200, .body = BUF_INIT(100000)};
    assert_int_equal(buf_append(&r.body, text, strlen(text), e), 0);
    int rc = s3_folders_read_page(f, &r, e);
    http_response_release(&r);
    return rc;
}

static int collect(void *context, const char *name)
{
    char *out = context;
    snprintf(out + strlen(out), 200 - strlen(out), "[%s]", name);
    return 0;
}

#define FOLDER(name) "<CommonPrefixes><Prefix>" name "</Prefix></CommonPrefixes>"
#define OBJECT(key) "<Contents><Key>" key "</Key><Size>1</Size></Contents>"
#define NEXT(token) "<NextContinuationToken>" token "</NextContinuationToken>"
#define PAGE(truncated, more)                                                                                          \
    "<ListBucketResult xmlns=\"x\"><IsTruncated>" truncated "</IsTruncated>" more "</ListBucketResult>"
#define ENCODED "<EncodingType>url</EncodingType>"

/* Reads the pages of a list below "p/" up to the first error. Returns its code, or ERR_NONE. `out`: what was
 * delivered. */
static enum err_code list_pages(const char *const *pages, size_t count, char out[200], struct err *e)
{
    struct s3_folders f;
    bool more = true;
    int rc = 0;
    s3_folders_init(&f, "p/");
    out[0] = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        assert_true(more);
        rc = read_page(&f, pages[i], e);
        if (rc == 0)
            rc = s3_folders_deliver(&f, collect, out, &more, e);
    }
    assert_true(rc || !more);
    s3_folders_release(&f);
    return rc ? e->code : ERR_NONE;
}

static void assert_page(const char *page, const char *expected)
{
    char out[200];
    struct err e;
    assert_int_equal(list_pages(&page, 1, out, &e), ERR_NONE);
    assert_string_equal(out, expected);
}

static void assert_page_fails(const char *page, enum err_code code)
{
    char out[200];
    struct err e;
    assert_int_equal(list_pages(&page, 1, out, &e), code);
}

static void pages_follow_each_other_by_token_only(void **state)
{
    struct s3_folders f;
    struct err e;
    const char *query = NULL;
    char out[200] = "";
    bool more = false;
    (void)state;
    s3_folders_init(&f, "a b/");
    assert_ok(s3_folders_query(&f, &query, &e), &e);
    assert_string_equal(query, "delimiter=%2F&encoding-type=url&list-type=2&max-keys=1000&prefix=a%20b%2F");
    assert_error(read_page(&f, PAGE("true", FOLDER("a b/x/")), &e), &e, ERR_REMOTE);
    assert_contains(e.msg, "does not advance");
    assert_ok(read_page(&f, PAGE("true", NEXT("t+") OBJECT("a b/o") FOLDER("a b/x/")), &e), &e);
    assert_ok(s3_folders_deliver(&f, collect, out, &more, &e), &e);
    assert_true(more);
    assert_ok(s3_folders_query(&f, &query, &e), &e);
    assert_string_equal(
        query, "continuation-token=t%2B&delimiter=%2F&encoding-type=url&list-type=2&max-keys=1000&prefix=a%20b%2F");
    assert_error(read_page(&f, PAGE("true", NEXT("t+") FOLDER("a b/y/")), &e), &e, ERR_REMOTE);
    assert_ok(read_page(&f, PAGE("false", FOLDER("a b/y/")), &e), &e);
    assert_ok(s3_folders_deliver(&f, collect, out, &more, &e), &e);
    assert_false(more);
    assert_string_equal(out, "[x][y][]");
    s3_folders_release(&f);
}

static void names_are_decoded_if_the_page_says_that_they_are_encoded(void **state)
{
    (void)state;
    assert_page(PAGE("false", FOLDER("p/a%2Bb+c%01%C3%BC/") ENCODED), "[a+b c\x01\xc3\xbc]");
    assert_page(PAGE("false", FOLDER("p/a%2Bb+c/")), "[a%2Bb+c]");
    assert_page_fails(PAGE("false", FOLDER("p/a%2/") ENCODED), ERR_REMOTE);
    assert_page_fails(PAGE("false", FOLDER("p/a%00b/") ENCODED), ERR_REMOTE);
    assert_page_fails(PAGE("false", FOLDER("p/a%zz/") ENCODED), ERR_REMOTE);
}

static void what_no_folder_can_be_named_is_counted(void **state)
{
    static char page[4000], name[2000];
    (void)state;
    assert_page(PAGE("false", FOLDER("p//") FOLDER("p/a/")), "[a][]");
    assert_page(PAGE("false", FOLDER("p/a%2Fb/") ENCODED), "[]"); /* more than one folder */
    assert_page(PAGE("false", FOLDER("p/a")), "[]");
    assert_page(PAGE("false", FOLDER("p/../") FOLDER("p/./")), "[..][.]"); /* the caller checks what a name can be */
    memset(name, 'n', STORE_FOLDER_MAX - 1);
    snprintf(page, sizeof page, PAGE("false", FOLDER("p/%s/")), name);
    const char *const longest = page;
    char out[200];
    struct err e;
    assert_int_equal(list_pages(&longest, 1, out, &e), ERR_NONE);
    assert_int_equal(out[1], 'n');
    name[STORE_FOLDER_MAX - 1] = 'n';
    snprintf(page, sizeof page, PAGE("false", FOLDER("p/%s/")), name);
    assert_page(page, "[]");
}

static void a_malformed_page_is_an_error_and_not_a_short_list(void **state)
{
    (void)state;
    assert_page_fails("", ERR_REMOTE);
    assert_page_fails("<html><body>Welcome</body></html>", ERR_REMOTE);
    assert_page_fails("<ListBucketResult><IsTruncated>false</IsTruncated>" FOLDER("p/a/"), ERR_REMOTE);
    assert_page_fails("<ListBucketResult></ListBucketResult>", ERR_REMOTE);
    assert_page_fails(PAGE("false", FOLDER("other/a/")), ERR_REMOTE);
}

static void a_list_without_end_is_an_error(void **state)
{
    static char page[400];
    struct s3_folders f;
    struct err e;
    bool more = true;
    char out[200] = "";
    unsigned n = 0;
    (void)state;
    s3_folders_init(&f, "p/");
    for (;; n++) {
        snprintf(page, sizeof page, PAGE("true", NEXT("%u")), n);
        assert_true(more && n < 100000);
        assert_ok(read_page(&f, page, &e), &e);
        if (s3_folders_deliver(&f, collect, out, &more, &e))
            break;
    }
    assert_int_equal(n, S3_LISTING_PAGES_MAX - 1);
    assert_true(e.code == ERR_LIMIT);
    s3_folders_release(&f);
}

static int list_two_pages(void *context, struct err *e)
{
    static const char *const pages[] = {PAGE("true", NEXT("t") FOLDER("p/a/")), PAGE("false", FOLDER("p/b/"))};
    struct s3_folders f;
    const char *query = NULL;
    char out[200] = "";
    bool more = false;
    int rc = 0;
    (void)context;
    s3_folders_init(&f, "p/");
    for (int page = 0; rc == 0 && page < 2; page++) {
        struct http_response r = {.status = 200,
                                  .body = {.data = (uint8_t *)(uintptr_t)pages[page], .len = strlen(pages[page])}};
        rc = s3_folders_query(&f, &query, e);
        if (rc == 0)
            rc = s3_folders_read_page(&f, &r, e);
        if (rc == 0)
            rc = s3_folders_deliver(&f, collect, out, &more, e);
    }
    if (rc == 0)
        assert_string_equal(out, "[a][b]");
    s3_folders_release(&f);
    return rc;
}

static void each_allocation_of_a_list_fails_once(void **state)
{
    (void)state;
    assert_each_allocation_fails_once(list_two_pages, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(pages_follow_each_other_by_token_only),  UNIT(names_are_decoded_if_the_page_says_that_they_are_encoded),
        UNIT(what_no_folder_can_be_named_is_counted), UNIT(a_malformed_page_is_an_error_and_not_a_short_list),
        UNIT(a_list_without_end_is_an_error),         UNIT(each_allocation_of_a_list_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
