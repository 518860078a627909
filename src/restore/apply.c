/* restore/apply.c */
#include "restore/apply.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/page.h"
#include "format/patch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define READ_AHEAD_BYTES                                                                                               \
    (1u << 20) /* adjacent blocks are fetched in one read of up to so many bytes, and at least one block */
#define READ_AHEAD_REMOTE (2u << 20)
#define KEPT_VERSIONS_MAX (256u << 10) /* decoded indexes kept between the passes: 12 MiB; others are fetched again */
#define PROGRESS_MS 100
#define JOBS_LOCAL 4
#define JOBS_REMOTE 12
#define JOBS_MAX 64

struct apply {
    struct catalog *catalog;
    const struct plan *plan;
    const struct apply_options *options;
    int fd;
    struct map *map;       /* of each page: hash and txid of the version that was chosen so far */
    struct segment **kept; /* of each source; NULL: not kept */
    size_t kept_versions;
    bool *skipped;       /* of each source: it is not needed */
    uint64_t *wanted;    /* a bit for each page; NULL: all are */
    uint64_t known_upto; /* of the pages that are not wanted: see apply_have */
    uint64_t missing;    /* wanted pages without an image or zero version yet */
    uint64_t total;      /* bytes of the sources that are needed */
    atomic_uint_fast64_t fetched;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    size_t next_source; /* for the threads of pass 2 */
    unsigned running;
    bool failed;
    struct err error; /* the first one */
    atomic_uint_fast64_t done;
};

static int canceled(const struct apply *a, struct err *e)
{
    if (a->options->cancel && atomic_load(a->options->cancel))
        return err_set(e, ERR_CANCELED, 0, "interrupted");
    return 0;
}

/* ---- wanted pages */

static bool is_wanted(const struct apply *a, uint32_t pgno)
{
    return !a->wanted || (a->wanted[pgno / 64] >> pgno % 64 & 1);
}

/* The version that the caller has of it, if any, is none of the target's. */
static void want(struct apply *a, uint32_t pgno)
{
    a->wanted[pgno / 64] |= UINT64_C(1) << pgno % 64;
    map_set(a->map, pgno, (struct map_entry){0, 0});
    a->missing++;
}

static int want_what_is_not_there(struct apply *a, struct err *e)
{
    uint32_t pages = a->plan->record.pages, lock_page = lock_byte_page(a->plan->page_size);
    size_t words = (size_t)pages / 64 + 1;
    a->wanted = calloc(words, sizeof *a->wanted);
    if (!a->wanted)
        return err_nomem(e, words * sizeof *a->wanted);
    for (uint32_t pgno = 1; pgno <= pages; pgno++)
        if (pgno != lock_page && map_get(a->map, pgno).txid == 0)
            want(a, pgno);
    return 0;
}

enum range_kind { RANGE_WANTED, RANGE_MISSING };

static bool range_holds(const struct apply *a, const struct plan_source *s, enum range_kind kind)
{
    if (s->last_page == 0)
        return true;
    uint32_t last = s->last_page < a->plan->record.pages ? s->last_page : a->plan->record.pages;
    for (uint32_t pgno = s->first_page; pgno <= last; pgno++) {
        if (pgno % 64 == 0 && a->wanted[pgno / 64] == 0) {
            pgno |= 63;
            continue;
        }
        if (is_wanted(a, pgno) && (kind == RANGE_WANTED || map_get(a->map, pgno).txid == 0))
            return true;
    }
    return false;
}

/* Asked from the newest source to the oldest. Once every wanted page has an image, the patches after it are in the sources that
 * were looked at: these hold every later version of the page. A segment and its parts, which are asked for after it, are one. */
static bool is_needed(const struct apply *a, const struct plan_source *s, bool *part_of_needed)
{
    if (!a->wanted)
        return true;
    bool news = s->max > a->known_upto; /* it may hold changes that the caller does not know */
    switch (s->kind) {
    case OBJECT_CHUNK:
        return news || (a->missing > 0 && range_holds(a, s, RANGE_MISSING));
    case OBJECT_PART:
        return *part_of_needed && (news || range_holds(a, s, RANGE_WANTED));
    case OBJECT_SEGMENT:
    case OBJECT_MARKER:
        break;
    }
    *part_of_needed = news || a->missing > 0;
    return *part_of_needed;
}

