/* daemon/history.c */
#include "daemon/history.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/trial.h"
#include "base/units.h"
#include "ship/base_journal.h"

#include <inttypes.h>
#include <unistd.h>

/* ---- levels */

/* A compaction that failed, that is of another page size, or whose end level 0 has passed over, is given up. */
static bool level_is_useless(const struct database *db, const struct lane *l)
{
    const struct piece *p = l->level_piece;
    bool passed = p && p->last && l->d.entry.durable_txid > p->record.txid;
    return l->level_failed || l->d.state != DESTINATION_ATTACHED || l->level->page_size != db->page_size ||
           l->level->after != l->d.levels.ends[l->level->level].txid || passed ||
           (l->copy && l->copy->kind == COPY_CATCH_UP); /* it will pass over */
}

bool history_abandon_level(const struct database *db, struct lane *l)
{
    if (!l->level || !level_is_useless(db, l))
        return false;
    if (db->busy && db->copying == l)
        return true;
    lane_abandon_level(l);
    return false;
}

/* The writer is so fast that commits may have to be given up: what can wait waits. */
static bool is_pressed(const struct database *db, const struct lane *l)
{
    return backlog_bytes_after(&db->backlog, l->d.entry.durable_txid) > db->config->options.max_pending / 2;
}

void history_begin_level(const struct database *db, struct lane *l)
{
    unsigned level = levels_due(&l->d.levels, db->config->options.fanout);
    bool ending = db->stopping && !db->config->once;
    if (l->level || level == 0 || ending || is_pressed(db, l) || (l->copy && l->copy->kind == COPY_CATCH_UP))
        return;
    l->level = copy_new(COPY_LEVEL, l->d.levels.ends[level].txid, db->page_size);
    if (l->level)
        l->level->level = level;
}

bool history_level_ready(const struct lane *l, enum ship_kind *ret_kind)
{
    const struct piece *p = l->level_piece;
    if (!p)
        return false;
    *ret_kind = p->last ? SHIP_LEVEL : SHIP_PART;
    return !p->last || l->d.entry.durable_txid == p->record.txid || !RULE(durable_first);
}

uint64_t history_cut(const struct lane *l)
{
    return l->level_piece && l->level_piece->last ? l->level_piece->record.txid : UINT64_MAX;
}

/* A part is listed in what comes last; with that the segment is whole. */
void history_level_done(struct lane *l, enum ship_kind kind)
{
    if (kind == SHIP_PART)
        l->level_failed |= copy_note(l->level, l->level_piece->index, &l->listed, &l->err) != 0;
    l->pieces++;
    l->piece_bytes += l->listed.size;
    if (kind == SHIP_LEVEL) {
        lane_abandon_level(l);
        return;
    }
    piece_free(l->level_piece);
    l->level_piece = NULL;
}

/* ---- bases */

static uint64_t database_bytes(const struct database *db)
{
    return (uint64_t)db->newest.pages * db->page_size;
}

static void journal_path_of(const struct lane *l, char out[PATH_TEXT_MAX])
{
    base_journal_path(l->author.state->path, l->d.index, out);
}

/* Goes on where an earlier run stopped, if that still leads to a base which is newer than the one there is. */
static bool resume_base(const struct database *db, struct lane *l)
{
    char path[PATH_TEXT_MAX];
    uint64_t durable = l->d.entry.durable_txid;
    journal_path_of(l, path);
    struct copy *c = base_journal_load(path, &l->d.entry);
    bool of_use = c && c->page_size == db->page_size && c->start <= durable && c->start >= l->d.entry.base_owed &&
                  c->start > l->d.levels.base_max && c->known_at <= durable;
    for (size_t i = 0; of_use && i < c->list_count; i++)
        of_use = c->list[i].max <= durable;
    if (!of_use) {
        copy_free(c);
        return false;
    }
    if (c->next_page > 1)
        log_info("replica '%s': going on with the base from txid %" PRIu64 " at page %u of %u", l->d.url, c->start,
                 c->next_page, c->end_page);
    l->copy = c;
    l->read_all = c->read_all;
    l->copy_failed = false;
    return true;
}

