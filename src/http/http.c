/* http/http.c - the I/O thread and its multi handle. */
#include "http/http.h"

#include "base/hash.h"
#include "http/curl.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#define CONNECT_TIMEOUT_MS 3000
#define LOW_SPEED_BYTES 1024 /* a second; slower for LOW_SPEED_SECONDS is as good as dead */
#define LOW_SPEED_SECONDS 30
#define CONNECTION_IDLE_SECONDS                                                                                        \
    50 /* servers close idle connections: a request on one that is about to go is lost time */
#define CONNECTION_LIFE_SECONDS 600
#define CONNECTIONS_KEPT 64
#define EASIES_KEPT 8
#define LARGE_BYTES (256u << 10) /* bodies from here on get a larger buffer */
#define IDLE_POLL_MS 3600000
#define CANCEL_LOOK_MS 100

/* A request under way. On the stack of the thread that waits for it. */
struct call {
    const struct http_request *request;
    struct http_response *response;
    struct curl_slist *lines;
    CURL *easy; /* NULL: not started */
    CURLcode code;
    bool too_much;       /* the answer is over a ceiling */
    bool cut;            /* it is an error, and its end was not wanted */
    bool canceled, done; /* guarded by the lock */
    char message[CURL_ERROR_SIZE];
    struct call *next; /* in the queue, then among the running */
};

struct http {
    pid_t process;
    CURLM *multi;
    pthread_t thread;
    pthread_mutex_t lock; /* guards queue, stopping, and `canceled`, `done` of each call */
    pthread_cond_t changed;
    struct call *queue;
    bool stopping;
    struct call *running; /* of the I/O thread alone, as what follows */
    CURL *idle[EASIES_KEPT];
    unsigned idle_count;
};

/* ---- headers */

int http_headers_add(struct http_headers *h, const char *name, const char *value, struct err *e)
{
    size_t n = strlen(name), v = strlen(value);
    if (n == 0 || n > HTTP_NAME_MAX || strpbrk(name, ": \t\r\n") || strpbrk(value, "\r\n"))
        return err_set(e, ERR_CONFIG, 0,
                       "header '%.60s': a name has no blank or colon, and up to %d bytes; a value no line break", name,
                       HTTP_NAME_MAX);
    if (h->count == HTTP_HEADERS_MAX || n + v + 3 > HTTP_HEADER_LINE_MAX)
        return err_set(e, ERR_LIMIT, 0, "header '%.60s': more than %d headers, or longer than %d bytes", name,
                       HTTP_HEADERS_MAX, HTTP_HEADER_LINE_MAX);
    if (buf_append(&h->text, name, n, e) || buf_append(&h->text, ": ", 2, e) || buf_append(&h->text, value, v + 1, e))
        return -1;
    h->count++;
    return 0;
}

void http_headers_release(struct http_headers *h)
{
    if (h->text.data)
        wipe(h->text.data, h->text.cap);
    buf_release(&h->text);
    h->count = 0;
}

void http_response_release(struct http_response *r)
{
    buf_release(&r->body);
    buf_release(&r->headers);
}

const char *http_header(const struct http_response *r, const char *name)
{
    size_t n = strlen(name);
    const char *line = (const char *)r->headers.data, *end = line ? line + r->headers.len : NULL;
    for (; line < end; line += strlen(line) + 1)
        if (strncasecmp(line, name, n) == 0 && line[n] == ':')
            return line + n + 1 + strspn(line + n + 1, " \t");
    return NULL;
}

int64_t http_date_ms(const struct http_response *r)
{
    const char *date = http_header(r, "date");
    time_t t = date ? libcurl.getdate(date, NULL) : -1;
    return t < 0 ? -1 : (int64_t)t * 1000;
}

