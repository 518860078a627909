/* reader/feed.c
 *
 * The name of the next object of level 0 is known, so a look is one request. But retention, or a pack, can have
 * removed that object before it was looked for. They leave it alone for PACK_SETTLE_MS at least (replica/packs.h), or
 * for `grace` if that is shorter. So if the last look is SURE_MS old, level 0 is listed from the head on instead: the
 * newest object of it is never removed. A listing also shows that the head is not there any more, because the history
 * was begun again; so there is one now and then in any case.
 *
 * A history that was begun again can begin with an object that has no pages: they come with a base. Until it is complete
 * the state before is the newest one that can be read, and a plan finds out now and then whether it is still. */
#include "reader/feed.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/trial.h"
#include "reader/fork.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SURE_MS 4000
#define SURE_COSTLY_MS 12000 /* where a request costs money: longer than the pauses of a reader with follow=1s */
#define LIST_MS 5000
#define LIST_COSTLY_MS 150000     /* where a request costs money: that of a listing is the price of twelve others */
#define ADVANCES_MAX SCALE(64, 5) /* objects of level 0 that are read one after the other; more are planned */

struct feed {
    struct feed *next; /* in the list of the process */
    unsigned users;    /* guarded by feeds_lock, as the list */
    char *url, *cache; /* owned; cache NULL: none */
    struct disk *disk; /* owned */

