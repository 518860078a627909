/* cli/help.c - `seawall help` and `seawall version`. */
#include "cli/cli.h"
#include "config/options.h"
#include "storage/open.h"

#include "format/codec.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#ifndef SEAWALL_VERSION
#error "the Makefile defines SEAWALL_VERSION"
#endif

#define HELP_COLUMNS 120

static const char overview[] =
    "seawall keeps SQLite databases safe: it ships every transaction to a replica, and restores any of them.\n"
    "\n"
    "  seawall replicate DB URL...     run beside the application and ship what it commits\n"
    "  seawall snapshot DB URL...      back up what changed since the last time, and exit: for cron\n"
    "  seawall restore -o PATH URL     rebuild the database as it was after a transaction\n"
    "  seawall list URL                show what can be restored\n"
    "  seawall verify URL              find out whether a replica is complete and sound\n"
    "  seawall prune URL               delete what no rule keeps\n"
    "  seawall status DB               ask the daemon how far it is\n"
    "  seawall sync DB                 wait until all that is committed is durable\n"
    "  seawall config -c FILE          check a configuration and show what it comes to\n"
    "  seawall version\n"
    "  seawall help [COMMAND]\n"
    "\n"
    "DB is the path of a database. URL is s3://bucket/prefix, file:///dir or the path of a folder.\n"
    "'seawall help COMMAND' and 'seawall help s3' have the details; seawall(1) and seawall.conf(5) all of it.\n"
    "Exit codes: 0 done and durable, 1 failed, 2 usage or configuration, 3 some databases failed, 4 nothing to "
    "restore,\n"
    "5 replica corrupt, 6 another writer owns the replica, 7 timed out, 8 nothing to do: the database is there "
    "already,\n"
    "9 no replica there, where that was allowed, 130 interrupted.\n";

static const char replicate_help[] =
    "seawall replicate [-c FILE] [--once] [--take-over] [OPTION...] [DB [URL...]]\n"
    "\n"
    "Runs in the foreground until SIGTERM or SIGINT; then ships what is captured and exits 0 only if all of it is "
    "durable.\n"
    "SIGUSR1 logs figures. A second signal stops at once.\n"
    "\n"
    "  -c, --config FILE            configuration: databases, replicas, options; the command line comes first\n"
    "  --once                       bring the replicas up to date and exit\n"
    "  --take-over                  continue a replica that another writer began\n";

static const char snapshot_help[] =
    "seawall snapshot [-c FILE] [--base] [--take-over] [--busy-timeout TIME] [OPTION...] [DB [URL...]]\n"
    "\n"
    "Backs up a database as it is at one moment, in whatever journal mode, and exits: sends what changed since the "
    "last time.\n"
    "Prints one line, and nothing else if all is well. With -c and without DB: every database of the file, one after "
    "the other.\n"
    "\n"
    "  -c, --config FILE            configuration: databases, replicas, options; the command line comes first\n"
    "  --base                       write a new base to each replica: everything, even if nothing changed\n"
    "  --take-over                  continue a replica that another writer began\n"
    "  --busy-timeout TIME          wait so long for a lock that an application holds (10s)\n";

static const char restore_help[] =
    "seawall restore [-c FILE] -o PATH [--txid N | --time T] [[--force] [--delta] | --if-db-not-exists] "
    "[--if-replica-exists]\n"
    "                [--no-keep-undo] [--integrity-check] [--dry-run] [--jobs N] URL|DB\n"
    "seawall restore --undo -o PATH [--no-keep-undo] [--integrity-check]\n"
    "\n"
    "Rebuilds a database beside PATH, proves it, and only then puts it there. With -c, URL can be the name of a "
    "replica there, or\n"
    "the path of a database there: then it is restored from its first replica.\n"
    "\n"
    "  -c, --config FILE            configuration in which the replica or the database stands\n"
    "  -o, --output PATH            where the database goes; it must not exist\n"
    "  --txid N                     as it was after this transaction; default: the newest\n"
    "  --time T                     as it was then: 2026-03-01T12:00:00Z, '2026-03-01 12:00' in local time, '2 hours "
    "ago'\n"
    "  --force                      replace what is at PATH\n"
    "  --delta                      rewrite in the database at PATH only the pages that differ; all of them or none\n"
    "  --keep-undo                  keep what is replaced or rewritten, in PATH-seawall-undo (default)\n"
    "  --no-keep-undo               keep nothing of it\n"
    "  --undo                       put back what the last restore replaced or rewrote\n"
    "  --if-db-not-exists           for start scripts: if a database is at PATH, leave it alone and exit with 8\n"
    "  --if-replica-exists          for start scripts: if there is no replica, say so and exit with 9\n"
    "  --integrity-check            let SQLite check the new database before it takes its place\n"
    "  --dry-run                    only say what would be done\n"
    "  --jobs N                     threads, 1 to 64; default: 4, from S3 12\n";

