/* web/metrics.c - one table of metrics: name, type, help, and the key of the status that has the value. */
#include "web/metrics.h"

#include "base/path.h"
#include "base/text.h"
#include "base/when.h"

#include <inttypes.h>
#include <string.h>

enum of { OF_DATABASE, OF_REPLICA };

enum kind {
    COUNT,     /* a number, printed unchanged */
    MS,        /* milliseconds, printed in seconds */
    US,        /* microseconds, printed in seconds */
    MOMENT,    /* an RFC 3339 time, printed in seconds since 1970 */
    FLAG,      /* true is 1, false is 0; null has no sample */
    PRESENCE,  /* 1 if the key has a text, otherwise 0 */
    IS_STRONG, /* "strong" is 1, "weak" is 0; "unknown" has no sample */
};

struct metric {
    const char *name, *type, *help;
    enum of of;
    const char *object; /* that has the key; NULL: the status of the database or of the replica itself */
    const char *key;
    enum kind kind;
};

static const struct metric metrics[] = {
    {"seawall_start_time_seconds", "gauge", "When the daemon was started.", OF_DATABASE, NULL, "started", MOMENT},
    {"seawall_well", "gauge", "1 if all is well: see exit status 0 of seawall status.", OF_DATABASE, NULL, "well",
     FLAG},
    {"seawall_stopping", "gauge", "1 while the daemon ships the last commits before it ends.", OF_DATABASE, NULL,
     "stopping", FLAG},
    {"seawall_captured_txid", "gauge", "Newest captured transaction.", OF_DATABASE, NULL, "captured_txid", COUNT},
    {"seawall_captured_timestamp_seconds", "gauge", "When that transaction was captured.", OF_DATABASE, NULL,
     "captured_time", MOMENT},
    {"seawall_wal_bytes", "gauge", "Size of the WAL file.", OF_DATABASE, NULL, "wal_bytes", COUNT},
    {"seawall_wal_frames", "gauge", "Frames in use in the WAL.", OF_DATABASE, NULL, "wal_frames", COUNT},
    {"seawall_commits_total", "counter", "Captured commits since the start.", OF_DATABASE, NULL, "commits", COUNT},
    {"seawall_frames_total", "counter", "Captured WAL frames since the start.", OF_DATABASE, NULL, "frames", COUNT},
    {"seawall_checkpoints_total", "counter", "Checkpoints that emptied the WAL since the start.", OF_DATABASE, NULL,
     "checkpoints", COUNT},
    {"seawall_resyncs_total", "counter", "Comparisons of all pages since the start.", OF_DATABASE, NULL, "resyncs",
     COUNT},
    {"seawall_longest_write_lock_seconds", "gauge", "Longest time that the daemon held the write lock.", OF_DATABASE,
     NULL, "longest_write_lock_us", US},
    {"seawall_replica_durable_txid", "gauge", "Newest transaction that is durable in the replica.", OF_REPLICA, NULL,
     "durable_txid", COUNT},
    {"seawall_replica_lag_transactions", "gauge", "Captured transactions that are not durable in the replica.",
     OF_REPLICA, NULL, "lag_transactions", COUNT},
    {"seawall_replica_lag_seconds", "gauge", "Age of the oldest captured commit that is not durable in the replica.",
     OF_REPLICA, NULL, "lag_ms", MS},
    {"seawall_replica_lag_bytes", "gauge", "Bytes of the pages of these commits; at most so many have to be shipped.",
     OF_REPLICA, NULL, "lag_bytes", COUNT},
    {"seawall_replica_well", "gauge", "1 if all is well with the replica.", OF_REPLICA, NULL, "well", FLAG},
    {"seawall_replica_lost_objects", "gauge", "1 while the replica is not whole after it lost objects.", OF_REPLICA,
     NULL, "lost", PRESENCE},
    {"seawall_replica_failing", "gauge", "1 while the replica can't be shipped to.", OF_REPLICA, NULL, "error",
     PRESENCE},
    {"seawall_replica_retention_failing", "gauge", "1 if the daemon can't apply retention: objects may be missing.",
     OF_REPLICA, NULL, "retention_error", PRESENCE},
    {"seawall_replica_fencing_strong", "gauge", "1 if the store has an exclusive PUT.", OF_REPLICA, NULL, "fencing",
     IS_STRONG},
    {"seawall_replica_objects_total", "counter", "Objects put since the start.", OF_REPLICA, NULL, "objects", COUNT},
    {"seawall_replica_object_bytes_total", "counter", "Bytes of these objects.", OF_REPLICA, NULL, "bytes", COUNT},
    {"seawall_replica_sent_bytes_total", "counter", "Bytes sent to the store.", OF_REPLICA, "requests", "sent_bytes",
     COUNT},
    {"seawall_replica_received_bytes_total", "counter", "Bytes received from the store.", OF_REPLICA, "requests",
     "received_bytes", COUNT},
    {"seawall_replica_base_timestamp_seconds", "gauge", "When the newest base was complete.", OF_REPLICA, "base",
     "time", MOMENT},
    {"seawall_replica_base_bytes", "gauge", "Bytes of the newest base.", OF_REPLICA, "base", "bytes", COUNT},
    {"seawall_replica_oldest_point_timestamp_seconds", "gauge",
     "The oldest moment to which the replica can be restored, as retention saw it last.", OF_REPLICA, "restore_points",
     "oldest", MOMENT},
    {"seawall_replica_stored_bytes", "gauge", "Bytes of all objects of the replica, as retention saw them last.",
     OF_REPLICA, "restore_points", "bytes", COUNT},
    {"seawall_replica_verified_timestamp_seconds", "gauge", "When the daemon last verified the replica.", OF_REPLICA,
     "verification", "time", MOMENT},
    {"seawall_replica_verified_ok", "gauge", "1 if that verification found nothing wrong.", OF_REPLICA, "verification",
     "ok", FLAG},
    {"seawall_replica_verification_problems", "gauge", "Problems that it found.", OF_REPLICA, "verification",
     "problems", COUNT},
    {"seawall_replica_proven_restore_timestamp_seconds", "gauge", "When a restore of the replica last succeeded.",
     OF_REPLICA, "proven_restore", "time", MOMENT},
    {"seawall_replica_proven_restore_txid", "gauge", "The transaction that it restored.", OF_REPLICA, "proven_restore",
     "txid", COUNT},
};

