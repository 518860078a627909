/* property/scenarios.c - cases that random steps reach too rarely, step by step. */
#include "copies.h"
#include "hosts.h"
#include "published.h"
#include "readers.h"
#include "world.h"

#include "replica/packs.h"
#include "ship/pack.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

/* A retention that is not the program's: deletes the objects of all histories before the newest one, if they are older
 * than the grace period. It never deletes the head. */
static void forget_earlier_beginnings(struct sim_store *s)
{
    struct published *p = published_of(s);
    uint64_t keep_from = 0;
    for (size_t i = 0; i < p->epoch_count; i++) {
        char key[NAME_MAX_BYTES];
        struct name name = {.kind = NAME_LEVEL0, .min = p->epochs[i].min};
        name_format(&name, key);
        const struct sim_object *o = sim_store_get(s, key);
        bool whole = !p->epochs[i].base_only;
        for (size_t k = 0; k < p->base_count; k++)
            whole |= p->bases[k].start >= p->epochs[i].max && true_ms - p->bases[k].born_ms > GRACE_MS;
        if (o && whole && true_ms - o->born_ms > GRACE_MS)
            keep_from = p->epochs[i].min;
    }
    for (size_t i = 0; i < s->count;) {
        struct name name = name_parse(s->objects[i].key);
        if (name.kind == NAME_LEVEL0 && name.min < keep_from && true_ms - s->objects[i].born_ms > GRACE_MS)
            sim_store_delete(s, s->objects[i].key);
        else
            i++;
    }
    for (uint64_t t = 1; t < keep_from; t++)
        published_point(p, t)->retired = true;
}

static void let_run(struct host *h, unsigned n)
{
    for (unsigned i = 0; i < n && h->alive; i++) {
        true_ms += 20;
        host_turns(h, 1);
    }
}

/* Another host, with the same database, takes the replicas over. */
static struct host *begin_elsewhere(void)
{
    struct host *b = host_new();
    const struct truth *t = &truths[hosts[0].db.serial];
    NEED(b, "no room for another host");
    sim_database_replace(&b->db, host_number(b), t->bytes, t->pages, t->page_size, hosts[0].db.serial);
    host_start(b, true);
    return b;
}

/* Another host, with the same database, takes the replicas over and continues them. */
static struct host *continue_elsewhere(void)
{
    struct host *b = begin_elsewhere();
    for (unsigned i = 0; i < 4; i++) {
        sim_database_commit(&b->db);
        let_run(b, 60);
    }
    return b;
}

static struct host *take_over_elsewhere(void)
{
    struct host *b = continue_elsewhere();
    host_kill(b, false);
    return b;
}

/* Another host takes the replicas over, continues them and begins a new history. Retention deletes the old one, so that
 * the next key of the sleeper, the host that is suspended meanwhile, is free again. */
static void others_continue(void)
{
    struct host *b = take_over_elsewhere();
    sim_database_rebuild(&b->db, 1024);
    host_start(b, true);
    for (unsigned i = 0; i < 3; i++) {
        let_run(b, 80);
        sim_database_commit(&b->db);
    }
    true_ms += GRACE_MS + 1000;
    let_run(b, 80);
    for (size_t i = 0; i < STORES; i++) {
        NEED(published[i].epoch_count >= 2, "the other writer did not begin a new history");
        forget_earlier_beginnings(&stores[i]);
    }
}

static struct host *prepare_sleeper(const char *folder)
{
    luck = dice_of(1);
    sim_calm = true;
    hosts_create(folder, 512);
    host_start(&hosts[0], false);
    sim_database_commit(&hosts[0].db);
    let_run(&hosts[0], 200);
    NEED(published[0].head > 0 && published[1].head > 0, "nothing was shipped");
    return &hosts[0];
}

static void must_be_kept_out(struct host *a, const uint64_t *heads)
{
    let_run(a, 200);
    sim_database_commit(&a->db); /* for a replica that has the commit before already */
    let_run(a, 200);
    NEED(!a->alive, "the sleeper did not stop");
    for (size_t i = 0; i < STORES; i++) {
        char key[NAME_MAX_BYTES];
        struct name name = {.kind = NAME_LEVEL0, .min = heads[i] + 1};
        name_format(&name, key);
        const struct sim_object *o = sim_store_get(&stores[i], key);
        struct segment s = {0};
        if (o)
            object_decode(o, &s);
        NEED(!o || !uid_equal(&s.trailer.info.writer, &a->writer), "the sleeper's object stays in the past of %s",
             stores[i].url);
        segment_release(&s);
        published_check(&stores[i], 100);
    }
}

