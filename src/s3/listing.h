/* s3/listing.h - ListObjectsV2, page by page. Knows no network.
 *
 * Keys come in ascending byte order, each once: a page that is cut, that is not in order, or that repeats what was there and does
 * not advance is an error. What a page repeats of the one before is dropped. */
#ifndef SEAWALL_S3_LISTING_H
#define SEAWALL_S3_LISTING_H

#include "base/store.h"
#include "http/http.h"
#include "s3/config.h"

#define S3_PAGE_BYTES_MAX (4u << 20)
#define S3_PAGE_KEYS_MAX 1000
#define S3_TOKEN_MAX 4096

struct s3_listing {
    const char *root;                           /* prefix of the store, borrowed */
    char prefix[S3_PREFIX_MAX + STORE_KEY_MAX]; /* of the listing, with the root */
    char last[STORE_KEY_MAX]; /* the greatest key so far, without the root; the next page begins after it */
    char token[S3_TOKEN_MAX]; /* "": none */
    struct buf query;

    struct s3_listed { /* the page that was read last */
        char key[STORE_KEY_MAX];
        uint64_t size;
        int64_t time_ms;
    } * entries, entry; /* `entry`: being read */
    size_t count;
    bool truncated, understood, skip; /* skip: the entry is not one of ours */
    unsigned barren;                  /* pages in a row that did not advance */
    char next_token[S3_TOKEN_MAX];
};

int s3_listing_init(struct s3_listing *l, const char *root, const char *prefix, const char *start_after,
                    struct err *e) MUST_CHECK;
void s3_listing_release(struct s3_listing *l);

/* Of the next page; valid until the next call. */
int s3_listing_query(struct s3_listing *l, const char **ret_query, struct err *e) MUST_CHECK;

/* Reads an answer into `l` (the `context`), in place of the page before. ERR_REMOTE: no whole page. */
int s3_listing_read_page(void *context, const struct http_response *r, struct err *e) MUST_CHECK;

/* Hands the page over. ERR_REMOTE: it does not advance. */
int s3_listing_deliver(struct s3_listing *l, store_entry_fn *fn, void *context, bool *ret_more,
                       struct err *e) MUST_CHECK;

#endif
