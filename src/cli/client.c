/* cli/client.c */
#include "cli/client.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/socket.h"
#include "daemon/control.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECT_MS 10000
#define ANSWER_MAX (2 * CONNECTION_ANSWER_MAX)

static volatile sig_atomic_t interrupted;

static void on_signal(int signo)
{
    (void)signo;
    interrupted = 1;
}

/* The signals come in while it waits, and only then: so none is missed between a look and the next wait. */
struct signals {
    sigset_t before;
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

/* 0: something can be done with fd. */
static int wait_for(int fd, short events, int64_t until_ms, const struct signals *s, struct err *e)
{
    for (;;) {
        int64_t left = until_ms - clock_mono_ms();
        struct timespec ts = {.tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000};
        struct pollfd p = {.fd = fd, .events = events};
        if (interrupted)
            return err_set(e, ERR_CANCELED, 0, "interrupted");
        if (left <= 0)
            return err_set(e, ERR_TIMEOUT, 0, "no answer in time");
        int n = ppoll(&p, 1, until_ms == CLIENT_NEVER ? NULL : &ts, &s->before);
        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return err_sys(e, errno, "poll");
    }
}

static int send_all(int fd, const char *text, int64_t until_ms, const struct signals *s, struct err *e)
{
    for (size_t n = strlen(text); n > 0;) {
        ssize_t sent = send(fd, text, n, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            return err_sys(e, errno, "send");
        if (sent < 0 && wait_for(fd, POLLOUT, until_ms, s, e))
            return -1;
        n -= sent > 0 ? (size_t)sent : 0;
        text += sent > 0 ? sent : 0;
    }
    return 0;
}

static int receive_line(int fd, struct buf *line, int64_t until_ms, const struct signals *s, struct err *e)
{
    char bytes[4096];
    while (line->len == 0 || line->data[line->len - 1] != '\n') {
        if (wait_for(fd, POLLIN, until_ms, s, e))
            return -1;
        ssize_t n = recv(fd, bytes, sizeof bytes, 0);
        if (n == 0 || (n < 0 && errno == ECONNRESET))
            return err_set(e, ERR_IO, 0, "the daemon ended before it answered");
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return err_sys(e, errno, "receive");
        if (n > 0 && buf_append(line, bytes, (size_t)n, e))
            return -1;
    }
    return 0;
}

static int converse(int fd, const char *command, int64_t until_ms, const struct signals *s, struct json **ret_answer,
                    struct err *e)
{
    struct json *request = json_object_new();
    struct buf line = BUF_INIT(ANSWER_MAX);
    json_set_text(request, "command", command);
    char *text = json_print_line(request);
    json_free(request);
    int rc = text ? send_all(fd, text, until_ms, s, e) : err_nomem(e, 0);
    if (rc == 0)
        rc = receive_line(fd, &line, until_ms, s, e);
    if (rc == 0)
        rc = json_parse(line.data, line.len, ret_answer, e);
    free(text);
    buf_release(&line);
    return rc;
}

static int explain(const char *db, struct err *e)
{
    int sys = e->sys;
    if (e->code == ERR_NOTFOUND) {
        bool missing = access(db, F_OK) != 0 && errno == ENOENT;
        err_set(e, ERR_BUSY, sys, missing ? "there is no such file, and no daemon runs on it" : "no daemon runs on it");
        return err_hint(e,
                        "'seawall replicate' starts one; while it waits for the database to appear it can't be asked");
    }
    if (sys == EACCES || sys == EPERM) {
        e->code = ERR_BUSY;
        return err_hint(e, "only the user that the daemon runs as, and root, may ask it");
    }
    return -1;
}

static int ask(const char *db, const char *command, int64_t until_ms, const struct signals *s, struct json **ret_answer,
               struct err *e)
{
    char real[PATH_TEXT_MAX], path[PATH_TEXT_MAX];
    int64_t left = until_ms == CLIENT_NEVER ? CONNECT_MS : until_ms - clock_mono_ms();
    int fd = -1;
    if (path_format(path, e, "%s" CONTROL_SUFFIX, realpath(db, real) ? real : db)) /* as the daemon names it */
        return -1;
    if (socket_connect(path, left > CONNECT_MS ? CONNECT_MS : left > 0 ? left : 1, &fd, e))
        return explain(db, e);
    int rc = converse(fd, command, until_ms, s, ret_answer, e);
    io_close(&fd);
    return rc;
}

int client_ask(const char *db, const char *command, int64_t timeout_ms, struct json **ret_answer, struct err *e)
{
    int64_t until_ms = timeout_ms == CLIENT_NEVER ? CLIENT_NEVER : clock_mono_ms() + timeout_ms;
    struct signals s;
    *ret_answer = NULL;
    catch_signals(&s);
    int rc = ask(db, command, until_ms, &s, ret_answer, e);
    release_signals(&s);
    const char *refused = rc == 0 ? json_get_text(*ret_answer, "error") : NULL;
    if (refused && !json_get_text(*ret_answer, "database")) { /* a status has errors of its own */
        rc = err_set(e, ERR_REMOTE, 0, "the daemon says: %.300s", refused);
        json_free(*ret_answer);
        *ret_answer = NULL;
    }
    return rc ? err_wrap(e, "database '%s'", db) : 0;
}
