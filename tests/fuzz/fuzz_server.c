/* s3/s3.h: with any answers of a server an operation of the store ends, and its result is one that base/store.h allows.
 * The first byte is the operation; then come the answers (fuzz_http.h). */
#include "fuzz_http.h" /* first: it has a clock of its own */

#include "fuzz_listing.h"

#include "base/clock.h"
#include "storage/open.h"

const struct fuzz_bounds fuzz_bounds = {.inputs = 20000, .megasteps = 40, .megabytes = 16};

enum { LIST, READ, TAIL, PUT, REMOVE, REMOVE_ALL, TIME, PROBE, OPERATIONS };

#define DATE "Date: Sat, 28 Nov 2026 18:46:55 GMT\n"

size_t fuzz_seed(unsigned index, uint8_t *out, size_t cap)
{
    static const struct {
        uint8_t op, status;
        const char *headers, *body;
    } seeds[] = {
        {LIST, 0, DATE,
         "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>t</"
         "NextContinuationToken><Contents><Key>p/0/1</Key>"
         "<LastModified>2026-11-20T18:46:55.700Z</LastModified><Size>42</Size></Contents></ListBucketResult>"},
        {LIST, 0, DATE, "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"},
        {READ, 1, DATE "Content-Range: bytes 0-9/100\nETag: \"x\"\n", "0123456789"},
        {READ, 0, DATE "ETag: \"x\"\n", "0123456789"},
        {TAIL, 1, DATE "content-range: bytes 90-99/100\n", "0123456789"},
        {TAIL, 5, DATE "Content-Range: bytes */5\n", "<Error><Code>InvalidRange</Code></Error>"},
        {PUT, 0, DATE "ETag: \"e2fc714c4727ee9395f324cd2e7f331f\"\n", ""},
        {PUT, 4, DATE, "<Error><Code>PreconditionFailed</Code></Error>"},
        {PUT, 13, DATE, "<Error><Code>NotImplemented</Code></Error>"},
        {REMOVE, 15, DATE, ""},
        {REMOVE_ALL, 0, DATE,
         "<DeleteResult><Deleted><Key>p/a</Key></Deleted><Error><Key>p/b</Key><Code>AccessDenied</Code><Message>m</"
         "Message></Error></DeleteResult>"},
        {TIME, 0, DATE, ""},
        {PROBE, 4, DATE, ""},
        {READ, 14, "Retry-After: 3\n" DATE, "<Error><Code>SlowDown</Code></Error>"},
        {READ, 7, "Date: Sat, 28 Nov 2020 18:46:55 GMT\n", "<Error><Code>RequestTimeTooSkewed</Code></Error>"},
        {READ, 8, "x-amz-bucket-region: eu-west-1\n",
         "<Error><Code>PermanentRedirect</Code><Region>eu-west-1</Region></Error>"},
        {READ, 6, DATE, "<Error><Code>ExpiredToken</Code><Message>m</Message></Error>"},
        {READ, 3, DATE, "<Error><Code>NoSuchKey</Code></Error>"},
    };
    (void)cap;
    if (index >= 2 * COUNT_OF(seeds))
        return 0;
    size_t i = index / 2, n = 1;
    out[0] = seeds[i].op;
    if (index % 2) /* after an answer that makes the client try again */
        n = seed_answer(out, n, 12, DATE, "<Error><Code>InternalError</Code></Error>");
    n = seed_answer(out, n, seeds[i].status, seeds[i].headers, seeds[i].body);
    return seed_answer(out, n, 0, DATE, "");
}

static int operate(struct store *s, uint8_t op, struct err *e)
{
    static const char *const keys[] = {"a", "b"};
    struct seen_keys seen = {.count = 0};
    uint8_t bytes[10];
    int64_t time_ms = -1;
    uint64_t size = UINT64_MAX;
    struct buf tail = BUF_INIT(1 << 16);
    int rc = 0;
    switch (op) {
    case LIST:
        return store_list(s, "", "", check_listed, &seen, e);
    case READ:
        return store_read(s, "0/1", 0, bytes, sizeof bytes, e);
    case TAIL:
        rc = store_read_tail(s, "0/1", 10, &tail, &size, e);
        FUZZ_CHECK(rc != 0 || (tail.len <= 10 && size != UINT64_MAX && tail.len <= size));
        buf_release(&tail);
        return rc;
    case PUT:
        return store_put_new(s, "0/1", "data", 4, &time_ms, e);
    case REMOVE:
        return store_remove(s, "a", e);
    case REMOVE_ALL:
        return store_remove_all(s, keys, COUNT_OF(keys), e);
    case TIME:
        rc = store_time(s, &time_ms, e);
        FUZZ_CHECK(rc != 0 || time_ms >= 0);
        return rc;
    default:
        return store_probe(s, "seawall.json", "data", 4, e);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct store *s = NULL;
    struct err e = {.code = ERR_NONE};
    fuzz_requests = 0;
    fuzz_answers = (struct slice){data, size};
    uint8_t op = slice_byte(&fuzz_answers) % OPERATIONS;
    setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI", 1);
    FUZZ_CHECK(store_open("s3://bucket/p?endpoint=http://127.0.0.1:9&region=x&timeout=5s", STORE_WRITE, &s, &e) == 0);
    if (operate(s, op, &e))
        FUZZ_CHECK(e.code != ERR_NONE && e.msg[0] && e.code != ERR_IO && e.code != ERR_NOMEM);
    store_close(s);
    return 0;
}
