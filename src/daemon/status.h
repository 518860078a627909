/* daemon/status.h - what the daemon knows of a database, as the JSON object that seawall(1) describes under "seawall status". */
#ifndef SEAWALL_DAEMON_STATUS_H
#define SEAWALL_DAEMON_STATUS_H

#include "base/json.h"
#include "daemon/verification.h"

/* The document, owned by the caller. Main thread only. Whoever answers formats it: the control socket as a line, `seawall
 * status --metrics` as figures. Nothing that a running job owns is read: the lanes have what was last seen. */
struct json *status_of(const struct database *db, const struct verification *verification);

#endif
