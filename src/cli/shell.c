/* cli/shell.c - `seawall shell`: SQL on a replica at a moment. */
#include "base/array.h"
#include "base/clock.h"
#include "base/when.h"
#include "cli/cli.h"
#include "cli/skipped.h"
#include "cli/values.h"
#include "config/file.h"
#include "extension/extension.h"

#include <errno.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct request {
    const char *url, *sql, *config_path;
    struct moment moment;
    uint64_t txid; /* 0: not given */
    bool header;
};

/* ---- results, as the sqlite3 shell prints them in its list mode: values between '|' */

static void print_blob(sqlite3_stmt *s, int column)
{
    const unsigned char *bytes = sqlite3_column_blob(s, column);
    const int n = sqlite3_column_bytes(s, column);
    text_print("x'");
    for (int i = 0; i < n; i++)
        text_print("%02x", bytes[i]);
    text_print("'");
}

static void print_text(sqlite3_stmt *s, int column)
{
    const char *text = (const char *)sqlite3_column_text(s, column);
    value_print_text(text, text ? (size_t)sqlite3_column_bytes(s, column) : 0);
}

static void print_row(sqlite3_stmt *s)
{
    for (int i = 0; i < sqlite3_column_count(s); i++) {
        if (i > 0)
            text_print("|");
        if (sqlite3_column_type(s, i) == SQLITE_BLOB)
            print_blob(s, i);
        else if (sqlite3_column_type(s, i) != SQLITE_NULL)
            print_text(s, i);
    }
    text_print("\n");
}

static void print_header(sqlite3_stmt *s)
{
    for (int i = 0; i < sqlite3_column_count(s); i++)
        text_print("%s%s", i > 0 ? "|" : "", sqlite3_column_name(s, i));
    text_print("\n");
}

static int write_failed(struct err *e)
{
    return err_sys(e, errno, "write the result");
}

static int step_all(sqlite3 *db, sqlite3_stmt *s, bool header, struct err *e)
{
    int rc = sqlite3_step(s);
    if (header && sqlite3_column_count(s) > 0 && (rc == SQLITE_ROW || rc == SQLITE_DONE))
        print_header(s);
    for (; rc == SQLITE_ROW; rc = sqlite3_step(s)) {
        print_row(s);
        if (ferror(stdout))
            return write_failed(e);
    }
    return rc == SQLITE_DONE ? 0 : extension_failed(db, e);
}

/* Runs all statements of a text. */
static int run_sql(sqlite3 *db, const char *sql, bool header, struct err *e)
{
    while (*sql) {
        sqlite3_stmt *s = NULL;
        if (sqlite3_prepare_v2(db, sql, -1, &s, &sql) != SQLITE_OK)
            return extension_failed(db, e);
        int rc = s ? step_all(db, s, header, e) : 0;
        sqlite3_finalize(s);
        if (rc)
            return -1;
    }
    return fflush(stdout) == 0 ? 0 : write_failed(e);
}

/* ---- standard input */

/* A command that begins with a dot. *ret_sql: the SQL of the command; NULL: none. False: there is no command of this
 * name. */
static bool dot_command(const char *line, bool *ret_end, const char **ret_sql)
{
    static const struct {
        const char *name, *sql;
    } all[] = {
        {".tables",
         "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%' ORDER BY 1"},
        {".schema", "SELECT sql || ';' FROM sqlite_master WHERE sql IS NOT NULL"},
        {".quit", NULL},
        {".exit", NULL},
    };
    const size_t n = strcspn(line, " \t\r\n;");
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (strlen(all[i].name) == n && strncmp(line, all[i].name, n) == 0) {
            *ret_sql = all[i].sql;
            *ret_end = !all[i].sql;
            return true;
        }
    return false;
}

struct input {
    sqlite3 *db;
    bool header, terminal;
    char *text; /* owned: lines of a statement that is not complete */
    size_t len, cap;
    bool end;
};

static int run_line(struct input *in, const char *line, struct err *e)
{
    const char *sql = NULL;
    if (in->len == 0 && line[0] == '.') {
        if (!dot_command(line, &in->end, &sql))
            return err_set(e, ERR_CONFIG, 0, "unknown command '%.*s': there are .tables, .schema and .quit",
                           (int)strcspn(line, "\r\n"), line);
        return sql ? run_sql(in->db, sql, false, e) : 0;
    }
    const size_t n = strlen(line);
    if (array_reserve(&in->text, &in->cap, in->len + n + 1, 1, e))
        return -1;
    memcpy(in->text + in->len, line, n + 1);
    in->len += n;
    if (!sqlite3_complete(in->text))
        return 0;
    in->len = 0;
    return run_sql(in->db, in->text, in->header, e);
}

