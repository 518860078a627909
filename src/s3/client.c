/* s3/client.c */
#include "s3/client.h"

#include "aws/credentials.h"
#include "aws/sigv4.h"
#include "aws/xml.h"
#include "base/clock.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BACKOFF_MS 100
#define BACKOFF_THROTTLED_MS 500
#define BACKOFF_MAX_MS 20000
#define ATTEMPT_MS                                                                                                     \
    4000 /* of a small request; doubled with each attempt: a new connection is often faster than a stuck one */
#define ATTEMPT_MAX_MS 30000
#define LIST_ATTEMPT_MS 15000
#define BYTES_PER_SECOND (64u << 10) /* the slowest line that is waited for */
#define SKEW_MS 300000               /* below it the clock is right enough: signatures hold 15 minutes */
#define RETRY_AFTER_MAX_MS 300000
#define SLEEP_SLICE_MS 50 /* between looks at `cancel` */
#define URL_MAX 4096

struct s3_client {
    struct http *http;
    struct s3_config config;
    struct credential_source *credentials;
    struct store_traffic *traffic;
    unsigned attempts;
    pthread_mutex_t lock; /* guards what follows */
    char region[S3_NAME_MAX];
    struct sigv4_key key;
    int64_t clock_offset_ms; /* the server's clock minus ours */
    int64_t not_before_ms;   /* monotonic; the store asked to be left alone until then */
};

/* ---- life */

int s3_client_new(struct s3_config *config, unsigned attempts, struct store_traffic *traffic,
                  struct s3_client **ret_client, struct err *e)
{
    struct s3_client *c = calloc(1, sizeof *c);
    if (!c) {
        s3_config_release(config);
        return err_nomem(e, sizeof *c);
    }
    c->config = *config;
    c->attempts = attempts;
    c->traffic = traffic;
    pthread_mutex_init(&c->lock, NULL);
    snprintf(c->region, sizeof c->region, "%s", config->region[0] ? config->region : "us-east-1");
    struct credentials_options o = {.profile = config->profile[0] ? config->profile : NULL,
                                    .region = config->region[0] ? config->region : NULL,
                                    .ca_file = config->ca_file[0] ? config->ca_file : NULL};
    if (http_acquire(&c->http, e) || credentials_new(c->http, &o, &c->credentials, e)) {
        s3_client_free(c);
        return -1;
    }
    *ret_client = c;
    return 0;
}

void s3_client_free(struct s3_client *c)
{
    if (!c)
        return;
    credentials_free(c->credentials);
    http_release(c->http);
    pthread_mutex_destroy(&c->lock);
    s3_config_release(&c->config);
    wipe(&c->key, sizeof c->key);
    free(c);
}

const struct s3_config *s3_client_config(const struct s3_client *c)
{
    return &c->config;
}

/* ---- where it goes */

struct place {
    char scheme[16], host[S3_ENDPOINT_MAX + S3_BUCKET_MAX], path[URL_MAX], url[2 * URL_MAX];
};

/* A copy of what changes while the program runs. */
struct now {
    char region[S3_NAME_MAX];
    int64_t wall_ms; /* by the server's clock */
};

static struct now look(struct s3_client *c)
{
    struct now now;
    pthread_mutex_lock(&c->lock);
    memcpy(now.region, c->region, sizeof now.region);
    now.wall_ms = clock_wall_ms() + c->clock_offset_ms;
    pthread_mutex_unlock(&c->lock);
    return now;
}

static bool uses_vhost(const struct s3_config *c)
{
    if (c->addressing == S3_ADDRESSING_AUTO)
        return c->endpoint[0] == 0 && !strchr(c->bucket, '.') && !strchr(c->bucket, '_');
    return c->addressing == S3_ADDRESSING_VHOST;
}

