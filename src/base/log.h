/* base/log.h - writes one line per event to stderr. An error is logged once, where it is finally handled. */
#ifndef SEAWALL_BASE_LOG_H
#define SEAWALL_BASE_LOG_H

#include "base/err.h"

void log_set_quiet(void); /* leaves INFO out. Precondition: no thread has started */

void log_error(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_warn(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_info(const char *fmt, ...) PRINTF_LIKE(1, 2);

#endif
