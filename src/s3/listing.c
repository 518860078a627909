/* s3/listing.c */
#include "s3/listing.h"

#include "aws/xml.h"
#include "base/when.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BARREN_PAGES_MAX 1000 /* in a row */
#define QUERY_MAX (3 * (S3_TOKEN_MAX + S3_PREFIX_MAX + S3_KEY_MAX) + 256)

enum { BY_BYTES = 1, BY_PATHS = 2 }; /* of s3_progress.orders */

static const char hint_wrong_server[] =
    "nothing of this listing was used; copy the bucket into a folder with another program, and use that folder";
static const char hint_too_many[] = "check that this is the place of one replica; give each replica its own prefix";

int s3_listing_init(struct s3_listing *l, const char *root, const char *prefix, const char *start_after, struct err *e)
{
    *l = (struct s3_listing){.root = root, .query = BUF_INIT(QUERY_MAX), .done.orders = BY_BYTES | BY_PATHS};
    int n = snprintf(l->prefix, sizeof l->prefix, "%s%s", root, prefix);
    int k = snprintf(l->start_after, sizeof l->start_after, "%s", start_after);
    if (n < 0 || n >= (int)sizeof l->prefix || k < 0 || k >= (int)sizeof l->start_after)
        return err_set(e, ERR_LIMIT, 0, "prefix is too long");
    memcpy(l->done.last, l->start_after, sizeof l->start_after);
    l->entries = malloc(S3_PAGE_KEYS_MAX * sizeof *l->entries);
    return l->entries ? 0 : err_nomem(e, S3_PAGE_KEYS_MAX * sizeof *l->entries);
}

void s3_listing_release(struct s3_listing *l)
{
    free(l->entries);
    l->entries = NULL;
    buf_release(&l->query);
}

static int add(struct buf *b, const char *name, const char *before, const char *value, struct err *e)
{
    return buf_append(b, name, strlen(name), e) || http_encode(b, before, HTTP_ENCODE_ALL, e) ||
                   http_encode(b, value, HTTP_ENCODE_ALL, e)
               ? -1
               : 0;
}

int s3_listing_query(struct s3_listing *l, const char **ret_query, struct err *e)
{
    struct buf *q = &l->query;
    q->len = 0;
    if (l->token[0] && add(q, "continuation-token=", "", l->token, e))
        return -1;
    if (add(q, l->token[0] ? "&list-type=2&max-keys=1000&prefix=" : "list-type=2&max-keys=1000&prefix=", "", l->prefix,
            e))
        return -1;
    if (!l->token[0] && l->done.last[0] && add(q, "&start-after=", l->root, l->done.last, e))
        return -1;
    if (buf_append(q, "", 1, e))
        return -1;
    *ret_query = (const char *)q->data;
    return 0;
}

/* ---- the order of keys */

static int path_rank(char c)
{
    return c == 0 ? 0 : c == '/' ? 1 : (unsigned char)c + 1;
}

static int compare_paths(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return path_rank(*a) - path_rank(*b);
}

/* Takes the next key of the page into the order. */
static int follow(struct s3_progress *p, const char *key, struct err *e)
{
    const int by_bytes = strcmp(p->last, key), by_paths = compare_paths(p->last, key);
    if (p->keys > 0)
        p->orders &= (unsigned)((by_bytes < 0 ? BY_BYTES : 0) | (by_paths < 0 ? BY_PATHS : 0));
    if (!p->orders) {
        if (by_bytes == 0)
            err_set(e, ERR_REMOTE, 0, "the listing does not advance: it has '%.200s' twice", key);
        else
            err_set(e, ERR_REMOTE, 0, "the listing does not advance: '%.200s' comes after '%.200s'", key, p->last);
        return err_hint(e, hint_wrong_server);
    }
    memcpy(p->last, key, strlen(key) + 1);
    p->keys++;
    return 0;
}

/* ---- a page */

static int read_key(struct s3_listing *l, const char *text, struct err *e)
{
    if (strncmp(text, l->prefix, strlen(l->prefix)) != 0)
        return err_set(e, ERR_REMOTE, 0, "the listing has keys without the prefix");
    text += strlen(l->root);
    if (strlen(text) >= sizeof l->key)
        return err_set(e, ERR_REMOTE, 0, "the listing has a key of over %d bytes", S3_KEY_MAX - 1);
    if (!*text && !l->root[0])
        return err_set(e, ERR_REMOTE, 0, "the listing has an object without a key");
    memcpy(l->key, text, strlen(text) + 1);
    return 0;
}

