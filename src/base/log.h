/* base/log.h - one line per event on stderr. Only replicate, restore and cli log, once, where an error is finally decided. */
#ifndef SEAWALL_BASE_LOG_H
#define SEAWALL_BASE_LOG_H

#include "base/err.h"

void log_set_quiet(void); /* from here on INFO is left out; before threads start */

void log_error(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_warn(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_info(const char *fmt, ...) PRINTF_LIKE(1, 2);

#endif
