/* restore/delta.c */
#include "restore/delta.h"

#include "base/io.h"
#include "base/log.h"
#include "base/page.h"
#include "restore/integrity.h"
#include "restore/target.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define READ_BYTES (1u << 20) /* at once; a multiple of every page size */

int delta_hold_state(struct state *s, const char *path, bool *ret_open, enum state_found *ret_found, struct err *e)
{
    char state_path[PATH_TEXT_MAX];
    *ret_open = false;
    if (path_format(state_path, e, "%s" STATE_SUFFIX, path))
        return -1;
    if (access(state_path, F_OK) != 0 ||
        access(path, F_OK) != 0) /* none is made here: nothing may be left if we fail */
        return 0;
    if (state_open(s, path, ret_found, e))
        return -1;
    *ret_open = true;
    return 0;
}

int delta_open(struct delta *d, const char *path, unsigned flags, enum inplace_fit *ret_fit, struct err *e)
{
    *d = (struct delta){.ip = {.fd = -1}};
    int rc = delta_hold_state(&d->state, path, &d->state_open, &d->found, e);
    if (rc == 0)
        rc = inplace_open(&d->ip, path, flags & DELTA_DRY_RUN ? INPLACE_LOOK : INPLACE_CHANGE, ret_fit, e);
    if (rc)
        delta_close(d);
    return rc;
}

void delta_close(struct delta *d)
{
    inplace_close(&d->ip);
    if (d->state_open)
        state_close(&d->state);
    d->state_open = false;
    free(d->before);
    d->before = NULL;
}

/* ---- what is there now */

int delta_read_all(const struct inplace *ip, const struct apply_options *options, uint64_t *hashes,
                   uint64_t *ret_checksum, struct err *e)
{
    uint8_t *bytes = malloc(READ_BYTES);
    uint32_t lock_page = lock_byte_page(ip->page_size), step = READ_BYTES / ip->page_size;
    uint64_t total = (uint64_t)ip->pages * ip->page_size, checksum = 0;
    int rc = bytes ? 0 : err_nomem(e, READ_BYTES);
    for (uint64_t first = 1; rc == 0 && first <= ip->pages; first += step) {
        uint32_t n = ip->pages - first + 1 < step ? (uint32_t)(ip->pages - first + 1) : step;
        if (options->cancel && atomic_load(options->cancel))
            rc = err_set(e, ERR_CANCELED, 0, "interrupted");
        else if (io_pread(ip->fd, bytes, (size_t)n * ip->page_size, (first - 1) * ip->page_size, e)) {
            e->code = ERR_IO; /* it is no replica that is damaged */
            rc = err_wrap(e, "'%s'", ip->path);
        }
        for (uint32_t i = 0; rc == 0 && i < n; i++) {
            uint32_t pgno = (uint32_t)first + i;
            uint64_t hash = pgno == lock_page ? 0 : page_hash(pgno, bytes + (size_t)i * ip->page_size, ip->page_size);
            checksum ^= hash;
            if (hashes)
                hashes[pgno - 1] = hash;
        }
        if (rc == 0 && options->progress)
            options->progress(options->context, (first - 1 + n) * ip->page_size, total);
    }
    free(bytes);
    *ret_checksum = checksum;
    return rc;
}

/* The replica's entry in the state file, if the map leads on from it. */
static const struct identity_replica *related(const struct identity *id, const struct uid *database)
{
    for (uint32_t i = 0; i < id->replica_count; i++)
        if (uid_equal(&id->replicas[i].database, database) && !id->replicas[i].unrelated)
            return &id->replicas[i];
    return NULL;
}

/* The restore before this one wrote the map, and left the file as it is. Its undo knows both. */
static uint64_t known_by_undo(const struct delta *d, const struct plan *p)
{
    char path[PATH_TEXT_MAX];
    struct journal_reader j = {.fd = -1};
    struct err ignored;
    bool is_journal = false;
    if (path_format(path, &ignored, "%s" UNDO_SUFFIX, d->ip.path) || journal_open(&j, path, &is_journal, &ignored) ||
        !is_journal)
        return 0;
    journal_close(&j);
    bool fits = j.note.checksum_after == d->state.map.checksum && uid_equal(&j.note.database, &p->database) &&
                inplace_is_as_left(&d->ip, j.note.inode, j.note.size, j.note.mtime_ns);
    return fits ? j.note.txid_after : 0;
}

/* How far the state file knows the history of this replica, up to the file as it is; 0: it does not.
 * The map counts for the file alone only if all that was captured lies in it: the WAL was empty at that moment, and is. */