static int find_place(const struct s3_client *c, const struct s3_op *op, const char *region, struct place *p,
                      struct err *e)
{
    const struct s3_config *config = &c->config;
    char endpoint[S3_ENDPOINT_MAX + S3_NAME_MAX];
    struct buf path = BUF_INIT(URL_MAX);
    const char *suffix = strncmp(region, "cn-", 3) == 0 ? ".cn" : "";
    if (config->endpoint[0])
        snprintf(endpoint, sizeof endpoint, "%s", config->endpoint);
    else
        snprintf(endpoint, sizeof endpoint, "https://s3.%s.amazonaws.com%s", region, suffix);
    const char *host = endpoint + strcspn(endpoint, ":") + strlen("://");
    size_t host_len = strcspn(host, "/");
    bool vhost = uses_vhost(config);
    snprintf(p->scheme, sizeof p->scheme, "%.*s", (int)(host - endpoint), endpoint);
    snprintf(p->host, sizeof p->host, "%s%s%.*s", vhost ? config->bucket : "", vhost ? "." : "", (int)host_len, host);
    int rc = http_encode(&path, host + host_len, HTTP_ENCODE_KEEP_SLASH, e);
    if (rc == 0 && !vhost)
        rc = buf_append(&path, "/", 1, e) || http_encode(&path, config->bucket, HTTP_ENCODE_ALL, e);
    if (rc == 0 && (op->key || vhost || !path.len))
        rc = buf_append(&path, "/", 1, e);
    if (rc == 0 && op->key)
        rc = http_encode(&path, config->prefix, HTTP_ENCODE_KEEP_SLASH, e) ||
             http_encode(&path, op->key, HTTP_ENCODE_KEEP_SLASH, e);
    if (rc == 0)
        rc = buf_append(&path, "", 1, e);
    if (rc == 0) {
        int n = snprintf(p->path, sizeof p->path, "%s", (const char *)path.data);
        n += snprintf(p->url, sizeof p->url, "%s%s%s%s%s", p->scheme, p->host, p->path, op->query ? "?" : "",
                      op->query ? op->query : "");
        rc = n < 0 || (size_t)n >= sizeof p->url ? err_set(e, ERR_LIMIT, 0, "URL is too long") : 0;
    }
    buf_release(&path);
    return rc ? -1 : 0;
}

/* The port that goes without saying is not part of Host: curl would leave it out too. */
static const char *host_header(struct place *p)
{
    size_t n = strlen(p->host);
    const char *usual = strcmp(p->scheme, "https://") == 0 ? ":443" : ":80";
    size_t k = strlen(usual);
    if (n > k && strcmp(p->host + n - k, usual) == 0)
        p->host[n - k] = 0;
    return p->host;
}

void s3_client_describe(struct s3_client *c, char out[STORE_DESCRIPTION_MAX])
{
    struct now now = look(c);
    const char *endpoint = c->config.endpoint;
    char origin[CREDENTIALS_ORIGIN_MAX];
    credentials_origin(c->credentials, origin);
    snprintf(out, STORE_DESCRIPTION_MAX, "S3 at %s, region %s, bucket in the %s, credentials from %s",
             endpoint[0] ? endpoint : "AWS", now.region, uses_vhost(&c->config) ? "host name" : "path", origin);
}

/* ---- headers */

static int add_sse_c(struct http_headers *h, const struct s3_config *c, struct err *e)
{
    if (!c->sse_c_key[0])
        return 0;
    if (http_headers_add(h, "x-amz-server-side-encryption-customer-algorithm", "AES256", e) ||
        http_headers_add(h, "x-amz-server-side-encryption-customer-key", c->sse_c_key, e))
        return -1;
    return http_headers_add(h, "x-amz-server-side-encryption-customer-key-md5", c->sse_c_md5, e);
}

static int add_lock(struct http_headers *h, const struct s3_config *c, int64_t wall_ms, struct err *e)
{
    char until[CLOCK_TEXT_MAX];
    if (!c->lock_mode[0])
        return 0;
    clock_format(wall_ms + (int64_t)c->lock_days * 86400000, until);
    if (http_headers_add(h, "x-amz-object-lock-mode", c->lock_mode, e))
        return -1;
    return http_headers_add(h, "x-amz-object-lock-retain-until-date", until, e);
}

