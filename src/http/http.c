/* http/http.c - the I/O thread: its queue, the calls that run, and the callers that wait for them. */
#include "http/http.h"

#include "base/container.h"
#include "base/thread.h"
#include "http/call.h"
#include "http/curl.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_KEPT 64
#define EASIES_KEPT 8
#define BUSY_POLL_MS 1000
#define IDLE_POLL_MS 3600000
#define CANCEL_LOOK_MS 100

/* A call on its way. Lives on the stack of the thread that waits for it. */
struct order {
    struct http_call call;
    bool canceled;      /* set by the waiting thread; guarded by the lock */
    bool done;          /* set by the I/O thread; guarded by the lock */
    struct order *next; /* in the queue, later among the running */
};

struct http {
    pid_t process;        /* that started the thread */
    CURLM *multi;         /* of the I/O thread alone, except for multi_wakeup */
    pthread_t thread;     /* the I/O thread */
    pthread_mutex_t lock; /* guards queue, stopping, and the flags of each order */
    pthread_cond_t changed;
    struct order *queue; /* not yet seen by the I/O thread */
    bool stopping;
    struct order *running; /* this and the rest: of the I/O thread alone */
    CURL *idle[EASIES_KEPT];
    unsigned idle_count;
};

/* ---- the I/O thread */

static void finish(struct http *h, struct order *o, CURLcode code)
{
    CURL *easy = o->call.easy;
    http_call_end(&o->call, code);
    if (easy) {
        libcurl.multi_remove_handle(h->multi, easy);
        if (h->idle_count < EASIES_KEPT) {
            libcurl.easy_reset(easy);
            h->idle[h->idle_count++] = easy;
        } else {
            libcurl.easy_cleanup(easy);
        }
    }
    pthread_mutex_lock(&h->lock);
    o->done = true; /* from here on the order can vanish with the stack of its thread */
    pthread_cond_broadcast(&h->changed);
    pthread_mutex_unlock(&h->lock);
}

static void begin(struct http *h, struct order *o)
{
    CURL *easy = h->idle_count ? h->idle[--h->idle_count] : libcurl.easy_init();
    if (!easy || !http_call_begin(&o->call, easy) || libcurl.multi_add_handle(h->multi, easy) != CURLM_OK) {
        finish(h, o, CURLE_OUT_OF_MEMORY);
        return;
    }
    o->next = h->running;
    h->running = o;
}

static void end(struct http *h, struct order *o, CURLcode code)
{
    for (struct order **p = &h->running; *p; p = &(*p)->next)
        if (*p == o) {
            *p = o->next;
            break;
        }
    finish(h, o, code);
}

/* Begins new calls and ends canceled ones. False: the thread must stop, and no call runs. */
static bool take_orders(struct http *h)
{
    pthread_mutex_lock(&h->lock);
    struct order *o = h->queue;
    bool stopping = h->stopping;
    h->queue = NULL;
    pthread_mutex_unlock(&h->lock);
    while (o) {
        struct order *next = o->next;
        begin(h, o);
        o = next;
    }
    for (o = h->running; o;) {
        struct order *next = o->next;
        pthread_mutex_lock(&h->lock);
        bool canceled = o->canceled;
        pthread_mutex_unlock(&h->lock);
        if (canceled)
            end(h, o, CURLE_ABORTED_BY_CALLBACK);
        o = next;
    }
    return !stopping || h->running;
}

static void *io_thread(void *arg)
{
    struct http *h = arg;
    while (take_orders(h)) {
        int left = 0;
        libcurl.multi_perform(h->multi, &left);
        for (CURLMsg *m; (m = libcurl.multi_info_read(h->multi, &left));) {
            struct http_call *c = NULL;
            if (m->msg != CURLMSG_DONE)
                continue;
            CURLcode code = m->data.result;
            libcurl.easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&c);
            end(h, CONTAINER_OF(c, struct order, call), code);
        }
        libcurl.multi_poll(h->multi, NULL, 0, h->running ? BUSY_POLL_MS : IDLE_POLL_MS, NULL);
    }
    return NULL;
}

/* ---- the thread that waits */

