/* cli/diff.c - `seawall diff`: which rows changed between two moments of a replica.
 *
 * Both states are databases of one connection: `a`, the older one, and `b`. The rows of a table belong together by
 * rowid, or by the primary key of a table without rowids. Blocks that both states share are fetched once. SQLite finds
 * the rows that belong together. They are compared here, because a SQL expression has a limit that wide tables reach.
 *
 * Pages that are the same in both states are not read: trees.h says in which ranges of rowids rows can differ.
 *
 * A table that can't be compared is named, and the others are compared all the same. */
#include "base/array.h"
#include "cli/cli.h"
#include "cli/values.h"
#include "config/file.h"
#include "extension/extension.h"
#include "reader/trees.h"

#include <errno.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIDES 2

struct request {
    const char *url, *table, *config_path;
    uint64_t txids[SIDES];
    unsigned txid_count;
    bool json;
};

enum row_change { ROW_INSERTED, ROW_DELETED, ROW_CHANGED, ROW_CHANGES };
static const char *const change_words[] = {"inserted", "deleted", "changed"};

struct diff {
    sqlite3 *db;
    struct trees *trees; /* owned; NULL: each row must be compared */
    bool json;
    uint64_t printed; /* elements of the list that is being printed, for the commas of JSON */
    int exit_code;    /* of the first table that could not be compared; otherwise EXIT_DONE */
};

struct column {
    char name[512];
    int key;        /* its place in the primary key, from 1; 0: it is not in it */
    size_t partner; /* of the older state: the place of the column with this name in the later one */
};

struct columns {
    struct column *list; /* owned */
    size_t count, cap;
    const char *rowid; /* its name: of a column, or one that no column has; NULL: the table has no rowids */
    bool hidden;       /* the rowid is not one of the columns */
};

/* A table that one state has, or both. */
struct table {
    char *name; /* owned, as all texts here */
    bool in[SIDES];
    bool declared_alike;    /* the schemas of both states have the same text for it */
    uint32_t roots[SIDES];  /* of its b-tree */
    struct row_ranges rows; /* that can differ */
    bool apart;    /* rows of a and b do not belong together: only one of them has rowids, or the keys differ */
    bool reshaped; /* a column is in one state only: each row has another form */
    struct columns columns[SIDES];
    char *key[SIDES];   /* SQL: the columns that order the rows */
    char *first[SIDES]; /* SQL: the first of them, which is never NULL in a row */
    char *row[SIDES];   /* SQL: the columns of a row */
    char *same;         /* SQL: whether a row of a and one of b belong together */
    char *reason;       /* why it could not be compared; NULL: it was */
    uint64_t counts[ROW_CHANGES];
};

static void release_table(struct table *t)
{
    sqlite3_free(t->name);
    sqlite3_free(t->same);
    sqlite3_free(t->reason);
    for (int i = 0; i < SIDES; i++) {
        free(t->columns[i].list);
        sqlite3_free(t->key[i]);
        sqlite3_free(t->first[i]);
        sqlite3_free(t->row[i]);
    }
}

/* ---- SQL */

static int prepare(struct diff *d, char *sql_taken, sqlite3_stmt **ret_statement, struct err *e)
{
    if (!sql_taken)
        return err_nomem(e, 0);
    int rc = sqlite3_prepare_v2(d->db, sql_taken, -1, ret_statement, NULL);
    sqlite3_free(sql_taken);
    return rc == SQLITE_OK ? 0 : extension_failed(d->db, e);
}

/* Appends to a text of SQLite's memory. False: out of memory. */
static bool append(char **text, char *more_taken)
{
    char *both = more_taken ? sqlite3_mprintf("%s%s", *text ? *text : "", more_taken) : NULL;
    sqlite3_free(more_taken);
    sqlite3_free(*text);
    *text = both;
    return both != NULL;
}

static const char *state_name(int side)
{
    return side == 0 ? "a" : "b";
}

/* ---- the columns of a table */