const char *http_ca_file(const char *configured)
{
    static const char *const places[] = {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
                                         "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"};
    static const char *const variables[] = {"AWS_CA_BUNDLE", "SSL_CERT_FILE"};
    if (configured && *configured)
        return configured;
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
        const char *value = getenv(variables[i]);
        if (value && *value)
            return value;
    }
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        if (access(places[i], R_OK) == 0)
            return places[i];
    return NULL;
}

int http_encode(struct buf *out, const char *text, enum http_encode how, struct err *e)
{
    static const char digits[] = "0123456789ABCDEF";
    for (const char *p = text; *p; p++) {
        unsigned char c = (unsigned char)*p;
        bool stays = (c < 128 && isalnum(c)) || strchr("-._~", c) || (c == '/' && how == HTTP_ENCODE_KEEP_SLASH);
        char encoded[3] = {'%', digits[c >> 4], digits[c & 15]};
        if (buf_append(out, stays ? p : encoded, stays ? 1 : 3, e))
            return -1;
    }
    return 0;
}

/* ---- what curl calls */

static size_t on_header(char *bytes, size_t size, size_t n, void *context)
{
    struct call *c = context;
    struct http_response *r = c->response;
    struct err e;
    (void)size;
    size_t len = n;
    while (len > 0 && (bytes[len - 1] == '\n' || bytes[len - 1] == '\r'))
        len--;
    if (len >= 5 && memcmp(bytes, "HTTP/", 5) == 0) {
        r->headers.len = 0; /* those of a 100 Continue were not the final ones */
        return n;
    }
    if (len == 0 || memchr(bytes, 0, len))
        return n;
    if (buf_append(&r->headers, bytes, len, &e) || buf_append(&r->headers, "", 1, &e)) {
        c->too_much = true;
        return 0;
    }
    return n;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *context)
{
    struct call *c = context;
    struct http_response *r = c->response;
    struct err e;
    long status = 0;
    (void)size;
    libcurl.easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
    if (c->request->into && status == 206) {
        if (n > c->request->into_max - r->into_len) {
            c->too_much = true;
            return 0;
        }
        memcpy((char *)c->request->into + r->into_len, bytes, n);
        r->into_len += n;
        return n;
    }
    size_t room = r->body.max - r->body.len;
    if (n > room && status >= 300) { /* the status says what to do, the beginning of the document why */
        c->cut = buf_append(&r->body, bytes, room, &e) == 0;
        return 0;
    }
    if (buf_append(&r->body, bytes, n, &e)) {
        c->too_much = true;
        return 0;
    }
    return n;
}

/* ---- one call, on the I/O thread */

static bool add_line(struct call *c, const char *line)
{
    struct curl_slist *longer = libcurl.slist_append(c->lines, line);
    if (longer)
        c->lines = longer;
    return longer != NULL;
}

static bool set_headers(struct call *c)
{
    const struct http_headers *h = c->request->headers;
    bool typed = false;
    if (!add_line(c, "Expect:")) /* libcurl before 8.0 would wait a second for 100 Continue */
        return false;
    const char *line = h ? (const char *)h->text.data : NULL, *end = line ? line + h->text.len : NULL;
    for (; line < end; line += strlen(line) + 1) {
        size_t n = strlen(line);
        char empty[HTTP_NAME_MAX + 2];
        typed |= strncasecmp(line, "content-type:", 13) == 0;
        if (n >= 2 && memcmp(line + n - 2, ": ", 2) == 0) { /* "name:" would tell curl to leave it out */
            snprintf(empty, sizeof empty, "%.*s;", (int)(n - 2), line);
            if (!add_line(c, empty))
                return false;
        } else if (!add_line(c, line)) {
            return false;
        }
    }
    return typed || add_line(c, "Content-Type:");
}

