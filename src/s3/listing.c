/* s3/listing.c */
#include "s3/listing.h"

#include "aws/xml.h"
#include "base/when.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BARREN_PAGES_MAX 1000 /* in a row: all keys of others, or filtered by the server */
#define QUERY_MAX (3 * (S3_TOKEN_MAX + S3_PREFIX_MAX + STORE_KEY_MAX) + 256)

int s3_listing_init(struct s3_listing *l, const char *root, const char *prefix, const char *start_after, struct err *e)
{
    *l = (struct s3_listing){.root = root, .query = BUF_INIT(QUERY_MAX)};
    int n = snprintf(l->prefix, sizeof l->prefix, "%s%s", root, prefix);
    int k = snprintf(l->last, sizeof l->last, "%s", start_after);
    if (n < 0 || n >= (int)sizeof l->prefix || k < 0 || k >= (int)sizeof l->last)
        return err_set(e, ERR_LIMIT, 0, "prefix is too long");
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
    if (!l->token[0] && l->last[0] && add(q, "&start-after=", l->root, l->last, e))
        return -1;
    if (buf_append(q, "", 1, e))
        return -1;
    *ret_query = (const char *)q->data;
    return 0;
}

/* ---- a page */

static int read_text(void *context, const char *path, const char *text, struct err *e)
{
    struct s3_listing *l = context;
    size_t root = strlen(l->root);
    char *end = NULL;
    if (strcmp(path, "ListBucketResult/Contents/Key") == 0) {
        if (strncmp(text, l->prefix, strlen(l->prefix)) != 0)
            return err_set(e, ERR_REMOTE, 0, "the listing has keys without the prefix");
        l->skip = strlen(text + root) >= sizeof l->entry.key; /* too long for a key of a store */
        snprintf(l->entry.key, sizeof l->entry.key, "%s", text + root);
    } else if (strcmp(path, "ListBucketResult/Contents/Size") == 0) {
        l->entry.size = strtoull(text, &end, 10);
        if (end == text || *end)
            return err_set(e, ERR_REMOTE, 0, "the listing has a size that is not a number");
    } else if (strcmp(path, "ListBucketResult/Contents/LastModified") == 0) {
        if (!when_parse(text, 0, &l->entry.time_ms))
            l->entry.time_ms = 0;
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
    if (!l->skip) {
        if (!l->entry.key[0] && !l->root[0])
            return err_set(e, ERR_REMOTE, 0, "the listing has an object without a key");
        if (l->count == S3_PAGE_KEYS_MAX)
            return err_set(e, ERR_REMOTE, 0, "the listing has pages of over %d keys", S3_PAGE_KEYS_MAX);
        if (l->count && strcmp(l->entries[l->count - 1].key, l->entry.key) >= 0)
            return err_set(e, ERR_REMOTE, 0, "the listing is not in order");
        l->entries[l->count++] = l->entry;
    }
    l->entry = (struct s3_listed){.size = 0};
    l->skip = false;
    return 0;
}

int s3_listing_read_page(void *context, const struct http_response *r, struct err *e)
{
    struct s3_listing *l = context;
    struct xml_visitor v = {.text = read_text, .end = read_end, .context = l};
    l->count = 0;
    l->truncated = l->understood = l->skip = false;
    l->next_token[0] = 0;
    l->entry = (struct s3_listed){.size = 0};
    if (xml_read(r->body.data, r->body.len, &v, e))
        return -1;
    return l->understood ? 0 : err_set(e, ERR_REMOTE, r->status, "HTTP %d without a listing", r->status);
}

int s3_listing_deliver(struct s3_listing *l, store_entry_fn *fn, void *context, bool *ret_more, struct err *e)
{
    bool advanced = false;
    assert(l->understood); /* a page was read */
    for (size_t i = 0; i < l->count; i++) {
        const struct s3_listed *f = &l->entries[i];
        struct store_entry entry = {.key = f->key, .size = f->size, .time_ms = f->time_ms};
        if (strcmp(f->key, l->last) <= 0)
            continue;
        advanced = true;
        memcpy(l->last, f->key, sizeof l->last);
        if (fn(context, &entry)) {
            *ret_more = false;
            return 0;
        }
    }
    *ret_more = l->truncated;
    bool another = l->next_token[0] && strcmp(l->next_token, l->token) != 0 && ++l->barren <= BARREN_PAGES_MAX;
    if (advanced)
        l->barren = 0;
    if (l->truncated && !advanced && !another)
        return err_set(e, ERR_REMOTE, 0, "the listing does not advance after '%s'", l->last);
    memcpy(l->token, l->next_token, sizeof l->token); /* without a token the next page begins after the last key */
    return 0;
}
