/* s3/listing.h, s3/folders.h and s3/config.h: any bytes are a page of a listing, or an error; any text is an s3:// URL,
 * or an error. */
#include "fuzz_listing.h"

#include "aws/xml.h"
#include "s3/config.h"
#include "s3/folders.h"
#include "s3/listing.h"

#include <string.h>

const struct fuzz_bounds fuzz_bounds = {.inputs = 50000, .megasteps = 2, .megabytes = 8};

size_t fuzz_seed(unsigned index, uint8_t *out, size_t cap)
{
    static const char *const texts[] = {
        "<?xml version=\"1.0\"?><ListBucketResult "
        "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name><Prefix>p/</Prefix>"
        "<KeyCount>2</KeyCount><IsTruncated>true</IsTruncated><NextContinuationToken>1/2+3==</"
        "NextContinuationToken><Contents><Key>"
        "p/0/0000000000000001</Key><LastModified>2026-11-20T18:46:55.700Z</LastModified><ETag>&quot;x&quot;</"
        "ETag><Size>42</Size>"
        "</Contents><Contents><Key>p/0/0000000000000002&amp;</Key><Size>0</Size></Contents></ListBucketResult>",
        "<ListBucketResult><IsTruncated>false</IsTruncated><EncodingType>url</EncodingType><Contents><Key>p/x</Key>"
        "</Contents><CommonPrefixes><Prefix>p/a%2Bb+c/</Prefix></CommonPrefixes><CommonPrefixes><Prefix>p/../</Prefix>"
        "</CommonPrefixes></ListBucketResult>",
        "<Error><Code>NoSuchKey</Code><Message>no &#x27;key&#x27;</Message><Region>eu-west-1</Region></Error>",
        "<a:Error xmlns:a=\"x\"><a:Code>SlowDown</a:Code></a:Error>",
        ("s3://my.bucket/a%20b/c?endpoint=https://h:9000/x&region=r-1&timeout=30s&header=a:b%26c&addressing=vhost"
         "&object-lock-mode=GOVERNANCE&object-lock-days=5&sse=aws:kms&sse-kms-key-id=k"),
        ("s3://b/c?sign-payload=no&content-md5=no&conditional=off&bucket-key=no&ca-file=/x&storage-class=Y"
         "&profile=nobody"),
    };
    if (index >= COUNT_OF(texts) || strlen(texts[index]) > cap)
        return 0;
    memcpy(out, texts[index], strlen(texts[index]));
    return strlen(texts[index]);
}

static void as_page(const uint8_t *data, size_t size)
{
    struct s3_listing l;
    struct err e = {.code = ERR_NONE};
    struct http_response r = {.status = 200, .body = BUF_INIT(FUZZ_INPUT_MAX)};
    struct seen_keys seen = {.count = 0};
    const char *query = NULL;
    bool more = false;
    FUZZ_CHECK(buf_append(&r.body, data, size, &e) == 0 && s3_listing_init(&l, "p/", "", "", &e) == 0);
    for (int page = 0; page < 2; page++) { /* the same page a second time is an error: the listing does not advance */
        if (s3_listing_read_page(&l, &r, &e)) {
            FUZZ_CHECK(e.code == ERR_REMOTE);
            break;
        }
        if (s3_listing_deliver(&l, check_listed, &seen, &more, &e)) {
            FUZZ_CHECK(e.code == ERR_REMOTE);
            break;
        }
        FUZZ_CHECK(page == 0 || !more);
        FUZZ_CHECK(s3_listing_query(&l, &query, &e) == 0 && strlen(query) > 10);
    }
    s3_listing_release(&l);
    http_response_release(&r);
}

static int check_folder(void *context, const char *name)
{
    (void)context;
    FUZZ_CHECK(strlen(name) < STORE_FOLDER_MAX && !strchr(name, '/'));
    return 0;
}

static void as_folders(const uint8_t *data, size_t size)
{
    struct s3_folders f;
    struct err e = {.code = ERR_NONE};
    struct http_response r = {.status = 200, .body = BUF_INIT(FUZZ_INPUT_MAX)};
    const char *query = NULL;
    bool more = false;
    FUZZ_CHECK(buf_append(&r.body, data, size, &e) == 0);
    s3_folders_init(&f, "p/");
    if (s3_folders_read_page(&f, &r, &e) == 0 && s3_folders_deliver(&f, check_folder, NULL, &more, &e) == 0) {
        FUZZ_CHECK(s3_folders_query(&f, &query, &e) == 0 && strlen(query) > 10);
        FUZZ_CHECK(!more || s3_folders_read_page(&f, &r, &e)); /* the same page again does not advance */
    }
    FUZZ_CHECK(e.code == ERR_NONE || e.code == ERR_REMOTE);
    s3_folders_release(&f);
    http_response_release(&r);
}

static void as_error(const uint8_t *data, size_t size)
{
    char code[20];
    memset(code, 'x', sizeof code);
    xml_find(data, size, "Error/Code", code, sizeof code);
    FUZZ_CHECK(memchr(code, 0, sizeof code));
}

static void as_url(const uint8_t *data, size_t size)
{
    static const char scheme[] = "s3://";
    struct s3_config c;
    struct err e = {.code = ERR_NONE};
    char shown[1024], *url = malloc(size + sizeof scheme);
    FUZZ_CHECK(url);
    bool has_scheme = size >= 5 && memcmp(data, scheme, 5) == 0;
    size_t at = has_scheme ? 0 : 5;
    memcpy(url, scheme, 5);
    if (size)
        memcpy(url + at, data, size);
    url[at + size] = 0;
    if (s3_config_parse(url, &c, &e)) {
        FUZZ_CHECK(e.code == ERR_CONFIG || e.code == ERR_LIMIT);
    } else {
        size_t n = strlen(c.prefix);
        FUZZ_CHECK(strlen(c.bucket) >= 3 && (n == 0 || c.prefix[n - 1] == '/'));
        if (s3_config_show(&c, shown, sizeof shown, &e) == 0)
            FUZZ_CHECK(!strchr(shown, '\n') && strlen(shown) < sizeof shown);
        s3_config_release(&c);
    }
    free(url);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    as_page(data, size);
    as_folders(data, size);
    as_error(data, size);
    as_url(data, size);
    return 0;
}
