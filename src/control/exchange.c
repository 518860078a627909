/* control/exchange.c */
#include "control/exchange.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/text.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define REFUSAL_MAX 300 /* bytes of the reason that are shown */

/* Waits until the socket is ready for `events`. ERR_TIMEOUT, ERR_CANCELED. */
static int wait_for(const struct exchange *x, short events, struct err *e)
{
    for (;;) {
        int64_t left = x->until_ms - clock_mono_ms();
        struct timespec ts = {.tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000};
        struct pollfd p = {.fd = x->fd, .events = events};
        if (x->interrupted && *x->interrupted)
            return err_set(e, ERR_CANCELED, 0, "interrupted");
        if (left <= 0)
            return err_set(e, ERR_TIMEOUT, 0, "no answer in time");
        int n = ppoll(&p, 1, x->until_ms == EXCHANGE_NEVER ? NULL : &ts, x->waiting);
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
        ssize_t sent = send(x->fd, text, n, MSG_NOSIGNAL | MSG_DONTWAIT);
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
        ssize_t n = recv(x->fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno == ECONNRESET))
            return gone(e);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return err_sys(e, errno, "receive");
        if (n > 0 && buf_append(line, bytes, (size_t)n, e))
            return -1;
    }
    return 0;
}

static int refuse(const char *reason, struct err *e)
{
    const char *hint = text_hint(reason);
    const int n = text_front(reason);
    err_set(e, ERR_REMOTE, 0, "the daemon refused: %.*s", n < REFUSAL_MAX ? n : REFUSAL_MAX, reason);
    return hint ? err_hint(e, "%s", hint) : -1;
}

int exchange_run(const struct exchange *x, const struct json *request, struct json **ret_answer, struct err *e)
{
    struct buf line = BUF_INIT(EXCHANGE_ANSWER_MAX);
    char *text = json_print_line(request);
    *ret_answer = NULL;
    int rc = text ? send_all(x, text, e) : err_nomem(e, 0);
    if (rc == 0)
        rc = receive_line(x, &line, e);
    if (rc == 0)
        rc = json_parse(line.data, line.len, ret_answer, e);
    free(text);
    buf_release(&line);
    const char *reason = rc == 0 ? json_get_text(*ret_answer, "error") : NULL;
    if (!reason || json_get_text(*ret_answer, "database")) /* the "error" of a status is about the database */
        return rc;
    rc = refuse(reason, e);
    json_free(*ret_answer);
    *ret_answer = NULL;
    return rc;
}
