/* restore/restore.c - plan; write beside the target; check; put in place; write the state file.
 *
 * If a step fails before the new file is checked and synced, the target is as it was and nothing is left beside it. A
 * delta writes in place, and keeps the same promise: until its pages are checked, SQLite's rollback journal takes them
 * back. */
#include "restore/restore.h"

#include "base/clock.h"
#include "base/folder.h"
#include "base/io.h"
#include "base/log.h"
#include "replica/handle.h"
#include "restore/apply.h"
#include "restore/delta.h"
#include "restore/source_reader.h"
#include "restore/target.h"
#include "state/state.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PLANS_MAX 4
#define PLAN_PAUSE_MS 1000 /* between tries of a slow store whose listings lag; each pause is longer by this */
#define SLICE_MS 50        /* a pause looks at `cancel` this often */

/* One try of a restore, with one plan. */
struct attempt {
    struct catalog *catalog;
    const struct restore_options *options;
    struct plan plan;
    struct skipped skipped; /* RESTORE_BY_TIME */
    struct digest head;     /* of the head, if the history of the replica ends at the target; zeros: it goes on */
    struct restore_result *result;
};

/* Notes the digest of the head, before anything is written: later the object can be gone. */
static int note_head(struct attempt *a, const struct catalog_object *head, struct err *e)
{
    struct segment segment;
    char key[NAME_MAX_BYTES];
    name_format(&head->name, key);
    if (object_load_whole(a->catalog->store, key, a->catalog->codec, &segment, &a->head, e))
        return store_listed_is_gone(e);
    segment_release(&segment);
    return 0;
}

static int describe(struct attempt *a, struct err *e)
{
    const struct plan *p = &a->plan;
    struct catalog_object *head = catalog_head(a->catalog);
    *a->result = (struct restore_result){
        .record = p->record, .page_size = p->page_size, .objects = p->source_count, .bytes = p->bytes};
    a->result->skipped = a->skipped;
    a->result->newest_txid = p->record.txid;
    if (head) {
        if (catalog_load(a->catalog, head, e))
            return store_listed_is_gone(e);
        a->result->newest_txid = head->segment->trailer.info.max;
        catalog_spare(a->catalog, head);
    }
    if (head && a->result->newest_txid == p->record.txid && !(a->options->flags & RESTORE_DRY_RUN))
        return note_head(a, head, e);
    return 0;
}

/* Writes the state file of the restored database, so that `seawall replicate` can continue from an unchanged head. If
 * the replica has commits after the target, the state file names no head. Then `seawall replicate` asks for
 * --take-over, unless the database is at the place of the writer of the replica: there it continues and ships the pages
 * that differ. */
static int write_state(const struct attempt *a, struct state *s, const struct map *map, struct err *e)
{
    const struct plan *p = &a->plan;
    struct state_restart restart = {.txid = p->record.txid,
                                    .time_ms = p->record.time_ms,
                                    .map = map,
                                    .url = a->catalog->store->url,
                                    .database = p->database,
                                    .head = a->head,
                                    .head_checksum = p->record.checksum};
    return state_restart(s, &restart, e);
}

/* Writes the state file. `held`: the open state file; NULL: it is opened and closed here. `reserved`: its lock, or
 * NULL. */
static int note_state(const struct attempt *a, struct state *held, struct state_reservation *reserved,
                      const struct map *map, struct err *e)
{
    struct state_reservation none = STATE_RESERVATION_NONE;
    const char *path = a->options->path;
    struct state own;
    enum state_found found;
    int rc = held ? 0 : state_open_reserved(&own, reserved ? reserved : &none, path, &found, e);
    if (rc == 0) {
        rc = write_state(a, held ? held : &own, map, e);
        if (!held)
            state_close(&own);
    }
    return rc == 0 ? 0 : err_wrap(e, "'%s' is restored, but its state file could not be written", path);
}

