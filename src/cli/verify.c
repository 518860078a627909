/* cli/verify.c - `seawall verify`. */
#include "verify/verify.h"

#include "base/clock.h"
#include "base/disk.h"
#include "base/folder.h"
#include "base/io.h"
#include "base/json.h"
#include "base/path.h"
#include "base/progress.h"
#include "base/units.h"
#include "cli/cli.h"
#include "cli/every.h"
#include "config/find.h"
#include "restore/restore.h"
#include "web/summary.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct request {
    const char *url, *config_path, *tmp;
    char from_stdin[CONFIG_URL_MAX + 2]; /* the URL of "-", with newline and terminator */
    uint64_t txid;                       /* to restore; or POINT_NEWEST */
    uint64_t jobs;                       /* with --all; 0: not given */
    bool full, restore, json, all;
    atomic_bool *cancel;
    struct progress *progress; /* NULL: none is shown */
};

struct outcome {
    struct verify_result found;
    bool restored; /* the restore succeeded: the replica gives the database */
    struct restore_result restore;
    char database_problem[ERR_MSG_MAX]; /* a fault that SQLite finds in the database itself; "": none */
    char restore_problem[ERR_MSG_MAX];  /* why the replica does not restore; "": it does, or was not asked to */
    struct store_traffic traffic;       /* of both */
};

static int verify(const struct request *r, struct outcome *o, struct err *e)
{
    struct verify_options options = {.flags = r->full ? VERIFY_FULL : 0,
                                     .cancel = r->cancel,
                                     .progress = r->progress ? progress_callback : NULL,
                                     .context = r->progress};
    const struct replica_options access = {
        .mode = STORE_READ, .cancel = r->cancel, .retrying = cli_tell_retry, .traffic = &o->traffic};
    struct replica_handle replica;
    if (replica_handle_open(&replica, r->url, &access, e))
        return -1;
    if (r->progress)
        progress_begin(r->progress, progress_place_of_stderr(), "objects", "verification");
    int rc = verify_run(&replica, &options, &o->found, e);
    replica_handle_close(&replica);
    if (r->progress)
        progress_end(r->progress);
    return rc;
}

/* ---- with --restore */

static int restore_into(const struct folder_temporary *t, const struct request *r, struct outcome *o, struct err *e)
{
    char path[PATH_TEXT_MAX];
    struct restore_options options = {.url = r->url,
                                      .path = path,
                                      .txid = r->txid,
                                      .flags = RESTORE_INTEGRITY_CHECK,
                                      .cancel = r->cancel,
                                      .retrying = cli_tell_retry,
                                      .traffic = &o->traffic,
                                      .progress = r->progress ? progress_callback : NULL,
                                      .context = r->progress};
    if (folder_temporary_path(t, "restored.db", path, e))
        return -1;
    if (r->progress)
        progress_begin(r->progress, progress_place_of_stderr(), NULL, "restore for the verification");
    int rc = restore_run(&options, &o->restore, e);
    if (r->progress)
        progress_end(r->progress);
    return rc;
}

/* Copies the message without its hint, which speaks of a restore by a person. */
static void keep_first_line(char out[ERR_MSG_MAX], const char *text)
{
    snprintf(out, ERR_MSG_MAX, "%.*s", (int)strcspn(text, "\n"), text);
}

/* Restores into a temporary folder. If the replica is the reason for a failure, the failure is a problem to
 * report; any other reason is an error. */
static int try_restore(const struct request *r, struct outcome *o, struct err *e)
{
    struct folder_temporary folder;
    struct err removal;
    if (folder_make_temporary(&folder, r->tmp && *r->tmp ? r->tmp : disk_temporary_folder(), "seawall-verify", e)) {
        if (!io_is_no_room(e->sys) && e->sys != EIO && e->sys != EMFILE && e->sys != ENFILE &&
            e->code != ERR_NOMEM) /* the folder itself is the wrong one */
            e->code = ERR_CONFIG;
        return err_hint(e, "name a folder with enough room for the database: --tmp DIR");
    }
    int rc = restore_into(&folder, r, o, e);
    if (folder_remove_temporary(&folder, &removal))
        text_print_to(stderr, "seawall: %s\n", removal.msg);
    o->restored = rc == 0 || e->code == ERR_CONTENT;
    if (rc == 0)
        return 0;
    if (e->code == ERR_CONTENT) {
        keep_first_line(o->database_problem, e->msg);
        return 0;
    }
    if (e->code != ERR_CORRUPT && (e->code != ERR_NOTFOUND || o->found.problem_total == 0))
        return -1;
    keep_first_line(o->restore_problem, e->msg);
    return 0;
}

