/* s3/race.c */
#include "s3/race.h"

#include "base/hash.h"
#include "base/thread.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define ROUNDS 3 /* the connections of the first round are new, so its requests arrive one after the other */
#define KEY_BYTES 64

struct racer {
    struct s3_client *client;
    const atomic_bool *cancel;
    const char *key;
    pthread_barrier_t *start;
    int rc;
    enum s3_verdict verdict;
    struct err err;
};

/* A response without an ETag does not count: it is the page of a proxy. */
static int check_put(void *context, const struct http_response *r, struct err *e)
{
    (void)context;
    return http_header(r, "etag") ? 0 : err_set(e, ERR_REMOTE, r->status, "HTTP %d without an ETag", r->status);
}

static void *race_thread(void *arg)
{
    struct racer *r = arg;
    struct s3_outcome o;
    struct s3_op op = {.kind = S3_PUT,
                       .method = "PUT",
                       .key = r->key,
                       .body = r->key,
                       .body_len = strlen(r->key),
                       .flags = S3_OP_NEW_OBJECT | S3_OP_UNLOCKED | S3_OP_SSE_C | S3_OP_IF_NONE_MATCH,
                       .check = check_put,
                       .cancel = r->cancel};
    pthread_barrier_wait(r->start);
    r->rc = s3_perform(r->client, &op, &o, &r->err);
    r->verdict = o.verdict;
    s3_outcome_release(&o);
    return NULL;
}

static void remove_key(struct s3_client *c, const char *key, const atomic_bool *cancel)
{
    struct s3_outcome o;
    struct err ignored; /* without the permission to delete, the object stays */
    struct s3_op op = {.kind = S3_DELETE, .method = "DELETE", .key = key, .cancel = cancel};
    bool removed = s3_perform(c, &op, &o, &ignored) == 0;
    (void)removed;
    s3_outcome_release(&o);
}

/* Decides by the answers of one round. */
static int judge(const struct racer *racers, unsigned count, enum s3_race_result *ret_result, struct err *e)
{
    unsigned won = 0, refused = 0, unknown = 0;
    for (size_t i = 0; i < count; i++) {
        won += racers[i].rc == 0 && racers[i].verdict == S3_DONE;
        refused += racers[i].rc == 0 && racers[i].verdict == S3_EXISTS;
        unknown += racers[i].rc == 0 && racers[i].verdict == S3_UNSUPPORTED;
    }
    *ret_result = won > 1 ? S3_RACE_SEVERAL_WON : unknown > 0 ? S3_RACE_NO_CONDITION : S3_RACE_EXCLUSIVE;
    if (won > 1 || unknown > 0 || refused > 0)
        return 0;
    for (size_t i = 0; i < count; i++)
        if (racers[i].rc != 0) {
            *e = racers[i].err;
            return -1;
        }
    return err_set(e, ERR_REMOTE, 0, "unexpected answers to PUT with If-None-Match");
}

static int run_round(struct s3_client *c, const char *key, const struct s3_race *race, enum s3_race_result *ret_result,
                     struct err *e)
{
    struct racer racers[STORE_RACERS_MAX];
    pthread_t threads[STORE_RACERS_MAX];
    pthread_barrier_t start;
    const size_t others = race->racers - 1;
    size_t started = 0;
    pthread_barrier_init(&start, NULL, race->racers);
    for (size_t i = 0; i <= others; i++)
        racers[i] = (struct racer){.client = c, .cancel = race->cancel, .key = key, .start = &start, .rc = -1};
    while (started < others && thread_start(&threads[started], race_thread, &racers[started]) == 0)
        started++;
    for (size_t i = started; i < others; i++) /* these threads could not be started */
        racers[i].rc = err_nomem(&racers[i].err, sizeof racers[i]);
    if (started == others)
        race_thread(&racers[others]);
    threads_join(threads, started);
    pthread_barrier_destroy(&start);
    return judge(racers, race->racers, ret_result, e);
}

int s3_race(struct s3_client *c, const struct s3_race *race, enum s3_race_result *ret_result, struct err *e)
{
    uint8_t random[16];
    char hex[2 * sizeof random + 1], key[KEY_BYTES];
    assert(race->racers >= 2 && race->racers <= STORE_RACERS_MAX);
    int rc = random_bytes(random, sizeof random, e);
    hex_encode(random, sizeof random, hex);
    *ret_result = S3_RACE_EXCLUSIVE;
    for (unsigned round = 0; rc == 0 && round < ROUNDS && *ret_result == S3_RACE_EXCLUSIVE; round++) {
        snprintf(key, sizeof key, STORE_PROBE_PREFIX "%s-%u", hex, round);
        rc = run_round(c, key, race, ret_result, e);
        remove_key(c, key, race->cancel);
    }
    return rc;
}