static struct apply_options apply_options_of(const struct restore_options *o)
{
    return (struct apply_options){
        .fd = -1, .jobs = o->jobs, .cancel = o->cancel, .progress = o->progress, .context = o->context};
}

static bool is_canceled(const struct restore_options *o)
{
    return o->cancel && atomic_load(o->cancel);
}

/* ---- the whole database */

/* Turns ERR_NOTFOUND into ERR_IO: it would mean that the replica or the restore point does not exist. */
static int of_this_machine(int rc, struct err *e)
{
    if (rc != 0 && e->code == ERR_NOTFOUND)
        e->code = ERR_IO;
    return rc;
}

/* Checks the written target and puts it in its place. */
static int finish(struct attempt *a, struct target *t, const struct map *map, struct err *e)
{
    const struct restore_options *o = a->options;
    if ((o->flags & RESTORE_INTEGRITY_CHECK) && target_check_integrity(t, e))
        return -1;
    if (is_canceled(o))
        return err_set(e, ERR_CANCELED, 0, "interrupted");
    return target_commit(t, &a->result->undo, e) || note_state(a, NULL, &t->state, map, e) ? -1 : 0;
}

static int restore_to_target(struct attempt *a, enum target_overwrite overwrite, struct err *e)
{
    const struct restore_options *o = a->options;
    struct target target;
    struct map map = {.fd = -1};
    struct apply_options apply = apply_options_of(o);
    apply.read_soon = (o->flags & RESTORE_INTEGRITY_CHECK) != 0;
    int rc = target_begin(&target, o->path, overwrite, o->mode ? o->mode : TARGET_MODE_DEFAULT, e);
    rc = of_this_machine(rc, e);
    target.unsynced = target.state.unsynced = (o->flags & RESTORE_UNSYNCED) != 0;
    if (rc == 0) {
        apply.fd = target.stage.fd;
        apply.path = o->path;
        rc = apply_plan(a->catalog, &a->plan, &apply, &map, e);
    }
    if (rc == 0)
        rc = of_this_machine(finish(a, &target, &map, e), e);
    target_abort(&target);
    map_release(&map);
    return rc;
}

static enum target_overwrite replace(const struct restore_options *o)
{
    return o->flags & RESTORE_NO_UNDO ? TARGET_REPLACE_FOR_GOOD : TARGET_REPLACE;
}

static int restore_whole(struct attempt *a, enum target_overwrite overwrite, struct err *e)
{
    const struct restore_options *o = a->options;
    if (!(o->flags & RESTORE_DRY_RUN))
        return restore_to_target(a, overwrite, e);
    return o->path ? of_this_machine(target_check(o->path, overwrite, e), e) : 0;
}

/* ---- in place */

static unsigned delta_flags(const struct restore_options *o)
{
    return (o->flags & RESTORE_DRY_RUN ? DELTA_DRY_RUN : 0u) | (o->flags & RESTORE_NO_UNDO ? DELTA_NO_UNDO : 0u) |
           (o->flags & RESTORE_INTEGRITY_CHECK ? DELTA_INTEGRITY_CHECK | DELTA_READ_ALL : 0u);
}

static int change_in_place(struct attempt *a, struct delta *d, struct err *e)
{
    struct map map = {.fd = -1};
    struct restore_result *result = a->result;
    struct apply_options apply = apply_options_of(a->options);
    const struct delta_request request = {
        .catalog = a->catalog, .plan = &a->plan, .options = &apply, .flags = delta_flags(a->options)};
    result->delta = true;
    uint32_t pages = d->ip.pages;
    int rc = delta_run(d, &request, &result->in_place, &map, e);
    bool changed = result->in_place.rewritten > 0 || pages != a->plan.record.pages;
    result->undo = changed && !(a->options->flags & RESTORE_NO_UNDO);
    /* An intact state file of a database that did not change stays: it knows more than a new one would. */
    bool noted = !changed && d->state_open && d->found == STATE_INTACT;
    if (rc == 0 && !noted && !(a->options->flags & RESTORE_DRY_RUN))
        rc = note_state(a, d->state_open ? &d->state : NULL, NULL, &map, e);
    map_release(&map);
    return rc;
}

