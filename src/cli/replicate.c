/* cli/replicate.c - `seawall replicate`. */
#include "cli/cli.h"
#include "replicate/scheduler.h"

#include <stdio.h>
#include <string.h>

#define URLS_MAX IDENTITY_REPLICAS_MAX

int cmd_replicate(int argc, char **argv)
{
    struct replicate_config config = {.options = options_default()};
    const char *urls[URLS_MAX], *word = NULL;
    struct args args = args_of(argc, argv);
    struct err e;
    enum args_kind kind;
    while ((kind = args_next(&args, &word)) != ARGS_END) {
        if (kind == ARGS_WORD && !config.db_path) {
            config.db_path = word;
        } else if (kind == ARGS_WORD) {
            if (config.url_count == URLS_MAX)
                return cli_usage("replicate", "more than %d replicas", URLS_MAX);
            urls[config.url_count++] = word;
        } else if (args_flag(&args, "once")) {
            config.once = true;
        } else if (args_flag(&args, "take-over")) {
            config.take_over = TAKE_OVER_YES;
        } else if (args_flag(&args, "help") || args_flag(&args, "h")) {
            cli_print_help("replicate");
            return EXIT_DONE;
        } else if (options_known(args.name)) {
            const char *value = args_value(&args);
            if (!value)
                return cli_usage("replicate", "--%s needs a value", args.name);
            if (options_set(&config.options, args.name, value, &e))
                return cli_fail(&e);
        } else {
            return cli_usage("replicate", "there is no option --%s%s", args.name, args.value ? " that takes a value" : "");
        }
    }
    if (!config.db_path || config.url_count == 0)
        return cli_usage("replicate", "it takes a database and at least one URL");
    config.urls = urls;
    if (scheduler_run(&config, &e)) {
        int code = cli_fail(&e);
        return code == EXIT_NOTHING || code == EXIT_CORRUPT ? EXIT_FAILED : code; /* these two speak of a replica that is read */
    }
    return EXIT_DONE;
}