/* ---- sources */

/* A reader of one source at a time: index, and blocks fetched in large reads. One thread. */
struct source_reader {
    struct apply *apply;
    struct codec *codec;
    const struct plan_source *source;
    const struct segment *segment;
    struct segment own; /* when it is not a kept one */
    struct buf stored;  /* bytes of the object from stored_at on */
    uint64_t stored_at;
    uint8_t raw[SEGMENT_BLOCK_BYTES]; /* of the block that was read last */
};

static int check_source(const struct plan_source *source, const struct segment *s, const struct plan *p, struct err *e)
{
    const struct segment_info *i = &s->trailer.info;
    if (i->kind != source->kind || i->max != source->max || s->trailer.object_size != source->size)
        return err_set(e, ERR_CORRUPT, 0, "object '%s': is not the object that the replica names", source->key);
    if (i->page_size != p->page_size || !uid_equal(&i->database, &p->database))
        return err_set(e, ERR_CORRUPT, 0, "object '%s': belongs to another database", source->key);
    return 0;
}

/* The replica named it: it may have been replaced by others since. */
static int is_gone(struct err *e)
{
    if (e->code == ERR_NOTFOUND)
        e->code = ERR_GONE;
    return -1;
}

static int load_source(struct apply *a, const struct plan_source *source, struct codec *codec,
                       struct segment *ret_segment, struct err *e)
{
    if (object_load(a->catalog->store, source->key, codec, SEGMENT_WANT_ALL, ret_segment, e))
        return is_gone(e);
    if (check_source(source, ret_segment, a->plan, e)) {
        segment_release(ret_segment);
        return -1;
    }
    atomic_fetch_add(&a->fetched, ret_segment->trailer.object_size - ret_segment->trailer.tail_offset);
    return 0;
}

static int reader_new(struct apply *a, struct source_reader **ret_reader, struct err *e)
{
    struct source_reader *r = calloc(1, sizeof *r);
    if (r)
        r->codec = codec_new();
    if (!r || !r->codec) {
        free(r);
        return err_nomem(e, sizeof *r);
    }
    r->apply = a;
    r->stored = BUF_INIT(SEGMENT_BYTES_MAX);
    *ret_reader = r;
    return 0;
}

static void reader_close(struct source_reader *r)
{
    segment_release(&r->own);
    r->segment = NULL;
    r->stored.len = 0;
}

static void reader_free(struct source_reader *r)
{
    if (!r)
        return;
    reader_close(r);
    buf_release(&r->stored);
    codec_free(r->codec);
    free(r);
}

static int reader_open(struct source_reader *r, size_t index, struct err *e)
{
    struct apply *a = r->apply;
    reader_close(r);
    r->source = &a->plan->sources[index];
    r->segment = a->kept[index];
    if (!r->segment) {
        if (load_source(a, r->source, r->codec, &r->own, e))
            return -1;
        r->segment = &r->own;
    }
    return 0;
}

typedef bool wants_fn(const struct apply *a, const struct version *v);

static bool block_wanted(const struct source_reader *r, const struct segment_block *b, wants_fn *wants)
{
    for (uint32_t i = 0; i < b->versions; i++)
        if (wants(r->apply, &r->segment->versions[b->first_version + i]))
            return true;
    return false;
}

