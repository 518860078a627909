/* cli/status.c - `seawall status`. */
#include "base/clock.h"
#include "base/units.h"
#include "base/when.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "config/find.h"
#include "web/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MS 10000 /* a daemon answers at once; a stopped or hanging one never does */

struct request {
    const char *db, *config_path, *control;
    bool json, metrics, all;
};

struct outcome {
    const char *config;  /* path of the configuration; NULL: none */
    const char *control; /* folder of the sockets; NULL: the default */
    struct json *databases;
    struct json *passed_over; /* NULL: not asked for */
    bool of_fleet;            /* one daemon has them all */
    size_t asked, answered, well;
    enum exit_code ill; /* of the last database that is not well */
    enum err_code code; /* of the last database without an answer */
};

/* What a monitor has to know of a database whose daemon answers. A daemon of an older version does not say it. */
static void note_health(struct outcome *o, const struct json *answer)
{
    const char *condition = json_get_text(answer, "condition");
    if (!condition || json_get_flag(answer, "well")) {
        o->well++;
        return;
    }
    bool bad = strcmp(condition, "replica lost") == 0 || strcmp(condition, "verification failed") == 0;
    o->ill = strcmp(condition, "conflict") == 0 ? EXIT_CONFLICT : bad ? EXIT_CORRUPT : EXIT_FAILED;
}

/* Adds the status of a database to the list; if its daemon does not answer, the reason. `path`: of the database in the
 * configuration, or NULL. ERR_CANCELED: interrupted. */
static int ask(struct outcome *o, const char *db, const char *path, struct err *e)
{
    struct client_target target = {.db = db, .config = o->config, .control = o->control};
    struct json *answer = NULL;
    char real[PATH_TEXT_MAX];
    if (path && path_format(target.path, e, "%s", path))
        return -1;
    o->asked++;
    if (client_ask(&target, "status", ANSWER_MS, &answer, e) == 0) {
        json_set_flag(answer, "running", true);
        o->answered++;
        note_health(o, answer);
    } else if (e->code == ERR_CANCELED) {
        return -1;
    } else {
        o->code = e->code;
        text_print_to(stderr, "seawall: %s\n", e->msg);
        answer = json_object_new();
        json_set_text(answer, "database", realpath(db, real) ? real : db); /* as a daemon writes it */
        json_set_flag(answer, "running", false);
        json_set_text(answer, "error", e->msg);
    }
    json_push(o->databases, answer);
    return 0;
}

/* ---- as text */

static void format_age(int64_t ms, char out[32])
{
    static const struct {
        int64_t ms;
        const char *name;
    } units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "min"}, {1000, "s"}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (ms >= units[i].ms) {
            snprintf(out, 32, "%.1f %s", (double)ms / (double)units[i].ms, units[i].name);
            return;
        }
    snprintf(out, 32, "%" PRId64 " ms", ms);
}

static int64_t number(const struct json *j, const char *key)
{
    int64_t n = 0;
    return json_get_number(j, key, &n) ? n : 0;
}

static const char *text(const struct json *j, const char *key)
{
    const char *t = json_get_text(j, key);
    return t ? t : "";
}

/* Prints a message. Its first line is indented by the caller, its hint here. */
static void print_message(const char *t)
{
    const char *hint = strstr(t, TEXT_HINT);
    text_print("%.*s\n", (int)(hint ? hint - t : (ptrdiff_t)strlen(t)), t);
    if (hint)
        text_print("      HINT: %s\n", hint + strlen(TEXT_HINT));
}

static void print_proof(const struct json *replica)
{
    const struct json *v = json_get(replica, "verification"), *proven = json_get(replica, "proven_restore");
    if (!v) /* it sleeps */
        return;
    const char *running = json_get_flag(v, "running") ? "; one is under way" : "";
    if (!json_get_text(v, "time"))
        text_print("    not verified yet%s\n", running);
    else if (json_get_flag(v, "ok"))
        text_print("    verified %s: ok%s\n", text(v, "time"), running);
    else
        text_print("    VERIFICATION of %s found %" PRId64 " problem%s: %s%s\n", text(v, "time"), number(v, "problems"),
                   cli_plural((uint64_t)number(v, "problems")), text(v, "problem"), running);
    if (json_get_text(v, "error"))
        text_print("    could not be verified since: %s\n", text(v, "error"));
    if (json_get_text(v, "database_problem"))
        text_print("    %s\n", text(v, "database_problem"));
    if (proven)
        text_print("    last proven restore: txid %" PRId64 ", %s\n", number(proven, "txid"), text(proven, "time"));
}

