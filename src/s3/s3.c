/* s3/s3.c */
#include "s3/s3.h"

#include "base/container.h"
#include "s3/client.h"
#include "s3/deletion.h"
#include "s3/folders.h"
#include "s3/listing.h"
#include "s3/properties.h"
#include "s3/race.h"
#include "s3/rules.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ATTEMPTS_WRITE 4         /* the daemon repeats an operation by itself */
#define ATTEMPTS_READ 10         /* nothing repeats a read of a restore */
#define CLOCK_KEY "seawall.json" /* any key gets a response with a Date, whether it exists or not */
#define NO_CONDITION "the server does not know If-None-Match"

struct s3_store {
    struct store base;
    struct s3_client *client;
};

static struct s3_client *client(const struct store *s)
{
    return ((const struct s3_store *)(const void *)s)->client;
}

static int perform(struct store *s, struct s3_op *op, struct s3_outcome *o, struct err *e)
{
    op->cancel = op->once ? op->cancel : s->cancel;
    op->retrying = s->retrying;
    return s3_perform(client(s), op, o, e);
}

static int unexpected(const struct s3_outcome *o, struct err *e)
{
    return err_set(e, ERR_REMOTE, o->response.status, "unexpected HTTP status %d", o->response.status);
}

/* Returns 0 if the object exists, else ERR_NOTFOUND or another error. */
static int found(const struct s3_outcome *o, struct err *e)
{
    if (o->verdict == S3_MISSING)
        return err_set(e, ERR_NOTFOUND, 404, "no such object");
    return o->verdict == S3_DONE ? 0 : unexpected(o, e);
}

/* ---- read */

/* Reads Content-Range: "bytes 0-9/100". False: there is none, or it is malformed. */
static bool content_range(const struct http_response *r, uint64_t *ret_first, uint64_t *ret_size)
{
    static const char unit[] = "bytes ";
    const char *value = http_header(r, "content-range");
    char *at = NULL, *size = NULL, *end = NULL;
    if (!value || strncmp(value, unit, sizeof unit - 1) != 0)
        return false;
    *ret_first = strtoull(value + sizeof unit - 1, &at, 10);
    uint64_t last = *at == '-' ? strtoull(at + 1, &size, 10) : 0;
    *ret_size = size && *size == '/' ? strtoull(size + 1, &end, 10) : 0;
    return end && end > size + 1 && *end == 0 && last >= *ret_first && last < *ret_size;
}

/* MinIO's answer to a range of an empty object: 206 without bytes, and "bytes 0--1/0". */
static bool is_empty_range(const struct http_response *r)
{
    const char *value = http_header(r, "content-range"), *size = value ? strrchr(value, '/') : NULL;
    return r->status == 206 && r->body.len == 0 && size && strcmp(size, "/0") == 0;
}

struct wanted {
    uint64_t offset;
    size_t n;
    const atomic_bool *cancel; /* of a read that is tried once; NULL: it is not */
};

/* Checks that the response has the requested bytes, or as many of them as the object has. */
static int check_range(void *context, const struct http_response *r, struct err *e)
{
    const struct wanted *w = context;
    uint64_t first = 0, size = 0;
    if (r->status == 200 && http_header(r, "etag") && w->offset == 0 && r->body.len <= w->n)
        return 0; /* the server ignores Range, but the range is the whole object, or more */
    if (r->into_len == 0 && is_empty_range(r))
        return 0;
    if (r->status != 206 || !content_range(r, &first, &size))
        return err_set(e, ERR_REMOTE, r->status, "the server ignores Range");
    uint64_t there = size > w->offset ? size - w->offset : 0;
    if (first != w->offset || r->into_len != (there < w->n ? there : w->n))
        return err_set(e, ERR_REMOTE, r->status, "the server sent %zu bytes at %" PRIu64 " in place of %zu at %" PRIu64,
                       r->into_len, first, w->n, w->offset);
    return 0;
}

