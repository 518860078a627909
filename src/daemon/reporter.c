/* daemon/reporter.c */
#include "daemon/reporter.h"

#include "base/clock.h"
#include "base/log.h"
#include "daemon/status.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define LOOK_MS 1000     /* whether a Unix socket is still where clients look for it */
#define RETRY_MS 10000   /* after the place could not be opened */
#define SAMPLE_MS 5000   /* between two looks at the lag */
#define SLICE_MS 2       /* of one turn for a report; at least one database */
#define SHARE 20         /* a report begins only when so many times as long has passed as the last one took */
#define REST_MS_MAX 2000 /* but a client waits for SERVER_PATIENCE_MS at most */
#define TRIM_MS 5000     /* after a document of all databases: clients may still take it */
#define IDLE_MS 60000

/* ---- the place */

static void close_server(struct reporter *r)
{
    server_stop(r->server); /* its descriptors leave the epoll set when they are closed */
    r->server = NULL;
    r->wish = 0;
}

static int open_server(struct reporter *r, struct err *e)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    if (server_start(&r->place, &r->server, e))
        return -1;
    event.data.fd = server_fd(r->server);
    if (epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, event.data.fd, &event) == 0)
        return 0;
    err_sys(e, errno, "epoll_ctl");
    close_server(r);
    return -1;
}

/* Opens what is not open. A page that can't be served must not stop the replication. */
static void keep_open(struct reporter *r, int64_t now_ms)
{
    char shown[LISTEN_SHOWN_MAX];
    struct err e;
    if (!r->listen || r->fleet->stopping || now_ms < r->look_at_ms)
        return;
    r->look_at_ms = now_ms + LOOK_MS;
    if (r->server && !server_is_at_its_place(r->server))
        close_server(r);
    if (r->server)
        return;
    listen_show(&r->place, shown);
    if (open_server(r, &e) == 0) {
        complaint_is_over(&r->complaint);
        log_info("the status page is at %s", shown);
        if (!r->place.path[0] && !r->place.loopback)
            log_warn("the status page is served to the network: who reaches it sees paths and URLs of all databases");
        return;
    }
    r->look_at_ms = now_ms + RETRY_MS;
    if (complaint_text_is_news(&r->complaint, &e)) {
        err_wrap(&e, "listen = %s: the status page is not served, and is tried again; the replication goes on",
                 r->listen);
        log_error("%s", e.msg);
    }
}

/* ---- the lag */

static void note_lag(struct reporter *r, int64_t now_ms)
{
    int64_t lag_ms = 0;
    uint64_t bytes = 0;
    if (!r->server || now_ms < r->sample_at_ms)
        return;
    r->sample_at_ms = now_ms + SAMPLE_MS;
    const int64_t wall_ms = clock_wall_ms();
    for (size_t i = 0; i < r->fleet->count; i++) {
        const struct member *m = r->fleet->list[i];
        if (!member_is_open(m))
            continue;
        int64_t of_ms = 0;
        bytes += status_lag(&m->awake->db, wall_ms, &of_ms);
        lag_ms = of_ms > lag_ms ? of_ms : lag_ms;
    }
    samples_note(&r->samples, clock_boot_ms(), lag_ms, bytes);
}

/* ---- a report */

static void drop(struct making *k)
{
    if (k->all)
        fclose(k->all);
    report_free(k->report);
    worst_release(&k->worst);
    *k = (struct making){.report = NULL};
}

static int begin(struct reporter *r, struct making *k, unsigned wish)
{
    *k = (struct making){.wish = wish, .count = r->fleet->count, .removals = r->fleet->removals};
    k->report = calloc(1, sizeof *k->report);
    if (!k->report)
        return -1;
    k->report->sleepers = json_list_new();
    if (!(wish & WISH_ALL))
        return 0;
    k->all = open_memstream(&k->report->all, &k->report->all_bytes);
    if (!k->all)
        return -1;
    text_put(k->all, "{\"databases\":[");
    return 0;
}

static void print_one(struct making *k, const struct json *document)
{
    char *line = json_print_line(document);
    if (!line)
        return;
    text_put(k->all, k->next > 0 ? ",\n" : "\n");
    line[strlen(line) - 1] = 0; /* its line break */
    text_put(k->all, line);
    free(line);
}

