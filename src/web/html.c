/* web/html.c */
#include "web/html.h"

#include "base/clock.h"
#include "base/text.h"
#include "base/units.h"

#include <inttypes.h>
#include <string.h>

static const char *entity_of(char c)
{
    switch (c) {
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '&':
        return "&amp;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

void html_text(FILE *out, const char *text)
{
    for (size_t left = text ? strlen(text) : 0; left > 0;) {
        const char *entity = entity_of(*text);
        size_t n = entity ? 1 : 0;
        while (!entity && n < left && !entity_of(text[n]))
            n++;
        if (entity)
            text_put(out, entity);
        else
            text_print_to(out, "%.*s%s", (int)n, text, ""); /* the last argument could keep a hint */
        text += n;
        left -= n;
    }
}

void html_span(FILE *out, int64_t ms)
{
    static const struct {
        int64_t from_ms, unit_ms;
        const char *name;
    } units[] = {{48 * 3600000, 86400000, "days"}, {5400000, 3600000, "h"}, {90000, 60000, "min"}, {1000, 1000, "s"}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (ms >= units[i].from_ms) {
            text_print_to(out, "%" PRId64 " %s", ms / units[i].unit_ms, units[i].name);
            return;
        }
    text_print_to(out, "%" PRId64 " ms", ms > 0 ? ms : 0);
}

void html_moment(FILE *out, int64_t ms)
{
    char text[CLOCK_TEXT_MAX];
    clock_format(ms, text);
    char *t = strchr(text, 'T'), *dot = strchr(text, '.');
    if (t)
        *t = ' ';
    if (dot)
        *dot = 0;
    text_print_to(out, "%s UTC", text);
}

void html_size(FILE *out, uint64_t bytes)
{
    char text[32];
    units_format_size(bytes, text);
    text_put(out, text);
}

void html_number(FILE *out, uint64_t n)
{
    if (n >= 1000) {
        html_number(out, n / 1000);
        text_print_to(out, ",%03u", (unsigned)(n % 1000));
        return;
    }
    text_print_to(out, "%u", (unsigned)n);
}
