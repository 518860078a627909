/* capture/capture.c */
#include "capture/capture.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/invariant.h"
#include "base/page.h"
#include "base/sqlite_file.h"
#include "capture/dirty.h"
#include "capture/page_cache.h"
#include "format/patch.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define GROUP_FRAMES_MAX SCALE(128u, 4u) /* whose commits can become one: some milliseconds of a writer at full speed */
#define CHUNK_BYTES SCALE(512u << 10, 1600u) /* frames read at a time; at least one */
#define RESYNC_BYTES SCALE(1u << 20, 2048u)  /* pages read at a time */

void capture_init(struct capture *c, struct watch *watch, struct state *state)
{
    struct state_position at = state_position(state);
    const int64_t now = clock_wall_ms();
    *c = (struct capture){.watch = watch,
                          .state = state,
                          .txid = at.txid,
                          .time_ms = at.time_ms,
                          .clock_ms = now < at.time_ms ? now : 0, /* what it said then was not kept */
                          .pos = at.pos,
                          .pos_before_reset = at.pos_before_reset};
}

void capture_release(struct capture *c)
{
    frame_index_release(&c->frames);
    capture_shrink(c);
    dirty_free(c->dirty);
    c->dirty = NULL;
}

void capture_shrink(struct capture *c)
{
    page_cache_free(c->cache);
    c->cache = NULL;
    free(c->chunk);
    c->chunk = NULL;
    c->chunk_cap = 0;
}

static void beat(const struct capture *c)
{
    if (c->beat_ms)
        atomic_store(c->beat_ms, (long long)clock_mono_ms());
}

static int need_chunk(struct capture *c, size_t bytes, struct err *e)
{
    if (bytes <= c->chunk_cap)
        return 0;
    uint8_t *grown = realloc(c->chunk, bytes);
    if (!grown)
        return err_nomem(e, bytes);
    c->chunk = grown;
    c->chunk_cap = bytes;
    return 0;
}

/* Every page has an entry. So the map is the database after T, and its checksum is that of the database. */
static void assert_whole(const struct capture *c)
{
    INVARIANT(map_is_complete(&c->state->map), "txid %" PRIu64 ": %u of %u pages are known", c->txid,
              c->state->map.known, c->state->map.pages);
}

/* ---- position */

static bool same_salt(const uint8_t *a, const uint8_t *b)
{
    return memcmp(a, b, WAL_SALT_BYTES) == 0;
}

bool capture_is_current(const struct capture *c, const struct wal_index_header *header)
{
    struct wal_pos pos = wal_index_pos(header);
    return c->proven && wal_pos_equal(&pos, &c->pos);
}

void capture_note_reset(struct capture *c, const struct wal_index_header *header)
{
    assert(header->mx_frame == 0 && c->proven);
    if (c->pos.frame > 0)
        c->pos_before_reset = c->pos;
    c->pos = wal_index_pos(header);
    c->reader_ready = false;
    frame_index_clear(&c->frames);
}

static void commit_state(struct capture *c, int64_t ctime_ns)
{
    INVARIANT(c->proven, "txid %" PRIu64 ": the map is not proven", c->txid);
    struct state_position position = {.txid = c->txid,
                                      .pos = c->pos,
                                      .pos_before_reset = c->pos_before_reset,
                                      .time_ms = c->time_ms,
                                      .db_inode = c->watch->db_file.inode,
                                      .db_size = (uint64_t)c->watch->db_file.size,
                                      .db_mtime_ns = c->watch->db_file.mtime_ns,
                                      .db_ctime_ns = ctime_ns};
    if (ctime_ns != 0)
        position.boot = clock_boot_id();
    c->stamped = ctime_ns != 0;
    state_commit(c->state, &position);
}

void capture_commit_state(struct capture *c)
{
    commit_state(c, 0);
}

static bool is_old_enough(int64_t ctime_ns)
{
    const int64_t least_ms = ctime_ns % 1000000000 == 0 ? STAMP_AGE_COARSE_MS : STAMP_AGE_MS;
    return clock_wall_ms() - ctime_ns / 1000000 > least_ms || !RULE(stamp_age);
}

