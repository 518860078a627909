/* s3/listing.h - the queries and pages of ListObjectsV2. Knows no network.
 *
 * A server may be wrong or hostile, so what it lists is checked:
 *   - Keys strictly ascend, within a page and from page to page. So no key comes twice, and each page with keys leads
 *     on. Two orders count: by bytes, as S3 specifies it; and by paths, as servers over a file system list (SeaweedFS:
 *     "a/b" before "a-b"), where '/' comes before all other bytes. A listing must keep to one of the two. The keys that
 *     a replica can have are in the same order by both. Servers that list in no order at all are refused, among them
 *     S3 directory buckets.
 *   - A page without keys must name a continuation token other than the one that led to it. Some servers send such
 *     pages while they skip deleted objects. At most a thousand in a row are read.
 *   - A listing ends: after STORE_LIST_MAX keys or S3_LISTING_PAGES_MAX pages it is an error.
 * A listing that breaks these rules is an error, and never shorter than what is there. */
#ifndef SEAWALL_S3_LISTING_H
#define SEAWALL_S3_LISTING_H

#include "base/store.h"
#include "http/http.h"
#include "s3/config.h"

#define S3_PAGE_BYTES_MAX (4u << 20)
#define S3_PAGE_KEYS_MAX 1000
#define S3_TOKEN_MAX 4096
#define S3_KEY_MAX 1025            /* of any object in a bucket, with NUL */
#define S3_LISTING_PAGES_MAX 11000 /* STORE_LIST_MAX keys in full pages, and a thousand more pages */

#define S3_ETAG_MAX 48 /* an MD5 in hex, quotes, and the count of parts */

struct s3_listing {
    const char *root;                           /* prefix of the store; borrowed */
    char prefix[S3_PREFIX_MAX + STORE_KEY_MAX]; /* of the listing, with the root */
    char start_after[STORE_KEY_MAX];
    char token[S3_TOKEN_MAX]; /* continuation token of the next query; "": none */
    struct buf query;         /* the last query */
    struct s3_progress {
        char last[S3_KEY_MAX]; /* the last key, without the root; without a token the next page begins after it */
        uint64_t keys;
        uint64_t strange; /* keys that no object of a store can have: too long, or nothing but the prefix */
        unsigned orders;  /* that the keys keep to */
    } done, page;         /* done: of the delivered pages. page: with the page that was read last */
    unsigned pages;       /* delivered */
    unsigned barren;      /* of them, the last ones, without keys */

    struct s3_listed { /* of the page that was read last; without strange ones */
        char key[STORE_KEY_MAX];
        uint64_t size;
        int64_t time_ms;
        char etag[S3_ETAG_MAX]; /* cut if it is longer */
    } *entries, entry;          /* `entry`: the one that is being read */
    size_t count;
    char key[S3_KEY_MAX]; /* of the one that is being read */
    bool truncated;       /* there are more pages */
    bool understood;      /* the answer is a listing */
    char next_token[S3_TOKEN_MAX];
};

/* Begins a listing of the keys below `root` that begin with `prefix`, after `start_after`. The caller releases `l`
 * in every case. ERR_LIMIT: too long together. ERR_NOMEM. */
int s3_listing_init(struct s3_listing *l, const char *root, const char *prefix, const char *start_after,
                    struct err *e) MUST_CHECK;
void s3_listing_release(struct s3_listing *l);

/* Makes the query of the next page; valid until the next call. */
int s3_listing_query(struct s3_listing *l, const char **ret_query, struct err *e) MUST_CHECK;

/* Reads a response into `context`, a struct s3_listing, in place of the page that was read before. May be called again
 * for the same page. ERR_REMOTE: not a whole page, or it breaks the rules above. */
int s3_listing_read_page(void *context, const struct http_response *r, struct err *e) MUST_CHECK;

/* Delivers the page that was read last, and after the last one an entry with an empty key for each strange key.
 * ret_more: there is another page to read. ERR_REMOTE: the page has no keys and leads nowhere. ERR_LIMIT: the listing
 * has no end. */
int s3_listing_deliver(struct s3_listing *l, store_entry_fn *fn, void *context, bool *ret_more,
                       struct err *e) MUST_CHECK;

#endif
