/* litestream/plan.c */
#include "litestream/plan.h"

#include "base/clock.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int make_room(struct lite_plan *p, size_t count, struct err *e)
{
    p->objects = calloc(count + 1, sizeof *p->objects);
    return p->objects ? 0 : err_nomem(e, (count + 1) * sizeof *p->objects);
}

static void push(struct lite_plan *p, struct lite_object *o)
{
    p->objects[p->count++] = o;
    p->bytes += o->size;
    p->kind = o->name.kind;
    p->last = o;
}

/* ---- 0.5 */

static bool usable(const struct lite_object *o, const struct lite_target *t)
{
    return o->point && (t->txid == 0 || o->name.max <= t->txid) && (!t->by_time || o->time_ms <= t->time_ms);
}

static int by_min(const void *left, const void *right)
{
    const struct lite_object *a = *(struct lite_object *const *)left, *b = *(struct lite_object *const *)right;
    return (a->name.min > b->name.min) - (a->name.min < b->name.min);
}

/* From state to state, always with the file that leads furthest. So the plan has the fewest files that lead as far as
 * any. `files` are sorted by min. */
static void walk(struct lite_plan *p, struct lite_object **files, size_t count)
{
    uint64_t txid = 0;
    size_t i = 0;
    for (struct lite_object *best = NULL;; best = NULL) {
        for (size_t k = i; k < count && files[k]->name.min - 1 <= txid; k++)
            if (!best || files[k]->name.max > best->name.max)
                best = files[k];
        while (i < count && files[i]->name.min - 1 <= txid)
            i++;
        if (!best || best->name.max <= txid)
            return;
        push(p, best);
        txid = best->name.max;
    }
}

/* An empty plan: no file leads to a state before the target. */
static int plan_files(struct lite_contents *c, const struct lite_target *t, struct lite_plan *p, struct err *e)
{
    size_t count = 0;
    struct lite_object **files = calloc(c->files.count + 1, sizeof *files);
    if (!files || make_room(p, c->files.count, e)) {
        free(files);
        return err_nomem(e, (c->files.count + 1) * sizeof *files);
    }
    for (size_t i = 0; i < c->files.count; i++)
        if (usable(&c->files.all[i], t))
            files[count++] = &c->files.all[i];
    if (count > 0)
        qsort(files, count, sizeof *files, by_min);
    walk(p, files, count);
    free(files);
    return 0;
}

static int no_such_txid(const struct lite_contents *c, uint64_t txid, struct err *e)
{
    uint64_t before = 0, after = 0;
    for (size_t i = 0; i < c->files.count; i++) {
        const struct lite_object *o = &c->files.all[i];
        if (o->point && o->name.max < txid)
            before = o->name.max;
        if (o->point && o->name.max > txid && after == 0)
            after = o->name.max;
    }
    err_set(e, ERR_NOTFOUND, 0, "txid %" PRIu64 " is not a restore point of '%s'", txid, c->store->url);
    if (before && after)
        return err_hint(e, "the nearest are %" PRIu64 " and %" PRIu64 "; 'seawall list --points' shows all", before,
                        after);
    return err_hint(e, "the nearest is %" PRIu64 "; 'seawall list --points' shows all", before ? before : after);
}

/* ---- 0.3 */

static bool in_time(const struct lite_object *o, const struct lite_target *t)
{
    return o->point && (!t->by_time || o->time_ms <= t->time_ms);
}

/* The last object of a list that is a point, in the generation. NULL: none. */
static struct lite_object *last_of(struct lite_list *l, uint64_t generation, const struct lite_target *t)
{
    for (size_t i = l->count; i-- > 0;)
        if (l->all[i].name.generation == generation && in_time(&l->all[i], t))
            return &l->all[i];
    return NULL;
}

/* The newest point of any generation. *ret_generation: the one that has it. */
static bool newest_generation(const struct lite_contents *c, const struct lite_target *t, uint64_t *ret_generation)
{
    const struct lite_list *const lists[] = {&c->snapshots, &c->segments};
    const struct lite_object *newest = NULL;
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; i < lists[k]->count; i++) {
            const struct lite_object *o = &lists[k]->all[i];
            if (in_time(o, t) && (!newest || o->time_ms >= newest->time_ms))
                newest = o;
        }
    *ret_generation = newest ? newest->name.generation : 0;
    return newest != NULL;
}

/* The point of the generation that is the target: its last segment, or else its last snapshot. */
static struct lite_object *choose(struct lite_contents *c, uint64_t generation, const struct lite_target *t)
{
    struct lite_object *segment = last_of(&c->segments, generation, t);
    return segment ? segment : last_of(&c->snapshots, generation, t);
}

