/* litestream/restore.c */
#include "litestream/restore.h"

#include "base/clock.h"
#include "base/log.h"
#include "litestream/apply.h"
#include "replica/points.h"
#include "restore/target.h"
#include "storage/open.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#define TRIES_MAX 5 /* listings, while objects vanish or are passed over */

struct attempt {
    const struct restore_options *options;
    struct lite_contents contents;
    struct lite_plan plan;
    struct lite_result *result;
    struct lite_object *at; /* the object that an error is about; NULL: none */
};

bool lite_foreign_scheme(const char *url)
{
    static const char *const schemes[] = {"gs://",   "gcs://", "abs://",    "sftp://",
                                          "nats://", "oss://", "webdav://", "webdavs://"};
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
        if (strncmp(url, schemes[i], strlen(schemes[i])) == 0)
            return true;
    return false;
}

static struct feed_options feed_options_of(const struct restore_options *o, bool shows_progress)
{
    return (struct feed_options){
        .jobs = o->jobs, .cancel = o->cancel, .progress = shows_progress ? o->progress : NULL, .context = o->context};
}

/* Writes the database of the plan into the hidden file of the target. */
static int write_database(struct attempt *a, const struct target *t, struct err *e)
{
    const struct feed_options options = feed_options_of(a->options, true);
    struct lite_applied applied = {.at = NULL};
    struct stage spool = STAGE_NONE;
    a->at = NULL;
    int rc = a->plan.kind == LITE_LTX ? 0 : stage_begin_in(&spool, &t->folder, e);
    if (rc == 0)
        rc = lite_apply(a->contents.store, &a->plan, &options, t->stage.fd, spool.fd, &applied, e);
    stage_end(&spool);
    a->at = applied.at;
    a->result->time_ms = applied.time_ms;
    a->result->page_size = applied.page_size;
    a->result->pages = applied.pages;
    return rc;
}

static enum target_overwrite overwrite_of(const struct restore_options *o)
{
    if (!(o->flags & RESTORE_FORCE))
        return TARGET_REFUSE;
    return o->flags & RESTORE_NO_UNDO ? TARGET_REPLACE_FOR_GOOD : TARGET_REPLACE;
}

static int check_and_commit(struct attempt *a, struct target *t, struct err *e)
{
    const struct restore_options *o = a->options;
    if ((o->flags & RESTORE_INTEGRITY_CHECK) && target_check_integrity(t, e))
        return -1;
    if (o->cancel && atomic_load(o->cancel))
        return err_set(e, ERR_CANCELED, 0, "interrupted");
    return target_commit(t, &a->result->undo, e);
}

static int restore_planned(struct attempt *a, struct err *e)
{
    const struct restore_options *o = a->options;
    struct target target;
    if (o->flags & RESTORE_DRY_RUN)
        return o->path ? target_check(o->path, overwrite_of(o), e) : 0;
    int rc = target_begin(&target, o->path, overwrite_of(o), o->mode ? o->mode : TARGET_MODE_DEFAULT, e);
    if (rc == 0)
        rc = write_database(a, &target, e);
    if (rc == 0)
        rc = check_and_commit(a, &target, e);
    target_abort(&target);
    if (rc && e->code == ERR_NOTFOUND)
        e->code = ERR_IO; /* it would mean that the replica does not exist */
    return rc;
}

/* ---- damage */

/* Says which state can be restored instead. */
static int hint_at_older(struct attempt *a, struct err *e)
{
    char when[CLOCK_TEXT_MAX];
    const struct lite_object *before = NULL;
    for (size_t i = 0; i < a->plan.count && a->plan.objects[i] != a->at; i++)
        before = a->plan.objects[i]->point ? a->plan.objects[i] : before;
    if (a->plan.kind == LITE_LTX)
        return a->contents.top
                   ? err_hint(e, "--txid %" PRIu64 " restores the newest state that does not need it", a->contents.top)
                   : err_hint(e, "no older state can be restored without it");
    clock_format(before ? before->time_ms : a->at->time_ms, when);
    return before ? err_hint(e, "--time %s restores the state before it", when)
                  : err_hint(e, "an older snapshot may be whole: give --time a moment before %s", when);
}

/* After an error: whether other files lead to the same txid as the plan did. Then a->plan is a plan with them. */
static bool plan_without(struct attempt *a, struct err *e)
{
    const struct lite_target same = {.txid = a->plan.last->name.max};
    struct lite_plan other;
    struct err none;
    if (e->code != ERR_CORRUPT || !a->at)
        return false;
    if (a->plan.kind == LITE_LTX) {
        a->at->damaged = true;
        lite_find_points(&a->contents);
        if (lite_plan_make(&a->contents, &same, &other, &none) == 0) {
            log_warn("%.*s; other files have the same transactions", text_front(e->msg), e->msg);
            lite_plan_release(&a->plan);
            a->plan = other;
            return true;
        }
    }
    hint_at_older(a, e);
    return false;
}

/* ---- tries */

static void describe(struct attempt *a)
{
    a->result->point = a->plan.last->name;
    a->result->time_ms = a->plan.last->time_ms;
    a->result->objects = a->plan.count;
    a->result->bytes = a->plan.bytes;
}

static int restore_listed(struct attempt *a, struct err *e)
{
    const struct restore_options *o = a->options;
    const struct feed_options options = feed_options_of(o, false);
    const bool by_time = o->flags & RESTORE_BY_TIME;
    const struct lite_target target = {
        .txid = o->txid == POINT_NEWEST ? 0 : o->txid, .by_time = by_time, .time_ms = o->time_ms};
    if (o->flags & RESTORE_DELTA) {
        err_set(e, ERR_CONFIG, 0, "'%s' is a replica of Litestream, from which --delta can't restore", o->url);
        return err_hint(e, "say --force in its place: the database that it replaces is kept as the undo");
    }
    if ((by_time || o->flags & RESTORE_DRY_RUN) && lite_read_headers(&a->contents, &options, e))
        return -1;
    if (lite_plan_make(&a->contents, &target, &a->plan, e))
        return -1;
    int rc = 0;
    do {
        describe(a);
        rc = restore_planned(a, e);
    } while (rc && plan_without(a, e));
    lite_plan_release(&a->plan);
    return rc;
}

int lite_restore(const struct restore_options *options, struct lite_result *ret, struct err *e)
{
    assert(options->url && (options->path || (options->flags & RESTORE_DRY_RUN)));
    struct attempt a = {.options = options, .result = ret};
    struct store *store = NULL;
    *ret = (struct lite_result){0};
    if (store_open(options->url, STORE_READ, &store, e))
        return -1;
    store->cancel = options->cancel;
    store->retrying = options->retrying;
    int rc = -1;
    for (int tries = 0; tries < TRIES_MAX; tries++) {
        rc = lite_list(&a.contents, store, &ret->beside, e);
        ret->found |= rc == 0;
        if (rc == 0)
            rc = restore_listed(&a, e);
        lite_release(&a.contents);
        if (rc == 0 || e->code != ERR_GONE)
            break;
        log_info("%.*s; it was listed before: planning again", text_front(e->msg), e->msg);
    }
    store_close(store);
    return rc;
}
