/* restore/undo.c */
#include "restore/undo.h"

#include "base/io.h"
#include "base/log.h"
#include "base/page.h"
#include "restore/delta.h"
#include "restore/integrity.h"
#include "restore/lock.h"
#include "restore/target.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- a change in place */

static int changed_since(const struct inplace *ip, struct err *e)
{
    err_set(e, ERR_EXISTS, 0, "'%s' was changed since it was restored; it can't be undone in place", ip->path);
    return err_hint(e, "restore from the replica, with --txid or --time");
}

/* The pages of an undo fit one state only. */
static int prove_as_left(const struct inplace *ip, const struct journal_reader *j, const struct undo_options *o,
                         struct err *e)
{
    const struct journal_note *note = &j->note;
    struct apply_options options = {.cancel = o->cancel, .progress = o->progress, .context = o->context};
    uint64_t checksum = 0;
    if (ip->page_size != j->page_size || ip->pages != note->pages_after)
        return changed_since(ip, e);
    if (inplace_is_as_left(ip, note->inode, note->size, note->mtime_ns))
        return 0;
    if (delta_read_all(ip, &options, NULL, &checksum, e))
        return -1;
    return checksum == note->checksum_after ? 0 : changed_since(ip, e);
}

/* Writes each page of the undo to its place in `fd`, and takes down its hash, and that of the page it replaces. */
static int spread(const struct inplace *ip, struct journal_reader *j, int fd, struct map *after, uint64_t *before,
                  struct err *e)
{
    uint8_t *page = malloc(PAGE_SIZE_MAX);
    uint32_t pgno = 0;
    int rc = page ? 0 : err_nomem(e, PAGE_SIZE_MAX);
    if (rc == 0 && ftruncate(fd, (off_t)j->pages * j->page_size) != 0)
        rc = err_sys(e, errno, "make room for %u pages", j->pages);
    while (rc == 0 && (rc = journal_next(j, &pgno, page, e)) == 0 && pgno > 0) {
        map_set(after, pgno, (struct map_entry){.hash = page_hash(pgno, page, j->page_size), .txid = 1});
        rc = io_pwrite(fd, page, j->page_size, (uint64_t)(pgno - 1) * j->page_size, e);
        if (rc == 0 && pgno <= ip->pages)
            rc = inplace_read(ip, pgno, page, &before[pgno - 1], e);
    }
    for (pgno = j->pages + 1; rc == 0 && pgno <= ip->pages; pgno++) /* the restore made it longer: these go */
        if (pgno != lock_byte_page(ip->page_size))
            rc = inplace_read(ip, pgno, page, &before[pgno - 1], e);
    free(page);
    return rc;
}

static int change_back(struct inplace *ip, const struct journal_reader *j, int source, const struct map *after,
                       const uint64_t *before, const struct undo_options *o, struct undo_result *result, struct err *e)
{
    bool mismatch = false;
    struct change change = {.pages = j->pages,
                            .source = source,
                            .after = after,
                            .before = before,
                            .checksum_before = j->note.checksum_after,
                            .checksum_after = j->note.checksum_before,
                            .txid_before = j->note.txid_after,
                            .txid_after = j->note.txid_before,
                            .database = j->note.database,
                            .cancel = o->cancel,
                            .flags = (o->flags & UNDO_KEEP ? INPLACE_KEEP_UNDO : 0u) |
                                     (o->flags & UNDO_INTEGRITY_CHECK ? INPLACE_INTEGRITY_CHECK : 0u)};
    *result = (struct undo_result){.rewritten = change_count(ip, &change),
                                   .pages = j->pages,
                                   .page_size = j->page_size,
                                   .txid_undone = j->note.txid_after,
                                   .txid = j->note.txid_before};
    return inplace_change(ip, &change, &mismatch, e);
}

