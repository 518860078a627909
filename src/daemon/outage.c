/* daemon/outage.c */
#include "daemon/outage.h"

#include "base/backoff.h"
#include "base/clock.h"
#include "base/log.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IDLE_MS 60000

/* One store. */
struct outage {
    struct outages *all;
    struct outage *next;
    char *store;                      /* owned */
    char shown[96];                   /* for people: scheme and bucket */
    struct outage_user *users, *last; /* those that probed it last are at the end */
    size_t count;                     /* of users */
    int64_t answered_ms;              /* monotonic: when it last answered; 0: never */
    int64_t since_ms;                 /* wall clock; 0: it is up */
    int64_t wait_ms, probe_at_ms;
    struct outage_user *probe; /* that was asked to probe it; NULL: none */
    int64_t asked_ms;          /* monotonic: when */
    bool began;                /* its request is under way */
    size_t passed;             /* users in a row that had nothing to ask */
    bool told;                 /* the log said that it is down */
    struct err why;
};

struct outages {
    struct outage *list; /* owned */
};

int outages_open(struct outages **ret_outages, struct err *e)
{
    *ret_outages = calloc(1, sizeof **ret_outages);
    return *ret_outages ? 0 : err_nomem(e, sizeof **ret_outages);
}

void outages_close(struct outages *o)
{
    assert(!o || !o->list);
    free(o);
}

static struct outage *find(struct outages *all, const char *store)
{
    struct outage *o = all->list;
    while (o && strcmp(o->store, store) != 0)
        o = o->next;
    return o;
}

/* Up to the end of the bucket. */
static int length_shown(const char *url)
{
    const char *server = strstr(url, "://");
    return server ? (int)(server + 3 - url + (ptrdiff_t)strcspn(server + 3, "/?")) : 0;
}

static int make(struct outages *all, const char *store, const char *shown, struct outage **ret_outage, struct err *e)
{
    struct outage *o = calloc(1, sizeof *o);
    char *copy = o ? strdup(store) : NULL;
    if (!copy) {
        free(o);
        return err_nomem(e, sizeof *o);
    }
    *o = (struct outage){.all = all, .next = all->list, .store = copy};
    snprintf(o->shown, sizeof o->shown, "%.*s", length_shown(shown), shown);
    all->list = o;
    *ret_outage = o;
    return 0;
}

static void drop(struct outage *o)
{
    struct outage **at = &o->all->list;
    while (*at != o)
        at = &(*at)->next;
    *at = o->next;
    free(o->store);
    free(o);
}

static void append(struct outage *o, struct outage_user *u)
{
    u->previous = o->last;
    u->next = NULL;
    *(o->last ? &o->last->next : &o->users) = u;
    o->last = u;
}

static void take_out(struct outage *o, struct outage_user *u)
{
    *(u->previous ? &u->previous->next : &o->users) = u->next;
    *(u->next ? &u->next->previous : &o->last) = u->previous;
}

int outage_join(struct outages *all, const char *store, const char *shown, struct outage_user *u, struct err *e)
{
    struct outage *o = find(all, store);
    if (!o && make(all, store, shown, &o, e))
        return -1;
    u->of = o;
    append(o, u);
    o->count++;
    return 0;
}

void outage_leave(struct outage_user *u)
{
    struct outage *o = u->of;
    if (!o)
        return;
    take_out(o, u);
    o->count--;
    if (o->probe == u)
        o->probe = NULL;
    *u = (struct outage_user){.of = NULL};
    if (o->count == 0)
        drop(o);
}

static bool is_down(const struct outage *o)
{
    return o->since_ms > 0;
}

bool outage_is_down(const struct outage_user *u)
{
    return u->of && is_down(u->of);
}

bool outage_admits(const struct outage_user *u)
{
    return !outage_is_down(u) || u->probes;
}

static void end_probe(struct outage *o)
{
    if (o->probe)
        o->probe->probes = false;
    o->probe = NULL;
}

static void come_up(struct outage *o)
{
    if (o->told)
        log_info("store '%s': it answers again: its %zu replicas go on", o->shown, o->count);
    end_probe(o);
    o->since_ms = 0;
    o->passed = 0;
    o->told = false;
    for (struct outage_user *u = o->users; u; u = u->next)
        u->changed(u->context);
}

void outage_answered(struct outage_user *u, int64_t now_ms)
{
    struct outage *o = u->of;
    if (!o)
        return;
    o->answered_ms = now_ms;
    o->wait_ms = 0;
    if (is_down(o))
        come_up(o);
}

static void wait_longer(struct outage *o, int64_t now_ms)
{
    o->probe_at_ms = now_ms + backoff_next_ms(&o->wait_ms, OUTAGE_WAIT_MS_MIN, OUTAGE_WAIT_MS_MAX);
}

bool outage_unanswered(struct outage_user *u, int64_t began_ms, const struct err *why, int64_t now_ms)
{
    struct outage *o = u->of;
    if (!o || o->answered_ms > began_ms)
        return false;
    const bool news = !is_down(o);
    o->why = *why;
    if (!news && o->probe != u) /* it began before the others found out */
        return false;
    end_probe(o);
    o->passed = 0;
    if (news)
        o->since_ms = clock_wall_ms();
    else if (o->count > 1 && !o->told) {
        o->told = true;
        log_warn("store '%s': it does not answer: its %zu replicas wait, and one at a time tries it: %s", o->shown,
                 o->count, why->msg);
    }
    wait_longer(o, now_ms);
    return news;
}

void outage_began(struct outage_user *u)
{
    if (u->of && u->of->probe == u)
        u->of->began = true;
}

void outage_not_asked(struct outage_user *u, int64_t now_ms)
{
    struct outage *o = u->of;
    if (!o || o->probe != u)
        return;
    end_probe(o);
    wait_longer(o, now_ms);
}

void outage_passed(struct outage_user *u, int64_t now_ms)
{
    struct outage *o = u->of;
    if (!o || o->probe != u)
        return;
    end_probe(o);
    o->probe_at_ms = now_ms;
    if (++o->passed >= o->count)
        come_up(o);
}

const struct err *outage_why(const struct outage_user *u)
{
    assert(outage_is_down(u));
    return &u->of->why;
}

int64_t outage_since_ms(const struct outage_user *u)
{
    assert(outage_is_down(u));
    return u->of->since_ms;
}

static void ask_probe(struct outage *o, int64_t now_ms)
{
    struct outage_user *u = o->users;
    take_out(o, u);
    append(o, u);
    o->probe = u;
    o->asked_ms = now_ms;
    o->began = false;
    u->probes = true;
    u->changed(u->context);
}

int outages_turn(struct outages *all, int64_t now_ms)
{
    int64_t next_ms = IDLE_MS;
    for (struct outage *o = all->list; o; o = o->next) {
        int64_t wait_ms = o->probe_at_ms - now_ms;
        if (!is_down(o) || (o->probe && o->began))
            continue;
        if (o->probe && now_ms - o->asked_ms >= OUTAGE_BEGIN_MS)
            outage_passed(o->probe, now_ms);
        if (!is_down(o))
            continue;
        if (!o->probe && wait_ms <= 0)
            ask_probe(o, now_ms);
        if (o->probe)
            wait_ms = o->asked_ms + OUTAGE_BEGIN_MS - now_ms;
        next_ms = wait_ms < next_ms ? wait_ms : next_ms;
    }
    return (int)next_ms;
}