static const char list_help[] =
    "seawall list [-c FILE] [--points] [--segments] [--json] URL|DB\n"
    "\n"
    "Shows what a replica can give back, as ranges of transactions, and what it consists of: bases, levels, bytes. "
    "With -c, URL\n"
    "can be the name of a replica there, or the path of a database there, which stands for its first replica.\n"
    "\n"
    "  -c, --config FILE            configuration in which the replica or the database stands\n"
    "  --points                     each restore point on a line: txid, time, size of the database in pages\n"
    "  --segments                   each object on a line: kind, level, txids, time, bytes, key, and what is special "
    "about it\n"
    "  --json                       one JSON object: first_txid, last_txid, first_time, last_time, objects, bytes, "
    "ranges, bases,\n"
    "                               levels, parts, with --segments segments, points\n";

static const char config_help[] =
    "seawall config [-c FILE]\n"
    "\n"
    "Checks a configuration file, and prints what it comes to, as a configuration file: every option with its value, "
    "for each\n"
    "database, and the replicas. Values of headers, which can be secrets, are left out. Without a file: the defaults.\n"
    "\n"
    "  -c, --config FILE            the configuration\n";

static const char verify_help[] =
    "seawall verify [-c FILE] [--full] [--restore] [--txid N] [--tmp DIR] [--json] URL|DB|-\n"
    "\n"
    "Says whether a replica is complete, and whether its objects are sound and fit together. Exits 5 if something is "
    "wrong, and "
    "names\n"
    "it. With -c, URL can be the name of a replica there, or the path of a database there, which stands for its first "
    "replica.\n"
    "With - it is read from standard input, so that nobody sees it among the arguments of processes.\n"
    "\n"
    "  -c, --config FILE            configuration in which the replica or the database stands\n"
    "  --full                       read every object whole, not only its end, and compute the database checksums\n"
    "  --restore                    restore the newest point into a temporary folder too, and let SQLite check it\n"
    "  --txid N                     with --restore: this point\n"
    "  --tmp DIR                    with --restore: the folder; default: TMPDIR, or /tmp\n"
    "  --json                       one JSON object: ok, checked, problems, newest_txid, newest_time, oldest_txid, "
    "oldest_time, "
    "orphans\n";

static const char prune_help[] =
    "seawall prune [-c FILE] [--dry-run] [--quiet] [--json] [OPTION...] URL|DB\n"
    "\n"
    "Deletes from a replica what no rule keeps, and prints each object with the reason why it stays or goes. Give it "
    "the options "
    "that\n"
    "the daemon has. With -c, URL can be the name of a replica there, or the path of a database there, which stands "
    "for its first\n"
    "replica; the options of the database count.\n"
    "\n"
    "  -c, --config FILE            configuration in which the replica or the database stands\n"
    "  --dry-run                    only print what would go\n"
    "  --quiet                      only the sum\n"
    "  --json                       one JSON object: dry_run, keep, delete, deleted, objects\n";

static const char status_help[] =
    "seawall status [-c FILE] [--json | --metrics] [DB]\n"
    "\n"
    "Asks the daemon of a database how far it is: what is captured, and for each replica what is durable, how far it "
    "is behind, "
    "what\n"
    "is wrong, and when it was last verified and restored. Exits 1 if no daemon runs, 3 if one of several does not.\n"
    "\n"
    "  -c, --config FILE            configuration in which the database stands; without DB: all of them\n"
    "  --json                       one JSON object: databases\n"
    "  --metrics                    the same for Prometheus, for the textfile collector of its node_exporter\n";

