/* cli/cli.h - the commands, one file for each, and the functions that they share. */
#ifndef SEAWALL_CLI_CLI_H
#define SEAWALL_CLI_CLI_H

#include "base/json.h"
#include "base/log.h"
#include "base/path.h"
#include "cli/flags.h"
#include "replica/losses.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* One exit code for each class of outcome. */
enum exit_code {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,       /* the command line or the configuration is wrong */
    EXIT_SOME_FAILED = 3, /* of several databases */
    EXIT_NOTHING = 4,     /* nothing to restore */
    EXIT_CORRUPT = 5,
    EXIT_CONFLICT = 6, /* another writer owns the replica */
    EXIT_TIMEOUT = 7,
    EXIT_NOTHING_TO_DO = 8, /* restore --if-db-not-exists: the database exists */
    EXIT_NO_REPLICA = 9,    /* restore --if-replica-exists: the replica does not exist */
    EXIT_CONTENT = 10,      /* the replica is sound; SQLite reports a fault of the database itself */
    EXIT_NEWCOMER = 11,     /* the database is missing, empty or new, and its replica has a history */
    EXIT_WRITTEN = 12,      /* another process wrote to the copy of `seawall follow` */
    EXIT_INTERRUPTED = 130,
};

extern const struct command replicate_command, snapshot_command, restore_command, follow_command, list_command,
    shell_command, diff_command, import_command, verify_command, prune_command, doctor_command, status_command,
    sync_command, detach_command, attach_command, add_command, remove_command, reload_command, config_command,
    completion_command, version_command, help_command;

/* ---- the command line */

/* Parses the arguments of a command into `request`, which must hold the defaults. True: run the command. False:
 * return *ret_code; the help text or an error was printed. */
bool cli_parse(const struct command *c, int argc, char **argv, void *request, int *ret_code);

/* Prints an error in the command line with the hint to read the help text, and returns EXIT_USAGE. */
int cli_usage(const struct command *c, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Prints "seawall: message" on stderr and returns the exit code of the error's class. An error of the system gets a hint
 * if it has none. */
int cli_fail(const struct err *e);

/* The same for a command that reads a replica: if there is none, `e` gets a hint. */
int cli_fail_reading(struct err *e);

/* The same for a command that ships, with EXIT_FAILED in place of EXIT_NOTHING and EXIT_CORRUPT: these two are about
 * reading a replica. */
int cli_fail_shipping(const struct err *e);

/* ---- configuration and places */

struct config;

/* --memory of the commands that read a replica. Sets the limit of the process (base/claim.h), and ignores `request`. */
bool cli_set_memory(const char *value, void *request);
#define FLAG_MEMORY                                                                                                    \
    {.name = "memory",                                                                                                 \
     .kind = FLAG_READ,                                                                                                \
     .read = cli_set_memory,                                                                                           \
     .value_name = "BYTES",                                                                                            \
     .expects = "a number of bytes from 8M on, as in 512M, 2G",                                                        \
     .help = "memory for what is read from the replica; an object that claims more is refused (256M)"}

/* Reads the file of -c FILE. If `path` is NULL, *ret_config becomes NULL. The caller frees *ret_config with
 * config_free. ERR_CONFIG: the file is missing or wrong, or two databases share a replica. */
int cli_read_config(const char *path, struct config **ret_config, struct err *e) MUST_CHECK;

/* Reads the file of -c FILE, if there is one, and finds the URL that the word *url means; *url becomes that. The caller frees
 * *ret_config with config_free in any case: *url may point into it. ERR_CONFIG. */
int cli_find_replica(const char *config_path, const char **url, struct config **ret_config, struct err *e) MUST_CHECK;

struct config_members;
struct config_known;

/* Finds all databases of a configuration that was read from the file `path`. `known`: as for config_find_members. The
 * caller releases *ret with config_members_release. ERR_CONFIG: also if two databases share a place. Other errors: as
 * config_find_members. */
int cli_find_members(const struct config *c, const char *path, const struct config_known *known,
                     struct config_members *ret, struct err *e) MUST_CHECK;

/* Says on stderr which patterns match nothing, and where databases could be that were not found. */
void cli_tell_members(const struct config *c, const struct config_members *m);

/* The folder of the control socket: `given` by --control, else that of SEAWALL_CONTROL, else that of `c`, which may be
 * NULL. NULL: none was chosen. */
const char *cli_control(const char *given, const struct config *c);

/* Writes the place that a URL leads to. Two spellings of one folder give the same text. `shown`: the URL as store_check
 * or a daemon shows it. */
void cli_place_of(const char *shown, char out[PATH_TEXT_MAX]);
/* The same of a URL as it was given. False: it is invalid, which is reported when it is used. */
bool cli_place_of_url(const char *url, char out[PATH_TEXT_MAX]);

/* Permissions of a database, in octal as chmod takes them, with which the owner can read and write. */
bool cli_read_mode(const char *value, unsigned *ret_mode);

/* --log-format of the commands that log. */
#define FLAG_LOG_FORMAT(type, field)                                                                                   \
    {.name = "log-format",                                                                                             \
     FLAG_INTO(type, field),                                                                                           \
     .value_name = LOG_FORMATS,                                                                                        \
     .help = "how the log is written; auto: with priorities if it goes to the journal, otherwise text"}

/* Sets the format of the log: `given` by --log-format, else that of `c`, which may be NULL, else auto. ERR_CONFIG. */
int cli_set_log_format(const char *given, const struct config *c, struct err *e) MUST_CHECK;

/* Refuses a database that is a copy of `seawall follow`: a daemon would empty its log. ERR_CONFIG. */
int cli_refuse_copy(const char *db_path, struct err *e) MUST_CHECK;

/* ---- running and printing */

/* From now on SIGINT and SIGTERM set the flag that is returned. */
atomic_bool *cli_catch_interrupts(void);

/* Says on stderr that a request to a store is tried again. */
void cli_tell_retry(const struct err *e);

/* The output of this run is its work, as that of a dry run: it fails if standard output can't be written, although the
 * command `works_without_output`. */
void cli_output_is_work(void);
bool cli_is_output_work(void);

/* The plural ending of a noun: "" or "s". */
const char *cli_plural(uint64_t count);

/* Prints how many things at the place of a replica are not objects of it; nothing if there are none. */
void cli_print_passed_over(uint64_t count);

/* Prints a line for each loss whose transactions can't be restored now. */
void cli_print_losses(const struct losses *losses);

/* Prints a document on stdout and frees it. ERR_NOMEM. */
int cli_print_json(struct json *taken, struct err *e) MUST_CHECK;

#endif
