/* ship/destination.c - opens a replica and builds the objects that continue it. The protocol is in attach.c and
 * append.c. */
#include "ship/destination.h"

#include "base/clock.h"
#include "base/invariant.h"
#include "base/path.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int destination_open_store(struct destination *d, struct err *e)
{
    if (d->store)
        return 0;
    if (store_open(d->given, STORE_WRITE, &d->store, e))
        return -1;
    snprintf(d->url, sizeof d->url, "%s", d->store->url); /* the store's own spelling: one place has one name */
    return 0;
}

int destination_open(struct destination *d, const char *url, struct err *e)
{
    *d = (struct destination){.given = url,
                              .state = DESTINATION_DETACHED,
                              .head_map = {.fd = -1},
                              .outgoing.bytes = BUF_INIT(SEGMENT_BYTES_MAX)};
    bool is_folder = !strstr(url, "://") || strncmp(url, "file://", 7) == 0; /* '?' and '@' are parts of its name */
    bool may_hold_secrets = !is_folder;                                      /* in the query, or in front of an '@' */
    snprintf(d->url, sizeof d->url, "%.*s", (int)(may_hold_secrets ? strcspn(url, "?@") : strlen(url)), url);
    return destination_open_store(d, e);
}

int destination_look_up(struct destination *d, struct state *state, struct err *e)
{
    if (!d->known && state_replica(state, d->url, &d->index, &d->entry, e))
        return -1;
    d->known = true;
    return 0;
}

void destination_store_name(const struct destination *d, char out[STORE_URL_MAX])
{
    const char *server = strstr(d->given, "://");
    struct stat st;
    if (d->store && d->store->folder && stat(d->store->folder, &st) == 0) {
        snprintf(out, STORE_URL_MAX, "device %llu", (unsigned long long)st.st_dev);
    } else if (!server || strncmp(d->given, "file:", 5) == 0) {
        snprintf(out, STORE_URL_MAX, "a folder that is not there");
    } else {
        const char *path = strpbrk(server + 3, "/?"), *query = strchr(d->given, '?');
        snprintf(out, STORE_URL_MAX, "%.*s%s", path ? (int)(path - d->given) : (int)strlen(d->given), d->given,
                 query ? query : "");
    }
}

int destination_show(const char *url, char ret_shown[STORE_URL_MAX], struct err *e)
{
    return store_check(url, ret_shown, e);
}

bool destination_is_known_durable(struct identity *id, const char *url)
{
    struct identity_replica *r = NULL;
    struct store *s = NULL;
    char file[PATH_TEXT_MAX];
    struct err e;
    if (store_open(url, STORE_READ, &s, &e))
        return false;
    bool there = !s->folder || (path_format(file, &e, "%s/" NAME_IDENTITY, s->folder) == 0 && access(file, F_OK) == 0);
    int rc = identity_replica_get(id, s->url, &r, &e);
    store_close(s);
    return there && rc == 0 && r->durable_txid == id->txid && id->txid > 0 && !r->unrelated && r->base_owed == 0 &&
           r->attempt_count == 0;
}

void destination_close(struct destination *d)
{
    store_close(d->store);
    d->store = NULL;
    map_release(&d->head_map);
    buf_release(&d->outgoing.bytes);
}

void destination_enter(struct destination *d, enum destination_state to)
{
    static const bool allowed[4][4] = {
        [DESTINATION_DETACHED] =
            {[DESTINATION_RESYNC] = true, [DESTINATION_ATTACHED] = true, [DESTINATION_CONFLICT] = true},
        [DESTINATION_RESYNC] = {[DESTINATION_ATTACHED] = true},
        [DESTINATION_ATTACHED] = {[DESTINATION_DETACHED] = true, [DESTINATION_CONFLICT] = true},
    };
    INVARIANT(d->state == to || allowed[d->state][to], "replica '%s': no way leads from state %d to %d", d->url,
              d->state, to);
    d->state = to;
    if (to == DESTINATION_ATTACHED)
        return;
    d->outgoing.bytes.len = d->recent.count = 0;
    kept_forget(d->kept, UINT64_MAX);
}

/* Notes who the other writer is, and says it as far as the replica knows; else "". */
static const char *who(struct destination *d, const struct segment_info *theirs, char out[WRITER_TEXT_BYTES + 2])
{
    struct writer_note *note = &d->rival.note;
    d->rival =
        (struct rival){.writer = theirs->writer, .min = theirs->min, .max = theirs->max, .time_ms = theirs->time_ms};
    out[0] = 0;
    if (d->store && writer_note_find(d->store, &theirs->writer, note)) {
        memcpy(out, ": ", 3);
        writer_note_text(note, out + 2);
    } else {
        *note = (struct writer_note){.since_ms = 0};
    }
    return out;
}