static void print_first_copy(const struct json *r)
{
    int64_t percent = 0;
    text_put(stdout, "nothing can be restored yet");
    if (json_get_flag(json_get(r, "base"), "running"))
        text_put(stdout, ", the first base is being written");
    if (json_get_number(r, "percent", &percent))
        text_print(" (%" PRId64 " %%)", percent);
}

static void print_replica(const struct json *r)
{
    const char *state = text(r, "state");
    char age[32];
    format_age(number(r, "lag_ms"), age);
    text_print("  %s: ", text(r, "url"));
    if (strcmp(state, "attached") != 0)
        text_print("%s, ", strcmp(state, "conflict") == 0 ? "CONFLICT" : state);
    if (number(r, "durable_txid") > 0)
        text_print("durable at txid %" PRId64, number(r, "durable_txid"));
    else
        print_first_copy(r);
    if (number(r, "lag_transactions") > 0)
        text_print(", %" PRId64 " behind, for %s", number(r, "lag_transactions"), age);
    text_print("%s\n", strcmp(text(r, "fencing"), "weak") == 0 ? "; PUT is not exclusive" : "");
    if (json_get_text(r, "lost"))
        text_print("    LOST OBJECTS, noticed %s: %s\n", text(r, "lost_since"), text(r, "lost"));
    if (json_get_text(r, "error")) {
        text_print("    failing since %s: ", text(r, "error_since"));
        print_message(text(r, "error"));
    }
    if (json_get_text(r, "retention_error")) {
        text_print("    RETENTION fails: ");
        print_message(text(r, "retention_error"));
    }
    print_proof(r);
}

static int worst_first(const void *a, const void *b)
{
    return summary_compare(*(const struct json *const *)a, *(const struct json *const *)b);
}

/* A line for each database of a daemon, the worst first. */
static int print_table(const struct json *databases, struct err *e)
{
    const size_t count = json_count(databases);
    const struct json **rows = calloc(count + 1, sizeof *rows);
    size_t well = 0;
    if (!rows)
        return err_nomem(e, count * sizeof *rows);
    for (size_t i = 0; i < count; i++) {
        rows[i] = json_at(databases, i);
        well += json_get_flag(rows[i], "well");
    }
    qsort(rows, count, sizeof *rows, worst_first);
    text_print("%zu databases, %zu not well\n%-20s %10s %12s  %s\n", count, count - well, "condition", "lag", "txid",
               "database");
    for (size_t i = 0; i < count; i++) {
        char age[32];
        format_age(summary_greatest(rows[i], "lag_ms"), age);
        text_print("%-20s %10s %12" PRId64 "  %s\n", text(rows[i], "condition"), age, number(rows[i], "captured_txid"),
                   text(rows[i], "database"));
        if (json_get_text(rows[i], "error") && !json_get_flag(rows[i], "well")) {
            text_put(stdout, "    ");
            print_message(text(rows[i], "error"));
        }
    }
    free(rows);
    return 0;
}

static void print_state(const struct json *db)
{
    char bytes[32];
    units_format_size((uint64_t)number(db, "wal_bytes"), bytes);
    text_print("%s: %s%s, captured txid %" PRId64, text(db, "database"), text(db, "state"),
               json_get_flag(db, "stopping") ? ", stopping" : "", number(db, "captured_txid"));
    if (json_get_text(db, "captured_time"))
        text_print(" of %s", text(db, "captured_time"));
    if (json_get_text(db, "asleep_since"))
        text_print("; asleep since %s; pid %" PRId64 "\n", text(db, "asleep_since"), number(db, "pid"));
    else
        text_print("; WAL %s, %" PRId64 " frames; pid %" PRId64 " since %s\n", bytes, number(db, "wal_frames"),
                   number(db, "pid"), text(db, "started"));
}