bool capture_stamp(struct capture *c)
{
    struct wal_index_header header;
    struct file_stamp now;
    if (!watch_look_at_db(c->watch, &now) || !is_old_enough(now.ctime_ns) || clock_boot_id() == 0)
        return false;
    /* in this order: nothing was committed up to here, so what was looked at had no newer pages */
    if (!watch_header(c->watch, &header) || header.mx_frame != 0 || !capture_is_current(c, &header))
        return false;
    if (now.inode != c->watch->db_file.inode || !watch_db_untouched(c->watch))
        return false;
    commit_state(c, now.ctime_ns);
    return true;
}

struct commit_record capture_record(const struct capture *c)
{
    return (struct commit_record){.txid = c->txid,
                                  .time_ms = c->time_ms,
                                  .clock_ms = c->clock_ms,
                                  .pages = c->state->map.pages,
                                  .checksum = c->state->map.checksum};
}

/* Between a recovery and the next frame the wal-index does not know the page size. Then the database header does. */
static int page_size_of(struct capture *c, const struct wal_index_header *target, uint32_t *ret_page_size,
                        struct err *e)
{
    uint8_t header[SQLITE_FILE_HEADER_BYTES];
    *ret_page_size = target->page_size;
    if (page_size_valid(target->page_size))
        return 0;
    if (watch_read_db(c->watch, header, sizeof header, 0, e))
        return -1;
    uint32_t page_size = sqlite_file_page_size(header);
    if (page_size == 0)
        page_size = 4096; /* an empty file: it has no page yet, so any size will do */
    if (!page_size_valid(page_size))
        return err_set(e, ERR_CORRUPT, 0, "the database header has an invalid page size: %u", page_size);
    *ret_page_size = page_size;
    return 0;
}

bool capture_has_stamp(const struct state_position *at, const struct file_stamp *now)
{
    const bool same_boot = at->boot != 0 && at->boot == clock_boot_id(); /* a power cut can bring older times back */
    return at->db_ctime_ns != 0 && same_boot && now->inode == at->db_inode && (uint64_t)now->size == at->db_size &&
           now->mtime_ns == at->db_mtime_ns && (now->ctime_ns == at->db_ctime_ns || !RULE(stamp));
}

/* Does the WAL that is there now follow T from its first frame on, whatever its salts are? The database file was not
 * written since the position was recorded, and the watch keeps the WAL. Precondition: the watch was just opened, so
 * watch->db_file is as it was then. */
static bool is_unwritten(const struct capture *c)
{
    const struct state_position at = state_position(c->state);
    return capture_has_stamp(&at, &c->watch->db_file) && watch_backfilled(c->watch) == 0;
}

/* What may have happened since the position was recorded. */
enum gap {
    GAP_NONE,     /* it was recorded under this watch */
    GAP_UNWATCHED /* the watch was just opened */
};

/* An empty WAL has no salts until its first frame. So that it is empty again says nothing about what was between. */
static bool is_without_salts(const struct wal_index_header *h)
{
    static const uint8_t none[WAL_SALT_BYTES];
    return h->mx_frame == 0 && same_salt(h->salt, none) && RULE(empty_log);
}

/* If the generation of `target` continues T, moves the position into it. False: it does not continue T. */
static bool follow_generation(struct capture *c, const struct wal_index_header *target, enum gap gap)
{
    struct wal_pos *pos = &c->pos;
    if (same_salt(pos->salt, target->salt) && !is_without_salts(target))
        return target->mx_frame > pos->frame ||
               (target->mx_frame == pos->frame &&
                (pos->frame == 0 || wal_sum_equal(pos->sum, target->frame_sum) || !RULE(frame_sum)));
    if (pos->frame != 0) {
        if (!c->watch->guarded && RULE(guard))
            return false;
        c->pos_before_reset = *pos; /* a checkpoint by another process reset the WAL exactly here */
        *pos = (struct wal_pos){.frame = 0};
        memcpy(pos->salt, target->salt, WAL_SALT_BYTES);
        c->reader_ready = false;
        frame_index_clear(&c->frames);
        return true;
    }
    const struct wal_pos *before = &c->pos_before_reset;
    if (before->frame > 0 && same_salt(before->salt, target->salt)) { /* its bytes came back with a crash */
        if (target->mx_frame < before->frame)
            return false;
        *pos = *before;
        c->reader_ready = false;
        return true;
    }
    if (!c->watch->unbroken && !(gap == GAP_UNWATCHED && is_unwritten(c)) && RULE(unbroken))
        return false;
    memcpy(pos->salt, target->salt, WAL_SALT_BYTES); /* the first writer after our reset drew new ones */
    c->reader_ready = false;
    return true;
}