static void set_method(CURL *easy, const struct http_request *q)
{
    bool has_body = strcmp(q->method, "PUT") == 0 || strcmp(q->method, "POST") == 0;
    if (strcmp(q->method, "HEAD") == 0) {
        libcurl.easy_setopt(easy, CURLOPT_NOBODY, 1L);
    } else if (
        has_body) { /* as POSTFIELDS a small body leaves with its headers, and can be sent again on another connection */
        libcurl.easy_setopt(easy, CURLOPT_POST, 1L);
        libcurl.easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)q->body_len);
        libcurl.easy_setopt(easy, CURLOPT_POSTFIELDS, q->body_len ? q->body : "");
        libcurl.easy_setopt(easy, CURLOPT_CUSTOMREQUEST, q->method);
        if (q->body_len >= LARGE_BYTES)
            libcurl.easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)LARGE_BYTES);
    } else {
        libcurl.easy_setopt(easy, CURLOPT_HTTPGET, 1L);
        libcurl.easy_setopt(easy, CURLOPT_CUSTOMREQUEST, q->method);
    }
}

static void set_options(struct call *c)
{
    const struct http_request *q = c->request;
    CURL *easy = c->easy;
    const char *ca = http_ca_file(q->ca_file);
    libcurl.easy_setopt(easy, CURLOPT_URL, q->url);
    libcurl.easy_setopt(easy, CURLOPT_PRIVATE, c);
    libcurl.easy_setopt(easy, CURLOPT_ERRORBUFFER, c->message);
    libcurl.easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    libcurl.easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* a name that is still being looked up: not waited for by all */
    libcurl.easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    libcurl.easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    libcurl.easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    libcurl.easy_setopt(easy, CURLOPT_HTTP_VERSION,
                        (long)CURL_HTTP_VERSION_1_1); /* parallel ranges want connections of their own */
    libcurl.easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    libcurl.easy_setopt(easy, CURLOPT_USERAGENT, "seawall/" SEAWALL_VERSION);
    libcurl.easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    libcurl.easy_setopt(easy, CURLOPT_CAPATH, NULL); /* with it curl reads 145 certificates anew for each connection */
    if (ca)
        libcurl.easy_setopt(easy, CURLOPT_CAINFO, ca);
    libcurl.easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    libcurl.easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, 30L);
    libcurl.easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, 15L);
    libcurl.easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                        (long)(q->connect_timeout_ms ? q->connect_timeout_ms : CONNECT_TIMEOUT_MS));
    libcurl.easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(q->timeout_ms > 0 ? q->timeout_ms : 1));
    libcurl.easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, (long)LOW_SPEED_BYTES);
    libcurl.easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long)LOW_SPEED_SECONDS);
    libcurl.easy_setopt(easy, CURLOPT_MAXAGE_CONN, (long)CONNECTION_IDLE_SECONDS);
    libcurl.easy_setopt(easy, CURLOPT_MAXLIFETIME_CONN, (long)CONNECTION_LIFE_SECONDS);
    if (q->flags & HTTP_NEW_CONNECTION) {
        libcurl.easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
        libcurl.easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT, 0L);
    }
    if (q->flags & HTTP_NO_PROXY)
        libcurl.easy_setopt(easy, CURLOPT_PROXY, "");
    if (q->into_max >= LARGE_BYTES || q->body_max >= LARGE_BYTES)
        libcurl.easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)LARGE_BYTES);
    libcurl.easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    libcurl.easy_setopt(easy, CURLOPT_HEADERDATA, c);
    libcurl.easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    libcurl.easy_setopt(easy, CURLOPT_WRITEDATA, c);
    set_method(easy, q);
    libcurl.easy_setopt(easy, CURLOPT_HTTPHEADER, c->lines);
}