    pthread_mutex_t lock;    /* guards all below; held while the store is asked */
    struct origin *origin;   /* owned: one use */
    struct snapshot *newest; /* owned: one use; NULL: not known yet */
    bool plan;               /* the next look plans again */
    bool ahead;              /* only a state that is older than `newest` could be restored at the last plan */
    bool lost;               /* `newest` can't be read any more */
    int64_t
        looked_ms;    /* clock_boot_ms, as the others: the last look, also one that failed: see feed_interval_from_ms */
    int64_t known_ms; /* the last look that did not fail; `newest` is NULL: none */
    int64_t listed_ms; /* the last listing */
    int64_t news_ms;   /* the last look that found something */
    struct err failed; /* of the last look; ERR_NONE: it did not fail */
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t feeds_lock = PTHREAD_MUTEX_INITIALIZER;
static struct feed *feeds;

/* ---- the list of the process */

static void forget(void)
{
    pthread_mutex_init(&feeds_lock, NULL);
    feeds = NULL;
}

static void watch_forks(void)
{
    int rc = fork_forgets(forget);
    (void)rc;
}

static bool same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void free_feed(struct feed *f)
{
    snapshot_release(f->newest);
    origin_release(f->origin);
    disk_close(f->disk);
    pthread_mutex_destroy(&f->lock);
    free(f->url);
    free(f->cache);
    free(f);
}

static int make_feed(const char *url, const char *cache, uint64_t cache_bytes, struct feed **ret_feed, struct err *e)
{
    struct feed *f = calloc(1, sizeof *f);
    if (!f)
        return err_nomem(e, sizeof *f);
    pthread_mutex_init(&f->lock, NULL);
    f->users = 1;
    f->url = strdup(url);
    f->cache = cache ? strdup(cache) : NULL;
    int rc = f->url && (f->cache || !cache) ? 0 : err_nomem(e, strlen(url));
    if (rc == 0 && cache)
        rc = disk_open(cache, cache_bytes, &f->disk, e);
    if (rc == 0)
        rc = origin_open(url, f->disk, &f->origin, e);
    if (rc)
        free_feed(f);
    else
        *ret_feed = f;
    return rc;
}

int feed_open(const char *url, const char *cache, uint64_t cache_bytes, struct feed **ret_feed, struct err *e)
{
    struct feed *f = NULL;
    int rc = 0;
    pthread_once(&once, watch_forks);
    pthread_mutex_lock(&feeds_lock);
    for (f = feeds; f && !(same(f->url, url) && same(f->cache, cache));)
        f = f->next;
    if (f) {
        f->users++;
    } else if ((rc = make_feed(url, cache, cache_bytes, &f, e)) == 0) {
        f->next = feeds;
        feeds = f;
    }
    pthread_mutex_unlock(&feeds_lock);
    if (rc == 0)
        *ret_feed = f;
    return rc;
}

void feed_close(struct feed *f)
{
    if (!f)
        return;
    pthread_mutex_lock(&feeds_lock);
    const bool last = --f->users == 0;
    struct feed **at = &feeds;
    while (last && *at && *at != f)
        at = &(*at)->next;
    if (last && *at)
        *at = f->next;
    pthread_mutex_unlock(&feeds_lock);
    if (last)
        free_feed(f);
}

/* ---- looking */

static void take_newest(struct feed *f, struct snapshot *s)
{
    snapshot_release(f->newest);
    f->newest = s;
    f->ahead = f->lost = false;
}

/* Opens the store again: one that remembers ends of objects knows those of a history that was begun again. */
static int plan_again(struct feed *f, const struct moment *m, struct snapshot **ret_snapshot, struct err *e)
{
    struct origin *fresh = NULL;
    if (f->plan) {
        if (origin_open(f->url, f->disk, &fresh, e))
            return -1;
        atomic_store(&fresh->requests, atomic_load(&f->origin->requests));
        atomic_store(&fresh->bytes, atomic_load(&f->origin->bytes));
        origin_release(f->origin);
        f->origin = fresh;
    }
    return snapshot_open(f->origin, m, ret_snapshot, e);
}

/* Readers have seen the newest state that is known. While a new history waits for its base, level 0 goes on after it, and
 * only an older state can be restored: that one does not follow, unless the newest can't be read any more. If level 0 ends
 * before it, the replica was put back or has lost it, and does not have it. */
static bool leads_on(const struct feed *f, const struct snapshot *s)
{
    return !f->newest || f->lost || !RULE(reader_on) || s->record.txid >= f->newest->record.txid ||
           s->head_max < f->newest->record.txid || !uid_equal(&s->database, &f->newest->database);
}

static int plan_newest(struct feed *f, struct err *e)
{
    const struct moment m = {.kind = MOMENT_NEWEST};
    struct snapshot *s = NULL;
    if (plan_again(f, &m, &s, e))
        return -1;
    f->plan = false;
    f->ahead = !leads_on(f, s);
    if (f->ahead) {
        snapshot_release(s);
        return 0;
    }
    if (!f->newest || f->newest->record.txid != s->record.txid)
        f->news_ms = clock_boot_ms();
    take_newest(f, s);
    return 0;
}

/* Reads the objects that follow. *ret_plan: they need a plan, or are too many. */
static int advance(struct feed *f, bool *ret_plan, struct err *e)
{
    for (int i = 0; i < ADVANCES_MAX; i++) {
        struct snapshot *next = NULL;
        if (snapshot_advance(f->newest, &next, e)) {
            *ret_plan = e->code == ERR_GONE || e->code == ERR_CORRUPT || e->code == ERR_LIMIT;
            return *ret_plan ? 0 : -1;
        }
        if (!next)
            return 0;
        take_newest(f, next);
        f->news_ms = clock_boot_ms();
    }
    *ret_plan = true;
    return 0;
}

/* The newest object of level 0 can't be restored yet: its pages come with a base. No name of level 0 shows when the base
 * is complete. */
static bool is_behind(const struct feed *f)
{
    return f->ahead || f->newest->record.txid != f->newest->head_max;
}

enum look_way {
    LOOK_PLAN, /* plans the newest state */
    LOOK_LIST, /* lists level 0, and takes what is there */
    LOOK_NEXT, /* takes what follows by its name */
    LOOK_WAIT, /* the same, and does not say that there is nothing newer */
};

static enum look_way way_to_look(const struct feed *f, bool surely)
{
    const bool costs = f->origin->store->costs;
    const int64_t now = clock_boot_ms(), list_ms = costs ? LIST_COSTLY_MS : LIST_MS;
    const int64_t sure_ms = costs ? SURE_COSTLY_MS : SURE_MS;
    const bool long_ago = RULE(reader_lists) && now - f->listed_ms > list_ms;
    if (f->plan || !f->newest)
        return LOOK_PLAN;
    if (RULE(reader_behind) && is_behind(f))
        return surely || long_ago ? LOOK_PLAN : LOOK_WAIT;
    return surely || long_ago || (RULE(reader_lists) && now - f->known_ms > sure_ms) ? LOOK_LIST : LOOK_NEXT;
}

/* Lists level 0, and reads what follows. When an object is not there under its name, packs can have what came after it:
 * another listing tells. */
static int list_and_advance(struct feed *f, bool *ret_plan, struct err *e)
{
    enum snapshot_age age = SNAPSHOT_OLD;
    const uint64_t before = f->newest->record.txid;
    if (snapshot_look(f->newest, &age, e))
        return -1;
    f->listed_ms = clock_boot_ms();
    if (age == SNAPSHOT_OLD && advance(f, ret_plan, e))
        return -1;
    if (age == SNAPSHOT_OLD && !*ret_plan && RULE(reader_lists_on)) {
        if (f->newest->record.txid != before && snapshot_look(f->newest, &age, e))
            return -1;
    }
    *ret_plan |= age == SNAPSHOT_FOREIGN || (age == SNAPSHOT_OLD && RULE(reader_lists_on));
    return 0;
}

static int look(struct feed *f, bool surely, struct err *e)
{
    const int64_t now = clock_boot_ms(); /* what comes from now on may be missing */
    const enum look_way way = way_to_look(f, surely);
    bool plan = way == LOOK_PLAN;
    if (way == LOOK_LIST && list_and_advance(f, &plan, e))
        return -1;
    if ((way == LOOK_NEXT || way == LOOK_WAIT) && advance(f, &plan, e))
        return -1;
    f->plan |= plan;
    if (plan && plan_newest(f, e))
        return -1;
    if (plan)
        f->listed_ms = now;
    if (plan || way != LOOK_WAIT)
        f->known_ms = now;
    return 0;
}

int64_t feed_interval_from_ms(int64_t begun_ms, int64_t ended_ms, int64_t interval_ms)
{
    const int64_t earliest = ended_ms - (interval_ms > 0 ? interval_ms / 2 : 0);
    return begun_ms > earliest ? begun_ms : earliest;
}

static bool is_due(const struct feed *f, int64_t interval_ms, bool slow_down)
{
    const int64_t now = clock_boot_ms();
    int64_t wait = interval_ms;
    if (!f->newest || f->plan)
        return true;
    const int64_t quiet = (now - f->news_ms) / FEED_SLOWDOWN;
    if (slow_down && quiet > wait)
        wait = quiet < FEED_SLOWDOWN * interval_ms ? quiet : FEED_SLOWDOWN * interval_ms;
    return now - f->looked_ms >= wait;
}

int feed_newest(struct feed *f, int64_t interval_ms, bool slow_down, struct snapshot **ret_snapshot, bool *ret_trouble,
                struct err *e)
{
    int rc = 0;
    pthread_mutex_lock(&f->lock);
    if (is_due(f, interval_ms, slow_down)) {
        const bool was_well = f->failed.code == ERR_NONE;
        const int64_t begun = clock_boot_ms();
        struct err failed;
        f->failed.code = ERR_NONE;
        if (look(f, interval_ms == FEED_SURELY, &failed)) {
            f->failed = failed;
            if (was_well)
                log_warn("replica '%s': %s", f->origin->store->url, failed.msg);
        }
        f->looked_ms = feed_interval_from_ms(begun, clock_boot_ms(), interval_ms);
    }
    *ret_trouble = f->failed.code != ERR_NONE;
    if (*ret_trouble)
        *e = f->failed;
    if (f->newest)
        *ret_snapshot = snapshot_retain(f->newest);
    else
        rc = -1;
    pthread_mutex_unlock(&f->lock);
    return rc;
}

int feed_at(struct feed *f, const struct moment *moment, struct snapshot **ret_snapshot, struct err *e)
{
    pthread_mutex_lock(&f->lock);
    int rc = plan_again(f, moment, ret_snapshot, e);
    pthread_mutex_unlock(&f->lock);
    return rc;
}

static bool is_same_state(const struct snapshot *a, const struct snapshot *b)
{
    return a->record.txid == b->record.txid && a->record.checksum == b->record.checksum &&
           uid_equal(&a->database, &b->database);
}

void feed_distrust(struct feed *f, const struct snapshot *lost)
{
    pthread_mutex_lock(&f->lock);
    f->plan = true;
    if (lost && f->newest && is_same_state(f->newest, lost))
        f->lost = true;
    pthread_mutex_unlock(&f->lock);
}

int64_t feed_known_at_ms(struct feed *f, const struct snapshot *s)
{
    pthread_mutex_lock(&f->lock);
    const int64_t known = f->newest && is_same_state(f->newest, s) ? f->known_ms : -1;
    pthread_mutex_unlock(&f->lock);
    return known;
}

void feed_traffic(struct feed *f, uint64_t *ret_requests, uint64_t *ret_bytes)
{
    pthread_mutex_lock(&f->lock);
    *ret_requests = atomic_load(&f->origin->requests);
    *ret_bytes = atomic_load(&f->origin->bytes);
    pthread_mutex_unlock(&f->lock);
}