static const char sync_help[] =
    "seawall sync [-c FILE] [--timeout TIME] [DB]\n"
    "\n"
    "Returns when everything that was committed before it was called is durable in every replica. Exits 7 if that "
    "takes too long,\n"
    "6 if a replica is another writer's, 1 if no daemon runs.\n"
    "\n"
    "  -c, --config FILE            configuration in which the database stands; DB can be left out if it is the only "
    "one\n"
    "  --timeout TIME               seconds, or with a unit (500ms, 5m), or never; default: 60\n";

/* `text` beside `left`, in lines that fit. */
static void print_beside(const char *left, int indent, const char *text)
{
    printf("  %-*s ", indent - 3, left);
    while (*text) {
        size_t room = (size_t)(HELP_COLUMNS - indent), n = strlen(text);
        if (n > room)
            for (n = room; n > 1 && text[n] != ' '; n--)
                ;
        printf("%.*s\n", (int)n, text);
        text += n + strspn(text + n, " ");
        if (*text)
            printf("%*s", indent, "");
    }
}

/* NULL: no kind of store has this help topic. */
static const struct store_kind *kind_with_topic(const char *topic)
{
    const struct store_kind *kind = NULL;
    for (size_t i = 0; (kind = store_kind_at(i)); i++)
        if (kind->help && strcmp(kind->name, topic) == 0)
            return kind;
    return NULL;
}

static void print_store_kind(const struct store_kind *kind)
{
    struct store_url_option o;
    fputs(kind->help, stdout);
    for (size_t i = 0; kind->option && kind->option(i, &o); i++) {
        char left[64];
        snprintf(left, sizeof left, "%s=%s", o.name, o.value_name);
        print_beside(left, 43, o.help);
    }
}

static bool is_any(const char *name)
{
    (void)name;
    return true;
}

static void print_options(bool (*is_taken)(const char *name))
{
    for (size_t i = 0; i < option_count; i++) {
        const struct option_spec *o = &option_table[i];
        if (!is_taken(o->name))
            continue;
        char left[64], fallback[32], text[256];
        snprintf(left, sizeof left, "--%s %s", o->name, o->value_name);
        option_format_default(o, fallback);
        snprintf(text, sizeof text, "%s (%s)", o->help, fallback);
        print_beside(left, 31, text);
    }
}

void cli_print_help(const char *command)
{
    if (command && strcmp(command, "replicate") == 0) {
        fputs(replicate_help, stdout);
        print_options(is_any);
    } else if (command && strcmp(command, "snapshot") == 0) {
        fputs(snapshot_help, stdout);
        print_options(is_any);
    } else if (command && strcmp(command, "restore") == 0) {
        fputs(restore_help, stdout);
    } else if (command && strcmp(command, "list") == 0) {
        fputs(list_help, stdout);
    } else if (command && strcmp(command, "verify") == 0) {
        fputs(verify_help, stdout);
    } else if (command && strcmp(command, "prune") == 0) {
        fputs(prune_help, stdout);
        print_options(options_is_retention);
    } else if (command && strcmp(command, "status") == 0) {
        fputs(status_help, stdout);
    } else if (command && strcmp(command, "sync") == 0) {
        fputs(sync_help, stdout);
    } else if (command && strcmp(command, "config") == 0) {
        fputs(config_help, stdout);
    } else if (command && kind_with_topic(command)) {
        print_store_kind(kind_with_topic(command));
    } else {
        fputs(overview, stdout);
    }
}

int cmd_help(int argc, char **argv)
{
    static const char *const topics[] = {"replicate", "snapshot", "restore", "list",    "verify", "prune",
                                         "status",    "sync",     "config",  "version", "help"};
    bool known = argc == 0;
    known |= argc == 1 && kind_with_topic(argv[0]);
    for (size_t i = 0; i < sizeof topics / sizeof topics[0]; i++)
        known |= argc == 1 && strcmp(argv[0], topics[i]) == 0;
    if (!known)
        return cli_usage("help", "there is no help on '%s'", argv[0]);
    cli_print_help(argc > 0 ? argv[0] : NULL);
    return EXIT_DONE;
}

int cmd_version(int argc, char **argv)
{
    if (argc > 0)
        return cli_usage("version", "it takes no argument, not '%s'", argv[0]);
    printf("seawall %s (SQLite %s, %s)\n", SEAWALL_VERSION, sqlite3_libversion(), codec_name());
    return EXIT_DONE;
}
