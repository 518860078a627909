/* s3/client.c */
#include "s3/client.h"

#include "aws/credentials.h"
#include "aws/xml.h"
#include "base/backoff.h"
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
#define ATTEMPT_LEAST_MS 50 /* with less no attempt is made: it would fail, and its error would hide the one before */
/* The timeout of the first attempt of a small request. Each further attempt has twice the timeout. It is short because
 * a new connection is often faster than a stuck one. */
#define ATTEMPT_MS 4000
#define ATTEMPT_MAX_MS 30000
#define LIST_ATTEMPT_MS 15000
#define BYTES_PER_SECOND (64u << 10) /* the slowest connection that can transfer a body in time */
#define SKEW_MS 300000               /* a smaller clock error is ignored: servers accept 15 minutes */
#define RETRY_AFTER_MAX_MS 300000
#define SLEEP_SLICE_MS 50 /* between looks at `cancel` */

struct s3_client {
    struct http *http;
    struct s3_config config;
    struct credential_source *credentials;
    struct store_traffic *traffic;
    unsigned attempts;
    pthread_mutex_t lock; /* guards the members below */
    char region[S3_NAME_MAX];
    struct sigv4_key key;
    int64_t clock_offset_ms; /* the server's clock minus ours */
    int64_t not_before_ms;   /* monotonic; the server asked for no requests until then (Retry-After) */
};

/* ---- life */

