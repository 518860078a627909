/* cli/help.c - `seawall help` and `seawall version`. */
#include "cli/help.h"

#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/tables.h"
#include "format/codec.h"
#include "storage/open.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#ifndef SEAWALL_VERSION
#error "the Makefile defines SEAWALL_VERSION"
#endif

#define HELP_COLUMNS 120
#define EXAMPLE_COLUMN 34 /* of the summaries of the commands */
#define FLAG_COLUMN 31    /* of the help lines of flags */
#define KEY_COLUMN 43     /* of the help lines of the keys of a URL */

static const char overview_head[] =
    "seawall keeps SQLite databases safe: it ships every transaction to a replica, and restores any of "
    "them.\n";

static const char overview_end[] =
    "DB is the path of a database. URL is s3://bucket/prefix, file:///dir or the path of a folder.\n"
    "'seawall help COMMAND' and 'seawall help s3' show the details; seawall(1) and seawall.conf(5) explain "
    "everything.\n"
    "Exit codes: 0 done and durable; 1 failed; 2 wrong usage or configuration; 3 some databases failed; 4 "
    "nothing to restore; 5 replica corrupt; 6 another writer owns the replica; 7 timed out; 8 the database "
    "exists already; 9 there is no replica, and --if-replica-exists allows that; 10 the replica is sound, but SQLite "
    "reports a fault of the database; 11 the database is missing or new, and its replica has a history; "
    "12 another process wrote to the copy; 130 "
    "interrupted.\n";

/* ---- layout */

/* Prints text from the current column on, in lines of HELP_COLUMNS that begin at `indent`. */
static void print_wrapped(int indent, const char *text)
{
    while (*text) {
        size_t room = (size_t)(HELP_COLUMNS - indent), n = strcspn(text, "\n");
        if (n > room)
            for (n = room; n > 1 && text[n] != ' '; n--) /* NOLINT(clang-analyzer-core.UndefinedBinaryOperatorResult) */
                ;
        printf("%.*s\n", (int)n, text);
        text += n + strspn(text + n, " \n");
        if (*text)
            printf("%*s", indent, "");
    }
}

static void print_beside(const char *left, int column, const char *text)
{
    printf("  %-*s ", column - 3, left);
    print_wrapped(column, text);
}

/* Prints one part of a synopsis, on a new line if it does not fit. `column`: where the line ends so far; returns
 * the new one. */
static int print_part(int indent, int column, const char *part)
{
    int width = 1 + (int)strlen(part);
    if (column + width > HELP_COLUMNS) {
        printf("\n%*s", indent, "");
        column = indent;
    }
    printf(" %s", part);
    return column + width;
}

/* ---- one command */

static void print_synopsis(const struct command *c)
{
    if (c->synopsis) {
        fputs(c->synopsis, stdout);
        return;
    }
    int indent = printf("seawall %s", c->name), column = indent;
    for (size_t i = 0; i < c->flag_count; i++) {
        const struct flag *f = &c->flags[i];
        const char letter[2] = {f->letter, 0};
        char part[64];
        snprintf(part, sizeof part, "[%s%s%s%s]", f->letter ? "-" : "--", f->letter ? letter : f->name,
                 f->value_name ? " " : "", f->value_name ? f->value_name : "");
        column = print_part(indent, column, part);
    }
    if (c->options != OPTIONS_NONE)
        column = print_part(indent, column, "[OPTION...]");
    if (c->arguments)
        print_part(indent, column, c->arguments);
    printf("\n");
}

static void print_flag(const struct flag *f)
{
    char left[64], letter[8] = "";
    if (f->letter)
        snprintf(letter, sizeof letter, "-%c, ", f->letter);
    snprintf(left, sizeof left, "%s--%s%s%s", letter, f->name, f->value_name ? " " : "",
             f->value_name ? f->value_name : "");
    print_beside(left, FLAG_COLUMN, f->help);
}

static void print_option(const struct option_spec *o)
{
    char left[64], fallback[OPTION_TEXT_MAX], text[256];
    option_format_default(o, fallback);
    snprintf(left, sizeof left, "--%s %s", o->name, o->value_name);
    snprintf(text, sizeof text, "%s (%s)", o->help, fallback);
    print_beside(left, FLAG_COLUMN, text);
}

