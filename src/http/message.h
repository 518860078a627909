/* http/message.h - an HTTP request and its response, as data. Knows no network. */
#ifndef SEAWALL_HTTP_MESSAGE_H
#define SEAWALL_HTTP_MESSAGE_H

#include "base/buf.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define HTTP_HEADERS_MAX 32               /* of a request */
#define HTTP_NAME_MAX 100                 /* bytes of a header name of a request */
#define HTTP_HEADER_LINE_MAX 8192         /* bytes of a header of a request; a session token can have 4 KiB */
#define HTTP_RESPONSE_HEADERS (64u << 10) /* bytes of all headers of a response; more is an error */

/* ---- request */

/* Headers in the order in which they are sent. */
struct http_headers {
    struct buf text; /* lines "name: value", each ends with NUL; wiped when released, since some hold secrets */
    size_t count;    /* of lines */
};
#define HTTP_HEADERS_INIT ((struct http_headers){.text = BUF_INIT(HTTP_HEADERS_MAX * HTTP_HEADER_LINE_MAX)})

/* Appends a header. ERR_CONFIG: the name is empty, longer than HTTP_NAME_MAX, or has a blank, colon or line break; or
 * the value has a line break. ERR_LIMIT: too many headers, or the line is too long. ERR_NOMEM. */
int http_headers_add(struct http_headers *h, const char *name, const char *value, struct err *e) MUST_CHECK;
void http_headers_release(struct http_headers *h);

enum http_flags {
    HTTP_NO_PROXY = 1,       /* ignore the proxy of the environment: for services of this machine */
    HTTP_NEW_CONNECTION = 2, /* open a new connection and look the name up again: after a failure */
};

struct http_request {
    const char *method;                 /* GET, PUT, HEAD, POST, DELETE */
    const char *url;                    /* with encoded path and query */
    const struct http_headers *headers; /* NULL: none. Content-Length, and Host if it is missing, are added */
    const void *body;                   /* of PUT and POST */
    size_t body_len;
    const char *ca_file;        /* PEM file of trusted authorities; NULL: AWS_CA_BUNDLE, SSL_CERT_FILE, the system's */
    int64_t timeout_ms;         /* of the whole exchange */
    int64_t connect_timeout_ms; /* 0: 3000 */
    unsigned flags;             /* enum http_flags */
    const atomic_bool *cancel;  /* the request ends when it becomes true; NULL: never */
    void *into;                 /* receives the body of a response 206 in place of response->body; NULL: not used */
    size_t into_max;            /* bytes */
    size_t body_max;            /* ceiling of response->body, bytes */
};

/* Appends `text` to `out`, percent-encoded for a path or query by the rules of AWS Signature V4: A-Z a-z 0-9 - . _ ~
 * stay; hex digits are upper case. HTTP_ENCODE_KEEP_SLASH: '/' stays too. Errors: those of buf_append. */
enum http_encode { HTTP_ENCODE_ALL, HTTP_ENCODE_KEEP_SLASH };
int http_encode(struct buf *out, const char *text, enum http_encode how, struct err *e) MUST_CHECK;

/* ---- response */

struct http_response {
    int status;         /* 100 to 599 */
    struct buf body;    /* unless it went to request->into */
    size_t into_len;    /* bytes in request->into */
    struct buf headers; /* of the final response: lines "name: value", each ends with NUL */
    bool sent;          /* the server may have received the request; also valid after an error */
};

void http_response_release(struct http_response *r);

/* Finds a header by its name, in upper or lower case, and returns its value, which belongs to `r`. NULL: `r` does not
 * have it. */
const char *http_header(const struct http_response *r, const char *name);

/* Returns the time of a header like Date or Last-Modified, in ms since 1970. -1: there is none, or it cannot be read.
 */
int64_t http_time_ms(const struct http_response *r, const char *name);
int64_t http_date_ms(const struct http_response *r); /* of the Date header */

#endif
