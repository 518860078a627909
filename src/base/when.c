/* base/when.c */
#include "base/when.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>
#include <time.h>

static bool digits(const char **at, int count, int *ret_value)
{
    *ret_value = 0;
    for (int i = 0; i < count; i++, (*at)++) {
        if (!isdigit((unsigned char)**at))
            return false;
        *ret_value = 10 * *ret_value + (**at - '0');
    }
    return true;
}

static bool one_of(const char **at, const char *characters)
{
    bool found = **at && strchr(characters, **at);
    *at += found;
    return found;
}

/* "2 hours ago" */
static bool parse_ago(const char *text, int64_t now_ms, int64_t *ret_ms)
{
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {{"s", 1000},     {"sec", 1000},     {"second", 1000}, {"m", 60000},
                 {"min", 60000},  {"minute", 60000}, {"h", 3600000},   {"hour", 3600000},
                 {"d", 86400000}, {"day", 86400000}, {"w", 604800000}, {"week", 604800000}};
    int64_t n = 0;
    const char *at = text;
    while (isdigit((unsigned char)*at) && at - text < 9)
        n = 10 * n + (*at++ - '0');
    if (at == text)
        return false;
    at += strspn(at, " ");
    size_t len = strcspn(at, " "), name = len > 1 && at[len - 1] == 's' ? len - 1 : len;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strlen(units[i].name) == name && strncasecmp(units[i].name, at, name) == 0 &&
            strcasecmp(at + len + strspn(at + len, " "), "ago") == 0) {
            *ret_ms = now_ms - n * units[i].ms;
            return true;
        }
    return false;
}

/* "Z", "+02:00", "" for local time. */
static bool parse_zone(const char *at, bool *ret_local, int *ret_minutes)
{
    int hours = 0, minutes = 0;
    *ret_local = *at == 0;
    *ret_minutes = 0;
    if (*at == 0 || strcasecmp(at, "z") == 0)
        return true;
    int sign = *at == '-' ? -1 : 1;
    if (!one_of(&at, "+-") || !digits(&at, 2, &hours))
        return false;
    one_of(&at, ":");
    if (!digits(&at, 2, &minutes) || *at || hours > 14 || minutes > 59)
        return false;
    *ret_minutes = sign * (60 * hours + minutes);
    return true;
}

static bool parse_date(const char *text, int64_t *ret_ms)
{
    struct tm tm = {.tm_isdst = -1};
    int fraction = 0, minutes = 0;
    bool local = true;
    const char *at = text;
    if (!digits(&at, 4, &tm.tm_year) || !one_of(&at, "-") || !digits(&at, 2, &tm.tm_mon) || !one_of(&at, "-") ||
        !digits(&at, 2, &tm.tm_mday))
        return false;
    if (one_of(&at, "Tt ")) {
        if (!digits(&at, 2, &tm.tm_hour) || !one_of(&at, ":") || !digits(&at, 2, &tm.tm_min))
            return false;
        if (one_of(&at, ":") && !digits(&at, 2, &tm.tm_sec))
            return false;
        if (one_of(&at, ".,"))
            for (int scale = 100; isdigit((unsigned char)*at); at++, scale /= 10)
                fraction += scale * (*at - '0');
        at += strspn(at, " ");
        if (!parse_zone(at, &local, &minutes))
            return false;
    } else if (*at) {
        return false;
    }
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    struct tm asked = tm;
    time_t t = local ? mktime(&tm) : timegm(&tm);
    if (tm.tm_mday != asked.tm_mday || tm.tm_mon != asked.tm_mon || asked.tm_hour > 23 || asked.tm_min > 59 ||
        asked.tm_sec > 60)
        return false; /* 31 February */
    *ret_ms = ((int64_t)t - 60 * minutes) * 1000 + fraction;
    return true;
}

bool when_parse(const char *text, int64_t now_ms, int64_t *ret_ms)
{
    text += strspn(text, " ");
    if (strcasecmp(text, "now") == 0) {
        *ret_ms = now_ms;
        return true;
    }
    return parse_date(text, ret_ms) || parse_ago(text, now_ms, ret_ms);
}
