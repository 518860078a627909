/* cli/sync.c - `seawall sync`. */
#include "base/units.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "config/file.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TIMEOUT_MS 60000

struct request {
    const char *db, *config_path;
    int64_t timeout_ms;
    bool help;
};

/* A bare number is seconds here. */
static bool parse_timeout(const char *text, int64_t *ret_ms)
{
    uint64_t n = 0;
    bool seconds = cli_parse_number(text, &n);
    if (text && strcmp(text, "never") == 0) {
        *ret_ms = CLIENT_NEVER;
        return true;
    }
    if (!seconds && (!text || !units_parse(text, UNITS_MS, &n)))
        return false;
    uint64_t most = INT64_MAX / 2 / 1000;
    *ret_ms = (int64_t)(n > most ? most : n) * (seconds ? 1000 : 1);
    return true;
}

static int parse(int argc, char **argv, struct request *r)
{
    struct args args = args_of(argc, argv);
    const char *word = NULL;
    enum args_kind kind;
    while ((kind = args_next(&args, &word)) != ARGS_END) {
        if (kind == ARGS_WORD) {
            if (r->db)
                return cli_usage("sync", "one database only, not '%s' too", word);
            r->db = word;
        } else if (strcmp(args.name, "c") == 0 || strcmp(args.name, "config") == 0) {
            if (!(r->config_path = args_value(&args)))
                return cli_usage("sync", "-c needs a path");
        } else if (strcmp(args.name, "timeout") == 0) {
            if (!parse_timeout(args_value(&args), &r->timeout_ms))
                return cli_usage("sync", "--timeout needs a time, as in 30, 500ms or 5m, or never");
        } else if (args_flag(&args, "help") || args_flag(&args, "h")) {
            r->help = true;
            return 0;
        } else {
            return cli_usage("sync", "there is no option --%s%s", args.name, args.value ? " that takes a value" : "");
        }
    }
    return r->db || r->config_path ? 0 : cli_usage("sync", "it takes a database, or -c FILE");
}

static int sync_database(const struct request *r, const char *db, struct err *e)
{
    struct json *answer = NULL;
    int64_t txid = 0;
    if (client_ask(db, "sync", r->timeout_ms, &answer, e)) {
        if (e->code == ERR_TIMEOUT)
            err_hint(e, "what is committed is not durable in every replica yet; 'seawall status' says why");
        return -1;
    }
    const char *state = json_get_text(answer, "state");
    bool conflict = state && strcmp(state, "conflict") == 0, durable = state && strcmp(state, "durable") == 0;
    int rc = 0;
    if (!json_get_number(answer, "txid", &txid) || (!durable && !conflict)) {
        rc = err_set(e, ERR_REMOTE, 0, "database '%s': the daemon gave an answer that makes no sense", db);
    } else if (conflict) {
        err_set(e, ERR_CONFLICT, 0,
                "database '%s': a replica belongs to another writer; the others are durable at txid %" PRId64, db,
                txid);
        rc = err_hint(e, "'seawall status' names it");
    } else {
        printf("durable at txid %" PRId64 "\n", txid);
    }
    json_free(answer);
    return rc;
}

int cmd_sync(int argc, char **argv)
{
    struct request r = {.timeout_ms = TIMEOUT_MS};
    struct config *config = NULL;
    const struct config_db *db = NULL;
    struct err e;
    int code = parse(argc, argv, &r);
    if (code)
        return code;
    if (r.help) {
        cli_print_help("sync");
        return EXIT_DONE;
    }
    if (cli_read_config(r.config_path, &config, &e))
        return cli_fail(&e);
    int rc = config ? config_find_db(config, r.db, &db, &e) : 0;
    if (rc == 0)
        rc = sync_database(&r, db ? db->path : r.db, &e);
    config_free(config);
    return rc ? cli_fail(&e) : EXIT_DONE;
}