static const char *const database_states[] = {"closed", "unproven", "following", "resting", NULL};
static const char *const replica_states[] = {"detached", "resync", "attached", "conflict", NULL};
static const char *const request_kinds[] = {"put", "get", "head", "list", "delete", "failed", NULL};

/* ---- parts of a line */

#define LABEL_MAX ((size_t)4 * PATH_TEXT_MAX) /* each byte of a path as \xNN */

static void print_label(FILE *out, const char *name, const char *value)
{
    char text[LABEL_MAX], quoted[2 * LABEL_MAX];
    text_print_to(out, "%s=\"", name);
    for (const char *line = value ? value : ""; *line;) {
        size_t n = strcspn(line, "\n"), at = 0;
        text_format(text, sizeof text, "%.*s", (int)n, line);
        for (const char *p = text; *p; p++) {
            if (*p == '"' || *p == '\\')
                quoted[at++] = '\\';
            quoted[at++] = *p;
        }
        quoted[at] = 0;
        text_print_to(out, "%s%s", quoted, line[n] ? "\\n" : "");
        line += n + (line[n] != 0);
    }
    text_put(out, "\"");
}

/* `replica`: NULL for a metric of the database. `extra`: the name of one more label with this `value`, or NULL. */
static void print_labels(FILE *out, const struct json *db, const struct json *replica, const char *extra,
                         const char *value)
{
    text_put(out, "{");
    print_label(out, "database", json_get_text(db, "database"));
    if (replica) {
        text_put(out, ",");
        print_label(out, "replica", json_get_text(replica, "url"));
    }
    if (extra) {
        text_put(out, ",");
        print_label(out, extra, value);
    }
    text_put(out, "} ");
}

static void print_thousandths(FILE *out, int64_t v, int digits)
{
    int64_t unit = digits == 3 ? 1000 : 1000000;
    text_print_to(out, "%" PRId64 ".%0*" PRId64, v / unit, digits, v % unit);
}