/* At a terminal an error does not end the input. */
static int run_input(struct input *in, struct err *e)
{
    char *line = NULL;
    size_t room = 0;
    int rc = 0;
    while (rc == 0 && !in->end) {
        if (in->terminal) {
            text_print("%s", in->len > 0 ? "   ...> " : "seawall> ");
            fflush(stdout);
        }
        if (getline(&line, &room, stdin) < 0)
            break;
        rc = run_line(in, line, e);
        if (rc && in->terminal) {
            cli_fail(e);
            in->len = 0;
            rc = 0;
        }
    }
    if (rc == 0 && in->len > 0)
        rc = run_sql(in->db, in->text, in->header, e); /* without a semicolon at its end */
    free(line);
    free(in->text);
    return rc;
}

static void greet(sqlite3 *db)
{
    const struct reader *r = extension_reader(db, "main");
    char time[CLOCK_TEXT_MAX];
    clock_format(reader_record(r)->time_ms, time);
    text_print("txid %" PRIu64 " of %s, read-only. SQL ends with a semicolon; .tables, .schema, .quit\n",
               reader_record(r)->txid, time);
}

static int shell(const struct request *r, struct err *e)
{
    struct input in = {.header = r->header, .terminal = !r->sql && isatty(STDIN_FILENO)};
    if (extension_register() != SQLITE_OK)
        return err_set(e, ERR_SQLITE, 0, "can't register the VFS");
    if (extension_open(r->url, &r->moment, &in.db, e))
        return -1;
    if (r->moment.kind == MOMENT_TIME)
        skipped_tell_of(r->url, r->moment.time_ms, reader_record(extension_reader(in.db, "main"))->txid);
    if (in.terminal)
        greet(in.db);
    int rc = r->sql ? run_sql(in.db, r->sql, r->header, e) : run_input(&in, e);
    sqlite3_close(in.db);
    return rc;
}

/* ---- the command */

static bool read_time(const char *value, void *request)
{
    struct request *r = request;
    r->moment.kind = MOMENT_TIME;
    return when_parse(value, clock_wall_ms(), &r->moment.time_ms);
}

static int cmd_shell(int argc, char **argv)
{
    struct request r = {.moment = {.kind = MOMENT_NEWEST}};
    struct config *config = NULL;
    struct err e;
    int code = EXIT_DONE;
    if (!cli_parse(&shell_command, argc, argv, &r, &code))
        return code;
    if (r.txid && r.moment.kind == MOMENT_TIME)
        return cli_usage(&shell_command, "--txid and --time exclude each other");
    if (r.txid)
        r.moment = (struct moment){.kind = MOMENT_TXID, .txid = r.txid};
    int rc = cli_find_replica(r.config_path, &r.url, &config, &e);
    if (rc == 0)
        rc = shell(&r, &e);
    config_free(config);
    return rc ? cli_fail_reading(&e) : EXIT_DONE;
}

static const struct flag flags[] = {
    FLAG_CONFIG(struct request, config_path, "configuration file that has the replica or the database"),
    {.name = "txid",
     FLAG_INTO(struct request, txid),
     .max = INT64_MAX,
     .value_name = "N",
     .expects = "a number from 1 on",
     .help = "the database as it was after this transaction; default: the newest"},
    {.name = "time",
     .kind = FLAG_READ,
     .read = read_time,
     .value_name = "T",
     .expects = "2026-03-01T12:00:00Z, '2026-03-01 12:00' in local time, or '2 hours ago'",
     .help = "the database as it was at this time"},
    {.name = "header", FLAG_INTO(struct request, header), .help = "the names of the columns before each result"},
    FLAG_MEMORY,
};

static const struct word words[] = {
    WORD_REPLICA(struct request, url, WORD_OR_CONFIG),
    {.name = "SQL", .meaning = "SQL", .max = 1, .offset = offsetof(struct request, sql), .needed = WORD_OPTIONAL},
};

const struct command shell_command = {
    .name = "shell",
    .run = cmd_shell,
    .example = "shell URL [SQL]",
    .summary = "run SQL on a replica without a restore",
    .arguments = "URL|DB [SQL]",
    .description =
        "Opens a replica read-only, at its newest state or at a moment, and runs SQL on it: the argument, or standard "
        "input. Only the pages that the SQL touches are fetched. Columns are separated by '|'. SQL can copy what it "
        "finds into a database that it attaches: ATTACH 'found.db' AS found; CREATE TABLE found.t AS SELECT ...\n"
        "With -c, URL can be the name of a replica in the file, or the path of a database in the file, whose first "
        "replica is then used.\n",
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
    .words = words,
    .word_count = sizeof words / sizeof words[0],
};
