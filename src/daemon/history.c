/* daemon/history.c */
#include "daemon/history.h"

#include "base/clock.h"
#include "base/container.h"
#include "base/log.h"
#include "base/trial.h"
#include "base/units.h"
#include "ship/base_journal.h"
#include "ship/pack.h"

#include <assert.h>
#include <inttypes.h>
#include <unistd.h>

static const struct options *options_of(const struct lanes *all)
{
    return &all->config->options;
}

/* The process ends and will be started again for what can wait. */
static bool is_ending(const struct lanes *all)
{
    return all->stopping && !all->config->once;
}

/* The writer is so fast that commits may have to be given up: what can wait waits. */
static bool is_pressed(const struct lanes *all, const struct lane *l)
{
    return backlog_bytes_after(&all->backlog, l->seen.durable) > options_of(all)->max_pending / 2;
}

/* ---- levels */

static const struct piece *level_piece(const struct lane *l)
{
    return l->level.last ? l->level.last : transfer_next(&l->level);
}

/* A compaction is useless if it failed, if it is of another page size, or if level 0 has passed its end. */
static bool level_is_useless(const struct lane *l, const struct captured_head *captured)
{
    const struct piece *p = level_piece(l);
    const struct destination *d = &l->home->d;
    const struct copy_terms *terms = &l->level.copy.terms;
    bool passed = p && p->last && d->entry.durable_txid > p->record.txid;
    bool will_pass = transfer_is(&l->copy, COPY_CATCH_UP);
    return l->level.failed || d->state != DESTINATION_ATTACHED || terms->page_size != captured->page_size ||
           terms->after != d->levels.ends[terms->level].txid || passed || will_pass;
}

bool history_abandon_level(struct lane *l, const struct captured_head *captured)
{
    if (!transfer_under_way(&l->level) || !level_is_useless(l, captured))
        return false;
    if (transfer_is_lent(&l->level))
        return true;
    transfer_abandon(&l->level);
    return false;
}

void history_begin_level(const struct lanes *all, struct lane *l)
{
    const struct levels *levels = &l->home->d.levels;
    unsigned level = levels_due(levels, options_of(all)->fanout);
    if (transfer_under_way(&l->level) || level == 0 || is_ending(all) || is_pressed(all, l) ||
        transfer_is(&l->copy, COPY_CATCH_UP))
        return;
    const struct copy_terms terms = {
        .kind = COPY_LEVEL, .level = level, .after = levels->ends[level].txid, .page_size = all->captured.page_size};
    const struct copy copy = copy_begin(&terms);
    transfer_begin(&l->level, &copy);
}

bool history_level_ready(const struct lane *l, enum ship_kind *ret_kind)
{
    const struct piece *p = level_piece(l);
    if (!p)
        return false;
    *ret_kind = p->last ? SHIP_LEVEL : SHIP_PART;
    return !p->last || l->home->d.entry.durable_txid == p->record.txid || !RULE(durable_first);
}

uint64_t history_cut(const struct lane *l)
{
    return l->level.last ? l->level.last->record.txid : UINT64_MAX;
}

/* A part is named by the segment that comes last; with that the segment is whole. */
void history_level_done(struct lane *l, enum ship_kind kind, unsigned piece_index, const struct listed *object)
{
    struct err e;
    l->pieces++;
    l->piece_bytes += object->size;
    if (kind == SHIP_LEVEL)
        transfer_abandon(&l->level);
    else
        l->level.failed |= copy_note(&l->level.copy.objects, piece_index, object, &e) != 0;
}

/* ---- bases */

static uint64_t database_bytes(const struct lanes *all)
{
    return (uint64_t)all->captured.newest.pages * all->captured.page_size;
}

static void journal_path_of(const struct lane *l, char out[PATH_TEXT_MAX])
{
    base_journal_path(l->author.state->path, l->seen.index, out);
}

/* Does it still lead to a base that is newer than the one there is? */
static bool base_is_of_use(const struct copy *c, const struct destination *d, uint32_t page_size)
{
    const struct copy_terms *t = &c->terms;
    uint64_t durable = d->entry.durable_txid;
    if (t->kind == COPY_NONE || t->page_size != page_size || t->start > durable || t->known_at > durable ||
        t->start < d->entry.base_owed || t->start <= d->levels.base_max)
        return false;
    for (size_t i = 0; i < c->objects.count; i++)
        if (c->objects.list[i].max > durable)
            return false;
    return true;
}

/* Goes on where an earlier run stopped. */
static bool resume_base(const struct lanes *all, struct lane *l)
{
    char path[PATH_TEXT_MAX];
    const struct destination *d = &l->home->d;
    journal_path_of(l, path);
    struct copy c = base_journal_load(path, &d->entry);
    if (!base_is_of_use(&c, d, all->captured.page_size)) {
        copy_release(&c);
        return false;
    }
    if (c.cursor.next_page > 1)
        log_info("replica '%s': going on with the base from txid %" PRIu64 " at page %u of %u", l->url, c.terms.start,
                 c.cursor.next_page, c.terms.end_page);
    transfer_begin(&l->copy, &c);
    return true;
}

