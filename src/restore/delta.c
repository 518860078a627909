/* restore/delta.c */
#include "restore/delta.h"

#include "base/io.h"
#include "base/log.h"
#include "base/page.h"
#include "restore/integrity.h"
#include "restore/target.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define READ_BYTES (1u << 20) /* in one read; a multiple of every page size */

int delta_hold_state(struct state *s, const char *path, bool *ret_open, enum state_found *ret_found, struct err *e)
{
    char state_path[PATH_TEXT_MAX];
    *ret_open = false;
    if (path_format(state_path, e, "%s" STATE_SUFFIX, path))
        return -1;
    /* state_open would make the file, and a restore that fails must leave nothing behind */
    if (access(state_path, F_OK) != 0 || access(path, F_OK) != 0)
        return io_is_passing(errno) ? err_sys(e, errno, "look at '%s'", path) : 0;
    if (state_open(s, path, ret_found, e))
        return -1;
    *ret_open = true;
    return 0;
}

int delta_open(struct delta *d, const char *path, unsigned flags, enum inplace_fit *ret_fit, struct err *e)
{
    *d = (struct delta){.ip = {.folder = FOLDER_NONE, .fd = -1}};
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

/* ---- the pages of the file now */

static int read_pages(const struct inplace *ip, uint32_t first, uint32_t count, uint8_t *bytes, struct err *e)
{
    if (io_pread(ip->fd, bytes, (size_t)count * ip->page_size, (uint64_t)(first - 1) * ip->page_size, e) == 0)
        return 0;
    e->code = ERR_IO; /* ERR_CORRUPT would mean that the replica is damaged */
    return err_wrap(e, "'%s'", ip->path);
}

int delta_read_all(const struct inplace *ip, const struct apply_options *options, uint64_t *hashes,
                   uint64_t *ret_checksum, struct err *e)
{
    assert(ip->fd >= 0 && ip->page_size > 0);
    uint8_t *bytes = malloc(READ_BYTES);
    uint32_t lock_page = lock_byte_page(ip->page_size), step = READ_BYTES / ip->page_size;
    uint64_t total = (uint64_t)ip->pages * ip->page_size, checksum = 0;
    int rc = bytes ? 0 : err_nomem(e, READ_BYTES);
    for (uint64_t first = 1; rc == 0 && first <= ip->pages; first += step) {
        uint32_t n = ip->pages - first + 1 < step ? (uint32_t)(ip->pages - first + 1) : step;
        if (options->cancel && atomic_load(options->cancel))
            rc = err_set(e, ERR_CANCELED, 0, "interrupted");
        else
            rc = read_pages(ip, (uint32_t)first, n, bytes, e);
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

/* ---- the knowledge of the state file */

static bool state_is_intact(const struct delta *d)
{
    return d->state_open && d->found == STATE_INTACT;
}

/* The entry of the replica of `database`, if the map continues from its head. NULL: there is none. */
static const struct identity_replica *related(const struct identity *id, const struct uid *database)
{
    for (uint32_t i = 0; i < id->replica_count; i++)
        if (uid_equal(&id->replicas[i].database, database) && !id->replicas[i].unrelated)
            return &id->replicas[i];
    return NULL;
}

/* The txid of the file, if its undo shows that the last restore wrote both file and map. 0: it does not show that. */
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

/* The txid up to which the map describes both the file and the history of this replica. 0: none. The map describes the
 * file only if every captured change is in it: the WAL must have been empty then, and be empty now. */
static uint64_t known_upto(const struct delta *d, const struct plan *p)
{
    if (!state_is_intact(d) || d->ip.unsettled)
        return 0;
    struct identity id = state_identity(&d->state);
    const struct map *map = &d->state.map;
    if (id.pos.frame != 0 || map->page_size != d->ip.page_size || map->pages != d->ip.pages || !map_is_complete(map))
        return 0;
    if (!inplace_is_as_left(&d->ip, id.db_inode, id.db_size, id.db_mtime_ns))
        return known_by_undo(d, p);
    const struct identity_replica *replica = related(&id, &p->database);
    return replica ? replica->durable_txid : 0;
}

/* The txid of the replica that the database has now, for the messages of an undo. 0: not known. */
static uint64_t txid_now(const struct delta *d, const struct plan *p)
{
    if (!state_is_intact(d) || d->state.map.checksum != d->checksum_before)
        return 0;
    struct identity id = state_identity(&d->state);
    const struct identity_replica *replica = related(&id, &p->database);
    return d->known_upto == id.txid || (replica && replica->durable_txid == id.txid) ? id.txid : 0;
}

/* Takes the hashes from the map. A page with hash 0 is read: if the database grew over it without writing it, the file
 * can hold any bytes there. */
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

/* ---- the pages that stay */

/* Has the pages that did not change after the last txid that database and target have in common. */
static int have_by_state_file(const struct delta *d, const struct plan *p, struct apply_have *ret_have, struct err *e)
{
    uint64_t last = d->known_upto < p->record.txid ? d->known_upto : p->record.txid;
    *ret_have = (struct apply_have){.known_upto = d->known_upto};
    map_init_claimed(&ret_have->map, p->page_size, p->bytes);
    if (map_resize(&ret_have->map, p->record.pages, e))
        return -1;
    for (uint32_t pgno = 1; pgno <= p->record.pages && pgno <= d->ip.pages; pgno++) {
        struct map_entry entry = map_get(&d->state.map, pgno);
        if (entry.txid > 0 && entry.txid <= last)
            map_set(&ret_have->map, pgno, entry);
    }
    return 0;
}

/* Has the pages whose hash is that of the target. */
static int have_by_hashes(const struct delta *d, const struct delta_request *request, struct apply_have *ret_have,
                          struct err *e)
{
    const struct plan *p = request->plan;
    *ret_have = (struct apply_have){.map = {.fd = -1}, .known_upto = UINT64_MAX};
    if (plan_map(request->catalog, p, &ret_have->map, e))
        return -1;
    for (uint32_t pgno = 1; pgno <= p->record.pages; pgno++)
        if (pgno > d->ip.pages || d->before[pgno - 1] != map_get(&ret_have->map, pgno).hash)
            map_set(&ret_have->map, pgno, (struct map_entry){0, 0});
    return 0;
}

/* ---- the change */

/* One try: with the state file, or with the hashes of all pages. */
struct attempt {
    struct delta *d;
    const struct delta_request *request;
    struct delta_result *result;
    struct map *ret_map;
    bool misfit; /* the file or the replica is not as `before` and `have` say; nothing was changed */
};

static struct change change_to(const struct attempt *a, const struct map *after)
{
    const struct plan *p = a->request->plan;
    unsigned flags = a->request->flags;
    return (struct change){.pages = p->record.pages,
                           .source = -1,
                           .after = after,
                           .before = a->d->before,
                           .checksum_before = a->d->checksum_before,
                           .checksum_after = p->record.checksum,
                           .txid_before = txid_now(a->d, p),
                           .txid_after = p->record.txid,
                           .database = p->database,
                           .cancel = a->request->options->cancel,
                           .flags = (flags & DELTA_NO_UNDO ? 0u : INPLACE_KEEP_UNDO) |
                                    (flags & DELTA_INTEGRITY_CHECK ? INPLACE_INTEGRITY_CHECK : 0u)};
}

static int change_file(struct attempt *a, const struct map *after, int source, struct err *e)
{
    struct inplace *ip = &a->d->ip;
    struct change change = change_to(a, after);
    change.source = source;
    a->result->rewritten = change_count(ip, &change);
    if (a->result->rewritten > 0 || change.pages != ip->pages)
        return inplace_change(ip, &change, &a->misfit, e);
    return a->request->flags & DELTA_INTEGRITY_CHECK ? integrity_check(ip->path, e) : 0;
}

/* Fetches the pages that `have` lacks, and writes them. */
static int fetch_and_change(struct attempt *a, struct apply_have *have, struct err *e)
{
    struct stage stage = STAGE_NONE;
    struct map after = {.fd = -1};
    struct apply_options apply = *a->request->options;
    apply.have = have;
    apply.read_soon = true;
    apply.fetched = &a->result->fetched;
    apply.misfit = &a->misfit;
    int rc = stage_begin_in(&stage, &a->d->ip.folder, e);
    if (rc == 0) {
        apply.fd = stage.fd;
        apply.path = a->d->ip.path;
        rc = apply_plan(a->request->catalog, a->request->plan, &apply, &after, e);
    }
    if (rc == 0)
        rc = change_file(a, &after, stage.fd, e);
    stage_end(&stage);
    if (rc == 0)
        *a->ret_map = after;
    else
        map_release(&after);
    return rc;
}

/* Counts exactly the pages that would be written, from the indexes alone. */
static int count_change(struct attempt *a, struct err *e)
{
    struct map after = {.fd = -1};
    if (plan_map(a->request->catalog, a->request->plan, &after, e))
        return -1;
    struct change change = change_to(a, &after);
    a->result->rewritten = change_count(&a->d->ip, &change);
    map_release(&after);
    return 0;
}

static int run_by_state_file(struct attempt *a, struct err *e)
{
    struct apply_have have = {.map = {.fd = -1}};
    a->result->by_state_file = true;
    int rc = hash_by_state_file(a->d, e);
    if (rc == 0 && (a->request->flags & DELTA_DRY_RUN))
        return count_change(a, e);
    if (rc == 0)
        rc = have_by_state_file(a->d, a->request->plan, &have, e);
    if (rc == 0)
        rc = fetch_and_change(a, &have, e);
    map_release(&have.map);
    return rc;
}

static int run_by_hashes(struct attempt *a, struct err *e)
{
    struct apply_have have = {.map = {.fd = -1}};
    a->result->by_state_file = false;
    int rc = delta_read_all(&a->d->ip, a->request->options, a->d->before, &a->d->checksum_before, e);
    if (rc == 0 && (a->request->flags & DELTA_DRY_RUN))
        return count_change(a, e);
    if (rc == 0)
        rc = have_by_hashes(a->d, a->request, &have, e);
    if (rc == 0)
        rc = fetch_and_change(a, &have, e);
    map_release(&have.map);
    return rc;
}

int delta_run(struct delta *d, const struct delta_request *request, struct delta_result *ret_result,
              struct map *ret_map, struct err *e)
{
    assert(d->ip.fd >= 0 && d->ip.pages > 0);
    assert(request->plan->page_size == d->ip.page_size);
    struct attempt a = {.d = d, .request = request, .result = ret_result, .ret_map = ret_map};
    d->known_upto = request->flags & DELTA_READ_ALL ? 0 : known_upto(d, request->plan);
    *ret_result = (struct delta_result){.unsettled = d->ip.unsettled};
    free(d->before);
    d->before = malloc((size_t)d->ip.pages * sizeof *d->before);
    if (!d->before)
        return err_nomem(e, (size_t)d->ip.pages * sizeof *d->before);
    if (d->known_upto > 0) {
        int rc = run_by_state_file(&a, e);
        if (rc == 0 || !a.misfit)
            return rc;
        log_info("the state file does not match '%s' and the replica (%.*s): reading all pages", d->ip.path,
                 text_front(e->msg), e->msg);
    }
    return run_by_hashes(&a, e);
}
