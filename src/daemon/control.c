/* daemon/control.c */
#include "daemon/control.h"

#include "base/clock.h"
#include "control/place.h"
#include "daemon/status.h"
#include "daemon/sync.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_BYTES (CONNECTION_ANSWER_MAX / 2) /* of a list, from which on it gets no further database */

#define ENDED "the daemon ended before everything was durable"

struct session {
    struct member *member;
    uint64_t number;   /* of the member */
    unsigned removals; /* of the fleet, when the member was one */
    enum { AWAITS_SYNC, AWAITS_DETACHED, AWAITS_REMOVED } awaits;
    struct sync_wait sync;
    enum sync_what what;
    bool of_file; /* only commits of this file count: */
    int64_t device, inode;
    bool elsewhere; /* another file was followed when it was last looked */
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
    *s = (struct session){.member = m, .number = m->number, .removals = removals, .awaits = AWAITS_DETACHED};
    connection_wait(k);
    database_detach(&m->awake->db);
}

/* A client that has another file open than the one that is followed waits until that changes. Then what it committed before
 * has to be captured from there. */
static bool follows_its_file(struct session *s, const struct awake *a, int64_t now_ms)
{
    const struct alarm_user *u = &a->alarms;
    if (!s->of_file)
        return true;
    if ((int64_t)u->device != s->device || (int64_t)u->inode != s->inode) {
        s->elsewhere = true;
        return false;
    }
    if (s->elsewhere)
        sync_begin(&s->member->awake->db, &s->sync, s->what, now_ms);
    s->elsewhere = false;
    return true;
}

/* `j`: the request; it can name the file that the client has open. */
static void begin_sync(struct control *c, struct connection *k, struct member *m, enum sync_what what,
                       const struct json *j, int64_t now_ms)
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
    *s = (struct session){.member = m, .number = m->number, .removals = c->fleet->removals, .what = what};
    s->of_file = json_get_number(j, "device", &s->device) && json_get_number(j, "inode", &s->inode);
    connection_wait(k);
    sync_begin(db, &s->sync, what, now_ms);
}

static void answer_reload(struct control *c, struct connection *k, int64_t now_ms)
{
    struct err e;
    if (!c->reload)
        connection_answer_error(k, "the daemon runs without a configuration file", now_ms);
    else if (c->reload(c->context, &e))
        connection_answer_error(k, e.msg, now_ms);
    else
        answer_state(k, "reloaded", now_ms);
}

static void answer_add(struct control *c, struct connection *k, const struct json *j, int64_t now_ms)
{
    const struct json *replicas = json_get(j, "replicas");
    struct one_database wanted = {.path = json_get_text(j, "database")};
    struct err e = {.code = ERR_NONE};
    int rc = 0;
    if (!c->add)
        rc = err_set(&e, ERR_CONFIG, 0, "the daemon has only one database");
    else if (!wanted.path || wanted.path[0] != '/' || json_count(replicas) > CONFIG_DB_REPLICAS_MAX)
        rc =
            err_set(&e, ERR_CONFIG, 0, "a database has an absolute path and up to %d replicas", CONFIG_DB_REPLICAS_MAX);
    for (size_t i = 0; rc == 0 && i < json_count(replicas); i++) {
        const char *url = json_get_text(json_at(replicas, i), "url");
        if (!url)
            rc = err_set(&e, ERR_CONFIG, 0, "a replica has a url");
        else
            wanted.urls[wanted.url_count++] = url;
    }
    if (rc == 0)
        rc = c->add(c->context, &wanted, &e);
    if (rc == 0)
        answer_state(k, "added", now_ms);
    else
        connection_answer_error(k, e.msg, now_ms);
}

/* Also a database that sleeps, or that is in trouble. */
static void begin_remove(struct control *c, struct connection *k, struct member *m, int64_t now_ms)
{
    struct session *s = connection_session(k);
    struct err e = {.code = ERR_NONE};
    if (c->fleet->shared.alone) {
        connection_answer_error(k, "the daemon has only one database" TEXT_HINT "stop the daemon", now_ms);
        return;
    }
    if (connections_waiting(&c->connections) >= CONTROL_SYNCS_MAX) {
        connection_answer_error(k, "too many clients wait for a sync already", now_ms);
        return;
    }
    if (!m->removed && fleet_remove(c->fleet, m, &e)) {
        connection_answer_error(k, e.msg, now_ms);
        return;
    }
    *s = (struct session){.member = m, .number = m->number, .removals = c->fleet->removals, .awaits = AWAITS_REMOVED};
    connection_wait(k);
}

/* A database that is let go of. */
static void look_at_removal(struct connection *k, const struct member *m, int64_t now_ms)
{
    char text[ERR_MSG_MAX + 64];
    if (!m->ended || !m->error)
        return;
    snprintf(text, sizeof text, "it is removed, but not everything is durable: %s", m->error->msg);
    connection_answer_error(k, text, now_ms);
}

/* A command for one database that is awake. */
static void take_command(struct control *c, struct connection *k, struct member *m, const struct json *j,
                         int64_t now_ms)
{
    static const struct {
        const char *command;
        enum sync_what what;
    } syncs[] = {{"sync", SYNC_COMMITS}, {"base", SYNC_BASE}, {"wait", SYNC_PUT}, {"wait any", SYNC_ANY}};
    const char *command = json_get_text(j, "command");
    size_t i = 0;
    while (i < sizeof syncs / sizeof syncs[0] && strcmp(command, syncs[i].command) != 0)
        i++;
    if (i < sizeof syncs / sizeof syncs[0]) {
        begin_sync(c, k, m, syncs[i].what, j, now_ms);
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
    struct err e;
    if (!command)
        connection_answer_error(k, "unknown command", now_ms);
    else if (strcmp(command, "reload") == 0)
        answer_reload(c, k, now_ms);
    else if (strcmp(command, "add") == 0)
        answer_add(c, k, j, now_ms);
    else if (strcmp(command, "look") == 0) {
        fleet_wake_written(c->fleet, now_ms);
        answer_state(k, "looked", now_ms);
    } else if (status && !m && !path)
        answer_list(c, k, json_get_number(j, "from", &from) ? from : 0, now_ms);
    else if (!m)
        connection_answer_error(k, path ? CONTROL_UNKNOWN : "which database?", now_ms);
    else if (status)
        connection_answer(k, status_of_member(m), now_ms);
    else if (strcmp(command, "remove") == 0)
        begin_remove(c, k, m, now_ms);
    else if (member_wake(m, now_ms, &e) || !member_is_open(m))
        answer_closed(k, m, now_ms);
    else
        take_command(c, k, m, j, now_ms);
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
    if (s->removals != c->fleet->removals && !fleet_holds(c->fleet, m, s->number)) {
        if (s->awaits == AWAITS_REMOVED)
            answer_state(k, "removed", now_ms);
        else
            connection_answer_error(k, "the database is not replicated any more", now_ms);
        return;
    }
    s->removals = c->fleet->removals;
    if (s->awaits == AWAITS_REMOVED) {
        look_at_removal(k, m, now_ms);
        return;
    }
    if (!member_is_open(m)) { /* it failed meanwhile */
        answer_closed(k, m, now_ms);
        return;
    }
    if (s->awaits == AWAITS_DETACHED) {
        if (database_is_closed(&m->awake->db))
            answer_state(k, "detached", now_ms);
        return;
    }
    if (!follows_its_file(s, m->awake, now_ms))
        return;
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
