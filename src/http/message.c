/* http/message.c */
#include "http/message.h"

#include "base/hash.h"
#include "http/curl.h"

#include <assert.h>
#include <ctype.h>
#include <string.h>
#include <strings.h>

int http_headers_add(struct http_headers *h, const char *name, const char *value, struct err *e)
{
    size_t n = strlen(name), v = strlen(value);
    if (n == 0 || n > HTTP_NAME_MAX || strpbrk(name, ": \t\r\n"))
        return err_set(e, ERR_CONFIG, 0, "invalid header name: it must have 1 to %d bytes, without blanks and colons",
                       HTTP_NAME_MAX); /* without the text: a secret may be where a name should be */
    if (strpbrk(value, "\r\n"))
        return err_set(e, ERR_CONFIG, 0, "header '%.60s': the value has a line break", name);
    if (h->count == HTTP_HEADERS_MAX)
        return err_set(e, ERR_LIMIT, 0, "header '%.60s': a request has more than %d headers", name, HTTP_HEADERS_MAX);
    if (n + v + 3 > HTTP_HEADER_LINE_MAX)
        return err_set(e, ERR_LIMIT, 0, "header '%.60s': name and value are longer than %d bytes", name,
                       HTTP_HEADER_LINE_MAX - 3);
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

int64_t http_time_ms(const struct http_response *r, const char *name)
{
    const char *date = http_header(r, name);
    if (!date)
        return -1;
    assert(libcurl.getdate); /* there is a response, so libcurl is loaded */
    time_t t = libcurl.getdate(date, NULL);
    return t < 0 ? -1 : (int64_t)t * 1000;
}

int64_t http_date_ms(const struct http_response *r)
{
    return http_time_ms(r, "date");
}