void world_scenario_sleeper(const char *folder)
{
    struct host *a = prepare_sleeper(folder);
    const uint64_t heads[STORES] = {published[0].head, published[1].head};
    others_continue();
    sim_database_commit(&a->db);
    must_be_kept_out(a, heads);
}

/* The next key of the sleeper in a store. */
static const struct sim_object *next_of_sleeper(const struct sim_store *s, uint64_t head)
{
    char key[NAME_MAX_BYTES];
    const struct name name = {.kind = NAME_LEVEL0, .min = head + 1};
    name_format(&name, key);
    return sim_store_get(s, key);
}

/* Commits until packs are there, and lets time pass until retention has deleted what lies in them. Less than half of the
 * grace period passes. */
static void pack_everything(struct host *b, const struct sim_store *s, uint64_t head)
{
    for (unsigned i = 0; i < 16; i++) {
        sim_database_commit(&b->db);
        let_run(b, 20);
    }
    if (s->costs) { /* packs come more rarely */
        true_ms += PACK_SETTLE_MS / PACK_PAUSES;
        let_run(b, 80);
    }
    true_ms += PACK_SETTLE_MS + 1000;
    let_run(b, 40);
    NEED(b->alive, "the daemon that packs ended");
    NEED(!next_of_sleeper(s, head + 2), "no object after txid %" PRIu64 " was packed", head);
}

/* A program that knows no packs is suspended. Its proof of the head is valid for half of the grace period. Meanwhile the
 * database is restored elsewhere and goes on from there. What that writer puts is packed and deleted, but for its first
 * object. */
void world_scenario_packed_away(const char *folder)
{
    struct host *a = prepare_sleeper(folder);
    const uint64_t head = published[0].head;
    struct host *b = world_restore(&stores[0]);
    NEED(b, "no room for another host");
    host_start(b, false);
    let_run(b, 60);
    pack_everything(b, &stores[0], head);
    host_kill(b, false);
    NEED(next_of_sleeper(&stores[0], head), "the key that the sleeper will try is free");
    sim_database_commit(&a->db);
    let_run(a, 200);
    published_check(&stores[0], 100);
}

/* A machine is cloned while it runs, and the clone is suspended. The other goes on as the same run, so that nothing
 * shows which object is its first, and all are packed. So the clone must look before it puts. Another writer plays
 * the one that goes on here, and its first object is removed as if it were packed. */
void world_scenario_packed_by_clone(const char *folder)
{
    struct host *a = prepare_sleeper(folder);
    const uint64_t heads[STORES] = {published[0].head, published[1].head};
    struct host *b = continue_elsewhere();
    pack_everything(b, &stores[0], heads[0]);
    host_kill(b, false);
    for (size_t i = 0; i < STORES; i++) {
        const struct sim_object *next = next_of_sleeper(&stores[i], heads[i]);
        for (uint64_t t = 1; t < published[i].head; t++)
            published_point(&published[i], t)->retired = true;
        if (next)
            sim_store_delete(&stores[i], next->key);
    }
    sim_database_commit(&a->db);
    must_be_kept_out(a, heads);
}

static void let_requests_cost_money(void)
{
    for (size_t i = 0; i < STORES; i++)
        stores[i].costs = true;
    hosts_put_freely = true;
}

void world_scenario_packed_away_for_money(const char *folder)
{
    let_requests_cost_money();
    world_scenario_packed_away(folder);
}

void world_scenario_packed_by_clone_for_money(const char *folder)
{
    let_requests_cost_money();
    world_scenario_packed_by_clone(folder);
}

void world_scenario_slow_answer(const char *folder)
{
    struct host *a = prepare_sleeper(folder);
    const uint64_t heads[STORES] = {published[0].head, published[1].head};
    stray_allowed = true;
    stores[0].before_put = others_continue; /* the daemon is suspended just before it sends its request */
    sim_database_commit(&a->db);
    must_be_kept_out(a, heads);
}

/* The store has the object, and the machine is suspended before the writer reads the answer. Another writer takes over,
 * finds that object as the head, and continues after it: the object belongs to the other writer now. */
static void taken_over_behind(void)
{
    take_over_elsewhere();
    true_ms += GRACE_MS / 2 + 1000;
}

void world_scenario_heir(const char *folder)
{
    struct host *a = prepare_sleeper(folder);
    stores[0].after_put = taken_over_behind;
    sim_database_commit(&a->db);
    let_run(a, 200);
    NEED(published[0].writer_count == 2, "no other writer took over");
    published_check(&stores[0], 100);
}

