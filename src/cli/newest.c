/* cli/newest.c */
#include "cli/newest.h"

#include "base/clock.h"
#include "base/text.h"
#include "cli/place.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

/* Plans the restore, and reads no pages. */
static void find_point(const struct restore_options *o, struct newest_replica *r)
{
    struct restore_options plan = *o;
    struct restore_result result;
    plan.url = r->url;
    plan.path = NULL;
    plan.progress = NULL;
    plan.flags = (o->flags & RESTORE_BY_TIME) | RESTORE_DRY_RUN | RESTORE_IF_REPLICA;
    if (restore_run(&plan, &result, &r->error)) {
        r->state = r->error.code == ERR_NOTFOUND && (o->flags & RESTORE_BY_TIME) && r->identity.created_ms > o->time_ms
                       ? NEWEST_LATER
                       : NEWEST_FAILED;
    } else if (result.outcome == RESTORE_NO_REPLICA) {
        r->state = NEWEST_NONE;
    } else {
        r->record = result.record;
        r->compared = true;
    }
}

static void ask(const struct restore_options *o, struct newest_replica *r, bool compare)
{
    bool there = false;
    r->state = NEWEST_USABLE;
    r->compared = false;
    if (place_look(r->url, o->cancel, &there, &r->identity, &r->error))
        r->state = NEWEST_FAILED;
    else if (!there)
        r->state = NEWEST_NONE;
    else if (compare)
        find_point(o, r);
}

/* The history of one database has one order by both: times never fall within it. Of two histories, where one replica
 * began later, the time says which is newer. */
static int compare_points(const struct commit_record *a, const struct commit_record *b)
{
    if (a->time_ms != b->time_ms)
        return a->time_ms < b->time_ms ? -1 : 1;
    return a->txid < b->txid ? -1 : a->txid > b->txid;
}

static int newest_first(const void *a, const void *b)
{
    const struct newest_replica *x = a, *y = b;
    if ((x->state == NEWEST_USABLE) != (y->state == NEWEST_USABLE))
        return x->state == NEWEST_USABLE ? -1 : 1;
    int order = x->state == NEWEST_USABLE ? compare_points(&y->record, &x->record) : 0;
    return order ? order : x->number < y->number ? -1 : x->number > y->number;
}

void newest_ask(const struct restore_options *o, struct newest_replica *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ask(o, &list[i], count > 1);
    if (count > 1)
        qsort(list, count, sizeof *list, newest_first);
}

static void tell_behind(const char *head, const struct newest_replica *r, const struct newest_replica *used)
{
    char shown[STORE_URL_MAX], when[CLOCK_TEXT_MAX], newer[CLOCK_TEXT_MAX];
    clock_format(r->record.time_ms, when);
    clock_format(used->record.time_ms, newer);
    text_print_to(stderr,
                  "seawall: %sreplica '%s' is behind: it has txid %" PRIu64 " of %s, and another replica has txid "
                  "%" PRIu64 " of %s\n",
                  head, place_shown(r->url, shown), r->record.txid, when, used->record.txid, newer);
}

void newest_tell(const char *head, const struct newest_replica *list, size_t count, size_t used)
{
    char shown[STORE_URL_MAX];
    assert(used < count);
    for (size_t i = 0; i < count; i++) {
        const struct newest_replica *r = &list[i];
        if (i == used)
            continue;
        if (r->state == NEWEST_FAILED && r->number < list[used].number)
            text_print_to(stderr, "seawall: %srestored from another replica, because '%s' can't be used: %s\n", head,
                          place_shown(r->url, shown), r->error.msg);
        else if (r->state == NEWEST_FAILED)
            text_print_to(stderr, "seawall: %sreplica '%s' can't be used, and may have newer restore points: %s\n",
                          head, place_shown(r->url, shown), r->error.msg);
        else if (r->state == NEWEST_NONE)
            text_print_to(stderr, "seawall: %sthere is no replica at '%s'; another one is used\n", head,
                          place_shown(r->url, shown));
        else if (r->state == NEWEST_USABLE && compare_points(&r->record, &list[used].record) < 0)
            tell_behind(head, r, &list[used]);
    }
}
