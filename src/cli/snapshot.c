/* cli/snapshot.c - `seawall snapshot`: a run of the daemon that ends when the replicas are up to date, for cron.
 * It prints one line for each database; warnings and errors go to stderr. */
#include "base/clock.h"
#include "base/log.h"
#include "base/units.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/parallel.h"
#include "config/find.h"
#include "daemon/scheduler.h"
#include "storage/open.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define URLS_MAX IDENTITY_REPLICAS_MAX
#define BUSY_MS 10000 /* default of --busy-timeout */
#define BUSY_MS_MAX (24 * 3600 * 1000)
#define JOBS 4          /* default of --jobs: uses what a store and a small machine have, with the memory of four */
#define STATUS_MS 10000 /* for the status of a daemon, which answers at once */
#define BASE_MS_MAX INT64_C(86400000) /* for a base that a daemon writes */

_Static_assert(CONFIG_DB_REPLICAS_MAX <= URLS_MAX, "the replicas of a database in a file must fit");

struct request {
    const char *config_path, *control, *log_format;
    const char *db_path; /* NULL: every database of the file */
    const char *urls[URLS_MAX];
    size_t url_count;
    struct given_options options;
    bool take_over, base, json;
    bool several; /* databases at a time */
    uint64_t busy_ms, jobs;
};

/* ---- one database */

/* Prints a JSON object on one line. `s`: NULL if a daemon did it, which does not say how much was put. */
static void tell_json(const char *db_path, uint64_t txid, const struct replicate_summary *s, int64_t ms)
{
    struct json *j = json_object_new();
    json_set_text(j, "database", db_path);
    json_set_number(j, "txid", (int64_t)txid);
    json_set_flag(j, "by_daemon", !s);
    json_set_flag(j, "everywhere", !s || s->durable == s->replicas);
    if (s) {
        json_set_number(j, "replicas", (int64_t)s->replicas);
        json_set_number(j, "durable", (int64_t)s->durable);
        json_set_number(j, "objects", (int64_t)s->objects);
        json_set_number(j, "bytes", (int64_t)s->bytes);
    }
    json_set_number(j, "ms", ms);
    char *line = json_print_line(j);
    text_put(stdout, line ? line : "");
    free(line);
    json_free(j);
    fflush(stdout);
}

/* Prints the line of a database, if its transactions are durable in at least one replica. */
static void tell(const struct request *r, const char *db_path, const struct replicate_summary *s, int64_t ms)
{
    char where[64], bytes[32];
    if (s->durable == 0)
        return;
    if (r->json) {
        tell_json(db_path, s->txid, s, ms);
        return;
    }
    if (s->durable < s->replicas)
        snprintf(where, sizeof where, "%zu of %zu replicas", s->durable, s->replicas);
    else
        snprintf(where, sizeof where, "%zu replica%s", s->replicas, cli_plural(s->replicas));
    units_format_size(s->bytes, bytes);
    if (s->objects == 0)
        text_print("%s: nothing changed since txid %" PRIu64 ", durable in %s, %.1f s\n", db_path, s->txid, where,
                   (double)ms / 1e3);
    else
        text_print("%s: txid %" PRIu64 " is durable in %s, %" PRIu64 " object%s of %s, %.1f s\n", db_path, s->txid,
                   where, s->objects, cli_plural(s->objects), bytes, (double)ms / 1e3);
    fflush(stdout);
}

/* ---- when another process has the database
 *
 * If that process is a daemon, it is asked to do the work. */

static int ask(const struct request *r, const struct replicate_config *c, const char *command, struct json **ret_answer,
               struct err *e)
{
    const struct client_target target = {.db = c->db_path, .config = r->config_path, .control = c->control};
    int64_t timeout_ms = strcmp(command, "status") == 0 ? STATUS_MS
                         : r->base                      ? BASE_MS_MAX
                                                        : (int64_t)c->options.stop_timeout_ms;
    if (client_ask(&target, command, timeout_ms, ret_answer, e) == 0)
        return 0;
    if (e->code != ERR_BUSY)
        return -1;
    err_set(e, ERR_BUSY, 0, "a seawall daemon, snapshot or restore is at work on '%s'", c->db_path);
    return err_hint(
        e, "a daemon keeps its replicas up to date by itself, and one of several databases is asked with -c and its "
           "configuration; if it is a snapshot or a restore, try again later");
}

