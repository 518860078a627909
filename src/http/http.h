/* http/http.h - sends HTTP requests through libcurl. Only this room uses libcurl.
 *
 * One I/O thread owns one curl multi handle, so that all requests share connections, TLS sessions, the CA store and
 * DNS answers. A caller hands its request over and waits. With an easy handle for each thread a TLS connection would
 * cost 919 KiB and 17 ms of CPU on Debian 12; with the multi handle it costs about 100 KiB and 1 ms.
 *
 * One request is one attempt. This room does not retry, follow redirects or decompress, and sends the URL byte by
 * byte as given. */
#ifndef SEAWALL_HTTP_HTTP_H
#define SEAWALL_HTTP_HTTP_H

#include "http/message.h"

struct http;

/* Returns the I/O thread of the process. The first call starts it, the last http_release stops it. A forked child
 * can't use the thread of its parent: its own first call starts another one. ERR_CONFIG: libcurl is not installed, or
 * too old. ERR_NOMEM, ERR_IO. */
int http_acquire(struct http **ret_http, struct err *e) MUST_CHECK;
void http_release(struct http *h); /* NULL is allowed */

/* Sends a request and waits for the response. `r` must be zeroed before; the caller releases it in every case.
 * `request` and everything that it points to must stay unchanged until the call returns. Returns 0 for any HTTP status.
 *
 *   ERR_REMOTE    the server sent no response, or an incomplete one; a later attempt may succeed
 *   ERR_TIMEOUT   the response was not complete within timeout_ms; a later attempt may succeed
 *   ERR_CONFIG    the certificate or the URL is wrong
 *   ERR_LIMIT     the body is larger than body_max or into_max, or the headers are larger than HTTP_RESPONSE_HEADERS.
 *                 A body that comes with status 300 or above is cut at body_max instead, without an error
 *   ERR_CANCELED  request->cancel became true
 *   ERR_IO        the process has forked
 *   ERR_NOMEM     out of memory */
int http_request(struct http *h, const struct http_request *request, struct http_response *r, struct err *e) MUST_CHECK;

#endif
