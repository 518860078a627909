/* restore/undo.c */
#include "restore/undo.h"

#include "base/io.h"
#include "base/log.h"
#include "base/page.h"
#include "restore/delta.h"
#include "restore/integrity.h"
#include "restore/lock.h"
#include "restore/target.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- a change in place */

static int changed_since(const struct inplace *ip, struct err *e)
{
    err_set(e, ERR_EXISTS, 0, "'%s' was changed since it was restored: the restore can't be undone", ip->path);
    return err_hint(e, "restore from the replica, with --txid or --time");
}

/* One undo in place. */
struct change_back {
    const struct undo_options *options;
    struct inplace *ip;
    struct journal_reader *journal;
    struct map after;   /* owned: hashes of the pages of the undo */
    uint64_t *before;   /* owned: hashes of the pages that they replace */
    struct stage stage; /* a hidden file with the pages of the undo, each at its place */
    struct undo_result *result;
};

/* Checks that the database is as the restore left it. */
static int check_as_left(const struct change_back *b, struct err *e)
{
    const struct inplace *ip = b->ip;
    const struct undo_options *o = b->options;
    const struct journal_note *note = &b->journal->note;
    struct apply_options options = {.cancel = o->cancel, .progress = o->progress, .context = o->context};
    uint64_t checksum = 0;
    if (ip->page_size != b->journal->page_size || ip->pages != note->pages_after)
        return changed_since(ip, e);
    if (inplace_is_as_left(ip, note->inode, note->size, note->mtime_ns))
        return 0;
    if (delta_read_all(ip, &options, NULL, &checksum, e))
        return -1;
    return checksum == note->checksum_after ? 0 : changed_since(ip, e);
}

/* Reads the hash of the page that is there now. */
static int note_before(struct change_back *b, uint32_t pgno, uint8_t *page, struct err *e)
{
    return pgno > b->ip->pages ? 0 : inplace_read(b->ip, pgno, page, &b->before[pgno - 1], e);
}

/* Writes each page of the undo to its place in the hidden file. Notes its hash, and the hash of the page that it
 * replaces. */
static int spread(struct change_back *b, uint8_t *page, struct err *e)
{
    struct journal_reader *j = b->journal;
    uint32_t pgno = 0;
    int rc = 0;
    if (ftruncate(b->stage.fd, (off_t)j->pages * j->page_size) != 0)
        return err_sys(e, errno, "make room for %u pages", j->pages);
    while (rc == 0 && (rc = journal_next(j, &pgno, page, e)) == 0 && pgno > 0) {
        map_set(&b->after, pgno, (struct map_entry){.hash = page_hash(pgno, page, j->page_size), .txid = 1});
        rc = io_pwrite(b->stage.fd, page, j->page_size, (uint64_t)(pgno - 1) * j->page_size, e);
        if (rc == 0)
            rc = note_before(b, pgno, page, e);
    }
    for (pgno = j->pages + 1; rc == 0 && pgno <= b->ip->pages; pgno++) /* the restore made the file longer */
        if (pgno != lock_byte_page(b->ip->page_size))
            rc = note_before(b, pgno, page, e);
    return rc;
}

static int change_file(struct change_back *b, struct err *e)
{
    const struct journal_reader *j = b->journal;
    bool mismatch = false;
    struct change change = {.pages = j->pages,
                            .source = b->stage.fd,
                            .after = &b->after,
                            .before = b->before,
                            .checksum_before = j->note.checksum_after,
                            .checksum_after = j->note.checksum_before,
                            .txid_before = j->note.txid_after,
                            .txid_after = j->note.txid_before,
                            .database = j->note.database,
                            .cancel = b->options->cancel,
                            .flags = (b->options->flags & UNDO_KEEP ? INPLACE_KEEP_UNDO : 0u) |
                                     (b->options->flags & UNDO_INTEGRITY_CHECK ? INPLACE_INTEGRITY_CHECK : 0u)};
    *b->result = (struct undo_result){.rewritten = change_count(b->ip, &change),
                                      .pages = j->pages,
                                      .page_size = j->page_size,
                                      .txid_undone = j->note.txid_after,
                                      .txid = j->note.txid_before};
    return inplace_change(b->ip, &change, &mismatch, e);
}