/* From the durable txid on levels are needed beside it: what came later is in them. */
void history_start_base(struct database *db, struct lane *l)
{
    char path[PATH_TEXT_MAX];
    uint64_t durable = l->d.entry.durable_txid;
    if (db->newest.pages == 0 || resume_base(db, l))
        return;
    struct copy *c = copy_new(COPY_BASE, 0, db->page_size);
    struct err e;
    if (!c || random_bytes(c->id.bytes, UID_BYTES, &e)) {
        copy_free(c);
        return;
    }
    c->start = durable;
    c->end_page = db->newest.pages;
    c->known_at = db->newest.txid;
    l->read_all = l->copy_failed = false;
    l->copy = c;
    levels_note_base_begun(&l->d.levels);
    journal_path_of(l, path);
    base_journal_begin(path, &l->d.entry, c);
    if (l->d.entry.base_owed > 0) /* others come again and again: they are no news */
        log_info("replica '%s': writing a base of %u pages from txid %" PRIu64, l->d.url, c->end_page, c->start);
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
    unlink(path);
}

bool history_base_due(const struct database *db, const struct lane *l)
{
    bool ending = db->stopping && !db->config->once;
    return l->d.entry.base_owed > 0 || l->base_wanted ||
           (!ending && !is_pressed(db, l) &&
            levels_base_due(&l->d.levels, l->d.entry.durable_txid, database_bytes(db),
                            db->config->options.base_interval_ms));
}

/* ---- all of it */

/* Is there something to compact, or a base to write? */
static bool history_is_due(const struct database *db, const struct lane *l)
{
    return l->level || l->copy || l->paused_base || history_base_due(db, l) ||
           levels_due(&l->d.levels, db->config->options.fanout) > 0;
}

bool history_owes(const struct database *db, const struct lane *l)
{
    return l->d.entry.base_owed > 0 || l->base_wanted ||
           (db->config->once && (history_is_due(db, l) || l->prune_owed || l->prune.busy));
}

uint64_t history_needs_after(const struct database *db, const struct lane *l)
{
    if (l->level)
        return l->level->after;
    if (l->busy)
        return UINT64_MAX;
    struct levels then = l->d.levels;
    then.counts[0]++;
    unsigned level = levels_due(&then, db->config->options.fanout);
    if (levels_base_due(&then, UINT64_MAX, database_bytes(db), db->config->options.base_interval_ms))
        return 0;
    return level > 0 ? then.ends[level].txid : UINT64_MAX;
}

/* ---- retention */

static void prune_done(struct job *job)
{
    struct prune *p = prune_of_job(job);
    bool news = prune_ended(p, clock_mono_ms());
    bool lost =
        p->err.code == ERR_CORRUPT || p->err.code == ERR_NOTFOUND; /* what was durable is not there, or damaged */
    char size[32];
    units_format_size(p->figures.bytes, size);
    if (p->rc == 0 && p->figures.objects > 0)
        log_info("replica '%s': retention deleted %" PRIu64 " object%s of %s", p->shown, p->figures.objects,
                 p->figures.objects == 1 ? "" : "s", size);
    if (news && lost)
        log_error("replica '%s': retention found damage: %s", p->shown, p->err.msg);
    else if (news)
        log_warn("replica '%s': retention: trying again later: %s", p->shown, p->err.msg);
}

/* A process that ends soon applies retention when it has written what makes old objects superfluous. */
void history_prune(struct database *db, struct lane *l, int64_t now)
{
    uint64_t objects = l->appended + l->pieces;
    bool due = db->config->once ? l->prune_owed && !l->prune.busy && !history_is_due(db, l)
                                : !db->stopping && l->seen_durable > 0 && prune_due(&l->prune, objects, now);
    if (!due)
        return;
    l->prune_owed = false;
    const struct uid writer = state_writer(l->author.state);
    prune_start(&l->prune, objects, &writer, db->workers, prune_done);
}
