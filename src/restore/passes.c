/* restore/passes.c */
#include "restore/passes.h"

#include "base/claim.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/trial.h"
#include "format/patch.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define KEPT_VERSIONS_MAX (256u << 10)    /* 12 MiB of decoded indexes; passes 2 and 3 fetch the others again */
#define KEPT_INDEX_COST 16                /* the memory of an index itself, counted in versions */
#define HELD_BYTES SCALE(8u << 20, 4096u) /* patches of a round; two rounds are in memory at a time */
#define ROUND_PAGES_MAX (512u << 10)      /* of a round with patches: the index of their pages takes 4 bytes each */

int passes_init(struct passes *p, struct err *e)
{
    assert(p->from.plan && p->from.store && p->codec && p->fd >= 0);
    size_t count = p->from.plan->source_count + 1; /* calloc(0) may return NULL */
    p->kept = calloc(count, sizeof(struct segment *));
    p->skipped = calloc(count, sizeof *p->skipped);
    return p->kept && p->skipped ? 0 : err_nomem(e, count * sizeof(struct segment *));
}

void passes_release(struct passes *p)
{
    for (size_t i = 0; p->kept && i < p->from.plan->source_count; i++)
        if (p->kept[i]) {
            segment_release(p->kept[i]);
            free(p->kept[i]);
        }
    free(p->kept);
    free(p->skipped);
    free(p->round_ends);
    wanted_release(&p->wanted);
}

static int check_canceled(const struct passes *p, struct err *e)
{
    return p->cancel && atomic_load(p->cancel) ? err_set(e, ERR_CANCELED, 0, "interrupted") : 0;
}

static bool is_chunk(const struct passes *p, size_t source)
{
    return p->from.plan->sources[source].kind == OBJECT_CHUNK;
}

/* ---- pass 1: choose */

enum prefetch_kind { PREFETCH_CHUNKS, PREFETCH_OTHERS };

/* Asks the store to fetch indexes ahead: those of the chunks that are needed as far as is known now, or those of all
 * other sources, because each of them decides whether the next one is needed. */
static void prefetch_indexes(const struct passes *p, enum prefetch_kind kind)
{
    const struct plan *plan = p->from.plan;
    struct store_end *ends = malloc((plan->source_count + 1) * sizeof *ends);
    size_t count = 0;
    bool part_of_needed = false;
    for (size_t i = 0; ends && i < plan->source_count; i++) {
        const struct plan_source *source = &plan->sources[i];
        if (is_chunk(p, i) != (kind == PREFETCH_CHUNKS))
            continue;
        if (kind == PREFETCH_OTHERS || wanted_needs(&p->wanted, source, &part_of_needed))
            ends[count++] = (struct store_end){source->key, kind == PREFETCH_CHUNKS ? OBJECT_TAIL_BYTES
                                                                                    : object_end_bytes(source->size)};
    }
    if (ends && count > 0)
        store_prefetch(p->from.store, ends, count);
    free(ends);
}

/* Whether pass 3 applies this version, if no newer version is chosen. */
static bool needs_patch(const void *context, const struct version *v)
{
    const struct passes *p = context;
    const struct commit_record *record = &p->from.plan->record;
    return v->kind == VERSION_PATCH && v->pgno <= record->pages && v->txid <= record->txid &&
           wanted_page(&p->wanted, v->pgno) && v->txid > map_get(p->wanted.map, v->pgno).txid;
}

static size_t slot_of(const struct passes *p, uint32_t pgno)
{
    return (size_t)((uint64_t)(pgno - 1) * PASSES_SLOTS / p->from.plan->record.pages);
}

/* Counts what the patches of a source take, if all of them that may be needed are held in memory, and its images. */
static void count_versions(struct passes *p, const struct segment *s)
{
    for (uint32_t i = 0; i < s->trailer.version_count; i++) {
        const struct version *v = &s->versions[i];
        if (needs_patch(p, v))
            p->held[slot_of(p, v->pgno)] += version_size(v, p->from.plan->page_size) + HELD_COST;
        bool alone = i == 0 || v[-1].pgno + 1 < v->pgno; /* the page before it is not in this source */
        p->scattered += alone && v->kind == VERSION_IMAGE && s->trailer.info.kind != OBJECT_CHUNK;
    }
}

static int choose_from(struct passes *p, size_t source, struct err *e)
{
    struct segment *s = calloc(1, sizeof *s);
    if (!s)
        return err_nomem(e, sizeof *s);
    int rc = check_canceled(p, e);
    if (rc == 0)
        rc = source_load(&p->from, &p->from.plan->sources[source], p->codec, s, e);
    segment_drop_records(s);
    if (rc == 0) {
        wanted_choose(&p->wanted, s);
        count_versions(p, s);
    }
    size_t cost = s->trailer.version_count + KEPT_INDEX_COST;
    if (rc == 0 && p->kept_versions + cost <= KEPT_VERSIONS_MAX && !claim_is_tight()) {
        p->kept[source] = s;
        p->kept_versions += cost;
        return 0;
    }
    segment_release(s);
    free(s);
    return rc;
}

