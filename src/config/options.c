/* config/options.c */
#include "config/options.h"

#include "base/units.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define FIELD(name) offsetof(struct options, name)
#define GIB (UINT64_C(1) << 30)
#define HOUR UINT64_C(3600000)
#define DAY (24 * HOUR)
#define AGE_MAX (100 * 365 * DAY)
#define KEEP_MAX 100000

const struct option_spec option_table[] = {
    {"lock-at", OPTION_FRAMES, FIELD(lock_at), 500, 1, UINT32_MAX, true, "FRAMES|never",
     "keep the checkpoint lock while the WAL holds at least this many frames"},
    {"wal-target", OPTION_FRAMES, FIELD(wal_target), 4000, 10, 10000000, false, "FRAMES",
     "checkpoint during a pause once the WAL holds this many frames; without a pause at 2.5 times as many"},
    {"wal-limit", OPTION_BYTES, FIELD(wal_limit), GIB, 1 << 20, UINT64_C(1) << 40, false, "BYTES",
     "truncate the WAL file when it is longer than this, even under load"},
    {"rest-after", OPTION_MS, FIELD(rest_after_ms), 1000, 10, 3600000, false, "TIME",
     "how long the database must be idle before Seawall checkpoints it fully and empties the WAL"},
    {"stop-timeout", OPTION_MS, FIELD(stop_timeout_ms), 60000, 100, 86400000, false, "TIME",
     "when stopped, give up after this long without progress in shipping"},
    {"max-pending", OPTION_BYTES, FIELD(max_pending), 16 << 20, 1 << 20, GIB, false, "BYTES",
     "memory for captured commits that wait for a replica"},
    {"memory", OPTION_BYTES, FIELD(memory), 32 << 20, 8 << 20, UINT64_C(1) << 40, false, "BYTES",
     "memory for what is read from replicas; an object that claims more is refused"},
    {"put-rate", OPTION_RATE, FIELD(put_rate), 3600, 1, 3600000, true, "RATE|never",
     "limit of PUTs to an S3 replica in the long run, as in 1/s, 30/m, 600/h; never: no limit"},
    {"put-burst", OPTION_COUNT, FIELD(put_burst), 3600, 1, 1000000, false, "N",
     "PUTs that may be sent at once before the rate limit applies; they are saved up while there is nothing to send"},
    {"max-batch", OPTION_BYTES, FIELD(max_batch), 4 << 20, 64 << 10, GIB, false, "BYTES",
     "ship commits at once when they add up to this many bytes, whatever the rate"},
    {"grace", OPTION_MS, FIELD(grace_ms), 3600000, 1000, 2592000000, false, "TIME",
     "keep every object that is younger than this; a writer that paused for half of it checks the replica first"},
    {"set-wal", OPTION_YES_NO, FIELD(set_wal), 1, 0, 1, false, "yes|no",
     "switch a database in a rollback-journal mode to WAL mode, once"},
    {"hide-writer", OPTION_YES_NO, FIELD(hide_writer), 0, 0, 1, false, "yes|no",
     "write hashes of host name and database path into a replica, not the names; a conflict shows them"},
    {"fanout", OPTION_COUNT, FIELD(fanout), 64, 2, 1000, false, "N",
     "number of segments of one level that become one segment of the level above"},
    {"base-interval", OPTION_MS, FIELD(base_interval_ms), DAY, 1000, AGE_MAX, true, "TIME|never",
     "write a new base when the newest is this old and the database changed; never: when a restore would read too "
     "much"},
    {"prune-interval", OPTION_MS, FIELD(prune_interval_ms), HOUR, 1000, AGE_MAX, true, "TIME|never",
     "how often the daemon applies retention; never: leave it to 'seawall prune'"},
    {"keep-all", OPTION_MS, FIELD(keep_all_ms), DAY, 0, AGE_MAX, false, "TIME",
     "keep every restore point that is younger than this"},
    {"keep-levels", OPTION_MS, FIELD(keep_levels_ms), 7 * DAY, 0, AGE_MAX, false, "TIME",
     "keep the ends of compacted segments as restore points for this long"},
    {"keep-hourly", OPTION_COUNT, FIELD(keep_hourly), 0, 0, KEEP_MAX, false, "N",
     "of the older bases, keep the last one of each of the last N hours"},
    {"keep-daily", OPTION_COUNT, FIELD(keep_daily), 7, 0, KEEP_MAX, false, "N",
     "of the older bases, keep the last one of each of the last N days"},
    {"keep-weekly", OPTION_COUNT, FIELD(keep_weekly), 4, 0, KEEP_MAX, false, "N",
     "of the older bases, keep the last one of each of the last N weeks"},
    {"keep-monthly", OPTION_COUNT, FIELD(keep_monthly), 0, 0, KEEP_MAX, false, "N",
     "of the older bases, keep the last one of each of the last N months"},
    {"verify-interval", OPTION_MS, FIELD(verify_interval_ms), 7 * DAY, 1000, AGE_MAX, true, "TIME|never",
     "how often the daemon verifies each replica by a restore; never: not at all"},
    {"sleep-after", OPTION_MS, FIELD(sleep_after_ms), 600000, 100, AGE_MAX, true, "TIME|never",
     "in a daemon of many databases, close a database that has been quiet for this long, until it is written again"},
    {"awake-max", OPTION_COUNT, FIELD(awake_max), 256, 1, 100000, false, "N",
     "when more databases than this are awake, those that have been quiet for longest sleep earlier"},
    {"total-put-rate", OPTION_RATE, FIELD(total_put_rate), OPTION_NEVER, 1, 3600000, true, "RATE|never",
     "limit of PUTs to all S3 replicas of the daemon together in the long run; the oldest commits leave first"},
    {"total-put-burst", OPTION_COUNT, FIELD(total_put_burst), 3600, 1, 1000000, false, "N",
     "PUTs that all replicas together may send at once before total-put-rate applies"},
    {"total-max-pending", OPTION_BYTES, FIELD(total_max_pending), 256 << 20, 1 << 20, UINT64_C(1) << 40, true,
     "BYTES|never", "memory for captured commits that wait for a replica, of all databases together"},
};
const size_t option_count = sizeof option_table / sizeof option_table[0];