/* Whether a status lists the replica. `shown`: its URL as store_check shows it. The URLs of the status are not checked
 * again: the daemon completed them from its own environment. */
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

/* Checks that the daemon has every replica of the request. It can't bring other replicas up to date. */
static int check_replicas(const struct request *r, const struct replicate_config *c, struct err *e)
{
    struct json *status = NULL;
    char shown[STORE_URL_MAX];
    int rc = ask(r, c, "status", &status, e);
    for (size_t i = 0; rc == 0 && i < c->url_count; i++) {
        rc = store_check(c->urls[i], shown, e);
        if (rc == 0 && !daemon_has(status, shown)) {
            err_set(e, ERR_BUSY, 0, "'%s' is not a replica of the daemon that runs on '%s'", shown, c->db_path);
            rc = err_hint(e, "give the daemon this replica too, or stop it; 'seawall status' lists its replicas");
        }
    }
    json_free(status);
    return rc;
}

/* Asks the daemon that has the database to bring its replicas up to date, and prints the line. */
static int ask_daemon(const struct request *r, const struct replicate_config *c, int64_t start_ms, struct err *e)
{
    struct json *answer = NULL;
    int64_t txid = 0;
    if (check_replicas(r, c, e) || ask(r, c, r->base ? "base" : "sync", &answer, e))
        return -1;
    const char *state = json_get_text(answer, "state");
    json_get_number(answer, "txid", &txid);
    int rc = state && strcmp(state, "durable") == 0 ? 0 : -1;
    if (rc) {
        err_set(e, ERR_CONFLICT, 0,
                "a replica of the daemon that runs belongs to another writer; the others are durable");
        err_hint(e, "'seawall status' shows which one");
    } else if (r->json)
        tell_json(c->db_path, (uint64_t)txid, NULL, clock_mono_ms() - start_ms);
    else
        text_print("%s: txid %" PRId64 " is durable in all replicas%s, says the daemon that runs, %.1f s\n", c->db_path,
                   txid, r->base ? ", each with a new base" : "", (double)(clock_mono_ms() - start_ms) / 1e3);
    fflush(stdout);
    json_free(answer);
    return rc;
}

/* ---- one database: the run */

static int fail(const char *db_path, struct err *e)
{
    if (!strstr(e->msg, db_path)) /* the message must name the database of the file */
        err_wrap(e, "database '%s'", db_path);
    return cli_fail_shipping(e);
}

/* Of all databases together. */
struct outcome {
    bool interrupted; /* by a signal: start no more */
    bool hung;        /* threads still run, and use what would be freed */
};

static int snapshot(const struct request *r, const struct replicate_config *config, struct outcome *outcome)
{
    struct daemon_summary summary;
    struct err e;
    int64_t start_ms = clock_mono_ms();
    struct replicate_config c = *config;
    c.once = c.as_it_is = true;
    c.base = r->base;
    c.take_over = r->take_over ? TAKE_OVER_YES : TAKE_OVER_NO;
    c.busy_ms = r->busy_ms;
    c.control = r->control;
    c.progress = r->several ? PROGRESS_NOWHERE : progress_place_of_stderr();
    int rc = cli_refuse_copy(c.db_path, &e) || given_options_apply(&r->options, &c.options, &e) ? -1 : 0;
    if (rc == 0) {
        rc = scheduler_run(&(struct daemon_config){.databases = &c, .count = 1, .once = true, .shared = c.options},
                           &summary, &e);
        outcome->interrupted |= summary.interrupted;
        outcome->hung |= summary.hung;
        if (rc != 0 && summary.first.taken)
            return ask_daemon(r, &c, start_ms, &e) ? fail(c.db_path, &e) : EXIT_DONE;
        tell(r, c.db_path, &summary.first, clock_mono_ms() - start_ms);
    }
    return rc == 0 ? EXIT_DONE : fail(c.db_path, &e);
}

