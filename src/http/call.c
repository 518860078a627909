/* http/call.c */
#include "http/call.h"

#include "base/hash.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define CONNECT_TIMEOUT_MS 3000
#define LOW_SPEED_BYTES 1024 /* a second; a slower connection is given up after LOW_SPEED_SECONDS */
#define LOW_SPEED_SECONDS 30
#define CONNECTION_IDLE_SECONDS 50 /* servers close idle connections, and a request on a closing one is lost time */
#define CONNECTION_LIFE_SECONDS 600
#define LARGE_BYTES (256u << 10) /* bodies of this size and more get a larger buffer */

/* ---- the response, as curl delivers it */

/* Ends the transfer: curl stops when its callback takes fewer bytes than curl delivered. */
static size_t refuse(struct http_call *c, enum err_code why)
{
    c->refused = why;
    return 0;
}

static size_t on_header(char *bytes, size_t size, size_t n, void *context)
{
    struct http_call *c = context;
    struct http_response *r = c->response;
    struct err e;
    (void)size;
    size_t len = n;
    while (len > 0 && (bytes[len - 1] == '\n' || bytes[len - 1] == '\r'))
        len--;
    /* A status line begins another response. The headers so far were those of a 100 Continue. */
    if (len >= 5 && memcmp(bytes, "HTTP/", 5) == 0) {
        r->headers.len = 0;
        return n;
    }
    if (len == 0 || memchr(bytes, 0, len))
        return n;
    if (buf_append(&r->headers, bytes, len, &e) || buf_append(&r->headers, "", 1, &e))
        return refuse(c, e.code);
    return n;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *context)
{
    struct http_call *c = context;
    struct http_response *r = c->response;
    struct err e;
    long status = 0;
    (void)size;
    libcurl.easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
    if (c->request->into && status == 206) {
        if (n > c->request->into_max - r->into_len)
            return refuse(c, ERR_LIMIT);
        memcpy((char *)c->request->into + r->into_len, bytes, n);
        r->into_len += n;
        return n;
    }
    size_t room = r->body.max - r->body.len;
    if (n > room && status >= 300) { /* an error: its status and the beginning of its document are enough */
        c->cut = true;
        return buf_append(&r->body, bytes, room, &e) ? refuse(c, e.code) : 0;
    }
    return buf_append(&r->body, bytes, n, &e) ? refuse(c, e.code) : n;
}

/* ---- the request, as curl wants it */

/* The PEM file of trusted authorities: `configured`, AWS_CA_BUNDLE, SSL_CERT_FILE, or the first that exists of the
 * files that distributions have. NULL: there is none. libcurl does not read these variables by itself. */
static const char *ca_file(const char *configured)
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

static bool add_line(struct http_call *c, const char *line)
{
    struct curl_slist *longer = libcurl.slist_append(c->lines, line);
    if (longer)
        c->lines = longer;
    return longer != NULL;
}

static bool set_headers(struct http_call *c)
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
        if (n >= 2 && memcmp(line + n - 2, ": ", 2) == 0) { /* curl sends an empty header for "name;" */
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
    } else if (has_body) {
        /* With POSTFIELDS a small body leaves together with its headers, and curl can send it again on another
         * connection. */
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

/* Connection, TLS, and how long it may take. */
static void set_transport(CURL *easy, const struct http_request *q)
{
    const char *ca = ca_file(q->ca_file);
    int64_t connect_ms = q->connect_timeout_ms ? q->connect_timeout_ms : CONNECT_TIMEOUT_MS;
    libcurl.easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    libcurl.easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* the end of a call does not wait for a slow name lookup */
    libcurl.easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    /* HTTP/2 would send all parallel ranges over one connection. */
    libcurl.easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    libcurl.easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    libcurl.easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    libcurl.easy_setopt(easy, CURLOPT_CAPATH, NULL); /* with a path curl reads 145 certificates for each connection */
    if (ca)
        libcurl.easy_setopt(easy, CURLOPT_CAINFO, ca);
    libcurl.easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    libcurl.easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, 30L);
    libcurl.easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, 15L);
    libcurl.easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms);
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
}

static void set_options(struct http_call *c)
{
    const struct http_request *q = c->request;
    CURL *easy = c->easy;
    set_transport(easy, q);
    libcurl.easy_setopt(easy, CURLOPT_URL, q->url);
    libcurl.easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    libcurl.easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    libcurl.easy_setopt(easy, CURLOPT_USERAGENT, "seawall/" SEAWALL_VERSION);
    set_method(easy, q);
    libcurl.easy_setopt(easy, CURLOPT_HTTPHEADER, c->lines);
    libcurl.easy_setopt(easy, CURLOPT_PRIVATE, c);
    libcurl.easy_setopt(easy, CURLOPT_ERRORBUFFER, c->message);
    if (q->into_max >= LARGE_BYTES || q->body_max >= LARGE_BYTES)
        libcurl.easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)LARGE_BYTES);
    libcurl.easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    libcurl.easy_setopt(easy, CURLOPT_HEADERDATA, c);
    libcurl.easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    libcurl.easy_setopt(easy, CURLOPT_WRITEDATA, c);
}

/* ---- the call */

bool http_call_begin(struct http_call *c, CURL *easy)
{
    assert(easy && !c->easy && c->request && c->response);
    c->easy = easy;
    if (!set_headers(c))
        return false;
    set_options(c);
    return true;
}

void http_call_end(struct http_call *c, CURLcode code)
{
    long status = 0, sent = 0;
    c->code = code;
    if (c->easy) {
        libcurl.easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
        libcurl.easy_getinfo(c->easy, CURLINFO_REQUEST_SIZE, &sent);
    }
    for (struct curl_slist *l = c->lines; l; l = l->next)
        wipe(l->data, strlen(l->data)); /* session tokens, SSE-C keys */
    libcurl.slist_free_all(c->lines);
    c->lines = NULL;
    c->response->status = (int)status;
    c->response->sent = sent > 0;
}

int http_call_verdict(const struct http_call *c, struct err *e)
{
    const char *why = c->message[0] ? c->message : libcurl.easy_strerror(c->code);
    if (c->refused == ERR_LIMIT)
        return err_set(e, ERR_LIMIT, c->response->status, "the response is larger than allowed");
    if (c->refused != ERR_NONE)
        return err_nomem(e, c->response->body.len);
    if (c->cut)
        return 0;
    switch (c->code) {
    case CURLE_OK:
        return 0;
    case CURLE_ABORTED_BY_CALLBACK:
        return err_set(e, ERR_CANCELED, 0, "interrupted");
    case CURLE_OUT_OF_MEMORY:
        if (c->response->headers.len > 0) /* libcurl before 8.6 returns this code for a line that is too long */
            return err_set(e, ERR_LIMIT, c->response->status, "a header of the response is too long");
        return err_nomem(e, sizeof *c);
    case CURLE_OPERATION_TIMEDOUT:
        return err_set(e, ERR_TIMEOUT, (int)c->code, "%s", why);
    case CURLE_SSL_CONNECT_ERROR:
        err_set(e, ERR_REMOTE, (int)c->code, "%s", why);
        return strstr(why, "wrong version number") ? err_hint(e, "check that the server speaks https on this port")
                                                   : -1;
    case CURLE_PEER_FAILED_VERIFICATION:
        err_set(e, ERR_CONFIG, (int)c->code, "%s", why);
        if (strstr(why, "subject name"))
            return err_hint(e, "the certificate belongs to another host: use the name in it");
        return err_hint(e, "name the file of a private authority with ca-file=, AWS_CA_BUNDLE or SSL_CERT_FILE");
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