void capture_follow_reset(struct capture *c, const struct wal_index_header *header)
{
    assert(c->watch->guarded);
    if (c->proven && !same_salt(c->pos.salt, header->salt))
        (void)follow_generation(c, header, GAP_NONE);
}

static int read_wal_header(struct capture *c, struct wal_header *ret_header, struct err *e)
{
    uint8_t bytes[WAL_HEADER_BYTES];
    if (watch_read_wal(c->watch, bytes, sizeof bytes, 0, e))
        return -1;
    return wal_header_decode(bytes, ret_header, e);
}

static int ready_reader(struct capture *c, struct err *e)
{
    struct wal_header header;
    if (c->reader_ready)
        return 0;
    if (read_wal_header(c, &header, e) || wal_reader_resume(&c->reader, &header, &c->pos, e))
        return -1;
    c->reader_ready = true;
    return 0;
}

/* Does the frame at the position still have the checksum that was captured? */
static int frame_at_pos_is_ours(struct capture *c, bool *ret_ours, struct err *e)
{
    uint8_t bytes[WAL_FRAME_HEADER_BYTES];
    struct wal_frame_header frame;
    if (watch_read_wal(c->watch, bytes, sizeof bytes, wal_frame_offset(c->pos.frame, c->state->map.page_size), e))
        return -1;
    wal_frame_header_decode(bytes, &frame);
    *ret_ours = same_salt(frame.salt, c->pos.salt) && (wal_sum_equal(frame.sum, c->pos.sum) || !RULE(frame_sum));
    return 0;
}

static int index_frames(struct capture *c, uint32_t to, struct err *e);

int capture_resume(struct capture *c, struct err *e)
{
    struct wal_index_header header;
    uint32_t page_size = 0;
    bool ours = true;
    assert(watch_is_open(c->watch) && !c->watch->rollback);
    c->proven = false;
    if (!watch_header(c->watch, &header) || c->state->map.pages == 0)
        return 0;
    if (page_size_of(c, &header, &page_size, e))
        return -1;
    if (page_size != c->state->map.page_size)
        return 0;
    if (!follow_generation(c, &header, GAP_UNWATCHED))
        return 0;
    if (c->pos.frame > 0 && frame_at_pos_is_ours(c, &ours, e))
        return e->code == ERR_CORRUPT ? 0 : -1;
    if (ours && c->pos.frame > 0 && index_frames(c, c->pos.frame, e))
        return e->code == ERR_CORRUPT ? 0 : -1;
    c->proven = ours;
    c->watch->unbroken = ours;
    return 0;
}

/* ---- frames */

static uint32_t frames_per_chunk(uint32_t page_size)
{
    uint32_t n = CHUNK_BYTES / (WAL_FRAME_HEADER_BYTES + page_size);
    return n ? n : 1;
}

/* Reads frames from the reader's position up to frame `to`, at most as many as a chunk has. */
static int read_chunk(struct capture *c, uint32_t to, uint32_t *ret_count, struct err *e)
{
    const uint32_t page_size = c->reader.page_size, step = frames_per_chunk(page_size);
    const uint32_t first = c->reader.pos.frame + 1;
    const uint32_t n = to - first + 1 < step ? to - first + 1 : step;
    const size_t bytes = (size_t)n * (WAL_FRAME_HEADER_BYTES + page_size);
    *ret_count = n;
    if (need_chunk(c, bytes, e))
        return -1;
    return watch_read_wal(c->watch, c->chunk, bytes, wal_frame_offset(first, page_size), e);
}

static const uint8_t *frame_in_chunk(const struct capture *c, uint32_t at)
{
    return c->chunk + at * (size_t)(WAL_FRAME_HEADER_BYTES + c->reader.page_size);
}

/* Reads frames from the reader's position up to frame `to`, proves each and gives it to `fn`. Ends early when fn
 * sets *stop. */
typedef int frame_fn(void *context, const struct wal_frame *frame, bool *stop, struct err *e);

