/* http/call.h - one request on a curl easy handle: sets its options, bounds its response, judges its outcome. */
#ifndef SEAWALL_HTTP_CALL_H
#define SEAWALL_HTTP_CALL_H

#include "http/curl.h"
#include "http/message.h"

struct http_call {
    const struct http_request *request;
    struct http_response *response;
    struct curl_slist *lines; /* headers as curl wants them; owned */
    CURL *easy;               /* borrowed; NULL: not begun */
    CURLcode code;            /* curl's result, once the call has ended */
    enum err_code refused;    /* ERR_LIMIT, ERR_NOMEM: the response did not fit; ERR_NONE */
    bool cut;                 /* the response is an error, and its body was cut at the ceiling */
    char message[CURL_ERROR_SIZE];
};

/* Prepares `easy` for the request. Afterwards curl's CURLINFO_PRIVATE returns `c`. Preconditions: `request` and
 * `response` of `c` are set, the rest is zero; `easy` is new or reset. False: out of memory. The caller ends the call
 * in either case. */
bool http_call_begin(struct http_call *c, CURL *easy) MUST_CHECK;

/* Ends a call with curl's result: sets `status` and `sent` of the response, and wipes the headers of the request.
 * Afterwards the easy handle can be reset. A call that was never begun can be ended too. */
void http_call_end(struct http_call *c, CURLcode code);

/* Returns 0, or the error of an ended call. http_request has the list of errors. */
int http_call_verdict(const struct http_call *c, struct err *e) MUST_CHECK;

#endif
