/* cli/restore.c - `seawall restore`. */
#include "restore/restore.h"

#include "base/clock.h"
#include "base/progress.h"
#include "base/units.h"
#include "base/when.h"
#include "cli/cli.h"
#include "cli/each.h"
#include "cli/litestream.h"
#include "cli/newest.h"
#include "cli/place.h"
#include "cli/restore_all.h"
#include "cli/restore_json.h"
#include "cli/skipped.h"
#include "config/find.h"
#include "restore/target.h"
#include "restore/undo.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JOBS_MAX 64

static void print_whole(const struct restore_options *o, const struct restore_result *r)
{
    char when[CLOCK_TEXT_MAX], size[32], fetched[32];
    clock_format(r->record.time_ms, when);
    units_format_size((uint64_t)r->record.pages * r->page_size, size);
    units_format_size(r->bytes, fetched);
    text_print("%s txid %" PRIu64 " of %s: %s in %u pages, from %zu object%s of %s\n",
               o->flags & RESTORE_DRY_RUN ? "would restore" : "restored", r->record.txid, when, size, r->record.pages,
               r->objects, cli_plural(r->objects), fetched);
    if (r->not_delta[0])
        text_print("restored whole, not in place: %s\n", r->not_delta);
}

static void print_delta(const struct restore_options *o, const struct restore_result *r)
{
    const struct delta_result *d = &r->in_place;
    char when[CLOCK_TEXT_MAX], size[32], written[32], fetched[32];
    clock_format(r->record.time_ms, when);
    units_format_size((uint64_t)r->record.pages * r->page_size, size);
    units_format_size((uint64_t)d->rewritten * r->page_size, written);
    units_format_size(d->fetched, fetched);
    if (o->flags & RESTORE_DRY_RUN)
        text_print("would restore txid %" PRIu64 " of %s: %s in %u pages, %u of them (%s) rewritten in place\n",
                   r->record.txid, when, size, r->record.pages, d->rewritten, written);
    else
        text_print("restored txid %" PRIu64 " of %s: %s in %u pages, %u of them (%s) rewritten in place, fetched %s\n",
                   r->record.txid, when, size, r->record.pages, d->rewritten, written, fetched);
    text_print("unchanged pages: %s\n", d->by_state_file ? "as the state file says" : "all were read and compared");
    if (d->unsettled)
        text_print("not counted: transactions in the -wal or -journal of '%s', which SQLite would complete first\n",
                   o->path);
}

static void print_restored(const struct restore_options *o, const struct restore_result *r)
{
    char when[CLOCK_TEXT_MAX];
    if (r->delta)
        print_delta(o, r);
    else
        print_whole(o, r);
    if ((o->flags & RESTORE_BY_TIME) && o->time_ms != r->record.time_ms) {
        clock_format(o->time_ms, when);
        text_print("that is the newest restore point not after %s\n", when);
    }
    skipped_tell(stdout, "", o->time_ms, r->record.txid, &r->skipped);
    if (o->txid == POINT_NEWEST && !(o->flags & RESTORE_BY_TIME) && r->newest_txid != r->record.txid)
        text_print("the replica goes on to txid %" PRIu64 ", which can't be restored yet: its base is not complete\n",
                   r->newest_txid);
    if (r->undo && !(o->flags & RESTORE_DRY_RUN))
        text_print("the old state is kept: 'seawall restore --undo -o %s' puts it back\n", o->path);
}

static void print_undone(const struct undo_options *o, const struct undo_result *r)
{
    char size[32], undone[64] = "", now[64] = "";
    if (r->whole) {
        text_print("undid the restore: the database that was replaced is back at '%s'\n", o->path);
    } else {
        units_format_size((uint64_t)r->pages * r->page_size, size);
        if (r->txid_undone)
            snprintf(undone, sizeof undone, " of txid %" PRIu64, r->txid_undone);
        if (r->txid)
            snprintf(now, sizeof now, ", as of txid %" PRIu64, r->txid);
        text_print("undid the restore%s: %s in %u pages, %u of them put back%s\n", undone, size, r->pages, r->rewritten,
                   now);
    }
    if (o->flags & UNDO_KEEP)
        text_print("the other state is kept: the same command undoes this\n");
}

