/* verify/verify.c - one look after the other, until retention has deleted nothing during a look.
 *
 * A look: list the replica; read its segments and markers; read the parts and chunks that they name; compare the
 * objects with each other; with VERIFY_FULL, compute database checksums. */
#include "verify/verify.h"

#include "verify/chain.h"
#include "verify/examine.h"
#include "verify/listing.h"
#include "verify/walk.h"

#include "base/claim.h"
#include "base/clock.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define LOOKS_MAX 20
#define LOOK_PAUSE_MS 20        /* before the second look; each pause is longer, so that retention can finish */
#define LOOK_PAUSE_SLOW_MS 1000 /* the same with a slow store */
#define LOOK_PAUSES_MAX 5       /* with a slow store a pause is at most this many times the first one */
#define SLICE_MS 20             /* during a pause options->cancel is looked at this often */

void verify_result_release(struct verify_result *r)
{
    free(r->problems);
    *r = (struct verify_result){0};
}

static void note_named(struct check *c, const struct name *name)
{
    const struct catalog *cat = c->catalog;
    const struct catalog_object *o = catalog_find(cat, name);
    if (o && (name->kind == NAME_CHUNK || name->kind == NAME_INTERIOR))
        c->chunk_named[o - cat->chunks] = true;
    if (o && name->kind == NAME_PART)
        c->part_named[o - cat->parts] = true;
}

/* The name of the interior pages of a base, if its marker names them and the replica has them: they may be missing. */
static bool names_interior(const struct check *c, const struct item *it, struct name *ret_name)
{
    if (!it->sound || it->name.kind != NAME_MARKER || digest_is_zero(&item_info(it)->digest_before))
        return false;
    *ret_name = (struct name){.kind = NAME_INTERIOR, .start = it->name.start, .run = it->name.run};
    return catalog_find(c->catalog, ret_name) != NULL;
}

/* Makes items of them, behind those of all owners: damage of theirs does no harm to a base. */
static void make_interior(struct check *c)
{
    for (size_t i = 0; i < c->item_count; i++) {
        struct name name;
        if (!names_interior(c, &c->items[i], &name))
            continue;
        c->named[c->named_count++] = (struct item){.name = name, .owner = &c->items[i]};
        note_named(c, &name);
    }
}

/* Makes an item of each part and chunk that a sound item names. The entries of lists stay where they are, in the
 * loaded segments. */
static int make_named(struct check *c, struct err *e)
{
    size_t n = 0;
    struct name ignored;
    for (size_t i = 0; i < c->item_count; i++) {
        n += c->items[i].sound ? c->items[i].object->segment->trailer.list_count : 0;
        n += names_interior(c, &c->items[i], &ignored);
    }
    if (claim_take(n * sizeof *c->named, e))
        return err_wrap(e, "the %zu objects that segments and bases name", n);
    c->charged = n * sizeof *c->named;
    c->named = calloc(n + 1, sizeof *c->named);
    if (!c->named)
        return err_nomem(e, n * sizeof *c->named);
    for (size_t i = 0; i < c->item_count; i++) {
        struct item *it = &c->items[i];
        it->first_named = c->named_count;
        it->named_count = it->sound ? it->object->segment->trailer.list_count : 0;
        for (size_t k = 0; k < it->named_count; k++) { /* `c` owns the list. NOLINT(clang-analyzer-unix.Malloc) */
            const struct listed *l = &it->object->segment->list[k];
            assert(c->named_count < n);
            c->named[c->named_count++] = (struct item){.name = name_parse(l->name), .listed = l, .owner = it};
            note_named(c, &c->named[c->named_count - 1].name);
        }
    }
    make_interior(c);
    return 0;
}

/* Marks an object that names a damaged object as not sound. */
static void spread_damage(struct check *c)
{
    for (size_t i = 0; i < c->item_count; i++)
        for (size_t k = 0; k < c->items[i].named_count; k++)
            c->items[i].sound &= c->named[c->items[i].first_named + k].sound;
}

static void note_done(struct check *c)
{
    const struct catalog *cat = c->catalog;
    pthread_mutex_lock(&c->lock);
    c->done++;
    if (c->options->progress)
        c->options->progress(c->options->context, c->done, c->item_count + cat->chunk_count + cat->part_count);
    pthread_mutex_unlock(&c->lock);
}

