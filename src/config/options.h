/* config/options.h - the options of an operator, in one table. The command line, configuration files, the help text,
 * shell completion and the check of the man page all read it. */
#ifndef SEAWALL_CONFIG_OPTIONS_H
#define SEAWALL_CONFIG_OPTIONS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OPTION_NEVER UINT64_MAX /* the value of the word "never" */
#define OPTION_TEXT_MAX 32      /* bytes of a formatted value */

/* One value for each entry of option_table. */
struct options {
    /* frames in the WAL from which the checkpoint lock is kept; OPTION_NEVER: it is never kept */
    uint64_t lock_at;
    /* frames in the WAL at which a pause is used to checkpoint; without a pause 2.5 times as many */
    uint64_t wal_target;
    uint64_t wal_limit;       /* bytes beyond which the WAL file is truncated even under load */
    uint64_t rest_after_ms;   /* idle time before a full checkpoint empties the WAL */
    uint64_t stop_timeout_ms; /* time without progress after which a stopping daemon gives up */
    uint64_t max_pending;     /* bytes of captured versions that wait for a replica */
    uint64_t memory;          /* bytes of memory for what is read from replicas (base/claim.h) */
    /* PUTs an hour to a store that charges for requests, once the burst is used up; OPTION_NEVER: no limit */
    uint64_t put_rate;
    uint64_t put_burst; /* PUTs that may be sent at once */
    uint64_t max_batch; /* bytes of captured versions that are shipped at once, whatever the rate */
    /* objects that are younger are not deleted; a head that was proven over half of this ago is proven again */
    uint64_t grace_ms;
    uint64_t hide_writer; /* 0 or 1: replicas get hashes of the host and the path of the database, not the names */
    uint64_t set_wal;     /* 0 or 1: switch a database in a rollback-journal mode to WAL mode */

    /* compaction and retention: see retention/retention.h */
    uint64_t fanout; /* segments of a level that become one segment of the level above */
    /* age of the newest base at which a changed database gets a new one; OPTION_NEVER: by weight alone */
    uint64_t base_interval_ms;
    uint64_t prune_interval_ms;  /* between two runs of retention by the daemon; OPTION_NEVER: no runs */
    uint64_t keep_all_ms;        /* all restore points that are younger are kept */
    uint64_t keep_levels_ms;     /* ends of compacted segments that are younger are kept as restore points */
    uint64_t keep_hourly;        /* hours of which the last base is kept */
    uint64_t keep_daily;         /* days of which the last base is kept */
    uint64_t keep_weekly;        /* weeks of which the last base is kept */
    uint64_t keep_monthly;       /* months of which the last base is kept */
    uint64_t verify_interval_ms; /* between two verifications by the daemon; OPTION_NEVER: no verifications */

    /* a daemon of many databases */
    uint64_t sleep_after_ms; /* a database that is quiet for so long sleeps; OPTION_NEVER: none does */
    uint64_t awake_max;      /* if more are awake, those that have been quiet for longest sleep earlier */
    /* of all databases of the daemon together, as put_rate, put_burst and max_pending are of each replica */
    uint64_t total_put_rate, total_put_burst, total_max_pending;
};

enum option_kind {
    OPTION_FRAMES, /* a number of frames */
    OPTION_COUNT,  /* a number of something else */
    OPTION_BYTES,  /* a number with K, M or G (powers of 1024) or without */
    OPTION_MS,     /* a time: 500ms, 2s, 1m, 1h, 7d; a bare number is milliseconds */
    OPTION_RATE,   /* 1/s, 30/m or 600/h; stored as a number per hour */
    OPTION_YES_NO, /* yes is 1, no is 0 */
};

struct option_spec {
    const char *name; /* "--name VALUE" on the command line, "name = VALUE" in a file */
    enum option_kind kind;
    size_t offset;          /* in struct options */
    uint64_t fallback;      /* the default value */
    uint64_t min, max;      /* limits of a value other than "never" */
    bool may_never;         /* "never" is a valid value */
    const char *value_name; /* placeholder in the help text */
    const char *help;
};

extern const struct option_spec option_table[];
extern const size_t option_count;

/* All options at their default values. */
struct options options_default(void);

/* Sets the option `name`. ERR_CONFIG: an unknown option or an invalid value; the hint says which values are valid. */
int options_set(struct options *o, const char *name, const char *value, struct err *e) MUST_CHECK;

/* True for options that count for the whole daemon, whichever database they are given for: those of [seawall]. */
bool option_is_of_daemon(const struct option_spec *spec);

/* True for options that decide what retention keeps: grace and keep-*. */
bool option_is_retention(const struct option_spec *spec);

/* Texts that options_set reads as the same value: the value in `o`, the default, the limits. */
void option_format(const struct options *o, const struct option_spec *spec, char out[OPTION_TEXT_MAX]);
void option_format_default(const struct option_spec *spec, char out[OPTION_TEXT_MAX]);
void option_format_limits(const struct option_spec *spec, char min[OPTION_TEXT_MAX], char max[OPTION_TEXT_MAX]);

#endif
