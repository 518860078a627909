/* cli/sync.c - `seawall sync`. */
#include "base/clock.h"
#include "base/units.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "config/find.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TIMEOUT_MS 60000

struct request {
    struct client_request at;
    int64_t timeout_ms; /* or EXCHANGE_NEVER */
    bool json;
};

/* A bare number is seconds. */
static bool read_timeout(const char *value, void *request)
{
    struct request *r = request;
    uint64_t n = 0, most = INT64_MAX / 2 / 1000;
    bool seconds = units_parse(value, UNITS_NONE, &n), never = strcmp(value, "never") == 0;
    if (!never && !seconds && !units_parse(value, UNITS_MS, &n))
        return false;
    r->timeout_ms = never ? EXCHANGE_NEVER : (int64_t)(n > most ? most : n) * (seconds ? 1000 : 1);
    return true;
}

static int print_durable(const struct request *r, const char *db, int64_t txid, struct err *e)
{
    if (!r->json) {
        text_print("durable at txid %" PRId64 "\n", txid);
        return 0;
    }
    struct json *j = json_object_new();
    json_set_text(j, "database", db);
    json_set_text(j, "state", "durable");
    json_set_number(j, "txid", txid);
    return cli_print_json(j, e);
}

/* Waits until the database is durable. *ret_txid: its newest transaction. */
static int ask_durable(const struct request *r, const struct client_target *t, int64_t *ret_txid, struct err *e)
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
    }
    *ret_txid = txid;
    json_free(answer);
    return rc;
}

static int sync_database(const struct request *r, const struct client_target *t, struct err *e)
{
    int64_t txid = 0;
    return ask_durable(r, t, &txid, e) || print_durable(r, t->db, txid, e) ? -1 : 0;
}

/* ---- all databases of a daemon */

struct outcome {
    size_t databases, durable, asleep;
    struct json *failed; /* a list */
    int code;            /* exit code of the last that failed */
};

/* What sleeps has everything in its replicas: it was looked at just now. */
static int sync_one_of_all(const struct request *r, const struct client_target *all, const struct json *status,
                           struct outcome *o)
{
    const char *path = json_get_text(status, "database"), *state = json_get_text(status, "state");
    struct client_target one = {.db = path, .config = all->config, .control = all->control};
    struct err e;
    o->databases++;
    if (state && strcmp(state, "asleep") == 0) {
        o->asleep++;
        o->durable++;
        return 0;
    }
    int rc = path ? ask_durable(r, &one, &(int64_t){0}, &e) : err_set(&e, ERR_REMOTE, 0, "a database without a path");
    if (rc == 0) {
        o->durable++;
        return 0;
    }
    o->code = cli_fail(&e);
    struct json *j = json_object_new();
    json_set_text(j, "database", path ? path : "");
    json_set_text(j, "error", e.msg);
    json_push(o->failed, j);
    return e.code == ERR_CANCELED || e.code == ERR_TIMEOUT ? -1 : 0;
}

static int print_outcome(const struct request *r, const struct outcome *o, struct err *e)
{
    if (!r->json) {
        text_print("%zu of %zu databases are durable; %zu of them sleep\n", o->durable, o->databases, o->asleep);
        return 0;
    }
    struct json *j = json_object_new();
    json_set_number(j, "databases", (int64_t)o->databases);
    json_set_number(j, "durable", (int64_t)o->durable);
    json_set_number(j, "asleep", (int64_t)o->asleep);
    json_set(j, "failed", json_share(o->failed));
    return cli_print_json(j, e);
}

static int code_of(const struct outcome *o)
{
    if (o->durable == o->databases)
        return EXIT_DONE;
    return o->durable > 0 && o->code != EXIT_TIMEOUT ? EXIT_SOME_FAILED : o->code;
}

static int64_t left_ms(const struct request *r, int64_t until_ms)
{
    const int64_t left = until_ms - clock_mono_ms();
    return r->timeout_ms == EXCHANGE_NEVER ? EXCHANGE_NEVER : left > 0 ? left : 0;
}

/* No daemon has them all: each may have its own. */
static int list_members(const struct config *config, struct json *list, struct err *e)
{
    struct config_members m;
    if (config_find_members(config, NULL, &m, e))
        return -1;
    for (size_t i = 0; i < m.count; i++) {
        struct json *one = json_object_new();
        json_set_text(one, "database", m.list[i].path);
        json_push(list, one);
    }
    config_members_release(&m);
    return 0;
}

/* Each database has what is left of the time. */
static int sync_all(const struct request *given, const struct client_target *all, const struct config *config,
                    struct err *e)
{
    const int64_t until_ms = given->timeout_ms == EXCHANGE_NEVER ? 0 : clock_mono_ms() + given->timeout_ms;
    struct request r = *given;
    struct outcome o = {.failed = json_list_new(), .code = EXIT_DONE};
    struct json *looked = NULL, *list = json_list_new();
    int rc = client_ask(all, "look", r.timeout_ms, &looked, e);
    json_free(looked);
    if (rc == 0)
        rc = client_ask_all(all, left_ms(given, until_ms), list, e);
    else if (e->code == ERR_BUSY)
        rc = list_members(config, list, e);
    for (size_t i = 0, ended = 0; rc == 0 && !ended && i < json_count(list); i++) {
        r.timeout_ms = left_ms(given, until_ms);
        ended = sync_one_of_all(&r, all, json_at(list, i), &o) != 0;
    }
    if (rc == 0)
        o.databases = json_count(list);
    if (rc == 0)
        rc = print_outcome(given, &o, e);
    int code = rc != 0 ? cli_fail(e) : code_of(&o);
    json_free(list);
    json_free(o.failed);
    return code;
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
    int rc = cli_read_config(r.at.config_path, &config, &e);
    if (rc == 0 && config && !r.at.db && config_is_of_many(config)) {
        target = (struct client_target){.config = r.at.config_path, .control = cli_control(r.at.control, config)};
        code = sync_all(&r, &target, config, &e);
        config_free(config);
        return code;
    }
    config_free(config);
    config = NULL;
    if (rc == 0)
        rc = client_find_target(&r.at, &config, &target, &e);
    if (rc == 0)
        rc = sync_database(&r, &target, &e);
    config_free(config);
    return rc ? cli_fail(&e) : EXIT_DONE;
}

static const struct flag flags[] = {
    FLAG_CONFIG(struct request, at.config_path,
                "configuration file that has the database; without DB all databases of its daemon"),
    FLAG_CONTROL(struct request, at.control),
    {.name = "timeout",
     .kind = FLAG_READ,
     .read = read_timeout,
     .value_name = "TIME|never",
     .expects = "a time, as in 30 (seconds), 500ms or 5m, or never",
     .help = "how long to wait: seconds, or with a unit (500ms, 5m), or never; default: 60"},
    {.name = "json", FLAG_INTO(struct request, json), .help = "one JSON object: database, state, txid"},
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
