/* follow/promote.c - the copy becomes the database.
 *
 *   1  the pages of the copy are read, and are the state that the note says
 *   2  the fence: an object of our own at the next key of level 0, by exclusive create. It changes nothing but the change
 *      counter in page 1. From now on the writer that had the replica is refused. If that one was faster, the copy gets
 *      its object, and the next key is tried.
 *   3  the copy applies the fence as it applies any object
 *   4  the pages of the copy are read again, and are those of the replica, page by page
 *   5  the copy gets permissions to write, then a state file, and loses the note
 *
 * Whatever fails before the note is gone leaves a copy, which can be followed and promoted again. */
#include "base/clock.h"
#include "base/endian.h"
#include "base/log.h"
#include "base/page.h"
#include "follow/check.h"
#include "follow/commit.h"
#include "follow/follow.h"
#include "replica/identity.h"
#include "replica/points.h"
#include "replica/writer.h"
#include "state/state.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FENCE_MS 60000        /* so long it tries to be faster than the writer */
#define FENCE_PAUSE_US 500000 /* after a store that did not answer */
#define CHANGE_COUNTER 24     /* in page 1; SQLite "Database File Format", section 1.3 */
#define VERSION_VALID_FOR 92

/* ---- the pages */

static int refuse(struct follow *f, const char *what, struct err *e)
{
    err_set(e, ERR_CONFLICT, 0, "%s", what);
    return err_hint(e, "'seawall follow --start-over -o %s URL' makes it a copy again, as the replica is",
                    f->options->path);
}

/* The pages are those that the note says; and if there is a map, each one is as the replica has it. */
static int compare_pages(struct follow *f, const struct map *map, struct err *e)
{
    struct check_pages pages;
    int rc = check_read(&f->copy, map ? NULL : f->options->cancel, &pages, e);
    if (rc == 0 && !check_is(&pages, &f->note.now))
        rc = refuse(f, "the pages of the copy are not the state that it should have", e);
    for (uint32_t pgno = 1; rc == 0 && map && pgno <= pages.pages; pgno++)
        if (map->pages != pages.pages || map_get(map, pgno).hash != pages.hashes[pgno - 1])
            rc = refuse(f, "a page of the copy is not as in the replica", e);
    check_release(&pages);
    return rc;
}

/* ---- the fence */

struct fence {
    struct uid writer; /* of this promotion */
    uint64_t txid;
    struct buf bytes; /* owned */
    struct digest digest;
};

/* Finds the digest of the object that ends at the state of the copy. A restore and a jump do not say it. */
static int find_head(struct follow *f, struct err *e)
{
    struct catalog *c = &f->replica.catalog;
    struct segment s;
    char key[NAME_MAX_BYTES];
    if (!digest_is_zero(&f->note.now.head))
        return 0;
    if (replica_handle_list(&f->replica, e))
        return -1;
    struct catalog_object *head = catalog_head(c);
    if (!head)
        return err_set(e, ERR_REMOTE, 0, "the replica has no object of level 0");
    name_format(&head->name, key);
    struct digest digest;
    if (object_load_whole(c->store, key, c->codec, &s, &digest, e))
        return -1;
    if (s.trailer.info.max == f->note.now.txid)
        f->note.now.head = digest; /* otherwise the replica has gone on, and so will the copy */
    segment_release(&s);
    return 0;
}

/* Page 1 as the next commit of SQLite could leave it. */
static void count_up(uint8_t *page)
{
    const uint32_t counter = get_be32(page + CHANGE_COUNTER);
    if (get_be32(page + VERSION_VALID_FOR) == counter)
        put_be32(page + VERSION_VALID_FOR, counter + 1);
    put_be32(page + CHANGE_COUNTER, counter + 1);
}