/* Of a database that sleeps only a few documents are made: the page shows no more. */
static void take_member(struct making *k, const struct member *m)
{
    struct report *r = k->report;
    const bool asleep = member_is_asleep(m);
    struct json *document = NULL;
    if (!asleep || k->all || json_count(r->sleepers) < REPORT_SLEEPERS_MAX) {
        document = status_of_member(m);
        json_set_flag(document, "running", true);
    }
    if (k->all)
        print_one(k, document);
    if (!asleep) {
        summary_add(&r->summary, document);
        worst_add(&k->worst, document);
        return;
    }
    uint64_t requests[REQUEST_FIGURES] = {0};
    for (size_t i = 0; m->requests && i < m->config->url_count * REQUEST_FIGURES; i++)
        requests[i % REQUEST_FIGURES] += m->requests[i];
    summary_add_asleep(&r->summary, m->config->url_count, requests);
    if (document && json_count(r->sleepers) < REPORT_SLEEPERS_MAX)
        json_push(r->sleepers, document);
    else
        json_free(document);
}

/* Databases came or went: what was counted would be counted twice, or not at all. */
static bool is_of_others(const struct reporter *r, const struct making *k)
{
    return k->count != r->fleet->count || k->removals != r->fleet->removals;
}

static void complete(struct reporter *r, struct making *k, int64_t now_ms)
{
    struct report *report = k->report;
    if (k->all) {
        text_put(k->all, "\n]}\n");
        const bool failed = ferror(k->all) != 0;
        if (fclose(k->all) != 0 || failed) {
            free(report->all);
            report->all = NULL;
        }
        k->all = NULL;
    }
    report->left_out = k->worst.left_out;
    report->databases = worst_take(&k->worst);
    report->boot_ms = clock_boot_ms();
    samples_note(&r->samples, report->boot_ms, report->summary.lag_ms, report->summary.lag_bytes);
    report->samples = r->samples;
    report->wall_ms = clock_wall_ms();
    report->started_ms = r->started_ms;
    k->report = NULL;
    r->wish &= ~k->wish;
    if (k->wish & WISH_ALL && k->count > WORST_MAX)
        r->trim_at_ms = now_ms + TRIM_MS;
    const int64_t rest_ms = SHARE * k->spent_ms;
    r->rest_ms = now_ms + (rest_ms < REST_MS_MAX ? rest_ms : REST_MS_MAX);
    server_publish(r->server, report);
}

/* A document of many databases takes megabytes, which nothing else needs. */
static void give_back(struct reporter *r, int64_t now_ms)
{
    if (r->trim_at_ms == 0 || now_ms < r->trim_at_ms)
        return;
    r->trim_at_ms = 0;
    malloc_trim(0);
}

/* Makes a slice of a report. Returns in how many ms the next slice is due. */
static int go_on(struct reporter *r, int64_t now_ms)
{
    struct making *k = &r->making;
    const int64_t begun_ms = clock_mono_ms();
    if (k->report && is_of_others(r, k))
        drop(k);
    if (!k->report && now_ms < r->rest_ms)
        return (int)(r->rest_ms - now_ms);
    if (!k->report && begin(r, k, r->wish)) {
        drop(k); /* out of memory: the client hears that the daemon does not answer */
        r->wish = 0;
        return IDLE_MS;
    }
    for (; k->next < k->count && clock_mono_ms() - begun_ms < SLICE_MS; k->next++)
        take_member(k, r->fleet->list[k->next]);
    k->spent_ms += clock_mono_ms() - begun_ms;
    if (k->next < k->count)
        return 0;
    complete(r, k, now_ms);
    drop(k);
    return r->wish ? 0 : IDLE_MS;
}

/* ---- for the loop */

void reporter_init(struct reporter *r, struct fleet *fleet, int epoll_fd)
{
    *r = (struct reporter){.fleet = fleet, .epoll_fd = epoll_fd, .started_ms = clock_wall_ms()};
}

void reporter_set(struct reporter *r, const char *listen)
{
    struct listen_place place;
    struct err e;
    const bool none = !listen || listen_parse(listen, &place, &e) != 0;
    if (r->listen && !none && listen_equal(&place, &r->place))
        return;
    if (r->listen)
        log_info("the status page is not served at '%s' any more", r->listen);
    close_server(r);
    drop(&r->making);
    free(r->listen);
    r->listen = none ? NULL : strdup(listen);
    r->look_at_ms = 0;
    complaint_is_over(&r->complaint);
    if (!none)
        r->place = place;
}

int reporter_run(struct reporter *r, int64_t now_ms)
{
    keep_open(r, now_ms);
    note_lag(r, now_ms);
    give_back(r, now_ms);
    if (!r->server)
        return r->listen ? RETRY_MS : IDLE_MS;
    r->wish |= server_take_wish(r->server);
    return r->wish ? go_on(r, now_ms) : IDLE_MS;
}

void reporter_release(struct reporter *r)
{
    close_server(r);
    drop(&r->making);
    free(r->listen);
    r->listen = NULL;
}
