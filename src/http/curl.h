/* http/curl.h - libcurl, loaded when it is first needed. It comes with two dozen libraries, four megabytes of resident memory,
 * which a replica in a folder has no use for. */
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

/* Filled by curl_load, and never changed again. */
extern struct curl_functions libcurl;

/* Loads and initialises it; once it is there, does nothing. One thread at a time. ERR_CONFIG: it is not installed. */
int curl_load(struct err *e) MUST_CHECK;

#endif
