/* restore/passes.c */
#include "restore/passes.h"

#include "base/claim.h"
#include "base/hash.h"
#include "base/io.h"
#include "format/patch.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#define KEPT_VERSIONS_MAX (256u << 10) /* 12 MiB of decoded indexes; passes 2 and 3 fetch the others again */
#define KEPT_INDEX_COST 16             /* the memory of an index itself, counted in versions */

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
    const char **keys = malloc((plan->source_count + 1) * sizeof *keys);
    size_t count = 0;
    bool part_of_needed = false;
    for (size_t i = 0; keys && i < plan->source_count; i++) {
        const struct plan_source *source = &plan->sources[i];
        if (is_chunk(p, i) != (kind == PREFETCH_CHUNKS))
            continue;
        if (kind == PREFETCH_OTHERS || wanted_needs(&p->wanted, source, &part_of_needed))
            keys[count++] = source->key;
    }
    if (keys && count > 0)
        store_prefetch(p->from.store, keys, count);
    free(keys);
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
    if (rc == 0)
        wanted_choose(&p->wanted, s);
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
    return 0;
}

/* ---- pass 2: images */

static bool needs_image(const void *context, const struct version *v)
{
    const struct passes *p = context;
    return v->kind == VERSION_IMAGE && v->pgno <= p->from.plan->record.pages && wanted_page(&p->wanted, v->pgno) &&
           v->txid == map_get(p->wanted.map, v->pgno).txid;
}

int passes_image_reader(const struct passes *p, struct source_reader **ret_reader, struct err *e)
{
    return source_reader_new(&p->from, needs_image, p, ret_reader, e);
}

/* Neighbouring pages of a block that are written in one call. */
struct run {
    const uint8_t *block; /* borrowed */
    uint32_t pgno;        /* the first page */
    size_t at;            /* of its bytes in the block */
    size_t bytes;         /* 0: no page */
};

static int write_run(const struct passes *p, struct run *run, struct err *e)
{
    size_t bytes = run->bytes;
    run->bytes = 0;
    return bytes == 0
               ? 0
               : io_pwrite(p->fd, run->block + run->at, bytes, (uint64_t)(run->pgno - 1) * p->from.plan->page_size, e);
}

/* Adds the image at `at` to the run. If it does not continue the run, the run is written first. */
static int extend_run(const struct passes *p, struct run *run, uint32_t pgno, size_t at, struct err *e)
{
    uint32_t page_size = p->from.plan->page_size;
    bool continues = run->bytes > 0 && pgno == run->pgno + run->bytes / page_size && at == run->at + run->bytes;
    if (!continues) {
        if (write_run(p, run, e))
            return -1;
        run->pgno = pgno;
        run->at = at;
    }
    run->bytes += page_size;
    return 0;
}

static int write_block_images(const struct passes *p, struct source_reader *r, const struct segment_block *b,
                              struct err *e)
{
    uint32_t page_size = p->from.plan->page_size;
    struct run run = {.block = r->raw};
    size_t at = 0;
    for (uint32_t i = 0; i < b->versions; i++) {
        const struct version *v = &r->segment->versions[b->first_version + i];
        if (needs_image(p, v)) {
            if (page_hash(v->pgno, r->raw + at, page_size) != v->hash)
                return source_reader_damaged(r, v, e);
            if (extend_run(p, &run, v->pgno, at, e))
                return -1;
        }
        at += version_size(v, page_size);
    }
    return write_run(p, &run, e);
}

int passes_write_images(const struct passes *p, struct source_reader *r, size_t source, struct err *e)
{
    assert(source < p->from.plan->source_count && !p->skipped[source]);
    const struct segment_block *b = NULL;
    int rc = source_reader_open(r, &p->from.plan->sources[source], p->kept[source], e);
    while (rc == 0 && (rc = source_reader_next(r, &b, e)) == 0 && b) {
        rc = check_canceled(p, e);
        if (rc == 0)
            rc = write_block_images(p, r, b, e);
    }
    return rc;
}

/* ---- pass 3: patches */

static bool needs_patch(const void *context, const struct version *v)
{
    const struct passes *p = context;
    const struct commit_record *record = &p->from.plan->record;
    return v->kind == VERSION_PATCH && v->pgno <= record->pages && v->txid <= record->txid &&
           wanted_page(&p->wanted, v->pgno) && v->txid > map_get(p->wanted.map, v->pgno).txid;
}

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
    return io_pwrite(p->fd, page->bytes, page_size, (uint64_t)(page->pgno - 1) * page_size, e);
}

static int apply_patch(struct passes *p, struct open_page *page, const struct version *v, const uint8_t *bytes,
                       struct err *e)
{
    uint32_t page_size = p->from.plan->page_size;
    uint64_t have = map_get(p->wanted.map, v->pgno).txid;
    if (have == 0 || v->from > have)
        return err_set(e, ERR_CORRUPT, 0,
                       "object '%s': the patch of page %u from txid %" PRIu64 " to %" PRIu64
                       " does not apply to the page as of txid %" PRIu64,
                       page->reader->source->key, v->pgno, v->from, v->txid, have);
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
