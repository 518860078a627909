/* cli/snapshot.c - `seawall snapshot`: a run of the daemon that ends when the replicas are up to date, for cron. It prints one line
 * for each database, and otherwise only what is wrong. */
#include "base/clock.h"
#include "base/log.h"
#include "base/units.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "config/file.h"
#include "daemon/scheduler.h"
#include "storage/open.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define URLS_MAX IDENTITY_REPLICAS_MAX
#define BUSY_MS 10000
#define STATUS_MS 10000               /* a daemon answers this at once */
#define BASE_MS_MAX INT64_C(86400000) /* for a base that a daemon writes */
#define BUSY_MS_MAX (24 * 3600 * 1000)

_Static_assert(CONFIG_DB_REPLICAS_MAX <= URLS_MAX, "what a file may name must fit");

struct request {
    const char *config_path;
    const char *db_path; /* NULL: every database of the file */
    const char *urls[URLS_MAX];
    size_t url_count;
    struct cli_options options;
    enum take_over take_over;
    bool base;
    uint64_t busy_ms;
};

/* ---- command line */

static int note_word(struct request *r, const char *word)
{
    if (!r->db_path) {
        r->db_path = word;
        return EXIT_DONE;
    }
    if (r->url_count == URLS_MAX)
        return cli_usage("snapshot", "more than %d replicas", URLS_MAX);
    r->urls[r->url_count++] = word;
    return EXIT_DONE;
}

static int note_busy_timeout(struct request *r, struct args *args)
{
    const char *value = args_value(args);
    if (!value || !units_parse(value, UNITS_MS, &r->busy_ms) || r->busy_ms > BUSY_MS_MAX)
        return cli_usage("snapshot", "--busy-timeout takes a time up to 24h, as in 500ms, 10s, 5m");
    return EXIT_DONE;
}

static int parse(int argc, char **argv, struct request *r, bool *ret_help)
{
    struct args args = args_of(argc, argv);
    const char *word = NULL;
    enum args_kind kind;
    int code = EXIT_DONE;
    while (code == EXIT_DONE && (kind = args_next(&args, &word)) != ARGS_END) {
        if (kind == ARGS_WORD) {
            code = note_word(r, word);
        } else if (strcmp(args.name, "c") == 0 || strcmp(args.name, "config") == 0) {
            if (!(r->config_path = args_value(&args)))
                return cli_usage("snapshot", "-c needs a path");
        } else if (args_flag(&args, "base")) {
            r->base = true;
        } else if (args_flag(&args, "take-over")) {
            r->take_over = TAKE_OVER_YES;
        } else if (strcmp(args.name, "busy-timeout") == 0) {
            code = note_busy_timeout(r, &args);
        } else if (args_flag(&args, "help") || args_flag(&args, "h")) {
            *ret_help = true;
            return EXIT_DONE;
        } else if (options_known(args.name)) {
            code = cli_note_option("snapshot", &args, &r->options);
        } else {
            return cli_usage("snapshot", "there is no option --%s%s", args.name,
                             args.value ? " that takes a value" : "");
        }
    }
    return code;
}

/* ---- one database */

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

/* What a cron mail says. Nothing, if nothing was achieved: then the error does. */
static void tell(const char *db_path, const struct replicate_summary *s, int64_t ms)
{
    char where[64], bytes[32];
    if (s->durable == 0)
        return;
    if (s->durable < s->replicas)
        snprintf(where, sizeof where, "%zu of %zu replicas", s->durable, s->replicas);
    else
        snprintf(where, sizeof where, "%zu replica%s", s->replicas, plural(s->replicas));
    units_format_size(s->bytes, bytes);
    if (s->objects == 0)
        printf("%s: nothing changed since txid %" PRIu64 ", durable in %s, %.1f s\n", db_path, s->txid, where,
               (double)ms / 1e3);
    else
        printf("%s: txid %" PRIu64 " is durable in %s, %" PRIu64 " object%s of %s, %.1f s\n", db_path, s->txid, where,
               s->objects, plural(s->objects), bytes, (double)ms / 1e3);
    fflush(stdout);
}

/* ---- when another process has the database */

static int ask(const struct replicate_config *c, const char *command, int64_t timeout_ms, struct json **ret_answer,
               struct err *e)
{
    if (client_ask(c->db_path, command, timeout_ms, ret_answer, e) == 0)
        return 0;
    if (e->code != ERR_BUSY)
        return -1;
    err_set(e, ERR_BUSY, 0, "a seawall daemon, snapshot or restore is at work on '%s'", c->db_path);
    return err_hint(e, "a daemon keeps its replicas up to date by itself; wait for the others, and try again");
}

/* `shown`: of a URL, as store_check shows it. The daemon has asked its own environment for what its URLs don't say, so they are
 * taken as they stand. */
static bool daemon_has(const struct json *status, const char *shown)
{
    const struct json *replicas = json_get(status, "replicas");
    char place[PATH_TEXT_MAX], theirs[PATH_TEXT_MAX];
    cli_place_of(shown, place);
    for (size_t i = 0; i < json_count(replicas); i++) {
        const char *url = json_get_text(json_at(replicas, i), "url");
        cli_place_of(url ? url : "", theirs);
        if (strcmp(place, theirs) == 0)
            return true;
    }
    return false;
}

