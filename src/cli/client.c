/* cli/client.c */
#include "cli/client.h"
#include "config/find.h"

#include "cli/cli.h"

#include "base/clock.h"
#include "base/io.h"
#include "config/find.h"
#include "daemon/connection.h"
#include "daemon/control_place.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECT_MS 10000
#define REFUSAL_MAX 300 /* bytes of the reason that are shown */
#define ANSWER_MAX (2 * CONNECTION_ANSWER_MAX)

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

/* One request and its answer. */
struct exchange {
    int fd;
    int64_t until_ms; /* of clock_mono_ms, or CLIENT_NEVER */
    struct signals signals;
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

/* Waits until the socket is ready for `events`. ERR_TIMEOUT, ERR_CANCELED. */
static int wait_for(const struct exchange *x, short events, struct err *e)
{
    for (;;) {
        int64_t left = x->until_ms - clock_mono_ms();
        struct timespec ts = {.tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000};
        struct pollfd p = {.fd = x->fd, .events = events};
        if (interrupted)
            return err_set(e, ERR_CANCELED, 0, "interrupted");
        if (left <= 0)
            return err_set(e, ERR_TIMEOUT, 0, "no answer in time");
        int n = ppoll(&p, 1, x->until_ms == CLIENT_NEVER ? NULL : &ts, &x->signals.before);
        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return err_sys(e, errno, "poll");
    }
}

/* It ended, or closed its socket to make it again. */
static int gone(struct err *e)
{
    return err_set(e, ERR_IO, 0, "the daemon ended before it answered");
}

static int send_all(const struct exchange *x, const char *text, struct err *e)
{
    for (size_t n = strlen(text); n > 0;) {
        ssize_t sent = send(x->fd, text, n, MSG_NOSIGNAL);
        if (sent < 0 && (errno == EPIPE || errno == ECONNRESET))
            return gone(e);
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            return err_sys(e, errno, "send");
        if (sent < 0 && wait_for(x, POLLOUT, e))
            return -1;
        n -= sent > 0 ? (size_t)sent : 0;
        text += sent > 0 ? sent : 0;
    }
    return 0;
}

static int receive_line(const struct exchange *x, struct buf *line, struct err *e)
{
    char bytes[4096];
    while (line->len == 0 || line->data[line->len - 1] != '\n') {
        if (wait_for(x, POLLIN, e))
            return -1;
        ssize_t n = recv(x->fd, bytes, sizeof bytes, 0);
        if (n == 0 || (n < 0 && errno == ECONNRESET))
            return gone(e);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return err_sys(e, errno, "receive");
        if (n > 0 && buf_append(line, bytes, (size_t)n, e))
            return -1;
    }
    return 0;
}

/* What is asked. */
struct question {
    const char *command;
    const char *database; /* NULL: the only one of the daemon, or all */
    int64_t from;         /* number of the first database of a list */
};

static int converse(const struct exchange *x, const struct question *q, struct json **ret_answer, struct err *e)
{
    struct json *request = json_object_new();
    struct buf line = BUF_INIT(ANSWER_MAX);
    json_set_text(request, "command", q->command);
    if (q->database)
        json_set_text(request, "database", q->database);
    if (q->from > 0)
        json_set_number(request, "from", q->from);
    char *text = json_print_line(request);
    json_free(request);
    int rc = text ? send_all(x, text, e) : err_nomem(e, 0);
    if (rc == 0)
        rc = receive_line(x, &line, e);
    if (rc == 0)
        rc = json_parse(line.data, line.len, ret_answer, e);
    free(text);
    buf_release(&line);
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
    int64_t left = x->until_ms == CLIENT_NEVER ? CONNECT_MS : x->until_ms - clock_mono_ms();
    int64_t patience = left > CONNECT_MS ? CONNECT_MS : left > 0 ? left : 1;
    struct err of_all;
    if (t->db && control_place_connect(t->db, t->control, patience, &x->fd, e) == 0)
        return 0;
    if (t->config && (!t->db || e->code == ERR_NOTFOUND) &&
        control_place_connect(t->config, t->control, patience, &x->fd, &of_all) == 0) {
        q->database = t->path[0] ? t->path : t->db;
        return 0;
    }
    if (t->config && (!t->db || (e->code == ERR_NOTFOUND && of_all.code != ERR_NOTFOUND)))
        *e = of_all;
    return explain(t->db ? t->db : t->config, e);
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
    *ret_config = NULL;
    if (cli_read_config(r->config_path, ret_config, e) || (*ret_config && config_find_db(*ret_config, r->db, &db, e)))
        return -1;
    assert(r->db || *ret_config); /* the parser of the command line sees to that */
    *ret_target = (struct client_target){.db = r->db ? r->db : (*ret_config)->dbs[0].path,
                                         .config = r->config_path,
                                         .control = cli_control(r->control, *ret_config)};
    int rc = db.path ? path_format(ret_target->path, e, "%s", db.path) : 0;
    config_member_release(&db);
    return rc;
}

/* One question, with the signals caught. */
static int ask_once(const struct client_target *t, struct question *q, int64_t until_ms, struct json **ret_answer,
                    struct err *e)
{
    struct exchange x = {.fd = -1, .until_ms = until_ms};
    *ret_answer = NULL;
    catch_signals(&x.signals);
    int rc = ask(&x, t, q, ret_answer, e);
    release_signals(&x.signals);
    const char *refused = rc == 0 ? json_get_text(*ret_answer, "error") : NULL;
    if (refused && !json_get_text(*ret_answer, "database")) { /* the "error" of a status is about the database */
        const char *hint = strstr(refused, TEXT_HINT);
        size_t n = hint ? (size_t)(hint - refused) : strlen(refused);
        rc = err_set(e, ERR_REMOTE, 0, "the daemon refused: %.*s", (int)(n < REFUSAL_MAX ? n : REFUSAL_MAX), refused);
        if (hint)
            err_hint(e, "%s", hint + strlen(TEXT_HINT));
        json_free(*ret_answer);
        *ret_answer = NULL;
    }
    if (rc == 0)
        return 0;
    return t->db ? err_wrap(e, "database '%s'", t->db) : err_wrap(e, "the daemon of '%s'", t->config);
}

static int64_t deadline_of(int64_t timeout_ms)
{
    assert(timeout_ms >= 0);
    return timeout_ms == CLIENT_NEVER ? CLIENT_NEVER : clock_mono_ms() + timeout_ms;
}

int client_ask(const struct client_target *t, const char *command, int64_t timeout_ms, struct json **ret_answer,
               struct err *e)
{
    struct question q = {.command = command};
    assert(t->db);
    return ask_once(t, &q, deadline_of(timeout_ms), ret_answer, e);
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
