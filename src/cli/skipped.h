/* cli/skipped.h - says which restore points a search by time skipped because of a clock that was wrong. */
#ifndef SEAWALL_CLI_SKIPPED_H
#define SEAWALL_CLI_SKIPPED_H

#include "replica/skipped.h"

#include <stdio.h>

/* Says what was skipped for `time_ms`, and how to get it. `head`: which database it is, if there are several; or "".
 * `txid`: the restore point that was found. Says nothing if nothing was skipped and everything could be read. */
void skipped_tell(FILE *out, const char *head, int64_t time_ms, uint64_t txid, const struct skipped *s);

/* Lists the replica at `url`, and says on stderr what skipped_tell says, or why that is not known. */
void skipped_tell_of(const char *url, int64_t time_ms, uint64_t txid);

#endif