/* ---- which databases */

static int snapshot_of_member(const struct request *r, const struct config_member *db, struct outcome *outcome)
{
    struct replicate_config c = {.db_path = db->path, .url_count = db->url_count, .options = db->section->options};
    const char *urls[URLS_MAX];
    assert(db->url_count <= URLS_MAX);
    for (size_t i = 0; i < db->url_count; i++)
        urls[i] = db->urls[i];
    c.urls = urls;
    return snapshot(r, &c, outcome);
}

/* All databases of a file, in its order. */
struct all {
    const struct request *request;
    const struct config_member **list;
    size_t count;
};

static int snapshot_in_turn(const struct all *all, struct outcome *outcome)
{
    int code = EXIT_DONE;
    for (size_t i = 0; i < all->count; i++) {
        if (outcome->interrupted)
            return EXIT_INTERRUPTED;
        int one = snapshot_of_member(all->request, all->list[i], outcome);
        if (one != EXIT_DONE)
            code = all->count == 1 ? one : EXIT_SOME_FAILED;
    }
    return code;
}

static int run_one(void *context, size_t index)
{
    const struct all *all = context;
    struct outcome outcome = {.hung = false};
    return snapshot_of_member(all->request, all->list[index], &outcome);
}

static void tell_lost(void *context, size_t index, const char *reason)
{
    const struct all *all = context;
    text_print_to(stderr, "seawall: database '%s': %s\n", all->list[index]->path, reason);
}

static int snapshot_in_parallel(struct all *all)
{
    struct request each = *all->request;
    each.several = true;
    all->request = &each;
    const struct parallel p = {.count = all->count,
                               .at_once = (size_t)each.jobs,
                               .what = "snapshot",
                               .run = run_one,
                               .lost = tell_lost,
                               .context = all};
    struct parallel_result result;
    struct err e;
    if (parallel_run(&p, &result, &e))
        return cli_fail(&e);
    if (result.interrupted)
        return EXIT_INTERRUPTED;
    return result.failed > 0 ? EXIT_SOME_FAILED : EXIT_DONE;
}

/* Whether a pattern has found a file that SQLite has made and not written yet. A section with the path of an empty file
 * is a failure: a person expects a database there. */
static bool is_waiting(const struct config_member *db)
{
    struct stat st;
    return config_is_pattern(db->section) && stat(db->path, &st) == 0 && st.st_size == 0;
}

static void add_member(struct all *all, const struct config_member *db)
{
    if (is_waiting(db))
        text_print("%s: the file is empty, there is nothing to back up yet\n", db->path);
    else
        all->list[all->count++] = db;
}

static int snapshot_members(const struct request *r, const struct config *file, const struct config_members *m,
                            struct outcome *outcome)
{
    bool missed = config_members_missed(m) > 0;
    struct all all = {.request = r, .list = calloc(m->count + 1, sizeof *all.list)};
    struct err e;
    if (!all.list) {
        err_nomem(&e, m->count * sizeof *all.list);
        return cli_fail(&e);
    }
    for (size_t k = 0; k < file->db_count; k++)
        for (size_t i = 0; i < m->count; i++)
            if (m->list[i].section == &file->dbs[k])
                add_member(&all, &m->list[i]);
    int code = r->jobs == 1 || all.count == 1 ? snapshot_in_turn(&all, outcome) : snapshot_in_parallel(&all);
    free(all.list);
    return code == EXIT_DONE && missed ? EXIT_SOME_FAILED : code;
}

static int snapshot_each(const struct request *r, const struct config *file, struct outcome *outcome)
{
    struct config_members m;
    struct err e;
    assert(file);
    if (file->db_count == 0)
        return cli_usage(&snapshot_command, "'%s' has no [db PATH] section", r->config_path);
    if (cli_find_members(file, r->config_path, NULL, &m, &e))
        return cli_fail(&e);
    cli_tell_members(file, &m);
    int code = snapshot_members(r, file, &m, outcome);
    if (!outcome->hung) /* else threads use it */
        config_members_release(&m);
    return code;
}

