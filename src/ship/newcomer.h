/* ship/newcomer.h - a database that is missing, empty or almost so, and whose replica has a history that is not its
 * own. Most likely a volume was lost, and the application is about to begin again, or has just begun. Then nothing may
 * happen as if all were well: the daemon ends, or does not begin, and a person or a script chooses between a restore
 * and a take-over. */
#ifndef SEAWALL_SHIP_NEWCOMER_H
#define SEAWALL_SHIP_NEWCOMER_H

#include "base/err.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Asks the replicas of a database that does not exist, and has no state file. ERR_CONFLICT with CONFLICT_NEWCOMER: one
 * of them has a history. ERR_CANCELED: *cancel became true. Other errors: a replica can't be asked, and none of those
 * that can has a history. */
int newcomer_check(const char *db_path, const char *const *urls, size_t count, const atomic_bool *cancel,
                   struct err *e) MUST_CHECK;

/* Whether the database at `db_path` is so small beside a replica of `replica_bytes` that it has just begun: it is empty,
 * or less than an eighth, its -wal included. */
bool newcomer_is_small(const char *db_path, uint64_t replica_bytes);

/* Sets ERR_CONFLICT with CONFLICT_NEWCOMER for a replica with a history, and the two commands to choose from as a hint.
 * Returns -1. */
int newcomer_refuse(const char *db_path, const char *url, struct err *e);

#endif
