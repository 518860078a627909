/* ship/base_journal.h - a file beside the state file that lists the chunks of a base that were put. With it a later
 * process goes on with the base where an earlier one ended.
 *
 * A chunk is noted after it was put, and never changes. So each record stays true whatever happens to the machine. A
 * chunk whose record is torn or missing is put again. So nothing is synced, and a failed write costs only a base that
 * starts over: functions report no errors. */
#ifndef SEAWALL_SHIP_BASE_JOURNAL_H
#define SEAWALL_SHIP_BASE_JOURNAL_H

#include "base/path.h"
#include "cargo/copy.h"
#include "state/identity.h"

/* The path of the journal of a replica. `replica`: its index in the state file. "" if the path is too long. */
void base_journal_path(const char *state_path, uint32_t replica, char out[PATH_TEXT_MAX]);

/* Makes the journal of a base that begins, or empties it. Precondition: terms->kind is COPY_BASE. */
void base_journal_begin(const char *path, const struct identity_replica *replica, const struct copy_terms *terms);

/* Notes that the chunk with this index was put. */
void base_journal_note(const char *path, unsigned index, const struct listed *chunk);

/* Removes the journal of a base that is complete or given up. */
void base_journal_forget(const char *path);

/* Returns the unfinished base of an earlier process. The caller releases it with copy_release. Its kind is COPY_NONE if
 * the file has no base of this replica. */
struct copy base_journal_load(const char *path, const struct identity_replica *replica);

#endif