/* Restores the whole database where it can't be done in place: because of `fit`, or because the page sizes differ. A
 * file that is not a database is replaced only with RESTORE_FORCE. */
static int restore_not_in_place(struct attempt *a, enum inplace_fit fit, uint32_t page_size, struct err *e)
{
    char *why = a->result->not_delta;
    const char *path = a->options->path;
    switch (fit) {
    case INPLACE_NOT_THERE:
        snprintf(why, ERR_MSG_MAX, "there was no database at '%s'", path);
        return restore_whole(a, TARGET_REFUSE, e);
    case INPLACE_UNFIT:
        if (!(a->options->flags & RESTORE_FORCE)) {
            err_set(e, ERR_EXISTS, 0, "'%s' is not a SQLite database of whole pages: it can't be rewritten in place",
                    path);
            return err_hint(e, "restore to another path with -o, or replace the file with --force");
        }
        snprintf(why, ERR_MSG_MAX, "'%s' was not a database", path);
        break;
    case INPLACE_READY:
        snprintf(why, ERR_MSG_MAX, "its pages had %" PRIu32 " bytes, those of the replica have %" PRIu32, page_size,
                 a->plan.page_size);
        break;
    }
    return restore_whole(a, replace(a->options), e);
}

static int restore_delta(struct attempt *a, struct err *e)
{
    struct delta d;
    enum inplace_fit fit = INPLACE_UNFIT;
    if (delta_open(&d, a->options->path, delta_flags(a->options), &fit, e))
        return -1;
    int rc = 0;
    uint32_t page_size = d.ip.page_size;
    if (fit == INPLACE_READY && page_size == a->plan.page_size)
        rc = change_in_place(a, &d, e);
    delta_close(&d);
    return a->result->delta ? rc : restore_not_in_place(a, fit, page_size, e);
}

/* ---- tries */

/* Whether an error of opening or listing the replica means that there is none, and that this is allowed. Only for these
 * two steps: later ERR_NOTFOUND means that the restore point does not exist. */
static bool accept_no_replica(const struct restore_options *o, struct restore_result *ret_result, const struct err *e)
{
    if (e->code != ERR_NOTFOUND || !(o->flags & RESTORE_IF_REPLICA))
        return false;
    *ret_result = (struct restore_result){.outcome = RESTORE_NO_REPLICA};
    memcpy(ret_result->no_replica, e->msg, sizeof e->msg);
    return true;
}

static int make_plan(struct attempt *a, struct err *e)
{
    const int64_t moment = a->options->time_ms;
    uint64_t txid = a->options->txid;
    if ((a->options->flags & RESTORE_BY_TIME) &&
        (points_at_time(a->catalog, moment, &txid, e) ||
         skipped_find(a->catalog, moment, clock_wall_ms(), txid, &a->skipped, e)))
        return -1;
    catalog_prefetch_way(a->catalog, txid);
    return points_plan(a->catalog, txid, &a->plan, e);
}

static struct catalog_object *first_pack(const struct catalog *c)
{
    for (size_t i = 0; i < c->level0_count; i++)
        if (c->level0[i].name.kind == NAME_PACK)
            return &c->level0[i];
    return NULL;
}

/* What is left is what a program that knows no packs sees: levels, bases, and the objects that lie in the packs still. */
static int set_packs_aside(struct catalog *c, struct err *e)
{
    struct catalog_object *pack = NULL;
    while ((pack = first_pack(c)))
        if (catalog_set_aside(c, pack, e))
            return -1;
    return 0;
}

