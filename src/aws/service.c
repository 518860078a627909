/* aws/service.c */
#include "aws/service.h"

#include "aws/service_url.h"
#include "base/clock.h"
#include "base/hash.h"

#include <assert.h>
#include <ctype.h>
#include <string.h>

#define PAUSE_US 50000 /* before the second try; twice as long before the third */

static bool may_succeed_later(int rc, const struct http_response *r, const struct err *e)
{
    if (rc)
        return e->code == ERR_REMOTE || e->code == ERR_TIMEOUT;
    return r->status == 429 || r->status >= 500;
}

static bool canceled(const struct service_access *a)
{
    return a->cancel && atomic_load(a->cancel);
}

int service_ask(const struct service_access *a, const struct http_request *question, struct http_response *r,
                struct err *e)
{
    struct http_request q = *question;
    struct service_url u;
    assert(a->http && q.method && q.url && !r->body.data && !r->headers.data);
    if (service_url_parse(q.url, &u, e))
        return -1;
    if (u.place != SERVICE_ELSEWHERE)
        q.flags |= HTTP_NO_PROXY;
    q.ca_file = a->ca_file;
    q.cancel = a->cancel;
    q.body_max = SERVICE_ANSWER_MAX;
    for (unsigned i = 1;; i++) {
        int rc = http_request(a->http, &q, r, e);
        if (i == SERVICE_TRIES || !may_succeed_later(rc, r, e) || canceled(a))
            return rc ? err_wrap(e, "%s", u.host) : 0;
        service_release(r);
        *r = (struct http_response){0};
        q.flags |= HTTP_NEW_CONNECTION;
        clock_sleep_us(PAUSE_US << (i - 1));
    }
}

void service_release(struct http_response *r)
{
    if (r->body.data)
        wipe(r->body.data, r->body.cap);
    if (r->headers.data)
        wipe(r->headers.data, r->headers.cap);
    http_response_release(r);
}

const char *service_word(const char *text, char out[SERVICE_WORD_MAX])
{
    size_t n = text ? strlen(text) : 0;
    bool word = n > 0 && n < SERVICE_WORD_MAX;
    for (size_t i = 0; word && i < n; i++)
        word = isalpha((unsigned char)text[i]) || text[i] == '.'; /* keys and tokens have digits */
    memcpy(out, word ? text : "", word ? n + 1 : 1);
    return out;
}
