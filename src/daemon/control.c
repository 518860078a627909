/* daemon/control.c */
#include "daemon/control.h"

#include "base/clock.h"
#include "daemon/control_place.h"
#include "daemon/status.h"
#include "daemon/sync.h"

#include <string.h>

struct session {
    bool detaches; /* waits until the database is closed; otherwise it waits for a sync */
    struct sync_wait sync;
};

static void answer_state(struct connection *k, const char *state, int64_t now_ms)
{
    struct json *j = json_object_new();
    json_set_text(j, "state", state);
    connection_answer(k, j, now_ms);
}

static void begin_detach(struct control *c, struct connection *k)
{
    struct session *s = connection_session(k);
    s->detaches = true;
    connection_wait(k);
    database_detach(c->db);
}

static void attach(struct control *c, struct connection *k, int64_t now_ms)
{
    database_attach(c->db);
    answer_state(k, "attached", now_ms);
}

static void begin_sync(struct control *c, struct connection *k, enum sync_what what, int64_t now_ms)
{
    struct session *s = connection_session(k);
    if (c->db->detached) {
        connection_answer_error(
            k, "the database is detached: nothing is replicated" TEXT_HINT "'seawall attach' takes it up again",
            now_ms);
        return;
    }
    if (connections_waiting(&c->connections) >= CONTROL_SYNCS_MAX) {
        connection_answer_error(k, "too many clients wait for a sync already", now_ms);
        return;
    }
    s->detaches = false;
    connection_wait(k);
    sync_begin(c->db, &s->sync, what, now_ms);
}

static void take_request(void *context, struct connection *k, const char *line, size_t n, int64_t now_ms)
{
    struct control *c = context;
    struct json *j = NULL;
    struct err e;
    const char *command = json_parse(line, n, &j, &e) ? NULL : json_get_text(j, "command");
    if (command && strcmp(command, "status") == 0)
        connection_answer(k, status_of(c->db, c->verification), now_ms);
    else if (command && strcmp(command, "sync") == 0)
        begin_sync(c, k, SYNC_COMMITS, now_ms);
    else if (command && strcmp(command, "base") == 0)
        begin_sync(c, k, SYNC_BASE, now_ms);
    else if (command && strcmp(command, "detach") == 0)
        begin_detach(c, k);
    else if (command && strcmp(command, "attach") == 0)
        attach(c, k, now_ms);
    else
        connection_answer_error(k, j ? "unknown command" : e.msg, now_ms);
    json_free(j);
}

static void look_at_session(void *context, struct connection *k, int64_t now_ms)
{
    struct control *c = context;
    struct session *s = connection_session(k);
    struct sync_wait *wait = &s->sync;
    if (s->detaches) {
        if (database_is_closed(c->db))
            answer_state(k, "detached", now_ms);
        return;
    }
    enum sync_state state = sync_look(c->db, wait, now_ms);
    if (state == SYNC_WAITING)
        return;
    struct json *j = json_object_new();
    json_set_text(j, "state", state == SYNC_CONFLICT ? "conflict" : "durable");
    json_set_number(j, "txid", (int64_t)wait->txid);
    connection_answer(k, j, now_ms);
}

int control_start(struct control *c, struct database *db, const struct verification *verification, struct err *e)
{
    static const struct connection_service service = {
        .request = take_request, .look = look_at_session, .session_bytes = sizeof(struct session)};
    struct socket_listener listener = SOCKET_LISTENER_NONE;
    *c = (struct control){.db = db, .verification = verification, .connections = CONNECTIONS_NONE};
    if (control_place_listen(db->path, db->config->control, &listener, e))
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

void control_stop(struct control *c)
{
    connections_close(&c->connections, "the daemon ended before everything was durable", clock_mono_ms());
}
