/* base/invariant.c */
#include "base/invariant.h"

#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void invariant_broken(const char *file, int line, const char *fmt, ...)
{
    char text[ERR_MSG_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    log_error("broken invariant at %s:%d: %s; stopping before anything wrong is stored. Please report this line", file,
              line, text);
    abort();
}
