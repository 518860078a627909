/* cli/common.c */
#include "cli/cli.h"

#include "base/clock.h"

#include "base/claim.h"
#include "base/units.h"
#include "cli/help.h"
#include "cli/litestream.h"
#include "config/find.h"
#include "config/members.h"
#include "storage/open.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static atomic_bool interrupted;

/* ---- the command line */

bool cli_parse(const struct command *c, int argc, char **argv, void *request, int *ret_code)
{
    struct err e;
    switch (flags_parse(c, argc, argv, request, &e)) {
    case FLAGS_WRONG:
        *ret_code = cli_usage(c, "%s", e.msg);
        return false;
    case FLAGS_HELP:
        help_print_command(c);
        *ret_code = EXIT_DONE;
        return false;
    case FLAGS_VERSION:
        help_print_version();
        *ret_code = EXIT_DONE;
        return false;
    case FLAGS_PARSED:
        break;
    }
    return true;
}

int cli_usage(const struct command *c, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    text_print_to(stderr, "seawall %s: ", c->name);
    text_vprint_to(stderr, fmt, args);
    va_end(args);
    text_print_to(stderr, "\n  HINT: 'seawall help %s' shows how it is used\n", c->name);
    return EXIT_USAGE;
}

/* What a person can do about an errno, for messages that say no more than that. NULL: nothing in general. */
static const char *hint_of(const struct err *e)
{
    if (e->code == ERR_SQLITE || e->code == ERR_BUSY || e->code == ERR_CONFLICT || e->code == ERR_REMOTE ||
        e->code == ERR_TIMEOUT)
        return NULL; /* sys is another number there: of SQLite, HTTP or libcurl */
    switch (e->sys) {
    case EACCES:
    case EPERM:
        return "run it as the owner of these files, or as root; 'seawall doctor DB URL' says what is not permitted";
    case ENOSPC:
    case EDQUOT:
        return "make room there, and run the same command again";
    case EROFS:
        return "mount the file system for writing, or name a place on another one";
    case ENOENT:
    case ENOTDIR:
        return "check the path, or make the folder that is missing";
    default:
        return NULL;
    }
}

int cli_fail(const struct err *error)
{
    struct err copy = *error, *e = &copy;
    const char *hint = hint_of(e);
    if (hint)
        err_hint(e, "%s", hint);
    if (log_format() == LOG_TEXT)
        text_print_to(stderr, "seawall: %s\n", e->msg);
    else
        log_error("%s", e->msg);
    switch (e->code) {
    case ERR_CONFIG:
        return EXIT_USAGE;
    case ERR_NOTFOUND:
        return EXIT_NOTHING;
    case ERR_CONTENT:
        return EXIT_CONTENT;
    case ERR_CORRUPT:
    case ERR_GONE:
    case ERR_CLAIM:
        return EXIT_CORRUPT;
    case ERR_CONFLICT:
        return e->sys == CONFLICT_NEWCOMER ? EXIT_NEWCOMER : EXIT_CONFLICT;
    case ERR_TIMEOUT:
        return EXIT_TIMEOUT;
    case ERR_CANCELED:
        return EXIT_INTERRUPTED;
    default:
        return EXIT_FAILED;
    }
}

int cli_fail_reading(struct err *e)
{
    if (e->code == ERR_NOTFOUND)
        err_hint(e,
                 "check the URL; 'seawall snapshot DB URL' begins a replica, 'seawall doctor DB URL' looks at a place");
    return cli_fail(e);
}

int cli_fail_shipping(const struct err *e)
{
    int code = cli_fail(e);
    return code == EXIT_NOTHING || code == EXIT_CORRUPT ? EXIT_FAILED : code;
}

#define MEMORY_MIN (UINT64_C(8) << 20)

bool cli_set_memory(const char *value, void *request)
{
    uint64_t bytes = 0;
    (void)request;
    if (!units_parse(value, UNITS_BYTES, &bytes) || bytes < MEMORY_MIN || bytes > SIZE_MAX / 2)
        return false;
    claim_set_limit((size_t)bytes);
    return true;
}

bool cli_read_mode(const char *value, unsigned *ret_mode)
{
    char *end = NULL;
    if (strspn(value, "01234567") != strlen(value) || strlen(value) < 3 || strlen(value) > 4)
        return false;
    unsigned long mode = strtoul(value, &end, 8);
    *ret_mode = (unsigned)mode;
    return mode <= 0777 && (mode & 0600) == 0600;
}

/* ---- configuration and places */

void cli_place_of(const char *shown, char out[PATH_TEXT_MAX])
{
    const char *path = strncmp(shown, "file://", 7) == 0 ? shown + 7 : shown;
    if (strstr(path, "://") || !realpath(path, out))
        snprintf(out, PATH_TEXT_MAX, "%s", path);
}

bool cli_place_of_url(const char *url, char out[PATH_TEXT_MAX])
{
    char shown[STORE_URL_MAX];
    struct err e;
    if (store_check(url, shown, &e))
        return false;
    cli_place_of(shown, out);
    return true;
}