/* For a moment a store shows no objects. Nothing is lost, so nothing may be sent again, whether a look, the question
 * for the head or attach lists the store in that moment. The moment is shorter than the time after which a loss is
 * confirmed. */
void world_scenario_blind(const char *folder)
{
    struct host *a = prepare_sleeper(folder);
    for (int n = 0; n < 12; n++) {
        struct lane *l = &a->process.db->lanes.list[0];
        if (n % 2 == 0)
            look_ask(&l->look, true_ms);
        else
            lane_ask(l, LANE_ASK_AGAIN, true_ms);
        stores[0].blind_until = true_ms + 38;
        let_run(a, 150);
        NEED(a->alive, "the daemon ended");
        NEED(published[0].epoch_count == 1 && published[0].base_count == 0,
             "the store showed no objects for a moment, and everything was sent again");
    }
    sim_database_commit(&a->db);
    let_run(a, 100);
    published_check(&stores[0], 100);
}

/* Two writers continue one replica: the first is suspended while the other takes over. Then all objects are lost, and
 * both notice it. One of them continues, and the other must end in a conflict. */
void world_scenario_emptied(const char *folder)
{
    struct host *a = prepare_sleeper(folder);
    struct host *b = continue_elsewhere();
    uint64_t head = published[0].head;
    for (size_t i = 0; i < STORES; i++) {
        while (stores[i].count > 0)
            sim_store_delete(&stores[i], stores[i].objects[0].key);
        published[i].loses = 1;
        published[i].ailing = true;
    }
    for (unsigned i = 0; i < 300 && b->alive; i++) { /* the second writer begins again; then the first one looks */
        for (size_t k = 0; k < STORES && i == 0; k++)
            look_ask(&b->process.db->lanes.list[k].look, true_ms);
        let_run(b, 1);
    }
    NEED(b->alive && published[0].head > head, "the heir did not begin again");
    for (size_t k = 0; k < STORES; k++)
        lane_ask(&a->process.db->lanes.list[k], LANE_ASK_AGAIN, true_ms);
    let_run(a, 300);
    NEED(!a->alive, "the first writer goes on beside the heir");
    sim_database_commit(&b->db);
    let_run(b, 200);
    NEED(b->alive, "the heir ended");
    for (size_t i = 0; i < STORES; i++)
        published_check(&stores[i], 0);
}

/* The daemon has no watch: it gave the watch up without a guard, or could not take it after a reset. Until the daemon
 * looks, the application commits, resets the WAL and commits again. The WAL does not continue what was captured, so all
 * pages must be compared. `turns`: after a few turns the last commit is captured; after many the daemon has reset the
 * WAL at rest. */
static void meet_unwatched_reset(struct host *a, unsigned turns)
{
    sim_database_commit(&a->db);
    let_run(a, turns);
    struct local *l = (struct local *)(uintptr_t)a->process.local;
    l->watch.active = -1;
    l->watch.guarded = l->watch.unbroken = false;
    sim_database_commit(&a->db);
    sim_database_reset(a->db.files, false);
    sim_database_commit(&a->db);
    let_run(a, 200);
    NEED(a->alive, "the daemon ended");
    for (size_t i = 0; i < STORES; i++)
        published_check(&stores[i], 100);
}

void world_scenario_unwatched(const char *folder)
{
    struct host *a = prepare_sleeper(folder);
    for (unsigned turns = 1; turns <= 40; turns++)
        meet_unwatched_reset(a, turns);
    meet_unwatched_reset(a, 200);
}

/* A copy of the replica lost the times of its files. All objects are young, and retention must take no restore point. */
void world_scenario_touched(const char *folder)
{
    struct host *a = prepare_sleeper(folder);
    for (unsigned n = 0; n < 40; n++) {
        sim_database_commit(&a->db);
        let_run(a, 30);
    }
    NEED(a->alive, "the daemon ended");
    for (size_t i = 0; i < STORES; i++) {
        const size_t before = stores[i].count;
        world_touch(&stores[i], 0);
        world_prune(&stores[i]);
        NEED(stores[i].count == before, "of %zu young objects with old file times %zu were deleted in %s", before,
             before - stores[i].count, stores[i].url);
        published_check(&stores[i], 100);
    }
}

