/* cli/restore.c - `seawall restore`. */
#include "restore/restore.h"

#include "base/clock.h"
#include "base/units.h"
#include "base/when.h"
#include "cli/cli.h"
#include "config/find.h"
#include "restore/undo.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define JOBS_MAX 64
#define BAR_AFTER_MS 1000 /* a shorter restore shows no bar */
#define BAR_WIDTH 30

/* The progress bar, on stderr. */
struct bar {
    bool wanted; /* stderr is a terminal */
    bool shown;  /* its line has to be ended */
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
    text_print_to(stderr, "\r[%s] %3" PRIu64 " %%  %s/s  %" PRIu64 " s left   ", line, done * 100 / total, rate, left);
    b->shown = true;
}

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

/* What a search by time can't find, although the user may have expected it. */
static void print_skipped(const struct restore_options *o, const struct restore_result *r)
{
    char moment[CLOCK_TEXT_MAX], last[CLOCK_TEXT_MAX], which[64];
    const uint64_t first = r->record.txid + 1;
    clock_format(o->time_ms, moment);
    clock_format(r->skipped.last_ms, last);
    if (first < r->skipped.last)
        snprintf(which, sizeof which, "txid %" PRIu64 " to %" PRIu64 " are newer", first, r->skipped.last);
    else
        snprintf(which, sizeof which, "txid %" PRIu64 " is newer", first);
    if (r->skipped.future)
        text_print("skipped: %s, and the time of the last, %s, has not come yet: a clock is wrong\n", which, last);
    else
        text_print("skipped: %s, and the last was there before %s, but its time is %s: the clock of the writer was "
                   "ahead, and times never fall within a replica\n",
                   which, moment, last);
    text_print("  HINT: to restore the newest of them, say --txid %" PRIu64 " instead of --time\n", r->skipped.last);
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
    if (r->skipped.last)
        print_skipped(o, r);
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

static int print_result(const struct restore_options *o, const struct restore_result *r)
{
    switch (r->outcome) {
    case RESTORE_NOTHING_TO_DO:
        text_print("nothing to do: '%s' exists already\n", o->path);
        return EXIT_NOTHING_TO_DO;
    case RESTORE_NO_REPLICA:
        text_print("nothing restored, there is no replica: %s\n", r->no_replica);
        return EXIT_NO_REPLICA;
    case RESTORE_DONE:
        break;
    }
    print_restored(o, r);
    return EXIT_DONE;
}

/* ---- the command line */

struct request {
    struct restore_options options;
    const char *config_path;
    uint64_t jobs; /* 0: not given */
    bool undo;
};

static bool read_time(const char *value, void *request)
{
    struct request *r = request;
    r->options.flags |= RESTORE_BY_TIME;
    return when_parse(value, clock_wall_ms(), &r->options.time_ms);
}

/* Octal, as chmod takes it. The owner must be able to read and write the database. */
static bool read_mode(const char *value, void *request)
{
    struct request *r = request;
    char *end = NULL;
    if (strspn(value, "01234567") != strlen(value) || strlen(value) < 3 || strlen(value) > 4)
        return false;
    unsigned long mode = strtoul(value, &end, 8);
    r->options.mode = (unsigned)mode;
    return mode <= 0777 && (mode & 0600) == 0600;
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
    if (!o->path && (!(o->flags & RESTORE_DRY_RUN) || (o->flags & (RESTORE_IF_NO_DB | RESTORE_DELTA))))
        return cli_usage(&restore_command, "missing path of the database: -o PATH");
    if ((o->flags & RESTORE_FORCE) && (o->flags & RESTORE_IF_NO_DB))
        return cli_usage(&restore_command, "--force and --if-db-not-exists exclude each other");
    if ((o->flags & RESTORE_DELTA) && (o->flags & RESTORE_IF_NO_DB))
        return cli_usage(&restore_command, "--delta and --if-db-not-exists exclude each other");
    return EXIT_DONE;
}

/* ---- the command */

static int undo(const struct restore_options *o, const struct bar *bar)
{
    struct undo_options options = {
        .path = o->path, .cancel = o->cancel, .progress = o->progress, .context = o->context};
    struct undo_result result;
    struct err e;
    options.flags = (o->flags & RESTORE_NO_UNDO ? 0u : UNDO_KEEP) |
                    (o->flags & RESTORE_INTEGRITY_CHECK ? UNDO_INTEGRITY_CHECK : 0u);
    int rc = undo_run(&options, &result, &e);
    if (bar->shown)
        text_put(stderr, "\n");
    if (rc)
        return cli_fail(&e);
    print_undone(&options, &result);
    return EXIT_DONE;
}

static int restore(struct request *r, const struct bar *bar)
{
    struct restore_result result;
    struct config *config = NULL;
    struct err e;
    if (cli_read_config(r->config_path, &config, &e))
        return cli_fail(&e);
    int rc = config ? config_find_url(config, r->options.url, &r->options.url, &e) : 0;
    if (rc == 0)
        rc = restore_run(&r->options, &result, &e);
    config_free(config);
    if (bar->shown)
        text_put(stderr, "\n");
    return rc ? cli_fail(&e) : print_result(&r->options, &result);
}

static int cmd_restore(int argc, char **argv)
{
    struct bar bar = {.wanted = isatty(STDERR_FILENO) != 0, .started_ms = clock_mono_ms()};
    struct request r = {
        .options = {.txid = POINT_NEWEST, .retrying = cli_tell_retry, .progress = draw_bar, .context = &bar}};
    int code = EXIT_DONE;
    if (!cli_parse(&restore_command, argc, argv, &r, &code))
        return code;
    code = r.undo ? check_undo(&r) : check(&r);
    if (code)
        return code;
    r.options.jobs = (unsigned)r.jobs;
    r.options.cancel = cli_catch_interrupts();
    return r.undo ? undo(&r.options, &bar) : restore(&r, &bar);
}

static const struct flag flags[] = {
    FLAG_CONFIG(struct request, config_path, "configuration file that has the replica or the database"),
    {.name = "output",
     .letter = 'o',
     FLAG_INTO(struct request, options.path),
     .value_name = "PATH",
     .help = "where to put the database; nothing may exist there"},
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
    {.name = "jobs",
     FLAG_INTO(struct request, jobs),
     .max = JOBS_MAX,
     .value_name = "N",
     .expects = "a number from 1 to 64",
     .help = "number of threads, 1 to 64; default: 4, from S3 12"},
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
        "                [--jobs N] [--memory BYTES] URL|DB\n"
        "seawall restore --undo -o PATH [--no-keep-undo] [--integrity-check]\n",
    .description =
        "Rebuilds a database beside PATH, proves it, and only then puts it in place. With -c, URL can be the name "
        "of a replica in the file, or the path of a database in the file: then its first replica is used.\n",
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
    .words = words,
    .word_count = sizeof words / sizeof words[0],
};
