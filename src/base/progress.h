/* base/progress.h - says how far long work is: percentage, rate, time left. The one place for all commands and the
 * daemon.
 *
 *   on a terminal    one line, which is drawn again and again, and is gone at the end. It has no escape sequences: it
 *                    goes back with a carriage return, and writes blanks over what was there
 *   in a log         a line a minute: a regular file, or the journal of systemd. Also a terminal that can't go back
 *                    (TERM=dumb, or not set)
 *   elsewhere        nothing: a pipe is read by a program, which wants messages alone
 *
 * Work that ends within a second shows nothing. Not for several threads at a time. */
#ifndef SEAWALL_BASE_PROGRESS_H
#define SEAWALL_BASE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#define PROGRESS_WHAT_MAX 300
#define PROGRESS_TEXT_MAX 256
#define PROGRESS_LOG_MS 60000

enum progress_place { PROGRESS_NOWHERE, PROGRESS_TERMINAL, PROGRESS_LOG };

struct progress {
    enum progress_place place;
    char what[PROGRESS_WHAT_MAX]; /* for the log: "restore of 'x'" */
    const char *unit;             /* what is counted: "databases"; NULL: bytes */
    int64_t started_ms, told_ms;  /* monotonic */
    uint64_t already;             /* of `done` at the start: it does not count for the rate */
    int shown;                    /* columns of the line on the terminal; 0: it has none */
};

/* Where the progress of a command belongs: what stderr is. */
enum progress_place progress_place_of_stderr(void);

/* Begins now. `unit` must outlive it. */
void progress_begin(struct progress *p, enum progress_place place, const char *unit, const char *what);

/* The first `done` were done by an earlier run. */
void progress_goes_on_from(struct progress *p, uint64_t done);

/* Says that `done` of `total` are done. May be called as often as is wanted: a terminal is drawn ten times a second. */
void progress_report(struct progress *p, uint64_t done, uint64_t total);

/* The same as a callback: `context` is a struct progress. */
void progress_callback(void *context, uint64_t done, uint64_t total);

/* Clears the line, so that a message can be printed. The next report draws it again. */
void progress_clear(struct progress *p);

/* Clears the line. Nothing has to be released. */
static inline void progress_end(struct progress *p)
{
    progress_clear(p);
}

/* Writes "33 %, 412.0 MB/s, 3 s left" or "1200 of 10000 databases, 12 %, 310 a second, 28 s left". Without `done` or a
 * rate there is no time left. */
void progress_text(const struct progress *p, uint64_t done, uint64_t total, int64_t now_ms,
                   char out[PROGRESS_TEXT_MAX]);

/* Writes a time for people: "3 s", "12 min", "1 h 5 min". */
void progress_format_time(uint64_t seconds, char out[32]);

#endif
