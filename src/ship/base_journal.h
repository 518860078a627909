/* ship/base_journal.h - which chunks of a base are put: a file beside the state file, so that a base goes on where the process
 * that wrote it ended.
 *
 * What it says is true whatever becomes of the machine: a chunk is noted after it was put, and it never changes. What is torn or
 * missing is put again. So nothing is synced, and an error costs a base that begins anew. */
#ifndef SEAWALL_SHIP_BASE_JOURNAL_H
#define SEAWALL_SHIP_BASE_JOURNAL_H

#include "base/path.h"
#include "cargo/copy.h"
#include "state/identity.h"

void base_journal_path(const char *state_path, uint32_t replica, char out[PATH_TEXT_MAX]);

/* A base of this replica begins. */
void base_journal_begin(const char *path, const struct identity_replica *replica, const struct copy_terms *terms);
void base_journal_note(const char *path, unsigned index, const struct listed *chunk);

/* The base as far as an earlier run came, to be released by the caller. COPY_NONE: this replica has none. */
struct copy base_journal_load(const char *path, const struct identity_replica *replica);

#endif