static uint64_t problems_of(const struct outcome *o)
{
    return o->found.problem_total + (o->restore_problem[0] != 0);
}

/* ---- as text */

static void print_problems(const struct outcome *o)
{
    const struct verify_result *v = &o->found;
    for (size_t i = 0; i < v->problem_count; i++) {
        const struct verify_problem *p = &v->problems[i];
        bool again = i + 1 < v->problem_count && v->problems[i + 1].hint == p->hint;
        text_print("%s: %s\n", p->object, p->text);
        if (p->hint && !again) /* neighbours can share a hint: print it once */
            text_print("  HINT: %s\n", p->hint);
    }
    if (v->problem_total > v->problem_count)
        text_print("... and %" PRIu64 " more\n", v->problem_total - v->problem_count);
    if (o->restore_problem[0])
        text_print("restore: %s\n", o->restore_problem);
}

static void print_text(const struct request *r, const struct outcome *o)
{
    const struct verify_result *v = &o->found;
    char bytes[32], when[CLOCK_TEXT_MAX];
    units_format_size(v->bytes, bytes);
    text_print("checked %" PRIu64 " object%s, %s, %s", v->objects, cli_plural(v->objects), bytes,
               r->full ? "whole" : "by their ends; --full reads them whole");
    if (r->full)
        text_print(", and %" PRIu64 " database checksum%s", v->states, cli_plural(v->states));
    text_print("\n");
    print_problems(o);
    if (v->orphans > 0) {
        char orphaned[32];
        units_format_size(v->orphan_bytes, orphaned);
        text_print("%" PRIu64 " object%s, %s, that %s\n", v->orphans, cli_plural(v->orphans), orphaned,
                   problems_of(o) ? "no sound object refers to" : "no restore point needs");
    }
    cli_print_passed_over(v->foreign);
    cli_print_losses(&v->losses);
    if (v->points > 0 && v->head > v->newest.txid && v->problem_total == 0)
        text_print("the replica goes on to txid %" PRIu64 ", which can't be restored yet: its base is not complete\n",
                   v->head);
    if (o->restored)
        text_print("restored txid %" PRIu64 ", and %s\n", o->restore.record.txid,
                   o->database_problem[0] ? o->database_problem : "SQLite's integrity check found nothing");
    if (problems_of(o) > 0) {
        text_print("%" PRIu64 " problem%s\n", problems_of(o), cli_plural(problems_of(o)));
        return;
    }
    clock_format(v->newest.time_ms, when);
    text_print("ok: %" PRIu64 " restore point%s, newest txid %" PRIu64 " of %s, %" PRIu64 " object%s, %s\n", v->points,
               cli_plural(v->points), v->newest.txid, when, v->objects, cli_plural(v->objects), bytes);
}

/* ---- as JSON */

static struct json *problem_json(const char *object, const char *text, const char *hint)
{
    struct json *j = json_object_new();
    json_set_text(j, "object", object);
    json_set_text(j, "problem", text);
    if (hint)
        json_set_text(j, "hint", hint);
    return j;
}

static void set_moment(struct json *j, const char *txid, const char *time, const struct commit_record *record)
{
    char when[CLOCK_TEXT_MAX];
    clock_format(record->time_ms, when);
    json_set_number(j, txid, (int64_t)record->txid);
    json_set_text(j, time, when);
}

static struct json *losses_json(const struct losses *losses)
{
    struct json *list = json_list_new();
    for (size_t i = 0; i < losses->count; i++) {
        const struct known_loss *l = &losses->list[i];
        char when[CLOCK_TEXT_MAX];
        if (l->first > l->last)
            continue;
        struct json *j = json_object_new();
        clock_format(l->time_ms, when);
        json_set_number(j, "first_txid", (int64_t)l->first);
        json_set_number(j, "last_txid", (int64_t)l->last);
        json_set_text(j, "time", when);
        json_push(list, j);
    }
    return list;
}