static struct s3_op get_op(const char *key, const char *range,
                           int (*check)(void *, const struct http_response *, struct err *), void *context)
{
    return (struct s3_op){.kind = S3_GET,
                          .method = "GET",
                          .key = key,
                          .range = range,
                          .flags = S3_OP_SSE_C,
                          .check = check,
                          .context = context};
}

static int read_wanted(struct store *s, const char *key, struct wanted w, void *out, struct err *e)
{
    char range[64];
    const size_t n = w.n;
    struct s3_outcome o;
    struct s3_op op = get_op(key, range, check_range, &w);
    op.into = out;
    op.into_max = n;
    op.once = w.cancel != NULL;
    op.cancel = w.cancel;
    if (n == 0)
        return 0;
    snprintf(range, sizeof range, "bytes=%" PRIu64 "-%" PRIu64, w.offset, w.offset + n - 1);
    int rc = perform(s, &op, &o, e);
    size_t got = o.response.status == 200 ? o.response.body.len : o.response.into_len;
    if (rc == 0 && (o.verdict == S3_RANGE || (o.verdict == S3_DONE && got < n)))
        rc = err_set(e, ERR_CORRUPT, 0, "the object ends before byte %" PRIu64, w.offset + n);
    else if (rc == 0)
        rc = found(&o, e);
    if (rc == 0 && o.response.status == 200)
        memcpy(out, o.response.body.data, n);
    s3_outcome_release(&o);
    return rc;
}

static int s3_read(struct store *s, const char *key, uint64_t offset, void *out, size_t n, struct err *e)
{
    const struct wanted w = {.offset = offset, .n = n};
    return read_wanted(s, key, w, out, e);
}

static int s3_try_read(struct store *s, const char *key, void *out, size_t n, const atomic_bool *cancel, struct err *e)
{
    const struct wanted w = {.n = n, .cancel = cancel};
    return read_wanted(s, key, w, out, e);
}

/* Checks that the response has the end of the object, and its size. */
static int check_tail(void *context, const struct http_response *r, struct err *e)
{
    const size_t *n = context;
    uint64_t first = 0, size = 0;
    if ((r->status == 200 && http_header(r, "etag")) || is_empty_range(r))
        return 0; /* the whole object; a response 200 without an ETag is the page of a proxy */
    if (r->status != 206 || !content_range(r, &first, &size) || size - first != r->body.len ||
        r->body.len != (size < *n ? size : *n))
        return err_set(e, ERR_REMOTE, r->status, "the server sent another range");
    return 0;
}

static int take_tail(const struct s3_outcome *o, size_t n, struct buf *out, uint64_t *ret_size, struct err *e)
{
    uint64_t first = 0, size = o->response.body.len;
    size_t len = o->response.body.len < n ? o->response.body.len : n;
    if (o->response.status == 206 && !is_empty_range(&o->response))
        content_range(&o->response, &first, &size);
    if (buf_append(out, len ? o->response.body.data + o->response.body.len - len : (const void *)"", len, e))
        return -1;
    *ret_size = size;
    return 0;
}

/* Reads a size in digits. False: `text` is NULL or is not a size. */
static bool parse_size(const char *text, uint64_t *ret_size)
{
    size_t n = text ? strlen(text) : 0;
    if (n == 0 || n > 18 || strspn(text, "0123456789") != n)
        return false;
    *ret_size = strtoull(text, NULL, 10);
    return true;
}

static int head_size(struct store *s, const char *key, uint64_t *ret_size, struct err *e)
{
    struct s3_outcome o;
    struct s3_op op = {.kind = S3_HEAD, .method = "HEAD", .key = key, .flags = S3_OP_SSE_C};
    int rc = perform(s, &op, &o, e);
    if (rc == 0)
        rc = found(&o, e);
    if (rc == 0 && !parse_size(http_header(&o.response, "content-length"), ret_size))
        rc = err_set(e, ERR_REMOTE, o.response.status, "HEAD does not say the size of the object");
    s3_outcome_release(&o);
    return rc;
}

