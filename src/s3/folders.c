/* s3/folders.c */
#include "s3/folders.h"

#include "aws/xml.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define QUERY_MAX (3 * (S3_TOKEN_MAX + S3_PREFIX_MAX) + 256)

void s3_folders_init(struct s3_folders *f, const char *root)
{
    size_t n = strlen(root);
    assert(n == 0 || root[n - 1] == '/');
    *f = (struct s3_folders){
        .root = root, .query = BUF_INIT(QUERY_MAX), .texts = BUF_INIT(S3_PAGE_BYTES_MAX + S3_PAGE_KEYS_MAX)};
}

void s3_folders_release(struct s3_folders *f)
{
    buf_release(&f->query);
    buf_release(&f->texts);
}

static int add(struct buf *b, const char *name, const char *value, struct err *e)
{
    return buf_append(b, name, strlen(name), e) || http_encode(b, value, HTTP_ENCODE_ALL, e) ? -1 : 0;
}

int s3_folders_query(struct s3_folders *f, const char **ret_query, struct err *e)
{
    static const char rest[] = "&encoding-type=url&list-type=2&max-keys=1000&prefix=";
    struct buf *q = &f->query;
    q->len = 0;
    if (f->token[0] && (add(q, "continuation-token=", f->token, e) || buf_append(q, "&", 1, e)))
        return -1;
    if (add(q, "delimiter=", "/", e) || add(q, rest, f->root, e) || buf_append(q, "", 1, e))
        return -1;
    *ret_query = (const char *)q->data;
    return 0;
}

/* ---- a page */

static int read_text(void *context, const char *path, const char *text, struct err *e)
{
    struct s3_folders *f = context;
    if (strcmp(path, "ListBucketResult/CommonPrefixes/Prefix") == 0)
        return buf_append(&f->texts, text, strlen(text) + 1, e);
    if (strcmp(path, "ListBucketResult/Contents/Key") == 0) {
        f->strange++;
    } else if (strcmp(path, "ListBucketResult/EncodingType") == 0) {
        f->encoded = strcmp(text, "url") == 0;
    } else if (strcmp(path, "ListBucketResult/IsTruncated") == 0) {
        f->truncated = strcmp(text, "true") == 0;
        f->understood = true;
    } else if (strcmp(path, "ListBucketResult/NextContinuationToken") == 0) {
        if (strlen(text) >= sizeof f->next_token)
            return err_set(e, ERR_REMOTE, 0, "the listing has a continuation token of over %d bytes", S3_TOKEN_MAX);
        snprintf(f->next_token, sizeof f->next_token, "%s", text);
    }
    return 0;
}

int s3_folders_read_page(void *context, const struct http_response *r, struct err *e)
{
    struct s3_folders *f = context;
    const struct xml_visitor v = {.text = read_text, .context = f};
    f->texts.len = 0;
    f->strange = 0;
    f->encoded = f->truncated = f->understood = false;
    f->next_token[0] = 0;
    if (xml_read(r->body.data, r->body.len, &v, e))
        return -1;
    if (!f->understood)
        return err_set(e, ERR_REMOTE, r->status, "HTTP %d without a listing", r->status);
    if (f->truncated && (!f->next_token[0] || strcmp(f->next_token, f->token) == 0))
        return err_set(e, ERR_REMOTE, 0, "the list of folders does not advance: a page does not say what follows");
    return 0;
}

/* ---- names */

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes a text in place, as forms are encoded: '+' is a blank. False: it has %XX that is not one byte, or is %00. */
static bool decode(char *text)
{
    char *to = text;
    for (const char *at = text; *at; at++) {
        if (*at == '%') {
            int high = digit(at[1]), low = high >= 0 ? digit(at[2]) : -1;
            if (low < 0 || high + low == 0)
                return false;
            *to++ = (char)(high << 4 | low);
            at += 2;
        } else {
            *to++ = *at == '+' ? ' ' : *at;
        }
    }
    *to = 0;
    return true;
}

/* The name in a common prefix: what is after the root and before the last slash. NULL: no folder has this name. */
static const char *name_of(const struct s3_folders *f, char *text, struct err *e)
{
    const size_t root = strlen(f->root);
    if ((f->encoded && !decode(text)) || strncmp(text, f->root, root) != 0) {
        err_set(e, ERR_REMOTE, 0, "the listing has folders without the prefix");
        return NULL;
    }
    char *name = text + root;
    const size_t n = strlen(name);
    if (n < 2 || n > STORE_FOLDER_MAX || name[n - 1] != '/')
        return "";
    name[n - 1] = 0;
    return strchr(name, '/') ? "" : name;
}

static int deliver_names(struct s3_folders *f, store_folder_fn *fn, void *context, bool *ret_ended, struct err *e)
{
    char *at = (char *)f->texts.data, *end = at ? at + f->texts.len : NULL;
    *ret_ended = false;
    while (at < end && !*ret_ended) {
        char *text = at;
        at += strlen(at) + 1;
        const char *name = name_of(f, text, e);
        if (!name)
            return -1;
        f->names++;
        f->others += !*name;
        *ret_ended = *name && fn(context, name);
    }
    return 0;
}

int s3_folders_deliver(struct s3_folders *f, store_folder_fn *fn, void *context, bool *ret_more, struct err *e)
{
    bool ended = false;
    assert(f->understood); /* a page was read */
    *ret_more = false;
    if (deliver_names(f, fn, context, &ended, e))
        return -1;
    f->others += f->strange;
    f->pages++;
    if (ended)
        return 0;
    if (f->truncated && (f->names + f->others > STORE_LIST_MAX || f->pages >= S3_LISTING_PAGES_MAX))
        return err_set(e, ERR_LIMIT, 0, "the list of folders does not end: %u pages with %" PRIu64 " names were read",
                       f->pages, f->names);
    for (uint64_t i = 0; !f->truncated && i < f->others; i++)
        if (fn(context, ""))
            return 0;
    *ret_more = f->truncated;
    memcpy(f->token, f->next_token, sizeof f->token);
    return 0;
}
