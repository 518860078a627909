/* import/text.c */
#include "import/text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_name(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* Reads "$NAME" or "${NAME}" at the front of `at`. Returns its length; 0: it is neither. */
static size_t read_variable(const char *at, char name[128])
{
    const bool braces = at[0] == '$' && at[1] == '{';
    const char *from = at + (braces ? 2 : 1);
    size_t n = 0;
    name[0] = 0;
    if (at[0] != '$')
        return 0;
    while (is_name(from[n]))
        n++;
    if (n == 0 || n >= 128 || (braces && from[n] != '}'))
        return 0;
    memcpy(name, from, n);
    name[n] = 0;
    return (size_t)(from - at) + n + (braces ? 1 : 0);
}

bool import_variable(const char *value, char out[128])
{
    for (; *value; value++)
        if (read_variable(value, out))
            return true;
    out[0] = 0;
    return false;
}

static int add(char out[IMPORT_TEXT_MAX], size_t *at, const char *text, size_t n, struct err *e)
{
    if (*at + n >= IMPORT_TEXT_MAX)
        return err_set(e, ERR_CONFIG, 0, "a value is longer than %d bytes", IMPORT_TEXT_MAX - 1);
    memcpy(out + *at, text, n);
    *at += n;
    return 0;
}

int import_expand(const char *value, bool expand, char out[IMPORT_TEXT_MAX], struct err *e)
{
    size_t at = 0;
    while (*value) {
        char name[128];
        const size_t n = expand ? read_variable(value, name) : 0;
        const char *text = n ? getenv(name) : value;
        if (n && !text) {
            err_set(e, ERR_CONFIG, 0, "the environment variable %s is not set", name);
            return err_hint(e, "set it as Litestream's service does, or say --no-expand-env");
        }
        if (add(out, &at, text, n ? strlen(text) : 1, e))
            return -1;
        value += n ? n : 1;
    }
    out[at] = 0;
    for (size_t i = 0; i < at; i++)
        if (iscntrl((unsigned char)out[i]))
            return err_set(e, ERR_CONFIG, 0, "a value has a line break or a control character");
    return 0;
}

static bool take_unit(const char **at, double *ret_ms)
{
    static const struct {
        const char *name;
        double ms;
    } units[] = {{"ns", 1e-6}, {"us", 1e-3}, {"ms", 1}, {"h", 3600000}, {"m", 60000}, {"s", 1000}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strncmp(*at, units[i].name, strlen(units[i].name)) == 0) {
            *at += strlen(units[i].name);
            *ret_ms = units[i].ms;
            return true;
        }
    return false;
}

bool import_duration(const char *value, uint64_t *ret_ms)
{
    double all = 0, unit = 0;
    if (!*value)
        return false;
    while (*value) {
        char *end = NULL;
        if (!isdigit((unsigned char)*value) && *value != '.')
            return false;
        const double number = strtod(value, &end);
        if (end == value)
            return false;
        value = end;
        if (!take_unit(&value, &unit))
            return false;
        all += number * unit;
    }
    if (all > 1e15)
        return false;
    *ret_ms = (uint64_t)(all + 0.5);
    return true;
}

int import_flag(const char *value)
{
    static const char *const yes[] = {"true", "yes", "on", "1", "True", "TRUE", "Yes", "YES", "On", "ON"};
    static const char *const no[] = {"false", "no", "off", "0", "False", "FALSE", "No", "NO", "Off", "OFF"};
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++)
        if (strcmp(value, yes[i]) == 0)
            return 1;
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
        if (strcmp(value, no[i]) == 0)
            return 0;
    return -1;
}