static int read_columns(struct diff *d, const char *table, int side, struct columns *c, struct err *e)
{
    sqlite3_stmt *s = NULL;
    if (prepare(d,
                sqlite3_mprintf("SELECT name, pk FROM pragma_table_info(%Q, %Q) ORDER BY cid", table, state_name(side)),
                &s, e))
        return -1;
    int rc = 0, step = SQLITE_DONE;
    while (rc == 0 && (step = sqlite3_step(s)) == SQLITE_ROW) {
        rc = array_reserve(&c->list, &c->cap, c->count + 1, sizeof *c->list, e);
        if (rc)
            break;
        struct column *one = &c->list[c->count++];
        const char *name = (const char *)sqlite3_column_text(s, 0);
        if (!name || strlen(name) >= sizeof one->name)
            rc = err_set(e, ERR_LIMIT, 0, "table '%s': a column name is too long", table);
        else
            memcpy(one->name, name, strlen(name) + 1);
        one->key = sqlite3_column_int(s, 1);
    }
    if (rc == 0 && step != SQLITE_DONE)
        rc = extension_failed(d->db, e);
    sqlite3_finalize(s);
    return rc;
}

static const struct column *find_column(const struct columns *c, const char *name)
{
    for (size_t i = 0; i < c->count; i++)
        if (sqlite3_stricmp(c->list[i].name, name) == 0)
            return &c->list[i];
    return NULL;
}

static const struct column *key_column(const struct columns *c, int place)
{
    for (size_t i = 0; i < c->count; i++)
        if (c->list[i].key == place)
            return &c->list[i];
    return NULL;
}

/* The primary key has an index, unless it is the rowid. A table without rowids is that index, and the schema does not
 * list it. */
static int read_key_index(struct diff *d, const char *table, int side, bool *ret_index, bool *ret_listed, struct err *e)
{
    sqlite3_stmt *s = NULL;
    const char *state = state_name(side);
    if (prepare(d,
                sqlite3_mprintf("SELECT count(*), count(m.name) FROM pragma_index_list(%Q, %Q) AS l LEFT JOIN "
                                "%s.sqlite_master AS m ON m.type = 'index' AND m.name = l.name WHERE l.origin = 'pk'",
                                table, state, state),
                &s, e))
        return -1;
    int step = sqlite3_step(s);
    *ret_index = sqlite3_column_int(s, 0) > 0;
    *ret_listed = sqlite3_column_int(s, 1) > 0;
    int rc = step == SQLITE_ROW ? 0 : extension_failed(d->db, e);
    sqlite3_finalize(s);
    return rc;
}

static int find_rowid(struct diff *d, const char *table, int side, struct columns *c, struct err *e)
{
    static const char *const names[] = {"rowid", "_rowid_", "oid"};
    bool index = false, listed = false;
    if (read_key_index(d, table, side, &index, &listed, e))
        return -1;
    if (index && !listed)
        return 0;
    const struct column *key = key_column(c, 1);
    c->hidden = index || !key;
    c->rowid = c->hidden ? NULL : key->name;
    for (size_t i = 0; i < 3 && !c->rowid; i++)
        c->rowid = find_column(c, names[i]) ? NULL : names[i];
    return c->rowid
               ? 0
               : err_set(e, ERR_LIMIT, 0,
                         "it has columns of all names of the rowid (rowid, _rowid_, oid), so its rows have no key");
}

/* ---- the SQL of a table */

/* The columns that order the rows, and the first one. */
static bool make_key(struct table *t, const struct columns *c, int side)
{
    const char *state = state_name(side);
    if (c->rowid) {
        t->key[side] = sqlite3_mprintf("%s.\"%w\"", state, c->rowid);
        t->first[side] = sqlite3_mprintf("%s.\"%w\"", state, c->rowid);
        return t->key[side] && t->first[side];
    }
    const struct column *k = key_column(c, 1);
    t->first[side] = k ? sqlite3_mprintf("%s.\"%w\"", state, k->name) : NULL;
    bool ok = t->first[side] != NULL;
    for (int place = 1; ok && (k = key_column(c, place)); place++)
        ok = append(&t->key[side], sqlite3_mprintf("%s%s.\"%w\"", place > 1 ? ", " : "", state, k->name));
    return ok;
}

