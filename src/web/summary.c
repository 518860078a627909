/* web/summary.c */
#include "web/summary.h"

#include <string.h>

const char *const summary_conditions[SUMMARY_CONDITIONS] = {
    "following",           "starting",     "first copy", "behind", "failing", "waiting for the database",
    "verification failed", "replica lost", "conflict"};

const char *const summary_requests[REQUEST_FIGURES] = {
    [REQUEST_PUT] = "put",
    [REQUEST_GET] = "get",
    [REQUEST_HEAD] = "head",
    [REQUEST_LIST] = "list",
    [REQUEST_DELETE] = "delete",
    [REQUEST_FAILED] = "failed",
    [REQUEST_SENT_BYTES] = "sent_bytes",
    [REQUEST_RECEIVED_BYTES] = "received_bytes",
};

void summary_add_requests(const struct store_traffic *t, uint64_t sums[REQUEST_FIGURES])
{
    const unsigned long long now[REQUEST_FIGURES] = {
        [REQUEST_PUT] = atomic_load(&t->put),
        [REQUEST_GET] = atomic_load(&t->get),
        [REQUEST_HEAD] = atomic_load(&t->head),
        [REQUEST_LIST] = atomic_load(&t->list),
        [REQUEST_DELETE] = atomic_load(&t->remove),
        [REQUEST_FAILED] = atomic_load(&t->failed),
        [REQUEST_SENT_BYTES] = atomic_load(&t->sent_bytes),
        [REQUEST_RECEIVED_BYTES] = atomic_load(&t->received_bytes),
    };
    for (unsigned i = 0; i < REQUEST_FIGURES; i++)
        sums[i] += now[i];
}

struct json *summary_requests_json(const uint64_t requests[REQUEST_FIGURES])
{
    struct json *j = json_object_new();
    for (unsigned i = 0; i < REQUEST_FIGURES; i++)
        json_set_number(j, summary_requests[i], (int64_t)requests[i]);
    return j;
}

int64_t summary_number(const struct json *j, const char *key)
{
    int64_t n = 0;
    return json_get_number(j, key, &n) ? n : 0;
}

int64_t summary_greatest(const struct json *document, const char *key)
{
    const struct json *replicas = json_get(document, "replicas");
    int64_t most = 0;
    for (size_t i = 0; i < json_count(replicas); i++) {
        const int64_t n = summary_number(json_at(replicas, i), key);
        most = n > most ? n : most;
    }
    return most;
}

static uint64_t positive(int64_t n)
{
    return n > 0 ? (uint64_t)n : 0;
}

void summary_add_requests_json(const struct json *requests, uint64_t sums[REQUEST_FIGURES])
{
    for (unsigned i = 0; i < REQUEST_FIGURES; i++)
        sums[i] += positive(summary_number(requests, summary_requests[i]));
}

static bool is_asleep(const struct json *document)
{
    const char *state = json_get_text(document, "state");
    return state && strcmp(state, "asleep") == 0;
}

/* The index of its condition; SUMMARY_CONDITIONS: it has none. */
static size_t condition_of(const struct json *document)
{
    const char *condition = json_get_text(document, "condition");
    size_t i = 0;
    while (condition && i < SUMMARY_CONDITIONS && strcmp(summary_conditions[i], condition) != 0)
        i++;
    return condition ? i : SUMMARY_CONDITIONS;
}

static void add_replica(struct summary *s, const struct json *replica)
{
    const struct json *requests = json_get(replica, "requests");
    const int64_t lag_ms = summary_number(replica, "lag_ms");
    s->replicas++;
    s->replicas_not_well += !json_get_flag(replica, "well");
    s->lag_ms = lag_ms > s->lag_ms ? lag_ms : s->lag_ms;
    summary_add_requests_json(requests, s->requests);
    if (requests)
        s->stored_bytes += positive(summary_number(json_get(replica, "restore_points"), "bytes"));
}

void summary_add(struct summary *s, const struct json *document)
{
    const struct json *replicas = json_get(document, "replicas");
    const size_t condition = condition_of(document);
    s->databases++;
    if (!json_get_flag(document, "running")) {
        s->down++;
        s->not_well++;
        return;
    }
    s->asleep += is_asleep(document);
    s->not_well += !json_get_flag(document, "well");
    if (condition < SUMMARY_CONDITIONS)
        s->in_condition[condition]++;
    for (size_t i = 0; i < json_count(replicas); i++)
        add_replica(s, json_at(replicas, i));
    s->lag_transactions += positive(summary_greatest(document, "lag_transactions"));
    s->lag_bytes += positive(summary_greatest(document, "lag_bytes"));
}

void summary_add_asleep(struct summary *s, size_t replicas, const uint64_t requests[REQUEST_FIGURES])
{
    s->databases++;
    s->asleep++;
    s->in_condition[0]++;
    s->replicas += replicas;
    for (size_t i = 0; requests && i < REQUEST_FIGURES; i++)
        s->requests[i] += requests[i];
}

int summary_compare(const struct json *a, const struct json *b)
{
    const bool a_well = json_get_flag(a, "well"), b_well = json_get_flag(b, "well");
    const size_t a_condition = condition_of(a), b_condition = condition_of(b);
    const int64_t a_lag = summary_greatest(a, "lag_ms"), b_lag = summary_greatest(b, "lag_ms");
    const char *a_path = json_get_text(a, "database"), *b_path = json_get_text(b, "database");
    if (a_well != b_well)
        return a_well ? 1 : -1;
    if (!a_well && a_condition != b_condition)
        return a_condition > b_condition ? -1 : 1;
    if (a_lag != b_lag)
        return a_lag > b_lag ? -1 : 1;
    return strcmp(a_path ? a_path : "", b_path ? b_path : "");
}

/* ---- the worst databases */

/* The index of the first that is better than the document. */
static size_t place_of(const struct worst *w, const struct json *document)
{
    size_t from = 0, to = w->count;
    while (from < to) {
        const size_t middle = (from + to) / 2;
        if (summary_compare(w->list[middle], document) <= 0)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

void worst_add(struct worst *w, struct json *document_taken)
{
    if (!document_taken)
        return;
    const size_t at = place_of(w, document_taken);
    if (w->count == WORST_MAX) {
        w->left_out++;
        if (at == WORST_MAX) {
            json_free(document_taken);
            return;
        }
        json_free(w->list[--w->count]);
    }
    memmove(w->list + at + 1, w->list + at, (w->count - at) * sizeof w->list[0]);
    w->list[at] = document_taken;
    w->count++;
}

struct json *worst_take(struct worst *w)
{
    struct json *list = json_list_new();
    for (size_t i = 0; i < w->count; i++)
        json_push(list, w->list[i]);
    *w = (struct worst){.count = 0};
    return list;
}

void worst_release(struct worst *w)
{
    for (size_t i = 0; i < w->count; i++)
        json_free(w->list[i]);
    *w = (struct worst){.count = 0};
}

bool worst_counts(const struct json *document)
{
    return !is_asleep(document) || !json_get_flag(document, "well");
}