/* The last page of a slot. */
static uint32_t slot_end(const struct passes *p, size_t slot)
{
    uint64_t pages = p->from.plan->record.pages; /* pages of later slots begin at the next multiple of the slot */
    return (uint32_t)((pages * (slot + 1) + PASSES_SLOTS - 1) / PASSES_SLOTS);
}

/* Adds slots to a round as long as its patches fit into HELD_BYTES. */
static int plan_rounds(struct passes *p, struct err *e)
{
    uint64_t sum = 0;
    uint32_t first = 1;
    p->round_ends = calloc(PASSES_SLOTS, sizeof *p->round_ends);
    if (!p->round_ends)
        return err_nomem(e, PASSES_SLOTS * sizeof *p->round_ends);
    for (size_t i = 0; i < PASSES_SLOTS; i++) {
        const uint32_t before = i > 0 ? slot_end(p, i - 1) : 0;
        p->patches_late = p->patches_late || p->held[i] > HELD_BYTES;
        bool wide = slot_end(p, i) - first >= ROUND_PAGES_MAX && sum + p->held[i] > 0;
        bool full = sum > 0 && sum + p->held[i] > HELD_BYTES;
        if ((full || wide) && before >= first) {
            p->round_ends[p->round_count++] = before;
            first = before + 1;
            sum = 0;
        }
        sum += p->held[i];
    }
    if (p->patches_late)
        p->round_count = 0;
    p->round_ends[p->round_count++] = p->from.plan->record.pages;
    return 0;
}

int passes_choose(struct passes *p, struct err *e)
{
    bool part_of_needed = false, chunks_prefetched = false;
    if (wanted_any(&p->wanted))
        prefetch_indexes(p, PREFETCH_OTHERS);
    for (size_t i = p->from.plan->source_count; i-- > 0;) { /* from the newest to the oldest */
        const struct plan_source *source = &p->from.plan->sources[i];
        if (is_chunk(p, i) && !chunks_prefetched) {
            prefetch_indexes(p, PREFETCH_CHUNKS);
            chunks_prefetched = true;
        }
        p->skipped[i] = !wanted_needs(&p->wanted, source, &part_of_needed);
        if (p->skipped[i])
            continue;
        p->total += source->size;
        if (choose_from(p, i, e))
            return -1;
    }
    return plan_rounds(p, e);
}

/* ---- pass 2: patches into memory */

static bool is_in(const struct round *round, uint32_t pgno)
{
    return pgno >= round->first_page && pgno <= round->last_page;
}

static bool needs_held_patch(const void *context, const struct version *v)
{
    const struct round *round = context;
    return is_in(round, v->pgno) && needs_patch(round->passes, v);
}

int passes_held_reader(const struct passes *p, struct source_reader **ret_reader, struct err *e)
{
    return source_reader_new(&p->from, needs_held_patch, NULL, ret_reader, e);
}

static int check_applies(const struct version *v, uint64_t have, const char *key, struct err *e)
{
    if (have > 0 && v->from <= have)
        return 0;
    return err_set(e, ERR_CORRUPT, 0,
                   "object '%s': the patch of page %u from txid %" PRIu64 " to %" PRIu64
                   " does not apply to the page as of txid %" PRIu64,
                   key, v->pgno, v->from, v->txid, have);
}

static int hold_block(struct passes *p, struct round *round, const struct source_reader *r,
                      const struct segment_block *b, struct err *e)
{
    size_t at = 0, source = (size_t)(r->source - p->from.plan->sources);
    for (uint32_t i = 0; i < b->versions; i++) {
        const struct version *v = &r->segment->versions[b->first_version + i];
        if (needs_held_patch(round, v)) {
            const struct held_add patch = {.version = v,
                                           .bytes = r->raw + at,
                                           .page_size = p->from.plan->page_size,
                                           .source = source,
                                           .image_txid = map_get(p->wanted.map, v->pgno).txid};
            if (check_applies(v, patch.image_txid, r->source->key, e))
                return -1;
            if (held_add(&round->held, &patch, e))
                return err_wrap(e, "object '%s'", r->source->key);
            map_set(p->wanted.map, v->pgno, (struct map_entry){.hash = v->hash, .txid = v->txid});
        }
        at += version_size(v, p->from.plan->page_size);
    }
    return 0;
}

