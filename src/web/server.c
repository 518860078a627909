/* web/server.c */
#include "web/server.h"

#include "base/clock.h"
#include "base/io.h"
#include "web/answers.h"
#include "web/host.h"
#include "web/listener.h"
#include "web/mhd.h"
#include "web/page.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define CROWDED (SERVER_VISITS_MAX * 3 / 4) /* from here on a new connection ends the oldest one */
#define STACK_BYTES (1 << 20)

/* One connection. */
struct visit {
    struct MHD_Connection *connection; /* NULL: this place is free */
    int fd;
    int64_t since_ms;
    bool begun;       /* the library has shown the headers */
    bool waits;       /* for a report; it is suspended */
    bool ending;      /* its socket was shut down */
    int64_t asked_ms; /* if it waits, or waited: since then; 0: it did not */
    unsigned of;      /* the number of the report that it gets the answer of; 0: none yet */
};

struct server {
    struct listen_place place;
    struct listener listener;
    pthread_t thread;
    int wish_fd, told_fd;
    atomic_uint wish;
    atomic_bool ending;
    _Atomic(struct report *) box; /* a report that the thread did not take yet */
    char policy[PAGE_POLICY_MAX];

    /* only the thread uses these */
    struct MHD_Daemon *daemon;
    struct report *report;                      /* owned; the newest; NULL: none yet */
    int64_t report_ms;                          /* when it came */
    unsigned number;                            /* of it */
    struct MHD_Response *answers[ANSWER_PATHS]; /* of it; NULL: not made yet */
    unsigned codes[ANSWER_PATHS];
    bool resumed;      /* a visit, since the library last ran: it does not say that it has to run again */
    size_t body_bytes; /* of all answers that were made and not freed */
    struct visit visits[SERVER_VISITS_MAX];
};

/* ---- connections */

static void resume(struct server *s, struct visit *v)
{
    v->waits = false;
    s->resumed = true;
    mhd.resume_connection(v->connection);
}

static void end_visit(struct server *s, struct visit *v)
{
    if (!v->ending)
        shutdown(v->fd, SHUT_RDWR); /* the library notices, and closes it */
    v->ending = true;
    if (v->waits)
        resume(s, v);
}

static struct visit *oldest_visit(struct server *s)
{
    struct visit *oldest = NULL;
    for (size_t i = 0; i < SERVER_VISITS_MAX; i++) {
        struct visit *v = &s->visits[i];
        if (v->connection && !v->ending && (!oldest || v->since_ms < oldest->since_ms))
            oldest = v;
    }
    return oldest;
}

static struct visit *free_place(struct server *s, size_t *ret_used)
{
    struct visit *place = NULL;
    *ret_used = 0;
    for (size_t i = 0; i < SERVER_VISITS_MAX; i++) {
        if (s->visits[i].connection)
            ++*ret_used;
        else if (!place)
            place = &s->visits[i];
    }
    return place;
}

static void come(struct server *s, struct MHD_Connection *connection, void **ret_visit)
{
    const union MHD_ConnectionInfo *info = mhd.get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    size_t used = 0;
    struct visit *v = free_place(s, &used), *oldest = used >= CROWDED ? oldest_visit(s) : NULL;
    assert(v && info); /* the library has the same limit */
    if (oldest)
        end_visit(s, oldest);
    *v = (struct visit){.connection = connection, .fd = info->connect_fd, .since_ms = clock_mono_ms()};
    *ret_visit = v;
}

static void note_connection(void *server, struct MHD_Connection *connection, void **visit,
                            enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED)
        come(server, connection, visit);
    else if (*visit)
        *(struct visit *)*visit = (struct visit){.connection = NULL};
}

/* Ends what takes too long. Returns in how many ms to look again; negative: never. */
static int end_late(struct server *s, int64_t now_ms)
{
    int64_t next_ms = INT64_MAX;
    for (size_t i = 0; i < SERVER_VISITS_MAX; i++) {
        struct visit *v = &s->visits[i];
        if (!v->connection || v->ending)
            continue;
        int64_t at_ms = v->since_ms + SERVER_VISIT_MS;
        if (v->waits && v->asked_ms + SERVER_PATIENCE_MS < at_ms)
            at_ms = v->asked_ms + SERVER_PATIENCE_MS;
        if (now_ms < at_ms)
            next_ms = at_ms - now_ms < next_ms ? at_ms - now_ms : next_ms;
        else if (v->waits)
            resume(s, v);
        else
            end_visit(s, v);
    }
    return next_ms == INT64_MAX ? -1 : (int)next_ms;
}

