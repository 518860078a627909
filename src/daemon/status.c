/* daemon/status.c */
#include "daemon/status.h"

#include "base/clock.h"
#include "base/hash.h"
#include "daemon/condition.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static void set_moment(struct json *j, const char *key, int64_t ms)
{
    char text[CLOCK_TEXT_MAX];
    if (ms <= 0) {
        json_set_null(j, key);
        return;
    }
    clock_format(ms, text);
    json_set_text(j, key, text);
}

static void set_text(struct json *j, const char *key, const char *text)
{
    if (text && *text)
        json_set_text(j, key, text);
    else
        json_set_null(j, key);
}

static const char *state_name(enum local_state at)
{
    static const char *const names[] = {"closed", "unproven", "following", "resting"};
    return names[at];
}

static const char *replica_state_name(enum destination_state seen)
{
    static const char *const names[] = {"detached", "resync", "attached", "conflict"};
    return names[seen];
}

static const char *fencing_name(const struct store *s)
{
    static const char *const names[] = {"unknown", "strong", "weak"};
    return names[s ? atomic_load(&s->fencing) : STORE_FENCING_UNKNOWN];
}

/* `requests`: NULL: they are not counted. */
static void set_requests(struct json *j, const uint64_t *requests)
{
    if (requests)
        json_set(j, "requests", summary_requests_json(requests));
    else
        json_set_null(j, "requests");
}

/* As retention saw it last. */
static void set_points(struct json *j, const struct timeline *t)
{
    if (t->count == 0) {
        json_set_null(j, "restore_points");
        return;
    }
    struct json *p = json_object_new(), *spans = json_list_new();
    set_moment(p, "listed", t->listed_ms);
    set_moment(p, "oldest", t->spans[0].from_ms);
    set_moment(p, "newest", t->spans[t->count - 1].to_ms);
    json_set_number(p, "points", (int64_t)t->points);
    json_set_number(p, "objects", (int64_t)t->objects);
    json_set_number(p, "bytes", (int64_t)t->bytes);
    for (unsigned i = 0; i < t->count; i++) {
        struct json *one = json_object_new();
        set_moment(one, "from", t->spans[i].from_ms);
        set_moment(one, "to", t->spans[i].to_ms);
        json_push(spans, one);
    }
    json_set(p, "spans", spans);
    json_set(j, "restore_points", p);
}

/* Returns how many captured commits are not durable in the replica. */
static uint64_t lag_of(const struct database *db, const struct lane *l, int64_t wall_ms, int64_t *ret_ms,
                       uint64_t *ret_bytes)
{
    const uint64_t durable = lane_restorable_txid(l);
    const bool behind = db->lanes.captured.txid > durable;
    const int64_t since_ms = condition_behind_since_ms(db, l);
    *ret_ms = since_ms > 0 && wall_ms > since_ms ? wall_ms - since_ms : 0;
    *ret_bytes = behind ? lag_bytes(&db->lag, durable) : 0;
    return behind ? db->lanes.captured.txid - durable : 0;
}

uint64_t status_lag(const struct database *db, int64_t wall_ms, int64_t *ret_lag_ms)
{
    uint64_t most = 0, bytes = 0;
    int64_t ms = 0;
    *ret_lag_ms = 0;
    for (size_t i = 0; i < db->lanes.count; i++) {
        lag_of(db, &db->lanes.list[i], wall_ms, &ms, &bytes);
        most = bytes > most ? bytes : most;
        *ret_lag_ms = ms > *ret_lag_ms ? ms : *ret_lag_ms;
    }
    return most;
}

static void set_lag(struct json *j, const struct database *db, const struct lane *l)
{
    int64_t ms = 0;
    uint64_t bytes = 0;
    json_set_number(j, "lag_transactions", (int64_t)lag_of(db, l, clock_wall_ms(), &ms, &bytes));
    json_set_number(j, "lag_ms", ms);
    json_set_number(j, "lag_bytes", (int64_t)bytes);
}

static void set_error(struct json *j, const struct lane *l)
{
    bool conflict = l->seen.state == DESTINATION_CONFLICT;
    set_text(j, "error", conflict ? l->conflict.msg : l->failing_since_ms > 0 ? l->complaint.text : NULL);
    set_moment(j, "error_since", l->failing_since_ms);
    set_text(j, "retention_error", l->prune.complaint.text);
}

/* The other writer of a conflict. */
static void set_conflict(struct json *j, const struct lane *l)
{
    const struct rival *r = &l->rival;
    char writer[2 * UID_BYTES + 1];
    if (l->seen.state != DESTINATION_CONFLICT || r->time_ms == 0) {
        json_set_null(j, "conflict");
        return;
    }
    struct json *c = json_object_new();
    hex_encode(r->writer.bytes, UID_BYTES, writer);
    json_set_text(c, "writer", writer);
    json_set_number(c, "first_txid", (int64_t)r->min);
    json_set_number(c, "last_txid", (int64_t)r->max);
    set_moment(c, "time", r->time_ms);
    set_text(c, "host", r->note.host);
    set_text(c, "path", r->note.path);
    json_set_flag(c, "hashed", r->note.hashed);
    set_moment(c, "since", r->note.since_ms);
    json_set(j, "conflict", c);
}

