/* extension/functions.c
 *
 * A function can't ask SQLite for its user data without knowing which SQLite library has called it. So each function
 * exists once for each of the libraries that host.h keeps. */
#include "extension/functions.h"

#include "base/clock.h"
#include "extension/durable.h"
#include "extension/replica_file.h"
#include "extension/trouble.h"

#include <stdbool.h>
#include <string.h>

#define COMMIT_MS 10000 /* a commit waits, if it is not said how long */

/* A call of a SQL function. */
struct call {
    const struct host *host;
    sqlite3_context *context;
    int count;
    sqlite3_value **values;
};

/* The reader of the database that argument `index` names. NULL: it is not a replica, or no database has that
 * name. */
static struct reader *reader_of(const struct call *c, int index)
{
    struct reader *r = NULL;
    const char *schema = c->count > index ? (const char *)c->host->value_text(c->values[index]) : "main";
    sqlite3 *db = c->host->context_db_handle(c->context);
    return schema && c->host->file_control(db, schema, REPLICA_FILE_READER, &r) == SQLITE_OK ? r : NULL;
}

static void give_text(const struct call *c, const char *text)
{
    c->host->result_text(c->context, text, -1, SQLITE_TRANSIENT); // NOLINT: SQLite's own macro
}

static void call_txid(const struct call *c)
{
    const struct reader *r = reader_of(c, 0);
    if (r)
        c->host->result_int64(c->context, (sqlite3_int64)reader_record(r)->txid);
}

static void call_time(const struct call *c)
{
    const struct reader *r = reader_of(c, 0);
    char text[CLOCK_TEXT_MAX];
    if (!r)
        return;
    clock_format(reader_record(r)->time_ms, text);
    give_text(c, text);
}

static void call_age(const struct call *c)
{
    const struct reader *r = reader_of(c, 0);
    if (r)
        c->host->result_int64(c->context, clock_wall_ms() - reader_record(r)->time_ms);
}

static void call_current(const struct call *c)
{
    struct reader *r = reader_of(c, 0);
    if (r && reader_follows(r))
        c->host->result_int64(c->context, reader_known_ms(r));
}

/* A time to wait. */
static int64_t ms_of(const struct call *c, int index, int64_t otherwise)
{
    const sqlite3_int64 ms = c->count > index ? c->host->value_int64(c->values[index]) : otherwise;
    return ms < 0 ? 0 : ms < DURABLE_MS_MAX ? ms : DURABLE_MS_MAX;
}

static void call_wait(const struct call *c)
{
    struct reader *r = reader_of(c, 2);
    const sqlite3_int64 txid = c->host->value_int64(c->values[0]);
    struct err e;
    bool there = false;
    if (!r) {
        c->host->result_error(c->context, "seawall_wait: this database is not a replica", -1);
        return;
    }
    if (reader_wait(r, txid > 0 ? (uint64_t)txid : 0, ms_of(c, 1, 0), &there, &e)) {
        trouble_note(c->host, SQLITE_ERROR, &e);
        c->host->result_error(c->context, e.msg, -1);
        return;
    }
    c->host->result_int64(c->context, there);
}

/* ---- of connections that write */

static const char *text_of(const struct call *c, int index, const char *otherwise)
{
    const char *text = c->count > index ? (const char *)c->host->value_text(c->values[index]) : NULL;
    return text ? text : otherwise;
}

static struct durable_target target_of(const struct call *c, int schema)
{
    return (struct durable_target){c->host, c->host->context_db_handle(c->context), text_of(c, schema, "main")};
}

/* False: an error was given. */
static bool where_of(const struct call *c, int index, enum durable_where *ret_where)
{
    const char *text = text_of(c, index, "all");
    *ret_where = strcmp(text, "any") == 0 ? DURABLE_ANYWHERE : DURABLE_EVERYWHERE;
    if (*ret_where == DURABLE_ANYWHERE || strcmp(text, "all") == 0)
        return true;
    c->host->result_error(c->context, "seawall: 'all' or 'any' replicas", -1);
    return false;
}

static void give_trouble(const struct call *c, const struct err *e)
{
    trouble_note(c->host, SQLITE_ERROR, e);
    c->host->result_error(c->context, e->msg, -1);
}

