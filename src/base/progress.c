/* base/progress.c */
#include "base/progress.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/units.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHOW_AFTER_MS 1000
#define DRAW_MS 100
#define BAR_MAX 30
#define BAR_MIN 5
#define COLUMNS 80 /* of a terminal that does not say its width */

/* ---- where */

/* Whether JOURNAL_STREAM, "device:inode", names this file: it leads to the journal. */
static bool is_journal(const struct stat *st)
{
    const char *stream = getenv("JOURNAL_STREAM");
    char ours[64];
    snprintf(ours, sizeof ours, "%ju:%ju", (uintmax_t)st->st_dev, (uintmax_t)st->st_ino);
    return stream && strcmp(stream, ours) == 0;
}

enum progress_place progress_place_of_stderr(void)
{
    const char *term = getenv("TERM");
    struct stat st;
    if (isatty(STDERR_FILENO))
        return term && *term && strcmp(term, "dumb") != 0 ? PROGRESS_TERMINAL : PROGRESS_LOG;
    if (fstat(STDERR_FILENO, &st) != 0)
        return PROGRESS_NOWHERE;
    return S_ISREG(st.st_mode) || is_journal(&st) ? PROGRESS_LOG : PROGRESS_NOWHERE;
}

/* ---- text */

void progress_format_time(uint64_t seconds, char out[32])
{
    if (seconds < 120)
        snprintf(out, 32, "%" PRIu64 " s", seconds);
    else if (seconds < 7200)
        snprintf(out, 32, "%" PRIu64 " min", (seconds + 30) / 60);
    else
        snprintf(out, 32, "%" PRIu64 " h %" PRIu64 " min", seconds / 3600, seconds % 3600 / 60);
}

/* Units of this run for each second. */
static double rate_of(const struct progress *p, uint64_t done, int64_t now_ms)
{
    const int64_t ms = now_ms - p->started_ms;
    return ms > 0 && done > p->already ? (double)(done - p->already) * 1000 / (double)ms : 0;
}

/* A number that may be too large for the type. */
static uint64_t whole(double number)
{
    return number < 1e18 ? (uint64_t)number : UINT64_C(1000000000000000000);
}

void progress_text(const struct progress *p, uint64_t done, uint64_t total, int64_t now_ms, char out[PROGRESS_TEXT_MAX])
{
    char rate[32], left[32], counts[64] = "", ending[48] = "";
    const double per_second = rate_of(p, done, now_ms);
    if (done > total)
        done = total;
    if (p->unit)
        snprintf(counts, sizeof counts, "%" PRIu64 " of %" PRIu64 " %s, ", done, total, p->unit);
    if (!p->unit)
        units_format_size(whole(per_second), rate);
    else
        snprintf(rate, sizeof rate, per_second < 10 ? "%.1f" : "%.0f", per_second);
    if (per_second > 0) {
        progress_format_time(whole((double)(total - done) / per_second), left);
        snprintf(ending, sizeof ending, ", %s left", left);
    }
    snprintf(out, PROGRESS_TEXT_MAX, "%s%" PRIu64 " %%, %s%s%s", counts,
             total > 0 ? (uint64_t)((double)done * 100 / (double)total) : 0, rate, p->unit ? " a second" : "/s",
             ending);
}

/* ---- life */

void progress_begin(struct progress *p, enum progress_place place, const char *unit, const char *what)
{
    const int64_t now = clock_mono_ms();
    *p = (struct progress){.place = place, .unit = unit, .started_ms = now, .told_ms = now};
    snprintf(p->what, sizeof p->what, "%s", what);
}

void progress_goes_on_from(struct progress *p, uint64_t done)
{
    p->already = done;
}

static int columns(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : COLUMNS;
}

/* [##########--------------------] 33 %, 412.0 MB/s, 3 s left */
static void draw(struct progress *p, const char *text, uint64_t done, uint64_t total)
{
    char bar[BAR_MAX + 1];
    const int room = columns() - 1, len = (int)strlen(text);
    int width = room - len - 3;
    width = width > BAR_MAX ? BAR_MAX : width;
    if (room < len) /* a line that wraps could not be drawn again */
        return;
    const int before = p->shown;
    if (width >= BAR_MIN) {
        const int filled = total > 0 ? (int)((double)(done < total ? done : total) * width / (double)total) : 0;
        memset(bar, '-', (size_t)width);
        memset(bar, '#', (size_t)filled);
        bar[width] = 0;
        text_print_to(stderr, "\r[%s] %s", bar, text);
        p->shown = width + 3 + len;
    } else {
        text_print_to(stderr, "\r%s", text);
        p->shown = len;
    }
    if (before > p->shown && before <= room)
        text_print_to(stderr, "%*s", before - p->shown, "");
    fflush(stderr);
}

void progress_report(struct progress *p, uint64_t done, uint64_t total)
{
    const int64_t now = clock_mono_ms(), wait = p->place == PROGRESS_LOG ? PROGRESS_LOG_MS : DRAW_MS;
    char text[PROGRESS_TEXT_MAX];
    if (p->place == PROGRESS_NOWHERE || total == 0 || now - p->started_ms < SHOW_AFTER_MS || now - p->told_ms < wait)
        return;
    p->told_ms = now;
    progress_text(p, done, total, now, text);
    if (p->place == PROGRESS_LOG)
        log_progress("%s: %s", p->what, text);
    else
        draw(p, text, done, total);
}

void progress_callback(void *context, uint64_t done, uint64_t total)
{
    progress_report(context, done, total);
}

void progress_clear(struct progress *p)
{
    if (p->shown == 0)
        return;
    text_print_to(stderr, "\r%*s\r", p->shown, "");
    fflush(stderr);
    p->shown = 0;
    p->told_ms = 0;
}