static int each_frame(struct capture *c, uint32_t to, frame_fn *fn, void *context, struct err *e)
{
    struct wal_reader *reader = &c->reader;
    bool stop = false;
    while (!stop && reader->pos.frame < to) {
        uint32_t n = 0;
        beat(c);
        if (read_chunk(c, to, &n, e))
            return -1;
        for (uint32_t i = 0; i < n && !stop; i++) {
            struct wal_frame frame;
            if (wal_reader_next(reader, frame_in_chunk(c, i), &frame, e) || fn(context, &frame, &stop, e))
                return -1;
        }
    }
    return 0;
}

static int index_one(void *context, const struct wal_frame *frame, bool *stop, struct err *e)
{
    struct capture *c = context;
    (void)stop;
    return frame_index_set(&c->frames, frame->pgno, frame->number, e);
}

/* Proves the generation from its first frame to `to` and fills the frame index. Leaves the reader behind `to`. */
static int index_frames(struct capture *c, uint32_t to, struct err *e)
{
    struct wal_header header;
    frame_index_clear(&c->frames);
    c->reader_ready = false;
    if (to == 0)
        return 0;
    if (read_wal_header(c, &header, e))
        return -1;
    wal_reader_start(&c->reader, &header);
    if (each_frame(c, to, index_one, c, e))
        return -1;
    c->reader_ready = true;
    return 0;
}

/* ---- pages */

int capture_read_pages(struct capture *c, uint32_t first, uint32_t n, uint8_t *out, struct err *e)
{
    uint32_t page_size = c->state->map.page_size;
    uint32_t in_wal = 0;
    assert(first >= 1 && n <= UINT32_MAX - first && page_size_valid(page_size));
    for (uint32_t i = 0; i < n; i++)
        in_wal += frame_index_get(&c->frames, first + i) != 0;
    if (in_wal < n && watch_read_db(c->watch, out, (size_t)n * page_size, (uint64_t)(first - 1) * page_size, e))
        return -1;
    for (uint32_t i = 0; i < n && in_wal > 0; i++) {
        uint32_t frame = frame_index_get(&c->frames, first + i);
        if (frame == 0)
            continue;
        uint64_t at = wal_frame_offset(frame, page_size) + WAL_FRAME_HEADER_BYTES;
        if (watch_read_wal(c->watch, out + (size_t)i * page_size, page_size, at, e))
            return -1;
        in_wal--;
    }
    return 0;
}

/* ---- commits */

struct pass {
    struct capture *capture;
    struct batch *batch; /* NULL: only the map follows */
    enum capture_grain grain;
    bool in_commit;
    uint32_t old_pages; /* size of the database before the commit */
    uint32_t commits;   /* of the application, since the last one that became a restore point */
    bool large;         /* the commit was too large for the batch */
    struct wal_frame group[GROUP_FRAMES_MAX];
    uint8_t room[PAGE_SIZE_MAX]; /* for the version before */
};

/* Finds the version of a page that the map knows: in the cache, in the WAL or in the database file. *ret_page
 * NULL: it is in none of them any more. */
static int old_version(struct pass *p, uint32_t pgno, struct map_entry entry, const uint8_t **ret_page, struct err *e)
{
    struct capture *c = p->capture;
    uint32_t page_size = c->state->map.page_size;
    *ret_page = NULL;
    if (entry.txid == 0)
        return 0;
    if (entry.hash == 0) { /* zeros, even if the file has old bytes there */
        memset(p->room, 0, page_size);
        *ret_page = p->room;
        return 0;
    }
    const uint8_t *cached = c->cache ? page_cache_get(c->cache, pgno, entry.hash) : NULL;
    if (cached) {
        *ret_page = cached;
        return 0;
    }
    if (capture_read_pages(c, pgno, 1, p->room, e))
        return -1;
    if (page_hash(pgno, p->room, page_size) == entry.hash)
        *ret_page = p->room;
    return 0;
}

static void begin_commit(struct pass *p)
{
    p->in_commit = true;
    p->old_pages = p->capture->state->map.pages;
    if (p->batch)
        batch_begin_commit(p->batch);
}

/* Stores a new version as a patch if the version before (`old`) is known and the difference is small. */
static struct version describe_version(const struct wal_frame *frame, struct map_entry now, struct map_entry before,
                                       const uint8_t *old, uint32_t page_size)
{
    struct version v = {
        .pgno = frame->pgno, .txid = now.txid, .hash = now.hash, .kind = now.hash ? VERSION_IMAGE : VERSION_ZERO};
    if (now.hash == 0 || !old)
        return v;
    uint64_t mask = patch_diff(old, frame->page, page_size);
    if (mask != 0 && __builtin_popcountll(mask) <= PATCH_GRANULES_WORTH) {
        v.kind = VERSION_PATCH;
        v.mask = mask;
        v.from = before.txid;
    }
    return v;
}

