/* base/err.c */
#define SEAWALL_BASE_ERR_C
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Appends to msg[len..]; marks a cut with "...". Returns the new length. */
static size_t append(char *msg, size_t len, const char *fmt, va_list args)
{
    size_t n = text_vformat(msg + len, ERR_MSG_MAX - len, TEXT_ESCAPED, fmt, args);
    if (n >= ERR_MSG_MAX - len) {
        memcpy(msg + ERR_MSG_MAX - 4, "...", 4);
        return ERR_MSG_MAX - 1;
    }
    return len + n;
}

int err_set(struct err *e, enum err_code code, int sys, const char *fmt, ...)
{
    va_list args;
    e->code = code;
    e->sys = sys;
    va_start(args, fmt);
    append(e->msg, 0, fmt, args);
    va_end(args);
    return -1;
}

int err_sys(struct err *e, int sys, const char *fmt, ...)
{
    char text[128] = "";
    va_list args;
    e->code = sys == ENOMEM ? ERR_NOMEM : sys == EEXIST ? ERR_EXISTS : sys == ENOENT ? ERR_NOTFOUND : ERR_IO;
    e->sys = sys;
    va_start(args, fmt);
    size_t len = append(e->msg, 0, fmt, args);
    va_end(args);
    const char *what = strerror_r(sys, text, sizeof text);
    if (snprintf(e->msg + len, ERR_MSG_MAX - len, ": %s", what) >= (int)(ERR_MSG_MAX - len))
        memcpy(e->msg + ERR_MSG_MAX - 4, "...", 4);
    return -1;
}

int err_wrap(struct err *e, const char *fmt, ...)
{
    char old[ERR_MSG_MAX];
    va_list args;
    memcpy(old, e->msg, sizeof old);
    va_start(args, fmt);
    size_t len = append(e->msg, 0, fmt, args);
    va_end(args);
    if (snprintf(e->msg + len, ERR_MSG_MAX - len, ": %s", old) >= (int)(ERR_MSG_MAX - len))
        memcpy(e->msg + ERR_MSG_MAX - 4, "...", 4);
    return -1;
}

int err_hint(struct err *e, const char *fmt, ...)
{
    va_list args;
    if (strstr(e->msg, TEXT_HINT))
        return -1;
    size_t len = strlen(e->msg);
    len += (size_t)snprintf(e->msg + len, ERR_MSG_MAX - len, "%s", TEXT_HINT);
    if (len >= ERR_MSG_MAX) {
        memcpy(e->msg + ERR_MSG_MAX - 4, "...", 4);
        return -1;
    }
    va_start(args, fmt);
    append(e->msg, len, fmt, args);
    va_end(args);
    return -1;
}

int err_nomem(struct err *e, unsigned long long bytes)
{
    return err_set(e, ERR_NOMEM, ENOMEM, "out of memory: %llu bytes", bytes);
}
