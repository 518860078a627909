/* restore/restore.c - the sentence: plan; write beside the target; prove; put in place; note where the history goes on.
 *
 * If anything fails before the new file is proven and synced, the target is as it was and nothing is left beside it. So it is with
 * a delta, which writes in place: until its pages are proven, SQLite's own journal takes them back. */
#include "restore/restore.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "replica/handle.h"
#include "restore/apply.h"
#include "restore/delta.h"
#include "restore/integrity.h"
#include "restore/target.h"
#include "state/state.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PLANS_MAX 4
#define PLAN_PAUSE_MS 1000 /* more each time: a store whose listings lag catches up */
#define SLICE_MS 50

static int describe(struct catalog *c, const struct plan *p, struct restore_result *ret_result, struct err *e)
{
    struct catalog_object *head = catalog_head(c);
    *ret_result = (struct restore_result){
        .record = p->record, .page_size = p->page_size, .objects = p->source_count, .bytes = p->bytes};
    ret_result->newest_txid = p->record.txid;
    if (head) {
        if (catalog_load(c, head, e))
            return -1;
        ret_result->newest_txid = head->segment->trailer.info.max;
    }
    return 0;
}

/* The digest of the head if the target is where the replica ends; zeros if it went on. */
static int head_digest(struct catalog *c, const struct plan *p, struct digest *ret_digest, struct err *e)
{
    struct catalog_object *head = catalog_head(c);
    struct segment segment;
    char key[NAME_MAX_BYTES];
    *ret_digest = (struct digest){{0}};
    if (!head || head->segment->trailer.info.max != p->record.txid)
        return 0;
    name_format(&head->name, key);
    if (object_load_whole(c->store, key, c->codec, &segment, ret_digest, e))
        return -1;
    segment_release(&segment);
    return 0;
}

/* Writes the state file of the restored database, so that `seawall replicate` can go on from an unchanged head. If the replica
 * has commits after the target, the state file names no head. Then replicate asks for --take-over, except in the place of the
 * database that writes to the replica: there it goes on and ships the pages that differ. */
static int write_state(struct state *s, struct catalog *c, const struct plan *p, const struct map *map, struct err *e)
{
    struct state_restart restart = {.txid = p->record.txid,
                                    .time_ms = p->record.time_ms,
                                    .map = map,
                                    .url = c->store->url,
                                    .database = p->database,
                                    .head_checksum = p->record.checksum};
    return head_digest(c, p, &restart.head, e) || state_restart(s, &restart, e) ? -1 : 0;
}

/* The database is restored whatever comes of it. `held`: opened already. */
static int note_state(struct state *held, struct catalog *c, const struct restore_options *o, const struct plan *p,
                      const struct map *map, struct err *e)
{
    struct state own;
    enum state_found found;
    int rc = held ? 0 : state_open(&own, o->path, &found, e);
    if (rc == 0) {
        rc = write_state(held ? held : &own, c, p, map, e);
        if (!held)
            state_close(&own);
    }
    return rc == 0 ? 0 : err_wrap(e, "'%s' is restored, but its state file could not be written", o->path);
}

static int restore_to_target(struct catalog *c, const struct restore_options *o, const struct plan *p,
                             enum target_overwrite overwrite, struct restore_result *result, struct err *e)
{
    struct target target;
    struct map map = {.fd = -1};
    struct apply_options apply = {.jobs = o->jobs, .cancel = o->cancel, .progress = o->progress, .context = o->context};
    int rc = target_begin(&target, o->path, overwrite, e);
    if (rc == 0) {
        apply.fd = target.stage.fd;
        rc = apply_plan(c, p, &apply, &map, e);
    }
    if (rc == 0 && (o->flags & RESTORE_INTEGRITY_CHECK)) {
        rc = stage_name(&target.stage, target.dir, e);
        if (rc == 0)
            rc = integrity_check(target.stage.path, e);
    }
    if (rc == 0 && o->cancel && atomic_load(o->cancel))
        rc = err_set(e, ERR_CANCELED, 0, "interrupted");
    if (rc == 0)
        rc = target_commit(&target, &result->undo, e);
    if (rc == 0)
        rc = note_state(NULL, c, o, p, &map, e);
    target_abort(&target);
    map_release(&map);
    return rc;
}

static enum target_overwrite replace(const struct restore_options *o)
{
    return o->flags & RESTORE_NO_UNDO ? TARGET_REPLACE_FOR_GOOD : TARGET_REPLACE;
}

static int restore_whole(struct catalog *c, const struct restore_options *o, const struct plan *p,
                         enum target_overwrite overwrite, struct restore_result *result, struct err *e)
{
    return o->flags & RESTORE_DRY_RUN ? 0 : restore_to_target(c, o, p, overwrite, result, e);
}

static int change_in_place(struct delta *d, struct catalog *c, const struct restore_options *o, const struct plan *p,
                           struct restore_result *result, struct err *e)
{
    struct map map = {.fd = -1};
    struct apply_options apply = {.jobs = o->jobs, .cancel = o->cancel, .progress = o->progress, .context = o->context};
    unsigned flags = (o->flags & RESTORE_DRY_RUN ? DELTA_DRY_RUN : 0u) |
                     (o->flags & RESTORE_NO_UNDO ? DELTA_NO_UNDO : 0u) |
                     (o->flags & RESTORE_INTEGRITY_CHECK ? DELTA_INTEGRITY_CHECK | DELTA_READ_ALL : 0u);
    result->delta = true;
    uint32_t pages = d->ip.pages;
    int rc = delta_run(d, c, p, &apply, flags, &result->in_place, &map, e);
    bool changed = result->in_place.rewritten > 0 || pages != p->record.pages;
    result->undo = changed && !(o->flags & RESTORE_NO_UNDO);
    bool noted = !changed && d->state_open && d->found == STATE_INTACT; /* it says of this database all that it can */
    if (rc == 0 && !noted && !(o->flags & RESTORE_DRY_RUN))
        rc = note_state(d->state_open ? &d->state : NULL, c, o, p, &map, e);
    map_release(&map);
    return rc;
}

