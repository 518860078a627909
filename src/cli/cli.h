/* cli/cli.h - one file per subcommand; what they share. */
#ifndef SEAWALL_CLI_CLI_H
#define SEAWALL_CLI_CLI_H

#include "base/path.h"

#include <stdbool.h>
#include <stdint.h>

/* Exit codes, one per class. */
enum exit_code {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_SOME_FAILED = 3,
    EXIT_NOTHING = 4,
    EXIT_CORRUPT = 5,
    EXIT_CONFLICT = 6,
    EXIT_TIMEOUT = 7,
    EXIT_NOTHING_TO_DO = 8, /* restore --if-db-not-exists: it does */
    EXIT_NO_REPLICA = 9,    /* restore --if-replica-exists: it does not */
    EXIT_INTERRUPTED = 130,
};

int cmd_replicate(int argc, char **argv);
int cmd_snapshot(int argc, char **argv);
int cmd_restore(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_verify(int argc, char **argv);
int cmd_prune(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_sync(int argc, char **argv);
int cmd_config(int argc, char **argv);
int cmd_version(int argc, char **argv);
int cmd_help(int argc, char **argv);

/* -c FILE of a command. NULL in `ret_config` when `path` is NULL. A place that stands there for two replicas is an error. */
struct config;
int cli_read_config(const char *path, struct config **ret_config, struct err *e) MUST_CHECK;

/* One name for a place, however a folder is spelled. `shown`: a URL as store_check or a daemon shows it. */
void cli_place_of(const char *shown, char out[PATH_TEXT_MAX]);

/* Says on stderr that a store is tried again. */
void cli_tell_retry(const struct err *e);

/* Prints "seawall: message" and gives the exit code of its class. */
int cli_fail(const struct err *e);

/* Prints what is wrong with the command line and gives EXIT_USAGE. */
int cli_usage(const char *command, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* The text of `seawall help COMMAND`. */
void cli_print_help(const char *command);

/* Walks over the arguments of a subcommand: options in any order, "--name value" or "--name=value", "--" ends them. */
struct args {
    int argc, at;
    char **argv;
    char name[64];     /* of the option that was found, without dashes */
    const char *value; /* after '=', or NULL */
    bool only_words;
};
enum args_kind { ARGS_END, ARGS_OPTION, ARGS_WORD };
struct args args_of(int argc, char **argv);
enum args_kind args_next(struct args *a, const char **ret_word);
const char *args_value(struct args *a);                 /* of the option just found; NULL: it has none */
bool args_flag(const struct args *a, const char *name); /* the option just found is this one, which takes no value */

/* Options of the table that stand on the command line: they override a file. */
#define CLI_OPTIONS_MAX 64
struct options;
struct cli_options {
    const char *name[CLI_OPTIONS_MAX], *value[CLI_OPTIONS_MAX];
    unsigned count;
};
int cli_note_option(const char *command, struct args *args,
                    struct cli_options *o); /* the one just found; an exit code */
int cli_apply_options(const struct cli_options *o, struct options *to, struct err *e) MUST_CHECK;

bool cli_parse_number(const char *text, uint64_t *ret_value);

#endif