static uint64_t *field(struct options *o, const struct option_spec *spec)
{
    return (uint64_t *)(void *)((char *)o + spec->offset);
}

struct options options_default(void)
{
    struct options o = {0};
    for (size_t i = 0; i < option_count; i++)
        *field(&o, &option_table[i]) = option_table[i].fallback;
    return o;
}

static const struct option_spec *find(const char *name)
{
    for (size_t i = 0; i < option_count; i++)
        if (strcmp(option_table[i].name, name) == 0)
            return &option_table[i];
    return NULL;
}

bool option_is_retention(const struct option_spec *spec)
{
    return strcmp(spec->name, "grace") == 0 || strncmp(spec->name, "keep-", 5) == 0;
}

bool option_is_of_daemon(const struct option_spec *spec)
{
    return strcmp(spec->name, "memory") == 0 || strcmp(spec->name, "awake-max") == 0 ||
           strncmp(spec->name, "total-", 6) == 0;
}

static enum units units_of(const struct option_spec *spec)
{
    static const enum units units[] = {[OPTION_FRAMES] = UNITS_NONE,
                                       [OPTION_COUNT] = UNITS_NONE,
                                       [OPTION_BYTES] = UNITS_BYTES,
                                       [OPTION_MS] = UNITS_MS,
                                       [OPTION_RATE] = UNITS_RATE};
    assert(spec->kind < sizeof units / sizeof units[0]); /* yes and no have no unit */
    return units[spec->kind];
}

static bool parse(const struct option_spec *spec, const char *text, uint64_t *ret_value)
{
    if (spec->may_never && strcmp(text, "never") == 0) {
        *ret_value = OPTION_NEVER;
        return true;
    }
    if (spec->kind == OPTION_YES_NO) {
        *ret_value = strcmp(text, "yes") == 0;
        return *ret_value || strcmp(text, "no") == 0;
    }
    if (!units_parse(text, units_of(spec), ret_value))
        return false;
    return *ret_value >= spec->min && *ret_value <= spec->max;
}

static void format_value(const struct option_spec *spec, uint64_t v, char out[OPTION_TEXT_MAX])
{
    if (spec->kind == OPTION_YES_NO)
        snprintf(out, OPTION_TEXT_MAX, "%s", v ? "yes" : "no");
    else if (spec->may_never && v == OPTION_NEVER)
        snprintf(out, OPTION_TEXT_MAX, "never");
    else
        units_format(v, units_of(spec), out);
}

void option_format(const struct options *o, const struct option_spec *spec, char out[OPTION_TEXT_MAX])
{
    struct options copy = *o;
    format_value(spec, *field(&copy, spec), out);
}

void option_format_default(const struct option_spec *spec, char out[OPTION_TEXT_MAX])
{
    format_value(spec, spec->fallback, out);
}

void option_format_limits(const struct option_spec *spec, char min[OPTION_TEXT_MAX], char max[OPTION_TEXT_MAX])
{
    format_value(spec, spec->min, min);
    format_value(spec, spec->max, max);
}

int options_set(struct options *o, const char *name, const char *value, struct err *e)
{
    const struct option_spec *spec = find(name);
    uint64_t v = 0;
    if (!spec)
        return err_set(e, ERR_CONFIG, 0, "unknown option '%.60s'", name);
    if (!parse(spec, value, &v)) {
        char min[OPTION_TEXT_MAX], max[OPTION_TEXT_MAX];
        option_format_limits(spec, min, max);
        err_set(e, ERR_CONFIG, 0, "option '%s': invalid value '%.60s'", name, value);
        if (spec->kind == OPTION_YES_NO)
            return err_hint(e, "write yes or no");
        return err_hint(e, "write %s, from %s to %s", spec->value_name, min, max);
    }
    *field(o, spec) = v;
    return 0;
}