/* Makes r->raw the contents of block `index`. Fetches wanted neighbours along with it. */
static int reader_block(struct source_reader *r, uint32_t index, wants_fn *wants, struct err *e)
{
    const struct segment *s = r->segment;
    const struct segment_block *b = &s->blocks[index];
    struct store *store = r->apply->catalog->store;
    if (r->stored.len == 0 || b->offset < r->stored_at || b->offset + b->stored_size > r->stored_at + r->stored.len) {
        uint64_t end = b->offset + b->stored_size, ahead = store->slow ? READ_AHEAD_REMOTE : READ_AHEAD_BYTES;
        for (uint32_t i = index + 1; i < s->trailer.block_count && block_wanted(r, &s->blocks[i], wants); i++) {
            uint64_t next_end = s->blocks[i].offset + s->blocks[i].stored_size;
            if (next_end - b->offset > ahead)
                break;
            end = next_end;
        }
        size_t n = (size_t)(end - b->offset);
        r->stored.len = 0;
        if (buf_reserve(&r->stored, n ? n : 1, e) || store_read(store, r->source->key, b->offset, r->stored.data, n, e))
            return is_gone(e);
        atomic_fetch_add(&r->apply->fetched, n);
        r->stored.len = n;
        r->stored_at = b->offset;
    }
    if (segment_block_inflate(b, r->stored.data + (b->offset - r->stored_at), r->codec, r->raw, e))
        return err_wrap(e, "object '%s'", r->source->key);
    return 0;
}

static int page_damaged(const struct source_reader *r, const struct version *v, struct err *e)
{
    return err_set(e, ERR_CORRUPT, 0, "object '%s': page %u of txid %" PRIu64 " has the wrong hash", r->source->key,
                   v->pgno, v->txid);
}

/* ---- pass 1: indexes */

static bool is_of_target(const struct apply *a, const struct version *v)
{
    return v->txid <= a->plan->record.txid && v->pgno <= a->plan->record.pages;
}

/* Pages that changed after what the caller knows. Before anything else, as earlier versions of them stand in front. */
static void want_what_changed(struct apply *a, const struct segment *s)
{
    for (uint32_t i = 0; i < s->trailer.version_count; i++) {
        const struct version *v = &s->versions[i];
        if (is_of_target(a, v) && v->txid > a->known_upto && !is_wanted(a, v->pgno))
            want(a, v->pgno);
    }
}

static void scan_index(struct apply *a, const struct segment *s)
{
    want_what_changed(a, s);
    for (uint32_t i = 0; i < s->trailer.version_count; i++) {
        const struct version *v = &s->versions[i];
        if (v->kind == VERSION_PATCH || !is_of_target(a, v) || !is_wanted(a, v->pgno))
            continue;
        struct map_entry newest = map_get(a->map, v->pgno);
        if (v->txid < newest.txid)
            continue;
        if (a->wanted && newest.txid == 0)
            a->missing--;
        map_set(a->map, v->pgno, (struct map_entry){.hash = v->hash, .txid = v->txid});
    }
}

static bool is_chunk(const struct apply *a, size_t index)
{
    return a->plan->sources[index].kind == OBJECT_CHUNK;
}

/* Of the chunks those that are needed by now; of the others all, as which of them are needed shows one after the other. */
static void prefetch_indexes(const struct apply *a, bool chunks)
{
    const char **keys = malloc((a->plan->source_count + 1) * sizeof *keys);
    size_t count = 0;
    bool part_of_needed = false;
    for (size_t i = 0; keys && i < a->plan->source_count; i++)
        if (is_chunk(a, i) == chunks && (!chunks || is_needed(a, &a->plan->sources[i], &part_of_needed)))
            keys[count++] = a->plan->sources[i].key;
    if (keys && count > 0)
        store_prefetch(a->catalog->store, keys, count);
    free(keys);
}

static int scan_source(struct apply *a, size_t index, struct err *e)
{
    struct segment *s = calloc(1, sizeof *s);
    if (!s)
        return err_nomem(e, sizeof *s);
    int rc = canceled(a, e);
    if (rc == 0)
        rc = load_source(a, &a->plan->sources[index], a->catalog->codec, s, e);
    if (rc == 0)
        scan_index(a, s);
    if (rc == 0 && a->kept_versions + s->trailer.version_count + 16 <= KEPT_VERSIONS_MAX) {
        a->kept[index] = s;
        a->kept_versions += s->trailer.version_count + 16;
    } else {
        segment_release(s);
        free(s);
    }
    return rc;
}