/* After 416. AWS sends it for an empty object, which has no last bytes. Other servers send it for each object with
 * fewer bytes than `n`. So this asks for the size, and reads from the first byte to the last. `said`: the response 416,
 * which can have "Content-Range: bytes ...", a star, a slash and the size. */
static int read_by_size(struct store *s, const char *key, size_t n, const struct http_response *said, struct buf *out,
                        uint64_t *ret_size, struct err *e)
{
    const char *range = http_header(said, "content-range");
    uint64_t size = 0;
    bool known = range && strncmp(range, "bytes */", 8) == 0 && parse_size(range + 8, &size);
    if (!known && head_size(s, key, &size, e))
        return -1;
    size_t len = size < n ? (size_t)size : n, before = out->len;
    if (len > 0 && (buf_reserve(out, len, e) || s3_read(s, key, size - len, out->data + before, len, e)))
        return -1;
    out->len = before + len;
    *ret_size = size;
    return 0;
}

static int s3_read_tail(struct store *s, const char *key, size_t n, struct buf *out, uint64_t *ret_size, struct err *e)
{
    char range[64];
    struct s3_outcome o;
    struct s3_op op = get_op(key, range, check_tail, &n);
    op.body_max = n;
    snprintf(range, sizeof range, "bytes=-%zu", n);
    int rc = perform(s, &op, &o, e);
    if (rc == 0 && o.verdict == S3_RANGE)
        rc = read_by_size(s, key, n, &o.response, out, ret_size, e);
    else if (rc == 0)
        rc = found(&o, e) ? -1 : take_tail(&o, n, out, ret_size, e);
    s3_outcome_release(&o);
    return rc;
}

/* ---- put */

/* A PUT has succeeded if the response 2xx has an ETag. The page of a proxy has none. */
static int check_put(void *context, const struct http_response *r, struct err *e)
{
    (void)context;
    return http_header(r, "etag")
               ? 0
               : err_set(e, ERR_REMOTE, r->status, "HTTP %d without an ETag: the outcome is unknown", r->status);
}

/* Compares the object at `key` with `bytes`. */
static int is_what_we_sent(struct store *s, const char *key, const void *bytes, size_t n, bool *ret_same, struct err *e)
{
    struct buf there = BUF_INIT(n + 1);
    uint64_t size = 0;
    *ret_same = false;
    int rc = s3_read_tail(s, key, n + 1, &there, &size, e);
    if (rc == 0)
        *ret_same = size == n && there.len == n && (n == 0 || memcmp(there.data, bytes, n) == 0);
    buf_release(&there);
    return rc;
}

static int s3_confirm(struct store *s, const char *key, struct err *e)
{
    struct s3_outcome o;
    struct s3_op op = {.kind = S3_HEAD, .method = "HEAD", .key = key, .flags = S3_OP_SSE_C};
    if (!s3_properties_asked(s3_client_config(client(s))))
        return 0;
    int rc = perform(s, &op, &o, e);
    if (rc == 0)
        rc = found(&o, e);
    if (rc == 0)
        rc = s3_properties_check(s3_client_config(client(s)), &o.response, e);
    s3_outcome_release(&o);
    return rc;
}

static int already_there(struct err *e)
{
    return err_set(e, ERR_EXISTS, 412, "the object exists already");
}

static int become_weak(struct store *s, const char *why, struct err *e)
{
    if (s3_client_config(client(s))->conditional == S3_CONDITIONAL_REQUIRE) {
        err_set(e, ERR_CONFIG, 0, "%s", why);
        return err_hint(
            e, "conditional=require refuses this store, since two writers could overwrite each other; use another "
               "store, or conditional=auto");
    }
    s->fencing = STORE_FENCING_WEAK;
    return 0;
}

/* Puts without If-None-Match: looks for the key first. Only another look afterwards shows whether another writer
 * put the same key in between. */
