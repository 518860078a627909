/* base/log.h - writes one line per event to stderr. An error is logged once, where it is finally handled.
 *
 *   LOG_TEXT     2026-03-01T12:00:00.250Z WARN  replica 'x': trying again; a hint has a line of its own
 *   LOG_JOURNAL  <4>replica 'x': trying again HINT: ...     for systemd's journal, which has the time itself
 *   LOG_LOGFMT   time=2026-03-01T12:00:00.250Z level=warn replica="x" msg="trying again" hint="..."
 *   LOG_JSON     {"time":"...","level":"warn","replica":"x","msg":"trying again","hint":"..."}
 *
 * In the last two the database or the replica that a message begins with is a field of its own, and the message has
 * only what is behind it. */
#ifndef SEAWALL_BASE_LOG_H
#define SEAWALL_BASE_LOG_H

#include "base/err.h"

#include <stdbool.h>

enum log_format { LOG_TEXT, LOG_JOURNAL, LOG_LOGFMT, LOG_JSON };

/* The words of an operator. "auto": LOG_JOURNAL if stderr leads to the journal, else LOG_TEXT. */
#define LOG_FORMATS "auto|text|logfmt|json"

/* False: it is none of these words. */
bool log_format_of(const char *word, enum log_format *ret_format);

/* LOG_TEXT at first. Precondition of both: no thread has started. */
void log_set_format(enum log_format format);
void log_set_quiet(void); /* leaves INFO out */
enum log_format log_format(void);

void log_error(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_warn(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_info(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_progress(const char *fmt, ...) PRINTF_LIKE(1, 2); /* INFO that is never left out */

#endif
