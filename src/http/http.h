/* http/http.h - HTTP requests, through libcurl. The only door to it.
 *
 * One I/O thread owns one curl multi handle: connections, TLS sessions, the CA store and DNS answers are shared by all. A caller
 * hands its request over and waits. With an easy handle for each thread a TLS connection would cost 919 KiB and 17 ms of CPU on
 * Debian 12; so it is about 100 KiB and 1 ms.
 *
 * One request is one attempt: nothing is retried, redirected or decompressed here, and the URL goes out byte by byte as given. */
#ifndef SEAWALL_HTTP_HTTP_H
#define SEAWALL_HTTP_HTTP_H

#include "base/buf.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define HTTP_HEADERS_MAX 32               /* of a request */
#define HTTP_NAME_MAX 100                 /* of a header of a request */
#define HTTP_HEADER_LINE_MAX 8192         /* of a request; a session token can have 4 KiB */
#define HTTP_RESPONSE_HEADERS (64u << 10) /* more in an answer is an error */

struct http;

/* The process's I/O thread: started for the first, stopped with the last. Don't fork in between. */
int http_acquire(struct http **ret_http, struct err *e) MUST_CHECK;
void http_release(struct http *h); /* NULL is fine */

/* Lines "name: value". Kept in order; no value may hold a line break. */
struct http_headers {
    struct buf text; /* lines that end with NUL; wiped when released, since some hold secrets */
    size_t count;
};
#define HTTP_HEADERS_INIT ((struct http_headers){.text = BUF_INIT(HTTP_HEADERS_MAX * HTTP_HEADER_LINE_MAX)})
int http_headers_add(struct http_headers *h, const char *name, const char *value,
                     struct err *e) MUST_CHECK; /* ERR_CONFIG: a line
                                                                                                               break in it */
void http_headers_release(struct http_headers *h);

enum http_flags {
    HTTP_NO_PROXY = 1,       /* whatever the environment says: for services of the machine itself */
    HTTP_NEW_CONNECTION = 2, /* and a fresh look at DNS: after a failure */
};

struct http_request {
    const char *method;                 /* GET, PUT, HEAD, POST, DELETE */
    const char *url;                    /* path and query encoded already */
    const struct http_headers *headers; /* NULL: none. Content-Length and Host (if not among them) are added */
    const void *body;                   /* of PUT and POST; borrowed until the call returns */
    size_t body_len;
    const char *ca_file;        /* PEM; NULL: the system's. https only */
    int64_t timeout_ms;         /* for the whole exchange */
    int64_t connect_timeout_ms; /* 0: 3 s */
    unsigned flags;             /* enum http_flags */
    const atomic_bool *cancel;  /* NULL, or: give up when it becomes true */
    void *into;                 /* NULL, or: the body of an answer 206 goes here instead of into response->body */
    size_t into_max;
    size_t body_max; /* ceiling of response->body */
};

struct http_response {
    int status;      /* 100 to 599 */
    struct buf body; /* what did not go to `into` */
    size_t into_len;
    struct buf headers; /* of the final answer: lines "name: value", each ends with NUL */
    bool sent;          /* with an error: the request may have reached the server */
};

/* Blocks until the answer is there. 0: any HTTP status. ERR_REMOTE: no answer, or half of one, worth another try; ERR_TIMEOUT: the
 * same after timeout_ms; ERR_CONFIG: certificate or URL; ERR_LIMIT: more than body_max or into_max; ERR_CANCELED.
 * `r` is released by the caller in every case, and must be zeroed before. */
int http_request(struct http *h, const struct http_request *request, struct http_response *r, struct err *e) MUST_CHECK;
void http_response_release(struct http_response *r);

/* Value of a header of the answer, name in any case; NULL: not there. */
const char *http_header(const struct http_response *r, const char *name);

/* Of "Date: Tue, 15 Nov 1994 08:12:31 GMT", in ms since 1970; -1: none, or not readable. */
int64_t http_date_ms(const struct http_response *r);

/* ca-file or, if that is NULL or empty, AWS_CA_BUNDLE, SSL_CERT_FILE, the first that exists of the places where distributions keep
 * theirs; NULL: none of them. */
const char *http_ca_file(const char *configured);

/* Percent-encodes for path or query as AWS Signature V4 wants it: A-Z a-z 0-9 - . _ ~ stay, upper-case hex. */
enum http_encode { HTTP_ENCODE_ALL, HTTP_ENCODE_KEEP_SLASH };
int http_encode(struct buf *out, const char *text, enum http_encode how, struct err *e) MUST_CHECK;

#endif