static bool make_same(struct table *t, const struct columns *c)
{
    t->apart = !c[0].rowid != !c[1].rowid;
    if (t->apart)
        return true;
    if (c[0].rowid)
        return append(&t->same, sqlite3_mprintf("a.\"%w\" = b.\"%w\"", c[0].rowid, c[1].rowid));
    bool ok = true;
    for (int place = 1; ok && !t->apart; place++) {
        const struct column *x = key_column(&c[0], place), *y = key_column(&c[1], place);
        if (!x && !y)
            break;
        t->apart = !x || !y || sqlite3_stricmp(x->name, y->name) != 0;
        if (!t->apart)
            ok = append(&t->same, sqlite3_mprintf("%sa.\"%w\" = b.\"%w\"", place > 1 ? " AND " : "", x->name, x->name));
    }
    return ok;
}

static void pair_columns(struct table *t, struct columns *c)
{
    t->reshaped = c[0].count != c[1].count;
    for (size_t i = 0; i < c[0].count; i++) {
        const struct column *partner = find_column(&c[1], c[0].list[i].name);
        c[0].list[i].partner = partner ? (size_t)(partner - c[1].list) : 0;
        t->reshaped = t->reshaped || !partner;
    }
}

static bool make_row(struct table *t, const struct columns *c, int side)
{
    bool ok = true;
    for (size_t i = 0; ok && i < c->count; i++)
        ok = append(&t->row[side], sqlite3_mprintf(", %s.\"%w\"", state_name(side), c->list[i].name));
    return ok && (t->row[side] || append(&t->row[side], sqlite3_mprintf("%s", "")));
}

static int make_sql(struct diff *d, struct table *t, struct err *e)
{
    struct columns *c = t->columns;
    for (int side = 0; side < SIDES; side++) {
        if (!t->in[side])
            continue;
        if (read_columns(d, t->name, side, &c[side], e) || find_rowid(d, t->name, side, &c[side], e))
            return -1;
        if (!make_key(t, &c[side], side) || !make_row(t, &c[side], side))
            return err_nomem(e, 0);
    }
    if (!t->in[0] || !t->in[1])
        return 0;
    pair_columns(t, c);
    return make_same(t, c) ? 0 : err_nomem(e, 0);
}

/* ---- printing */

static int write_failed(struct err *e)
{
    return err_sys(e, errno, "write the result");
}

/* Begins an element of a JSON list on a line of its own. */
static void begin_element(struct diff *d)
{
    text_put(stdout, d->printed++ ? ",\n    " : "\n    ");
}

static void print_json_name(const char *name)
{
    value_print_json_text(name, strlen(name));
}

/* A result has the rowid, or the first column of the key, and behind it the columns of the rows. */
#define FIRST_COLUMN 1

static void print_row(const struct diff *d, const struct columns *c, sqlite3_stmt *s, int at)
{
    text_put(stdout, d->json ? "{" : "(");
    for (size_t i = 0; i < c->count; i++) {
        text_put(stdout, i > 0 ? ", " : "");
        if (!d->json) {
            value_print_literal(s, at + (int)i);
            continue;
        }
        print_json_name(c->list[i].name);
        text_put(stdout, ": ");
        value_print_json(s, at + (int)i);
    }
    text_put(stdout, d->json ? "}" : ")");
}

static void print_change(struct diff *d, const struct table *t, enum row_change change, sqlite3_stmt *s)
{
    static const char signs[] = {[ROW_INSERTED] = '+', [ROW_DELETED] = '-', [ROW_CHANGED] = '~'};
    const bool changed = change == ROW_CHANGED;
    const struct columns *one = &t->columns[change == ROW_INSERTED ? 1 : 0], *two = &t->columns[1];
    const bool hidden = one->hidden || (changed && two->hidden);
    if (d->json) {
        begin_element(d);
        text_put(stdout, "{\"table\": ");
        print_json_name(t->name);
        text_print(", \"change\": \"%s\", ", change_words[change]);
    } else
        text_print("%c %s ", signs[change], t->name);
    if (hidden)
        text_print(d->json ? "\"rowid\": %" PRId64 ", " : "rowid %" PRId64 " ", (int64_t)sqlite3_column_int64(s, 0));
    text_put(stdout, !d->json ? "" : changed ? "\"before\": " : "\"row\": ");
    print_row(d, one, s, FIRST_COLUMN);
    if (changed) {
        text_put(stdout, d->json ? ", \"after\": " : " -> ");
        print_row(d, two, s, FIRST_COLUMN + (int)one->count);
    }
    text_put(stdout, d->json ? "}" : "\n");
}

