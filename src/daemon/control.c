/* daemon/control.c */
#include "daemon/control.h"

#include "base/clock.h"
#include "daemon/control_place.h"
#include "daemon/status.h"
#include "daemon/sync.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_BYTES (CONNECTION_ANSWER_MAX / 2) /* of a list, from which on it gets no further database */

#define ENDED "the daemon ended before everything was durable"

struct session {
    struct member *member;
    unsigned removals; /* of the fleet, when the member was one */
    bool detaches;     /* waits until the database is closed; otherwise it waits for a sync */
    struct sync_wait sync;
};

static void answer_state(struct connection *k, const char *state, int64_t now_ms)
{
    struct json *j = json_object_new();
    json_set_text(j, "state", state);
    connection_answer(k, j, now_ms);
}

static void answer_closed(struct connection *k, const struct member *m, int64_t now_ms)
{
    char text[ERR_MSG_MAX + 64];
    snprintf(text, sizeof text, "nothing is replicated: %s", m->error ? m->error->msg : "the database is not open yet");
    connection_answer_error(k, m->stopping && !m->error ? ENDED : text, now_ms);
}

/* The status of all databases from number `at` on, as many as fit into an answer. */
static void answer_list(struct control *c, struct connection *k, int64_t at, int64_t now_ms)
{
    struct json *j = json_object_new(), *list = json_list_new();
    const size_t count = c->fleet->count;
    size_t i = at > 0 && (uint64_t)at < count ? (size_t)at : at > 0 ? count : 0, bytes = 0;
    for (; i < count && bytes < PAGE_BYTES; i++) {
        struct json *one = status_of_member(c->fleet->list[i]);
        char *text = json_print_line(one);
        bytes += text ? strlen(text) : 0;
        free(text);
        json_push(list, one);
    }
    json_set(j, "databases", list);
    if (i < count)
        json_set_number(j, "next", (int64_t)i);
    connection_answer(k, j, now_ms);
}

static void begin_detach(struct connection *k, struct member *m, unsigned removals)
{
    struct session *s = connection_session(k);
    *s = (struct session){.member = m, .removals = removals, .detaches = true};
    connection_wait(k);
    database_detach(&m->awake->db);
}

static void begin_sync(struct control *c, struct connection *k, struct member *m, enum sync_what what, int64_t now_ms)
{
    struct session *s = connection_session(k);
    struct database *db = &m->awake->db;
    if (db->detached) {
        connection_answer_error(
            k, "the database is detached: nothing is replicated" TEXT_HINT "'seawall attach' takes it up again",
            now_ms);
        return;
    }
    if (connections_waiting(&c->connections) >= CONTROL_SYNCS_MAX) {
        connection_answer_error(k, "too many clients wait for a sync already", now_ms);
        return;
    }
    *s = (struct session){.member = m, .removals = c->fleet->removals};
    connection_wait(k);
    sync_begin(db, &s->sync, what, now_ms);
}

/* A command for one database that is awake. */
static void take_command(struct control *c, struct connection *k, struct member *m, const char *command, int64_t now_ms)
{
    if (strcmp(command, "sync") == 0) {
        begin_sync(c, k, m, SYNC_COMMITS, now_ms);
    } else if (strcmp(command, "base") == 0) {
        begin_sync(c, k, m, SYNC_BASE, now_ms);
    } else if (strcmp(command, "detach") == 0) {
        begin_detach(k, m, c->fleet->removals);
    } else if (strcmp(command, "attach") == 0) {
        database_attach(&m->awake->db);
        answer_state(k, "attached", now_ms);
    } else {
        connection_answer_error(k, "unknown command", now_ms);
    }
    fleet_wake(c->fleet, m);
}

static void take_parsed(struct control *c, struct connection *k, const struct json *j, int64_t now_ms)
{
    const char *command = json_get_text(j, "command"), *path = json_get_text(j, "database");
    struct member *m = fleet_find(c->fleet, path);
    const bool status = command && strcmp(command, "status") == 0;
    int64_t from = 0;
    if (!command)
        connection_answer_error(k, "unknown command", now_ms);
    else if (status && !m && !path)
        answer_list(c, k, json_get_number(j, "from", &from) ? from : 0, now_ms);
    else if (!m)
        connection_answer_error(k, path ? "the daemon does not have this database" : "which database?", now_ms);
    else if (status)
        connection_answer(k, status_of_member(m), now_ms);
    else if (!member_is_open(m))
        answer_closed(k, m, now_ms);
    else
        take_command(c, k, m, command, now_ms);
}

static void take_request(void *context, struct connection *k, const char *line, size_t n, int64_t now_ms)
{
    struct json *j = NULL;
    struct err e;
    if (json_parse(line, n, &j, &e))
        connection_answer_error(k, e.msg, now_ms);
    else
        take_parsed(context, k, j, now_ms);
    json_free(j);
}

static void look_at_session(void *context, struct connection *k, int64_t now_ms)
{
    struct control *c = context;
    struct session *s = connection_session(k);
    struct member *m = s->member;
    if (s->removals != c->fleet->removals && !fleet_holds(c->fleet, m)) {
        connection_answer_error(k, "the database is not replicated any more", now_ms);
        return;
    }
    s->removals = c->fleet->removals;
    if (!member_is_open(m)) { /* it failed meanwhile */
        answer_closed(k, m, now_ms);
        return;
    }
    if (s->detaches) {
        if (database_is_closed(&m->awake->db))
            answer_state(k, "detached", now_ms);
        return;
    }
    enum sync_state state = sync_look(&m->awake->db, &s->sync, now_ms);
    fleet_wake(c->fleet, m); /* a job that was asked for has to start */
    if (state == SYNC_WAITING)
        return;
    struct json *j = json_object_new();
    json_set_text(j, "state", state == SYNC_CONFLICT ? "conflict" : "durable");
    json_set_number(j, "txid", (int64_t)s->sync.txid);
    const struct lanes *all = &m->awake->db.lanes;
    for (size_t i = all->count; state == SYNC_CONFLICT && i-- > 0;)
        if (all->list[i].seen.state == DESTINATION_CONFLICT && all->list[i].conflict.msg[0])
            json_set_text(j, "conflict", all->list[i].conflict.msg);
    connection_answer(k, j, now_ms);
}

int control_start(struct control *c, struct fleet *fleet, const char *of, const char *folder, struct err *e)
{
    static const struct connection_service service = {
        .request = take_request, .look = look_at_session, .session_bytes = sizeof(struct session)};
    struct socket_listener listener = SOCKET_LISTENER_NONE;
    *c = (struct control){.fleet = fleet, .connections = CONNECTIONS_NONE};
    if (control_place_listen(of, folder, &listener, e))
        return -1;
    return connections_open(&c->connections, &listener, &service, c, e);
}

bool control_is_at_its_place(const struct control *c)
{
    return socket_is_at_its_path(&c->connections.listener);
}

void control_run(struct control *c, int64_t now_ms)
{
    connections_run(&c->connections, now_ms);
}

void control_leave(struct control *c)
{
    connections_close(&c->connections, "the daemon started over before everything was durable; ask it again",
                      clock_mono_ms());
}

void control_stop(struct control *c)
{
    connections_close(&c->connections, ENDED, clock_mono_ms());
}