/* Levels are needed beside the base from the durable txid on: they hold what changes while it is written. */
void history_start_base(const struct lanes *all, struct lane *l)
{
    char path[PATH_TEXT_MAX];
    struct destination *d = &l->home->d;
    struct err e;
    assert(!transfer_under_way(&l->copy));
    if (all->captured.newest.pages == 0 || resume_base(all, l))
        return;
    struct copy_terms terms = {.kind = COPY_BASE,
                               .start = d->entry.durable_txid,
                               .end_page = all->captured.newest.pages,
                               .known_at = all->captured.newest.txid,
                               .page_size = all->captured.page_size};
    if (random_bytes(terms.id.bytes, UID_BYTES, &e))
        return;
    const struct copy copy = copy_begin(&terms);
    transfer_begin(&l->copy, &copy);
    levels_note_base_begun(&d->levels);
    journal_path_of(l, path);
    base_journal_begin(path, &d->entry, &terms);
    if (d->entry.base_owed > 0) /* later bases come again and again: they are not news */
        log_info("replica '%s': writing a base of %u pages from txid %" PRIu64, l->url, terms.end_page, terms.start);
}

void history_note_chunk(const struct lane *l, unsigned index, const struct listed *chunk)
{
    char path[PATH_TEXT_MAX];
    journal_path_of(l, path);
    base_journal_note(path, index, chunk);
}

void history_forget_base(const struct lane *l)
{
    char path[PATH_TEXT_MAX];
    journal_path_of(l, path);
    base_journal_forget(path);
}

bool history_base_due(const struct lanes *all, const struct lane *l)
{
    const struct destination *d = &l->home->d;
    if (d->entry.base_owed > 0 || l->base_wanted)
        return true;
    return !is_ending(all) && !is_pressed(all, l) &&
           levels_base_due(&d->levels, d->entry.durable_txid, database_bytes(all), options_of(all)->base_interval_ms);
}

/* ---- all of it */

/* Is there something to compact, or a base to write? */
static bool history_is_due(const struct lanes *all, const struct lane *l)
{
    return transfer_under_way(&l->level) || transfer_under_way(&l->copy) || l->paused_base.terms.kind != COPY_NONE ||
           history_base_due(all, l) || levels_due(&l->home->d.levels, options_of(all)->fanout) > 0;
}

bool history_owes(const struct lanes *all, const struct lane *l)
{
    return l->home->d.entry.base_owed > 0 || l->base_wanted ||
           (all->config->once && (history_is_due(all, l) || l->prune_owed || l->prune.busy));
}

uint64_t history_needs_after(const struct lanes *all, const struct lane *l)
{
    if (transfer_under_way(&l->level))
        return l->level.copy.terms.after;
    if (lane_is_away(l))
        return UINT64_MAX;
    struct levels then = l->home->d.levels;
    then.counts[0]++;
    unsigned level = levels_due(&then, options_of(all)->fanout);
    if (levels_base_due(&then, UINT64_MAX, database_bytes(all), options_of(all)->base_interval_ms))
        return 0;
    return level > 0 ? then.ends[level].txid : UINT64_MAX;
}

/* ---- retention */

static void tell_damage(const struct prune *p)
{
    struct err told = p->err;
    err_hint(&told, "'seawall verify --full' on it names all damage; nothing is deleted there meanwhile");
    log_error("replica '%s': retention found damage: %s", p->shown, told.msg);
}

static void prune_done(struct job *job)
{
    struct prune *p = prune_of_job(job);
    bool news = prune_ended(p, clock_mono_ms());
    /* durable objects are gone or damaged */
    bool lost = p->rc != 0 && (p->err.code == ERR_CORRUPT || p->err.code == ERR_NOTFOUND);
    char size[32];
    units_format_size(p->figures.bytes, size);
    if (p->rc == 0 && p->figures.objects > 0)
        log_info("replica '%s': retention deleted %" PRIu64 " object%s of %s", p->shown, p->figures.objects,
                 p->figures.objects == 1 ? "" : "s", size);
    struct lane *l = CONTAINER_OF(p, struct lane, prune);
    if (lost || (p->rc == 0 && p->figures.objects > 0))
        look_ask(&l->look, p->ended_ms);
    if (news && lost)
        tell_damage(p);
    else if (news)
        log_warn("replica '%s': retention: trying again later: %s", p->shown, p->err.msg);
}

/* A process that ends soon applies retention when it has written what makes old objects superfluous. */
void history_prune(const struct lanes *all, struct lane *l, int64_t now_ms)
{
    uint64_t objects = l->appended + l->pieces;
    if (!l->prune.busy)
        prune_set_store(&l->prune, l->seen.store);
    bool due = all->config->once ? l->prune_owed && !l->prune.busy && !history_is_due(all, l)
                                 : !all->stopping && l->seen.durable > 0 && prune_due(&l->prune, objects, now_ms);
    if (!due || l->look.busy)
        return;
    l->prune_owed = false;
    prune_start(&l->prune, objects, &l->author, l->workers, prune_done);
}