static void print_result(const struct restore_options *o, const struct restore_result *r)
{
    if (r->outcome == RESTORE_NOTHING_TO_DO)
        text_print("nothing to do: '%s' exists already\n", o->path);
    else if (r->outcome == RESTORE_NO_REPLICA)
        text_print("nothing restored, there is no replica: %s\n", r->no_replica);
    else
        print_restored(o, r);
}

static int exit_code(enum restore_outcome outcome)
{
    return outcome == RESTORE_NOTHING_TO_DO ? EXIT_NOTHING_TO_DO
           : outcome == RESTORE_NO_REPLICA  ? EXIT_NO_REPLICA
                                            : EXIT_DONE;
}

/* ---- the command line */

struct request {
    struct restore_options options;
    const char *config_path;
    const char *to; /* with --all: folder for all databases */
    uint64_t jobs;  /* 0: not given */
    bool undo, all, json;
};

static bool read_time(const char *value, void *request)
{
    struct request *r = request;
    r->options.flags |= RESTORE_BY_TIME;
    return when_parse(value, clock_wall_ms(), &r->options.time_ms);
}

static bool read_mode(const char *value, void *request)
{
    return cli_read_mode(value, &((struct request *)request)->options.mode);
}

/* Checks the flags beside --undo: only -o, --integrity-check and --no-keep-undo may be given. Returns an exit code. */
static int check_undo(const struct request *r)
{
    const struct restore_options *o = &r->options;
    if (o->url || r->config_path)
        return cli_usage(&restore_command, "--undo takes no replica: it reads the undo beside the database");
    if (!o->path)
        return cli_usage(&restore_command, "missing path of the database: -o PATH");
    if (o->txid != POINT_NEWEST || r->jobs || o->mode ||
        (o->flags & ~(unsigned)(RESTORE_INTEGRITY_CHECK | RESTORE_NO_UNDO)))
        return cli_usage(&restore_command, "--undo goes only with -o, --integrity-check and --no-keep-undo");
    return EXIT_DONE;
}

/* Checks which flags go together. Returns an exit code. */
static int check(const struct request *r)
{
    const struct restore_options *o = &r->options;
    if (!o->url && !r->config_path)
        return cli_usage(&restore_command, "missing replica URL");
    if (o->txid != POINT_NEWEST && (o->flags & RESTORE_BY_TIME))
        return cli_usage(&restore_command, "--txid and --time exclude each other");
    if (o->path && !o->path[0])
        return cli_usage(&restore_command, "the path of the database is empty: -o PATH");
    if (!o->path && (!(o->flags & RESTORE_DRY_RUN) || (o->flags & (RESTORE_IF_NO_DB | RESTORE_DELTA))))
        return cli_usage(&restore_command, "missing path of the database: -o PATH");
    if ((o->flags & RESTORE_FORCE) && (o->flags & RESTORE_IF_NO_DB))
        return cli_usage(&restore_command, "--force and --if-db-not-exists exclude each other");
    if ((o->flags & RESTORE_DELTA) && (o->flags & RESTORE_IF_NO_DB))
        return cli_usage(&restore_command, "--delta and --if-db-not-exists exclude each other");
    return EXIT_DONE;
}

/* The same with --all. Each database has its own replica and path. Returns an exit code. */
static int check_all(const struct request *r)
{
    const struct restore_options *o = &r->options;
    if (!r->config_path)
        return cli_usage(&restore_command, "--all needs a configuration: -c FILE");
    if (o->url || o->path)
        return cli_usage(&restore_command,
                         "--all takes neither a replica nor -o: --to DIR is the folder for all databases");
    if (o->txid != POINT_NEWEST)
        return cli_usage(&restore_command, "--txid is a number of one database: with --all give --time");
    if ((o->flags & RESTORE_IF_NO_DB) && (o->flags & (RESTORE_FORCE | RESTORE_DELTA)))
        return cli_usage(&restore_command, "--if-db-not-exists excludes --force and --delta");
    return EXIT_DONE;
}