static int look_at_item(struct check *c, struct worker *w, size_t index, struct err *e)
{
    int rc = examine_item(c, w, index, e);
    if (rc == 0)
        note_done(c);
    return rc;
}

static int look_at_named(struct check *c, struct worker *w, size_t index, struct err *e)
{
    int rc = examine_named(c, w, index, e);
    if (rc == 0)
        note_done(c);
    return rc;
}

static int look(struct check *c, struct err *e)
{
    if (listing_take(c, e))
        return -1;
    if (c->item_count == 0 && c->result.problem_total > 0)
        return 0;
    int rc = crew_each(c, c->item_count, look_at_item, NULL, e);
    if (rc == 0 && !c->changed)
        rc = make_named(c, e);
    if (rc == 0 && !c->changed)
        rc = crew_each(c, c->named_count, look_at_named, NULL, e);
    if (rc || c->changed)
        return rc;
    spread_damage(c);
    rc = chain_check(c, e);
    if (rc == 0 && !c->changed && check_is_full(c))
        rc = walk_check(c, e);
    if (rc == 0 && !c->changed && c->result.points == 0 && c->result.problem_total == 0)
        rc = err_set(e, ERR_NOTFOUND, 0, "'%s' has no complete restore point yet", c->store->url);
    return rc;
}

static void check_release(struct check *c)
{
    free(c->items);
    free(c->chunk_named);
    free(c->part_named);
    free(c->named);
    claim_give(c->charged);
    segment_release(&c->records);
    free(c->sound_ends);
    pthread_mutex_destroy(&c->lock);
}

static int look_once(struct replica_handle *replica, const struct verify_options *options,
                     struct verify_result *ret_result, bool *ret_changed, struct err *e)
{
    struct check c = {.store = replica->store,
                      .codec = replica->codec,
                      .catalog = &replica->catalog,
                      .options = options,
                      .lock = PTHREAD_MUTEX_INITIALIZER};
    int rc = look(&c, e);
    *ret_changed = c.changed;
    if (rc || c.changed)
        verify_result_release(&c.result);
    else
        *ret_result = c.result;
    check_release(&c);
    return rc;
}

static int by_object(const void *a, const void *b)
{
    const struct verify_problem *x = a, *y = b;
    int order = strcmp(x->object, y->object);
    return order ? order : strcmp(x->text, y->text);
}

/* Waits before look `try` + 1: retention needs time to delete, and a store whose listings lag needs time to show it. */
static void pause_before(const struct store *store, const struct verify_options *o, int try)
{
    int ms = try * LOOK_PAUSE_MS;
    if (store->slow)
        ms = (try < LOOK_PAUSES_MAX ? try : LOOK_PAUSES_MAX) * LOOK_PAUSE_SLOW_MS;
    for (; ms > 0 && !(o->cancel && atomic_load(o->cancel)); ms -= SLICE_MS)
        clock_sleep_us(1000 * SLICE_MS);
}

static int changes_too_fast(const struct store *store, struct err *e)
{
    err_set(e, ERR_BUSY, 0,
            "'%s' changes faster than it can be read: retention deleted objects during each of %d looks, so nothing is "
            "known",
            store->url, LOOKS_MAX);
    return err_hint(e, "verify again while no prune runs, or let the daemon prune less often with --prune-interval");
}

int verify_run(struct replica_handle *replica, const struct verify_options *options, struct verify_result *ret_result,
               struct err *e)
{
    struct verify_result result = {0};
    bool changed = true;
    int rc = 0;
    assert(replica->store && replica->codec);
    for (int i = 1; rc == 0 && changed && i <= LOOKS_MAX; i++) {
        if (i > 1)
            pause_before(replica->store, options, i - 1);
        rc = look_once(replica, options, &result, &changed, e);
        if (rc != 0 && e->code == ERR_GONE) { /* retention has deleted a listed object */
            rc = 0;
            changed = true;
        }
    }
    if (rc == 0 && changed)
        rc = changes_too_fast(replica->store, e);
    if (rc)
        return -1;
    if (result.problem_count > 0)
        qsort(result.problems, result.problem_count, sizeof *result.problems, by_object);
    *ret_result = result;
    return 0;
}
