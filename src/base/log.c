/* base/log.c - each line is written with one write(), so that the lines of threads do not mix. */
#include "base/log.h"

#include "base/clock.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1200

static bool quiet;

void log_set_quiet(void)
{
    quiet = true;
}

static void write_line(const char *level, const char *fmt, va_list args)
{
    char line[LINE_MAX_BYTES];
    char now[CLOCK_TEXT_MAX];
    clock_format(clock_wall_ms(), now);
    size_t len = (size_t)snprintf(line, sizeof line, "%s %-5s ", now, level);
    len += text_vformat(line + len, sizeof line - len - 1, TEXT_HINT_STAYS, fmt, args);
    if (len > sizeof line - 2)
        len = sizeof line - 2;
    line[len++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, len);
    (void)written; /* an error of stderr can't be reported */
}

#define DEFINE_LOG(name, level, wanted)                                                                                \
    void name(const char *fmt, ...)                                                                                    \
    {                                                                                                                  \
        va_list args;                                                                                                  \
        if (!(wanted))                                                                                                 \
            return;                                                                                                    \
        va_start(args, fmt);                                                                                           \
        write_line(level, fmt, args);                                                                                  \
        va_end(args);                                                                                                  \
    }
DEFINE_LOG(log_error, "ERROR", true)
DEFINE_LOG(log_warn, "WARN", true)
DEFINE_LOG(log_info, "INFO", !quiet)