static int check_request(const struct request *r)
{
    if (r->to && !r->all)
        return cli_usage(&restore_command, "--to goes only with --all; -o is the path of one database");
    if (r->undo && r->all)
        return cli_usage(&restore_command, "--undo and --all exclude each other");
    return r->undo ? check_undo(r) : r->all ? check_all(r) : check(r);
}

/* ---- the command */

static int restore_each(const struct request *r)
{
    struct restore_all all = {.to = r->to, .options = r->options, .at_once = RESTORE_ALL_JOBS, .json = r->json};
    struct config *config = NULL;
    struct err e;
    if (cli_read_config(r->config_path, &config, &e))
        return cli_fail(&e);
    if (r->jobs > 0)
        all.at_once = (unsigned)r->jobs;
    all.config = config;
    int code = config->db_count > 0 ? restore_all(&all)
                                    : cli_usage(&restore_command, "'%s' has no [db PATH] section", r->config_path);
    config_free(config);
    return code;
}

static int undo(const struct request *r, struct progress *progress)
{
    const struct restore_options *o = &r->options;
    struct undo_options options = {
        .path = o->path, .cancel = o->cancel, .progress = o->progress, .context = o->context};
    struct undo_result result;
    struct err e;
    options.flags = (o->flags & RESTORE_NO_UNDO ? 0u : UNDO_KEEP) |
                    (o->flags & RESTORE_INTEGRITY_CHECK ? UNDO_INTEGRITY_CHECK : 0u);
    int rc = undo_run(&options, &result, &e);
    progress_end(progress);
    if (rc == 0 && r->json)
        rc = restore_json_print_undo(&options, &result, &e);
    else if (rc == 0)
        print_undone(&options, &result);
    return rc ? cli_fail(&e) : EXIT_DONE;
}

/* Restores from a replica of Seawall or, if there is none, of Litestream: then ret_theirs->found is true. */
static int restore_either(const struct restore_options *o, struct restore_result *ret, struct lite_result *ret_theirs,
                          struct err *e)
{
    if (cli_check_scheme(o->url, e))
        return -1;
    int rc = restore_run(o, ret, e);
    if (rc ? e->code == ERR_NOTFOUND : ret->outcome == RESTORE_NO_REPLICA)
        cli_restore_litestream(o, &rc, ret_theirs, e);
    return rc;
}

/* Of several replicas of the database, takes the one that has the newest restore point, and says which others are behind
 * or can't be used. If none can be used, the first one stays. */
static int take_newest(struct request *r, const struct config_member *m, struct config *config, struct err *e)
{
    struct newest_replica *list = calloc(m->url_count + 1, sizeof *list);
    if (!list)
        return err_nomem(e, m->url_count * sizeof *list);
    for (size_t k = 0; k < m->url_count; k++)
        list[k] = (struct newest_replica){.url = m->urls[k], .number = k};
    newest_ask(&r->options, list, m->url_count);
    int rc = 0;
    if (list[0].state == NEWEST_USABLE) {
        newest_tell("", list, m->url_count, 0);
        rc = config_find_url_at(config, m, list[0].number, &r->options.url, e);
    }
    free(list);
    return rc;
}

