/* aws/service.h - a question to a service that hands out credentials. */
#ifndef SEAWALL_AWS_SERVICE_H
#define SEAWALL_AWS_SERVICE_H

#include "http/http.h"

#define SERVICE_TRIES 3
#define SERVICE_ANSWER_MAX (64u << 10)
#define SERVICE_WORD_MAX 65

struct service_access {
    struct http *http;
    const char *ca_file;       /* of https; NULL: the system's */
    const atomic_bool *cancel; /* NULL, or: give up when it becomes true */
    int64_t now_ms;            /* wall clock */
};

/* Up to SERVICE_TRIES times, while there is no answer, or it is 429 or 5xx. Nothing goes through a proxy to this machine. 0: any
 * status. ERR_CONFIG: also a URL that can't be read. Errors name the host. `r` is released by the caller in every case, and must
 * be zeroed before. */
int service_ask(const struct service_access *a, const struct http_request *question, struct http_response *r,
                struct err *e) MUST_CHECK;

/* Wipes the answer: it may hold secrets. */
void service_release(struct http_response *r);

/* What may be shown of a text that a service sent: itself, if it looks like the name of an error, else "". */
const char *service_word(const char *text, char out[SERVICE_WORD_MAX]);

#endif