/* The operator removes a replica. */
static void remove_replica(struct sim_store *s)
{
    struct published *p = published_of(s);
    while (s->count > 0)
        sim_store_delete(s, s->objects[0].key);
    memset(p->points, 0, p->point_cap * sizeof *p->points);
    *p = (struct published){.points = p->points, .point_cap = p->point_cap};
}

/* A replica is removed, and another database begins one at its place, with the same txids. A reader in a read transaction
 * takes no page of it, one that begins a transaction sees it and can tell, and a copy stays what it is until someone makes it
 * start over. */
void world_scenario_begun_over(const char *folder)
{
    enum { FOLLOWS, STAYS };
    const struct moment newest = {.kind = MOMENT_NEWEST};
    struct host *a = prepare_sleeper(folder);
    copies_begin(folder, &stores[0]);
    for (unsigned i = 0; i < 6; i++) {
        sim_database_commit(&a->db);
        let_run(a, 40);
    }
    NEED(copies_follow_until_current(false) == ERR_NONE, "the follower failed");
    NEED(reader_slot_open(FOLLOWS, &stores[0], &newest, true) && reader_slot_open(STAYS, &stores[0], &newest, false),
         "the newest state can't be opened");
    reader_slot_begin(FOLLOWS);
    reader_slot_begin(STAYS);
    const uint64_t head = published[0].head;
    const uint32_t history = reader_slot_history(FOLLOWS);
    reader_slot_read(FOLLOWS, 1);
    host_kill(a, false);
    for (size_t i = 0; i < STORES; i++) /* a replica that is left would say with which txid to go on */
        remove_replica(&stores[i]);
    unlink(a->state_path);
    a->lost = true;
    host_make_database(a, 512);
    host_start(a, true);
    let_run(a, 200);
    while (published[0].head < head) {
        sim_database_commit(&a->db);
        let_run(a, 100);
        NEED(a->alive, "the daemon ended");
    }
    NEED(published[0].points[head].is, "the other history has no restore point with this txid");
    for (uint32_t pgno = 1; pgno <= reader_slot_pages(STAYS); pgno++) {
        reader_slot_read(STAYS, pgno);
        reader_slot_read(FOLLOWS, pgno);
    }
    true_ms += 10000;
    reader_slot_begin(FOLLOWS);
    NEED(reader_slot_txid(FOLLOWS) == published[0].head && reader_slot_history(FOLLOWS) != history,
         "a reader does not see the history that was begun over");
    reader_slot_read(FOLLOWS, 1);
    NEED(copies_follow_until_current(false) == ERR_CONFLICT, "the copy became another history by itself");
    NEED(copies_follow_until_current(true) == ERR_NONE, "the copy does not start over");
    copies_check_newest();
}

static void must_have_newest(const struct host *a)
{
    NEED(a->alive, "the daemon ended");
    for (size_t i = 0; i < STORES; i++) {
        const struct published *p = &published[i];
        NEED(p->points[p->head].serial == a->db.serial, "P2: %s ends with state %zu, the application with %zu",
             stores[i].url, p->points[p->head].serial, a->db.serial);
        published_check(&stores[i], 100);
    }
}

static void stop_and_wait(struct host *a)
{
    database_stop(a->process.db);
    let_run(a, 500);
    NEED(!a->alive, "the daemon does not stop");
}

/* While no daemon runs, the application commits, and its WAL stays. The database file has its stamp, so the next daemon
 * reads no page to compare it, and each of these commits is a restore point. */
static void follow_from_first_frame(struct host *a, unsigned commits)
{
    const uint64_t head = published[0].head;
    stop_and_wait(a);
    true_ms += 5000;
    for (unsigned i = 0; i < commits; i++)
        sim_database_commit(&a->db);
    host_start(a, false);
    let_run(a, 300);
    must_have_newest(a);
    NEED(a->process.local->resyncs == 0, "all pages were compared although the database file was not written");
    NEED(published[0].head == head + commits, "%u commits are %" PRIu64 " restore points", commits,
         published[0].head - head);
}

/* While no daemon runs, the application writes the file, sets its mtime back, and commits into a new WAL. */
static void write_unseen(struct host *a)
{
    struct files *f = a->db.files;
    stop_and_wait(a);
    true_ms += 5000;
    const int64_t mtime_ns = f->mtime_ns;
    sim_database_commit(&a->db);
    sim_database_reset(f, true);
    f->mtime_ns = mtime_ns;
    sim_database_commit(&a->db);
    host_start(a, false);
    let_run(a, 300);
    must_have_newest(a);
}

