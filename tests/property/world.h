/* property/world.h - hosts, their databases and daemons, and what must be true of the replicas after every step. */
#ifndef PROPERTY_WORLD_H
#define PROPERTY_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Runs steps first..count-1 of a seed, but for those that `skip` names, then lets everything settle and checks all of it. Each step
 * has its own luck: leaving one out leaves the others what they were. Ends the process when a promise breaks. */
void world_run(const char *folder, uint64_t seed, size_t count, const bool *skip);

/* Holes that luck meets too seldom, built by hand. */
void world_scenario_sleeper(const char *folder);
void world_scenario_slow_answer(const char *folder);
void world_scenario_heir(const char *folder);

struct world_figures {
    uint64_t steps, kills, power_cuts, restores, commits, objects, levels, patches, bases, deleted;
};
extern struct world_figures world_figures;

#endif