/* Whether the two rows of a result differ. Values of equal text in another case, and 1 and 1.0, are not the same. */
static bool differs(const struct table *t, sqlite3_stmt *s)
{
    const struct columns *a = &t->columns[0];
    bool same = !t->reshaped;
    for (size_t i = 0; same && i < a->count; i++)
        same = value_same(s, FIRST_COLUMN + (int)i, FIRST_COLUMN + (int)(a->count + a->list[i].partner));
    return !same;
}

static int print_rows(struct diff *d, struct table *t, enum row_change change, char *sql_taken, struct err *e)
{
    sqlite3_stmt *s = NULL;
    int step = SQLITE_DONE;
    if (prepare(d, sql_taken, &s, e))
        return -1;
    while ((step = sqlite3_step(s)) == SQLITE_ROW && !ferror(stdout)) {
        if (change == ROW_CHANGED && !differs(t, s))
            continue;
        t->counts[change]++;
        print_change(d, t, change, s);
    }
    int rc = ferror(stdout) ? write_failed(e) : step == SQLITE_DONE ? 0 : extension_failed(d->db, e);
    sqlite3_finalize(s);
    return rc;
}

/* A range of the rows that can differ, as a condition. "": any row can. */
static char *condition(const struct table *t, int side, const struct row_range *range)
{
    if (!range)
        return sqlite3_mprintf("");
    return sqlite3_mprintf(" AND %s BETWEEN %lld AND %lld", t->first[side], (long long)range->low,
                           (long long)range->high);
}

/* The rows that only `side` has. */
static int print_only(struct diff *d, struct table *t, int side, const struct row_range *range, struct err *e)
{
    char *within = condition(t, side, range);
    const char *own = state_name(side), *other = state_name(1 - side);
    const bool alone = t->apart || !t->in[1 - side];
    char *sql =
        !within ? NULL
        : alone ? sqlite3_mprintf("SELECT %s%s FROM %s.\"%w\" AS %s ORDER BY %s", t->first[side], t->row[side], own,
                                  t->name, own, t->key[side])
                : sqlite3_mprintf("SELECT %s%s FROM %s.\"%w\" AS %s LEFT JOIN %s.\"%w\" AS %s ON %s WHERE %s IS NULL%s "
                                  "ORDER BY %s",
                                  t->first[side], t->row[side], own, t->name, own, other, t->name, other, t->same,
                                  t->first[1 - side], within, t->key[side]);
    sqlite3_free(within);
    return t->in[side] ? print_rows(d, t, side == 0 ? ROW_DELETED : ROW_INSERTED, sql, e) : (sqlite3_free(sql), 0);
}

static int print_changed(struct diff *d, struct table *t, const struct row_range *range, struct err *e)
{
    char *within = condition(t, 0, range);
    char *sql = within
                    ? sqlite3_mprintf("SELECT %s%s%s FROM a.\"%w\" AS a CROSS JOIN b.\"%w\" AS b ON %s%s ORDER BY %s",
                                      t->first[0], t->row[0], t->row[1], t->name, t->name, t->same, within, t->key[0])
                    : NULL;
    sqlite3_free(within);
    return print_rows(d, t, ROW_CHANGED, sql, e);
}

static int print_one_change(struct diff *d, struct table *t, enum row_change change, const struct row_range *range,
                            struct err *e)
{
    return change == ROW_CHANGED ? print_changed(d, t, range, e)
                                 : print_only(d, t, change == ROW_DELETED ? 0 : 1, range, e);
}

/* Tells by the pages which rows can differ. */
static int find_rows(struct diff *d, struct table *t, struct err *e)
{
    t->rows.all = !d->trees || !t->in[0] || !t->in[1] || !t->declared_alike;
    return t->rows.all ? 0 : trees_compare(d->trees, t->roots, &t->rows, e);
}