/* Within one tick of the kernel's clock a file is written, a stamp is taken if the program allows it, the daemon dies,
 * and the application writes the file again and sets its mtime back. */
static void write_twice_in_a_tick(struct host *a)
{
    struct files *f = a->db.files;
    struct local *l = (struct local *)(uintptr_t)a->process.local;
    f->ctime_ns = world_clock_ms(0) / TICK_MS * TICK_MS * 1000000;
    const int64_t mtime_ns = f->mtime_ns, ctime_ns = f->ctime_ns;
    running = &a->process;
    (void)capture_stamp(&l->capture);
    running = NULL;
    host_kill(a, false);
    sim_database_commit(&a->db);
    sim_database_reset(f, true);
    f->mtime_ns = mtime_ns;
    NEED(f->ctime_ns == ctime_ns, "the clock moved");
    host_start(a, false);
    let_run(a, 300);
    must_have_newest(a);
}

/* A file system that keeps whole seconds. */
static void write_twice_in_a_second(struct host *a)
{
    struct files *f = a->db.files;
    struct local *l = (struct local *)(uintptr_t)a->process.local;
    f->ctime_ns = world_clock_ms(0) / 1000 * 1000 * 1000000;
    running = &a->process;
    true_ms += 900;
    NEED(!capture_stamp(&l->capture), "a stamp is taken in the second in which the file was written");
    true_ms += 2100;
    NEED(capture_stamp(&l->capture), "no stamp is taken of a file that was written seconds ago");
    running = NULL;
}

void world_scenario_stamped(const char *folder)
{
    struct host *a = prepare_sleeper(folder);
    for (unsigned commits = 0; commits < 4; commits++)
        follow_from_first_frame(a, commits);
    for (unsigned i = 0; i < 4; i++)
        write_unseen(a);
    for (unsigned i = 0; i < 4; i++)
        write_twice_in_a_tick(a);
    write_twice_in_a_second(a);
}

/* Without a daemon the application commits, and resets the WAL, which keeps its frames. The next daemon compares all pages.
 * Then a writer dies, and the recovery of the wal-index brings the frames back. What was committed in them is in the
 * replica already, and older states must not follow it. */
static void bring_frames_back(struct host *a, unsigned turns)
{
    stop_and_wait(a);
    true_ms += 5000;
    for (unsigned i = 0; i < 3; i++)
        sim_database_commit(&a->db);
    sim_database_reset(a->db.files, false);
    host_start(a, false);
    let_run(a, turns);
    a->db.files->torn = true;
    let_run(a, 200);
    sim_database_commit(&a->db);
    let_run(a, 200);
    must_have_newest(a);
}

void world_scenario_came_back(const char *folder)
{
    struct host *a = prepare_sleeper(folder);
    for (unsigned turns = 1; turns <= 40; turns++)
        bring_frames_back(a, turns);
    bring_frames_back(a, 200);
}

static void lose_last_txid(struct sim_store *s, uint64_t txid)
{
    for (size_t i = 0; i < s->count;) {
        const struct name name = name_parse(s->objects[i].key);
        if (name.max == txid || (name.kind == NAME_LEVEL0 && name.min == txid))
            sim_store_delete(s, s->objects[i].key);
        else
            i++;
    }
}

/* The newest txid is lost after a copy got it, and the daemon begins a new history, whose pages come with a base. Until that
 * is complete, only an older state can be restored. The copy stays where it is. */
void world_scenario_follows_on(const char *folder)
{
    struct host *a = prepare_sleeper(folder);
    const struct published *p = &published[0];
    copies_begin(folder, &stores[0]);
    for (unsigned i = 0; i < 6; i++) {
        sim_database_commit(&a->db);
        let_run(a, 40);
    }
    NEED(copies_follow_until_current(false) == ERR_NONE, "the follower failed");
    stop_and_wait(a);
    const uint64_t head = p->head;
    lose_last_txid(&stores[0], head);
    sim_database_commit(&a->db);
    host_start(a, false);
    for (unsigned i = 0; i < 500 && p->head == head; i++)
        let_run(a, 1);
    NEED(p->head > head && p->epochs[p->epoch_count - 1].base_only, "no new history waits for its base");
    host_kill(a, false);
    const uint64_t txid = copies_follow_for(20);
    NEED(txid == head, "the copy went from txid %" PRIu64 " to %" PRIu64, head, txid);
    host_start(a, false);
    let_run(a, 500);
    NEED(copies_follow_until_current(false) == ERR_NONE, "the follower failed after the base had come");
    copies_check_newest();
}