void help_print_command(const struct command *c)
{
    const struct flag *f = NULL;
    const struct option_spec *o = NULL;
    print_synopsis(c);
    printf("\n");
    print_wrapped(0, c->description);
    printf("\n");
    for (size_t i = 0; (f = command_flag(c, i)); i++)
        print_flag(f);
    if (c->options != OPTIONS_NONE)
        printf("\nOptions, with their defaults:\n");
    for (size_t i = 0; (o = command_option(c, i)); i++)
        print_option(o);
}

/* ---- other topics */

void help_print_overview(void)
{
    char left[64];
    print_wrapped(0, overview_head);
    printf("\n");
    for (size_t i = 0; i < command_count; i++) {
        snprintf(left, sizeof left, "seawall %s", commands[i]->example);
        print_beside(left, EXAMPLE_COLUMN, commands[i]->summary);
    }
    printf("\n");
    print_wrapped(0, overview_end);
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
        print_beside(left, KEY_COLUMN, o.help);
    }
}

/* ---- the commands */

struct request {
    const char *topic; /* NULL: the overview */
    bool tables;
};

static int cmd_help(int argc, char **argv)
{
    struct request r = {.topic = NULL};
    struct err e;
    int code = EXIT_DONE;
    if (!cli_parse(&help_command, argc, argv, &r, &code))
        return code;
    const struct command *c = r.topic ? command_find(r.topic) : NULL;
    const struct store_kind *kind = r.topic ? kind_with_topic(r.topic) : NULL;
    if (r.tables)
        return tables_print(&e) ? cli_fail(&e) : EXIT_DONE;
    if (c)
        help_print_command(c);
    else if (kind)
        print_store_kind(kind);
    else if (r.topic)
        return cli_usage(&help_command, "there is no help for '%.60s'", r.topic);
    else
        help_print_overview();
    return EXIT_DONE;
}

void help_print_version(void)
{
    printf("seawall %s (SQLite %s, %s)\n", SEAWALL_VERSION, sqlite3_libversion(), codec_name());
}

struct version_request {
    bool json;
};

static int cmd_version(int argc, char **argv)
{
    struct version_request r = {.json = false};
    struct err e;
    int code = EXIT_DONE;
    if (!cli_parse(&version_command, argc, argv, &r, &code))
        return code;
    if (!r.json) {
        help_print_version();
        return EXIT_DONE;
    }
    struct json *j = json_object_new();
    json_set_text(j, "version", SEAWALL_VERSION);
    json_set_text(j, "sqlite", sqlite3_libversion());
    json_set_text(j, "compression", codec_name());
    return cli_print_json(j, &e) ? cli_fail(&e) : EXIT_DONE;
}

static const struct flag version_flags[] = {
    {.name = "json", FLAG_INTO(struct version_request, json), .help = "one JSON object: version, sqlite, compression"},
};

static const struct flag help_flags[] = {
    {.name = "tables",
     FLAG_INTO(struct request, tables),
     .help = "print all commands, flags, options and URL keys as JSON, for tools"},
};

static const struct word help_words[] = {
    {.name = "COMMAND", .meaning = "command", .max = 1, .offset = offsetof(struct request, topic)},
};

const struct command help_command = {
    .name = "help",
    .run = cmd_help,
    .example = "help [COMMAND]",
    .summary = "show how a command is used",
    .arguments = "[COMMAND|s3]",
    .description =
        "Shows how a command is used, or lists all commands. 'seawall help s3' lists the keys of s3:// URLs.\n",
    .flags = help_flags,
    .flag_count = sizeof help_flags / sizeof help_flags[0],
    .words = help_words,
    .word_count = sizeof help_words / sizeof help_words[0],
};

const struct command version_command = {
    .name = "version",
    .run = cmd_version,
    .example = "version",
    .summary = "show the version",
    .description = "Shows the version of Seawall, of SQLite and of the compression library.\n",
    .flags = version_flags,
    .flag_count = sizeof version_flags / sizeof version_flags[0],
};