static int put_weakly(struct store *s, struct s3_op *op, int64_t *ret_time_ms, struct err *e)
{
    struct s3_outcome o;
    if (become_weak(s, "PUT is not exclusive", e)) /* refused by conditional=require */
        return -1;
    struct s3_op head = {.kind = S3_HEAD, .method = "HEAD", .key = op->key, .flags = S3_OP_SSE_C};
    int rc = perform(s, &head, &o, e);
    bool there = rc == 0 && o.verdict == S3_DONE;
    if (rc == 0)
        *ret_time_ms = o.time_ms;
    if (rc == 0 && !there && o.verdict != S3_MISSING)
        rc = unexpected(&o, e);
    s3_outcome_release(&o);
    if (rc != 0)
        return rc;
    if (there)
        return already_there(e);
    op->flags &= ~(unsigned)S3_OP_IF_NONE_MATCH;
    rc = perform(s, op, &o, e);
    if (rc == 0 && o.verdict != S3_DONE)
        rc = unexpected(&o, e);
    if (rc == 0)
        *ret_time_ms = o.time_ms;
    s3_outcome_release(&o);
    return rc;
}

static struct s3_op put_op(const char *key, const void *bytes, size_t n)
{
    const bool probe = strncmp(key, STORE_PROBE_PREFIX, strlen(STORE_PROBE_PREFIX)) == 0;
    return (struct s3_op){.kind = S3_PUT,
                          .method = "PUT",
                          .key = key,
                          .body = n ? bytes : "",
                          .body_len = n,
                          .flags = S3_OP_NEW_OBJECT | S3_OP_SSE_C | S3_OP_IF_NONE_MATCH | (probe ? S3_OP_UNLOCKED : 0u),
                          .check = check_put};
}

static int s3_put_new(struct store *s, const char *key, const void *bytes, size_t n, int64_t *ret_time_ms,
                      struct err *e)
{
    struct s3_outcome o;
    struct s3_op op = put_op(key, bytes, n);
    bool same = false;
    if (s->fencing == STORE_FENCING_WEAK)
        return put_weakly(s, &op, ret_time_ms, e);
    int rc = perform(s, &op, &o, e);
    if (rc == 0 && o.verdict == S3_UNSUPPORTED &&
        s->fencing != STORE_FENCING_STRONG) { /* another thread can have made it weak meanwhile */
        s3_outcome_release(&o);
        return become_weak(s, NO_CONDITION, e) ? -1 : put_weakly(s, &op, ret_time_ms, e);
    }
    if (rc == 0)
        *ret_time_ms = o.time_ms;
    if (rc == 0 && o.verdict == S3_EXISTS && o.repeated)
        rc = is_what_we_sent(s, key, bytes, n, &same, e);
    if (rc == 0 && same)
        rc = s3_confirm(s, key, e);
    if (rc == 0 && o.verdict == S3_EXISTS && !same)
        rc = already_there(e);
    else if (rc == 0 && o.verdict != S3_DONE && !same)
        rc = unexpected(&o, e);
    s3_outcome_release(&o);
    return rc;
}

/* The key exists. 412 shows that the server honours If-None-Match, 200 that it ignores it. */
static int s3_probe(struct store *s, const char *key, const void *bytes, size_t n, struct err *e)
{
    struct s3_outcome o;
    struct s3_op op = put_op(key, bytes, n);
    int rc = perform(s, &op, &o, e);
    enum s3_verdict verdict = o.verdict;
    if (rc == 0 && verdict != S3_DONE && verdict != S3_EXISTS && verdict != S3_UNSUPPORTED)
        rc = unexpected(&o, e);
    s3_outcome_release(&o);
    if (rc != 0)
        return rc;
    if (verdict == S3_EXISTS)
        s->fencing = STORE_FENCING_STRONG;
    else
        rc = become_weak(s, verdict == S3_DONE ? "the server ignores If-None-Match" : NO_CONDITION, e);
    return rc;
}

static int s3_find_out_by_race(struct store *s, unsigned racers, struct err *e)
{
    const struct s3_race race = {.racers = racers, .cancel = s->cancel};
    enum s3_race_result result = S3_RACE_EXCLUSIVE;
    if (s3_race(client(s), &race, &result, e))
        return -1;
    if (result == S3_RACE_NO_CONDITION)
        return become_weak(s, NO_CONDITION, e);
    if (result == S3_RACE_SEVERAL_WON)
        return become_weak(s, "of several PUTs of one key at the same moment more than one succeeded", e);
    s->fencing = STORE_FENCING_STRONG;
    return 0;
}

