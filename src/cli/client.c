/* cli/client.c */
#include "cli/client.h"

#include "cli/cli.h"

#include "base/clock.h"
#include "base/io.h"
#include "config/find.h"
#include "control/exchange.h"
#include "control/place.h"
#include "daemon/control.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONNECT_MS 10000

static volatile sig_atomic_t interrupted;

static void on_signal(int signo)
{
    (void)signo;
    interrupted = 1;
}

/* The signals are blocked except during a wait. So none is lost between a check of `interrupted` and the next wait. */
struct signals {
    sigset_t before; /* the mask during a wait */
    struct sigaction old_int, old_term;
};

static void catch_signals(struct signals *s)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigset_t caught;
    sigemptyset(&caught);
    sigaddset(&caught, SIGINT);
    sigaddset(&caught, SIGTERM);
    sigprocmask(SIG_BLOCK, &caught, &s->before);
    sigaction(SIGINT, &action, &s->old_int);
    sigaction(SIGTERM, &action, &s->old_term);
}

static void release_signals(const struct signals *s)
{
    sigaction(SIGINT, &s->old_int, NULL);
    sigaction(SIGTERM, &s->old_term, NULL);
    sigprocmask(SIG_SETMASK, &s->before, NULL);
}

/* What is asked. */
struct question {
    const char *command;
    const char *database; /* NULL: the only one of the daemon, or all */
    int64_t from;         /* number of the first database of a list */
    const char *const *urls;
    size_t url_count;
};

static int converse(const struct exchange *x, const struct question *q, struct json **ret_answer, struct err *e)
{
    struct json *request = json_object_new();
    json_set_text(request, "command", q->command);
    if (q->database)
        json_set_text(request, "database", q->database);
    if (q->from > 0)
        json_set_number(request, "from", q->from);
    struct json *replicas = q->url_count > 0 ? json_list_new() : NULL;
    for (size_t i = 0; i < q->url_count; i++) {
        struct json *one = json_object_new();
        json_set_text(one, "url", q->urls[i]);
        json_push(replicas, one);
    }
    if (replicas)
        json_set(request, "replicas", replicas);
    int rc = exchange_run(x, request, ret_answer, e);
    json_free(request);
    return rc;
}

/* Says why the socket can't be reached, for the two reasons that a person can act upon. */
static int explain(const char *db, struct err *e)
{
    int sys = e->sys;
    if (e->code == ERR_NOTFOUND) {
        bool missing = access(db, F_OK) != 0 && errno == ENOENT;
        err_set(e, ERR_BUSY, sys,
                missing ? "the file does not exist, and no daemon runs on it" : "no daemon runs on it");
        return err_hint(e,
                        "start one with 'seawall replicate'; it answers once the database exists, and --control must "
                        "be the same here as there");
    }
    if (sys == EACCES || sys == EPERM) {
        e->code = ERR_BUSY;
        err_wrap(e, "a daemon may run on it, but this user may not ask");
        return err_hint(e, "run this as the user of the daemon, or as root");
    }
    return -1;
}

/* A daemon may have this database alone, or all databases of the configuration. *ret_q: what to ask it. */
static int connect_to(struct exchange *x, const struct client_target *t, struct question *q, struct err *e)
{
    int64_t left = x->until_ms == EXCHANGE_NEVER ? CONNECT_MS : x->until_ms - clock_mono_ms();
    int64_t patience = left > CONNECT_MS ? CONNECT_MS : left > 0 ? left : 1;
    struct err of_all;
    if (t->db && control_place_connect(t->db, t->control, patience, &x->fd, e) == 0)
        return 0;
    if (t->config && (!t->db || e->code == ERR_NOTFOUND) &&
        control_place_connect(t->config, t->control, patience, &x->fd, &of_all) == 0) {
        q->database = t->path[0] ? t->path : t->db;
        q->urls = t->urls;
        q->url_count = t->url_count;
        return 0;
    }
    if (t->config && (!t->db || (e->code == ERR_NOTFOUND && of_all.code != ERR_NOTFOUND)))
        *e = of_all;
    return explain(t->db ? t->db : t->config ? t->config : t->path, e);
}

static int ask(struct exchange *x, const struct client_target *t, struct question *q, struct json **ret_answer,
               struct err *e)
{
    if (connect_to(x, t, q, e))
        return -1;
    int rc = converse(x, q, ret_answer, e);
    io_close(&x->fd);
    return rc;
}

