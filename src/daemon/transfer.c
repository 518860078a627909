/* daemon/transfer.c */
#include "daemon/transfer.h"

#include "base/container.h"

#include <assert.h>
#include <stdlib.h>

void transfer_begin(struct transfer *t, const struct copy *copy)
{
    assert(!transfer_under_way(t) && copy->terms.kind != COPY_NONE);
    t->copy = *copy;
    t->failed = false;
}

static void free_pieces(struct transfer *t)
{
    for (unsigned i = 0; i < COPY_IN_FLIGHT; i++) {
        piece_free(t->waiting[i]);
        t->waiting[i] = NULL;
    }
    piece_free(t->last);
    t->last = NULL;
}

void transfer_abandon(struct transfer *t)
{
    assert(!transfer_is_lent(t));
    free_pieces(t);
    copy_release(&t->copy);
    t->failed = false;
}

bool transfer_under_way(const struct transfer *t)
{
    return t->copy.terms.kind != COPY_NONE;
}

bool transfer_is(const struct transfer *t, enum copy_kind kind)
{
    return t->copy.terms.kind == kind;
}

bool transfer_pieces_busy(const struct transfer *t)
{
    for (unsigned i = 0; i < COPY_IN_FLIGHT; i++)
        if (t->jobs[i].busy)
            return true;
    return false;
}

bool transfer_is_lent(const struct transfer *t)
{
    return t->reading || t->closing || transfer_pieces_busy(t);
}

/* ---- reading */

/* The pieces of a level are put one by one, by ship jobs. */
static unsigned width(const struct transfer *t)
{
    return t->copy.terms.kind == COPY_LEVEL ? 1 : COPY_IN_FLIGHT;
}

bool transfer_wants_piece(const struct transfer *t)
{
    unsigned n = t->closing;
    if (!transfer_under_way(t) || t->reading || t->failed || t->copy.cursor.read_all)
        return false;
    for (unsigned i = 0; i < COPY_IN_FLIGHT; i++)
        n += (t->waiting[i] != NULL) + t->jobs[i].busy;
    return n < width(t);
}

void transfer_lend_cursor(struct transfer *t, struct copy_terms *ret_terms, struct copy_cursor *ret_cursor)
{
    assert(transfer_wants_piece(t));
    *ret_terms = t->copy.terms;
    *ret_cursor = t->copy.cursor;
    t->copy.cursor = (struct copy_cursor){0};
    t->reading = true;
}

static void add_waiting(struct transfer *t, struct piece *piece)
{
    unsigned i = 0;
    while (i < COPY_IN_FLIGHT && t->waiting[i])
        i++;
    assert(i < COPY_IN_FLIGHT); /* transfer_wants_piece counts the pieces that wait and those that are put together */
    t->waiting[i] = piece;
}

void transfer_take_cursor(struct transfer *t, const struct copy_cursor *cursor, struct piece *piece)
{
    assert(t->reading);
    t->reading = false;
    t->copy.cursor = *cursor;
    t->failed |= cursor->failed;
    if (piece && piece->last)
        t->last = piece;
    else if (piece)
        add_waiting(t, piece);
}

/* ---- putting */

static int next_place(const struct transfer *t)
{
    int first = -1;
    for (int i = 0; i < COPY_IN_FLIGHT; i++)
        if (t->waiting[i] && (first < 0 || t->waiting[i]->index < t->waiting[first]->index))
            first = i;
    return first;
}

const struct piece *transfer_next(const struct transfer *t)
{
    int place = next_place(t);
    return place < 0 ? NULL : t->waiting[place];
}

static struct piece *take_next(struct transfer *t)
{
    int place = next_place(t);
    assert(place >= 0);
    struct piece *p = t->waiting[place];
    t->waiting[place] = NULL;
    return p;
}

struct piece_job *piece_job_of(struct job *job)
{
    return CONTAINER_OF(job, struct piece_job, job);
}

static void run_piece(struct job *job, struct codec *codec)
{
    struct piece_job *pj = piece_job_of(job);
    struct author author = pj->author;
    author.codec = codec;
    pj->rc = destination_put_piece(&pj->place, &author, pj->piece, &pj->terms, &pj->listed, &pj->err);
}

bool transfer_start_piece(struct transfer *t, const struct destination_place *place, const struct author *a,
                          void *owner, struct workers *workers, void (*done)(struct job *))
{
    unsigned i = 0;
    while (i < COPY_IN_FLIGHT && t->jobs[i].busy)
        i++;
    if (i == COPY_IN_FLIGHT || !transfer_next(t))
        return false;
    t->jobs[i] = (struct piece_job){.job = {.run = run_piece, .done = done},
                                    .owner = owner,
                                    .busy = true,
                                    .place = *place,
                                    .author = *a,
                                    .terms = t->copy.terms,
                                    .piece = take_next(t)};
    workers_submit(workers, &t->jobs[i].job);
    return true;
}

void transfer_put_back(struct transfer *t, struct piece *piece)
{
    add_waiting(t, piece);
}

bool transfer_all_put(const struct transfer *t)
{
    return transfer_under_way(t) && !t->reading && t->copy.cursor.read_all && !transfer_next(t) &&
           !transfer_pieces_busy(t);
}

void transfer_load(struct transfer *t, struct shipment *s)
{
    assert(transfer_under_way(t) && !t->closing && !s->piece && !transfer_pieces_busy(t));
    s->copy = (struct copy){.terms = t->copy.terms, .objects = t->copy.objects};
    t->copy.objects = (struct copy_objects){0};
    t->closing = true;
    if (transfer_next(t)) {
        s->piece = take_next(t);
    } else {
        s->piece = t->last;
        t->last = NULL;
    }
}

void transfer_unload(struct transfer *t, struct shipment *s)
{
    assert(t->closing);
    t->closing = false;
    t->copy.objects = s->copy.objects;
    s->copy = (struct copy){.terms.kind = COPY_NONE};
}

/* ---- a base that gives way to a catch-up */

struct copy transfer_pause(struct transfer *t)
{
    assert(transfer_is(t, COPY_BASE) && !transfer_is_lent(t) && !t->failed);
    const struct piece *next = transfer_next(t);
    if (next)
        copy_rewind(&t->copy, next->index, next->first_page);
    struct copy paused = t->copy;
    t->copy = (struct copy){.terms.kind = COPY_NONE};
    free_pieces(t);
    return paused;
}