/* From the newest to the oldest. */
static int scan_indexes(struct apply *a, struct err *e)
{
    bool part_of_needed = false, chunks_prefetched = false;
    if (!a->wanted || a->missing > 0 || a->known_upto < a->plan->record.txid)
        prefetch_indexes(a, false);
    for (size_t i = a->plan->source_count; i-- > 0;) {
        const struct plan_source *source = &a->plan->sources[i];
        if (is_chunk(a, i) && !chunks_prefetched) {
            prefetch_indexes(a, true);
            chunks_prefetched = true;
        }
        a->skipped[i] = !is_needed(a, source, &part_of_needed);
        if (a->skipped[i])
            continue;
        a->total += source->size;
        if (scan_source(a, i, e))
            return -1;
    }
    return 0;
}

/* ---- pass 2: images */

static bool wants_image(const struct apply *a, const struct version *v)
{
    return v->kind == VERSION_IMAGE && v->pgno <= a->plan->record.pages && is_wanted(a, v->pgno) &&
           v->txid == map_get(a->map, v->pgno).txid;
}

/* Writes the images that win out of one block, neighbours in one write. */
static int write_images(struct source_reader *r, const struct segment_block *b, struct err *e)
{
    const struct apply *a = r->apply;
    uint32_t page_size = a->plan->page_size;
    size_t at = 0, run_at = 0, run = 0; /* bytes */
    uint32_t run_pgno = 0;
    for (uint32_t i = 0; i <= b->versions; i++) {
        const struct version *v = i < b->versions ? &r->segment->versions[b->first_version + i] : NULL;
        bool wanted = v && wants_image(a, v);
        if (wanted && page_hash(v->pgno, r->raw + at, page_size) != v->hash)
            return page_damaged(r, v, e);
        bool joins = wanted && run > 0 && v->pgno == run_pgno + run / page_size && at == run_at + run;
        if (run > 0 && !joins) {
            if (io_pwrite(a->fd, r->raw + run_at, run, (uint64_t)(run_pgno - 1) * page_size, e))
                return -1;
            run = 0;
        }
        if (wanted) {
            if (run == 0) {
                run_at = at;
                run_pgno = v->pgno;
            }
            run += page_size;
        }
        if (v)
            at += version_size(v, page_size);
    }
    return 0;
}

static int write_source_images(struct source_reader *r, size_t index, struct err *e)
{
    if (reader_open(r, index, e))
        return -1;
    for (uint32_t i = 0; i < r->segment->trailer.block_count; i++) {
        const struct segment_block *b = &r->segment->blocks[i];
        if (canceled(r->apply, e))
            return -1;
        if (block_wanted(r, b, wants_image) && (reader_block(r, i, wants_image, e) || write_images(r, b, e)))
            return -1;
    }
    return 0;
}

/* Takes the next source, or says that there is none left. */
static bool next_source(struct apply *a, size_t *ret_index)
{
    pthread_mutex_lock(&a->lock);
    while (a->next_source < a->plan->source_count && a->skipped[a->next_source])
        a->next_source++;
    bool more = !a->failed && a->next_source < a->plan->source_count;
    if (more)
        *ret_index = a->next_source++;
    pthread_mutex_unlock(&a->lock);
    return more;
}