static void print_text(const struct json *databases)
{
    for (size_t i = 0; i < json_count(databases); i++) {
        const struct json *db = json_at(databases, i), *replicas = json_get(db, "replicas");
        if (!json_get_flag(db, "running"))
            continue; /* ask() has printed why */
        print_state(db);
        if (json_get_text(db, "error")) {
            text_put(stdout, "    ");
            print_message(text(db, "error"));
        }
        for (size_t k = 0; k < json_count(replicas); k++)
            print_replica(json_at(replicas, k));
    }
}

/* ---- the command */

/* What patterns match and was not taken: how many for each reason, and the first of them. */
static struct json *passed_over_of(const struct config_members *m)
{
    struct json *list = json_list_new();
    for (enum config_reason reason = 0; reason < REASONS; reason++) {
        if (m->passed_over[reason] == 0)
            continue;
        struct json *j = json_object_new(), *paths = json_list_new();
        json_set_text(j, "reason", config_reason_text(reason));
        json_set_number(j, "count", (int64_t)m->passed_over[reason]);
        for (size_t i = 0; i < m->named_count; i++) {
            if (m->named[i].reason != reason)
                continue;
            struct json *one = json_object_new();
            json_set_text(one, "path", m->named[i].path);
            json_push(paths, one);
        }
        json_set(j, "paths", paths);
        json_push(list, j);
    }
    return list;
}

static void print_passed_over(const struct json *list)
{
    for (size_t i = 0; i < json_count(list); i++) {
        const struct json *one = json_at(list, i), *paths = json_get(one, "paths");
        text_print("passed over: %" PRId64 " path%s, each %s:\n", number(one, "count"),
                   cli_plural((uint64_t)number(one, "count")), text(one, "reason"));
        for (size_t k = 0; k < json_count(paths); k++)
            text_print("  %s\n", text(json_at(paths, k), "path"));
    }
}

/* Prints the list and frees it. */
static int print_json(struct json *databases_taken, const struct json *passed_over, struct err *e)
{
    struct json *j = json_object_new();
    json_set(j, "databases", databases_taken);
    if (passed_over)
        json_set(j, "passed_over", json_share(passed_over));
    return cli_print_json(j, e);
}

/* Each database has samples of its own if it is awake or in trouble, up to a number of them. */
static int print_metrics(const struct json *databases, struct err *e)
{
    struct summary all = {.databases = 0};
    struct worst *worst = calloc(1, sizeof *worst);
    if (!worst)
        return err_nomem(e, sizeof *worst);
    for (size_t i = 0; i < json_count(databases); i++) {
        const struct json *one = json_at(databases, i);
        summary_add(&all, one);
        if (worst_counts(one))
            worst_add(worst, json_share(one));
    }
    metrics_print_totals(&all, worst->left_out, stdout);
    struct json *shown = worst_take(worst);
    metrics_print(shown, stdout);
    json_free(shown);
    free(worst);
    return 0;
}

static int print(const struct request *r, struct outcome *o, struct err *e)
{
    if (r->json) {
        struct json *list = o->databases;
        o->databases = NULL;
        return print_json(list, o->passed_over, e);
    }
    if (r->metrics && print_metrics(o->databases, e))
        return -1;
    if (r->metrics)
        return 0;
    if (o->of_fleet && print_table(o->databases, e))
        return -1;
    else if (!o->of_fleet)
        print_text(o->databases);
    print_passed_over(o->passed_over);
    return 0;
}

static int exit_code(const struct outcome *o)
{
    if (o->well == o->asked)
        return EXIT_DONE;
    if (o->asked > 1 && o->answered > 0)
        return EXIT_SOME_FAILED;
    if (o->answered == o->asked)
        return o->ill;
    return o->code == ERR_TIMEOUT ? EXIT_TIMEOUT : EXIT_FAILED;
}