/* A daemon answers for its own replicas only: all that are wanted must be among them. */
static int check_replicas(const struct replicate_config *c, struct err *e)
{
    struct json *status = NULL;
    char shown[STORE_URL_MAX];
    int rc = ask(c, "status", STATUS_MS, &status, e);
    for (size_t i = 0; rc == 0 && i < c->url_count; i++) {
        rc = store_check(c->urls[i], shown, e);
        if (rc == 0 && !daemon_has(status, shown)) {
            err_set(e, ERR_BUSY, 0, "'%s' is not a replica of the daemon that runs on '%s'", shown, c->db_path);
            rc = err_hint(e, "give the daemon this replica too, or stop it; 'seawall status' names those that it has");
        }
    }
    json_free(status);
    return rc;
}

/* If it is a daemon, what is wanted is wanted from it. */
static int ask_daemon(const struct request *r, const struct replicate_config *c, int64_t start_ms, struct err *e)
{
    struct json *answer = NULL;
    int64_t txid = 0;
    int64_t timeout_ms = r->base ? BASE_MS_MAX : (int64_t)c->options.stop_timeout_ms;
    if (check_replicas(c, e) || ask(c, r->base ? "base" : "sync", timeout_ms, &answer, e))
        return -1;
    const char *state = json_get_text(answer, "state");
    json_get_number(answer, "txid", &txid);
    int rc = state && strcmp(state, "durable") == 0 ? 0 : -1;
    if (rc)
        err_set(e, ERR_CONFLICT, 0,
                "a replica belongs to another writer, says the daemon that runs; the others are durable");
    else
        printf("%s: txid %" PRId64 " is durable in all replicas%s, says the daemon that runs, %.1f s\n", c->db_path,
               txid, r->base ? ", each with a new base" : "", (double)(clock_mono_ms() - start_ms) / 1e3);
    fflush(stdout);
    json_free(answer);
    return rc;
}

/* ---- one database: the run */

static int fail(const char *db_path, struct err *e)
{
    if (!strstr(e->msg, db_path)) /* one of several: which? */
        err_wrap(e, "database '%s'", db_path);
    int code = cli_fail(e);
    return code == EXIT_NOTHING || code == EXIT_CORRUPT ? EXIT_FAILED
                                                        : code; /* these two speak of a replica that is read */
}

/* What came of all of them. */
struct outcome {
    bool interrupted;
    bool hung; /* one left threads behind that still run */
};

static int snapshot(const struct request *r, const struct replicate_config *config, struct outcome *outcome)
{
    struct replicate_summary summary;
    struct err e;
    int64_t start_ms = clock_mono_ms();
    struct replicate_config c = *config;
    c.once = c.as_it_is = true;
    c.base = r->base;
    c.take_over = r->take_over;
    c.busy_ms = r->busy_ms;
    int rc = cli_apply_options(&r->options, &c.options, &e);
    if (rc == 0) {
        rc = scheduler_run(&c, &summary, &e);
        outcome->interrupted |= summary.interrupted;
        outcome->hung |= summary.hung;
        if (rc != 0 && summary.taken)
            return ask_daemon(r, &c, start_ms, &e) ? fail(c.db_path, &e) : EXIT_DONE;
        tell(c.db_path, &summary, clock_mono_ms() - start_ms);
    }
    return rc == 0 ? EXIT_DONE : fail(c.db_path, &e);
}

/* ---- which databases */

static int snapshot_of_file(const struct request *r, const struct config_db *db, struct outcome *outcome)
{
    struct replicate_config c = {.db_path = db->path, .url_count = db->replica_count, .options = db->options};
    const char *urls[URLS_MAX];
    for (size_t i = 0; i < db->replica_count; i++)
        urls[i] = db->replicas[i];
    c.urls = urls;
    return snapshot(r, &c, outcome);
}

static int snapshot_each(const struct request *r, const struct config *file, struct outcome *outcome)
{
    int code = EXIT_DONE;
    assert(file);
    if (file->db_count == 0)
        return cli_usage("snapshot", "'%s' names no database", r->config_path);
    for (size_t i = 0; i < file->db_count; i++) {
        if (outcome->interrupted)
            return EXIT_INTERRUPTED;
        int one = snapshot_of_file(r, &file->dbs[i], outcome);
        if (one != EXIT_DONE)
            code = file->db_count == 1 ? one : EXIT_SOME_FAILED;
    }
    return code;
}

static int snapshot_named(struct request *r, const struct config *file, struct outcome *outcome)
{
    struct replicate_config c = {.db_path = r->db_path, .urls = r->urls, .url_count = r->url_count};
    const struct config_db *db = NULL;
    struct err e;
    if (file && r->url_count == 0)
        return config_find_db(file, r->db_path, &db, &e) ? cli_fail(&e) : snapshot_of_file(r, db, outcome);
    for (size_t i = 0; file && i < r->url_count; i++)
        if (config_find_url(file, r->urls[i], &r->urls[i], &e))
            return cli_fail(&e);
    c.options = file ? file->options : options_default();
    return snapshot(r, &c, outcome);
}

int cmd_snapshot(int argc, char **argv)
{
    struct request r = {.busy_ms = BUSY_MS};
    struct config *file = NULL;
    struct outcome outcome = {.hung = false};
    struct err e;
    bool help = false;
    int code = parse(argc, argv, &r, &help);
    if (code)
        return code;
    if (help) {
        cli_print_help("snapshot");
        return EXIT_DONE;
    }
    if (cli_read_config(r.config_path, &file, &e))
        return cli_fail(&e);
    log_set_quiet();
    if (!file && r.url_count == 0)
        code = cli_usage("snapshot", "it takes a database and at least one URL, or -c FILE");
    else
        code = r.db_path ? snapshot_named(&r, file, &outcome) : snapshot_each(&r, file, &outcome);
    if (outcome.hung)
        _exit(code); /* all output is written */
    config_free(file);
    return code;
}