int destination_conflict(struct destination *d, const struct segment_info *theirs, struct err *e)
{
    char writer[2 * UID_BYTES + 1], when[CLOCK_TEXT_MAX], host[WRITER_TEXT_BYTES + 2];
    hex_encode(theirs->writer.bytes, UID_BYTES, writer);
    clock_format(theirs->time_ms, when);
    destination_enter(d, DESTINATION_CONFLICT);
    err_set(e, ERR_CONFLICT, 0,
            "'%s' belongs to another writer (%.8s), which put txid %" PRIu64 " to %" PRIu64 " at %s%s", d->url, writer,
            theirs->min, theirs->max, when, who(d, theirs, host));
    return err_hint(
        e,
        "one replica takes one database: use another URL; or, if that writer is gone for good, --take-over continues "
        "its history with this database");
}

int destination_overwritten(struct destination *d, const struct author *a, uint64_t min,
                            const struct segment_info *theirs, struct err *e)
{
    char writer[2 * UID_BYTES + 1], when[CLOCK_TEXT_MAX], host[WRITER_TEXT_BYTES + 2];
    hex_encode(theirs->writer.bytes, UID_BYTES, writer);
    clock_format(theirs->time_ms, when);
    store_distrust(d->store);
    d->entry.not_exclusive = true;
    state_set_replica(a->state, d->index, &d->entry);
    destination_enter(d, DESTINATION_CONFLICT);
    err_set(e, ERR_CONFLICT, 0,
            "'%s': %s: the store acknowledged txid %" PRIu64
            " to us, and has the object of another writer (%.8s), which put txid %" PRIu64 " to %" PRIu64 " at %s%s",
            d->url,
            d->store->folder ? "another program writes there without regard to what exists"
                             : "PUT is not exclusive there",
            min, writer, theirs->min, theirs->max, when, who(d, theirs, host));
    return err_hint(e,
                    "what both put since then may be lost: stop one of the two writers, and start the other one with "
                    "--take-over; use one replica for each database");
}

void destination_prove(struct destination *d, int64_t store_ms)
{
    d->proof_store_ms = store_ms;
    d->proof_boot_ms = clock_boot_ms();
}

void destination_note_clock(struct destination *d, int64_t before_ms, int64_t store_ms)
{
    const int64_t now = clock_wall_ms(), first = before_ms < now ? before_ms : now,
                  last = before_ms < now ? now : before_ms;
    d->clock_ahead_ms = store_ms < first ? first - store_ms : store_ms > last ? last - store_ms : 0;
}

struct destination_place destination_place(const struct destination *d)
{
    assert(d->store && d->known);
    return (struct destination_place){.store = d->store, .database = d->entry.database};
}

int author_info(const struct author *a, const struct uid *database, struct segment_info *ret_info, struct err *e)
{
    struct identity id = state_identity(a->state);
    *ret_info = (struct segment_info){
        .kind = OBJECT_SEGMENT, .time_ms = clock_wall_ms(), .database = *database, .writer = id.writer, .run = a->run};
    return random_bytes(ret_info->nonce.bytes, UID_BYTES, e);
}

void destination_compared(struct destination *d, const struct author *a, uint64_t txid, uint32_t page_size)
{
    INVARIANT(d->state == DESTINATION_RESYNC || d->state == DESTINATION_ATTACHED,
              "replica '%s': pages were compared in state %d", d->url, d->state);
    INVARIANT(d->entry.durable_txid < txid, "replica '%s': compared at txid %" PRIu64 ", its head is %" PRIu64, d->url,
              txid, d->entry.durable_txid);
    if (d->head_map.page_size != page_size)
        d->from_empty = true;
    map_release(&d->head_map);
    d->since = txid;
    d->entry.unrelated = false;
    destination_enter(d, DESTINATION_ATTACHED);
    state_set_replica(a->state, d->index, &d->entry);
    state_note_looked(a->state, &a->run, d->index);
}

bool destination_starts_anew(const struct destination *d, uint32_t page_size)
{
    return d->from_empty || d->entry.durable_txid == 0 || (d->head_page_size != page_size && RULE(from_empty));
}

int destination_read_facts(const struct destination *d, const struct author *a, uint64_t min,
                           struct level0_facts *ret_facts, struct err *e)
{
    const struct name name = {.kind = NAME_LEVEL0, .min = min};
    return destination_read_facts_of(d, a, &name, ret_facts, e);
}