static void *image_thread(void *arg)
{
    struct apply *a = arg;
    struct source_reader *r = NULL;
    struct err e;
    size_t index = 0;
    int rc = reader_new(a, &r, &e);
    while (rc == 0 && r && next_source(a, &index)) {
        rc = write_source_images(r, index, &e);
        sync_file_range(
            a->fd, 0, 0,
            SYNC_FILE_RANGE_WRITE); /* only a hint: the disk writes while we inflate, the fsync finds less to do */
        atomic_fetch_add(&a->done, a->plan->sources[index].size);
    }
    reader_free(r);
    pthread_mutex_lock(&a->lock);
    if (rc && !a->failed) {
        a->failed = true;
        a->error = e;
    }
    a->running--;
    pthread_cond_signal(&a->changed);
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

static void report(const struct apply *a)
{
    if (a->options->progress)
        a->options->progress(a->options->context, atomic_load(&a->done), a->total);
}

static int write_all_images(struct apply *a, struct err *e)
{
    pthread_t threads[JOBS_MAX];
    unsigned usual = a->catalog->store->slow ? JOBS_REMOTE : JOBS_LOCAL, started = 0;
    unsigned want = a->options->jobs ? a->options->jobs : usual;
    if (want > JOBS_MAX)
        want = JOBS_MAX;
    if (want > a->plan->source_count)
        want = (unsigned)a->plan->source_count;
    pthread_mutex_lock(&a->lock);
    while (started < want && pthread_create(&threads[started], NULL, image_thread, a) == 0) {
        started++;
        a->running++;
    }
    while (a->running > 0) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += PROGRESS_MS * 1000000L;
        if (until.tv_nsec >= 1000000000) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000;
        }
        pthread_cond_timedwait(&a->changed, &a->lock, &until);
        report(a);
    }
    pthread_mutex_unlock(&a->lock);
    for (unsigned i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    if (want > 0 && started == 0)
        return err_set(e, ERR_NOMEM, EAGAIN, "can't start a thread");
    if (a->failed)
        *e = a->error;
    return a->failed ? -1 : 0;
}

/* ---- pass 3: patches */

static bool wants_patch(const struct apply *a, const struct version *v)
{
    return v->kind == VERSION_PATCH && v->pgno <= a->plan->record.pages && v->txid <= a->plan->record.txid &&
           is_wanted(a, v->pgno) && v->txid > map_get(a->map, v->pgno).txid;
}

/* The page that patches are being applied to: consecutive ones of the same page cost one read and one write. */
struct open_page {
    uint32_t pgno;              /* 0: none */
    const struct version *last; /* applied; NULL: unchanged */
    uint8_t bytes[PAGE_SIZE_MAX];
};

static int close_page(struct source_reader *r, struct open_page *page, struct err *e)
{
    const struct apply *a = r->apply;
    uint32_t page_size = a->plan->page_size;
    if (!page->last)
        return 0;
    if (page_hash(page->pgno, page->bytes, page_size) != page->last->hash)
        return page_damaged(r, page->last, e);
    page->last = NULL;
    return io_pwrite(a->fd, page->bytes, page_size, (uint64_t)(page->pgno - 1) * page_size, e);
}

static int apply_patch(struct source_reader *r, struct open_page *page, const struct version *v, const uint8_t *bytes,
                       struct err *e)
{
    struct apply *a = r->apply;
    uint32_t page_size = a->plan->page_size;
    uint64_t have = map_get(a->map, v->pgno).txid;
    if (have == 0 || v->from > have)
        return err_set(e, ERR_CORRUPT, 0,
                       "object '%s': patch of page %u from txid %" PRIu64 " to %" PRIu64 " finds it at %" PRIu64,
                       r->source->key, v->pgno, v->from, v->txid, have);
    if (page->pgno != v->pgno) {
        if (close_page(r, page, e))
            return -1;
        page->pgno = v->pgno;
        if (io_pread(a->fd, page->bytes, page_size, (uint64_t)(v->pgno - 1) * page_size, e))
            return -1;
    }
    patch_apply(v->mask, bytes, page_size, page->bytes);
    page->last = v;
    map_set(a->map, v->pgno, (struct map_entry){.hash = v->hash, .txid = v->txid});
    return 0;
}

static int apply_source_patches(struct source_reader *r, size_t index, struct open_page *page, struct err *e)
{
    if (reader_open(r, index, e))
        return -1;
    page->pgno = 0;
    page->last = NULL;
    for (uint32_t i = 0; i < r->segment->trailer.block_count; i++) {
        const struct segment_block *b = &r->segment->blocks[i];
        size_t at = 0;
        if (canceled(r->apply, e))
            return -1;
        if (!block_wanted(r, b, wants_patch))
            continue;
        if (reader_block(r, i, wants_patch, e))
            return -1;
        for (uint32_t k = 0; k < b->versions; k++) {
            const struct version *v = &r->segment->versions[b->first_version + k];
            if (wants_patch(r->apply, v) && apply_patch(r, page, v, r->raw + at, e))
                return -1;
            at += version_size(v, r->apply->plan->page_size);
        }
    }
    return close_page(r, page, e);
}