static void finish(struct http *h, struct call *c, CURLcode code)
{
    long status = 0, sent = 0;
    c->code = code;
    if (c->easy) {
        libcurl.easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
        libcurl.easy_getinfo(c->easy, CURLINFO_REQUEST_SIZE, &sent);
        libcurl.multi_remove_handle(h->multi, c->easy);
        if (h->idle_count < EASIES_KEPT) {
            libcurl.easy_reset(c->easy);
            h->idle[h->idle_count++] = c->easy;
        } else {
            libcurl.easy_cleanup(c->easy);
        }
    }
    for (struct curl_slist *l = c->lines; l; l = l->next)
        wipe(l->data, strlen(l->data)); /* session tokens, SSE-C keys */
    libcurl.slist_free_all(c->lines);
    c->response->status = (int)status;
    c->response->sent = sent > 0;
    pthread_mutex_lock(&h->lock);
    c->done = true;
    pthread_cond_broadcast(&h->changed);
    pthread_mutex_unlock(&h->lock);
}

static void begin(struct http *h, struct call *c)
{
    c->easy = h->idle_count ? h->idle[--h->idle_count] : libcurl.easy_init();
    if (!c->easy || !set_headers(c)) {
        finish(h, c, CURLE_OUT_OF_MEMORY);
        return;
    }
    set_options(c);
    if (libcurl.multi_add_handle(h->multi, c->easy) != CURLM_OK) {
        finish(h, c, CURLE_OUT_OF_MEMORY);
        return;
    }
    c->next = h->running;
    h->running = c;
}

static void end(struct http *h, struct call *c, CURLcode code)
{
    for (struct call **p = &h->running; *p; p = &(*p)->next)
        if (*p == c) {
            *p = c->next;
            break;
        }
    finish(h, c, code);
}

/* What was asked for since the last look. False: to stop, and nothing is left. */
static bool take_orders(struct http *h)
{
    pthread_mutex_lock(&h->lock);
    struct call *c = h->queue;
    bool stopping = h->stopping;
    h->queue = NULL;
    pthread_mutex_unlock(&h->lock);
    while (c) {
        struct call *next = c->next;
        begin(h, c);
        c = next;
    }
    for (c = h->running; c;) {
        struct call *next = c->next;
        pthread_mutex_lock(&h->lock);
        bool canceled = c->canceled;
        pthread_mutex_unlock(&h->lock);
        if (canceled)
            end(h, c, CURLE_ABORTED_BY_CALLBACK);
        c = next;
    }
    return !stopping || h->running;
}

static void *io_thread(void *arg)
{
    struct http *h = arg;
    while (take_orders(h)) {
        int left = 0;
        libcurl.multi_perform(h->multi, &left);
        for (CURLMsg *m; (m = libcurl.multi_info_read(h->multi, &left));) {
            struct call *c = NULL;
            if (m->msg != CURLMSG_DONE)
                continue;
            CURLcode code = m->data.result;
            libcurl.easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&c);
            end(h, c, code);
        }
        libcurl.multi_poll(h->multi, NULL, 0, h->running ? 1000 : IDLE_POLL_MS, NULL);
    }
    return NULL;
}

/* ---- the caller's side */

static int failed(const struct call *c, struct err *e)
{
    const char *why = c->message[0] ? c->message : libcurl.easy_strerror(c->code);
    if (c->too_much)
        return err_set(e, ERR_LIMIT, c->response->status, "the answer is larger than it may be");
    if (c->cut)
        return 0;
    switch (c->code) {
    case CURLE_OK:
        return 0;
    case CURLE_ABORTED_BY_CALLBACK:
        return err_set(e, ERR_CANCELED, 0, "interrupted");
    case CURLE_OUT_OF_MEMORY:
        return err_nomem(e, sizeof(struct call));
    case CURLE_OPERATION_TIMEDOUT:
        return err_set(e, ERR_TIMEOUT, (int)c->code, "%s", why);
    case CURLE_SSL_CONNECT_ERROR:
        err_set(e, ERR_REMOTE, (int)c->code, "%s", why);
        return strstr(why, "wrong version number") ? err_hint(e, "does the server speak https on this port?") : -1;
    case CURLE_PEER_FAILED_VERIFICATION:
        err_set(e, ERR_CONFIG, (int)c->code, "%s", why);
        if (strstr(why, "subject name"))
            return err_hint(e, "the certificate is of another host: use the name that stands in it");
        return err_hint(e, "a private authority is named with ca-file=, AWS_CA_BUNDLE or SSL_CERT_FILE");
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return err_set(e, ERR_CONFIG, (int)c->code, "%s", why);
    default:
        return err_set(e, ERR_REMOTE, (int)c->code, "%s", why);
    }
}

