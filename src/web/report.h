/* web/report.h - what the daemon says of all its databases at one moment: everything that is served is made from it. */
#ifndef SEAWALL_WEB_REPORT_H
#define SEAWALL_WEB_REPORT_H

#include "web/samples.h"
#include "web/summary.h"

#define REPORT_SLEEPERS_MAX 100 /* a page shows no more */

struct report {
    struct json *databases; /* owned; documents of databases that are awake or in trouble; the worst first */
    uint64_t left_out;      /* so many more are awake or in trouble */
    struct json *sleepers;  /* owned; documents of some others, if there is room for them on a page */
    struct summary summary;
    struct samples samples;
    int64_t boot_ms;    /* by the clock of the samples */
    int64_t wall_ms;    /* when the report was made */
    int64_t started_ms; /* wall clock; when the daemon was */
    char *all;          /* owned; the document of /status.json; NULL: it was not asked for */
    size_t all_bytes;   /* of it */
};

/* Zeroed reports and NULL are fine. The memory of the report itself is freed too. */
void report_free(struct report *r);

#endif