static int encode(struct follow *f, const uint8_t *page, const struct commit_record *record, struct fence *fence,
                  struct err *e)
{
    const struct note_point *now = &f->note.now;
    const uint32_t page_size = now->page_size;
    struct segment_info info = {.kind = OBJECT_SEGMENT,
                                .min = record->txid,
                                .max = record->txid,
                                .page_size = page_size,
                                .first_page = 1,
                                .last_page = 1,
                                .time_ms = record->time_ms,
                                .writer = fence->writer,
                                .database = f->note.database,
                                .checksum_before = now->checksum,
                                .digest_before = now->head};
    const struct version v = {
        .pgno = 1, .kind = VERSION_IMAGE, .txid = record->txid, .hash = page_hash(1, page, page_size)};
    const struct segment_content content = {.info = &info, .records = record, .record_count = 1};
    struct segment_writer w = {0};
    int rc = random_bytes(info.run.bytes, UID_BYTES, e) || random_bytes(info.nonce.bytes, UID_BYTES, e) ||
                     segment_writer_init(&w, f->replica.codec, page_size, e) || segment_writer_add(&w, &v, page, e) ||
                     segment_writer_finish(&w, &content, &fence->bytes, &fence->digest, e)
                 ? -1
                 : 0;
    segment_writer_release(&w);
    return rc;
}

static int build(struct follow *f, struct fence *fence, struct err *e)
{
    const struct note_point *now = &f->note.now;
    const int64_t clock_ms = clock_wall_ms();
    uint64_t before = 0;
    uint8_t *page = malloc(PAGE_SIZE_MAX);
    if (!page)
        return err_nomem(e, PAGE_SIZE_MAX);
    int rc = find_head(f, e) || commit_read_page(&f->copy, now, 1, page, &before, e) ? -1 : 0;
    if (rc == 0) {
        count_up(page);
        const struct commit_record record = {.txid = now->txid + 1,
                                             .time_ms = clock_ms > now->time_ms ? clock_ms : now->time_ms,
                                             .clock_ms = clock_ms > now->time_ms ? 0 : clock_ms,
                                             .pages = now->pages,
                                             .checksum = now->checksum ^ before ^ page_hash(1, page, now->page_size)};
        fence->txid = record.txid;
        rc = encode(f, page, &record, fence, e);
    }
    free(page);
    return rc;
}

static int note_behind(void *context, const struct store_entry *entry)
{
    *(bool *)context |= name_parse(entry->key).kind == NAME_LEVEL0;
    return *(bool *)context;
}

/* For the conflict of the writer that had the replica. */
static void sign(const struct follow *f, struct store *store, const struct fence *fence)
{
    struct writer_note note;
    writer_note_make(&note, &fence->writer, f->options->path, f->replica.catalog.identity.founder.hashed);
    writer_note_put(store, &note);
}

/* Puts the fence. *ret_moved: the replica has gone on. If retention had freed the key, the fence goes again. An answer that
 * does not come leaves open whether it is there: the next turn finds it, or not. */
static int put(const struct follow *f, struct store *store, const struct fence *fence, bool *ret_moved, struct err *e)
{
    char key[NAME_MAX_BYTES];
    int64_t ignored;
    bool behind = false;
    *ret_moved = false;
    name_format(&(struct name){.kind = NAME_LEVEL0, .min = fence->txid}, key);
    if (store_put_new(store, key, fence->bytes.data, fence->bytes.len, &ignored, e)) {
        *ret_moved = e->code == ERR_EXISTS;
        if (e->code != ERR_EXISTS && e->code != ERR_REMOTE && e->code != ERR_TIMEOUT)
            return -1;
        if (e->code != ERR_EXISTS)
            clock_sleep_us(FENCE_PAUSE_US);
        return 0;
    }
    if (store_list(store, NAME_LEVEL0_PREFIX, key, note_behind, &behind, e))
        return -1;
    *ret_moved = behind;
    if (behind)
        return store_remove(store, key, e);
    sign(f, store, fence);
    return 0;
}

