/* web/chart.c */
#include "web/chart.h"

#include "base/text.h"
#include "base/when.h"
#include "web/html.h"

#include <inttypes.h>

#define HEIGHT 100
#define BAR 2         /* width of a minute */
#define LATE_MS 60000 /* from here on a replica is not well: CONDITION_PATIENCE_MS of daemon/condition.h */
#define LINE_WIDTH 1000
#define POINT_WIDTH 4 /* of the shortest span, so that it can be seen */

int64_t chart_top_ms(int64_t ms)
{
    static const int64_t steps[] = {1000,    2000,    5000,    10000,    30000,    60000,    300000,   900000,
                                    1800000, 3600000, 7200000, 21600000, 43200000, 86400000, 172800000};
    const size_t count = sizeof steps / sizeof steps[0];
    for (size_t i = 0; i < count; i++)
        if (ms <= steps[i])
            return steps[i];
    return (ms / 86400000 + 1) * 86400000;
}

static int64_t greatest(const struct samples *s, int64_t now_ms)
{
    int64_t most_ms = 0;
    for (size_t ago = 0; ago < SAMPLES_COUNT; ago++) {
        const struct sample x = samples_at(s, now_ms, ago);
        most_ms = x.known && x.lag_ms > most_ms ? x.lag_ms : most_ms;
    }
    return most_ms;
}

/* The bars of the minutes that are late, or of those that are not; as one path. */
static void print_bars(FILE *out, const struct samples *s, int64_t now_ms, int64_t top_ms, bool late)
{
    text_print_to(out, "<path class=\"%s\" d=\"M0 0", late ? "late" : "lag");
    for (size_t i = 0; i < SAMPLES_COUNT; i++) {
        const struct sample x = samples_at(s, now_ms, SAMPLES_COUNT - 1 - i);
        if (!x.known || x.lag_ms == 0 || (x.lag_ms >= LATE_MS) != late)
            continue;
        const int height = 1 + (int)(x.lag_ms * (HEIGHT - 1) / top_ms);
        text_print_to(out, "M%zu %dv-%dh%dv%dz", i * BAR, HEIGHT, height, BAR, height);
    }
    text_put(out, "\"/>");
}

static void print_unknown(FILE *out, const struct samples *s, int64_t now_ms)
{
    for (size_t i = 0, n; i < SAMPLES_COUNT; i += n + 1) {
        for (n = 0; i + n < SAMPLES_COUNT && !samples_at(s, now_ms, SAMPLES_COUNT - 1 - i - n).known;)
            n++;
        if (n > 0)
            text_print_to(out, "<rect class=\"unknown\" x=\"%zu\" y=\"0\" width=\"%zu\" height=\"%d\"/>", i * BAR,
                          n * BAR, HEIGHT);
    }
}

void chart_lag(FILE *out, const struct samples *s, int64_t now_ms)
{
    const int64_t most_ms = greatest(s, now_ms), top_ms = chart_top_ms(most_ms);
    text_put(out, "<div class=\"top\"><span>greatest of each minute</span><span>");
    html_span(out, top_ms);
    text_print_to(out,
                  "</span></div><svg viewBox=\"0 0 %d %d\" preserveAspectRatio=\"none\" class=\"chart\" role=\"img\" "
                  "aria-label=\"lag of the last hours, at most ",
                  SAMPLES_COUNT * BAR, HEIGHT);
    html_span(out, most_ms);
    text_put(out, "\">");
    print_unknown(out, s, now_ms);
    print_bars(out, s, now_ms, top_ms, false);
    print_bars(out, s, now_ms, top_ms, true);
    text_put(out,
             "</svg><div class=\"axis\"><span>6 h ago</span><span>4 h</span><span>2 h</span><span>now</span></div>");
}

bool chart_span(const struct json *points, size_t index, int64_t *ret_from_ms, int64_t *ret_to_ms)
{
    const struct json *spans = json_get(points, "spans");
    const struct json *one = index < json_count(spans) ? json_at(spans, index) : NULL;
    const char *from = json_get_text(one, "from"), *to = json_get_text(one, "to");
    return from && to && when_parse(from, 0, ret_from_ms) && when_parse(to, 0, ret_to_ms);
}

/* A bar of the line, which begins at `first_ms` and is `whole_ms` long. */
static void print_span(FILE *out, int64_t from_ms, int64_t to_ms, int64_t first_ms, int64_t whole_ms)
{
    int64_t x = (from_ms - first_ms) * LINE_WIDTH / whole_ms, end = (to_ms - first_ms) * LINE_WIDTH / whole_ms;
    end = end > LINE_WIDTH ? LINE_WIDTH : end;
    x = x > LINE_WIDTH - POINT_WIDTH ? LINE_WIDTH - POINT_WIDTH : x < 0 ? 0 : x;
    text_print_to(out, "<rect class=\"points\" x=\"%" PRId64 "\" y=\"1\" width=\"%" PRId64 "\" height=\"14\"><title>",
                  x, end - x < POINT_WIDTH ? POINT_WIDTH : end - x);
    html_moment(out, from_ms);
    if (to_ms > from_ms) {
        text_put(out, " to ");
        html_moment(out, to_ms);
    }
    text_put(out, "</title></rect>");
}

void chart_points(FILE *out, const struct json *points, int64_t newest_ms, int64_t now_ms)
{
    int64_t first_ms = 0, from_ms = 0, to_ms = 0;
    if (!chart_span(points, 0, &first_ms, &to_ms))
        return;
    const int64_t whole_ms = now_ms > first_ms ? now_ms - first_ms : 1;
    text_print_to(out,
                  "<svg viewBox=\"0 0 %d 16\" preserveAspectRatio=\"none\" class=\"line\" role=\"img\" "
                  "aria-label=\"restore points\"><rect class=\"none\" x=\"0\" y=\"6\" width=\"%d\" height=\"4\"/>",
                  LINE_WIDTH, LINE_WIDTH);
    for (size_t i = 0; chart_span(points, i, &from_ms, &to_ms); i++)
        print_span(out, from_ms, to_ms, first_ms, whole_ms);
    if (newest_ms > to_ms)
        print_span(out, newest_ms, newest_ms, first_ms, whole_ms);
    text_put(out, "</svg>");
}
