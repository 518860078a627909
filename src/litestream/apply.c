/* litestream/apply.c */
#include "litestream/apply.h"

#include "litestream/generation.h"
#include "litestream/ltx.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct apply {
    const struct lite_plan *plan;
    struct feed *feed;
    struct writer writer;
    struct lite_applied *result;
    const struct feed_options *options;
};

/* The next object of the plan. */
static int go_on(struct apply *a, size_t i, struct err *e)
{
    a->result->at = a->plan->objects[i];
    const struct feed_item *item = feed_next(a->feed);
    assert(item);
    (void)item;
    return a->options->cancel && atomic_load(a->options->cancel) ? err_set(e, ERR_CANCELED, 0, "interrupted") : 0;
}

static int write_files(struct apply *a, struct err *e)
{
    struct ltx_reader *r = NULL;
    struct ltx_header h;
    int rc = ltx_reader_new(&r, e);
    for (size_t i = 0; rc == 0 && i < a->plan->count; i++) {
        const struct lite_name *name = &a->plan->objects[i]->name;
        rc = go_on(a, i, e) || ltx_apply(r, a->feed, i == 0, &a->writer, &h, e) ? -1 : 0;
        if (rc == 0 && (h.min != name->min || h.max != name->max))
            rc = err_set(e, ERR_CORRUPT, 0, "its header has the txids %" PRIu64 " to %" PRIu64, h.min, h.max);
        if (rc == 0)
            a->result->time_ms = h.time_ms;
    }
    ltx_reader_free(r);
    return rc;
}

static int write_generation(struct apply *a, int spool, struct err *e)
{
    struct wal_file wal = {.fd = spool};
    if (go_on(a, 0, e) || generation_snapshot(a->feed, &a->writer, e))
        return -1;
    for (size_t i = 1; i < a->plan->count; i++) {
        const struct lite_name *name = &a->plan->objects[i]->name;
        if (i > 1 && name->index != a->result->at->name.index && generation_apply(&wal, &a->writer, e))
            return -1;
        if (go_on(a, i, e) || generation_segment(a->feed, name, &wal, e))
            return -1;
    }
    a->result->time_ms = a->plan->last->time_ms;
    return a->plan->count > 1 ? generation_apply(&wal, &a->writer, e) : 0;
}

/* Puts the name of the object in front of an error about its contents. The store names it itself. */
static int blame(const struct apply *a, struct err *e)
{
    char key[STORE_KEY_MAX];
    if (!a->result->at || (e->code != ERR_CORRUPT && e->code != ERR_CONFIG) || strncmp(e->msg, "object '", 8) == 0)
        return -1;
    lite_name_format(&a->result->at->name, key);
    return err_wrap(e, "object '%s'", key);
}

static struct feed_item *items_of(const struct lite_plan *p, struct err *e)
{
    struct feed_item *items = calloc(p->count, sizeof *items);
    for (size_t i = 0; items && i < p->count; i++) {
        lite_name_format(&p->objects[i]->name, items[i].key);
        items[i].bytes = p->objects[i]->size;
    }
    if (!items)
        err_nomem(e, p->count * sizeof *items);
    return items;
}

int lite_apply(struct store *store, const struct lite_plan *p, const struct feed_options *options, int fd, int spool,
               struct lite_applied *ret, struct err *e)
{
    assert(p->count > 0 && fd >= 0 && (p->kind == LITE_LTX || spool >= 0));
    struct apply a = {.plan = p, .result = ret, .options = options};
    struct feed_item *items = items_of(p, e);
    *ret = (struct lite_applied){.at = NULL};
    if (!items)
        return -1;
    int rc = writer_begin(&a.writer, fd, e);
    if (rc == 0)
        rc = feed_new(store, items, p->count, options, &a.feed, e);
    if (rc == 0 && (p->kind == LITE_LTX ? write_files(&a, e) : write_generation(&a, spool, e)))
        rc = blame(&a, e);
    if (rc == 0 && a.writer.pages == 0)
        rc = err_set(e, ERR_CORRUPT, 0, "the database has no page");
    ret->page_size = a.writer.page_size;
    ret->pages = a.writer.pages;
    feed_free(a.feed);
    writer_release(&a.writer);
    free(items);
    return rc;
}