static int hold_source(struct passes *p, struct round *round, struct source_reader *r, size_t source, struct err *e)
{
    const struct segment_block *b = NULL;
    int rc = source_reader_open(r, &p->from.plan->sources[source], p->kept[source], e);
    while (rc == 0 && (rc = source_reader_next(r, &b, e)) == 0 && b) {
        rc = check_canceled(p, e);
        if (rc == 0)
            rc = hold_block(p, round, r, b, e);
    }
    return rc;
}

int passes_begin_round(const struct passes *p, size_t number, struct round *ret_round, struct err *e)
{
    assert(number < p->round_count);
    uint64_t bytes = 0;
    *ret_round = (struct round){
        .passes = p, .first_page = number > 0 ? p->round_ends[number - 1] + 1 : 1, .last_page = p->round_ends[number]};
    if (p->patches_late || ret_round->last_page == 0)
        return 0;
    for (size_t i = slot_of(p, ret_round->first_page); i <= slot_of(p, ret_round->last_page); i++)
        bytes += p->held[i];
    return held_begin(&ret_round->held, ret_round->first_page, ret_round->last_page, (size_t)bytes, e);
}

int passes_hold_patches(struct passes *p, struct source_reader *r, struct round *round, struct err *e)
{
    int rc = 0;
    r->filter_context = round;
    while (rc == 0 && round->held.index && round->next_source < p->from.plan->source_count) {
        if (passes_has_patches(p, round->next_source))
            rc = hold_source(p, round, r, round->next_source, e);
        if (rc == 0)
            round->next_source++;
    }
    source_reader_close(r);
    return rc;
}

void passes_end_round(struct round *round)
{
    held_release(&round->held);
}

/* ---- pass 2: images */

static bool needs_image(const void *context, const struct version *v)
{
    const struct round *round = context;
    const struct passes *p = round->passes;
    if (v->kind != VERSION_IMAGE || !is_in(round, v->pgno) || !wanted_page(&p->wanted, v->pgno))
        return false;
    const struct held_page *patches = held_find(&round->held, v->pgno);
    return v->txid == (patches ? patches->image_txid : map_get(p->wanted.map, v->pgno).txid);
}

int passes_image_reader(const struct round *round, struct source_reader **ret_reader, struct err *e)
{
    return source_reader_new(&round->passes->from, needs_image, round, ret_reader, e);
}

bool passes_has_images(const struct round *round, size_t source)
{
    const struct plan_source *s = &round->passes->from.plan->sources[source];
    bool apart = s->last_page != 0 && (s->first_page > round->last_page || s->last_page < round->first_page);
    return !apart && !round->passes->skipped[source];
}

/* Applies the patches of a page to `bytes`, and checks the page that they make. */
static int apply_held(const struct round *round, struct held_page *patches, uint8_t *bytes, struct err *e)
{
    const struct plan *plan = round->passes->from.plan;
    const struct held_patch *last = held_apply(&round->held, patches, plan->page_size, bytes);
    atomic_store_explicit(&patches->written, true, memory_order_relaxed);
    if (page_hash(patches->pgno, bytes, plan->page_size) == last->hash)
        return 0;
    return err_set(e, ERR_CORRUPT, 0, "object '%s': page %u of txid %" PRIu64 " has the wrong hash",
                   plan->sources[last->source].key, patches->pgno, last->txid);
}

static int write_block_images(const struct round *round, struct source_reader *r, struct output_piece *piece,
                              const struct segment_block *b, struct err *e)
{
    uint32_t page_size = round->passes->from.plan->page_size;
    size_t at = 0;
    for (uint32_t i = 0; i < b->versions; i++) {
        const struct version *v = &r->segment->versions[b->first_version + i];
        if (needs_image(round, v)) {
            uint8_t *bytes = r->raw + at;
            struct held_page *patches = held_find(&round->held, v->pgno);
            if (page_hash(v->pgno, bytes, page_size) != v->hash)
                return source_reader_damaged(r, v, e);
            if ((patches && apply_held(round, patches, bytes, e)) ||
                output_add(piece, (uint64_t)(v->pgno - 1) * page_size, bytes, page_size, e))
                return -1;
        }
        at += version_size(v, page_size);
    }
    return 0;
}

int passes_write_images(const struct round *round, struct source_reader *r, struct output_piece *piece, size_t source,
                        struct err *e)
{
    const struct passes *p = round->passes;
    assert(source < p->from.plan->source_count && passes_has_images(round, source));
    const struct segment_block *b = NULL;
    int rc = source_reader_open(r, &p->from.plan->sources[source], p->kept[source], e);
    while (rc == 0 && (rc = source_reader_next(r, &b, e)) == 0 && b) {
        rc = check_canceled(p, e);
        if (rc == 0)
            rc = write_block_images(round, r, piece, b, e);
    }
    return rc;
}