static int restore_once(struct replica_handle *r, const struct restore_options *options, bool without_packs,
                        struct restore_result *ret_result, struct err *e)
{
    struct attempt a = {.catalog = &r->catalog, .options = options, .result = ret_result};
    if (replica_handle_list(r, e))
        return accept_no_replica(options, ret_result, e) ? 0 : -1;
    if (without_packs && set_packs_aside(&r->catalog, e))
        return -1;
    int rc = make_plan(&a, e);
    if (rc == 0)
        rc = describe(&a, e);
    if (rc == 0 && options->planned)
        rc = options->planned(options->planned_context, ret_result, e);
    if (rc == 0 && (options->flags & RESTORE_DELTA))
        rc = restore_delta(&a, e);
    else if (rc == 0)
        rc = restore_whole(&a, options->flags & RESTORE_FORCE ? replace(options) : TARGET_REFUSE, e);
    plan_release(&a.plan);
    return rc;
}

static void pause_before_try(const struct store *store, const struct restore_options *o, int tries)
{
    for (int64_t ms = 0; store->slow && ms < (int64_t)tries * PLAN_PAUSE_MS && !is_canceled(o); ms += SLICE_MS)
        clock_sleep_us(1000 * SLICE_MS);
}

/* Something in the replica is damaged. What packs have is often there a second time, in levels. */
static int restore_past_packs(struct replica_handle *r, const struct restore_options *options,
                              struct restore_result *ret_result, struct err *e)
{
    struct err without;
    if (restore_once(r, options, true, ret_result, &without))
        return -1; /* for the first reason */
    log_error("the replica is damaged: %.*s; restored without its packs" TEXT_HINT "seawall verify shows what is "
              "damaged; a daemon that runs puts a damaged pack again while it can",
              text_front(e->msg), e->msg);
    return 0;
}

/* Tries again while objects of the plan are gone: retention has replaced them by others. */
static int restore_in_tries(struct replica_handle *r, const struct restore_options *options,
                            struct restore_result *ret_result, struct err *e)
{
    struct restore_options again = *options;
    again.flags &= ~(unsigned)RESTORE_IF_REPLICA; /* there was a replica: if it is gone now, that is an error */
    int rc = restore_once(r, options, false, ret_result, e);
    for (int tries = 1; tries < PLANS_MAX && rc != 0 && e->code == ERR_GONE; tries++) {
        log_info("%.*s; it was listed before: planning again", text_front(e->msg), e->msg);
        pause_before_try(r->store, options, tries);
        rc = restore_once(r, &again, false, ret_result, e);
    }
    if (rc != 0 && e->code == ERR_GONE)
        e->code = ERR_CORRUPT; /* every listing has it, and no read finds it */
    if (rc != 0 && e->code == ERR_CORRUPT && first_pack(&r->catalog))
        rc = restore_past_packs(r, &again, ret_result, e);
    return rc;
}

int restore_run(const struct restore_options *options, struct restore_result *ret_result, struct err *e)
{
    assert(options->url && (options->path || (options->flags & RESTORE_DRY_RUN)));
    struct replica_handle r;
    enum target_found found = TARGET_FREE;
    if (options->path && folder_check_database_name(options->path, UNDO_SUFFIX, e))
        return -1;
    if ((options->flags & RESTORE_IF_NO_DB) && target_look(options->path, &found, e))
        return -1;
    if (found == TARGET_DATABASE) {
        *ret_result = (struct restore_result){.outcome = RESTORE_NOTHING_TO_DO};
        return 0;
    }
    const struct replica_options replica = {
        .mode = STORE_READ, .cancel = options->cancel, .retrying = options->retrying, .traffic = options->traffic};
    if (replica_handle_open(&r, options->url, &replica, e)) /* a folder that is not there */
        return accept_no_replica(options, ret_result, e) ? 0 : -1;
    int rc = restore_in_tries(&r, options, ret_result, e);
    replica_handle_close(&r);
    return rc;
}