int destination_read_facts_of(const struct destination *d, const struct author *a, const struct name *name,
                              struct level0_facts *ret_facts, struct err *e)
{
    struct segment s;
    assert(d->store);
    *ret_facts = (struct level0_facts){.packed = name->kind == NAME_PACK};
    if (object_load_named(d->store, name, a->codec, &s, &ret_facts->digest, e))
        return -1;
    const struct commit_record *newest = &s.records[s.trailer.record_count - 1];
    ret_facts->info = s.trailer.info;
    ret_facts->checksum = newest->checksum;
    ret_facts->time_ms = newest->time_ms;
    ret_facts->db_bytes = (uint64_t)newest->pages * s.trailer.info.page_size;
    ret_facts->bytes = s.trailer.object_size;
    for (uint32_t i = 0; i < s.trailer.list_count; i++)
        ret_facts->bytes += s.list[i].size;
    segment_release(&s);
    return 0;
}

/* Fills in the fields that make a level-0 object continue the head. */
static void link_to_head(struct segment_info *info, const struct destination *d, uint64_t max, uint32_t page_size)
{
    info->page_size = page_size;
    info->min = d->entry.durable_txid + 1;
    info->max = max;
    info->digest_before = d->entry.head;
    info->checksum_before = d->entry.head_checksum;
    if (destination_starts_anew(d, page_size))
        info->flags |= SEGMENT_FROM_EMPTY;
}

/* Makes d->outgoing from the writer and `content`. */
static int finish(struct destination *d, struct segment_writer *w, const struct segment_content *content,
                  uint64_t base_owed, struct err *e)
{
    const struct commit_record *last = &content->records[content->record_count - 1];
    struct outgoing *out = &d->outgoing;
    INVARIANT(d->state == DESTINATION_ATTACHED, "replica '%s': an object is built in state %d", d->url, d->state);
    INVARIANT(content->info->min == d->entry.durable_txid + 1 && content->info->min <= content->info->max,
              "replica '%s': an object of txid %" PRIu64 " to %" PRIu64 " after %" PRIu64, d->url, content->info->min,
              content->info->max, d->entry.durable_txid);
    buf_release(&out->bytes);
    struct landed o = {.min = content->info->min,
                       .max = content->info->max,
                       .page_size = content->info->page_size,
                       .checksum = last->checksum,
                       .anew = content->info->flags & SEGMENT_FROM_EMPTY,
                       .base_owed = base_owed};
    if (segment_writer_finish(w, content, &out->bytes, &o.digest, e))
        return -1;
    o.bytes = out->bytes.len;
    for (size_t i = 0; i < content->list_count; i++)
        o.bytes += content->list[i].size;
    out->object = o;
    out->commits = (unsigned)content->record_count;
    return 0;
}

/* ---- commits */

struct sorted {
    const struct captured *captured;
    const struct batch *batch;
};

static int by_page_then_txid(const void *a, const void *b)
{
    const struct version *x = &((const struct sorted *)a)->captured->version,
                         *y = &((const struct sorted *)b)->captured->version;
    if (x->pgno != y->pgno)
        return x->pgno < y->pgno ? -1 : 1;
    return (x->txid > y->txid) - (x->txid < y->txid);
}

/* The versions after the durable position, sorted. Versions of one page are neighbours, so that they share a
 * deflate window. NULL: out of memory. */
static struct sorted *sort_versions(const struct destination *d, struct batch *const *batches, size_t count,
                                    uint64_t upto, size_t *ret_n)
{
    size_t n = 0, total = 0;
    for (size_t i = 0; i < count; i++)
        total += batches[i]->version_count;
    struct sorted *sorted = malloc((total + 1) * sizeof *sorted);
    for (size_t i = 0; sorted && i < count; i++)
        for (size_t k = 0; k < batches[i]->version_count; k++) {
            const struct captured *c = &batches[i]->versions[k];
            if (!c->dead && c->version.txid > d->entry.durable_txid && c->version.txid <= upto)
                sorted[n++] = (struct sorted){.captured = c, .batch = batches[i]};
        }
    if (sorted && n > 0)
        qsort(sorted, n, sizeof *sorted, by_page_then_txid);
    *ret_n = n;
    return sorted;
}

/* A patch starts from the version just before it: the one before it in this object, or one that is durable. */
static void assert_patch_continues(const struct sorted *sorted, size_t i, uint64_t durable)
{
    const struct version *v = &sorted[i].captured->version;
    const struct version *before = i > 0 ? &sorted[i - 1].captured->version : NULL;
    bool first = !before || before->pgno != v->pgno;
    if (v->kind == VERSION_PATCH)
        INVARIANT(first ? v->from <= durable : v->from == before->txid,
                  "page %u: patch from txid %" PRIu64 " to %" PRIu64, v->pgno, v->from, v->txid);
}

static struct commit_record *collect_records(const struct destination *d, struct batch *const *batches, size_t count,
                                             uint64_t upto, size_t *ret_n)
{
    size_t n = 0, total = 0;
    for (size_t i = 0; i < count; i++)
        total += batches[i]->record_count;
    struct commit_record *records = malloc((total + 1) * sizeof *records);
    for (size_t i = 0; records && i < count; i++)
        for (size_t k = 0; k < batches[i]->record_count; k++)
            if (batches[i]->records[k].txid > d->entry.durable_txid && batches[i]->records[k].txid <= upto)
                records[n++] = batches[i]->records[k];
    *ret_n = n;
    return records;
}

