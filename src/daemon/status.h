/* daemon/status.h - what the daemon knows of a database, as the JSON object that seawall(1) describes under "seawall
 * status". */
#ifndef SEAWALL_DAEMON_STATUS_H
#define SEAWALL_DAEMON_STATUS_H

#include "base/json.h"
#include "daemon/member.h"

/* The document, owned by the caller. Main thread only. Whoever answers formats it: the control socket as a line,
 * `seawall status --metrics` as figures. Nothing that a running job owns is read: the lanes have what was last seen. */
struct json *status_of(const struct database *db, const struct verification *verification);

/* The same in one line for the service manager: the worst condition, the replica that it is of, and its error. It does
 * not change with each commit: a replica that works, and is behind for less than five seconds, counts as following. */
void status_line(const struct database *db, const struct verification *verification, char *out, size_t out_max);

/* The age of the oldest captured commit that is not durable in a replica of the database, and the bytes of the pages that
 * the replica lacks that is most behind. `wall_ms`: now. */
uint64_t status_lag(const struct database *db, int64_t wall_ms, int64_t *ret_lag_ms);

/* status_of for a member, which may be closed: then "state" is "closed", and "error" says why. */
struct json *status_of_member(const struct member *m);

#endif