/* False: the status does not have the value. */
static bool number_of(const struct metric *m, const struct json *j, int64_t *ret_number)
{
    const char *text = json_get_text(j, m->key);
    switch (m->kind) {
    case MOMENT:
        return text && when_parse(text, 0, ret_number);
    case FLAG:
        *ret_number = json_get_flag(j, m->key);
        return json_has(j, m->key);
    case PRESENCE:
        *ret_number = text != NULL;
        return j != NULL;
    case IS_STRONG:
        *ret_number = text && strcmp(text, "strong") == 0;
        return text && strcmp(text, "unknown") != 0;
    default:
        return json_get_number(j, m->key, ret_number);
    }
}

static void print_sample(FILE *out, const struct metric *m, const struct json *db, const struct json *replica)
{
    const struct json *j = replica ? replica : db;
    int64_t n = 0;
    if (!number_of(m, m->object ? json_get(j, m->object) : j, &n))
        return;
    text_put(out, m->name);
    print_labels(out, db, replica, NULL, NULL);
    if (m->kind == MS || m->kind == MOMENT)
        print_thousandths(out, n, 3);
    else if (m->kind == US)
        print_thousandths(out, n, 6);
    else
        text_print_to(out, "%" PRId64, n);
    text_put(out, "\n");
}

static void print_head(FILE *out, const char *name, const char *type, const char *help)
{
    text_print_to(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* ---- metrics with labels of their own */

static void print_up(FILE *out, const struct json *databases)
{
    print_head(out, "seawall_up", "gauge", "1 if a daemon runs on the database and answers.");
    for (size_t i = 0; i < json_count(databases); i++) {
        const struct json *db = json_at(databases, i);
        text_put(out, "seawall_up");
        print_labels(out, db, NULL, NULL, NULL);
        text_print_to(out, "%d\n", json_get_flag(db, "running"));
    }
}

static void print_info(FILE *out, const struct json *databases)
{
    print_head(out, "seawall_info", "gauge", "Always 1; the version of the daemon is a label.");
    for (size_t i = 0; i < json_count(databases); i++) {
        const struct json *db = json_at(databases, i);
        const char *version = json_get_text(db, "version");
        if (!version)
            continue;
        text_put(out, "seawall_info");
        print_labels(out, db, NULL, "version", version);
        text_put(out, "1\n");
    }
}

static void print_states_of(FILE *out, const char *name, const struct json *db, const struct json *replica)
{
    const char *state = json_get_text(replica ? replica : db, "state");
    for (const char *const *s = replica ? replica_states : database_states; state && *s; s++) {
        text_put(out, name);
        print_labels(out, db, replica, "state", *s);
        text_print_to(out, "%d\n", strcmp(*s, state) == 0);
    }
}

static void print_states(FILE *out, const struct json *databases)
{
    print_head(out, "seawall_state", "gauge", "1 for the state that the database is in.");
    for (size_t i = 0; i < json_count(databases); i++)
        print_states_of(out, "seawall_state", json_at(databases, i), NULL);
    print_head(out, "seawall_replica_state", "gauge", "1 for the state that the replica is in.");
    for (size_t i = 0; i < json_count(databases); i++) {
        const struct json *replicas = json_get(json_at(databases, i), "replicas");
        for (size_t k = 0; k < json_count(replicas); k++)
            print_states_of(out, "seawall_replica_state", json_at(databases, i), json_at(replicas, k));
    }
}

static void print_requests_of(FILE *out, const struct json *db, const struct json *replica)
{
    int64_t n = 0;
    for (const char *const *kind = request_kinds; *kind; kind++) {
        if (!json_get_number(json_get(replica, "requests"), *kind, &n))
            continue;
        text_put(out, "seawall_replica_requests_total");
        print_labels(out, db, replica, "kind", *kind);
        text_print_to(out, "%" PRId64 "\n", n);
    }
}

static void print_requests(FILE *out, const struct json *databases)
{
    print_head(out, "seawall_replica_requests_total", "counter",
               "Requests to the store since the start, by kind; a failed request also counts under its kind.");
    for (size_t i = 0; i < json_count(databases); i++) {
        const struct json *replicas = json_get(json_at(databases, i), "replicas");
        for (size_t k = 0; k < json_count(replicas); k++)
            print_requests_of(out, json_at(databases, i), json_at(replicas, k));
    }
}

static void print_family(FILE *out, const struct metric *m, const struct json *databases)
{
    print_head(out, m->name, m->type, m->help);
    for (size_t i = 0; i < json_count(databases); i++) {
        const struct json *db = json_at(databases, i), *replicas = json_get(db, "replicas");
        if (m->of == OF_DATABASE)
            print_sample(out, m, db, NULL);
        for (size_t k = 0; m->of == OF_REPLICA && k < json_count(replicas); k++)
            print_sample(out, m, db, json_at(replicas, k));
    }
}

void metrics_print(const struct json *databases, FILE *out)
{
    print_up(out, databases);
    print_info(out, databases);
    print_states(out, databases);
    for (size_t i = 0; i < sizeof metrics / sizeof metrics[0]; i++)
        print_family(out, &metrics[i], databases);
    print_requests(out, databases);
}

/* ---- all databases together */

static void print_total(FILE *out, const char *name, const char *type, const char *help, uint64_t value)
{
    print_head(out, name, type, help);
    text_print_to(out, "%s %" PRIu64 "\n", name, value);
}

static void print_conditions(FILE *out, const struct summary *s)
{
    print_head(out, "seawall_databases_in_condition", "gauge", "Databases in each condition: see seawall status.");
    for (size_t i = 0; i < SUMMARY_CONDITIONS; i++)
        text_print_to(out, "seawall_databases_in_condition{condition=\"%s\"} %" PRIu64 "\n", summary_conditions[i],
                      s->in_condition[i]);
}

static void print_traffic(FILE *out, const struct summary *s)
{
    print_head(out, "seawall_requests_total", "counter", "Requests to stores since the start, by kind.");
    for (size_t i = 0; i <= REQUEST_FAILED; i++)
        text_print_to(out, "seawall_requests_total{kind=\"%s\"} %" PRIu64 "\n", summary_requests[i], s->requests[i]);
    print_total(out, "seawall_sent_bytes_total", "counter", "Bytes sent to stores.", s->requests[REQUEST_SENT_BYTES]);
    print_total(out, "seawall_received_bytes_total", "counter", "Bytes received from stores.",
                s->requests[REQUEST_RECEIVED_BYTES]);
    print_total(out, "seawall_stored_bytes", "gauge",
                "Bytes of all objects in stores that cost money, as far as retention saw them.", s->stored_bytes);
}

void metrics_print_totals(const struct summary *s, uint64_t left_out, FILE *out)
{
    print_total(out, "seawall_databases", "gauge", "Databases.", s->databases);
    print_total(out, "seawall_databases_down", "gauge", "Databases whose daemon does not answer.", s->down);
    print_total(out, "seawall_databases_asleep", "gauge", "Databases that are quiet and durable, and have no metrics.",
                s->asleep);
    print_total(out, "seawall_databases_not_well", "gauge", "Databases that need a person.", s->not_well);
    print_total(out, "seawall_databases_left_out", "gauge",
                "Databases that are awake or in trouble, and have no metrics: others are worse.", left_out);
    print_conditions(out, s);
    print_total(out, "seawall_replicas", "gauge", "Replicas of all databases.", s->replicas);
    print_total(out, "seawall_replicas_not_well", "gauge", "Replicas that need a person.", s->replicas_not_well);
    print_head(out, "seawall_lag_seconds", "gauge",
               "Age of the oldest captured commit that is not durable in a replica of its database.");
    text_put(out, "seawall_lag_seconds ");
    print_thousandths(out, s->lag_ms, 3);
    text_put(out, "\n");
    print_total(out, "seawall_lag_transactions", "gauge",
                "Captured commits that are not durable: of each database in the replica that is most behind.",
                s->lag_transactions);
    print_total(out, "seawall_lag_bytes", "gauge", "Bytes of the pages of these commits.", s->lag_bytes);
    print_traffic(out, s);
}
