/* s3/folders.h - the queries and pages of ListObjectsV2 with a delimiter: what is directly below a prefix, and not what
 * is deeper. Knows no network.
 *
 * Names below a prefix can be those of others. So they are asked for with encoding-type=url: XML has no way to write
 * control characters. A server that does not know that parameter does not say EncodingType, and its names count as they
 * are.
 *
 * A server may be wrong or hostile, so that the list ends and is never short:
 *   - A page that is truncated must name a continuation token other than the one that led to it. A list with a
 *     delimiter can't go on after a name: the server would begin with the keys below that name.
 *   - After STORE_LIST_MAX names, or S3_LISTING_PAGES_MAX pages, it is an error. */
#ifndef SEAWALL_S3_FOLDERS_H
#define SEAWALL_S3_FOLDERS_H

#include "s3/listing.h"

struct s3_folders {
    const char *root; /* prefix of the store; borrowed */
    char token[S3_TOKEN_MAX], next_token[S3_TOKEN_MAX];
    struct buf query; /* the last query */
    struct buf texts; /* of the page that was read last: its common prefixes as they came, each with a NUL */
    bool encoded;     /* the page says that its names are URL-encoded */
    bool truncated;   /* there are more pages */
    bool understood;  /* the answer is a listing */
    uint64_t strange; /* objects of the page */
    uint64_t names, others;
    unsigned pages; /* delivered */
};

/* Begins a list of what is directly below `root`, which is "" or ends with '/'. The caller releases `f`. */
void s3_folders_init(struct s3_folders *f, const char *root);
void s3_folders_release(struct s3_folders *f);

/* Makes the query of the next page; valid until the next call. ERR_NOMEM. */
int s3_folders_query(struct s3_folders *f, const char **ret_query, struct err *e) MUST_CHECK;

/* Reads a response into `context`, a struct s3_folders, in place of the page that was read before. May be called again
 * for the same page. ERR_REMOTE: not a whole page, or it breaks the rules above. */
int s3_folders_read_page(void *context, const struct http_response *r, struct err *e) MUST_CHECK;

/* Delivers the names of the page that was read last, and after the last page "" for each other thing. ret_more: there
 * is another page to read. ERR_REMOTE, ERR_LIMIT. */
int s3_folders_deliver(struct s3_folders *f, store_folder_fn *fn, void *context, bool *ret_more,
                       struct err *e) MUST_CHECK;

#endif
