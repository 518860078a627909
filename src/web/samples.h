/* web/samples.h - how far the replicas were behind in the last hours: a ring of minutes, which never grows.
 *
 * A minute without a note is unknown: the program did not run, or did not get to it. It is never shown as good. */
#ifndef SEAWALL_WEB_SAMPLES_H
#define SEAWALL_WEB_SAMPLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SAMPLES_COUNT 360
#define SAMPLES_MS 60000 /* of one of them */

struct sample {
    bool known;
    int64_t lag_ms;     /* the greatest that was seen in the minute */
    uint64_t lag_bytes; /* the same */
};

struct samples {
    struct sample list[SAMPLES_COUNT]; /* of minute N at N % SAMPLES_COUNT */
    int64_t newest;                    /* number of the newest minute; 0: none */
};

/* Notes what was seen at `now_ms`. The clock must not go back, must go on while the machine is suspended, and must be
 * positive (clock_boot_ms). */
void samples_note(struct samples *s, int64_t now_ms, int64_t lag_ms, uint64_t lag_bytes);

/* The minute that ended `ago` minutes before the one of `now_ms`; 0 is that one itself. */
struct sample samples_at(const struct samples *s, int64_t now_ms, size_t ago);

#endif