static struct json *json_of(const struct outcome *o)
{
    const struct verify_result *v = &o->found;
    struct json *j = json_object_new(), *checked = json_object_new(), *problems = json_list_new(),
                *orphans = json_object_new();
    uint64_t requests[REQUEST_FIGURES] = {0};
    summary_add_requests(&o->traffic, requests);
    for (size_t i = 0; i < v->problem_count; i++)
        json_push(problems, problem_json(v->problems[i].object, v->problems[i].text, v->problems[i].hint));
    if (o->restore_problem[0])
        json_push(problems, problem_json("", o->restore_problem, NULL));
    json_set_number(checked, "objects", (int64_t)v->objects);
    json_set_number(checked, "bytes", (int64_t)v->bytes);
    json_set_number(checked, "points", (int64_t)v->points);
    json_set_number(checked, "states", (int64_t)v->states);
    json_set_number(orphans, "objects", (int64_t)v->orphans);
    json_set_number(orphans, "bytes", (int64_t)v->orphan_bytes);
    json_set_flag(j, "ok", problems_of(o) == 0);
    json_set(j, "checked", checked);
    json_set(j, "problems", problems);
    json_set_number(j, "problem_count", (int64_t)problems_of(o));
    if (v->points > 0) {
        set_moment(j, "newest_txid", "newest_time", &v->newest);
        set_moment(j, "oldest_txid", "oldest_time", &v->oldest);
    }
    if (o->database_problem[0])
        json_set_text(j, "database_problem", o->database_problem);
    if (o->restored)
        set_moment(j, "restored_txid", "restored_time", &o->restore.record);
    json_set(j, "orphans", orphans);
    json_set_number(j, "foreign", (int64_t)v->foreign);
    json_set(j, "lost", losses_json(&v->losses));
    json_set(j, "requests", summary_requests_json(requests));
    return j;
}

/* ---- all replicas */

/* What all replicas have together. */
struct sums {
    const struct request *request;
    uint64_t objects, bytes, points; /* guarded by the output of `every` */
};

static void print_one(const struct every_replica *r, const struct outcome *o)
{
    if (problems_of(o) == 0 && !o->database_problem[0])
        return;
    text_print("%s:\n", r->path);
    print_problems(o);
    if (o->database_problem[0])
        text_print("%s\n", o->database_problem);
}

static enum every_outcome verify_one(void *context, struct every *a, const struct every_replica *r)
{
    struct sums *sums = context;
    struct request own = *sums->request;
    struct outcome o = {.restored = false};
    struct err e;
    own.url = r->url;
    own.progress = NULL; /* that of all replicas is shown */
    int rc = verify(&own, &o, &e);
    if (rc == 0 && own.restore)
        rc = try_restore(&own, &o, &e);
    if (rc == 0 && own.json)
        rc = every_print_json(a, r, json_of(&o), &e);
    every_begin_output(a);
    if (rc == 0 && !own.json)
        print_one(r, &o);
    sums->objects += o.found.objects;
    sums->bytes += o.found.bytes;
    sums->points += o.found.points;
    every_end_output(a);
    bool well = problems_of(&o) == 0 && !o.database_problem[0];
    verify_result_release(&o.found);
    return rc ? every_fail(a, r, &e) : well ? EVERY_WELL : EVERY_FAILED;
}

static void print_sums(void *context)
{
    const struct sums *sums = context;
    char bytes[32];
    units_format_size(sums->bytes, bytes);
    text_print("checked %" PRIu64 " object%s, %s, with %" PRIu64 " restore point%s\n", sums->objects,
               cli_plural(sums->objects), bytes, sums->points, cli_plural(sums->points));
}

static int verify_all(struct request *r, const struct config *config)
{
    r->cancel = cli_catch_interrupts();
    struct sums sums = {.request = r};
    struct every every = {.config = config,
                          .cancel = r->cancel,
                          .at_once = r->jobs ? (unsigned)r->jobs : EVERY_JOBS,
                          .what = "verification",
                          .done = "verified",
                          .json = r->json,
                          .run = verify_one,
                          .totals = print_sums,
                          .context = &sums};
    return every_run(&every);
}

/* ---- the command */