static int add_object_headers(struct http_headers *h, const struct s3_config *c, int64_t wall_ms, struct err *e)
{
    if (c->storage_class[0] && http_headers_add(h, "x-amz-storage-class", c->storage_class, e))
        return -1;
    if (c->sse[0] && http_headers_add(h, "x-amz-server-side-encryption", c->sse, e))
        return -1;
    if (c->sse_kms_key_id[0] &&
        http_headers_add(h, "x-amz-server-side-encryption-aws-kms-key-id", c->sse_kms_key_id, e))
        return -1;
    if (strcmp(c->sse, "aws:kms") == 0 && c->bucket_key &&
        http_headers_add(h, "x-amz-server-side-encryption-bucket-key-enabled", "true", e))
        return -1;
    return add_lock(h, c, wall_ms, e);
}

static int add_md5(struct http_headers *h, const struct s3_op *op, struct err *e)
{
    uint8_t md5[MD5_BYTES];
    char text[4 * ((MD5_BYTES + 2) / 3) + 1];
    if (md5_of(op->body, op->body_len, md5, e))
        return -1;
    base64_encode(md5, sizeof md5, text);
    return http_headers_add(h, "content-md5", text, e);
}

static int add_extra(struct http_headers *h, const struct http_headers *extra, struct err *e)
{
    const char *line = (const char *)extra->text.data, *end = line ? line + extra->text.len : NULL;
    for (; line < end; line += strlen(line) + 1) {
        char name[HTTP_NAME_MAX + 1];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(line, ":"), line);
        if (http_headers_add(h, name, strchr(line, ':') + 2, e))
            return -1;
    }
    return 0;
}

static int make_headers(const struct s3_client *c, const struct s3_op *op, const char *host, const char *sha256,
                        const struct credentials *who, int64_t wall_ms, struct http_headers *h, struct err *e)
{
    const struct s3_config *config = &c->config;
    bool locked = (op->flags & S3_OP_NEW_OBJECT) && config->lock_mode[0];
    if (http_headers_add(h, "host", host, e) || http_headers_add(h, "x-amz-content-sha256", sha256, e))
        return -1;
    if (op->body && http_headers_add(h, "content-type",
                                     op->flags & S3_OP_NEW_OBJECT ? "application/octet-stream" : "application/xml", e))
        return -1;
    if (op->range && http_headers_add(h, "range", op->range, e))
        return -1;
    if ((op->flags & S3_OP_IF_NONE_MATCH) && http_headers_add(h, "if-none-match", "*", e))
        return -1;
    if (((op->flags & S3_OP_MD5) || locked) && config->content_md5 && add_md5(h, op, e))
        return -1;
    if ((op->flags & S3_OP_NEW_OBJECT) && add_object_headers(h, config, wall_ms, e))
        return -1;
    if ((op->flags & S3_OP_SSE_C) && add_sse_c(h, config, e))
        return -1;
    if (add_extra(h, &config->headers, e))
        return -1;
    return who->session_token[0] ? http_headers_add(h, "x-amz-security-token", who->session_token, e) : 0;
}

/* ---- one attempt */

struct attempt {
    struct s3_client *c;
    const struct s3_op *op;
    char sha256[SIGV4_HEX];
    unsigned number; /* from 0 on */
    int64_t deadline_ms;
    bool clock_fixed, region_fixed, credentials_fixed;
    uint64_t serial; /* of the credentials that it was signed with */
};

static int64_t transfer_ms(const struct s3_op *op, size_t bytes_per_second)
{
    size_t wanted = op->kind == S3_GET ? op->body_max : 0; /* of others it is only a ceiling */
    size_t bytes = op->body_len + op->into_max + wanted;
    return (int64_t)(1000 * (uint64_t)bytes / bytes_per_second);
}

static int64_t attempt_ms(const struct attempt *a)
{
    int64_t most = a->op->kind == S3_LIST ? LIST_ATTEMPT_MS : (int64_t)ATTEMPT_MS << (a->number < 3 ? a->number : 3);
    int64_t left = a->deadline_ms - clock_mono_ms();
    /* Of several reads at a time one slow connection is left early. A PUT that moves is never cut off: a line can be as slow as
     * that. */
    size_t pace = BYTES_PER_SECOND << (a->op->kind == S3_GET && a->number < 2 ? 2 - a->number : 0);
    most = (most < ATTEMPT_MAX_MS ? most : ATTEMPT_MAX_MS) + transfer_ms(a->op, pace);
    return most < left ? most : left;
}

