/* web/summary.h - figures of all databases together, and the worst of them. Their number does not depend on how many
 * databases there are.
 *
 * A document is the status of one database, as seawall(1) describes it under "seawall status". */
#ifndef SEAWALL_WEB_SUMMARY_H
#define SEAWALL_WEB_SUMMARY_H

#include "base/json.h"
#include "base/store.h"

/* The conditions of a database, from the best to the worst: those of daemon/condition.h. */
#define SUMMARY_CONDITIONS 9
extern const char *const summary_conditions[SUMMARY_CONDITIONS];

enum summary_request {
    REQUEST_PUT,
    REQUEST_GET,
    REQUEST_HEAD,
    REQUEST_LIST,
    REQUEST_DELETE,
    REQUEST_FAILED, /* or repeated; also counted under its kind */
    REQUEST_SENT_BYTES,
    REQUEST_RECEIVED_BYTES,
    REQUEST_FIGURES, /* how many there are */
};
extern const char *const summary_requests[REQUEST_FIGURES]; /* keys of "requests" */

void summary_add_requests(const struct store_traffic *t, uint64_t sums[REQUEST_FIGURES]);

/* "requests" of a document. */
struct json *summary_requests_json(const uint64_t requests[REQUEST_FIGURES]);
void summary_add_requests_json(const struct json *requests, uint64_t sums[REQUEST_FIGURES]); /* NULL is fine */

struct summary {
    uint64_t databases;
    uint64_t down;   /* of them: no daemon answered */
    uint64_t asleep; /* of them: nothing of it is open */
    uint64_t not_well;
    uint64_t in_condition[SUMMARY_CONDITIONS]; /* of those whose daemon answered */
    uint64_t replicas, replicas_not_well;
    int64_t lag_ms;            /* the greatest of all replicas */
    uint64_t lag_transactions; /* for each database that of the replica that is most behind, added up */
    uint64_t lag_bytes;        /* the same */
    uint64_t requests[REQUEST_FIGURES];
    uint64_t stored_bytes; /* of replicas in stores that cost money, as far as they were listed */
};

/* Adds a database. `document`: its status; "running" says whether a daemon answered. */
void summary_add(struct summary *s, const struct json *document);

/* The same for a database that sleeps: each of its replicas has everything. `requests`: of all its replicas since the
 * start; NULL: none. */
void summary_add_asleep(struct summary *s, size_t replicas, const uint64_t requests[REQUEST_FIGURES]);

/* Which of two documents is worse: negative: `a`, positive: `b`. What is not well comes first, then the worse
 * condition, then the greater lag, then the path. */
int summary_compare(const struct json *a, const struct json *b);

/* The number of a document under `key`; 0: it has none. The greatest number of its replicas. */
int64_t summary_number(const struct json *j, const char *key);
int64_t summary_greatest(const struct json *document, const char *key);

/* ---- the worst databases */

#define WORST_MAX 256

struct worst {
    struct json *list[WORST_MAX]; /* owned; the worst first */
    size_t count;
    uint64_t left_out; /* databases that were added and are not in the list */
};

/* Adds a document, and takes it over. Only the worst stay. NULL does nothing. */
void worst_add(struct worst *w, struct json *document_taken);

/* The list, owned by the caller. The worst are empty afterwards. */
struct json *worst_take(struct worst *w);
void worst_release(struct worst *w);

/* Whether a database has metrics of its own: it is awake, or in trouble. */
bool worst_counts(const struct json *document);

#endif
