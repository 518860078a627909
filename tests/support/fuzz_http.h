/* support/fuzz_http.h - a network for fuzzers: the answers to requests are in the input. The linker sends calls of
 * http/http.h and of the monotonic clock here (FUZZ_WRAPPED in the Makefile). A pause moves the clock and does not
 * wait, so a request reaches its deadline at once.
 *
 * An answer is: kind | status | piece of header lines | piece of the body. After the last one, no request gets an
 * answer. */
#ifndef TESTS_FUZZ_HTTP_H
#define TESTS_FUZZ_HTTP_H

#define FUZZ_OWN_CLOCK /* before fuzz.h */
#include "fuzz_input.h"

#include "http/curl.h"
#include "http/http.h"

static struct slice fuzz_answers;
static int64_t fuzz_now_ns = 1000000000;
static unsigned fuzz_requests;

int64_t __wrap_clock_mono_ns(void)
{
    return fuzz_now_ns;
}

void __wrap_clock_sleep_us(int64_t us)
{
    fuzz_now_ns += us * 1000;
}

int __wrap_random_bytes(void *out, size_t n, struct err *e)
{
    (void)e;
    memset(out, 0x5a, n);
    return 0;
}

int __wrap_http_acquire(struct http **ret_http, struct err *e)
{
    static char none;
    FUZZ_CHECK(curl_load(e) == 0); /* it reads dates */
    *ret_http = (struct http *)(void *)&none;
    return 0;
}

void __wrap_http_release(struct http *h)
{
    (void)h;
}

/* Splits header lines as http/call.c does: without line breaks, and without empty lines and lines with a NUL. */
static inline void fuzz_take_headers(struct slice lines, struct http_response *r)
{
    struct err e;
    while (lines.size > 0) {
        const uint8_t *newline = memchr(lines.bytes, '\n', lines.size);
        size_t n = newline ? (size_t)(newline - lines.bytes) : lines.size;
        if (n > 0 && !memchr(lines.bytes, 0, n))
            FUZZ_CHECK(buf_append(&r->headers, lines.bytes, n, &e) == 0 && buf_append(&r->headers, "", 1, &e) == 0);
        n += newline != NULL;
        lines.bytes += n;
        lines.size -= n;
    }
}

static inline int fuzz_answer(const struct http_request *q, struct http_response *r, struct err *e)
{
    uint8_t kind = slice_byte(&fuzz_answers), status = slice_byte(&fuzz_answers);
    static const int usual[] = {200, 206, 200, 404, 412, 416, 400, 403, 301, 307, 409, 429, 500, 501, 503, 204};
    struct slice headers = slice_take(&fuzz_answers), body = slice_take(&fuzz_answers);
    r->headers = BUF_INIT(HTTP_RESPONSE_HEADERS);
    r->body = BUF_INIT(q->body_max);
    r->sent = !(kind & 1);
    if (kind & 2) /* the connection breaks off */
        return err_set(e, kind & 4 ? ERR_TIMEOUT : ERR_REMOTE, 0, "no answer");
    r->status = kind & 8 ? 100 + (kind >> 4 | status) % 500 : usual[status % COUNT_OF(usual)];
    fuzz_take_headers(headers, r);
    if (q->into && r->status == 206) {
        if (body.size > q->into_max)
            return err_set(e, ERR_LIMIT, 0, "the body is too large");
        if (body.size > 0)
            memcpy(q->into, body.bytes, body.size);
        r->into_len = body.size;
        return 0;
    }
    if (body.size > q->body_max && r->status < 300)
        return err_set(e, ERR_LIMIT, 0, "the body is too large");
    return buf_append(&r->body, body.bytes, body.size < q->body_max ? body.size : q->body_max, e);
}

int __wrap_http_request(struct http *h, const struct http_request *request, struct http_response *r, struct err *e)
{
    (void)h;
    FUZZ_CHECK(request->method && request->url && !r->body.data && !r->headers.data);
    FUZZ_CHECK(++fuzz_requests < 10000); /* for one input */
    fuzz_now_ns += 1000000;
    if (fuzz_answers.size == 0)
        return err_set(e, ERR_REMOTE, 0, "no answer");
    return fuzz_answer(request, r, e);
}

/* ---- for seeds */

static inline size_t seed_answer(uint8_t *out, size_t at, uint8_t status, const char *headers, const char *body)
{
    out[at++] = 0;
    out[at++] = status;
    at = slice_put(out, at, headers, strlen(headers));
    return slice_put(out, at, body, strlen(body));
}

#endif