static int print_table(struct diff *d, struct table *t, struct err *e)
{
    static const enum row_change order[] = {ROW_DELETED, ROW_INSERTED, ROW_CHANGED};
    if (find_rows(d, t, e))
        return -1;
    if (!t->rows.all && t->rows.count == 0)
        return 0;
    if (make_sql(d, t, e))
        return -1;
    const bool pairs = t->in[0] && t->in[1] && !t->apart;
    for (size_t i = 0; i < (pairs ? 3u : 2u); i++) {
        if (t->rows.all && print_one_change(d, t, order[i], NULL, e))
            return -1;
        for (size_t k = 0; !t->rows.all && k < t->rows.count; k++)
            if (print_one_change(d, t, order[i], &t->rows.list[k], e))
                return -1;
    }
    return 0;
}

/* Whether other tables can be compared though one failed. */
static bool is_of_one_table(const struct err *e)
{
    return e->code == ERR_SQLITE || e->code == ERR_LIMIT || e->code == ERR_CORRUPT;
}

static int compare_table(struct diff *d, struct table *t, struct err *e)
{
    if (print_table(d, t, e) == 0)
        return 0;
    const bool go_on = is_of_one_table(e);
    err_wrap(e, "table '%s'", t->name);
    if (!go_on)
        return -1;
    t->reason = sqlite3_mprintf("%s", e->msg);
    if (!t->reason)
        return err_nomem(e, strlen(e->msg));
    fflush(stdout);
    const int code = cli_fail(e);
    if (d->exit_code == EXIT_DONE)
        d->exit_code = code;
    return 0;
}

static void print_reasons(struct diff *d, const struct table *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!list[i].reason || !d->json)
            continue;
        begin_element(d);
        text_put(stdout, "{\"table\": ");
        print_json_name(list[i].name);
        text_put(stdout, ", \"reason\": ");
        value_print_json_text(list[i].reason, strlen(list[i].reason));
        text_put(stdout, "}");
    }
}

/* ---- tables and the schema */

static int read_tables(struct diff *d, const char *only, struct table **ret_list, size_t *ret_count, struct err *e)
{
    size_t cap = 0;
    sqlite3_stmt *s = NULL;
    static const char sql[] =
        "SELECT name, max(side = 0), max(side = 1), min(sql) = max(sql), max(iif(side = 0, rootpage, 0)), "
        "max(iif(side = 1, rootpage, 0)) FROM (SELECT name, 0 AS side, type, sql, rootpage FROM a.sqlite_master UNION "
        "ALL "
        "SELECT name, 1, type, sql, rootpage FROM b.sqlite_master) WHERE type = 'table' AND sql NOT LIKE 'CREATE "
        "VIRTUAL%%' AND "
        "substr(name, 1, 7) <> 'sqlite_' AND (%Q IS NULL OR name = %Q COLLATE NOCASE) GROUP BY name ORDER BY name";
    if (prepare(d, sqlite3_mprintf(sql, only, only), &s, e))
        return -1;
    int rc = 0, step = SQLITE_DONE;
    while (rc == 0 && (step = sqlite3_step(s)) == SQLITE_ROW) {
        rc = array_reserve(ret_list, &cap, *ret_count + 1, sizeof **ret_list, e);
        if (rc)
            break;
        struct table *t = &(*ret_list)[(*ret_count)++];
        t->name = sqlite3_mprintf("%s", (const char *)sqlite3_column_text(s, 0));
        t->in[0] = sqlite3_column_int(s, 1);
        t->in[1] = sqlite3_column_int(s, 2);
        t->declared_alike = sqlite3_column_int(s, 3) != 0;
        t->roots[0] = (uint32_t)sqlite3_column_int64(s, 4);
        t->roots[1] = (uint32_t)sqlite3_column_int64(s, 5);
        rc = t->name ? 0 : err_nomem(e, 0);
    }
    if (rc == 0 && step != SQLITE_DONE)
        rc = extension_failed(d->db, e);
    sqlite3_finalize(s);
    return rc;
}