static void count(struct s3_client *c, const struct s3_op *op, const struct http_response *r)
{
    struct store_traffic *t = c->traffic;
    atomic_ullong *kinds[S3_KINDS] = {
        [S3_PUT] = &t->put, [S3_GET] = &t->get, [S3_HEAD] = &t->head, [S3_LIST] = &t->list, [S3_DELETE] = &t->remove};
    atomic_fetch_add(kinds[op->kind], 1);
    atomic_fetch_add(&t->sent_bytes, op->body_len);
    atomic_fetch_add(&t->received_bytes, r->body.len + r->into_len);
}

static int send_once(struct attempt *a, struct http_response *r, struct err *e)
{
    struct s3_client *c = a->c;
    const struct s3_op *op = a->op;
    struct now now = look(c);
    struct credentials who;
    struct place *p = malloc(sizeof *p);
    struct http_headers headers = HTTP_HEADERS_INIT;
    int rc = p ? credentials_get(c->credentials, now.wall_ms, &who, e) : err_nomem(e, sizeof *p);
    if (rc == 0)
        rc = find_place(c, op, now.region, p, e);
    if (rc == 0)
        rc = make_headers(c, op, host_header(p), a->sha256, &who, now.wall_ms, &headers, e);
    if (rc == 0) {
        struct sigv4_scope scope = {.access_key = who.access_key,
                                    .secret_key = who.secret_key,
                                    .region = now.region,
                                    .service = "s3",
                                    .time_ms = now.wall_ms};
        struct sigv4_target target = {
            .method = op->method, .path = p->path, .query = op->query ? op->query : "", .payload_sha256 = a->sha256};
        a->serial = who.serial;
        pthread_mutex_lock(&c->lock); /* the key is shared: microseconds */
        rc = sigv4_sign(&scope, &target, &c->key, &headers, e);
        pthread_mutex_unlock(&c->lock);
    }
    if (rc == 0) {
        struct http_request request = {.method = op->method,
                                       .url = p->url,
                                       .headers = &headers,
                                       .body = op->body,
                                       .body_len = op->body_len,
                                       .ca_file = c->config.ca_file[0] ? c->config.ca_file : NULL,
                                       .timeout_ms = attempt_ms(a),
                                       .flags = a->number ? HTTP_NEW_CONNECTION : 0,
                                       .cancel = op->cancel,
                                       .into = op->into,
                                       .into_max = op->into_max,
                                       .body_max =
                                           op->body_max > S3_ERROR_BYTES_MAX ? op->body_max : S3_ERROR_BYTES_MAX};
        rc = http_request(c->http, &request, r, e);
        count(c, op, r);
    }
    wipe(&who, sizeof who);
    http_headers_release(&headers);
    free(p);
    return rc;
}

/* ---- what an answer changes */

/* Is our clock so wrong that signatures fail? Then the server's counts from now on. */
static bool adopt_clock(struct s3_client *c, const struct http_response *r, int64_t at_least_ms)
{
    int64_t theirs = http_date_ms(r);
    if (theirs < 0)
        return false;
    pthread_mutex_lock(&c->lock);
    int64_t error = theirs - (clock_wall_ms() + c->clock_offset_ms);
    bool wrong = llabs(error) > at_least_ms;
    if (wrong)
        c->clock_offset_ms += error;
    pthread_mutex_unlock(&c->lock);
    return wrong;
}