/* Asks the daemon that has all databases of the configuration. *ret_asked: there is one. */
static int ask_fleet(struct outcome *o, bool *ret_asked, struct err *e)
{
    const struct client_target target = {.config = o->config, .control = o->control};
    struct json *answers = json_list_new();
    int rc = client_ask_all(&target, ANSWER_MS, answers, e);
    *ret_asked = rc == 0 || e->code != ERR_BUSY; /* ERR_BUSY: no daemon has them all; each database may have its own */
    o->of_fleet = rc == 0;
    for (size_t i = 0; rc == 0 && i < json_count(answers); i++) {
        struct json *one = json_share(json_at(answers, i));
        json_set_flag(one, "running", true);
        o->asked++;
        o->answered++;
        note_health(o, one);
        json_push(o->databases, one);
    }
    json_free(answers);
    return rc;
}

static int ask_all(const struct request *r, const struct config *config, struct outcome *o, struct err *e)
{
    struct config_member db;
    struct config_members all;
    bool asked = false;
    if (!config)
        return ask(o, r->db, NULL, e);
    if (r->db) {
        if (config_find_db(config, r->db, &db, e))
            return -1;
        int rc = ask(o, r->db, db.path, e);
        config_member_release(&db);
        return rc;
    }
    if (config->db_count == 0)
        return err_set(e, ERR_CONFIG, 0, "the configuration has no [db PATH] section");
    int of_fleet = ask_fleet(o, &asked, e);
    if (asked)
        return of_fleet;
    if (config_find_members(config, NULL, &all, e))
        return -1;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < all.count; i++)
        rc = ask(o, all.list[i].path, NULL, e);
    config_members_release(&all);
    return rc;
}

static int find_passed_over(const struct config *config, struct outcome *o, struct err *e)
{
    struct config_members m;
    if (config_find_members(config, NULL, &m, e))
        return -1;
    o->passed_over = passed_over_of(&m);
    config_members_release(&m);
    return 0;
}

static int cmd_status(int argc, char **argv)
{
    struct request r = {.db = NULL};
    struct outcome o = {.asked = 0};
    struct config *config = NULL;
    struct err e;
    int code = EXIT_DONE;
    if (!cli_parse(&status_command, argc, argv, &r, &code))
        return code;
    if (r.json && r.metrics)
        return cli_usage(&status_command, "--json and --metrics exclude each other");
    if (r.all && (r.db || !r.config_path))
        return cli_usage(&status_command, "--all goes with -c FILE, without a database");
    if (cli_read_config(r.config_path, &config, &e))
        return cli_fail(&e);
    o.config = r.config_path;
    o.control = cli_control(r.control, config);
    o.databases = json_list_new();
    int rc = ask_all(&r, config, &o, &e);
    if (rc == 0 && r.all)
        rc = find_passed_over(config, &o, &e);
    if (rc == 0)
        rc = print(&r, &o, &e);
    code = rc ? cli_fail(&e) : exit_code(&o);
    json_free(o.databases);
    json_free(o.passed_over);
    config_free(config);
    return code;
}

static const struct flag flags[] = {
    FLAG_CONFIG(struct request, config_path,
                "configuration file that has the database; without DB: all databases of it"),
    FLAG_CONTROL(struct request, control),
    {.name = "all",
     FLAG_INTO(struct request, all),
     .help = "with -c: also name what patterns match and was not taken as a database"},
    {.name = "json", FLAG_INTO(struct request, json), .help = "one JSON object: databases"},
    {.name = "metrics",
     FLAG_INTO(struct request, metrics),
     .help = "the same for Prometheus, for the textfile collector of node_exporter"},
};

static const struct word words[] = {
    WORD_DATABASE(struct request, db, WORD_OR_CONFIG),
};

const struct command status_command = {
    .name = "status",
    .run = cmd_status,
    .example = "status DB",
    .summary = "ask the daemon for its progress",
    .synopsis = "seawall status [-c FILE [--all]] [--control FOLDER] [--json | --metrics] [DB]\n",
    .description =
        "Asks the daemon of a database for its progress: what is captured, and for each replica what is durable, "
        "how far it is behind, what is wrong, and when it was last verified and restored. Exits with 0 if "
        "all is well, with 6 after a conflict, with 5 if a replica lost objects or a verification failed, with 1 if a "
        "replica is behind or fails for over a minute, if the daemon waits for the database, or if no daemon runs; of "
        "several databases with 3 if any is not well.\n",
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
    .words = words,
    .word_count = sizeof words / sizeof words[0],
};
