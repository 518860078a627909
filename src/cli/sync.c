/* cli/sync.c - `seawall sync`. */
#include "base/units.h"
#include "cli/cli.h"
#include "cli/client.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TIMEOUT_MS 60000

struct request {
    struct client_request at;
    int64_t timeout_ms; /* or CLIENT_NEVER */
};

/* A bare number is seconds. */
static bool read_timeout(const char *value, void *request)
{
    struct request *r = request;
    uint64_t n = 0, most = INT64_MAX / 2 / 1000;
    bool seconds = units_parse(value, UNITS_NONE, &n), never = strcmp(value, "never") == 0;
    if (!never && !seconds && !units_parse(value, UNITS_MS, &n))
        return false;
    r->timeout_ms = never ? CLIENT_NEVER : (int64_t)(n > most ? most : n) * (seconds ? 1000 : 1);
    return true;
}

static int sync_database(const struct request *r, const struct client_target *t, struct err *e)
{
    const char *db = t->db;
    struct json *answer = NULL;
    int64_t txid = 0;
    if (client_ask(t, "sync", r->timeout_ms, &answer, e)) {
        if (e->code == ERR_TIMEOUT)
            err_hint(e, "some commits are not durable in every replica yet; 'seawall status' shows why");
        return -1;
    }
    const char *state = json_get_text(answer, "state");
    bool conflict = state && strcmp(state, "conflict") == 0, durable = state && strcmp(state, "durable") == 0;
    int rc = 0;
    if (!json_get_number(answer, "txid", &txid) || (!durable && !conflict)) {
        rc = err_set(e, ERR_REMOTE, 0, "database '%s': malformed answer from the daemon", db);
    } else if (conflict) {
        const char *error = json_get_text(answer, "conflict");
        const char *hint = error ? strstr(error, TEXT_HINT) : NULL; /* that one is for the daemon's log */
        const int length = error ? (int)(hint ? (size_t)(hint - error) : strlen(error)) : 0;
        err_set(e, ERR_CONFLICT, 0,
                "database '%s': a replica belongs to another writer; the others are durable at txid %" PRId64 "%s%.*s",
                db, txid, length > 0 ? ": " : "", length, error ? error : "");
        rc = err_hint(e, "'seawall status' shows which one");
    } else {
        text_print("durable at txid %" PRId64 "\n", txid);
    }
    json_free(answer);
    return rc;
}

static int cmd_sync(int argc, char **argv)
{
    struct request r = {.timeout_ms = TIMEOUT_MS};
    struct client_target target;
    struct config *config = NULL;
    struct err e;
    int code = EXIT_DONE;
    if (!cli_parse(&sync_command, argc, argv, &r, &code))
        return code;
    int rc = client_find_target(&r.at, &config, &target, &e);
    if (rc == 0)
        rc = sync_database(&r, &target, &e);
    config_free(config);
    return rc ? cli_fail(&e) : EXIT_DONE;
}

static const struct flag flags[] = {
    FLAG_CONFIG(struct request, at.config_path,
                "configuration file that has the database; DB can be left out if it is the only one"),
    FLAG_CONTROL(struct request, at.control),
    {.name = "timeout",
     .kind = FLAG_READ,
     .read = read_timeout,
     .value_name = "TIME|never",
     .expects = "a time, as in 30 (seconds), 500ms or 5m, or never",
     .help = "how long to wait: seconds, or with a unit (500ms, 5m), or never; default: 60"},
};

static const struct word words[] = {
    WORD_DATABASE(struct request, at.db, WORD_OR_CONFIG),
};

const struct command sync_command = {
    .name = "sync",
    .works_without_output = true,
    .run = cmd_sync,
    .example = "sync DB",
    .summary = "wait until all commits are durable in every replica",
    .arguments = "[DB]",
    .description =
        "Returns when every transaction that was committed before the call is durable in every replica. Exits "
        "with 7 if that takes too long, with 6 if a replica belongs to another writer, with 1 if no daemon "
        "runs.\n",
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
    .words = words,
    .word_count = sizeof words / sizeof words[0],
};