/* Finds the URL that the word of the command line means. With --txid it is that of the first replica. */
static int find_url(struct request *r, struct config *config, struct err *e)
{
    const char *word = r->options.url;
    struct config_member m;
    struct err none;
    char shown[STORE_URL_MAX];
    enum target_found found = TARGET_FREE;
    if (config_find_url(config, word, &r->options.url, e))
        return -1;
    bool exists = (r->options.flags & RESTORE_IF_NO_DB) &&
                  (target_look(r->options.path, &found, &none) || found == TARGET_DATABASE);
    bool is_db = !word || (!strstr(word, "://") && !config_find_replica(config, word));
    if (exists || !is_db || config_find_db(config, word, &m, &none))
        return 0;
    int rc = 0;
    if (m.url_count > 1 && r->options.txid == POINT_NEWEST)
        rc = take_newest(r, &m, config, e);
    else if (m.url_count > 1)
        text_print_to(stderr, "seawall: of %zu replicas only the first is looked at, because of --txid: '%s'\n",
                      m.url_count, place_shown(r->options.url, shown));
    config_member_release(&m);
    return rc;
}

/* Prints what came of it. Returns an exit code. */
static int tell(const struct request *r, const struct restore_result *result, const struct lite_result *theirs)
{
    const struct restore_options *o = &r->options;
    struct err e;
    int rc = 0;
    if (theirs->found && r->json)
        rc = restore_json_print_litestream(o, theirs, &e);
    else if (theirs->found)
        cli_print_litestream(o, theirs);
    else if (r->json)
        rc = restore_json_print(o, result, &e);
    else
        print_result(o, result);
    return rc ? cli_fail(&e) : theirs->found ? EXIT_DONE : exit_code(result->outcome);
}

static int restore(struct request *r, struct progress *progress)
{
    struct restore_result result;
    struct lite_result theirs = {.found = false};
    struct config *config = NULL;
    struct err e;
    if (cli_read_config(r->config_path, &config, &e))
        return cli_fail(&e);
    int code, rc = config ? find_url(r, config, &e) : 0;
    if (rc == 0)
        rc = restore_either(&r->options, &result, &theirs, &e);
    progress_end(progress);
    code = rc ? cli_fail_reading(&e) : tell(r, &result, &theirs);
    config_free(config);
    return code;
}

static int cmd_restore(int argc, char **argv)
{
    struct progress progress;
    struct request r = {
        .options = {
            .txid = POINT_NEWEST, .retrying = cli_tell_retry, .progress = progress_callback, .context = &progress}};
    int code = EXIT_DONE;
    if (!cli_parse(&restore_command, argc, argv, &r, &code))
        return code;
    code = check_request(&r);
    if (code)
        return code;
    if (r.options.flags & RESTORE_DRY_RUN)
        cli_output_is_work();
    r.options.jobs = (unsigned)r.jobs;
    r.options.cancel = cli_catch_interrupts();
    if (r.all)
        return restore_each(&r);
    progress_begin(&progress, progress_place_of_stderr(), NULL, "restore");
    return r.undo ? undo(&r, &progress) : restore(&r, &progress);
}