static int undo_in_place(struct inplace *ip, struct journal_reader *j, const struct undo_options *o,
                         struct undo_result *result, struct err *e)
{
    struct stage stage = STAGE_NONE;
    struct map after = {.fd = -1};
    if (prove_as_left(ip, j, o, e))
        return -1;
    map_init_memory(&after, j->page_size);
    uint64_t *before = calloc(ip->pages, sizeof *before);
    int rc = before ? map_resize(&after, j->pages, e) : err_nomem(e, ip->pages * sizeof *before);
    if (rc == 0)
        rc = stage_begin(&stage, ip->dir, 0600, e);
    if (rc == 0)
        rc = spread(ip, j, stage.fd, &after, before, e);
    if (rc == 0)
        rc = change_back(ip, j, stage.fd, &after, before, o, result, e);
    stage_end(&stage);
    map_release(&after);
    free(before);
    return rc;
}

/* ---- a whole database */

static int undo_whole(const char *path, const char *undo, const struct undo_options *o, struct undo_result *result,
                      struct err *e)
{
    *result = (struct undo_result){.whole = true};
    if (inplace_settle(undo, e)) /* its -wal and -journal lie beside it, under names that SQLite finds */
        return err_wrap(e, "the undo of '%s'", path);
    if ((o->flags & UNDO_INTEGRITY_CHECK) && integrity_check(undo, e))
        return -1;
    if (target_swap_undo(path, e))
        return -1;
    target_forget_undo(path, o->flags & UNDO_KEEP ? TARGET_UNDO_COMPANIONS : TARGET_UNDO_WHOLE);
    return 0;
}

/* ---- either */

/* What the state file says of the pages is of another database now. Who we are stays: the daemon compares all pages. */
static int forget_map(struct state *s, struct err *e)
{
    struct state_position at = state_position(s);
    state_end_runs(s, IDENTITY_LOSE_PAST);
    state_lose_map(s, at.txid, at.time_ms);
    return state_sync(s, e);
}

/* Of something that is no database, or none: what lies beside it is not ours to remove. */
static int check_place(const char *path, enum inplace_fit fit, struct err *e)
{
    bool needs = false;
    if (inplace_needs_settling(path, &needs, e) || (fit == INPLACE_UNFIT && lock_check(path, e)))
        return -1;
    if (!needs)
        return 0;
    err_set(e, ERR_EXISTS, 0, "there is no database at '%s', but a -wal or -journal that holds something", path);
    return err_hint(e, "move it away first");
}

static int put_back(const char *undo, const struct undo_options *o, struct undo_result *result, struct err *e)
{
    struct journal_reader j = {.fd = -1};
    struct inplace ip = {.fd = -1};
    enum inplace_fit fit = INPLACE_UNFIT;
    bool is_journal = false;
    if (journal_open(&j, undo, &is_journal, e))
        return -1;
    int rc = inplace_open(&ip, o->path, INPLACE_CHANGE, &fit, e);
    if (rc == 0 && fit != INPLACE_READY)
        rc = check_place(o->path, fit, e);
    if (rc == 0 && is_journal && fit != INPLACE_READY)
        rc = err_set(e, ERR_EXISTS, 0, "'%s' is not the database that was restored there", o->path);
    else if (rc == 0 && is_journal)
        rc = undo_in_place(&ip, &j, o, result, e);
    else if (rc == 0)
        rc = undo_whole(o->path, undo, o, result, e);
    inplace_close(&ip);
    journal_close(&j);
    return rc;
}

int undo_run(const struct undo_options *options, struct undo_result *ret_result, struct err *e)
{
    char undo[PATH_TEXT_MAX];
    struct state state;
    enum state_found found;
    bool held = false;
    if (path_format(undo, e, "%s" UNDO_SUFFIX, options->path))
        return -1;
    if (access(undo, F_OK) != 0)
        return errno == ENOENT ? err_set(e, ERR_NOTFOUND, 0, "there is nothing to undo: no '%s'", undo)
                               : err_sys(e, errno, "look for '%s'", undo);
    if (delta_hold_state(&state, options->path, &held, &found, e))
        return -1;
    int rc = put_back(undo, options, ret_result, e);
    if (rc != 0 && e->code == ERR_CORRUPT)
        e->code = ERR_IO; /* it is no replica that is damaged */
    struct err other;
    if (rc == 0 && held && forget_map(&state, &other)) /* it does not match the file any more, and shows so */
        log_warn("the state file of '%s' could not be written: %s", options->path, other.msg);
    if (held)
        state_close(&state);
    return rc;
}
