/* extension/log.c */
#include "base/log.h"

#include "extension/log.h"

#include <sqlite3.h>
#include <stdarg.h>
#include <stdatomic.h>

#define LINE_MAX_BYTES 1600

static _Atomic(log_function *) target;

void log_to(log_function *function)
{
    atomic_store(&target, function);
}

static void write_line(int code, const char *fmt, va_list args)
{
    char line[LINE_MAX_BYTES];
    log_function *log = atomic_load(&target);
    if (!log)
        return;
    text_vformat(line, sizeof line, TEXT_HINT_STAYS, fmt, args);
    log(code, "seawall: %s", line);
}

#define DEFINE_LOG(name, code)                                                                                         \
    void name(const char *fmt, ...)                                                                                    \
    {                                                                                                                  \
        va_list args;                                                                                                  \
        va_start(args, fmt);                                                                                           \
        write_line(code, fmt, args);                                                                                   \
        va_end(args);                                                                                                  \
    }
DEFINE_LOG(log_error, SQLITE_ERROR)
DEFINE_LOG(log_warn, SQLITE_WARNING)
DEFINE_LOG(log_info, SQLITE_NOTICE)