static bool adopt_region(struct s3_client *c, const struct http_response *r)
{
    char region[S3_NAME_MAX] = "";
    const char *header = http_header(r, "x-amz-bucket-region");
    if (header)
        snprintf(region, sizeof region, "%s", header);
    else
        xml_find(r->body.data, r->body.len, "Error/Region", region, sizeof region);
    if (!region[0] || strlen(region) != strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-"))
        return false;
    pthread_mutex_lock(&c->lock);
    bool another = strcmp(region, c->region) != 0;
    snprintf(c->region, sizeof c->region, "%s", region);
    pthread_mutex_unlock(&c->lock);
    return another;
}

/* The story of an answer that is no success, for people. */
static int tell(enum s3_kind kind, const struct http_response *r, const char *code, enum s3_verdict verdict,
                struct err *e)
{
    char message[200];
    const char *id = http_header(r, "x-amz-request-id"), *hint = s3_hint(kind, r->status, code);
    xml_find(r->body.data, r->body.len, "Error/Message", message, sizeof message);
    for (char *p = message; *p; p++)
        if ((unsigned char)*p < ' ')
            *p = ' ';
    err_set(e, verdict == S3_PERMANENT || verdict == S3_CREDENTIALS || verdict == S3_REGION ? ERR_CONFIG : ERR_REMOTE,
            r->status, "HTTP %d%s%s%s%s%s%.60s", r->status, code[0] ? " " : "", code, message[0] ? ": " : "", message,
            id ? ", request id " : "", id ? id : "");
    return hint ? err_hint(e, "%s", hint) : -1;
}

/* Judges an answer; S3_RETRY and the like come with the error to report if there is no further attempt. */
static enum s3_verdict judge(struct attempt *a, const struct http_response *r, struct err *e)
{
    char code[64] = "";
    bool ok = r->status >= 200 && r->status < 300;
    if (ok && a->op->check && a->op->check(a->op->context, r, e))
        return S3_RETRY;
    if (ok) {
        adopt_clock(a->c, r, SKEW_MS);
        return S3_DONE;
    }
    xml_find(r->body.data, r->body.len, "Error/Code", code, sizeof code);
    enum s3_verdict v = s3_judge(a->op->kind, r->status, code);
    if (v == S3_MISSING && a->op->kind == S3_GET && !code[0] && r->body.len > 0)
        v = S3_RETRY; /* somebody's page, not the store's word */
    tell(a->op->kind, r, code, v, e);
    if (strcmp(code, "SignatureDoesNotMatch") == 0 && adopt_clock(a->c, r, SKEW_MS))
        v = S3_CLOCK;
    else if (v == S3_CLOCK && !adopt_clock(a->c, r, 0))
        v = S3_PERMANENT;
    if ((v == S3_REGION || (v == S3_PERMANENT && r->status == 400)) && adopt_region(a->c, r))
        v = S3_REGION;
    else if (v == S3_REGION)
        v = S3_PERMANENT;
    return v;
}

/* Once for each reason: another try without waiting. */
static bool again_at_once(struct attempt *a, enum s3_verdict v)
{
    bool *fixed = v == S3_CLOCK ? &a->clock_fixed : v == S3_REGION ? &a->region_fixed : &a->credentials_fixed;
    if ((v != S3_CLOCK && v != S3_REGION && v != S3_CREDENTIALS) || *fixed)
        return false;
    if (v == S3_CREDENTIALS)
        credentials_reject(a->c->credentials, a->serial);
    *fixed = true;
    return true;
}

/* ---- waiting */

static int64_t retry_after_ms(const struct http_response *r)
{
    const char *value = http_header(r, "retry-after");
    char *end = NULL;
    long seconds = value ? strtol(value, &end, 10) : 0;
    if (!value || end == value || seconds <= 0)
        return 0;
    return seconds < RETRY_AFTER_MAX_MS / 1000 ? seconds * 1000 : RETRY_AFTER_MAX_MS;
}

static void leave_alone(struct s3_client *c, int64_t ms)
{
    int64_t until = clock_mono_ms() + ms;
    pthread_mutex_lock(&c->lock);
    if (ms > 0 && until > c->not_before_ms)
        c->not_before_ms = until;
    pthread_mutex_unlock(&c->lock);
}

static bool interrupted(const struct attempt *a)
{
    return a->op->cancel && atomic_load(a->op->cancel);
}

/* False: that would be after the deadline, or somebody interrupts. */
static bool wait_until(const struct attempt *a, int64_t until_ms)
{
    if (until_ms >= a->deadline_ms)
        return false;
    while (clock_mono_ms() < until_ms) {
        int64_t left = until_ms - clock_mono_ms();
        if (interrupted(a))
            return false;
        clock_sleep_us(1000 * (left < SLEEP_SLICE_MS ? left : SLEEP_SLICE_MS));
    }
    return true;
}

/* Exponential with full jitter. */
static int64_t backoff_ms(const struct attempt *a, enum s3_verdict v)
{
    uint32_t random = 0;
    struct err ignored;
    int64_t most = (int64_t)(v == S3_THROTTLE ? BACKOFF_THROTTLED_MS : BACKOFF_MS) << (a->number < 10 ? a->number : 10);
    if (most > BACKOFF_MAX_MS)
        most = BACKOFF_MAX_MS;
    if (random_bytes(&random, sizeof random, &ignored))
        random = UINT32_MAX / 2;
    return (int64_t)random * most / UINT32_MAX;
}

/* May there be another attempt? Waits for its time. */
static bool wait_for_next(struct attempt *a, enum s3_verdict v)
{
    struct s3_client *c = a->c;
    int64_t at = clock_mono_ms() + backoff_ms(a, v);
    if (++a->number >= c->attempts)
        return false;
    pthread_mutex_lock(&c->lock);
    int64_t not_before = c->not_before_ms;
    pthread_mutex_unlock(&c->lock);
    return wait_until(a, at > not_before ? at : not_before);
}

/* The store asked for a pause, perhaps in answer to another thread. */
static int wait_for_pause(struct attempt *a, struct err *e)
{
    pthread_mutex_lock(&a->c->lock);
    int64_t not_before = a->c->not_before_ms;
    pthread_mutex_unlock(&a->c->lock);
    if (wait_until(a, not_before))
        return 0;
    if (interrupted(a))
        return err_set(e, ERR_CANCELED, 0, "interrupted");
    return err_set(e, ERR_REMOTE, 0, "the store asked to be left alone for another %" PRId64 " s",
                   (not_before - clock_mono_ms() + 999) / 1000);
}

/* ---- the operation */

static bool worth_another_try(const struct err *e)
{
    return e->code == ERR_REMOTE || e->code == ERR_TIMEOUT;
}

static int sign_body(struct attempt *a, struct err *e)
{
    struct digest d;
    if (!a->c->config.sign_payload && strncmp(a->c->config.endpoint, "http://", 7) != 0) {
        memcpy(a->sha256, SIGV4_UNSIGNED, sizeof SIGV4_UNSIGNED);
        return 0;
    }
    if (digest_of(a->op->body ? a->op->body : "", a->op->body_len, &d, e))
        return -1;
    hex_encode(d.bytes, DIGEST_BYTES, a->sha256);
    return 0;
}

int s3_perform(struct s3_client *c, const struct s3_op *op, struct s3_outcome *o, struct err *e)
{
    struct attempt a = {.c = c, .op = op};
    *o = (struct s3_outcome){.verdict = S3_RETRY};
    a.deadline_ms = clock_mono_ms() + (int64_t)c->config.timeout_ms + 2 * transfer_ms(op, BYTES_PER_SECOND);
    if (sign_body(&a, e))
        return -1;
    for (;;) {
        if (wait_for_pause(&a, e))
            return -1;
        http_response_release(&o->response);
        o->response = (struct http_response){0};
        int rc = send_once(&a, &o->response, e);
        if (rc != 0 && !worth_another_try(e)) {
            atomic_fetch_add(&c->traffic->failed, 1);
            return -1;
        }
        o->verdict = rc ? S3_RETRY : judge(&a, &o->response, e);
        if (o->verdict > S3_UNSUPPORTED)
            atomic_fetch_add(&c->traffic->failed, 1);
        if (o->verdict == S3_DONE || (o->verdict >= S3_MISSING && o->verdict <= S3_UNSUPPORTED)) {
            int64_t date = http_date_ms(&o->response);
            o->time_ms = date >= 0 ? date : look(c).wall_ms;
            return 0;
        }
        if (again_at_once(&a, o->verdict))
            continue;
        if (o->verdict != S3_RETRY && o->verdict != S3_THROTTLE)
            return -1;
        o->repeated |= rc == 0 || o->response.sent;
        if (a.number == 1 && op->retrying)
            op->retrying(e);
        leave_alone(c, retry_after_ms(&o->response));
        if (!wait_for_next(&a, o->verdict))
            return interrupted(&a) ? err_set(e, ERR_CANCELED, 0, "interrupted") : -1;
    }
}

void s3_outcome_release(struct s3_outcome *o)
{
    http_response_release(&o->response);
}
