/* property/world.h - runs hosts, databases, daemons and stores by a seed, and checks the replicas after every step. */
#ifndef PROPERTY_WORLD_H
#define PROPERTY_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Runs steps 0 to count - 1 of a seed, except those with skip[step] (NULL: none is skipped). Then all faults end, and
 * everything is checked. Each step has its own random numbers, so skipping one does not change the others. Ends the
 * process when a promise breaks. */
void world_run(const char *folder, uint64_t seed, size_t count, const bool *skip);

/* The cases of scenarios.c. */
void world_scenario_sleeper(const char *folder);
void world_scenario_slow_answer(const char *folder);
void world_scenario_packed_away(const char *folder);
void world_scenario_packed_by_clone(const char *folder);
void world_scenario_packed_away_for_money(const char *folder);
void world_scenario_packed_by_clone_for_money(const char *folder);
void world_scenario_heir(const char *folder);
void world_scenario_blind(const char *folder);
void world_scenario_emptied(const char *folder);
void world_scenario_unwatched(const char *folder);
void world_scenario_touched(const char *folder);
void world_scenario_stamped(const char *folder);
void world_scenario_begun_over(const char *folder);
void world_scenario_came_back(const char *folder);
void world_scenario_follows_on(const char *folder);

/* Sets what the store's listing says about the time of each object. */
struct sim_store;
struct host;
void world_touch(struct sim_store *s, int64_t listed_ms);
/* `seawall restore` of the newest point on another host; NULL: there is no room for one. */
struct host *world_restore(struct sim_store *s);
/* `seawall prune` with the policy of the daemon. */
void world_prune(struct sim_store *s);

struct world_figures {
    uint64_t steps, kills, power_cuts, restores, commits, objects, levels, patches, bases, interiors, packs, sleeps,
        deleted, guarded_resets, losses, pages_read, turns, looks, follower_kills;
};
extern struct world_figures world_figures;

#endif
