/* follow/jump.c */
#include "follow/jump.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/page.h"
#include "base/stage.h"
#include "base/trial.h"
#include "follow/page1.h"
#include "replica/points.h"
#include "restore/apply.h"

#include <stdlib.h>
#include <string.h>

struct work {
    struct jump *jump;
    struct plan plan;
    struct check_pages before;
    struct stage stage;
    struct map after;
    bool whole; /* another page size */
};

/* What the copy is must be known, so that the change can be proved. */
static int look_at_copy(struct work *w, struct err *e)
{
    struct note *note = w->jump->note;
    struct mirror_stamp stamp;
    if (mirror_stamp(w->jump->copy, &stamp, e) || check_read(w->jump->copy, w->jump->cancel, &w->before, e))
        return -1;
    bool known = check_is(&w->before, &note->now);
    if (!known && !w->jump->take_anything) {
        note->stamp = (struct mirror_stamp){.inode = 0}; /* the position in the log proves nothing any more */
        return err_set(e, ERR_CONFLICT, 0, "another process wrote to the copy '%s'", w->jump->copy->path);
    }
    note->stamp = stamp; /* it is of the pages that were read */
    note->boot = clock_boot_id();
    note->checkpointing = false;
    if (!known) {
        const uint32_t cookie = get_be32(w->before.page1 + 40),
                       was = page1_cookie(&note->now.page1) + note->now.cookie_shift;
        note->now = (struct note_point){
            .pages = w->before.pages, .page_size = w->before.page_size, .page1 = page1_keep(w->before.page1)};
        if ((int32_t)(was - cookie) > 0)
            note->now.cookie_shift = was - cookie;
        note->now.checksum = check_checksum(&w->before, &note->now.page1);
        note->now.pos = mirror_pos(w->jump->copy);
        note->copied = note->now.pos.frame == 0;
    }
    w->whole = w->before.page_size != w->plan.page_size;
    return 0;
}

/* The pages that the copy has already. */
static int find_same(struct work *w, struct apply_have *have, struct err *e)
{
    *have = (struct apply_have){.map = {.fd = -1}, .known_upto = UINT64_MAX};
    if (plan_map(w->jump->catalog, &w->plan, &have->map, e))
        return -1;
    for (uint32_t pgno = 1; pgno <= w->plan.record.pages; pgno++)
        if (pgno > w->before.pages || w->before.hashes[pgno - 1] != map_get(&have->map, pgno).hash)
            map_set(&have->map, pgno, (struct map_entry){0, 0});
    return 0;
}

static int fetch_pages(struct work *w, struct err *e)
{
    struct apply_have have = {.map = {.fd = -1}};
    struct apply_options apply = {.fd = w->stage.fd,
                                  .path = w->jump->copy->path,
                                  .jobs = w->jump->jobs,
                                  .cancel = w->jump->cancel,
                                  .read_soon = true};
    int rc = 0;
    if (!w->whole) {
        apply.have = &have;
        rc = find_same(w, &have, e);
    }
    if (rc == 0)
        rc = apply_plan(w->jump->catalog, &w->plan, &apply, &w->after, e);
    map_release(&have.map);
    return rc;
}

static int write_pages(struct work *w, struct commit *commit, struct err *e)
{
    uint32_t page_size = w->plan.page_size;
    uint8_t *page = malloc(PAGE_SIZE_MAX);
    int rc = page ? 0 : err_nomem(e, PAGE_SIZE_MAX);
    for (uint32_t pgno = 1; rc == 0 && pgno <= w->plan.record.pages; pgno++) {
        struct commit_version v = {.pgno = pgno, .hash = map_get(&w->after, pgno).hash, .page = page};
        if (!w->whole && pgno <= w->before.pages)
            v.old_hash = w->before.hashes[pgno - 1];
        bool same = !w->whole && pgno <= w->before.pages && v.old_hash == v.hash;
        if (pgno == lock_byte_page(page_size) || (same && pgno > 1))
            continue;
        if (v.hash == 0)
            memset(page, 0, page_size); /* a hole at the end of the file may be missing */
        else if (same)
            rc = commit_read(commit, pgno, page, &v.old_hash, e); /* page 1: its cookie rises */
        else
            rc = io_pread(w->stage.fd, page, page_size, (uint64_t)(pgno - 1) * page_size, e);
        if (rc == 0)
            rc = commit_page(commit, &v, e);
    }
    free(page);
    return rc;
}

static int publish(struct work *w, struct err *e)
{
    const struct commit_record *r = &w->plan.record;
    struct commit commit = {.copy = w->jump->copy, .note = w->jump->note, .file = w->jump->file};
    const struct note_point next = {.txid = r->txid,
                                    .time_ms = r->time_ms,
                                    .checksum = r->checksum,
                                    .pages = r->pages,
                                    .page_size = w->plan.page_size};
    const struct commit_terms terms = {.next = &next, .whole = w->whole, .raise = true};
    /* another page size needs a log that starts again */
    if ((w->whole && commit_copy_back(w->jump->copy, w->jump->note, w->jump->file, e)) ||
        commit_begin(&commit, &terms, e))
        return -1;
    int rc = write_pages(w, &commit, e);
    if (rc == 0)
        rc = commit_end(&commit, e);
    commit_abandon(&commit);
    if (rc == 0)
        w->jump->note->jumps++;
    return rc;
}

/* Readers of the copy have seen its state, so an older one never follows. What can be restored is older than the copy while a
 * new history waits for its base, and after a loss. */
static bool leads_on(const struct jump *j, const struct plan *p)
{
    const struct note_point *now = &j->note->now;
    if (j->take_anything)
        return true;
    return p->record.txid == now->txid ? p->record.checksum != now->checksum
                                       : p->record.txid > now->txid || !RULE(follow_on);
}

int jump_run(struct jump *j, struct err *e)
{
    struct work w = {.jump = j, .stage = STAGE_NONE, .after = {.fd = -1}};
    if (points_plan(j->catalog, POINT_NEWEST, &w.plan, e))
        return -1;
    int rc = 0;
    if (leads_on(j, &w.plan)) {
        rc =
            look_at_copy(&w, e) || stage_begin_in(&w.stage, &j->copy->folder, e) || fetch_pages(&w, e) || publish(&w, e)
                ? -1
                : 0;
    }
    stage_end(&w.stage);
    map_release(&w.after);
    check_release(&w.before);
    plan_release(&w.plan);
    return rc;
}
