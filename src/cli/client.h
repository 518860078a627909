/* cli/client.h - sends a command to the daemon of a database, through its control socket (daemon/control.h). */
#ifndef SEAWALL_CLI_CLIENT_H
#define SEAWALL_CLI_CLIENT_H

#include "base/json.h"
#include "base/path.h"
#include "config/file.h"
#include "control/exchange.h"

/* What a user gave on the command line. */
struct client_request {
    const char *db, *config_path, *control;
};

struct client_target {
    const char *db;      /* links are followed; NULL: all databases of the daemon of `config` */
    const char *config;  /* path of the configuration; its daemon is asked if there is none of `db` alone. NULL: none */
    const char *control; /* the folder of the socket; NULL: the folders that daemons use by default */
    char path[PATH_TEXT_MAX]; /* of the database in that configuration; "": as `db` */
    const char *const *urls;  /* of the replicas of a database that is to be added; borrowed */
    size_t url_count;
    struct err unlisted; /* unless its code is ERR_NONE: the configuration does not have the database; its daemon may */
};

/* Finds the database that the user named: with a configuration file, `db` is a path in it, or NULL for its only one.
 * `config_path`, `control`: as given, or NULL. A daemon of many may have a database that the file does not have: then
 * client_ask fails with the error of the file, if it has not. *ret_target points into the arguments and into *ret_config, which the
 * caller frees with config_free in any case; it is NULL without a file. ERR_CONFIG. */
int client_find_target(const struct client_request *r, struct config **ret_config, struct client_target *ret_target,
                       struct err *e) MUST_CHECK;

/* Sends a command ("status", "sync", "base") to the daemon of a database, or to that of a configuration if t->db is NULL
 * ("reload", or with t->path "add" and "remove"), and waits up to `timeout_ms` for the answer, or without a limit with
 * EXCHANGE_NEVER. The caller frees *ret_answer with json_free. SIGINT and SIGTERM are caught
 * during the call. Precondition: timeout_ms >= 0. ERR_BUSY: no daemon can be asked here; the message says why, with a
 * hint. ERR_TIMEOUT: no answer in time. ERR_CANCELED: a signal came. ERR_IO: the daemon ended. ERR_REMOTE: the daemon
 * refused. ERR_CORRUPT: the answer is not JSON. */
int client_ask(const struct client_target *t, const char *command, int64_t timeout_ms, struct json **ret_answer,
               struct err *e) MUST_CHECK;

/* Sends a command whose answer is a state, and prints that: the word alone, or one JSON object with the database, or the
 * configuration if all of it is meant. Otherwise as client_ask; ERR_REMOTE also if the answer has no state. */
int client_ask_state(const struct client_target *t, const char *command, int64_t timeout_ms, bool as_json,
                     struct err *e) MUST_CHECK;

/* Asks the daemon of a configuration for the status of all its databases; t->db is NULL. Adds a document for each to
 * `list`, in the order of the daemon. Otherwise as client_ask. */
int client_ask_all(const struct client_target *t, int64_t timeout_ms, struct json *list, struct err *e) MUST_CHECK;

#endif