static int snapshot_named(struct request *r, struct config *file, struct outcome *outcome)
{
    struct replicate_config c = {.db_path = r->db_path, .urls = r->urls, .url_count = r->url_count};
    struct config_member db;
    struct err e;
    if (file && r->url_count == 0) {
        if (config_find_db(file, r->db_path, &db, &e))
            return cli_fail(&e);
        int code = snapshot_of_member(r, &db, outcome);
        if (!outcome->hung)
            config_member_release(&db);
        return code;
    }
    for (size_t i = 0; file && i < r->url_count; i++)
        if (config_find_url(file, r->urls[i], &r->urls[i], &e))
            return cli_fail(&e);
    c.options = file ? file->options : options_default();
    return snapshot(r, &c, outcome);
}

static int cmd_snapshot(int argc, char **argv)
{
    struct request r = {.busy_ms = BUSY_MS, .jobs = JOBS};
    struct config *file = NULL;
    struct outcome outcome = {.hung = false};
    struct err e;
    int code = EXIT_DONE;
    if (!cli_parse(&snapshot_command, argc, argv, &r, &code))
        return code;
    if (cli_read_config(r.config_path, &file, &e) || cli_set_log_format(r.log_format, file, &e)) {
        config_free(file);
        return cli_fail(&e);
    }
    log_set_quiet();
    r.control = cli_control(r.control, file);
    code = r.db_path ? snapshot_named(&r, file, &outcome) : snapshot_each(&r, file, &outcome);
    if (outcome.hung)
        _exit(code); /* threads still use what would be freed; all output is written */
    config_free(file);
    return code;
}

static const struct flag flags[] = {
    FLAG_CONFIG(struct request, config_path,
                "configuration file with databases, replicas and options; the command line takes precedence"),
    FLAG_CONTROL(struct request, control),
    FLAG_LOG_FORMAT(struct request, log_format),
    {.name = "base",
     FLAG_INTO(struct request, base),
     .help = "write a new base to each replica: the whole database, even if nothing changed"},
    {.name = "json",
     FLAG_INTO(struct request, json),
     .help = "a JSON object on a line for each database: database, txid, by_daemon, everywhere, replicas, durable, "
             "objects, "
             "bytes, ms"},
    {.name = "take-over", FLAG_INTO(struct request, take_over), .help = "continue a replica that another writer began"},
    {.name = "busy-timeout",
     .kind = FLAG_MS,
     .offset = offsetof(struct request, busy_ms),
     .max = BUSY_MS_MAX,
     .value_name = "TIME",
     .expects = "a time up to 24h, as in 500ms, 10s, 5m",
     .help = "how long to wait for a lock that an application holds (10s)"},
    {.name = "jobs",
     FLAG_INTO(struct request, jobs),
     .max = PARALLEL_MAX,
     .value_name = "N",
     .expects = "a number from 1 to 64",
     .help = "with -c: how many databases to back up at a time, each in a process of its own (4)"},
};

static const struct word words[] = {
    WORD_DATABASE(struct request, db_path, WORD_OR_CONFIG),
    WORD_REPLICAS(struct request, urls, url_count, URLS_MAX),
};

const struct command snapshot_command = {
    .name = "snapshot",
    .works_without_output = true,
    .run = cmd_snapshot,
    .example = "snapshot DB URL...",
    .summary = "back up what changed since the last time, and exit: for cron",
    .arguments = "[DB [URL...]]",
    .description =
        "Backs up a database as it is at one moment, in any journal mode, and exits: sends what changed since the "
        "last time. Prints one line if all is well. With -c and without DB: every database of the file, several "
        "at a time.\n",
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
    .words = words,
    .word_count = sizeof words / sizeof words[0],
    .options = OPTIONS_ALL,
    .options_offset = offsetof(struct request, options),
};