/* Returns when the I/O thread has ended the call. A call that is canceled ends at once. */
static void wait_for(struct http *h, struct order *o)
{
    const atomic_bool *cancel = o->call.request->cancel;
    pthread_mutex_lock(&h->lock);
    while (!o->done) {
        if (!cancel || o->canceled) {
            pthread_cond_wait(&h->changed, &h->lock);
            continue;
        }
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += CANCEL_LOOK_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&h->changed, &h->lock, &until);
        if (!o->done && atomic_load(cancel)) {
            o->canceled = true;
            libcurl.multi_wakeup(h->multi);
        }
    }
    pthread_mutex_unlock(&h->lock);
}

int http_request(struct http *h, const struct http_request *request, struct http_response *r, struct err *e)
{
    struct order o = {.call = {.request = request, .response = r}};
    assert(request->method && request->url && (request->body || request->body_len == 0));
    assert(!r->body.data && !r->headers.data); /* zeroed */
    if (getpid() != h->process)
        return err_set(e, ERR_IO, 0, "HTTP request in a forked process: the I/O thread is in the parent process");
    r->body = BUF_INIT(request->body_max);
    r->headers = BUF_INIT(HTTP_RESPONSE_HEADERS);
    pthread_mutex_lock(&h->lock);
    o.next = h->queue;
    h->queue = &o;
    pthread_mutex_unlock(&h->lock);
    libcurl.multi_wakeup(h->multi);
    wait_for(h, &o);
    return http_call_verdict(&o.call, e);
}

/* ---- life */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t shared_lock = PTHREAD_MUTEX_INITIALIZER; /* guards the two below */
static struct http *shared;                                     /* NULL: not running */
static unsigned users;

/* In a forked child: the thread is in the parent, and another thread may have held the lock. The memory is given up. */
static void forget_parent(void)
{
    pthread_mutex_init(&shared_lock, NULL);
    shared = NULL;
    users = 0;
}

static void watch_forks(void)
{
    int rc = pthread_atfork(NULL, NULL, forget_parent);
    (void)rc; /* without memory for it, each request of a child fails */
}

static int start(struct http **ret_http, struct err *e)
{
    struct http *h = calloc(1, sizeof *h);
    pthread_condattr_t attributes;
    if (!h)
        return err_nomem(e, sizeof *h);
    if (curl_load(e)) {
        free(h);
        return -1;
    }
    h->process = getpid();
    h->multi = libcurl.multi_init();
    if (!h->multi) {
        free(h);
        return err_nomem(e, sizeof *h);
    }
    libcurl.multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_KEPT);
    pthread_mutex_init(&h->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&h->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    int rc = thread_start(&h->thread, io_thread, h);
    if (rc) {
        libcurl.multi_cleanup(h->multi);
        free(h);
        return err_sys(e, rc, "start a thread");
    }
    *ret_http = h;
    return 0;
}

static void stop(struct http *h)
{
    pthread_mutex_lock(&h->lock);
    h->stopping = true;
    pthread_mutex_unlock(&h->lock);
    libcurl.multi_wakeup(h->multi);
    pthread_join(h->thread, NULL);
    for (unsigned i = 0; i < h->idle_count; i++)
        libcurl.easy_cleanup(h->idle[i]);
    libcurl.multi_cleanup(h->multi);
    pthread_cond_destroy(&h->changed);
    pthread_mutex_destroy(&h->lock);
    free(h);
}

int http_acquire(struct http **ret_http, struct err *e)
{
    pthread_once(&once, watch_forks);
    pthread_mutex_lock(&shared_lock);
    int rc = shared ? 0 : start(&shared, e);
    if (rc == 0) {
        users++;
        *ret_http = shared;
    }
    pthread_mutex_unlock(&shared_lock);
    return rc;
}

void http_release(struct http *h)
{
    if (!h || h->process != getpid())
        return;
    pthread_mutex_lock(&shared_lock);
    assert(h == shared && users > 0);
    if (--users == 0) {
        stop(shared);
        shared = NULL;
    }
    pthread_mutex_unlock(&shared_lock);
}
