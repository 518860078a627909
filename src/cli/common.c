/* cli/common.c */
#include "cli/cli.h"
#include "config/file.h"
#include "storage/open.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void cli_place_of(const char *shown, char out[PATH_TEXT_MAX])
{
    const char *path = strncmp(shown, "file://", 7) == 0 ? shown + 7 : shown;
    if (strstr(path, "://") || !realpath(path, out))
        snprintf(out, PATH_TEXT_MAX, "%s", path);
}

/* A replica of a database, for the search for those that are one place. */
struct place {
    const struct config_db *db;
    char name[PATH_TEXT_MAX];
};

/* One replica takes one database, once. What is wrong with a URL is told by who uses it. */
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
        return err_set(e, ERR_CONFIG, 0, "database '%s': the replica '%s' is given twice", db->path, shown);
    err_set(e, ERR_CONFIG, 0, "database '%s': the replica '%s' is that of '%s' too", db->path, shown, same->db->path);
    return err_hint(e, "one replica takes one database: give each a folder or a prefix of its own");
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
        e->code = ERR_CONFIG; /* the exit code of "nothing to restore" is for replicas */
    return -1;
}

void cli_tell_retry(const struct err *e)
{
    fprintf(stderr, "seawall: trying again: %s\n", e->msg);
}

int cli_fail(const struct err *e)
{
    fprintf(stderr, "seawall: %s\n", e->msg);
    switch (e->code) {
    case ERR_CONFIG:
        return EXIT_USAGE;
    case ERR_NOTFOUND:
        return EXIT_NOTHING;
    case ERR_CORRUPT:
    case ERR_GONE:
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

int cli_usage(const char *command, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fprintf(stderr, "seawall %s: ", command);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fprintf(stderr, "\n  HINT: 'seawall help %s' shows how it is used\n", command);
    return EXIT_USAGE;
}

struct args args_of(int argc, char **argv)
{
    return (struct args){.argc = argc, .at = 0, .argv = argv};
}

enum args_kind args_next(struct args *a, const char **ret_word)
{
    while (a->at < a->argc) {
        const char *arg = a->argv[a->at++];
        if (!a->only_words && strcmp(arg, "--") == 0) {
            a->only_words = true;
            continue;
        }
        if (a->only_words || arg[0] != '-' || arg[1] == 0) {
            *ret_word = arg;
            return ARGS_WORD;
        }
        const char *name = arg + (arg[1] == '-' ? 2 : 1);
        const char *equals = strchr(name, '=');
        snprintf(a->name, sizeof a->name, "%.*s", (int)(equals ? (size_t)(equals - name) : strlen(name)), name);
        a->value = equals ? equals + 1 : NULL;
        return ARGS_OPTION;
    }
    return ARGS_END;
}

const char *args_value(struct args *a)
{
    if (!a->value && a->at < a->argc)
        a->value = a->argv[a->at++];
    return a->value;
}

bool args_flag(const struct args *a, const char *name)
{
    return !a->value && strcmp(a->name, name) == 0;
}

int cli_note_option(const char *command, struct args *args, struct cli_options *o)
{
    const char *value = args_value(args);
    if (!value)
        return cli_usage(command, "--%s needs a value", args->name);
    if (o->count == CLI_OPTIONS_MAX)
        return cli_usage(command, "more than %d options", CLI_OPTIONS_MAX);
    for (size_t i = 0; i < option_count; i++)
        if (strcmp(option_table[i].name, args->name) == 0)
            o->name[o->count] = option_table[i].name;
    o->value[o->count++] = value;
    return EXIT_DONE;
}

int cli_apply_options(const struct cli_options *o, struct options *to, struct err *e)
{
    for (unsigned i = 0; i < o->count; i++)
        if (options_set(to, o->name[i], o->value[i], e))
            return -1;
    return 0;
}

bool cli_parse_number(const char *text, uint64_t *ret_value)
{
    char *end = NULL;
    if (!text || !isdigit((unsigned char)*text))
        return false;
    errno = 0;
    *ret_value = strtoull(text, &end, 10);
    return errno == 0 && *end == 0;
}