static int add_frame(struct pass *p, const struct wal_frame *frame, struct err *e)
{
    struct capture *c = p->capture;
    struct map *map = &c->state->map;
    uint64_t txid = c->txid + 1;
    const uint8_t *old = NULL;
    if (frame->pgno == lock_byte_page(map->page_size))
        return 0;
    if (frame->pgno > map->pages && map_resize(map, frame->pgno, e))
        return -1;
    struct map_entry before = map_get(map, frame->pgno);
    struct map_entry now = {.hash = page_hash(frame->pgno, frame->page, map->page_size), .txid = txid};
    bool again = before.txid == txid; /* old versions of SQLite can write a page twice in one commit */
    bool unchanged = before.txid != 0 && before.hash == now.hash;
    if (p->batch && !unchanged) {
        if (again)
            batch_forget(p->batch, frame->pgno);
        else if (old_version(p, frame->pgno, before, &old, e))
            return -1;
        struct version v = describe_version(frame, now, before, old, map->page_size);
        if (c->dirty)
            dirty_note(c->dirty, &v);
        if (batch_add(p->batch, &v, frame->page, e))
            return -1;
    }
    if (!unchanged)
        map_set(map, frame->pgno, now);
    if (c->cache && !unchanged)
        page_cache_put(c->cache, frame->pgno, now.hash, frame->page);
    return frame_index_set(&c->frames, frame->pgno, frame->number, e);
}

/* The database can grow over pages that nobody wrote: SQLite skips leaves of the free list. These pages count as
 * zeros. */
static int add_zero_growth(struct pass *p, uint64_t txid, struct err *e)
{
    struct map *map = &p->capture->state->map;
    uint32_t lock_page = lock_byte_page(map->page_size);
    for (uint32_t pgno = p->old_pages + 1; RULE(zero_growth) && pgno <= map->pages; pgno++) {
        if (pgno == lock_page || map_get(map, pgno).txid != 0)
            continue;
        struct version v = {.pgno = pgno, .kind = VERSION_ZERO, .txid = txid};
        if (p->batch && batch_add(p->batch, &v, NULL, e))
            return -1;
        map_set(map, pgno, (struct map_entry){.hash = 0, .txid = txid});
    }
    return 0;
}

/* The time of the new commit T: never before that of the commit before it. */
static void take_time(struct capture *c)
{
    const int64_t now = clock_wall_ms();
    c->clock_ms = now < c->time_ms ? now : 0;
    c->time_ms = now > c->time_ms ? now : c->time_ms;
}

static int end_commit(struct pass *p, uint32_t db_pages, const struct wal_pos *pos, struct err *e)
{
    struct capture *c = p->capture;
    uint64_t txid = c->txid + 1;
    if (map_resize(&c->state->map, db_pages, e) || add_zero_growth(p, txid, e))
        return -1;
    p->in_commit = false;
    assert_whole(c);
    c->txid = txid;
    c->commits += p->commits;
    p->commits = 0;
    take_time(c);
    c->pos = *pos;
    if (!p->batch)
        return 0;
    struct commit_record record = capture_record(c);
    if (batch_end_commit(p->batch, &record, e))
        return -1;
    p->large = p->batch->overflow;
    return 0;
}

static bool is_full(const struct pass *p)
{
    return p->large || (p->batch && batch_bytes(p->batch) >= BATCH_BYTES_TARGET);
}

static int capture_frame(void *context, const struct wal_frame *frame, bool *stop, struct err *e)
{
    struct pass *p = context;
    if (!p->in_commit)
        begin_commit(p);
    if (add_frame(p, frame, e))
        return -1;
    if (frame->db_pages == 0)
        return 0;
    p->commits = 1;
    if (end_commit(p, frame->db_pages, &p->capture->reader.pos, e))
        return -1;
    *stop = is_full(p) || p->grain == CAPTURE_GROUPS;
    return 0;
}