/* Until the I/O thread is done with it; a canceled one is handed back at once. */
static void wait_for(struct http *h, struct call *c)
{
    pthread_mutex_lock(&h->lock);
    while (!c->done) {
        if (!c->request->cancel || c->canceled) {
            pthread_cond_wait(&h->changed, &h->lock);
            continue;
        }
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += CANCEL_LOOK_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&h->changed, &h->lock, &until);
        if (!c->done && atomic_load(c->request->cancel)) {
            c->canceled = true;
            libcurl.multi_wakeup(h->multi);
        }
    }
    pthread_mutex_unlock(&h->lock);
}

int http_request(struct http *h, const struct http_request *request, struct http_response *r, struct err *e)
{
    struct call c = {.request = request, .response = r};
    if (getpid() != h->process)
        return err_set(e, ERR_IO, 0, "HTTP in a forked process: its I/O thread is in the other one");
    r->body = BUF_INIT(request->body_max);
    r->headers = BUF_INIT(HTTP_RESPONSE_HEADERS);
    pthread_mutex_lock(&h->lock);
    c.next = h->queue;
    h->queue = &c;
    pthread_mutex_unlock(&h->lock);
    libcurl.multi_wakeup(h->multi);
    wait_for(h, &c);
    return failed(&c, e);
}

/* ---- life */

static pthread_mutex_t shared_lock = PTHREAD_MUTEX_INITIALIZER; /* guards the two below */
static struct http *shared;
static unsigned users;

static int start(struct http **ret_http, struct err *e)
{
    struct http *h = calloc(1, sizeof *h);
    pthread_condattr_t attributes;
    if (!h)
        return err_nomem(e, sizeof *h);
    if (curl_load(e)) {
        free(h);
        return -1;
    }
    h->process = getpid();
    h->multi = libcurl.multi_init();
    if (!h->multi) {
        free(h);
        return err_nomem(e, sizeof *h);
    }
    libcurl.multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_KEPT);
    pthread_mutex_init(&h->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&h->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    int rc = pthread_create(&h->thread, NULL, io_thread, h);
    if (rc) {
        libcurl.multi_cleanup(h->multi);
        free(h);
        return err_sys(e, rc, "start a thread");
    }
    *ret_http = h;
    return 0;
}

static void stop(struct http *h)
{
    pthread_mutex_lock(&h->lock);
    h->stopping = true;
    pthread_mutex_unlock(&h->lock);
    libcurl.multi_wakeup(h->multi);
    pthread_join(h->thread, NULL);
    for (unsigned i = 0; i < h->idle_count; i++)
        libcurl.easy_cleanup(h->idle[i]);
    libcurl.multi_cleanup(h->multi);
    pthread_cond_destroy(&h->changed);
    pthread_mutex_destroy(&h->lock);
    free(h);
}

int http_acquire(struct http **ret_http, struct err *e)
{
    pthread_mutex_lock(&shared_lock);
    int rc = shared ? 0 : start(&shared, e);
    if (rc == 0) {
        users++;
        *ret_http = shared;
    }
    pthread_mutex_unlock(&shared_lock);
    return rc;
}

void http_release(struct http *h)
{
    if (!h)
        return;
    pthread_mutex_lock(&shared_lock);
    if (--users == 0) {
        stop(shared);
        shared = NULL;
    }
    pthread_mutex_unlock(&shared_lock);
}