/* A place takes one replica of one database. `path`: of the file. */
static int check_places(const struct config_members *m, const char *path, struct err *e)
{
    const struct config_member *wrong = NULL;
    if (config_check_places(m, cli_place_of_url, &wrong, e) == 0)
        return 0;
    return wrong ? config_blame(path, "db", wrong->section->path, NULL, e) : -1;
}

static int check_named_places(const struct config *c, const char *path, struct err *e)
{
    struct config_members m;
    if (config_list_named(c, &m, e))
        return -1;
    int rc = check_places(&m, path, e);
    config_members_release(&m);
    return rc;
}

int cli_read_config(const char *path, struct config **ret_config, struct err *e)
{
    *ret_config = NULL;
    if (!path)
        return 0;
    if (config_read(path, store_parameter_known, ret_config, e) == 0) {
        if (check_named_places(*ret_config, path, e) == 0)
            return 0;
        config_free(*ret_config);
        *ret_config = NULL;
    }
    if (e->code == ERR_NOTFOUND)
        err_hint(e, "-c names a configuration file; 'seawall config >FILE' makes one with all defaults");
    else if (e->code == ERR_CONFIG)
        err_hint(e, "seawall.conf(5) has all keys; 'seawall config -c %s' checks the file again", path);
    if (e->code == ERR_NOTFOUND)
        e->code = ERR_CONFIG; /* the exit code of ERR_NOTFOUND, nothing to restore, is about replicas */
    return -1;
}

int cli_find_replica(const char *config_path, const char **url, struct config **ret_config, struct err *e)
{
    if (cli_read_config(config_path, ret_config, e) || (*ret_config && config_find_url(*ret_config, *url, url, e)))
        return -1;
    return cli_check_scheme(*url, e);
}

void cli_tell_members(const struct config *c, const struct config_members *m)
{
    for (size_t i = 0; i < c->db_count; i++)
        if (config_is_pattern(&c->dbs[i]) && m->matched[i] == 0)
            text_print_to(stderr, "seawall: [db %s] matches no database\n", c->dbs[i].path);
    for (size_t i = 0; i < m->named_count; i++)
        if (config_is_missed(m->named[i].reason))
            text_print_to(stderr, "seawall: '%s' %s\n", m->named[i].path, config_reason_text(m->named[i].reason));
}

int cli_find_members(const struct config *c, const char *path, const struct config_known *known,
                     struct config_members *ret, struct err *e)
{
    struct config_members m;
    if (config_find_members(c, known, &m, e))
        return -1;
    if (check_places(&m, path, e)) {
        config_members_release(&m);
        return -1;
    }
    *ret = m;
    return 0;
}

const char *cli_control(const char *given, const struct config *c)
{
    const char *chosen = getenv("SEAWALL_CONTROL");
    if (given)
        return given;
    if (chosen && *chosen)
        return chosen;
    return c && c->control[0] ? c->control : NULL;
}

int cli_set_log_format(const char *given, const struct config *c, struct err *e)
{
    const char *word = given ? given : c && c->log_format[0] ? c->log_format : "auto";
    enum log_format format;
    if (!log_format_of(word, &format)) {
        err_set(e, ERR_CONFIG, 0, "--log-format: invalid value '%.60s'", word);
        return err_hint(e, "write one of " LOG_FORMATS);
    }
    log_set_format(format);
    return 0;
}

/* ---- running and printing */

static void on_signal(int signo)
{
    (void)signo;
    atomic_store(&interrupted, true);
}

atomic_bool *cli_catch_interrupts(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    return &interrupted;
}

void cli_tell_retry(const struct err *e)
{
    text_print_to(stderr, "seawall: trying again: %s\n", e->msg);
}

static bool output_is_work;

void cli_output_is_work(void)
{
    output_is_work = true;
}

bool cli_is_output_work(void)
{
    return output_is_work;
}

const char *cli_plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

void cli_print_passed_over(uint64_t count)
{
    if (count > 0)
        text_print("%" PRIu64 " thing%s that %s of this replica %s passed over\n", count, cli_plural(count),
                   count == 1 ? "is not an object" : "are not objects", count == 1 ? "was" : "were");
}

void cli_print_losses(const struct losses *losses)
{
    for (size_t i = 0; i < losses->count; i++) {
        const struct known_loss *l = &losses->list[i];
        char when[CLOCK_TEXT_MAX];
        clock_format(l->time_ms, when);
        if (l->first == l->last)
            text_print("txid %" PRIu64, l->first);
        else if (l->first < l->last)
            text_print("txid %" PRIu64 " to %" PRIu64, l->first, l->last);
        if (l->first <= l->last)
            text_print(" can't be restored: the replica lost objects, and began again with a base on %s\n", when);
    }
}

int cli_print_json(struct json *taken, struct err *e)
{
    char *text = json_print(taken);
    json_free(taken);
    if (!text)
        return err_nomem(e, 0);
    text_put(stdout, text);
    free(text);
    return 0;
}