int s3_client_new(struct s3_config *config, unsigned attempts, struct store_traffic *traffic,
                  struct s3_client **ret_client, struct err *e)
{
    struct s3_client *c = calloc(1, sizeof *c);
    assert(attempts > 0);
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

/* ---- what changes while the program runs */

/* A copy, taken under the lock. */
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

void s3_client_describe(struct s3_client *c, char out[STORE_DESCRIPTION_MAX])
{
    struct now now = look(c);
    const char *endpoint = c->config.endpoint;
    char origin[CREDENTIALS_ORIGIN_MAX];
    credentials_origin(c->credentials, origin);
    snprintf(out, STORE_DESCRIPTION_MAX, "S3 at %s, region %s, bucket in the %s, credentials from %s",
             endpoint[0] ? endpoint : "AWS", now.region, s3_uses_vhost(&c->config) ? "host name" : "path", origin);
}

/* ---- one attempt */

struct attempt {
    struct s3_client *c;
    const struct s3_op *op;
    char sha256[SIGV4_HEX];
    unsigned number;     /* counted from 0 */
    int64_t deadline_ms; /* of the operation; monotonic */
    int64_t wait_ms;     /* of the back-off */
    bool clock_fixed, region_fixed, credentials_fixed;
    uint64_t serial; /* of the credentials that signed it */
};

/* The time that the bodies take at this rate. */
static int64_t transfer_ms(const struct s3_op *op, size_t bytes_per_second)
{
    size_t wanted = op->kind == S3_GET ? op->body_max : 0; /* for other kinds body_max is only a ceiling */
    size_t bytes = op->body_len + op->into_max + wanted;
    return (int64_t)(1000 * (uint64_t)bytes / bytes_per_second);
}

/* The timeout of one attempt. */
static int64_t attempt_ms(const struct attempt *a)
{
    int64_t most = a->op->kind == S3_LIST ? LIST_ATTEMPT_MS : (int64_t)ATTEMPT_MS << (a->number < 3 ? a->number : 3);
    int64_t left = a->deadline_ms - clock_mono_ms();
    /* Reads run side by side, so a slow one is soon tried again on another connection. A PUT gets the time of the
     * slowest connection from the start. */
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

struct signing {
    struct now now;
    struct credentials by;
    struct s3_address address;
    struct http_headers headers;
};

/* Makes address and signed headers of an attempt. */
static int sign(struct attempt *a, struct signing *s, struct err *e)
{
    struct s3_client *c = a->c;
    const struct s3_op *op = a->op;
    struct s3_sender sender = {.host = s->address.host, .sha256 = a->sha256, .by = &s->by};
    s->now = look(c);
    s->headers = HTTP_HEADERS_INIT;
    sender.wall_ms = s->now.wall_ms;
    if (credentials_get(c->credentials, s->now.wall_ms, &s->by, e) ||
        s3_address_of(&c->config, op, s->now.region, &s->address, e) ||
        s3_headers_of(&c->config, op, &sender, &s->headers, e))
        return -1;
    a->serial = s->by.serial;
    struct sigv4_scope scope = {.access_key = s->by.access_key,
                                .secret_key = s->by.secret_key,
                                .region = s->now.region,
                                .service = "s3",
                                .time_ms = s->now.wall_ms};
    struct sigv4_target target = {.method = op->method,
                                  .path = s->address.path,
                                  .query = op->query ? op->query : "",
                                  .payload_sha256 = a->sha256};
    pthread_mutex_lock(&c->lock); /* all threads share the signing key; held for microseconds */
    int rc = sigv4_sign(&scope, &target, &c->key, &s->headers, e);
    pthread_mutex_unlock(&c->lock);
    return rc;
}

static int send_once(struct attempt *a, struct http_response *r, struct err *e)
{
    struct s3_client *c = a->c;
    const struct s3_op *op = a->op;
    struct signing *s = calloc(1, sizeof *s);
    if (!s)
        return err_nomem(e, sizeof *s);
    int rc = sign(a, s, e);
    if (rc == 0) {
        struct http_request request = {.method = op->method,
                                       .url = s->address.url,
                                       .headers = &s->headers,
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
    http_headers_release(&s->headers);
    wipe(s, sizeof *s);
    free(s);
    return rc;
}

/* ---- what a response changes */

/* Adopts the server's clock if ours is wrong by more than `more_than_ms`. Returns whether it did. */
static bool adopt_clock(struct s3_client *c, const struct http_response *r, int64_t more_than_ms)
{
    int64_t theirs = http_date_ms(r);
    if (theirs < 0)
        return false;
    pthread_mutex_lock(&c->lock);
    int64_t error = theirs - (clock_wall_ms() + c->clock_offset_ms);
    bool wrong = llabs(error) > more_than_ms;
    if (wrong)
        c->clock_offset_ms += error;
    pthread_mutex_unlock(&c->lock);
    return wrong;
}

/* Adopts the region that a response names. Returns whether it is another one. */
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

/* Sets the error for a response that is not a success. */
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

/* Judges a response. Every verdict but S3_DONE comes with the error to return if it is the last one. */
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
        v = S3_RETRY; /* a body without an error code: the page of a proxy, not the answer of the store */
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

/* Whether to repeat the attempt without a pause. Each reason counts once in an operation. */
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

/* Holds all requests of this store back. */
static void hold_back(struct s3_client *c, int64_t ms)
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

/* Waits. False: that would be after the deadline, or the operation was canceled. */
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

/* Waits before the next attempt. False: there are no more attempts, or there is no time for one. */
static bool wait_for_next(struct attempt *a, enum s3_verdict v)
{
    struct s3_client *c = a->c;
    int64_t least_ms = v == S3_THROTTLE ? BACKOFF_THROTTLED_MS : BACKOFF_MS;
    int64_t at = clock_mono_ms() + backoff_next_ms(&a->wait_ms, least_ms, BACKOFF_MAX_MS);
    if (++a->number >= c->attempts)
        return false;
    pthread_mutex_lock(&c->lock);
    int64_t not_before = c->not_before_ms;
    pthread_mutex_unlock(&c->lock);
    return wait_until(a, at > not_before ? at : not_before) && a->deadline_ms - clock_mono_ms() >= ATTEMPT_LEAST_MS;
}

/* Waits for the pause that the server asked for, possibly in a response to another thread. */
static int wait_for_pause(struct attempt *a, struct err *e)
{
    pthread_mutex_lock(&a->c->lock);
    int64_t not_before = a->c->not_before_ms;
    pthread_mutex_unlock(&a->c->lock);
    if (wait_until(a, not_before))
        return 0;
    if (interrupted(a))
        return err_set(e, ERR_CANCELED, 0, "interrupted");
    return err_set(e, ERR_REMOTE, 0, "the store accepts no requests for another %" PRId64 " s",
                   (not_before - clock_mono_ms() + 999) / 1000);
}

/* ---- the operation */

static bool may_succeed_later(const struct err *e)
{
    return e->code == ERR_REMOTE || e->code == ERR_TIMEOUT;
}

static int hash_body(struct attempt *a, struct err *e)
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
    assert(op->method && (op->body || op->body_len == 0) && (op->into || op->into_max == 0));
    *o = (struct s3_outcome){.verdict = S3_RETRY};
    a.deadline_ms = clock_mono_ms() + (int64_t)c->config.timeout_ms + 2 * transfer_ms(op, BYTES_PER_SECOND);
    if (hash_body(&a, e))
        return -1;
    for (;;) {
        if (wait_for_pause(&a, e))
            return -1;
        http_response_release(&o->response);
        o->response = (struct http_response){0};
        int rc = send_once(&a, &o->response, e);
        if (rc != 0 && !may_succeed_later(e)) {
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
        if (op->once || (o->verdict != S3_RETRY && o->verdict != S3_THROTTLE))
            return -1;
        o->repeated |= rc == 0 || o->response.sent;
        if (a.number == 1 && op->retrying)
            op->retrying(e);
        hold_back(c, retry_after_ms(&o->response));
        if (!wait_for_next(&a, o->verdict))
            return interrupted(&a) ? err_set(e, ERR_CANCELED, 0, "interrupted") : -1;
    }
}

void s3_outcome_release(struct s3_outcome *o)
{
    http_response_release(&o->response);
}