static int print_schema(struct diff *d, struct err *e)
{
    sqlite3_stmt *s = NULL;
    static const char sql[] =
        "SELECT type, name, CASE WHEN max(side) = 0 THEN 'deleted' WHEN min(side) = 1 THEN 'inserted' ELSE 'changed' "
        "END "
        "FROM (SELECT type, name, sql, 0 AS side FROM a.sqlite_master UNION ALL SELECT type, name, sql, 1 FROM "
        "b.sqlite_master) GROUP BY type, name HAVING count(*) < 2 OR min(sql) <> max(sql) ORDER BY type, name";
    if (prepare(d, sqlite3_mprintf("%s", sql), &s, e))
        return -1;
    int step = SQLITE_DONE;
    while ((step = sqlite3_step(s)) == SQLITE_ROW) {
        const char *type = (const char *)sqlite3_column_text(s, 0), *name = (const char *)sqlite3_column_text(s, 1),
                   *change = (const char *)sqlite3_column_text(s, 2);
        if (!d->json) {
            text_print("schema: %s %s %s\n", type, name, change);
            continue;
        }
        begin_element(d);
        text_print("{\"type\": \"%s\", \"name\": ", type);
        print_json_name(name);
        text_print(", \"change\": \"%s\"}", change);
    }
    sqlite3_finalize(s);
    return step == SQLITE_DONE ? 0 : extension_failed(d->db, e);
}

static void print_totals(struct diff *d, const struct table *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const uint64_t *n = list[i].counts;
        if (list[i].reason || n[ROW_INSERTED] + n[ROW_DELETED] + n[ROW_CHANGED] == 0)
            continue;
        if (!d->json) {
            text_print("%s: %" PRIu64 " inserted, %" PRIu64 " deleted, %" PRIu64 " changed\n", list[i].name,
                       n[ROW_INSERTED], n[ROW_DELETED], n[ROW_CHANGED]);
            continue;
        }
        begin_element(d);
        text_put(stdout, "{\"table\": ");
        print_json_name(list[i].name);
        text_print(", \"inserted\": %" PRIu64 ", \"deleted\": %" PRIu64 ", \"changed\": %" PRIu64 "}", n[ROW_INSERTED],
                   n[ROW_DELETED], n[ROW_CHANGED]);
    }
}

/* Begins a list of the JSON object. */
static void begin_list(struct diff *d, const char *end, const char *name)
{
    d->printed = 0;
    if (!d->json)
        return;
    text_put(stdout, end);
    text_print("\n  \"%s\": [", name);
}

static int print_all(struct diff *d, const struct request *r, struct table *list, size_t count, struct err *e)
{
    if (d->json)
        text_print("{\n  \"from\": %" PRIu64 ",\n  \"to\": %" PRIu64, r->txids[0], r->txids[1]);
    begin_list(d, ",", "schema");
    if (!r->table && print_schema(d, e))
        return -1;
    begin_list(d, "\n  ],", "changes");
    for (size_t i = 0; i < count; i++)
        if (compare_table(d, &list[i], e))
            return -1;
    begin_list(d, "\n  ],", "tables");
    print_totals(d, list, count);
    begin_list(d, "\n  ],", "errors");
    print_reasons(d, list, count);
    if (d->json)
        text_print("\n  ]\n}\n");
    return fflush(stdout) == 0 ? 0 : write_failed(e);
}

static int open_states(struct diff *d, const struct request *r, struct err *e)
{
    if (extension_register() != SQLITE_OK || sqlite3_open(":memory:", &d->db) != SQLITE_OK)
        return err_set(e, ERR_SQLITE, 0, "can't open SQLite");
    for (int side = 0; side < SIDES; side++) {
        const struct moment m = {.kind = MOMENT_TXID, .txid = r->txids[side]};
        if (extension_attach(d->db, state_name(side), r->url, &m, e))
            return -1;
    }
    return 0;
}

/* Accounts for the pages of all b-trees, until each page that differs is known. */
static int account(struct diff *d, struct err *e)
{
    sqlite3_stmt *s = NULL;
    int rc = 0, step = SQLITE_DONE;
    for (int side = 0; rc == 0 && side < SIDES; side++)
        rc = trees_account(d->trees, side, 1, e);
    if (rc ||
        prepare(d,
                sqlite3_mprintf("SELECT 0, rootpage, type FROM a.sqlite_master WHERE rootpage > 0 UNION SELECT 1, "
                                "rootpage, type FROM b.sqlite_master WHERE rootpage > 0 ORDER BY type DESC"),
                &s, e))
        return -1;
    while (rc == 0 && trees_wants_more(d->trees) && (step = sqlite3_step(s)) == SQLITE_ROW)
        rc = trees_account(d->trees, sqlite3_column_int(s, 0), (uint32_t)sqlite3_column_int64(s, 1), e);
    if (rc == 0 && step != SQLITE_DONE && step != SQLITE_ROW)
        rc = extension_failed(d->db, e);
    sqlite3_finalize(s);
    return rc;
}