/* Reads the URL from standard input if it is "-". The daemon passes URLs this way: they can hold secrets. */
static int read_url(struct request *r, struct err *e)
{
    if (!r->url || strcmp(r->url, "-") != 0)
        return 0;
    if (!fgets(r->from_stdin, sizeof r->from_stdin, stdin) || r->from_stdin[0] == '\n')
        return err_set(e, ERR_CONFIG, 0, "missing replica URL on standard input");
    size_t n = strcspn(r->from_stdin, "\n");
    if (n + 1 == sizeof r->from_stdin)
        return err_set(e, ERR_CONFIG, 0, "the URL on standard input is longer than %d bytes", CONFIG_URL_MAX);
    r->from_stdin[n] = 0;
    r->url = r->from_stdin;
    return 0;
}

static int run(struct request *r, struct config *config, struct outcome *o, struct err *e)
{
    if (read_url(r, e) || (config && config_find_url(config, r->url, &r->url, e)))
        return -1;
    r->cancel = cli_catch_interrupts(); /* not before: an interrupt ends the wait for a URL on stdin */
    if (verify(r, o, e) || (r->restore && try_restore(r, o, e)))
        return -1;
    if (r->json)
        return cli_print_json(json_of(o), e);
    print_text(r, o);
    return 0;
}

static int cmd_verify(int argc, char **argv)
{
    struct progress progress;
    struct request r = {.txid = POINT_NEWEST, .progress = &progress};
    struct outcome o = {.restored = false};
    struct config *config = NULL;
    struct err e;
    int code = EXIT_DONE;
    if (!cli_parse(&verify_command, argc, argv, &r, &code))
        return code;
    if (!r.restore && (r.txid != POINT_NEWEST || r.tmp))
        return cli_usage(&verify_command, "--txid and --tmp go only with --restore");
    if (!r.all && r.jobs > 0)
        return cli_usage(&verify_command, "--jobs goes only with --all");
    if (r.all && (!r.config_path || r.url || r.txid != POINT_NEWEST))
        return cli_usage(&verify_command, "--all needs -c FILE, and takes neither a replica nor --txid");
    if (cli_read_config(r.config_path, &config, &e))
        return cli_fail(&e);
    if (r.all) {
        code = verify_all(&r, config);
        config_free(config);
        return code;
    }
    int rc = run(&r, config, &o, &e);
    code = rc                      ? cli_fail_reading(&e)
           : problems_of(&o) > 0   ? EXIT_CORRUPT
           : o.database_problem[0] ? EXIT_CONTENT
                                   : EXIT_DONE;
    verify_result_release(&o.found);
    config_free(config);
    return code;
}

static const struct flag flags[] = {
    FLAG_CONFIG(struct request, config_path, "configuration file that has the replica or the database"),
    {.name = "full",
     FLAG_INTO(struct request, full),
     .help = "read every object whole, not only its end, and compute the database checksums"},
    {.name = "restore",
     FLAG_INTO(struct request, restore),
     .help = "also restore the newest point into a temporary folder, and run SQLite's integrity check"},
    {.name = "txid",
     FLAG_INTO(struct request, txid),
     .max = INT64_MAX,
     .value_name = "N",
     .expects = "a number from 1 on",
     .help = "with --restore: restore this point"},
    {.name = "tmp",
     FLAG_INTO(struct request, tmp),
     .value_name = "DIR",
     .help = "with --restore: the folder for it; default: TMPDIR, or /tmp"},
    FLAG_EVERY(struct request, all, jobs),
    {.name = "json",
     FLAG_INTO(struct request, json),
     .help = "one JSON object (with --all a list \"replicas\" of them): ok, checked, problems, problem_count, "
             "newest_txid, newest_time, oldest_txid, oldest_time, "
             "restored_txid, restored_time, database_problem, orphans, foreign, lost"},
    FLAG_MEMORY,
};

static const struct word words[] = {
    WORD_REPLICA(struct request, url, WORD_OR_CONFIG),
};

const struct command verify_command = {
    .name = "verify",
    .run = cmd_verify,
    .example = "verify URL",
    .summary = "check whether a replica is complete and sound",
    .arguments = "URL|DB|-",
    .description =
        "Checks whether a replica is complete, and whether its objects are sound and fit together. Exits with 5 "
        "if something is wrong, and names it. With -c, URL can be the name of a replica in the file, or the path "
        "of a database in the file, whose first replica is then used. With - the URL is read from standard input, "
        "so that it does not show up in the list of processes. With --all every replica of every database of FILE is "
        "verified, found by listing the stores.\n",
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
    .words = words,
    .word_count = sizeof words / sizeof words[0],
};