int client_find_target(const struct client_request *r, struct config **ret_config, struct client_target *ret_target,
                       struct err *e)
{
    struct config_member db = {.path = NULL};
    struct err unlisted = {.code = ERR_NONE};
    *ret_config = NULL;
    if (cli_read_config(r->config_path, ret_config, e))
        return -1;
    if (*ret_config && config_find_db(*ret_config, r->db, &db, e)) {
        if (e->code != ERR_CONFIG || !r->db || !config_is_of_many(*ret_config))
            return -1;
        unlisted = *e;
    }
    assert(r->db || *ret_config); /* the parser of the command line sees to that */
    *ret_target = (struct client_target){.db = r->db ? r->db : (*ret_config)->dbs[0].path,
                                         .config = r->config_path,
                                         .control = cli_control(r->control, *ret_config)};
    int rc = db.path ? path_format(ret_target->path, e, "%s", db.path) : 0;
    ret_target->unlisted = unlisted;
    if (unlisted.code != ERR_NONE)
        rc = path_absolute(r->db, ret_target->path, e);
    config_member_release(&db);
    return rc;
}

/* The database that is meant; NULL: all of a configuration. */
static const char *database_of(const struct client_target *t)
{
    return t->db ? t->db : t->path[0] ? t->path : NULL;
}

/* One question, with the signals caught. */
static int ask_once(const struct client_target *t, struct question *q, int64_t until_ms, struct json **ret_answer,
                    struct err *e)
{
    struct signals signals;
    struct exchange x = {.fd = -1, .until_ms = until_ms, .interrupted = &interrupted, .waiting = &signals.before};
    *ret_answer = NULL;
    catch_signals(&signals);
    int rc = ask(&x, t, q, ret_answer, e);
    release_signals(&signals);
    if (rc == 0)
        return 0;
    if (t->unlisted.code != ERR_NONE && (e->code == ERR_BUSY || strstr(e->msg, CONTROL_UNKNOWN))) {
        *e = t->unlisted;
        return -1;
    }
    const char *db = database_of(t);
    return db ? err_wrap(e, "database '%s'", db) : err_wrap(e, "the daemon of '%s'", t->config);
}

static int64_t deadline_of(int64_t timeout_ms)
{
    assert(timeout_ms >= 0);
    return timeout_ms == EXCHANGE_NEVER ? EXCHANGE_NEVER : clock_mono_ms() + timeout_ms;
}

int client_ask(const struct client_target *t, const char *command, int64_t timeout_ms, struct json **ret_answer,
               struct err *e)
{
    struct question q = {.command = command};
    assert(t->db || t->config);
    return ask_once(t, &q, deadline_of(timeout_ms), ret_answer, e);
}

static int print_state(const struct client_target *t, const char *state, bool as_json, struct err *e)
{
    const char *db = database_of(t);
    if (!as_json) {
        text_print("%s\n", state);
        return 0;
    }
    struct json *j = json_object_new();
    json_set_text(j, db ? "database" : "config", db ? db : t->config);
    json_set_text(j, "state", state);
    return cli_print_json(j, e);
}

int client_ask_state(const struct client_target *t, const char *command, int64_t timeout_ms, bool as_json,
                     struct err *e)
{
    struct json *answer = NULL;
    if (client_ask(t, command, timeout_ms, &answer, e))
        return -1;
    const char *state = json_get_text(answer, "state"), *db = database_of(t);
    int rc = 0;
    if (!state)
        rc = err_set(e, ERR_REMOTE, 0, "'%s': malformed answer from the daemon", db ? db : t->config);
    else
        rc = print_state(t, state, as_json, e);
    json_free(answer);
    return rc;
}

int client_ask_all(const struct client_target *t, int64_t timeout_ms, struct json *list, struct err *e)
{
    const int64_t until_ms = deadline_of(timeout_ms);
    struct question q = {.command = "status"};
    assert(t->config && !t->db);
    for (bool more = true; more;) {
        struct json *page = NULL;
        if (ask_once(t, &q, until_ms, &page, e))
            return -1;
        const struct json *databases = json_get(page, "databases");
        int64_t next = 0;
        for (size_t i = 0; i < json_count(databases); i++)
            json_push(list, json_share(json_at(databases, i)));
        more = json_get_number(page, "next", &next) && next > q.from;
        q.from = next;
        json_free(page);
    }
    return 0;
}