/* ---- list */

/* One request of a listing. `check` reads the page of its answer into `listing`. */
static int get_page(struct store *s, const char *query,
                    int (*check)(void *, const struct http_response *, struct err *), void *listing, struct err *e)
{
    struct s3_outcome o;
    struct s3_op op = {.kind = S3_LIST,
                       .method = "GET",
                       .query = query,
                       .body_max = S3_PAGE_BYTES_MAX,
                       .check = check,
                       .context = listing};
    int rc = perform(s, &op, &o, e);
    if (rc == 0 && o.verdict != S3_DONE)
        rc = unexpected(&o, e);
    s3_outcome_release(&o);
    return rc;
}

static int s3_list(struct store *s, const char *prefix, const char *start_after, store_entry_fn *fn, void *context,
                   struct err *e)
{
    struct s3_listing l;
    const char *query = NULL;
    bool more = true;
    int rc = s3_listing_init(&l, s3_client_config(client(s))->prefix, prefix, start_after, e);
    while (rc == 0 && more)
        rc = s3_listing_query(&l, &query, e) || get_page(s, query, s3_listing_read_page, &l, e) ||
                     s3_listing_deliver(&l, fn, context, &more, e)
                 ? -1
                 : 0;
    s3_listing_release(&l);
    return rc;
}

static int s3_list_folders(struct store *s, store_folder_fn *fn, void *context, struct err *e)
{
    struct s3_folders f;
    const char *query = NULL;
    bool more = true;
    int rc = 0;
    s3_folders_init(&f, s3_client_config(client(s))->prefix);
    while (rc == 0 && more)
        rc = s3_folders_query(&f, &query, e) || get_page(s, query, s3_folders_read_page, &f, e) ||
                     s3_folders_deliver(&f, fn, context, &more, e)
                 ? -1
                 : 0;
    s3_folders_release(&f);
    return rc;
}

/* ---- remove */

static int s3_remove(struct store *s, const char *key, struct err *e)
{
    struct s3_outcome o;
    struct s3_op op = {.kind = S3_DELETE, .method = "DELETE", .key = key};
    int rc = perform(s, &op, &o, e);
    if (rc == 0 && o.verdict != S3_DONE && o.verdict != S3_MISSING)
        rc = unexpected(&o, e);
    s3_outcome_release(&o);
    return rc;
}

/* For a server without DeleteObjects. Tries all keys and returns the first error. */
static int s3_remove_each(struct store *s, const char *const *keys, size_t count, struct err *e)
{
    struct err later;
    int rc = 0;
    for (size_t i = 0; i < count; i++)
        if (s3_remove(s, keys[i], rc ? &later : e))
            rc = rc ? rc : err_wrap(e, "remove '%s'", keys[i]);
    return rc;
}

static int s3_remove_all(struct store *s, const char *const *keys, size_t count, struct err *e)
{
    struct buf body = BUF_INIT(S3_DELETION_BYTES_MAX);
    struct s3_deletion d = {.failed = 0};
    struct s3_outcome o = {.verdict = S3_DONE};
    int rc = s3_deletion_format(s3_client_config(client(s))->prefix, keys, count, &body, e);
    if (rc == 0) {
        struct s3_op op = {.kind = S3_DELETE,
                           .method = "POST",
                           .query = "delete=",
                           .body = body.data,
                           .body_len = body.len,
                           .flags = S3_OP_MD5,
                           .body_max = S3_DELETION_BYTES_MAX,
                           .check = s3_deletion_read,
                           .context = &d};
        rc = perform(s, &op, &o, e);
        s3_outcome_release(&o);
    }
    buf_release(&body);
    if (rc == 0 && o.verdict == S3_UNSUPPORTED)
        return s3_remove_each(s, keys, count, e);
    if (rc == 0 && o.verdict != S3_DONE)
        rc = unexpected(&o, e);
    if (rc == 0 && d.failed)
        rc =
            err_set(e, ERR_REMOTE, 200, "%zu of %zu objects were not removed, the first: %s", d.failed, count, d.first);
    return rc;
}