/* One attempt. *ret_won: the fence is the newest object, and the copy has it. */
static int attempt(struct follow *f, struct store *store, const struct uid *writer, bool *ret_won, struct err *e)
{
    struct fence fence = {.writer = *writer};
    bool moved = false;
    int rc = build(f, &fence, e) || put(f, store, &fence, &moved, e) ? -1 : 0;
    f->chasing = rc == 0;
    if (rc == 0)
        rc = follow_run(f, e);
    f->chasing = false;
    *ret_won = rc == 0 && !moved && f->note.now.txid == fence.txid && digest_equal(&f->note.now.head, &fence.digest);
    buf_release(&fence.bytes);
    return rc;
}

static int win(struct follow *f, struct err *e)
{
    const struct replica_options o = {
        .mode = STORE_WRITE, .cancel = f->options->cancel, .retrying = f->options->retrying};
    const int64_t end = clock_mono_ms() + FENCE_MS;
    struct replica_handle writer;
    struct uid id;
    bool won = false;
    if (random_bytes(id.bytes, UID_BYTES, e) || replica_handle_open(&writer, f->options->url, &o, e))
        return -1;
    int rc = replica_probe(writer.store, e);
    while (rc == 0 && !won) {
        rc = attempt(f, writer.store, &id, &won, e);
        if (rc == 0 && !won && clock_mono_ms() >= end) {
            err_set(e, ERR_BUSY, 0, "the replica went on, or did not take an object, each time for %d s",
                    FENCE_MS / 1000);
            rc = err_hint(e, "stop the writer of the replica, and run the same command again");
        }
    }
    replica_handle_close(&writer);
    return rc;
}

/* ---- the state file */

static int write_state(struct follow *f, const struct plan *plan, const struct map *map, struct err *e)
{
    struct state state;
    enum state_found found;
    struct state_restart restart = {.txid = plan->record.txid,
                                    .time_ms = plan->record.time_ms,
                                    .map = map,
                                    .url = f->replica.store->url,
                                    .database = plan->database,
                                    .head = f->note.now.head,
                                    .head_checksum = plan->record.checksum};
    if (state_open(&state, f->options->path, &found, e))
        return -1;
    int rc = state_restart(&state, &restart, e);
    state_close(&state);
    return rc;
}

/* The state file gets the permissions of the database, so those come first. */
static int make_database(struct follow *f, struct err *e)
{
    struct plan plan = {.source_count = 0};
    struct map map = {.fd = -1};
    int rc = replica_handle_list(&f->replica, e) || points_plan(&f->replica.catalog, f->note.now.txid, &plan, e) ||
                     plan_map(&f->replica.catalog, &plan, &map, e) || compare_pages(f, &map, e) ||
                     mirror_permit_writing(&f->copy, e) || write_state(f, &plan, &map, e) ||
                     mirror_make_ordinary(&f->copy, e)
                 ? -1
                 : 0;
    map_release(&map);
    plan_release(&plan);
    return rc;
}

static int stay_a_copy(struct follow *f, struct err *e)
{
    struct err other;
    f->note.phase = NOTE_FOLLOWING;
    if (mirror_forbid_writing(&f->copy, &other) || note_save(&f->file, &f->note, &other))
        log_warn("%s", other.msg);
    return err_wrap(e, "copy '%s' is not promoted, and is a copy still", f->options->path);
}

int follow_promote(struct follow *f, struct err *e)
{
    assert(f->copy.db && !f->copy.writing && (f->options->flags & FOLLOW_UNTIL_CURRENT));
    f->note.phase = NOTE_PROMOTING;
    if (note_save(&f->file, &f->note, e) || compare_pages(f, NULL, e) || win(f, e) || make_database(f, e) ||
        note_remove(&f->file, e))
        return stay_a_copy(f, e);
    mirror_close(&f->copy);
    log_info("'%s' is an ordinary database now, as of txid %" PRIu64, f->options->path, f->note.now.txid);
    return 0;
}
