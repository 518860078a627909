/* aws/sigv4.h: the canonical request, the signing key and the signature of each published example. */
#include "unit.h"

#include "aws/sigv4.h"

#define SECRET "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define MAY_24_2013 INT64_C(1369353600000)
#define AUGUST_30_2015 INT64_C(1440938160000)

static const struct sigv4_scope s3_scope = {.access_key = "AKIAIOSFODNN7EXAMPLE",
                                            .secret_key = SECRET,
                                            .region = "us-east-1",
                                            .service = "s3",
                                            .time_ms = MAY_24_2013};
static const struct sigv4_scope suite_scope = {.access_key = "AKIDEXAMPLE",
                                               .secret_key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                                               .region = "us-east-1",
                                               .service = "service",
                                               .time_ms = AUGUST_30_2015};

struct vector {
    const struct sigv4_scope *scope;
    struct sigv4_target target;
    const char *headers[8]; /* name, value, name, value, ..., without x-amz-date */
    const char *request_sha256, *signature;
};

static const struct vector vectors[] = {
    {&s3_scope,
     {"GET", "/test.txt", "", SIGV4_EMPTY_SHA256},
     {"Host", "examplebucket.s3.amazonaws.com", "Range", "bytes=0-9", "x-amz-content-sha256", SIGV4_EMPTY_SHA256},
     "7344ae5b7ee6c3e7e6b0fe0640412a37625d1fbfff95c48bbb2dc43964946972",
     "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
    {&s3_scope,
     {"PUT", "/test%24file.text", "", "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"},
     {"Date", "Fri, 24 May 2013 00:00:00 GMT", "Host", "examplebucket.s3.amazonaws.com", "x-amz-content-sha256",
      "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072", "x-amz-storage-class", "REDUCED_REDUNDANCY"},
     "9e0e90d9c76de8fa5b200d8c849cd5b8dc7a3be3951ddb7f6a76b4158342019d",
     "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
    {&s3_scope,
     {"GET", "/", "lifecycle", SIGV4_EMPTY_SHA256},
     {"Host", "examplebucket.s3.amazonaws.com", "x-amz-content-sha256", SIGV4_EMPTY_SHA256},
     "9766c798316ff2757b517bc739a67f6213b4ab36dd5da2f94eaebf79c77395ca",
     "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
    {&s3_scope,
     {"GET", "/", "prefix=J&max-keys=2", SIGV4_EMPTY_SHA256},
     {"Host", "examplebucket.s3.amazonaws.com", "x-amz-content-sha256", SIGV4_EMPTY_SHA256},
     "df57d21db20da04d7fa30298dd4488ba3a2b47ca3a489c74750e0f1e7df1b9b7",
     "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
    {&suite_scope,
     {"GET", "/", "Param2=value2&Param1=value1", SIGV4_EMPTY_SHA256},
     {"Host", "example.amazonaws.com"},
     "816cd5b414d056048ba4f7c5386d6e0533120fb1fcfa93762cf0fc39e2cf19e0",
     "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
    {&suite_scope,
     {"GET", "/", "", SIGV4_EMPTY_SHA256},
     {"Host", "example.amazonaws.com", "My-Header1", " value1", "My-Header2", " \"a   b   c\""},
     "a726db9b0df21c14f559d0a978e563112acb1b9e05476f0a6a1c7d68f28605c7",
     "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
    {&suite_scope,
     {"POST", "/", "", SIGV4_EMPTY_SHA256},
     {"Host", "example.amazonaws.com", "X-Amz-Security-Token",
      "AQoDYXdzEPT//////////"
      "wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/"
      "qkPpKPi/"
      "kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+"
      "xo0rKwT38x"
      "Vqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="},
     "c237e1b440d4c63c32ca95b5b99481081cb7b13c7e40434868e71567c1a882f6",
     "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"},
};

static void add_all(struct http_headers *h, const char *const *pairs)
{
    struct err e;
    for (size_t i = 0; i < 8 && pairs[i]; i += 2)
        assert_ok(http_headers_add(h, pairs[i], pairs[i + 1], &e), &e);
}

static const char *last_header(const struct http_headers *h, const char *name)
{
    const char *line = (const char *)h->text.data, *end = line + h->text.len, *found = NULL;
    for (; line < end; line += strlen(line) + 1)
        if (strncmp(line, name, strlen(name)) == 0)
            found = line;
    return found;
}

static void sha256_hex(const struct buf *b, char out[SIGV4_HEX])
{
    struct err e;
    struct digest d;
    assert_ok(digest_of(b->data, b->len, &d, &e), &e);
    hex_encode(d.bytes, DIGEST_BYTES, out);
}

static void every_published_request_gets_its_published_signature(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(vectors); i++) {
        const struct vector *v = &vectors[i];
        struct http_headers h = HTTP_HEADERS_INIT;
        struct buf request = BUF_INIT(100000), names = BUF_INIT(1000);
        struct sigv4_key key = {0};
        struct err e;
        char hex[SIGV4_HEX];
        add_all(&h, v->headers);
        assert_ok(sigv4_sign(v->scope, &v->target, &key, &h, &e), &e);
        const char *authorization = last_header(&h, "authorization: ");
        assert_non_null(authorization);
        assert_contains(authorization, v->signature);
        assert_contains(authorization, "AWS4-HMAC-SHA256 Credential=AKI");
        assert_ok(sigv4_canonical_request(&v->target, &h, &request, &names, &e), &e);
        sha256_hex(&request, hex);
        assert_string_equal(hex, v->request_sha256);
        buf_release(&request);
        buf_release(&names);
        http_headers_release(&h);
    }
}

static void the_signing_key_is_the_published_one_and_follows_day_and_secret(void **state)
{
    struct sigv4_key key = {0}, other;
    struct sigv4_scope scope = s3_scope;
    struct err e;
    char hex[SIGV4_HEX];
    (void)state;
    assert_ok(sigv4_key_make(&scope, &key, &e), &e);
    hex_encode(key.key.bytes, DIGEST_BYTES, hex);
    assert_string_equal(hex, "dbb893acc010964918f1fd433add87c70e8b0db6be30c1fbeafefa5ec6ba8378");
    other = key;
    scope.time_ms += 86400000 - 1;
    assert_ok(sigv4_key_make(&scope, &other, &e), &e);
    assert_true(digest_equal(&other.key, &key.key));
    scope.time_ms++;
    assert_ok(sigv4_key_make(&scope, &other, &e), &e);
    assert_false(digest_equal(&other.key, &key.key));
    scope.time_ms = MAY_24_2013;
    assert_ok(sigv4_key_make(&scope, &other, &e), &e);
    assert_true(digest_equal(&other.key, &key.key));
    scope.secret_key = "another";
    assert_ok(sigv4_key_make(&scope, &other, &e), &e);
    assert_false(digest_equal(&other.key, &key.key));
}

static void sign_text(const char *text, const char *wanted)
{
    struct sigv4_key key = {0};
    struct err e;
    char hex[SIGV4_HEX];
    assert_ok(sigv4_key_make(&s3_scope, &key, &e), &e);
    assert_ok(sigv4_signature(&key, text, strlen(text), hex, &e), &e);
    assert_string_equal(hex, wanted);
}

/* In a presigned URL the query has all parameters, and the payload is not signed. */
static void a_presigned_request_gets_its_published_signature(void **state)
{
    struct http_headers h = HTTP_HEADERS_INIT;
    struct buf request = BUF_INIT(100000), names = BUF_INIT(1000);
    struct sigv4_target target = {
        "GET", "/test.txt",
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%"
        "2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host",
        SIGV4_UNSIGNED};
    struct err e;
    char hex[SIGV4_HEX], text[512];
    (void)state;
    assert_ok(http_headers_add(&h, "host", "examplebucket.s3.amazonaws.com", &e), &e);
    assert_ok(sigv4_canonical_request(&target, &h, &request, &names, &e), &e);
    sha256_hex(&request, hex);
    snprintf(text, sizeof text, "AWS4-HMAC-SHA256\n20130524T000000Z\n20130524/us-east-1/s3/aws4_request\n%s", hex);
    sign_text(text, "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
    buf_release(&request);
    buf_release(&names);
    http_headers_release(&h);
}

static void the_chunks_of_a_streaming_upload_get_their_published_signatures(void **state)
{
    static const char *const signatures[] = {"4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
                                             "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
                                             "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
                                             "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"};
    static const size_t sizes[] = {0, 65536, 1024, 0};
    /* The seed signature of this example covers content-length too. */
    static const char seed[] =
        "PUT\n/examplebucket/"
        "chunkObject.txt\n\ncontent-encoding:aws-chunked\ncontent-length:66824\nhost:s3.amazonaws.com\n"
        "x-amz-content-sha256:STREAMING-AWS4-HMAC-SHA256-PAYLOAD\nx-amz-date:20130524T000000Z\n"
        "x-amz-decoded-content-length:66560\nx-amz-storage-class:REDUCED_REDUNDANCY\n\ncontent-encoding;content-length;"
        "host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class\n"
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
    char body[65536], text[1024], hex[SIGV4_HEX];
    struct digest d;
    struct err e;
    (void)state;
    assert_ok(digest_of(seed, strlen(seed), &d, &e), &e);
    hex_encode(d.bytes, DIGEST_BYTES, hex);
    snprintf(text, sizeof text, "AWS4-HMAC-SHA256\n20130524T000000Z\n20130524/us-east-1/s3/aws4_request\n%s", hex);
    sign_text(text, signatures[0]);
    memset(body, 'a', sizeof body);
    for (size_t i = 1; i < COUNT_OF(sizes); i++) {
        assert_ok(digest_of(body, sizes[i], &d, &e), &e);
        hex_encode(d.bytes, DIGEST_BYTES, hex);
        snprintf(text, sizeof text,
                 "AWS4-HMAC-SHA256-PAYLOAD\n20130524T000000Z\n20130524/us-east-1/s3/aws4_request\n%s\n%s\n%s",
                 signatures[i - 1], SIGV4_EMPTY_SHA256, hex);
        sign_text(text, signatures[i]);
    }
}

static void parameters_and_headers_are_sorted_name_by_name(void **state)
{
    struct http_headers h = HTTP_HEADERS_INIT;
    struct buf request = BUF_INIT(100000), names = BUF_INIT(1000);
    struct sigv4_target target = {"GET", "/a", "b=2&a-b=1&a=1&a=0&uploads", "hash"};
    struct err e;
    (void)state;
    assert_ok(http_headers_add(&h, "x-amz-meta-a-b", "1", &e), &e);
    assert_ok(http_headers_add(&h, "X-Amz-Meta-A", "  2   3  ", &e), &e);
    assert_ok(http_headers_add(&h, "Host", "h:80", &e), &e);
    assert_ok(http_headers_add(&h, "Content-Length", "5", &e), &e);
    assert_ok(http_headers_add(&h, "User-Agent", "x", &e), &e);
    assert_ok(sigv4_canonical_request(&target, &h, &request, &names, &e), &e);
    assert_ok(buf_append(&request, "", 1, &e), &e);
    assert_string_equal((char *)request.data,
                        "GET\n/a\na=0&a=1&a-b=1&b=2&uploads=\nhost:h:80\nx-amz-meta-a:2 3\nx-amz-meta-a-b:1\n\n"
                        "host;x-amz-meta-a;x-amz-meta-a-b\nhash");
    buf_release(&request);
    buf_release(&names);
    http_headers_release(&h);
}

static void text_is_encoded_once_and_unreserved_characters_stay(void **state)
{
    static const struct {
        const char *text, *all, *path;
    } cases[] = {{"a b+c", "a%20b%2Bc", "a%20b%2Bc"},
                 {"%41", "%2541", "%2541"},
                 {"\xc3\xa9\xe2\x98\x83", "%C3%A9%E2%98%83", "%C3%A9%E2%98%83"},
                 {"~-._", "~-._", "~-._"},
                 {"=&;", "%3D%26%3B", "%3D%26%3B"},
                 {"'()*!", "%27%28%29%2A%21", "%27%28%29%2A%21"},
                 {"a//b/./..", "a%2F%2Fb%2F.%2F..", "a//b/./.."},
                 {"@:$,", "%40%3A%24%2C", "%40%3A%24%2C"},
                 {"?#", "%3F%23", "%3F%23"},
                 {"", "", ""}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        for (int path = 0; path < 2; path++) {
            struct buf b = BUF_INIT(1000);
            struct err e;
            assert_ok(http_encode(&b, cases[i].text, path ? HTTP_ENCODE_KEEP_SLASH : HTTP_ENCODE_ALL, &e), &e);
            assert_ok(buf_append(&b, "", 1, &e), &e);
            assert_string_equal((char *)b.data, path ? cases[i].path : cases[i].all);
            buf_release(&b);
        }
}

static void a_header_with_a_line_break_is_refused(void **state)
{
    struct http_headers h = HTTP_HEADERS_INIT;
    struct err e;
    (void)state;
    assert_error(http_headers_add(&h, "x", "a\r\nevil: 1", &e), &e, ERR_CONFIG);
    assert_error(http_headers_add(&h, "x y", "a", &e), &e, ERR_CONFIG);
    assert_error(http_headers_add(&h, "", "a", &e), &e, ERR_CONFIG);
    assert_int_equal(h.count, 0);
    http_headers_release(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(every_published_request_gets_its_published_signature),
        UNIT(the_signing_key_is_the_published_one_and_follows_day_and_secret),
        UNIT(a_presigned_request_gets_its_published_signature),
        UNIT(the_chunks_of_a_streaming_upload_get_their_published_signatures),
        UNIT(parameters_and_headers_are_sorted_name_by_name),
        UNIT(text_is_encoded_once_and_unreserved_characters_stay),
        UNIT(a_header_with_a_line_break_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
