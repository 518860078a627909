/* daemon/status.h - what the daemon knows of a database, as the JSON object that seawall(1) describes under "seawall status". */
#ifndef SEAWALL_DAEMON_STATUS_H
#define SEAWALL_DAEMON_STATUS_H

#include "base/json.h"
#include "daemon/verification.h"

/* On the scheduler's thread; what a running job owns is not looked at. */
struct json *status_of(const struct database *db, const struct verification *verification);

#endif
