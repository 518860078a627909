/* config/options.c */
#include "config/options.h"

#include "base/units.h"

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
     "keep the checkpoint lock while the WAL holds at least so many frames"},
    {"wal-target", OPTION_FRAMES, FIELD(wal_target), 4000, 10, 10000000, false, "FRAMES",
     "checkpoint in a pause when the WAL holds so many frames; without a pause at 2.5 times as many"},
    {"wal-limit", OPTION_BYTES, FIELD(wal_limit), GIB, 1 << 20, UINT64_C(1) << 40, false, "BYTES",
     "cut the WAL file even under load when it is longer than this"},
    {"rest-after", OPTION_MS, FIELD(rest_after_ms), 1000, 10, 3600000, false, "TIME",
     "complete the database file and empty the WAL so long after the last commit"},
    {"stop-timeout", OPTION_MS, FIELD(stop_timeout_ms), 60000, 100, 86400000, false, "TIME",
     "when stopped, give up after so long without progress in shipping"},
    {"max-pending", OPTION_BYTES, FIELD(max_pending), 16 << 20, 1 << 20, GIB, false, "BYTES",
     "memory for captured commits that wait for a replica"},
    {"put-rate", OPTION_RATE, FIELD(put_rate), 3600, 1, 3600000, true, "RATE|never",
     "most PUTs to an S3 replica in the long run, as in 1/s, 30/m, 600/h; never: no limit"},
    {"put-burst", OPTION_COUNT, FIELD(put_burst), 3600, 1, 1000000, false, "N",
     "PUTs that may leave at once before the rate holds; saved up while it is quiet"},
    {"max-batch", OPTION_BYTES, FIELD(max_batch), 4 << 20, 64 << 10, GIB, false, "BYTES",
     "commits of so many bytes leave at once, whatever the rate"},
    {"grace", OPTION_MS, FIELD(grace_ms), 3600000, 1000, 2592000000, false, "TIME",
     "nothing younger is deleted from a replica; a writer that was away for half of it looks before it appends"},
    {"set-wal", OPTION_YES_NO, FIELD(set_wal), 1, 0, 1, false, "yes|no",
     "switch a database that is not in WAL mode to it, once"},
    {"fanout", OPTION_COUNT, FIELD(fanout), 64, 2, 1000, false, "N",
     "so many segments of a level become one of the level above"},
    {"base-interval", OPTION_MS, FIELD(base_interval_ms), DAY, 1000, AGE_MAX, true, "TIME|never",
     "write a new base when the newest is so old and anything changed; never: only when a restore would read too much"},
    {"prune-interval", OPTION_MS, FIELD(prune_interval_ms), HOUR, 1000, AGE_MAX, true, "TIME|never",
     "apply retention so often; never: leave it to 'seawall prune'"},
    {"keep-all", OPTION_MS, FIELD(keep_all_ms), DAY, 0, AGE_MAX, false, "TIME",
     "keep every restore point that is younger"},
    {"keep-levels", OPTION_MS, FIELD(keep_levels_ms), 7 * DAY, 0, AGE_MAX, false, "TIME",
     "keep the ends of compacted segments as restore points for so long"},
    {"keep-hourly", OPTION_COUNT, FIELD(keep_hourly), 0, 0, KEEP_MAX, false, "N",
     "of older bases keep the last of each of the last N hours"},
    {"keep-daily", OPTION_COUNT, FIELD(keep_daily), 7, 0, KEEP_MAX, false, "N", "... of each of the last N days"},
    {"keep-weekly", OPTION_COUNT, FIELD(keep_weekly), 4, 0, KEEP_MAX, false, "N", "... of each of the last N weeks"},
    {"keep-monthly", OPTION_COUNT, FIELD(keep_monthly), 0, 0, KEEP_MAX, false, "N", "... of each of the last N months"},
    {"verify-interval", OPTION_MS, FIELD(verify_interval_ms), 7 * DAY, 1000, AGE_MAX, true, "TIME|never",
     "prove each replica by a restore so often"},
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

bool options_known(const char *name)
{
    return find(name) != NULL;
}

bool options_is_retention(const char *name)
{
    return options_known(name) && (strcmp(name, "grace") == 0 || strncmp(name, "keep-", 5) == 0);
}

static enum units units_of(const struct option_spec *spec)
{
    static const enum units units[] = {[OPTION_FRAMES] = UNITS_NONE,
                                       [OPTION_COUNT] = UNITS_NONE,
                                       [OPTION_BYTES] = UNITS_BYTES,
                                       [OPTION_MS] = UNITS_MS,
                                       [OPTION_RATE] = UNITS_RATE};
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

static void format_value(const struct option_spec *spec, uint64_t v, char out[32])
{
    if (spec->kind == OPTION_YES_NO)
        snprintf(out, 32, "%s", v ? "yes" : "no");
    else if (spec->may_never && v == OPTION_NEVER)
        snprintf(out, 32, "never");
    else
        units_format(v, units_of(spec), out);
}

void option_format(const struct options *o, const struct option_spec *spec, char out[32])
{
    struct options copy = *o;
    format_value(spec, *field(&copy, spec), out);
}

void option_format_default(const struct option_spec *spec, char out[32])
{
    format_value(spec, spec->fallback, out);
}

int options_set(struct options *o, const char *name, const char *value, struct err *e)
{
    const struct option_spec *spec = find(name);
    uint64_t v = 0;
    if (!spec)
        return err_set(e, ERR_CONFIG, 0, "there is no option '%s'", name);
    if (!parse(spec, value, &v)) {
        char min[32], max[32];
        format_value(spec, spec->min, min);
        format_value(spec, spec->max, max);
        err_set(e, ERR_CONFIG, 0, "option '%s': '%.60s' is no value for it", name, value);
        if (spec->kind == OPTION_YES_NO)
            return err_hint(e, "say yes or no");
        return err_hint(e, "it takes %s, from %s to %s", spec->value_name, min, max);
    }
    *field(o, spec) = v;
    return 0;
}