/* Does the group have the page again, or did the database end before it? */
static bool is_superseded(const struct wal_frame *group, uint32_t at, uint32_t count)
{
    uint32_t next = at + 1;
    while (next < count && group[next].pgno != group[at].pgno)
        next++;
    return next < count || group[at].pgno > group[count - 1].db_pages;
}

/* The first `count` frames of `group`, of which the last ends a commit, as one commit. */
static int add_group(struct pass *p, uint32_t count, const struct wal_pos *end, struct err *e)
{
    struct capture *c = p->capture;
    begin_commit(p);
    for (uint32_t i = 0; i < count; i++) {
        const struct wal_frame *frame = &p->group[i];
        int rc = is_superseded(p->group, i, count) ? frame_index_set(&c->frames, frame->pgno, frame->number, e)
                                                   : add_frame(p, frame, e);
        if (rc)
            return -1;
    }
    return end_commit(p, p->group[count - 1].db_pages, end, e);
}

/* Reads frames, as many as one group may have, and captures the whole commits among them as one. If the first commit is
 * longer, it is captured alone. */
static int capture_group(struct pass *p, uint32_t to, struct err *e)
{
    struct capture *c = p->capture;
    struct wal_reader *reader = &c->reader;
    const struct wal_pos begin = reader->pos;
    struct wal_pos end = begin;
    uint32_t n = 0, whole = 0;
    beat(c);
    if (read_chunk(c, to - begin.frame < GROUP_FRAMES_MAX ? to : begin.frame + GROUP_FRAMES_MAX, &n, e))
        return -1;
    for (uint32_t i = 0; i < n; i++) {
        if (wal_reader_next(reader, frame_in_chunk(c, i), &p->group[i], e))
            return -1;
        if (p->group[i].db_pages == 0)
            continue;
        whole = i + 1;
        end = reader->pos;
        p->commits++;
    }
    reader->pos = end;
    return whole > 0 ? add_group(p, whole, &end, e) : each_frame(c, to, capture_frame, p, e);
}

static int capture_groups(struct pass *p, uint32_t to, struct err *e)
{
    do {
        if (capture_group(p, to, e))
            return -1;
    } while (p->capture->reader.pos.frame < to && !is_full(p));
    return 0;
}

int capture_pass(struct capture *c, const struct wal_index_header *target, struct batch *batch,
                 enum capture_grain grain, enum capture_end *ret_end, struct err *e)
{
    assert(!batch || (batch->first == c->txid + 1 && batch->record_count == 0));
    *ret_end = CAPTURE_GAP;
    bool other_size = target->mx_frame > 0 && target->page_size != c->state->map.page_size;
    if (!c->proven || other_size || !follow_generation(c, target, GAP_NONE)) {
        c->proven = false;
        return 0;
    }
    *ret_end = CAPTURE_DONE;
    if (target->mx_frame == c->pos.frame)
        return 0;
    if (!c->cache)
        c->cache = page_cache_new(target->page_size); /* without a cache capture is only slower */
    if (!c->dirty)
        c->dirty = dirty_new(); /* without it compacted segments hold only images */
    struct pass *p = calloc(1, sizeof *p);
    if (!p)
        return err_nomem(e, sizeof *p);
    p->capture = c;
    p->batch = batch;
    p->grain = grain;
    int rc = ready_reader(c, e);
    if (rc == 0 && grain == CAPTURE_GROUPS)
        rc = capture_groups(p, target->mx_frame, e);
    else if (rc == 0)
        rc = each_frame(c, target->mx_frame, capture_frame, p, e);
    if (rc == 0 && p->in_commit)
        rc = err_set(e, ERR_CORRUPT, 0, "the WAL ends in the middle of a commit at frame %u", target->mx_frame);
    if (p->large)
        *ret_end = CAPTURE_LARGE;
    else if (c->pos.frame < target->mx_frame)
        *ret_end = CAPTURE_MORE;
    if (batch && p->in_commit)
        batch_abort_commit(batch);
    free(p);
    if (rc) {
        /* The map may have half of a commit; only a resync mends it. The commits before it are whole and will be
         * shipped. */
        c->proven = false;
        state_lose_map(c->state, c->txid, c->time_ms);
        *ret_end = CAPTURE_GAP;
        return e->code == ERR_CORRUPT ? 0 : -1;
    }
    if (c->pos.frame > 0)
        capture_commit_state(c);
    return 0;
}

/* ---- resync */

