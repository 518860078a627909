/* cli/restore.c - `seawall restore`. */
#include "restore/restore.h"
#include "base/clock.h"
#include "base/units.h"
#include "base/when.h"
#include "cli/cli.h"
#include "config/file.h"
#include "restore/undo.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define JOBS_MAX 64
#define BAR_AFTER_MS 1000
#define BAR_WIDTH 30

static atomic_bool interrupted;

static void on_signal(int signo)
{
    (void)signo;
    atomic_store(&interrupted, true);
}

struct bar {
    bool wanted, shown;
    int64_t started_ms;
};

/* [##########--------------------]  33 %  412.0 MB/s  3 s left */
static void draw_bar(void *context, uint64_t done, uint64_t total)
{
    struct bar *b = context;
    int64_t ms = clock_mono_ms() - b->started_ms;
    char rate[32], line[BAR_WIDTH + 1];
    if (!b->wanted || ms < BAR_AFTER_MS || total == 0)
        return;
    if (done > total)
        done = total;
    uint64_t per_second = done * 1000 / (uint64_t)ms;
    size_t filled = (size_t)(done * BAR_WIDTH / total);
    memset(line, '-', BAR_WIDTH);
    memset(line, '#', filled);
    line[BAR_WIDTH] = 0;
    units_format_size(per_second, rate);
    uint64_t left = per_second ? (total - done) / per_second : 0;
    fprintf(stderr, "\r[%s] %3" PRIu64 " %%  %s/s  %" PRIu64 " s left   ", line, done * 100 / total, rate, left);
    b->shown = true;
}

static void print_whole(const struct restore_options *o, const struct restore_result *r)
{
    char when[CLOCK_TEXT_MAX], size[32], fetched[32];
    clock_format(r->record.time_ms, when);
    units_format_size((uint64_t)r->record.pages * r->page_size, size);
    units_format_size(r->bytes, fetched);
    printf("%s txid %" PRIu64 " of %s: %s in %u pages, from %zu object%s of %s\n",
           o->flags & RESTORE_DRY_RUN ? "would restore" : "restored", r->record.txid, when, size, r->record.pages,
           r->objects, r->objects == 1 ? "" : "s", fetched);
    if (r->not_delta[0])
        printf("not in place, but whole: %s\n", r->not_delta);
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
        printf("would restore txid %" PRIu64 " of %s: %s in %u pages, %u of them (%s) rewritten in place\n",
               r->record.txid, when, size, r->record.pages, d->rewritten, written);
    else
        printf("restored txid %" PRIu64 " of %s: %s in %u pages, %u of them (%s) rewritten in place, fetched %s\n",
               r->record.txid, when, size, r->record.pages, d->rewritten, written, fetched);
    printf("pages that stay: %s\n", d->by_state_file ? "as the state file says" : "all were read and compared");
    if (d->unsettled)
        printf("not counted: what the -wal or -journal of '%s' holds, which SQLite would complete first\n", o->path);
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
        printf("that is the newest restore point not after %s\n", when);
    }
    if (o->txid == POINT_NEWEST && !(o->flags & RESTORE_BY_TIME) && r->newest_txid != r->record.txid)
        printf("the replica goes on to txid %" PRIu64 ", which can't be restored yet: its base is not complete\n",
               r->newest_txid);
    if (r->undo && !(o->flags & RESTORE_DRY_RUN))
        printf("what was there is kept: 'seawall restore --undo -o %s' puts it back\n", o->path);
}

static void print_undone(const struct undo_options *o, const struct undo_result *r)
{
    char size[32], undone[64] = "", now[64] = "";
    if (r->whole) {
        printf("undone: the database that was replaced is back at '%s'\n", o->path);
    } else {
        units_format_size((uint64_t)r->pages * r->page_size, size);
        if (r->txid_undone)
            snprintf(undone, sizeof undone, " of txid %" PRIu64, r->txid_undone);
        if (r->txid)
            snprintf(now, sizeof now, ", as of txid %" PRIu64, r->txid);
        printf("undone, the restore%s: %s in %u pages, %u of them put back%s\n", undone, size, r->pages, r->rewritten,
               now);
    }
    if (o->flags & UNDO_KEEP)
        printf("what was there is kept: the same once more undoes this\n");
}