/* ---- answers */

static void add_headers(const struct server *s, struct MHD_Response *response, const char *type)
{
    const char *const headers[][2] = {
        {"Content-Type", type},
        {"Cache-Control", "no-store"},
        {"X-Content-Type-Options", "nosniff"},
        {"Content-Security-Policy", s->policy},
        {"Cross-Origin-Resource-Policy", "same-origin"},
        {"Referrer-Policy", "no-referrer"},
        {"Connection", "close"},
    };
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++)
        mhd.add_response_header(response, headers[i][0], headers[i][1]);
}

static enum MHD_Result refuse(struct server *s, struct MHD_Connection *c, unsigned code, const char *text)
{
    struct MHD_Response *response =
        mhd.create_response_from_buffer(strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_PERSISTENT);
    if (!response)
        return MHD_NO;
    add_headers(s, response, "text/plain; charset=utf-8");
    if (code == MHD_HTTP_METHOD_NOT_ALLOWED)
        mhd.add_response_header(response, "Allow", "GET, HEAD");
    const enum MHD_Result result = mhd.queue_response(c, code, response);
    mhd.destroy_response(response);
    return result;
}

struct body {
    struct server *server;
    char *text;
    size_t bytes;
};

static void free_body(void *body)
{
    struct body *b = body;
    b->server->body_bytes -= b->bytes;
    free(b->text);
    free(b);
}

static struct MHD_Response *response_of(struct server *s, struct answer *taken)
{
    struct body *b = malloc(sizeof *b);
    struct MHD_Response *response = NULL;
    if (b) {
        *b = (struct body){.server = s, .text = taken->text, .bytes = taken->bytes};
        response = mhd.create_response_from_buffer_with_free_callback_cls(b->bytes, b->text, free_body, b);
    }
    if (!response) {
        free(taken->text);
        free(b);
        return NULL;
    }
    s->body_bytes += b->bytes;
    add_headers(s, response, taken->type);
    return response;
}

/* Clients that still take answers of older reports keep those in memory. */
static void limit_bodies(struct server *s)
{
    if (s->body_bytes <= SERVER_BODIES_MAX)
        return;
    for (size_t i = 0; i < SERVER_VISITS_MAX; i++)
        if (s->visits[i].connection && s->visits[i].of != 0 && s->visits[i].of != s->number)
            end_visit(s, &s->visits[i]);
}

static enum MHD_Result answer(struct server *s, struct visit *v, enum answer_path path)
{
    struct answer made;
    struct err e;
    if (!s->answers[path]) {
        limit_bodies(s);
        if (answer_make(path, s->report, &made, &e))
            return refuse(s, v->connection, MHD_HTTP_INTERNAL_SERVER_ERROR, "out of memory\n");
        s->codes[path] = made.code;
        s->answers[path] = response_of(s, &made);
    }
    if (!s->answers[path])
        return refuse(s, v->connection, MHD_HTTP_INTERNAL_SERVER_ERROR, "out of memory\n");
    v->of = s->number;
    return mhd.queue_response(v->connection, s->codes[path], s->answers[path]);
}

static void ask(struct server *s, unsigned wish)
{
    const uint64_t one = 1;
    atomic_fetch_or(&s->wish, wish);
    ssize_t n = write(s->wish_fd, &one, sizeof one);
    (void)n; /* the counter is never full */
}

/* Whether the newest report will do for this visit. */
static bool report_is_fit(const struct server *s, const struct visit *v, enum answer_path path, int64_t now_ms)
{
    if (!s->report || (path == ANSWER_STATUS && !s->report->all))
        return false;
    return now_ms - s->report_ms < SERVER_FRESH_MS || (v->asked_ms > 0 && s->report_ms >= v->asked_ms);
}

