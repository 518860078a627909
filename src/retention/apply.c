/* retention/apply.c - deletes the objects that a decision says may go. */
#include "retention/retention.h"

#include <assert.h>
#include <stdlib.h>

struct removal {
    struct store *store;
    const struct retention_plan *plan;
    struct retention_figures done;
    char names[STORE_REMOVE_MAX][NAME_MAX_BYTES]; /* the next objects to delete, in one request */
    const char *keys[STORE_REMOVE_MAX];           /* the same, as the store takes them */
    size_t count;
    uint64_t bytes; /* of these objects */
};

/* A decision relies on objects that another prune may delete later. When too much time has passed, the decision
 * may be wrong. */
static int check_age(const struct removal *r, struct err *e)
{
    int64_t now_ms = 0;
    if (store_time(r->store, &now_ms, e))
        return -1;
    if (now_ms - r->plan->now_ms <= r->plan->valid_ms)
        return 0;
    err_set(e, ERR_TIMEOUT, 0, "deleting took longer than half of the grace period: the other objects were kept");
    return err_hint(e, "run 'seawall prune' again; if the machine was not suspended, prune more often");
}

static int remove_batch(struct removal *r, struct err *e)
{
    if (r->count == 0)
        return 0;
    if (r->store->cancel && atomic_load(r->store->cancel))
        return err_set(e, ERR_CANCELED, 0, "interrupted");
    if (check_age(r, e) || store_remove_all(r->store, r->keys, r->count, e))
        return -1;
    r->done.objects += r->count;
    r->done.bytes += r->bytes;
    r->count = 0;
    r->bytes = 0;
    if (r->plan->progress)
        r->plan->progress(r->plan->context, r->done.objects, r->plan->delete_count);
    return 0;
}

/* Deletes all objects of one kind that go. The next kind follows when they are gone. So markers and segments are gone
 * before the chunks and parts that they name. */
static int remove_kind(struct removal *r, enum name_kind kind, struct err *e)
{
    for (size_t i = 0; i < r->plan->count; i++) {
        const struct retention_verdict *v = &r->plan->verdicts[i];
        if (!v->goes || v->name.kind != kind)
            continue;
        name_format(&v->name, r->names[r->count]);
        r->keys[r->count] = r->names[r->count];
        r->bytes += v->size;
        if (++r->count == STORE_REMOVE_MAX && remove_batch(r, e))
            return -1;
    }
    return remove_batch(r, e);
}

int retention_apply(struct store *store, const struct retention_plan *p, struct retention_figures *ret_figures,
                    struct err *e)
{
    static const enum name_kind order[] = {NAME_MARKER, NAME_LEVEL0,   NAME_PACK, NAME_LEVEL,
                                           NAME_CHUNK,  NAME_INTERIOR, NAME_PART};
    assert(store && (p->count == 0 || p->verdicts));
    *ret_figures = (struct retention_figures){0};
    struct removal *r = calloc(1, sizeof *r);
    if (!r)
        return err_nomem(e, sizeof *r);
    r->store = store;
    r->plan = p;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof order / sizeof order[0]; i++)
        rc = remove_kind(r, order[i], e);
    *ret_figures = r->done;
    free(r);
    return rc;
}