static const struct flag flags[] = {
    FLAG_CONFIG(struct request, config_path, "configuration file that has the replica or the database"),
    {.name = "output",
     .letter = 'o',
     FLAG_INTO(struct request, options.path),
     .value_name = "PATH",
     .help = "where to put the database; nothing may exist there"},
    {.name = "all",
     FLAG_INTO(struct request, all),
     .help = "with -c: all databases of the file, found by listing its stores; several at a time"},
    {.name = "to",
     FLAG_INTO(struct request, to),
     .value_name = "DIR",
     .help = "with --all: put the databases below this folder, not at their own paths"},
    {.name = "txid",
     FLAG_INTO(struct request, options.txid),
     .max = INT64_MAX,
     .value_name = "N",
     .expects = "a number from 1 on",
     .help = "the database as it was after this transaction; default: the newest"},
    {.name = "time",
     .kind = FLAG_READ,
     .read = read_time,
     .value_name = "T",
     .expects = "2026-03-01T12:00:00Z, '2026-03-01 12:00' in local time, or '2 hours ago'",
     .help = "the database as it was at this time: 2026-03-01T12:00:00Z, '2026-03-01 12:00' in local time, "
             "'2 hours ago'"},
    {.name = "force",
     FLAG_INTO(struct request, options.flags),
     .bits = RESTORE_FORCE,
     .help = "replace the file at PATH"},
    {.name = "delta",
     FLAG_INTO(struct request, options.flags),
     .bits = RESTORE_DELTA,
     .help = "rewrite in the database at PATH only the pages that differ, all of them or none"},
    {.name = "keep-undo",
     .kind = FLAG_CLEAR,
     .offset = offsetof(struct request, options.flags),
     .bits = RESTORE_NO_UNDO,
     .help = "keep what is replaced or rewritten, in PATH-seawall-undo; this is the default"},
    {.name = "no-keep-undo",
     FLAG_INTO(struct request, options.flags),
     .bits = RESTORE_NO_UNDO,
     .help = "keep nothing of what is replaced or rewritten"},
    {.name = "mode",
     .kind = FLAG_READ,
     .read = read_mode,
     .value_name = "MODE",
     .expects = "permissions in octal that let the owner read and write, such as 640",
     .help = "permissions of a database that replaces none, in octal; default: 600"},
    {.name = "undo", FLAG_INTO(struct request, undo), .help = "put back what the last restore replaced or rewrote"},
    {.name = "if-db-not-exists",
     FLAG_INTO(struct request, options.flags),
     .bits = RESTORE_IF_NO_DB,
     .help = "for start scripts: if a database exists at PATH, leave it alone and exit with 8"},
    {.name = "if-replica-exists",
     FLAG_INTO(struct request, options.flags),
     .bits = RESTORE_IF_REPLICA,
     .help = "for start scripts: if the replica does not exist, say so and exit with 9"},
    {.name = "integrity-check",
     FLAG_INTO(struct request, options.flags),
     .bits = RESTORE_INTEGRITY_CHECK,
     .help = "run SQLite's integrity check on the new database before it takes its place"},
    {.name = "dry-run",
     FLAG_INTO(struct request, options.flags),
     .bits = RESTORE_DRY_RUN,
     .help = "only say what would be done"},
    {.name = "json",
     FLAG_INTO(struct request, json),
     .help = "one JSON object: outcome, path, txid, time, pages, bytes and others; with --all: databases, totals"},
    {.name = "jobs",
     FLAG_INTO(struct request, jobs),
     .max = JOBS_MAX,
     .value_name = "N",
     .expects = "a number from 1 to 64",
     .help = "number of threads, 1 to 64; default: 4, from S3 12. With --all: databases at a time; default: 16"},
    FLAG_MEMORY,
};

static const struct word words[] = {
    WORD_REPLICA(struct request, options.url, WORD_OPTIONAL),
};

const struct command restore_command = {
    .name = "restore",
    .works_without_output = true,
    .run = cmd_restore,
    .example = "restore -o PATH URL",
    .summary = "rebuild the database as it was after a transaction",
    .synopsis =
        "seawall restore [-c FILE] -o PATH [--txid N | --time T] [[--force] [--delta] | --if-db-not-exists]\n"
        "                [--if-replica-exists] [--keep-undo | --no-keep-undo] [--mode MODE] [--integrity-check] "
        "[--dry-run]\n"
        "                [--json] [--jobs N] [--memory BYTES] URL|DB\n"
        "seawall restore -c FILE --all [--to DIR] [--time T] [[--force] [--delta] | --if-db-not-exists]\n"
        "                [--if-replica-exists] [--keep-undo | --no-keep-undo] [--mode MODE] [--integrity-check] "
        "[--dry-run]\n"
        "                [--json] [--jobs N] [--memory BYTES]\n"
        "seawall restore --undo -o PATH [--no-keep-undo] [--integrity-check] [--json]\n",
    .description =
        "Rebuilds a database beside PATH, proves it, and only then puts it in place. With -c, URL can be the name "
        "of a replica in the file, or the path of a database in the file: then the newest of its replicas is used, and "
        "with --txid the first.\n",
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
    .words = words,
    .word_count = sizeof words / sizeof words[0],
};
