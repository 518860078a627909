/* daemon/lane.c */
#include "daemon/lane.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 30000
#define BACKOFF_SLOW_MIN_MS 5000 /* when a person has to act */
#define BACKOFF_SLOW_MAX_MS 60000

int lane_open(struct lane *l, const char *url, struct err *e)
{
    memset(l, 0, sizeof *l);
    int rc = destination_open(&l->d, url, e);
    l->store = l->d.store;
    return rc;
}

void lane_abandon_copy(struct lane *l)
{
    for (unsigned i = 0; i < COPY_IN_FLIGHT; i++) {
        piece_free(l->waiting[i]);
        l->waiting[i] = NULL;
    }
    piece_free(l->last_piece);
    l->last_piece = NULL;
    copy_free(l->copy);
    l->copy = NULL;
    l->read_all = l->copy_failed = false;
}

void lane_abandon_level(struct lane *l)
{
    piece_free(l->level_piece);
    l->level_piece = NULL;
    copy_free(l->level);
    l->level = NULL;
    l->level_read_all = l->level_failed = false;
}

void lane_pause_base(struct lane *l)
{
    unsigned index = l->copy->pieces;
    uint32_t page = l->copy->next_page;
    for (unsigned i = 0; i < COPY_IN_FLIGHT; i++) {
        if (l->waiting[i] && l->waiting[i]->index < index) {
            index = l->waiting[i]->index;
            page = l->waiting[i]->first_page;
        }
        piece_free(l->waiting[i]);
        l->waiting[i] = NULL;
    }
    if (index < l->copy->pieces)
        copy_rewind(l->copy, index, page);
    l->paused_base = l->copy;
    l->copy = NULL;
    l->read_all = l->copy_failed = false;
}

void lane_resume_base(struct lane *l)
{
    l->copy = l->paused_base;
    l->paused_base = NULL;
    l->read_all = l->copy->read_all;
}

void lane_close(struct lane *l)
{
    lane_abandon_copy(l);
    lane_abandon_level(l);
    copy_free(l->paused_base);
    destination_close(&l->d);
}

struct lane *lane_of_job(struct job *job)
{
    return (struct lane *)(void *)((char *)job - offsetof(struct lane, job));
}

struct piece_job *piece_job_of(struct job *job)
{
    return (struct piece_job *)(void *)((char *)job - offsetof(struct piece_job, job));
}

bool lane_pieces_busy(const struct lane *l)
{
    for (unsigned i = 0; i < COPY_IN_FLIGHT; i++)
        if (l->piece_job[i].busy)
            return true;
    return false;
}

/* One more may be read while fewer than COPY_IN_FLIGHT are on their way. */
bool lane_wants_piece(const struct lane *l)
{
    unsigned n = 0;
    if (!l->copy || l->read_all || l->copy_failed)
        return false;
    for (unsigned i = 0; i < COPY_IN_FLIGHT; i++)
        n += (l->waiting[i] != NULL) + l->piece_job[i].busy;
    return n < COPY_IN_FLIGHT;
}

bool lane_wants_level_piece(const struct lane *l)
{
    return l->level && !l->level_piece && !l->level_read_all && !l->level_failed;
}

/* Exponential with full jitter. */
void lane_failed(struct lane *l, const struct err *failure, int64_t now_ms)
{
    bool slow = failure->code == ERR_CONFIG;
    int64_t least = slow ? BACKOFF_SLOW_MIN_MS : BACKOFF_MIN_MS, most = slow ? BACKOFF_SLOW_MAX_MS : BACKOFF_MAX_MS;
    uint32_t random = 0;
    struct err e;
    l->backoff_ms = l->backoff_ms >= least ? 2 * l->backoff_ms : least;
    if (l->backoff_ms > most)
        l->backoff_ms = most;
    if (random_bytes(&random, sizeof random, &e))
        random = 0;
    l->retry_at_ms = now_ms + least / 2 + (int64_t)(random % (uint32_t)l->backoff_ms);
}

void lane_succeeded(struct lane *l)
{
    l->backoff_ms = 0;
    l->retry_at_ms = 0;
    l->complaint[0] = 0;
    l->failing_since_ms = 0;
}

void lane_detoured(struct lane *l, int64_t now_ms)
{
    int64_t wait_ms = (int64_t)BACKOFF_MIN_MS << (l->detours < 10 ? l->detours : 10);
    if (l->detours++ > 0) /* the first time is nothing unusual */
        l->retry_at_ms = now_ms + (wait_ms < BACKOFF_MAX_MS ? wait_ms : BACKOFF_MAX_MS);
}

/* ---- jobs */

static int build(struct lane *l, const struct author *a)
{
    switch (l->kind) {
    case SHIP_COMMITS:
        return destination_build_commits(&l->d, a, l->batches, l->batch_count, l->upto, &l->err);
    case SHIP_CATCH_UP:
        return destination_build_catch_up(&l->d, a, l->last_piece, l->copy, &l->err);
    case SHIP_ANCHOR:
        return destination_build_anchor(&l->d, a, &l->record, l->page_size, &l->err);
    default:
        return 0;
    }
}

static void run_ship(struct job *job, struct codec *codec)
{
    struct lane *l = lane_of_job(job);
    struct author author = l->author;
    author.codec = codec;
    if (l->kind == SHIP_ATTACH) {
        l->rc = destination_attach(&l->d, &author, &l->err);
        return;
    }
    if (l->kind == SHIP_MARKER) {
        l->rc = destination_put_marker(&l->d, &author, l->copy, l->page_size, &l->err);
        if (l->rc == 0) {
            l->d.entry.base_owed = 0;
            state_set_replica(l->author.state, l->d.index, &l->d.entry);
        }
        return;
    }
    if (l->kind == SHIP_PART) {
        l->rc = destination_put_piece(&l->d, &author, l->level_piece, l->level, &l->listed, &l->err);
        return;
    }
    if (l->kind == SHIP_LEVEL) {
        l->rc = destination_put_level(&l->d, &author, l->level_piece, l->level, &l->listed.size, &l->err);
        return;
    }
    l->rc = build(l, &author);
    if (l->rc == 0)
        l->rc = destination_append(&l->d, &author, &l->err);
}

void lane_start(struct lane *l, enum ship_kind kind, struct workers *workers, void (*done)(struct job *))
{
    l->kind = kind;
    l->busy = true;
    l->job = (struct job){.run = run_ship, .done = done};
    workers_submit(workers, &l->job);
}

static void run_piece(struct job *job, struct codec *codec)
{
    struct piece_job *pj = piece_job_of(job);
    struct author author = pj->author;
    author.codec = codec;
    pj->rc = destination_put_piece(&pj->lane->d, &author, pj->piece, pj->lane->copy, &pj->listed, &pj->err);
}

void lane_start_piece(struct lane *l, struct piece_job *pj, struct piece *piece, struct workers *workers,
                      void (*done)(struct job *))
{
    *pj = (struct piece_job){
        .job = {.run = run_piece, .done = done}, .lane = l, .author = l->author, .piece = piece, .busy = true};
    workers_submit(workers, &pj->job);
}