/* The size of the database under the watch: from the WAL if it has a commit, otherwise from the database file. */
static int database_pages(struct capture *c, const struct wal_index_header *target, uint32_t page_size,
                          uint32_t *ret_pages, struct err *e)
{
    uint8_t header[SQLITE_FILE_HEADER_BYTES];
    struct sqlite_file file;
    uint64_t size = 0;
    if (target->mx_frame > 0) {
        *ret_pages = target->db_pages;
        return 0;
    }
    if (watch_db_size(c->watch, &size, e) || watch_read_db(c->watch, header, sizeof header, 0, e))
        return -1;
    uint64_t pages = size / page_size;
    if (sqlite_file_decode(header, &file) && file.pages > 0 && file.pages <= pages)
        pages = file.pages;
    if (pages > UINT32_MAX - 1)
        return err_set(e, ERR_LIMIT, 0, "a database of %llu pages is too large", (unsigned long long)pages);
    *ret_pages = (uint32_t)pages;
    return 0;
}

struct resync {
    const struct capture_reference *references;
    size_t count;
    const struct map *known; /* the local map; if that was lost, the one of the newest replica; NULL: none */
    bool lost;               /* see resync_request */
    uint64_t txid;           /* of pages that differ: newer than T and than every head */
    struct map *fresh;       /* the result */
    struct resync_result result;
};

/* The entry of a page in a replica. A replica with another page size holds none of our pages. */
static struct map_entry their_entry(const struct resync *r, const struct capture_reference *ref, uint32_t pgno)
{
    return ref->map && ref->map->page_size == r->fresh->page_size ? map_get(ref->map, pgno) : (struct map_entry){0, 0};
}

/* May the page keep the entry that is known? If its hash is unchanged, and each reference either will get the
 * entry or has it. */
static bool may_keep(const struct resync *r, struct map_entry entry, uint64_t hash, uint32_t pgno)
{
    if (entry.txid == 0 || entry.hash != hash)
        return false;
    for (size_t i = 0; i < r->count && RULE(attach); i++) {
        struct map_entry theirs = their_entry(r, &r->references[i], pgno);
        if (r->references[i].by_base)
            continue;
        if (theirs.hash != hash || theirs.txid == 0)
            return false;
        if (entry.txid <= r->references[i].head_txid && theirs.txid != entry.txid)
            return false;
    }
    return true;
}

/* After the comparison each reference either will get the page, because it is newer than its head, or has it. */
static void assert_sendable(const struct resync *r, uint32_t pgno, struct map_entry entry)
{
    for (size_t i = 0; i < r->count; i++) {
        const struct capture_reference *ref = &r->references[i];
        struct map_entry theirs = their_entry(r, ref, pgno);
        INVARIANT(!RULE(attach) || ref->by_base || entry.txid > ref->head_txid ||
                      (entry.txid == theirs.txid && entry.hash == theirs.hash),
                  "page %u: a replica at txid %" PRIu64 " would never get it", pgno, ref->head_txid);
    }
}

static int compare_pages(struct capture *c, struct resync *r, uint32_t pages, struct err *e)
{
    uint32_t page_size = c->state->map.page_size, lock_page = lock_byte_page(page_size),
             step = RESYNC_BYTES / page_size;
    uint8_t *room = malloc(RESYNC_BYTES);
    int rc = room ? 0 : err_nomem(e, RESYNC_BYTES);
    for (uint32_t first = 1; rc == 0 && first <= pages; first += step) {
        uint32_t n = pages - first + 1 < step ? pages - first + 1 : step;
        beat(c);
        rc = capture_read_pages(c, first, n, room, e);
        for (uint32_t i = 0; rc == 0 && i < n; i++) {
            uint32_t pgno = first + i;
            if (pgno == lock_page)
                continue;
            uint64_t hash = page_hash(pgno, room + (size_t)i * page_size, page_size);
            struct map_entry entry = r->known ? map_get(r->known, pgno) : (struct map_entry){0, 0};
            if (!may_keep(r, entry, hash, pgno)) {
                entry = (struct map_entry){.hash = hash, .txid = r->txid};
                r->result.differing++;
            }
            assert_sendable(r, pgno, entry);
            /* A page of a commit whose capture failed half-way: with the new txid it becomes part of a state. */
            r->result.changed |= entry.txid > c->txid;
            map_set(r->fresh, pgno, entry);
        }
        if (first > UINT32_MAX - step)
            break;
    }
    free(room);
    return rc;
}