static uint64_t known_upto(const struct delta *d, const struct plan *p)
{
    if (!d->state_open || d->found != STATE_INTACT)
        return 0;
    struct identity id = state_identity(&d->state);
    const struct map *map = &d->state.map;
    if (id.pos.frame != 0 || d->ip.unsettled)
        return 0;
    if (map->page_size != d->ip.page_size || map->pages != d->ip.pages || !map_is_complete(map))
        return 0;
    if (!inplace_is_as_left(&d->ip, id.db_inode, id.db_size, id.db_mtime_ns))
        return known_by_undo(d, p);
    const struct identity_replica *replica = related(&id, &p->database);
    return replica ? replica->durable_txid : 0;
}

/* As of which txid of the replica the database is now; 0: that can't be said. Only for people. */
static uint64_t txid_now(const struct delta *d, const struct plan *p, uint64_t upto)
{
    if (!d->state_open || d->found != STATE_INTACT || d->state.map.checksum != d->checksum_before)
        return 0;
    struct identity id = state_identity(&d->state);
    const struct identity_replica *replica = related(&id, &p->database);
    return upto == id.txid || (replica && replica->durable_txid == id.txid) ? id.txid : 0;
}

/* A page that nobody wrote since the database grew over it counts as zeros, whatever lies there in the file: it is read. */
static int hash_by_state_file(struct delta *d, struct err *e)
{
    uint8_t *page = malloc(PAGE_SIZE_MAX);
    uint32_t lock_page = lock_byte_page(d->ip.page_size);
    int rc = page ? 0 : err_nomem(e, PAGE_SIZE_MAX);
    d->checksum_before = 0;
    for (uint32_t pgno = 1; rc == 0 && pgno <= d->ip.pages; pgno++) {
        uint64_t hash = map_get(&d->state.map, pgno).hash;
        if (hash == 0 && pgno != lock_page)
            rc = inplace_read(&d->ip, pgno, page, &hash, e);
        d->before[pgno - 1] = hash;
        d->checksum_before ^= hash;
    }
    free(page);
    return rc;
}

/* ---- what stays */

/* Pages that did not change since, in the past that database and replica have in common. */
static int have_by_state_file(const struct delta *d, const struct plan *p, struct apply_have *ret_have, struct err *e)
{
    uint64_t last = d->upto < p->record.txid ? d->upto : p->record.txid;
    *ret_have = (struct apply_have){.known_upto = d->upto};
    map_init_memory(&ret_have->map, p->page_size);
    if (map_resize(&ret_have->map, p->record.pages, e))
        return -1;
    for (uint32_t pgno = 1; pgno <= p->record.pages && pgno <= d->ip.pages; pgno++) {
        struct map_entry entry = map_get(&d->state.map, pgno);
        if (entry.txid > 0 && entry.txid <= last)
            map_set(&ret_have->map, pgno, entry);
    }
    return 0;
}

static int have_by_hashes(const struct delta *d, struct catalog *c, const struct plan *p, struct apply_have *ret_have,
                          struct err *e)
{
    *ret_have = (struct apply_have){.map = {.fd = -1}, .known_upto = UINT64_MAX};
    if (plan_map(c, p, &ret_have->map, e))
        return -1;
    for (uint32_t pgno = 1; pgno <= p->record.pages; pgno++)
        if (pgno > d->ip.pages || d->before[pgno - 1] != map_get(&ret_have->map, pgno).hash)
            map_set(&ret_have->map, pgno, (struct map_entry){0, 0});
    return 0;
}

/* ---- the change */

static struct change change_to(const struct delta *d, const struct plan *p, const struct map *after, unsigned flags)
{
    return (struct change){.pages = p->record.pages,
                           .source = -1,
                           .after = after,
                           .before = d->before,
                           .checksum_before = d->checksum_before,
                           .checksum_after = p->record.checksum,
                           .txid_before = txid_now(d, p, d->upto),
                           .txid_after = p->record.txid,
                           .database = p->database,
                           .flags = (flags & DELTA_NO_UNDO ? 0u : INPLACE_KEEP_UNDO) |
                                    (flags & DELTA_INTEGRITY_CHECK ? INPLACE_INTEGRITY_CHECK : 0u)};
}