static int undo_in_place(struct change_back *b, struct err *e)
{
    uint32_t pages = b->ip->pages;
    if (check_as_left(b, e))
        return -1;
    map_init_memory(&b->after, b->journal->page_size);
    b->before = calloc(pages, sizeof *b->before);
    uint8_t *page = malloc(PAGE_SIZE_MAX);
    int rc = b->before && page ? map_resize(&b->after, b->journal->pages, e)
                               : err_nomem(e, pages * sizeof *b->before + PAGE_SIZE_MAX);
    if (rc == 0)
        rc = stage_begin_in(&b->stage, &b->ip->folder, e);
    if (rc == 0)
        rc = spread(b, page, e);
    if (rc == 0)
        rc = change_file(b, e);
    stage_end(&b->stage);
    map_release(&b->after);
    free(b->before);
    free(page);
    return rc;
}

/* ---- a whole database */

static int undo_whole(const char *path, const char *undo, const struct undo_options *o, struct undo_result *result,
                      struct err *e)
{
    *result = (struct undo_result){.whole = true};
    if (inplace_settle(undo, e)) /* its -wal and -journal are beside it, under the names that SQLite expects */
        return err_wrap(e, "the undo of '%s'", path);
    if ((o->flags & UNDO_INTEGRITY_CHECK) && integrity_check(undo, e))
        return -1;
    if (target_swap_undo(path, e))
        return -1;
    target_forget_undo(path, o->flags & UNDO_KEEP ? TARGET_UNDO_COMPANIONS : TARGET_UNDO_WHOLE);
    return 0;
}

/* ---- either */

/* Makes the state file forget its map, which is no longer that of the database. The identity stays. The next daemon
 * compares all pages. */
static int forget_map(struct state *s, struct err *e)
{
    struct state_position at = state_position(s);
    state_end_runs(s, IDENTITY_LOSE_PAST);
    state_lose_map(s, at.txid, at.time_ms);
    return state_sync(s, e);
}

static int check_lock(const char *path, struct err *e)
{
    struct folder f;
    if (folder_open_parent(&f, path, e))
        return -1;
    int rc = lock_check(&f, path_name(path), e);
    folder_close(&f);
    return rc;
}

/* Checks a path that has no database: a -wal or -journal that holds changes must not be removed. */
static int check_place(const char *path, enum inplace_fit fit, struct err *e)
{
    bool needs = false;
    if (inplace_needs_settling(path, &needs, e) || (fit == INPLACE_UNFIT && check_lock(path, e)))
        return -1;
    if (!needs)
        return 0;
    err_set(e, ERR_EXISTS, 0, "there is no database at '%s', but a -wal or -journal that is not empty", path);
    return err_hint(e, "move it away first, then run the command again");
}

static int put_back(const char *undo, const struct undo_options *o, struct undo_result *result, struct err *e)
{
    struct journal_reader j = {.fd = -1};
    struct inplace ip = {.folder = FOLDER_NONE, .fd = -1};
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
        rc = undo_in_place(
            &(struct change_back){
                .options = o, .ip = &ip, .journal = &j, .after = {.fd = -1}, .stage = STAGE_NONE, .result = result},
            e);
    else if (rc == 0)
        rc = undo_whole(o->path, undo, o, result, e);
    inplace_close(&ip);
    journal_close(&j);
    return rc;
}

/* The undo can't be read: `error` is an errno. */
static int no_undo(const char *undo, int error, struct err *e)
{
    if (error != ENOENT)
        return err_sys(e, error, "look for '%s'", undo);
    err_set(e, ERR_NOTFOUND, 0, "nothing to undo: '%s' does not exist", undo);
    return err_hint(
        e, "a restore with --force or --delta makes it; to go back otherwise, 'seawall restore --delta --txid N' takes "
           "any restore point of the replica");
}

int undo_run(const struct undo_options *options, struct undo_result *ret_result, struct err *e)
{
    assert(options->path);
    char undo[PATH_TEXT_MAX];
    struct state state;
    enum state_found found;
    bool held = false;
    if (path_format(undo, e, "%s" UNDO_SUFFIX, options->path))
        return -1;
    if (faccessat(AT_FDCWD, undo, F_OK, AT_SYMLINK_NOFOLLOW) != 0)
        return no_undo(undo, errno, e);
    if (delta_hold_state(&state, options->path, &held, &found, e))
        return -1;
    int rc = put_back(undo, options, ret_result, e);
    if (rc != 0 && e->code == ERR_CORRUPT)
        e->code = ERR_IO; /* ERR_CORRUPT would mean that the replica is damaged */
    struct err other;
    if (rc == 0 && held && forget_map(&state, &other)) /* the next start notices that the map does not match */
        log_warn("could not write the state file of '%s': %s", options->path, other.msg);
    if (held)
        state_close(&state);
    return rc;
}