/* A database of another page size has no page to keep; a file that is none is not replaced unasked. */
static int restore_delta(struct catalog *c, const struct restore_options *o, const struct plan *p,
                         struct restore_result *result, struct err *e)
{
    struct delta d;
    enum inplace_fit fit = INPLACE_UNFIT;
    if (delta_open(&d, o->path, o->flags & RESTORE_DRY_RUN ? DELTA_DRY_RUN : 0, &fit, e))
        return -1;
    int rc = 0;
    uint32_t page_size = d.ip.page_size;
    if (fit == INPLACE_READY && page_size == p->page_size)
        rc = change_in_place(&d, c, o, p, result, e);
    delta_close(&d);
    if (result->delta)
        return rc;
    switch (fit) {
    case INPLACE_NOT_THERE:
        snprintf(result->not_delta, sizeof result->not_delta, "there was no database at '%s'", o->path);
        return restore_whole(c, o, p, TARGET_REFUSE, result, e);
    case INPLACE_UNFIT:
        if (!(o->flags & RESTORE_FORCE)) {
            err_set(e, ERR_EXISTS, 0, "'%s' is no SQLite database of whole pages: it can't be rewritten in place",
                    o->path);
            return err_hint(e, "restore to another path with -o, or say --force to replace it");
        }
        snprintf(result->not_delta, sizeof result->not_delta, "'%s' was no database", o->path);
        break;
    case INPLACE_READY:
        snprintf(result->not_delta, sizeof result->not_delta,
                 "its pages had %" PRIu32 " bytes, those of the replica have %" PRIu32, page_size, p->page_size);
        break;
    }
    return restore_whole(c, o, p, replace(o), result, e);
}

/* Of a remote replica the records that the plan will probably need: from the newest base that may serve on. */
static void prefetch(const struct catalog *c, uint64_t txid)
{
    uint64_t start = 0;
    for (size_t i = 0; i < c->marker_count; i++)
        if (c->markers[i].name.start <= txid && c->markers[i].name.start > start)
            start = c->markers[i].name.start;
    catalog_prefetch(c, start ? start - 1 : 0, txid);
}

/* Nothing was ever replicated to this place, and that is fine? Only opening the store and listing it may ask: later on "not found"
 * speaks of a restore point. */
static bool accept_no_replica(const struct restore_options *o, struct restore_result *ret_result, const struct err *e)
{
    if (e->code != ERR_NOTFOUND || !(o->flags & RESTORE_IF_REPLICA))
        return false;
    *ret_result = (struct restore_result){.outcome = RESTORE_NO_REPLICA};
    memcpy(ret_result->no_replica, e->msg, sizeof e->msg);
    return true;
}

static int restore_once(struct replica_handle *r, const struct restore_options *options,
                        struct restore_result *ret_result, struct err *e)
{
    struct catalog *c = &r->catalog;
    struct plan p = {0};
    int rc = replica_handle_list(r, e);
    uint64_t txid = options->txid;
    if (rc != 0 && accept_no_replica(options, ret_result, e))
        return 0;
    if (rc == 0 && (options->flags & RESTORE_BY_TIME))
        rc = points_at_time(c, options->time_ms, &txid, e);
    if (rc == 0) {
        prefetch(c, txid);
        rc = points_plan(c, txid, &p, e);
    }
    if (rc == 0)
        rc = describe(c, &p, ret_result, e);
    if (rc == 0 && (options->flags & RESTORE_DELTA))
        rc = restore_delta(c, options, &p, ret_result, e);
    else if (rc == 0)
        rc = restore_whole(c, options, &p, options->flags & RESTORE_FORCE ? replace(options) : TARGET_REFUSE,
                           ret_result, e);
    plan_release(&p);
    return rc;
}

int restore_run(const struct restore_options *options, struct restore_result *ret_result, struct err *e)
{
    struct replica_handle r;
    enum target_found found = TARGET_FREE;
    if ((options->flags & RESTORE_IF_NO_DB) && target_look(options->path, &found, e))
        return -1;
    if (found == TARGET_DATABASE) {
        *ret_result = (struct restore_result){.outcome = RESTORE_NOTHING_TO_DO};
        return 0;
    }
    const struct replica_options replica = {
        .mode = STORE_READ, .cancel = options->cancel, .retrying = options->retrying};
    if (replica_handle_open(&r, options->url, &replica, e)) /* a folder that is not there */
        return accept_no_replica(options, ret_result, e) ? 0 : -1;
    int rc = restore_once(&r, options, ret_result, e);
    struct restore_options again = *options;
    again.flags &= ~(unsigned)RESTORE_IF_REPLICA; /* there was one: if it is gone now, that is no "nothing there" */
    /* Retention works beside us: what replaces a planned object is there. */
    for (int i = 1; i < PLANS_MAX && rc != 0 && e->code == ERR_GONE; i++) {
        log_info("%s; it was listed before: planning again", e->msg);
        for (int k = 0;
             r.store->slow && k < i * PLAN_PAUSE_MS / SLICE_MS && !(options->cancel && atomic_load(options->cancel));
             k++)
            clock_sleep_us(1000 * SLICE_MS);
        rc = restore_once(&r, &again, ret_result, e);
    }
    if (rc != 0 && e->code == ERR_GONE)
        e->code = ERR_CORRUPT; /* the replica names it again and again: so it must be there */
    replica_handle_close(&r);
    return rc;
}
