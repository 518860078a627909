/* s3/listing.h - the queries and pages of ListObjectsV2. Knows no network.
 *
 * Delivers keys in ascending byte order, each once. A page that is cut, not in order, or does not advance is an
 * error. Keys that a page repeats from the page before are dropped. */
#ifndef SEAWALL_S3_LISTING_H
#define SEAWALL_S3_LISTING_H

#include "base/store.h"
#include "http/http.h"
#include "s3/config.h"

#define S3_PAGE_BYTES_MAX (4u << 20)
#define S3_PAGE_KEYS_MAX 1000
#define S3_TOKEN_MAX 4096

struct s3_listing {
    const char *root;                           /* prefix of the store; borrowed */
    char prefix[S3_PREFIX_MAX + STORE_KEY_MAX]; /* of the listing, with the root */
    char last[STORE_KEY_MAX]; /* the greatest key so far, without the root; the next page begins after it */
    char token[S3_TOKEN_MAX]; /* continuation token of the next query; "": none */
    struct buf query;         /* the last query */

    struct s3_listed { /* of the page that was read last */
        char key[STORE_KEY_MAX];
        uint64_t size;
        int64_t time_ms;
    } * entries, entry; /* `entry`: the one that is being read */
    size_t count;
    bool truncated;  /* there are more pages */
    bool understood; /* the answer is a listing */
    bool skip;       /* the entry's key is too long for a key of a store */
    unsigned barren; /* pages in a row that did not advance */
    char next_token[S3_TOKEN_MAX];
};

/* Begins a listing of the keys below `root` that begin with `prefix`, after `start_after`. The caller releases `l`
 * in every case. ERR_LIMIT: too long together. ERR_NOMEM. */
int s3_listing_init(struct s3_listing *l, const char *root, const char *prefix, const char *start_after,
                    struct err *e) MUST_CHECK;
void s3_listing_release(struct s3_listing *l);

/* Makes the query of the next page; valid until the next call. */
int s3_listing_query(struct s3_listing *l, const char **ret_query, struct err *e) MUST_CHECK;

/* Reads a response into `context`, a struct s3_listing, in place of the page before. ERR_REMOTE: not a whole page,
 * or not in order. */
int s3_listing_read_page(void *context, const struct http_response *r, struct err *e) MUST_CHECK;

/* Delivers the page. ret_more: there is another page to read. ERR_REMOTE: the page does not advance. */
int s3_listing_deliver(struct s3_listing *l, store_entry_fn *fn, void *context, bool *ret_more,
                       struct err *e) MUST_CHECK;

#endif
