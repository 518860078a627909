/* aws/service.h - asks a service that hands out credentials. */
#ifndef SEAWALL_AWS_SERVICE_H
#define SEAWALL_AWS_SERVICE_H

#include "http/http.h"

#define SERVICE_TRIES 3
#define SERVICE_ANSWER_MAX (64u << 10) /* bytes */
#define SERVICE_WORD_MAX 65

struct service_access {
    struct http *http;
    const char *ca_file;       /* for https; NULL: the system's */
    const atomic_bool *cancel; /* ends a request when it becomes true; NULL: never */
    int64_t now_ms;            /* wall clock */
};

/* Sends a request. Repeats it, up to SERVICE_TRIES times in all, if there is no response or its status is 429 or 5xx.
 * Requests to this machine bypass the proxy. Sets ca_file, cancel and body_max of the request. `r` must be zeroed
 * before; the caller releases it with service_release in every case. Returns 0 for any HTTP status. Errors are those of
 * http_request, and their messages name the host. ERR_CONFIG: also a malformed URL. */
int service_ask(const struct service_access *a, const struct http_request *question, struct http_response *r,
                struct err *e) MUST_CHECK;

/* Wipes the response, which can hold secrets, and releases it. */
void service_release(struct http_response *r);

/* Copies a text that a service sent if it has only letters and dots, as the name of an error has and a secret has not.
 * Writes "" if it has other characters, is too long, or is NULL. Returns `out`. */
const char *service_word(const char *text, char out[SERVICE_WORD_MAX]);

#endif