static enum MHD_Result serve(struct server *s, struct visit *v, enum answer_path path)
{
    const int64_t now_ms = clock_mono_ms();
    if (report_is_fit(s, v, path, now_ms))
        return answer(s, v, path);
    if (v->asked_ms > 0 && now_ms - v->asked_ms >= SERVER_PATIENCE_MS)
        return refuse(s, v->connection, MHD_HTTP_SERVICE_UNAVAILABLE, "not well: the daemon does not answer\n");
    if (v->asked_ms == 0)
        v->asked_ms = now_ms;
    ask(s, WISH_REPORT | (path == ANSWER_STATUS ? WISH_ALL : 0));
    v->waits = true;
    mhd.suspend_connection(v->connection);
    return MHD_YES;
}

static bool is_for_us(const struct server *s, struct MHD_Connection *connection)
{
    return !s->place.loopback || host_is_local(mhd.lookup_connection_value(connection, MHD_HEADER_KIND, "Host"));
}

static enum MHD_Result take_request(void *server, struct MHD_Connection *connection, const char *url,
                                    const char *method, const char *version, const char *upload, size_t *upload_bytes,
                                    void **context)
{
    struct server *s = server;
    const union MHD_ConnectionInfo *info = mhd.get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct visit *v = info ? info->socket_context : NULL;
    const enum answer_path path = answer_path_of(url);
    (void)version, (void)upload, (void)upload_bytes, (void)context;
    if (!v)
        return MHD_NO;
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return refuse(s, connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD\n");
    if (!v->begun) { /* the library takes an answer only in a later call, or closes the connection at once */
        v->begun = true;
        return MHD_YES;
    }
    if (!is_for_us(s, connection))
        return refuse(s, connection, MHD_HTTP_MISDIRECTED_REQUEST,
                      "this page is for 127.0.0.1 and localhost alone; a proxy in front of it sets the header Host\n");
    if (path == ANSWER_PATHS)
        return refuse(s, connection, MHD_HTTP_NOT_FOUND, "there are /, /metrics, /healthz and /status.json\n");
    return serve(s, v, path);
}

/* No path that is served has an escape; "/%00" is not "/". */
static size_t leave_escapes(void *server, struct MHD_Connection *connection, char *text)
{
    (void)server, (void)connection;
    return strlen(text);
}

/* ---- the thread */

static void forget_answers(struct server *s)
{
    for (size_t i = 0; i < ANSWER_PATHS; i++) {
        if (s->answers[i])
            mhd.destroy_response(s->answers[i]); /* the library keeps it as long as it is sent */
        s->answers[i] = NULL;
    }
}

static void take_report(struct server *s)
{
    struct report *r = atomic_exchange(&s->box, NULL);
    if (!r)
        return;
    forget_answers(s);
    report_free(s->report);
    s->report = r;
    s->report_ms = clock_mono_ms();
    s->number = s->number == UINT32_MAX ? 1 : s->number + 1;
    for (size_t i = 0; i < SERVER_VISITS_MAX; i++)
        if (s->visits[i].connection && s->visits[i].waits)
            resume(s, &s->visits[i]);
}

/* What nobody asks for any more is not kept. */
static void forget_old(struct server *s, bool visited, int64_t now_ms)
{
    if (visited || !s->report || now_ms - s->report_ms < SERVER_FRESH_MS)
        return;
    forget_answers(s);
    report_free(s->report);
    s->report = NULL;
}

static int wait_ms_of(struct server *s, int late_ms)
{
    MHD_UNSIGNED_LONG_LONG mhd_ms = 0;
    if (s->resumed)
        return 0;
    if (mhd.get_timeout(s->daemon, &mhd_ms) != MHD_YES)
        return late_ms;
    return late_ms >= 0 && (unsigned)late_ms < mhd_ms ? late_ms
           : mhd_ms < SERVER_VISIT_MS                 ? (int)mhd_ms
                                                      : SERVER_VISIT_MS;
}

static void *run(void *server)
{
    struct server *s = server;
    const union MHD_DaemonInfo *info = mhd.get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    struct pollfd fds[] = {{.fd = info->listen_fd, .events = POLLIN}, {.fd = s->told_fd, .events = POLLIN}};
    while (!atomic_load(&s->ending)) {
        uint64_t count = 0;
        s->resumed = false;
        mhd.run(s->daemon);
        take_report(s);
        const int64_t now_ms = clock_mono_ms();
        int late_ms = end_late(s, now_ms);
        forget_old(s, late_ms >= 0, now_ms);
        if (late_ms < 0 && s->report)
            late_ms = SERVER_FRESH_MS;
        poll(fds, 2, wait_ms_of(s, late_ms));
        ssize_t n = read(s->told_fd, &count, sizeof count);
        (void)n; /* no report came */
    }
    for (size_t i = 0; i < SERVER_VISITS_MAX; i++) /* the library wants none suspended */
        if (s->visits[i].connection && s->visits[i].waits)
            resume(s, &s->visits[i]);
    forget_answers(s);
    mhd.stop_daemon(s->daemon);
    return NULL;
}

/* ---- start and end */

/* The library closes the descriptor that it gets. */
static int start_library(struct server *s, struct err *e)
{
    int fd = fcntl(s->listener.fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return err_sys(e, errno, "copy a descriptor");
    s->daemon = mhd.start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, take_request, s, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_CONNECTION_LIMIT, SERVER_VISITS_MAX, MHD_OPTION_CONNECTION_TIMEOUT, SERVER_VISIT_MS / 1000,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)SERVER_HEADERS_MAX, MHD_OPTION_NOTIFY_CONNECTION, note_connection,
        s, MHD_OPTION_UNESCAPE_CALLBACK, leave_escapes, s, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
    if (s->daemon)
        return 0;
    io_close(&fd);
    return err_set(e, ERR_IO, 0, "libmicrohttpd does not start");
}

/* The thread takes no signal: those of the process are for the main thread, and SIGPIPE is not wanted. */
static int start_thread(struct server *s, struct err *e)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int sys = pthread_create(&s->thread, &attributes, run, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return sys ? err_sys(e, sys, "start a thread") : 0;
}

static void release(struct server *s)
{
    struct report *r = atomic_exchange(&s->box, NULL);
    report_free(r);
    report_free(s->report);
    io_close(&s->wish_fd);
    io_close(&s->told_fd);
    listener_close(&s->listener);
    free(s);
}

int server_start(const struct listen_place *place, struct server **ret_server, struct err *e)
{
    if (mhd_load(e))
        return -1;
    struct server *s = calloc(1, sizeof *s);
    if (!s)
        return err_nomem(e, sizeof *s);
    s->place = *place;
    s->listener = LISTENER_NONE;
    s->wish_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    s->told_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    int rc = s->wish_fd < 0 || s->told_fd < 0 ? err_sys(e, errno, "eventfd") : 0;
    if (rc == 0)
        rc = page_policy(s->policy, e) || listener_open(place, &s->listener, e) || start_library(s, e) ? -1 : 0;
    if (rc == 0 && start_thread(s, e)) {
        mhd.stop_daemon(s->daemon);
        rc = -1;
    }
    if (rc) {
        release(s);
        return -1;
    }
    *ret_server = s;
    return 0;
}

int server_fd(const struct server *s)
{
    return s->wish_fd;
}

unsigned server_take_wish(struct server *s)
{
    return atomic_load(&s->wish) ? atomic_exchange(&s->wish, 0) : 0;
}

static void tell(const struct server *s)
{
    const uint64_t one = 1;
    ssize_t n = write(s->told_fd, &one, sizeof one);
    (void)n; /* if the counter is full, it is readable */
}

void server_publish(struct server *s, struct report *taken)
{
    struct report *before = atomic_exchange(&s->box, taken);
    report_free(before);
    tell(s);
}

bool server_is_at_its_place(const struct server *s)
{
    return s->listener.unix_socket.fd < 0 || socket_is_at_its_path(&s->listener.unix_socket);
}

void server_stop(struct server *s)
{
    if (!s)
        return;
    atomic_store(&s->ending, true);
    tell(s);
    pthread_join(s->thread, NULL);
    release(s);
}
