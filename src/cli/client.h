/* cli/client.h - asks the daemon of a database, through its control socket (daemon/control.h). */
#ifndef SEAWALL_CLI_CLIENT_H
#define SEAWALL_CLI_CLIENT_H

#include "base/json.h"

#define CLIENT_NEVER INT64_MAX /* no limit of time */

/* Sends a command and waits for the answer, which the caller frees. `db`: path of the database, links allowed.
 * ERR_BUSY: no daemon can be asked; the message says why, with a hint. ERR_TIMEOUT. ERR_CANCELED: SIGINT or SIGTERM came; they are
 * caught while it waits. ERR_IO, ERR_REMOTE: the daemon ended, or said no. */
int client_ask(const char *db, const char *command, int64_t timeout_ms, struct json **ret_answer,
               struct err *e) MUST_CHECK;

#endif
