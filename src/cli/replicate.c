/* cli/replicate.c - `seawall replicate`. */
#include "cli/cli.h"
#include "config/file.h"
#include "daemon/scheduler.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define URLS_MAX IDENTITY_REPLICAS_MAX

_Static_assert(CONFIG_DB_REPLICAS_MAX <= URLS_MAX, "what a file may name must fit");

struct request {
    struct replicate_config config;
    const char *config_path;
    const char *urls[URLS_MAX];
    struct cli_options options;
};

static int parse(int argc, char **argv, struct request *r, bool *ret_help)
{
    struct args args = args_of(argc, argv);
    const char *word = NULL;
    enum args_kind kind;
    int code = EXIT_DONE;
    while (code == EXIT_DONE && (kind = args_next(&args, &word)) != ARGS_END) {
        if (kind == ARGS_WORD && !r->config.db_path) {
            r->config.db_path = word;
        } else if (kind == ARGS_WORD) {
            if (r->config.url_count == URLS_MAX)
                return cli_usage("replicate", "more than %d replicas", URLS_MAX);
            r->urls[r->config.url_count++] = word;
        } else if (strcmp(args.name, "c") == 0 || strcmp(args.name, "config") == 0) {
            if (!(r->config_path = args_value(&args)))
                return cli_usage("replicate", "-c needs a path");
        } else if (args_flag(&args, "once")) {
            r->config.once = true;
        } else if (args_flag(&args, "take-over")) {
            r->config.take_over = TAKE_OVER_YES;
        } else if (args_flag(&args, "help") || args_flag(&args, "h")) {
            *ret_help = true;
            return EXIT_DONE;
        } else if (options_known(args.name)) {
            code = cli_note_option("replicate", &args, &r->options);
        } else {
            return cli_usage("replicate", "there is no option --%s%s", args.name,
                             args.value ? " that takes a value" : "");
        }
    }
    return code;
}

/* What the command line leaves open stands in the file. */
static int complete(struct request *r, const struct config *file, struct err *e)
{
    const struct config_db *db = NULL;
    r->config.options = file ? file->options : options_default();
    if (file && r->config.url_count == 0) {
        if (config_find_db(file, r->config.db_path, &db, e))
            return -1;
        r->config.db_path = db->path;
        r->config.options = db->options;
        for (size_t i = 0; i < db->replica_count; i++)
            r->urls[r->config.url_count++] = db->replicas[i];
    } else if (file) {
        for (size_t i = 0; i < r->config.url_count; i++)
            if (config_find_url(file, r->urls[i], &r->urls[i], e))
                return -1;
    }
    if (cli_apply_options(&r->options, &r->config.options, e))
        return -1;
    r->config.urls = r->urls;
    return 0;
}

int cmd_replicate(int argc, char **argv)
{
    struct request r = {.config_path = NULL};
    struct config *file = NULL;
    struct replicate_summary summary = {.hung = false};
    struct err e;
    bool help = false;
    int code = parse(argc, argv, &r, &help);
    if (code)
        return code;
    if (help) {
        cli_print_help("replicate");
        return EXIT_DONE;
    }
    if (cli_read_config(r.config_path, &file, &e) || complete(&r, file, &e)) {
        config_free(file);
        return cli_fail(&e);
    }
    if (!r.config.db_path || r.config.url_count == 0)
        code = cli_usage("replicate", "it takes a database and at least one URL, or -c FILE");
    else if (scheduler_run(&r.config, &summary, &e))
        code = cli_fail(&e);
    if (summary.hung)
        _exit(code);
    config_free(file);
    return code == EXIT_NOTHING || code == EXIT_CORRUPT ? EXIT_FAILED
                                                        : code; /* these two speak of a replica that is read */
}