static const struct map *newest_reference(const struct resync *r, uint32_t page_size)
{
    const struct capture_reference *newest = NULL;
    for (size_t i = 0; i < r->count; i++) {
        const struct capture_reference *ref = &r->references[i];
        if (ref->map && ref->map->page_size == page_size && (!newest || ref->head_txid >= newest->head_txid))
            newest = ref;
    }
    return newest ? newest->map : NULL;
}

static int resync_under(struct capture *c, const struct wal_index_header *target, struct resync *r, struct err *e)
{
    struct map *map = &c->state->map;
    uint32_t pages = 0, page_size = 0, old_pages = map->pages;
    if (page_size_of(c, target, &page_size, e))
        return -1;
    if (map->page_size != page_size) { /* then the map says nothing about these pages */
        map_clear(map);
        map->page_size = page_size;
    }
    if (index_frames(c, target->mx_frame, e) || database_pages(c, target, page_size, &pages, e))
        return -1;
    r->known = map->pages > 0 ? map : r->lost ? newest_reference(r, page_size) : NULL;
    if (map->pages == 0) /* nothing to lose: no second map is needed */
        r->fresh = map;
    r->fresh->page_size = page_size;
    if (map_resize(r->fresh, pages, e) || compare_pages(c, r, pages, e)) {
        if (r->fresh == map)
            map_clear(map);
        return -1;
    }
    r->result.pages = pages;
    r->result.changed |= pages != old_pages || r->count > 0;
    if (r->fresh == map)
        return 0;
    map_clear(map);
    if (map_resize(map, pages, e))
        return -1;
    for (uint32_t pgno = 1; pgno <= pages; pgno++)
        map_set(map, pgno, map_get(r->fresh, pgno));
    return 0;
}

/* After a reset the WAL has the frames of the generation before until its first writer comes. A recovery of the wal-index
 * brings them back. Where T lies in them is not known after a comparison of pages, so that position is behind all frames:
 * follow_generation does not go on from it. */
static int find_old_generation(struct capture *c, const struct wal_index_header *target, struct wal_pos *ret_pos,
                               struct err *e)
{
    struct wal_header header;
    *ret_pos = (struct wal_pos){.frame = 0};
    if (target->mx_frame > 0 || c->watch->rollback)
        return 0;
    if (read_wal_header(c, &header, e))
        return e->code == ERR_CORRUPT ? 0 : -1;
    if (same_salt(header.salt, target->salt))
        return 0;
    ret_pos->frame = UINT32_MAX;
    memcpy(ret_pos->salt, header.salt, WAL_SALT_BYTES);
    return 0;
}

int capture_resync(struct capture *c, const struct wal_index_header *target, const struct resync_request *request,
                   struct resync_result *ret_result, struct err *e)
{
    struct map fresh;
    struct resync r = {.references = request->references,
                       .count = request->reference_count,
                       .lost = request->lost,
                       .txid = c->txid,
                       .fresh = &fresh};
    map_init_memory(&fresh, target->page_size);
    for (size_t i = 0; i < r.count; i++) {
        if (r.references[i].head_txid > r.txid)
            r.txid = r.references[i].head_txid;
        if (r.references[i].head_time_ms > c->time_ms)
            c->time_ms = r.references[i].head_time_ms;
    }
    r.txid++;
    assert(watch_is_open(c->watch) && c->watch->frozen_fd < 0);
    page_cache_free(c->cache);
    c->cache = NULL;
    if (c->dirty && RULE(mask_drop)) /* a commit that was captured half-way may have left masks in it */
        dirty_clear(c->dirty);
    c->proven = false;
    struct wal_pos old_generation;
    int rc = find_old_generation(c, target, &old_generation, e) || resync_under(c, target, &r, e) ? -1 : 0;
    map_release(&fresh);
    if (rc)
        return err_wrap(e, "compare all pages");
    c->pos = wal_index_pos(target);
    if (RULE(old_end))
        c->pos_before_reset = old_generation;
    c->proven = true;
    c->watch->unbroken = true;
    if (r.result.changed) {
        c->txid = r.txid;
        take_time(c);
    }
    assert_whole(c);
    capture_commit_state(c);
    *ret_result = r.result;
    return 0;
}