/* ERR_CORRUPT: the generation has segments after its newest point. */
static int check_end(const struct lite_contents *c, const struct lite_object *last, struct err *e)
{
    char when[CLOCK_TEXT_MAX], key[STORE_KEY_MAX];
    for (size_t i = c->segments.count; i-- > 0;) {
        const struct lite_object *o = &c->segments.all[i];
        if (o->name.generation != last->name.generation)
            continue;
        if (o->point || o->name.index < last->name.index)
            return 0;
        clock_format(last->time_ms, when);
        lite_name_format(&o->name, key);
        err_set(e, ERR_CORRUPT, 0, "'%s': objects are missing before '%s'", c->store->url, key);
        return err_hint(e, "--time %s restores the newest state before the gap", when);
    }
    return 0;
}

/* An empty plan: there is no point in time. */
static int plan_generation(struct lite_contents *c, const struct lite_target *t, struct lite_plan *p, struct err *e)
{
    uint64_t generation = 0;
    if (make_room(p, c->segments.count + 1, e))
        return -1;
    if (t->txid || !newest_generation(c, t, &generation))
        return 0;
    struct lite_object *last = choose(c, generation, t);
    assert(last);
    if (!t->by_time && check_end(c, last, e))
        return -1;
    if (last->name.kind == LITE_SNAPSHOT) {
        push(p, last);
        return 0;
    }
    const struct lite_object *snapshot = lite_snapshot_of(c, last);
    assert(snapshot);
    push(p, &c->snapshots.all[snapshot - c->snapshots.all]);
    for (size_t i = 0; i < c->segments.count; i++) {
        struct lite_object *o = &c->segments.all[i];
        if (o->name.generation == generation && o->name.index >= snapshot->name.index && o <= last)
            push(p, o);
    }
    return 0;
}

/* ---- both */

/* The time of the first point of all. */
static int64_t first_time(const struct lite_contents *c)
{
    const struct lite_list *const lists[] = {&c->files, &c->snapshots, &c->segments};
    int64_t first = INT64_MAX;
    for (size_t k = 0; k < 3; k++)
        for (size_t i = 0; i < lists[k]->count; i++)
            if (lists[k]->all[i].point && lists[k]->all[i].time_ms < first)
                first = lists[k]->all[i].time_ms;
    return first;
}

static int nothing_found(const struct lite_contents *c, const struct lite_target *t, struct err *e)
{
    char when[CLOCK_TEXT_MAX];
    const int64_t first = first_time(c);
    if (t->txid && c->files.count == 0) {
        err_set(e, ERR_NOTFOUND, 0, "'%s' is a replica of Litestream 0.3, which has no txids", c->store->url);
        return err_hint(e, "say --time; 'seawall list --points' shows the times");
    }
    if (first == INT64_MAX) {
        err_set(e, ERR_NOTFOUND, 0, "'%s' is a replica of Litestream without a restore point: it has no snapshot",
                c->store->url);
        return err_hint(e, "look for the place where its snapshots are");
    }
    if (t->txid)
        return no_such_txid(c, t->txid, e);
    clock_format(first, when);
    err_set(e, ERR_NOTFOUND, 0, "the first restore point of '%s' is later", c->store->url);
    return err_hint(e, "it is of %s", when);
}

static int gap(const struct lite_contents *c, struct err *e)
{
    err_set(e, ERR_CORRUPT, 0, "'%s' goes on after txid %" PRIu64 ", but no file leads from there to txid %" PRIu64,
            c->store->url, c->top, c->beyond);
    if (c->top == 0)
        return err_hint(e, "it has no snapshot, or that is damaged; 'seawall list --segments' shows the files");
    return err_hint(e, "--txid %" PRIu64 " restores the newest state before the gap", c->top);
}

int lite_plan_make(struct lite_contents *c, const struct lite_target *t, struct lite_plan *ret, struct err *e)
{
    struct lite_plan files = {0}, generation = {0};
    *ret = (struct lite_plan){0};
    int rc = plan_files(c, t, &files, e);
    if (rc == 0)
        rc = plan_generation(c, t, &generation, e);
    if (rc == 0 && files.count == 0 && generation.count == 0 && (c->top || !c->beyond || t->txid || t->by_time))
        rc = nothing_found(c, t, e);
    const bool older = generation.count && (!files.count || files.last->time_ms < generation.last->time_ms);
    if (rc == 0 && !older && !t->by_time && !t->txid && c->beyond)
        rc = gap(c, e);
    if (rc == 0 && t->txid && (!files.last || files.last->name.max != t->txid))
        rc = no_such_txid(c, t->txid, e);
    if (rc == 0) {
        *ret = older ? generation : files;
        lite_plan_release(older ? &files : &generation);
        return 0;
    }
    lite_plan_release(&files);
    lite_plan_release(&generation);
    return -1;
}

void lite_plan_release(struct lite_plan *p)
{
    free(p->objects);
    *p = (struct lite_plan){0};
}
