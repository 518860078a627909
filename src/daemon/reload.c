/* daemon/reload.c */
#include "daemon/reload.h"

#include "base/clock.h"
#include "base/log.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* Options that can't change while jobs run. */
static const char *const fixed[] = {"grace", "hide-writer", "memory", "set-wal"};

static uint64_t *value_of(struct options *o, const struct option_spec *spec)
{
    return (uint64_t *)(void *)((char *)o + spec->offset);
}

static uint64_t value_in(struct options o, const struct option_spec *spec)
{
    return *value_of(&o, spec);
}

static bool is_fixed(const struct option_spec *spec)
{
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
        if (strcmp(spec->name, fixed[i]) == 0)
            return true;
    return false;
}

/* Takes what may change of the options of the daemon, or of the others. `of`: for the log. Returns how many differ. */
static unsigned take_options(struct options *now, const struct options *next, bool of_daemon, const char *of)
{
    unsigned differing = 0;
    for (size_t i = 0; i < option_count; i++) {
        const struct option_spec *spec = &option_table[i];
        char was[OPTION_TEXT_MAX], is[OPTION_TEXT_MAX];
        if (option_is_of_daemon(spec) != of_daemon || *value_of(now, spec) == value_in(*next, spec))
            continue;
        option_format(now, spec, was);
        option_format(next, spec, is);
        differing++;
        if (is_fixed(spec)) {
            log_warn("%sSIGHUP: %s = %s counts from the next start; until then it is %s", of, spec->name, is, was);
            continue;
        }
        *value_of(now, spec) = value_in(*next, spec);
        log_info("%sSIGHUP: %s is %s now; it was %s", of, spec->name, is, was);
    }
    return differing;
}

static bool has_url(const struct replicate_config *c, const char *url)
{
    for (size_t i = 0; i < c->url_count; i++)
        if (strcmp(c->urls[i], url) == 0)
            return true;
    return false;
}

static bool same_replicas(const struct replicate_config *a, const struct replicate_config *b)
{
    for (size_t i = 0; i < a->url_count; i++)
        if (!has_url(b, a->urls[i]))
            return false;
    return a->url_count == b->url_count;
}

static bool same_text(const char *a, const char *b)
{
    return (!a && !b) || (a && b && strcmp(a, b) == 0);
}

unsigned reload_tell_fixed(const struct replicate_config *now, const struct replicate_config *next)
{
    bool replicas = !same_replicas(now, next), control = !same_text(now->control, next->control);
    if (replicas)
        log_warn("database '%s': SIGHUP: its replicas, or their keys, differ: that counts from the next start",
                 now->db_path);
    if (control)
        log_warn("database '%s': SIGHUP: control = %s counts from the next start", now->db_path,
                 next->control ? next->control : "");
    return (unsigned)replicas + (unsigned)control;
}

/* What was made from the options. The local job reads the others where they are. */
static void spread(const struct options *o, const struct options *before, struct database *db)
{
    struct lanes *all = &db->lanes;
    db->home->local.checkpoint.wal_target = (uint32_t)o->wal_target;
    db->home->local.checkpoint.wal_limit = o->wal_limit;
    for (size_t i = 0; i < all->count; i++) {
        struct lane *l = &all->list[i];
        if (o->put_rate != before->put_rate || o->put_burst != before->put_burst)
            l->pace.budget = budget_full(o->put_rate, o->put_burst, clock_mono_ms());
        prune_change(&l->prune, o);
    }
}

int reload_check(const struct options *next, struct err *e)
{
    struct retention_policy policy = prune_policy(next);
    return next->prune_interval_ms == OPTION_NEVER ? 0 : retention_policy_check(&policy, e);
}

unsigned reload_options(struct replicate_config *now, const struct options *next, struct database *db)
{
    const struct options before = now->options;
    assert(!db || (db->home && db->config == now));
    char of[PATH_TEXT_MAX + 16];
    snprintf(of, sizeof of, "database '%s': ", now->db_path);
    unsigned differing = take_options(&now->options, next, false, of);
    if (db)
        spread(&now->options, &before, db);
    return differing;
}

unsigned reload_shared(struct options *now, const struct options *next)
{
    return take_options(now, next, true, "");
}