static int apply_change(struct delta *d, const struct plan *p, const struct map *after, int source,
                        const atomic_bool *cancel, unsigned flags, struct delta_result *result, bool *ret_mismatch,
                        struct err *e)
{
    struct change change = change_to(d, p, after, flags);
    change.source = source;
    change.cancel = cancel;
    result->rewritten = change_count(&d->ip, &change);
    if (result->rewritten > 0 || change.pages != d->ip.pages)
        return inplace_change(&d->ip, &change, ret_mismatch, e);
    return flags & DELTA_INTEGRITY_CHECK ? integrity_check(d->ip.path, e) : 0;
}

/* Fetches what is missing beside `have`, and writes it. *ret_misfit: what was believed of the file or of the past is not so, and
 * nothing was changed. */
static int fetch_and_change(struct delta *d, struct catalog *c, const struct plan *p,
                            const struct apply_options *options, struct apply_have *have, unsigned flags,
                            struct delta_result *result, bool *ret_misfit, struct map *ret_map, struct err *e)
{
    struct stage stage = STAGE_NONE;
    struct map after = {.fd = -1};
    struct apply_options apply = *options;
    apply.have = have;
    apply.fetched = &result->fetched;
    apply.misfit = ret_misfit;
    int rc = stage_begin(&stage, d->ip.dir, 0600, e);
    if (rc == 0) {
        apply.fd = stage.fd;
        rc = apply_plan(c, p, &apply, &after, e);
    }
    if (rc == 0)
        rc = apply_change(d, p, &after, stage.fd, options->cancel, flags, result, ret_misfit, e);
    stage_end(&stage);
    if (rc == 0)
        *ret_map = after;
    else
        map_release(&after);
    return rc;
}

/* Exactly what would be written: by the indexes alone. */
static int count_change(struct delta *d, struct catalog *c, const struct plan *p, struct delta_result *result,
                        struct err *e)
{
    struct map after = {.fd = -1};
    if (plan_map(c, p, &after, e))
        return -1;
    struct change change = change_to(d, p, &after, 0);
    result->rewritten = change_count(&d->ip, &change);
    map_release(&after);
    return 0;
}

static int run_by_state_file(struct delta *d, struct catalog *c, const struct plan *p,
                             const struct apply_options *options, unsigned flags, struct delta_result *result,
                             bool *ret_misfit, struct map *ret_map, struct err *e)
{
    struct apply_have have = {.map = {.fd = -1}};
    result->by_state_file = true;
    int rc = hash_by_state_file(d, e);
    if (rc == 0 && (flags & DELTA_DRY_RUN))
        return count_change(d, c, p, result, e);
    if (rc == 0)
        rc = have_by_state_file(d, p, &have, e);
    if (rc == 0)
        rc = fetch_and_change(d, c, p, options, &have, flags, result, ret_misfit, ret_map, e);
    map_release(&have.map);
    return rc;
}

static int run_by_hashes(struct delta *d, struct catalog *c, const struct plan *p, const struct apply_options *options,
                         unsigned flags, struct delta_result *result, struct map *ret_map, struct err *e)
{
    struct apply_have have = {.map = {.fd = -1}};
    bool misfit = false;
    result->by_state_file = false;
    int rc = delta_read_all(&d->ip, options, d->before, &d->checksum_before, e);
    if (rc == 0 && (flags & DELTA_DRY_RUN))
        return count_change(d, c, p, result, e);
    if (rc == 0)
        rc = have_by_hashes(d, c, p, &have, e);
    if (rc == 0)
        rc = fetch_and_change(d, c, p, options, &have, flags, result, &misfit, ret_map, e);
    map_release(&have.map);
    return rc;
}

int delta_run(struct delta *d, struct catalog *c, const struct plan *p, const struct apply_options *options,
              unsigned flags, struct delta_result *ret_result, struct map *ret_map, struct err *e)
{
    bool misfit = false;
    d->upto = flags & DELTA_READ_ALL ? 0 : known_upto(d, p);
    *ret_result = (struct delta_result){.unsettled = d->ip.unsettled};
    free(d->before);
    d->before = malloc((size_t)d->ip.pages * sizeof *d->before);
    if (!d->before)
        return err_nomem(e, (size_t)d->ip.pages * sizeof *d->before);
    if (d->upto > 0) {
        int rc = run_by_state_file(d, c, p, options, flags, ret_result, &misfit, ret_map, e);
        if (rc == 0 || !misfit)
            return rc;
        log_info("the state file does not go with '%s' and the replica (%s): reading all pages", d->ip.path, e->msg);
    }
    return run_by_hashes(d, c, p, options, flags, ret_result, ret_map, e);
}