static int print_result(const struct restore_options *o, const struct restore_result *r)
{
    switch (r->outcome) {
    case RESTORE_NOTHING_TO_DO:
        printf("nothing to do: '%s' is there already\n", o->path);
        return EXIT_NOTHING_TO_DO;
    case RESTORE_NO_REPLICA:
        printf("nothing restored, there is no replica: %s\n", r->no_replica);
        return EXIT_NO_REPLICA;
    case RESTORE_DONE:
        break;
    }
    print_restored(o, r);
    return EXIT_DONE;
}

/* What goes with --undo: the path, and how careful to be. */
static int check_undo(const struct restore_options *o, bool has_config)
{
    if (o->url || has_config)
        return cli_usage("restore", "--undo takes no replica: what it puts back lies beside the database");
    if (!o->path)
        return cli_usage("restore", "say with -o which database is meant");
    if (o->txid != POINT_NEWEST || o->jobs || (o->flags & ~(unsigned)(RESTORE_INTEGRITY_CHECK | RESTORE_NO_UNDO)))
        return cli_usage("restore", "with --undo only -o, --integrity-check and --no-keep-undo have a meaning");
    return 0;
}

/* What goes together. */
static int check(const struct restore_options *o, bool has_config)
{
    if (!o->url && !has_config)
        return cli_usage("restore", "it takes the URL of a replica");
    if (o->txid != POINT_NEWEST && (o->flags & RESTORE_BY_TIME))
        return cli_usage("restore", "either --txid or --time");
    if (!o->path && (!(o->flags & RESTORE_DRY_RUN) || (o->flags & RESTORE_IF_NO_DB)))
        return cli_usage("restore", "say with -o where the database goes");
    if ((o->flags & RESTORE_FORCE) && (o->flags & RESTORE_IF_NO_DB))
        return cli_usage("restore", "either --force or --if-db-not-exists");
    if ((o->flags & RESTORE_DELTA) && (o->flags & RESTORE_IF_NO_DB))
        return cli_usage("restore", "either --delta or --if-db-not-exists");
    if ((o->flags & RESTORE_DELTA) && !o->path)
        return cli_usage("restore", "--delta is about a database: say with -o which");
    return 0;
}