int destination_build_commits(struct destination *d, const struct author *a, struct batch *const *batches, size_t count,
                              uint64_t upto, struct err *e)
{
    struct segment_info info = {0};
    struct segment_writer w = {0};
    size_t version_count = 0, record_count = 0;
    assert(count > 0 && batches[0]->first <= d->entry.durable_txid + 1 && batches[0]->last > d->entry.durable_txid);
    struct sorted *sorted = sort_versions(d, batches, count, upto, &version_count);
    struct commit_record *records = collect_records(d, batches, count, upto, &record_count);
    int rc = -1;
    if (!sorted || !records) {
        err_nomem(e, version_count * sizeof(struct sorted));
        goto out;
    }
    assert(record_count > 0);
    rc = author_info(a, &d->entry.database, &info, e);
    if (rc == 0)
        rc = segment_writer_init(&w, a->codec, batches[0]->page_size, e);
    w.small = d->store->costs; /* objects are few there, and bytes are slow */
    for (size_t i = 0; rc == 0 && i < version_count; i++) {
        assert_patch_continues(sorted, i, d->entry.durable_txid);
        rc = segment_writer_add(&w, &sorted[i].captured->version,
                                sorted[i].batch->payload.data + sorted[i].captured->at, e);
    }
    if (rc == 0) {
        INVARIANT(records[0].txid == d->entry.durable_txid + 1, "commits from txid %" PRIu64 " after %" PRIu64,
                  records[0].txid, d->entry.durable_txid);
        link_to_head(&info, d, records[record_count - 1].txid, w.page_size);
        info.first_page = version_count ? sorted[0].captured->version.pgno : 0;
        info.last_page = version_count ? sorted[version_count - 1].captured->version.pgno : 0;
        struct segment_content content = {.info = &info, .records = records, .record_count = record_count};
        rc = finish(d, &w, &content, info.flags & SEGMENT_FROM_EMPTY ? 0 : d->entry.base_owed, e);
    }
out:
    segment_writer_release(&w);
    free(sorted);
    free(records);
    return rc;
}

/* ---- copies */

int destination_add_piece(struct segment_writer *w, const struct piece *p, struct err *e)
{
    size_t at = 0;
    /* Reserved at once: a buffer that grows step by step fragments the heap. */
    if (buf_reserve(&w->out, p->payload.len + p->payload.len / 8 + SEGMENT_BLOCK_BYTES, e))
        return -1;
    for (size_t i = 0; i < p->version_count; i++) {
        if (segment_writer_add(w, &p->versions[i], p->payload.data + at, e))
            return -1;
        at += version_size(&p->versions[i], w->page_size);
    }
    return 0;
}

int destination_build_catch_up(struct destination *d, const struct author *a, const struct piece *piece,
                               const struct copy *copy, struct err *e)
{
    struct segment_info info = {0};
    struct segment_writer w = {0};
    assert(piece->last && copy->terms.kind == COPY_CATCH_UP);
    int rc = author_info(a, &d->entry.database, &info, e);
    if (rc == 0)
        rc = segment_writer_init(&w, a->codec, piece->page_size, e);
    if (rc == 0)
        rc = destination_add_piece(&w, piece, e);
    if (rc == 0) {
        link_to_head(&info, d, piece->record.txid, w.page_size);
        info.flags |= SEGMENT_LAST_ONLY | (copy->objects.count ? SEGMENT_IN_PARTS : 0);
        info.first_page = piece->first_page;
        info.last_page = piece->last_page;
        struct segment_content content = {.info = &info,
                                          .records = &piece->record,
                                          .record_count = 1,
                                          .list = copy->objects.list,
                                          .list_count = copy->objects.count};
        rc = finish(d, &w, &content, info.flags & SEGMENT_FROM_EMPTY ? 0 : d->entry.base_owed, e);
    }
    segment_writer_release(&w);
    return rc;
}

int destination_build_anchor(struct destination *d, const struct author *a, const struct commit_record *record,
                             uint32_t page_size, struct err *e)
{
    struct segment_info info = {0};
    struct segment_writer w = {0};
    int rc = author_info(a, &d->entry.database, &info, e);
    if (rc == 0)
        rc = segment_writer_init(&w, a->codec, page_size, e);
    if (rc == 0) {
        link_to_head(&info, d, record->txid, page_size);
        info.flags |= SEGMENT_LAST_ONLY | SEGMENT_BASE_ONLY;
        struct segment_content content = {.info = &info, .records = record, .record_count = 1};
        rc = finish(d, &w, &content, record->txid, e);
    }
    segment_writer_release(&w);
    return rc;
}