static void set_verification(struct json *j, const struct verification *all, size_t index)
{
    const struct verification_record *r = &all->records.list[index];
    struct json *v = json_object_new(), *proven = json_object_new();
    set_moment(v, "time", r->verified_ms);
    if (r->verified_ms > 0)
        json_set_flag(v, "ok", r->ok);
    else
        json_set_null(v, "ok");
    json_set_number(v, "problems", (int64_t)r->problems);
    set_text(v, "problem", r->text);
    set_text(v, "error", r->error);
    if (r->content[0])
        json_set_text(v, "database_problem", r->content);
    json_set_flag(v, "running", verification_is_running(all, index));
    json_set(j, "verification", v);
    if (r->proven_ms == 0) {
        json_free(proven);
        json_set_null(j, "proven_restore");
        return;
    }
    set_moment(proven, "time", r->proven_ms);
    json_set_number(proven, "txid", (int64_t)r->proven_txid);
    json_set(j, "proven_restore", proven);
}

/* The first object of a history stands for a base as long as there is none. */
static void set_base(struct json *j, const struct lane *l)
{
    struct json *b = json_object_new();
    bool known = l->seen.state == DESTINATION_ATTACHED && l->seen.base.bytes > 0;
    if (known)
        json_set_number(b, "txid", (int64_t)l->seen.base.max);
    else
        json_set_null(b, "txid");
    set_moment(b, "time", known ? clock_wall_ms() - (clock_mono_ms() - l->seen.base.at_ms) : 0);
    json_set_number(b, "bytes", (int64_t)l->seen.base.bytes);
    json_set_flag(b, "running", transfer_is(&l->copy, COPY_BASE) || l->paused_base.terms.kind == COPY_BASE);
    json_set(j, "base", b);
}

/* How the database and its replicas are, as far as they were looked at. */
struct health {
    enum condition worst;
    bool well;
};

static void note_condition(struct health *h, enum condition c, int64_t for_ms)
{
    h->worst = c > h->worst ? c : h->worst;
    h->well &= condition_is_well(c, for_ms);
}

static void set_condition(struct json *j, const struct database *db, const struct lane *l,
                          const struct verification_record *r, struct health *h)
{
    int64_t for_ms = 0;
    int percent = condition_percent(l);
    enum condition c = condition_of_replica(db, l, r, clock_wall_ms(), &for_ms);
    note_condition(h, c, for_ms);
    json_set_text(j, "condition", condition_name(c));
    json_set_flag(j, "well", condition_is_well(c, for_ms));
    if (percent >= 0 && lane_restorable_txid(l) == 0)
        json_set_number(j, "percent", percent);
    else
        json_set_null(j, "percent");
    set_text(j, "lost", l->loss.since_ms > 0 ? l->loss.text : NULL);
    set_moment(j, "lost_since", l->loss.since_ms);
}

static struct json *replica_of(const struct database *db, const struct verification *verification, size_t index,
                               struct health *h)
{
    const struct lane *l = &db->lanes.list[index];
    struct json *j = json_object_new();
    uint64_t requests[REQUEST_FIGURES];
    json_set_text(j, "url", l->url);
    json_set_text(j, "state", replica_state_name(l->seen.state));
    set_condition(j, db, l, &verification->records.list[index], h);
    json_set_number(j, "durable_txid", (int64_t)lane_restorable_txid(l));
    set_lag(j, db, l);
    json_set_text(j, "fencing", fencing_name(l->seen.store));
    set_error(j, l);
    set_conflict(j, l);
    set_requests(j, lane_requests(l, requests) ? requests : NULL);
    json_set_number(j, "objects", (int64_t)(l->appended + l->pieces));
    json_set_number(j, "bytes", (int64_t)(l->appended_bytes + l->piece_bytes));
    set_base(j, l);
    set_points(j, &l->prune.timeline);
    set_verification(j, verification, index);
    return j;
}

static void set_wal(struct json *j, const struct database *db)
{
    struct stat st;
    json_set_number(j, "wal_bytes", stat(db->wal_path, &st) == 0 ? (int64_t)st.st_size : 0);
    json_set_number(j, "wal_frames", db->figures.frames);
}

static void set_figures(struct json *j, const struct database *db)
{
    const struct local_report *l = &db->figures;
    json_set_number(j, "commits", (int64_t)l->commits_captured);
    json_set_number(j, "frames", (int64_t)l->frames_captured);
    json_set_number(j, "checkpoints", (int64_t)l->checkpoints.resets);
    json_set_number(j, "resyncs", (int64_t)l->resyncs);
    json_set_number(j, "longest_write_lock_us", l->checkpoints.longest_write_hold_ns / 1000);
}

