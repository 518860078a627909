/* web/mhd.h - loads libmicrohttpd when a page is first served. It brings GnuTLS and a dozen other libraries into the
 * process, which a daemon without a listener, and every other command, does not need. */
#ifndef SEAWALL_WEB_MHD_H
#define SEAWALL_WEB_MHD_H

#include "base/err.h"

#include <microhttpd.h>

#define MHD_FUNCTIONS(F)                                                                                               \
    F(start_daemon)                                                                                                    \
    F(stop_daemon)                                                                                                     \
    F(run)                                                                                                             \
    F(get_timeout)                                                                                                     \
    F(get_daemon_info)                                                                                                 \
    F(get_connection_info)                                                                                             \
    F(lookup_connection_value)                                                                                         \
    F(suspend_connection)                                                                                              \
    F(resume_connection)                                                                                               \
    F(create_response_from_buffer)                                                                                     \
    F(create_response_from_buffer_with_free_callback_cls)                                                              \
    F(add_response_header)                                                                                             \
    F(queue_response)                                                                                                  \
    F(destroy_response)

#define MHD_MEMBER(name) __typeof__(&MHD_##name) name; // NOLINT(bugprone-macro-parentheses): a member
struct mhd_functions {
    MHD_FUNCTIONS(MHD_MEMBER)
};

/* All NULL before mhd_load. Nothing changes it after mhd_load succeeded. */
extern struct mhd_functions mhd;

/* Loads the library. Does nothing if it is loaded. Only one thread may call this at a time. ERR_CONFIG: it is not
 * installed, or too old. */
int mhd_load(struct err *e) MUST_CHECK;

#endif
