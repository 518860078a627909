/* extension/log.h - the log of base/log.h inside an application: lines go to SQLite's log, not to stderr.
 * extension/log.c takes the place of base/log.c in seawall.so. */
#ifndef SEAWALL_EXTENSION_LOG_H
#define SEAWALL_EXTENSION_LOG_H

typedef void log_function(int code, const char *format, ...);

/* Where lines go from now on: sqlite3_log() of the library that called last. */
void log_to(log_function *function);

#endif