static int apply_all_patches(struct apply *a, struct err *e)
{
    struct source_reader *r = NULL;
    struct open_page *page = malloc(sizeof *page);
    int64_t reported = clock_mono_ms();
    int rc = page ? reader_new(a, &r, e) : err_nomem(e, sizeof *page);
    for (size_t i = 0; rc == 0 && r && i < a->plan->source_count; i++) {
        if (!is_chunk(a, i) && !a->skipped[i]) /* chunks hold images only */
            rc = apply_source_patches(r, i, page, e);
        if (clock_mono_ms() - reported >= PROGRESS_MS) {
            report(a);
            reported = clock_mono_ms();
        }
    }
    reader_free(r);
    free(page);
    return rc;
}

/* ---- pass 4: proof */

static int prove(const struct apply *a, struct err *e)
{
    const struct commit_record *record = &a->plan->record;
    uint32_t lock_page = a->plan->page_size ? lock_byte_page(a->plan->page_size) : 0;
    for (uint32_t pgno = 1; pgno <= record->pages; pgno++)
        if (pgno != lock_page && map_get(a->map, pgno).txid == 0)
            return err_set(e, ERR_CORRUPT, 0, "no object holds page %u as of txid %" PRIu64, pgno, record->txid);
    if (a->map->checksum != record->checksum && a->options->have && a->options->misfit)
        *a->options->misfit = true;
    if (a->map->checksum != record->checksum)
        return err_set(e, ERR_CORRUPT, 0,
                       "the pages give another database checksum than the commit record of txid %" PRIu64,
                       record->txid);
    return 0;
}

static void apply_release(struct apply *a)
{
    for (size_t i = 0; a->kept && i < a->plan->source_count; i++)
        if (a->kept[i]) {
            segment_release(a->kept[i]);
            free(a->kept[i]);
        }
    free(a->kept);
    free(a->skipped);
    free(a->wanted);
    pthread_mutex_destroy(&a->lock);
    pthread_cond_destroy(&a->changed);
}

/* The map begins as what the caller has, or as nothing. */
static int begin_map(struct apply *a, struct err *e)
{
    struct apply_have *have = a->options->have;
    a->known_upto = UINT64_MAX;
    if (!have) {
        map_init_memory(a->map, a->plan->page_size);
        return map_resize(a->map, a->plan->record.pages, e);
    }
    *a->map = have->map;
    have->map = (struct map){.fd = -1};
    a->known_upto = have->known_upto;
    return want_what_is_not_there(a, e);
}

int apply_plan(struct catalog *c, const struct plan *p, int fd, const struct apply_options *options,
               struct map *ret_map, struct err *e)
{
    struct map map = {.fd = -1};
    struct apply a = {.catalog = c,
                      .plan = p,
                      .options = options,
                      .fd = fd,
                      .map = &map,
                      .lock = PTHREAD_MUTEX_INITIALIZER,
                      .changed = PTHREAD_COND_INITIALIZER};
    a.kept = calloc(p->source_count + 1, sizeof(struct segment *));
    a.skipped = calloc(p->source_count + 1, sizeof *a.skipped);
    int rc = a.kept && a.skipped ? begin_map(&a, e) : err_nomem(e, p->source_count * sizeof(struct segment *));
    if (rc == 0 && ftruncate(fd, (off_t)p->record.pages * p->page_size) != 0) /* pages of zeros stay holes */
        rc = err_sys(e, errno, "make room for %u pages of %u bytes", p->record.pages, p->page_size);
    if (rc == 0)
        rc = scan_indexes(&a, e);
    if (rc == 0)
        rc = write_all_images(&a, e);
    if (rc == 0)
        rc = apply_all_patches(&a, e);
    if (rc == 0)
        rc = prove(&a, e);
    if (options->fetched)
        *options->fetched += atomic_load(&a.fetched);
    apply_release(&a);
    if (rc == 0)
        *ret_map = map;
    else
        map_release(&map);
    return rc;
}
