/* daemon/shipment.c */
#include "daemon/shipment.h"

#include "base/container.h"

#include <assert.h>
#include <stdlib.h>

struct shipment *shipment_open(const char *url, struct err *e)
{
    struct shipment *s = calloc(1, sizeof *s);
    if (!s) {
        err_nomem(e, sizeof *s);
        return NULL;
    }
    s->rc = destination_open(&s->d, url, e);
    return s;
}

void shipment_close(struct shipment *s)
{
    if (!s)
        return;
    destination_close(&s->d);
    piece_free(s->piece);
    copy_release(&s->copy);
    free(s);
}

struct shipment *shipment_of_job(struct job *job)
{
    return CONTAINER_OF(job, struct shipment, job);
}

bool ship_kind_puts_beside(enum ship_kind kind)
{
    return kind == SHIP_MARKER || kind == SHIP_PART || kind == SHIP_LEVEL;
}

bool ship_kind_appends(enum ship_kind kind)
{
    return kind != SHIP_ATTACH && kind != SHIP_LOOK && !ship_kind_puts_beside(kind);
}

static int build(struct shipment *s, const struct author *a)
{
    switch (s->kind) {
    case SHIP_COMMITS:
        return destination_build_commits(&s->d, a, s->batches, s->batch_count, s->upto, &s->err);
    case SHIP_CATCH_UP:
        return destination_build_catch_up(&s->d, a, s->piece, &s->copy, &s->err);
    case SHIP_ANCHOR:
        return destination_build_anchor(&s->d, a, &s->record, s->page_size, &s->err);
    default:
        return 0;
    }
}

static int build_and_append(struct shipment *s, const struct author *a)
{
    return build(s, a) || destination_append(&s->d, a, &s->err) ? -1 : 0;
}

static int put_part(struct shipment *s, const struct author *a)
{
    const struct destination_place place = destination_place(&s->d);
    return destination_put_piece(&place, a, s->piece, &s->copy.terms, &s->listed, &s->err);
}

static int perform(struct shipment *s, const struct author *a)
{
    switch (s->kind) {
    case SHIP_ATTACH:
        return destination_attach(&s->d, a, &s->err);
    case SHIP_MARKER:
        return destination_put_marker(&s->d, a, &s->copy, &s->err);
    case SHIP_PART:
        return put_part(s, a);
    case SHIP_LOOK:
        return destination_look(&s->d, a, s->history, &s->err);
    case SHIP_LEVEL:
        return destination_put_level(&s->d, a, s->piece, &s->copy, &s->listed.size, &s->err);
    default:
        return build_and_append(s, a);
    }
}

static void run(struct job *job, struct codec *codec)
{
    struct shipment *s = shipment_of_job(job);
    struct author author = s->author;
    author.codec = codec;
    s->rc = perform(s, &author);
}

void shipment_send(struct shipment **home, struct workers *workers, void (*done)(struct job *))
{
    struct shipment *s = *home;
    assert(s);
    *home = NULL;
    s->job = (struct job){.run = run, .done = done};
    workers_submit(workers, &s->job);
}