static void call_sync(const struct call *c)
{
    const struct durable_target t = target_of(c, 2);
    enum durable_where where;
    uint64_t txid = 0;
    struct err e;
    if (!where_of(c, 1, &where))
        return;
    if (durable_wait(&t, where, ms_of(c, 0, 0), &txid, &e))
        give_trouble(c, &e);
    else
        c->host->result_int64(c->context, (sqlite3_int64)txid);
}

static void call_durable_txid(const struct call *c)
{
    const struct durable_target t = target_of(c, 0);
    uint64_t txid = 0;
    struct err e;
    if (durable_txid(&t, &txid, &e))
        give_trouble(c, &e);
    else
        c->host->result_int64(c->context, (sqlite3_int64)txid);
}

static void call_wait_on_commit(const struct call *c)
{
    const struct durable_target t = target_of(c, c->count); /* the main database tells whether there is a daemon */
    const bool on = c->host->value_int64(c->values[0]) != 0;
    enum durable_where where;
    struct err e;
    if (!where_of(c, 2, &where))
        return;
    if (!on)
        durable_wait_no_more(&t);
    else if (durable_wait_on_commit(&t, where, ms_of(c, 1, COMMIT_MS), &e)) {
        give_trouble(c, &e);
        return;
    }
    c->host->result_int64(c->context, on);
}

static void call_error(const struct call *c)
{
    if (trouble_last()->code != ERR_NONE)
        give_text(c, trouble_last()->msg);
}

/* ---- once for each library */

#define DEFINE_FUNCTION(name, index)                                                                                   \
    static void name##_##index(sqlite3_context *context, int count, sqlite3_value **values)                            \
    {                                                                                                                  \
        const struct call c = {host_at(index), context, count, values};                                                \
        call_##name(&c);                                                                                               \
    }
#define DEFINE_FUNCTIONS(name)                                                                                         \
    DEFINE_FUNCTION(name, 0)                                                                                           \
    DEFINE_FUNCTION(name, 1)                                                                                           \
    DEFINE_FUNCTION(name, 2)                                                                                           \
    DEFINE_FUNCTION(name, 3)
#define EACH_HOST(name) {name##_0, name##_1, name##_2, name##_3}

DEFINE_FUNCTIONS(txid)
DEFINE_FUNCTIONS(time)
DEFINE_FUNCTIONS(age)
DEFINE_FUNCTIONS(current)
DEFINE_FUNCTIONS(wait)
DEFINE_FUNCTIONS(sync)
DEFINE_FUNCTIONS(durable_txid)
DEFINE_FUNCTIONS(wait_on_commit)
DEFINE_FUNCTIONS(error)

struct sql_function {
    const char *name;
    int least, most; /* arguments */
    bool direct;     /* not in a trigger or a view: a schema must not make a writer wait, or end its waiting */
    host_function *of[HOSTS_MAX];
};

static const struct sql_function functions[] = {
    {"seawall_txid", 0, 1, false, EACH_HOST(txid)},
    {"seawall_time", 0, 1, false, EACH_HOST(time)},
    {"seawall_age_ms", 0, 1, false, EACH_HOST(age)},
    {"seawall_current_ms", 0, 1, false, EACH_HOST(current)},
    {"seawall_wait", 2, 3, true, EACH_HOST(wait)},
    {"seawall_sync", 1, 3, true, EACH_HOST(sync)},
    {"seawall_durable_txid", 0, 1, true, EACH_HOST(durable_txid)},
    {"seawall_wait_on_commit", 1, 3, true, EACH_HOST(wait_on_commit)},
    {"seawall_error", 0, 0, false, EACH_HOST(error)},
};

int functions_register(const struct host *host, sqlite3 *db)
{
    const size_t index = host_index(host);
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++)
        for (int k = functions[i].least; k <= functions[i].most; k++) {
            const struct sql_function *f = &functions[i];
            const int flags = SQLITE_UTF8 | (f->direct ? SQLITE_DIRECTONLY : 0); /* SQLite before 3.30 ignores it */
            int rc = host->create_function(db, f->name, k, flags, NULL, f->of[index], NULL, NULL);
            if (rc == SQLITE_BUSY) /* it exists, and a statement is active, such as SELECT load_extension() itself */
                continue;
            if (rc != SQLITE_OK)
                return rc;
        }
    return SQLITE_OK;
}
