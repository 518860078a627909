/* cli/common.c */
#include "cli/cli.h"

#include "base/claim.h"
#include "base/units.h"
#include "cli/help.h"
#include "config/file.h"
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

int cli_fail(const struct err *e)
{
    text_print_to(stderr, "seawall: %s\n", e->msg);
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
        return EXIT_CONFLICT;
    case ERR_TIMEOUT:
        return EXIT_TIMEOUT;
    case ERR_CANCELED:
        return EXIT_INTERRUPTED;
    default:
        return EXIT_FAILED;
    }
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

/* ---- configuration and places */

void cli_place_of(const char *shown, char out[PATH_TEXT_MAX])
{
    const char *path = strncmp(shown, "file://", 7) == 0 ? shown + 7 : shown;
    if (strstr(path, "://") || !realpath(path, out))
        snprintf(out, PATH_TEXT_MAX, "%s", path);
}

/* A replica of a database, for the search for two replicas at one place. */
struct place {
    const struct config_db *db;
    char name[PATH_TEXT_MAX];
};

/* A place takes one replica of one database. An invalid URL is reported when it is used, not here. */
static int check_place(struct place *all, size_t *count, const struct config_db *db, const char *url, struct err *e)
{
    char shown[STORE_URL_MAX];
    struct place *p = &all[*count];
    const struct place *same = NULL;
    if (store_check(url, shown, e))
        return 0;
    p->db = db;
    cli_place_of(shown, p->name);
    for (size_t i = 0; i < *count && !same; i++)
        if (strcmp(all[i].name, p->name) == 0)
            same = &all[i];
    ++*count;
    if (!same)
        return 0;
    if (same->db == db)
        return err_set(e, ERR_CONFIG, 0, "database '%s': replica '%s' is given twice", db->path, shown);
    err_set(e, ERR_CONFIG, 0, "database '%s': replica '%s' also belongs to database '%s'", db->path, shown,
            same->db->path);
    return err_hint(e, "give each database a folder or a prefix of its own");
}

static int check_places(const struct config *c, const char *path, struct err *e)
{
    size_t count = 0, most = c->db_count * CONFIG_DB_REPLICAS_MAX + 1;
    struct place *all = calloc(most, sizeof *all);
    if (!all)
        return err_nomem(e, most * sizeof *all);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < c->db_count; i++)
        for (size_t k = 0; rc == 0 && k < c->dbs[i].replica_count; k++)
            if (check_place(all, &count, &c->dbs[i], c->dbs[i].replicas[k], e))
                rc = config_blame(path, "db", c->dbs[i].path, NULL, e);
    free(all);
    return rc;
}

int cli_read_config(const char *path, struct config **ret_config, struct err *e)
{
    *ret_config = NULL;
    if (!path)
        return 0;
    if (config_read(path, store_parameter_known, ret_config, e) == 0) {
        if (check_places(*ret_config, path, e) == 0)
            return 0;
        config_free(*ret_config);
        *ret_config = NULL;
    }
    if (e->code == ERR_NOTFOUND)
        e->code = ERR_CONFIG; /* the exit code of ERR_NOTFOUND, nothing to restore, is about replicas */
    return -1;
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