static int parse(int argc, char **argv, struct restore_options *o, const char **ret_config_path, bool *ret_undo,
                 bool *ret_help)
{
    struct args args = args_of(argc, argv);
    const char *word = NULL, *value = NULL;
    uint64_t number = 0;
    enum args_kind kind;
    while ((kind = args_next(&args, &word)) != ARGS_END) {
        if (kind == ARGS_WORD) {
            if (o->url)
                return cli_usage("restore", "one URL only, not '%s' too", word);
            o->url = word;
        } else if (strcmp(args.name, "o") == 0 || strcmp(args.name, "output") == 0) {
            if (!(o->path = args_value(&args)))
                return cli_usage("restore", "-o needs a path");
        } else if (strcmp(args.name, "c") == 0 || strcmp(args.name, "config") == 0) {
            if (!(*ret_config_path = args_value(&args)))
                return cli_usage("restore", "-c needs a path");
        } else if (strcmp(args.name, "txid") == 0) {
            value = args_value(&args);
            if (!cli_parse_number(value, &number) || number == 0 || number > INT64_MAX)
                return cli_usage("restore", "--txid needs a number from 1 on");
            o->txid = number;
        } else if (strcmp(args.name, "time") == 0) {
            value = args_value(&args);
            if (!value || !when_parse(value, clock_wall_ms(), &o->time_ms))
                return cli_usage(
                    "restore", "--time takes 2026-03-01T12:00:00Z, '2026-03-01 12:00' in local time, or '2 hours ago'");
            o->flags |= RESTORE_BY_TIME;
        } else if (strcmp(args.name, "jobs") == 0) {
            value = args_value(&args);
            if (!cli_parse_number(value, &number) || number == 0 || number > JOBS_MAX)
                return cli_usage("restore", "--jobs needs a number from 1 to %d", JOBS_MAX);
            o->jobs = (unsigned)number;
        } else if (args_flag(&args, "force")) {
            o->flags |= RESTORE_FORCE;
        } else if (args_flag(&args, "delta")) {
            o->flags |= RESTORE_DELTA;
        } else if (args_flag(&args, "keep-undo")) {
            o->flags &= ~(unsigned)RESTORE_NO_UNDO;
        } else if (args_flag(&args, "no-keep-undo")) {
            o->flags |= RESTORE_NO_UNDO;
        } else if (args_flag(&args, "undo")) {
            *ret_undo = true;
        } else if (args_flag(&args, "if-db-not-exists")) {
            o->flags |= RESTORE_IF_NO_DB;
        } else if (args_flag(&args, "if-replica-exists")) {
            o->flags |= RESTORE_IF_REPLICA;
        } else if (args_flag(&args, "integrity-check")) {
            o->flags |= RESTORE_INTEGRITY_CHECK;
        } else if (args_flag(&args, "dry-run")) {
            o->flags |= RESTORE_DRY_RUN;
        } else if (args_flag(&args, "help") || args_flag(&args, "h")) {
            *ret_help = true;
            return 0;
        } else {
            return cli_usage("restore", "there is no option --%s%s", args.name,
                             args.value ? " that takes a value" : "");
        }
    }
    return *ret_undo ? check_undo(o, *ret_config_path != NULL) : check(o, *ret_config_path != NULL);
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

static int undo(const struct restore_options *o, struct bar *bar)
{
    struct undo_options options = {
        .path = o->path, .cancel = o->cancel, .progress = o->progress, .context = o->context};
    struct undo_result result;
    struct err e;
    options.flags = (o->flags & RESTORE_NO_UNDO ? 0u : UNDO_KEEP) |
                    (o->flags & RESTORE_INTEGRITY_CHECK ? UNDO_INTEGRITY_CHECK : 0u);
    catch_signals();
    int rc = undo_run(&options, &result, &e);
    if (bar->shown)
        fputc('\n', stderr);
    if (rc)
        return cli_fail(&e);
    print_undone(&options, &result);
    return EXIT_DONE;
}

int cmd_restore(int argc, char **argv)
{
    struct bar bar = {.wanted = isatty(STDERR_FILENO) != 0, .started_ms = clock_mono_ms()};
    struct restore_options o = {.txid = POINT_NEWEST,
                                .cancel = &interrupted,
                                .retrying = cli_tell_retry,
                                .progress = draw_bar,
                                .context = &bar};
    struct restore_result result;
    struct err e;
    bool help = false, wants_undo = false;
    const char *config_path = NULL;
    struct config *config = NULL;
    int code = parse(argc, argv, &o, &config_path, &wants_undo, &help);
    if (code)
        return code;
    if (help) {
        cli_print_help("restore");
        return EXIT_DONE;
    }
    if (wants_undo)
        return undo(&o, &bar);
    if (cli_read_config(config_path, &config, &e))
        return cli_fail(&e);
    if (config && config_find_url(config, o.url, &o.url, &e)) {
        config_free(config);
        return cli_fail(&e);
    }
    catch_signals();
    int rc = restore_run(&o, &result, &e);
    config_free(config);
    if (bar.shown)
        fputc('\n', stderr);
    if (rc)
        return cli_fail(&e);
    return print_result(&o, &result);
}
