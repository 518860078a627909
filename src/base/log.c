/* base/log.c - a line is formatted whole and leaves in one write(), so that threads don't mix theirs. */
#include "base/log.h"

#include "base/clock.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1200

static atomic_int log_threshold = LOG_INFO;

void log_set_level(enum log_level level)
{
    atomic_store(&log_threshold, (int)level);
}

static void write_line(enum log_level level, const char *fmt, va_list args)
{
    static const char *const names[] = {"ERROR", "WARN", "INFO", "DEBUG"};
    char line[LINE_MAX_BYTES];
    char now[CLOCK_TEXT_MAX];
    if ((int)level > atomic_load(&log_threshold))
        return;
    clock_format(clock_wall_ms(), now);
    size_t len = (size_t)snprintf(line, sizeof line, "%s %-5s ", now, names[level]);
    int n = vsnprintf(line + len, sizeof line - len - 1, fmt, args);
    len += n < 0 ? 0 : (size_t)n;
    if (len > sizeof line - 2)
        len = sizeof line - 2;
    line[len++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, len);
    (void)written; /* nowhere left to complain */
}

#define DEFINE_LOG(name, level)         \
    void name(const char *fmt, ...)     \
    {                                   \
        va_list args;                   \
        va_start(args, fmt);            \
        write_line(level, fmt, args);   \
        va_end(args);                   \
    }
DEFINE_LOG(log_error, LOG_ERROR)
DEFINE_LOG(log_warn, LOG_WARN)
DEFINE_LOG(log_info, LOG_INFO)
DEFINE_LOG(log_debug, LOG_DEBUG)
