/* property/scenarios.c - cases that random steps reach too rarely, step by step. */
#include "hosts.h"
#include "published.h"
#include "world.h"

#include <inttypes.h>

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

/* Another host, with the same database, takes the replicas over and continues them. */
static struct host *continue_elsewhere(void)
{
    struct host *b = host_new();
    const struct truth *t = &truths[hosts[0].db.serial];
    NEED(b, "no room for another host");
    sim_database_replace(&b->db, host_number(b), t->bytes, t->pages, t->page_size, hosts[0].db.serial);
    host_start(b, true);
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