int passes_write_rest(const struct round *round, struct output_piece *piece, struct err *e)
{
    uint8_t bytes[PAGE_SIZE_MAX];
    uint32_t page_size = round->passes->from.plan->page_size;
    for (size_t i = 0; i < round->held.page_count; i++) {
        struct held_page *patches = &round->held.pages[i];
        if (atomic_load_explicit(&patches->written, memory_order_relaxed))
            continue;
        memset(bytes, 0, page_size);
        if (apply_held(round, patches, bytes, e) ||
            output_add(piece, (uint64_t)(patches->pgno - 1) * page_size, bytes, page_size, e))
            return -1;
    }
    return 0;
}

/* ---- pass 3: patches */

int passes_patch_reader(const struct passes *p, struct source_reader **ret_reader, struct err *e)
{
    return source_reader_new(&p->from, needs_patch, p, ret_reader, e);
}

bool passes_has_patches(const struct passes *p, size_t source)
{
    assert(source < p->from.plan->source_count);
    return !is_chunk(p, source) && !p->skipped[source];
}

static int close_page(const struct passes *p, struct open_page *page, struct err *e)
{
    uint32_t page_size = p->from.plan->page_size;
    if (!page->last)
        return 0;
    if (page_hash(page->pgno, page->bytes, page_size) != page->last->hash)
        return source_reader_damaged(page->reader, page->last, e);
    page->last = NULL;
    if (io_pwrite(p->fd, page->bytes, page_size, (uint64_t)(page->pgno - 1) * page_size, e) == 0)
        return 0;
    return p->path ? err_wrap(e, "write '%s'", p->path) : -1;
}

static int apply_patch(struct passes *p, struct open_page *page, const struct version *v, const uint8_t *bytes,
                       struct err *e)
{
    uint32_t page_size = p->from.plan->page_size;
    uint64_t have = map_get(p->wanted.map, v->pgno).txid;
    if (check_applies(v, have, page->reader->source->key, e))
        return -1;
    if (page->pgno != v->pgno) {
        if (close_page(p, page, e))
            return -1;
        page->pgno = v->pgno;
        if (io_pread(p->fd, page->bytes, page_size, (uint64_t)(v->pgno - 1) * page_size, e))
            return -1;
    }
    patch_apply(v->mask, bytes, page_size, page->bytes);
    page->last = v;
    map_set(p->wanted.map, v->pgno, (struct map_entry){.hash = v->hash, .txid = v->txid});
    return 0;
}

static int apply_block_patches(struct passes *p, const struct segment_block *b, struct open_page *page, struct err *e)
{
    const struct source_reader *r = page->reader;
    size_t at = 0;
    for (uint32_t i = 0; i < b->versions; i++) {
        const struct version *v = &r->segment->versions[b->first_version + i];
        if (needs_patch(p, v) && apply_patch(p, page, v, r->raw + at, e))
            return -1;
        at += version_size(v, p->from.plan->page_size);
    }
    return 0;
}

int passes_apply_patches(struct passes *p, struct source_reader *r, size_t source, struct open_page *page,
                         struct err *e)
{
    assert(passes_has_patches(p, source));
    const struct segment_block *b = NULL;
    page->reader = r;
    page->pgno = 0;
    page->last = NULL;
    int rc = source_reader_open(r, &p->from.plan->sources[source], p->kept[source], e);
    while (rc == 0 && (rc = source_reader_next(r, &b, e)) == 0 && b) {
        rc = check_canceled(p, e);
        if (rc == 0)
            rc = apply_block_patches(p, b, page, e);
    }
    return rc == 0 ? close_page(p, page, e) : -1;
}

/* ---- pass 4: verify */

int passes_verify(const struct passes *p, bool *ret_mismatch, struct err *e)
{
    const struct plan *plan = p->from.plan;
    const struct map *map = p->wanted.map;
    uint32_t lock_page = plan->page_size ? lock_byte_page(plan->page_size) : 0;
    *ret_mismatch = false;
    for (uint32_t pgno = 1; pgno <= plan->record.pages; pgno++)
        if (pgno != lock_page && map_get(map, pgno).txid == 0)
            return err_set(e, ERR_CORRUPT, 0, "no object holds page %u as of txid %" PRIu64, pgno, plan->record.txid);
    if (map->checksum == plan->record.checksum)
        return 0;
    *ret_mismatch = true;
    return err_set(e, ERR_CORRUPT, 0,
                   "the pages have another database checksum than the commit record of txid %" PRIu64,
                   plan->record.txid);
}