/* Without it each row is compared: the pages that can't be read are then found in their tables. */
static int find_pages(struct diff *d, struct err *e)
{
    struct reader *a = extension_reader(d->db, "a"), *b = extension_reader(d->db, "b");
    if (!a || !b)
        return 0;
    if (trees_open(a, b, &d->trees, e) == 0 && (!d->trees || account(d, e) == 0))
        return 0;
    trees_close(d->trees);
    d->trees = NULL;
    return is_of_one_table(e) ? 0 : -1;
}

static int diff(const struct request *r, int *ret_exit_code, struct err *e)
{
    struct diff d = {.json = r->json};
    struct table *list = NULL;
    size_t count = 0;
    int rc = open_states(&d, r, e);
    if (rc == 0)
        rc = read_tables(&d, r->table, &list, &count, e);
    if (rc == 0 && count > 0)
        rc = find_pages(&d, e);
    if (rc == 0 && r->table && count == 0)
        rc = err_set(e, ERR_CONFIG, 0, "neither state has a table '%s'", r->table);
    if (rc == 0)
        rc = print_all(&d, r, list, count, e);
    for (size_t i = 0; i < count; i++)
        release_table(&list[i]);
    free(list);
    trees_close(d.trees);
    sqlite3_close(d.db);
    *ret_exit_code = d.exit_code;
    return rc;
}

/* ---- the command */

static bool read_txid(const char *value, void *request)
{
    struct request *r = request;
    char *end = NULL;
    errno = 0;
    if (r->txid_count == SIDES || strspn(value, "0123456789") != strlen(value) || !*value)
        return false;
    const unsigned long long txid = strtoull(value, &end, 10);
    r->txids[r->txid_count++] = txid;
    return errno == 0 && txid > 0 && txid <= INT64_MAX;
}

static void sort_txids(struct request *r)
{
    const uint64_t first = r->txids[0];
    if (first <= r->txids[1])
        return;
    r->txids[0] = r->txids[1];
    r->txids[1] = first;
}

static int cmd_diff(int argc, char **argv)
{
    struct request r = {.txid_count = 0};
    struct config *config = NULL;
    struct err e;
    int code = EXIT_DONE;
    if (!cli_parse(&diff_command, argc, argv, &r, &code))
        return code;
    if (r.txid_count != SIDES)
        return cli_usage(&diff_command, "missing --txid: give it twice");
    sort_txids(&r);
    int rc = cli_find_replica(r.config_path, &r.url, &config, &e);
    if (rc == 0)
        rc = diff(&r, &code, &e);
    config_free(config);
    return rc ? cli_fail_reading(&e) : code;
}

static const struct flag flags[] = {
    FLAG_CONFIG(struct request, config_path, "configuration file that has the replica or the database"),
    {.name = "txid",
     .kind = FLAG_READ,
     .read = read_txid,
     .value_name = "N",
     .expects = "a number from 1 on, and is given twice",
     .help = "one of the two transactions after which the database is compared; given twice"},
    {.name = "table", FLAG_INTO(struct request, table), .value_name = "T", .help = "only this table"},
    {.name = "json",
     FLAG_INTO(struct request, json),
     .help = "one JSON object: from, to, schema, changes, tables, errors"},
    FLAG_MEMORY,
};

static const struct word words[] = {
    WORD_REPLICA(struct request, url, WORD_OR_CONFIG),
};

const struct command diff_command = {
    .name = "diff",
    .run = cmd_diff,
    .example = "diff URL --txid A --txid B",
    .summary = "show which rows changed between two transactions",
    .arguments = "URL|DB",
    .description =
        "Compares the tables of a replica after two transactions, without a restore. '+' is a row that only the later "
        "state has, '-' one that only the earlier state has, '~' one that changed. Rows belong together by rowid, or "
        "by "
        "the primary key of a table WITHOUT ROWID. With -c, URL can be the name of a replica in the file, or the path "
        "of "
        "a database in the file, whose first replica is then used.\n",
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
    .words = words,
    .word_count = sizeof words / sizeof words[0],
};
