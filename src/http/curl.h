/* http/curl.h - loads libcurl when it is first needed. It takes two dozen libraries and four megabytes of resident
 * memory, which a process without an S3 replica does not need. */
#ifndef SEAWALL_HTTP_CURL_H
#define SEAWALL_HTTP_CURL_H

#include "base/err.h"

#include <curl/curl.h>

#define CURL_FUNCTIONS(F)                                                                                              \
    F(global_init)                                                                                                     \
    F(getdate)                                                                                                         \
    F(slist_append)                                                                                                    \
    F(slist_free_all)                                                                                                  \
    F(easy_init)                                                                                                       \
    F(easy_setopt)                                                                                                     \
    F(easy_getinfo)                                                                                                    \
    F(easy_reset)                                                                                                      \
    F(easy_cleanup)                                                                                                    \
    F(easy_strerror)                                                                                                   \
    F(multi_init)                                                                                                      \
    F(multi_setopt)                                                                                                    \
    F(multi_add_handle)                                                                                                \
    F(multi_remove_handle)                                                                                             \
    F(multi_perform)                                                                                                   \
    F(multi_info_read)                                                                                                 \
    F(multi_poll)                                                                                                      \
    F(multi_wakeup)                                                                                                    \
    F(multi_cleanup)

#define CURL_MEMBER(name) __typeof__(&curl_##name) name; // NOLINT(bugprone-macro-parentheses): a member
struct curl_functions {
    CURL_FUNCTIONS(CURL_MEMBER)
};

/* All NULL before curl_load. Nothing changes it after curl_load succeeded. */
extern struct curl_functions libcurl;

/* Loads and initialises libcurl. Does nothing if it is loaded. Only one thread may call this at a time.
 * ERR_CONFIG: libcurl is not installed, or too old. ERR_NOMEM. */
int curl_load(struct err *e) MUST_CHECK;

#endif
