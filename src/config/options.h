/* config/options.h - what an operator can set, in one table: parsing, ranges, help and the check of the man page come from it. */
#ifndef SEAWALL_CONFIG_OPTIONS_H
#define SEAWALL_CONFIG_OPTIONS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct options {
    uint64_t lock_at;       /* frames in the WAL from which the checkpoint lock is kept; OPTION_NEVER: never */
    uint64_t wal_target;    /* frames at which a pause is used to checkpoint; without a pause it is 2.5 times as many */
    uint64_t wal_limit;     /* bytes beyond which the WAL file is cut even under load */
    uint64_t rest_after_ms; /* since the last commit, until the database file is completed */
    uint64_t stop_timeout_ms; /* for shipping at the end */
    uint64_t max_pending;     /* bytes of captured versions that wait for a replica */
    uint64_t
        put_rate; /* PUTs an hour to a store whose requests cost money, once the burst is used up; OPTION_NEVER: no limit */
    uint64_t put_burst; /* PUTs that may come at once */
    uint64_t max_batch; /* bytes of captured versions that wait no longer, whatever the rate */
    uint64_t
        grace_ms; /* nothing younger is deleted from a replica; a head proven longer ago than half of it is proven anew */
    uint64_t set_wal; /* 0 or 1: switch a database that is not in WAL mode */

    /* history: how a replica is compacted, and what of it is kept; see retention/retention.h */
    uint64_t fanout; /* segments of a level that become one of the level above */
    uint64_t
        base_interval_ms; /* age of a base at which a new one is written, if anything changed; OPTION_NEVER: by weight alone */
    uint64_t prune_interval_ms; /* between two runs of retention by the daemon; OPTION_NEVER: none */
    uint64_t keep_all_ms;       /* every restore point that is younger is kept */
    uint64_t keep_levels_ms;    /* ... and every end of a compacted segment that is younger */
    uint64_t keep_hourly, keep_daily, keep_weekly,
        keep_monthly;            /* of older bases: the last of each of so many of these */
    uint64_t verify_interval_ms; /* between two verifications by the daemon; OPTION_NEVER: none */
};
#define OPTION_NEVER UINT64_MAX

enum option_kind {
    OPTION_FRAMES, /* a count of frames */
    OPTION_COUNT,
    OPTION_BYTES, /* a number with K, M or G (powers of 1024) */
    OPTION_MS,    /* a time: 500ms, 2s, 1m, 1h, 7d; a bare number is milliseconds */
    OPTION_RATE,  /* so many a second, minute or hour: 1/s, 30/m, 600/h; kept as so many an hour */
    OPTION_YES_NO,
};

struct option_spec {
    const char *name; /* --name VALUE on the command line */
    enum option_kind kind;
    size_t offset; /* in struct options */
    uint64_t fallback, min, max;
    bool may_never; /* the word "never" is a value */
    const char *value_name, *help;
};

extern const struct option_spec option_table[];
extern const size_t option_count;

struct options options_default(void);

/* Sets the option `name`. ERR_CONFIG: no such option, or a value out of range; the message says what is right. */
int options_set(struct options *o, const char *name, const char *value, struct err *e) MUST_CHECK;
bool options_known(const char *name);
bool options_is_retention(const char *name); /* one that says what of a replica is kept */

/* The value, or the default, as it would be written: options_set takes it. */
void option_format(const struct options *o, const struct option_spec *spec, char out[32]);
void option_format_default(const struct option_spec *spec, char out[32]);

#endif