/* ---- time, open */

/* Takes the time from the Date of a response. Any response has one. */
static int s3_time(struct store *s, int64_t *ret_time_ms, struct err *e)
{
    struct s3_outcome o;
    struct s3_op op = {.kind = S3_HEAD, .method = "HEAD", .key = CLOCK_KEY, .flags = S3_OP_SSE_C};
    int rc = perform(s, &op, &o, e);
    int64_t date = rc == 0 ? o.time_ms : http_date_ms(&o.response);
    s3_outcome_release(&o);
    if (date < 0)
        return -1;
    *ret_time_ms = date;
    return 0;
}

/* ---- what the bucket does by itself */

static int s3_rules_of(struct store *s, struct store_rules *ret_rules, struct err *e)
{
    return s3_rules(client(s), s->cancel, ret_rules, e);
}

static void s3_describe(const struct store *s, char out[STORE_DESCRIPTION_MAX])
{
    s3_client_describe(client(s), out);
}

static void s3_close(struct store *s)
{
    s3_client_free(client(s));
    free(s);
}

static const struct store_ops s3_ops = {
    .put_new = s3_put_new,
    .read = s3_read,
    .try_read = s3_try_read,
    .read_tail = s3_read_tail,
    .list = s3_list,
    .folders = s3_list_folders,
    .remove = s3_remove,
    .remove_all = s3_remove_all,
    .time = s3_time,
    .probe = s3_probe,
    .race = s3_find_out_by_race,
    .confirm = s3_confirm,
    .rules = s3_rules_of,
    .describe = s3_describe,
    .close = s3_close,
};

static int open_url(const char *url, enum store_mode mode, struct store **ret_store, struct err *e)
{
    struct s3_config config;
    if (s3_config_parse(url, &config, e))
        return -1;
    struct s3_store *s = calloc(1, sizeof *s);
    if (!s || s3_config_show(&config, s->base.url, sizeof s->base.url, e)) {
        s3_config_release(&config);
        free(s);
        return s ? -1 : err_nomem(e, sizeof *s);
    }
    s->base.ops = &s3_ops;
    s->base.costs = true;
    s->base.slow = true;
    s->base.fencing = config.conditional == S3_CONDITIONAL_OFF ? STORE_FENCING_WEAK : STORE_FENCING_UNKNOWN;
    snprintf(s->base.note, sizeof s->base.note, "%s%s%s",
             config.endpoint_http ? "the endpoint uses plain http: others on the network can read and change all data"
                                  : "",
             config.endpoint_http && config.key_file_open ? "; " : "",
             config.key_file_open ? "other users may read the sse-c-key-file; chmod 600 it" : "");
    if (s3_client_new(&config, mode == STORE_WRITE ? ATTEMPTS_WRITE : ATTEMPTS_READ, &s->base.traffic, &s->client, e)) {
        free(s);
        return -1;
    }
    *ret_store = &s->base;
    return 0;
}

static int check_url(const char *url, char ret_shown[STORE_URL_MAX], struct err *e)
{
    struct s3_config config;
    if (s3_config_parse(url, &config, e))
        return -1;
    int rc = s3_config_show(&config, ret_shown, STORE_URL_MAX, e);
    s3_config_release(&config);
    return rc;
}

static bool option_at(size_t index, struct store_url_option *ret_option)
{
    if (index >= s3_option_count)
        return false;
    *ret_option = (struct store_url_option){
        .name = s3_options[index].name, .value_name = s3_options[index].value_name, .help = s3_options[index].help};
    return true;
}

const struct store_kind s3_store_kind = {
    .name = "s3",
    .scheme = S3_SCHEME,
    .form = "s3://bucket/prefix",
    .help = s3_config_help,
    .open = open_url,
    .check = check_url,
    .option = option_at,
};