struct json *status_of(const struct database *db, const struct verification *verification)
{
    struct json *j = json_object_new(), *replicas = json_list_new();
    struct health health = {.worst = CONDITION_FOLLOWING, .well = true};
    json_set_text(j, "version", SEAWALL_VERSION);
    json_set_number(j, "pid", getpid());
    set_moment(j, "started", db->started_ms);
    json_set_text(j, "database", db->path);
    json_set_text(j, "state", state_name(db->figures.at));
    json_set_flag(j, "stopping", db->stopping);
    set_text(j, "error", db->complaint.text);
    json_set_number(j, "captured_txid", (int64_t)db->lanes.captured.txid);
    set_moment(j, "captured_time", db->lanes.captured.newest.time_ms);
    set_wal(j, db);
    set_figures(j, db);
    for (size_t i = 0; i < db->lanes.count; i++)
        json_push(replicas, replica_of(db, verification, i, &health));
    note_condition(&health, condition_of_database(db), 0);
    json_set_text(j, "condition", condition_name(health.worst));
    json_set_flag(j, "well", health.well);
    json_set(j, "replicas", replicas);
    return j;
}

#define BRIEFLY_BEHIND_MS 5000

static enum condition steady_condition(const struct database *db, const struct verification *verification, size_t index)
{
    int64_t for_ms = 0;
    enum condition c =
        condition_of_replica(db, &db->lanes.list[index], &verification->records.list[index], clock_wall_ms(), &for_ms);
    bool busy = c == CONDITION_BEHIND && db->lanes.list[index].failing_since_ms == 0 && for_ms < BRIEFLY_BEHIND_MS;
    return busy ? CONDITION_FOLLOWING : c;
}

void status_line(const struct database *db, const struct verification *verification, char *out, size_t out_max)
{
    enum condition worst = condition_of_database(db);
    const struct lane *of = NULL;
    for (size_t i = 0; i < db->lanes.count; i++) {
        enum condition c = steady_condition(db, verification, i);
        if (c > worst) {
            worst = c;
            of = &db->lanes.list[i];
        }
    }
    const char *why = of ? of->complaint.text : db->complaint.text;
    int n = snprintf(out, out_max, "%s%s", db->stopping ? "stopping; " : "", condition_name(worst));
    if (of && n > 0 && (size_t)n < out_max)
        n += snprintf(out + n, out_max - (size_t)n, "; replica '%s'", of->url);
    if (why[0] && n > 0 && (size_t)n < out_max)
        snprintf(out + n, out_max - (size_t)n, ": %s", why);
}

/* Of a database that sleeps each replica has everything. */
static struct json *status_of_asleep(const struct member *m)
{
    struct json *j = json_object_new(), *replicas = json_list_new();
    char shown[STORE_URL_MAX];
    struct err e;
    json_set_text(j, "version", SEAWALL_VERSION);
    json_set_number(j, "pid", getpid());
    json_set_text(j, "database", sleeper_path(m->sleep.sleeper));
    json_set_text(j, "state", "asleep");
    set_moment(j, "asleep_since", m->sleep.since_ms);
    json_set_flag(j, "stopping", m->stopping);
    json_set_null(j, "error");
    json_set_number(j, "captured_txid", (int64_t)m->sleep.txid);
    set_moment(j, "captured_time", m->sleep.time_ms);
    for (size_t i = 0; i < m->config->url_count; i++) {
        struct json *r = json_object_new();
        json_set_text(r, "url", destination_show(m->config->urls[i], shown, &e) == 0 ? shown : "");
        json_set_text(r, "state", replica_state_name(DESTINATION_ATTACHED));
        json_set_text(r, "condition", condition_name(CONDITION_FOLLOWING));
        json_set_flag(r, "well", true);
        json_set_number(r, "durable_txid", (int64_t)m->sleep.txid);
        json_set_number(r, "lag_transactions", 0);
        json_set_number(r, "lag_ms", 0);
        json_set_number(r, "lag_bytes", 0);
        if (m->requests)
            set_requests(r, m->requests + i * REQUEST_FIGURES);
        json_push(replicas, r);
    }
    json_set_text(j, "condition", condition_name(CONDITION_FOLLOWING));
    json_set_flag(j, "well", true);
    json_set(j, "replicas", replicas);
    return j;
}

struct json *status_of_member(const struct member *m)
{
    if (member_is_open(m))
        return status_of(&m->awake->db, &m->awake->verification);
    if (member_is_asleep(m))
        return status_of_asleep(m);
    struct json *j = json_object_new();
    json_set_text(j, "version", SEAWALL_VERSION);
    json_set_number(j, "pid", getpid());
    json_set_text(j, "database", m->config->db_path);
    json_set_text(j, "state", state_name(LOCAL_CLOSED));
    json_set_flag(j, "stopping", m->stopping);
    set_text(j, "error", m->error ? m->error->msg : NULL);
    json_set_text(j, "condition", condition_name(m->error ? CONDITION_FAILING : CONDITION_STARTING));
    json_set_flag(j, "well", !m->error);
    json_set(j, "replicas", json_list_new());
    return j;
}