static int read_text(void *context, const char *path, const char *text, struct err *e)
{
    struct s3_listing *l = context;
    char *end = NULL;
    if (strcmp(path, "ListBucketResult/Contents/Key") == 0)
        return read_key(l, text, e);
    if (strcmp(path, "ListBucketResult/Contents/Size") == 0) {
        l->entry.size = strtoull(text, &end, 10);
        if (end == text || *end)
            return err_set(e, ERR_REMOTE, 0, "the listing has a size that is not a number");
    } else if (strcmp(path, "ListBucketResult/Contents/LastModified") == 0) {
        if (!when_parse(text, 0, &l->entry.time_ms))
            l->entry.time_ms = 0;
    } else if (strcmp(path, "ListBucketResult/Contents/ETag") == 0) {
        snprintf(l->entry.etag, sizeof l->entry.etag, "%s", text);
    } else if (strcmp(path, "ListBucketResult/IsTruncated") == 0) {
        l->truncated = strcmp(text, "true") == 0;
        l->understood = true;
    } else if (strcmp(path, "ListBucketResult/NextContinuationToken") == 0) {
        if (strlen(text) >= sizeof l->next_token)
            return err_set(e, ERR_REMOTE, 0, "the listing has a continuation token of over %d bytes", S3_TOKEN_MAX);
        snprintf(l->next_token, sizeof l->next_token, "%s", text);
    }
    return 0;
}

static int read_end(void *context, const char *path, struct err *e)
{
    struct s3_listing *l = context;
    if (strcmp(path, "ListBucketResult/Contents") != 0)
        return 0;
    if (l->page.keys - l->done.keys == S3_PAGE_KEYS_MAX)
        return err_set(e, ERR_REMOTE, 0, "the listing has pages of over %d keys", S3_PAGE_KEYS_MAX);
    if (follow(&l->page, l->key, e))
        return -1;
    if (l->key[0] && strlen(l->key) < sizeof l->entry.key) {
        memcpy(l->entry.key, l->key, strlen(l->key) + 1);
        l->entries[l->count++] = l->entry;
    } else {
        l->page.strange++;
    }
    l->entry = (struct s3_listed){.size = 0};
    l->key[0] = 0;
    return 0;
}

int s3_listing_read_page(void *context, const struct http_response *r, struct err *e)
{
    struct s3_listing *l = context;
    struct xml_visitor v = {.text = read_text, .end = read_end, .context = l};
    l->page = l->done;
    l->count = 0;
    l->truncated = l->understood = false;
    l->next_token[0] = l->key[0] = 0;
    l->entry = (struct s3_listed){.size = 0};
    if (xml_read(r->body.data, r->body.len, &v, e))
        return -1;
    return l->understood ? 0 : err_set(e, ERR_REMOTE, r->status, "HTTP %d without a listing", r->status);
}

/* ---- from page to page */

/* Checks that the page leads to another one, or is the last one. */
static int check_progress(struct s3_listing *l, struct err *e)
{
    const bool barren = l->page.keys == l->done.keys;
    l->barren = barren ? l->barren + 1 : 0;
    l->pages++;
    if (!l->truncated)
        return 0;
    if (l->page.keys > STORE_LIST_MAX || l->pages >= S3_LISTING_PAGES_MAX) {
        err_set(e, ERR_LIMIT, 0, "the listing does not end: %u pages with %" PRIu64 " keys were read", l->pages,
                l->page.keys);
        return err_hint(e, hint_too_many);
    }
    if (!barren)
        return 0;
    if (!l->next_token[0])
        err_set(e, ERR_REMOTE, 0, "the listing does not advance: a page is empty, and does not say what follows");
    else if (strcmp(l->next_token, l->token) == 0)
        err_set(e, ERR_REMOTE, 0, "the listing does not advance: a page is empty, and leads to itself");
    else if (l->barren > BARREN_PAGES_MAX)
        err_set(e, ERR_REMOTE, 0, "the listing does not advance: %u pages in a row are empty", l->barren);
    else
        return 0;
    return err_hint(e, hint_wrong_server);
}

int s3_listing_deliver(struct s3_listing *l, store_entry_fn *fn, void *context, bool *ret_more, struct err *e)
{
    static const struct store_entry strange = {.key = ""};
    assert(l->understood); /* a page was read */
    if (check_progress(l, e))
        return -1;
    *ret_more = false;
    for (size_t i = 0; i < l->count; i++) {
        const struct s3_listed *f = &l->entries[i];
        const struct store_entry entry = {
            .key = f->key, .size = f->size, .time_ms = f->time_ms, .etag = f->etag[0] ? f->etag : NULL};
        if (strcmp(f->key, l->start_after) > 0 && fn(context, &entry))
            return 0;
    }
    for (uint64_t i = 0; !l->truncated && i < l->page.strange; i++)
        if (fn(context, &strange))
            return 0;
    *ret_more = l->truncated;
    l->done = l->page;
    memcpy(l->token, l->next_token, sizeof l->token); /* without a token the next page begins after the last key */
    return 0;
}
