/* aws/credentials.c - holds the credentials that were found last, and decides when to search again.
 *
 * One caller at a time searches, without the lock. The others use the held credentials while these are valid, and
 * wait otherwise. Every time below is the caller's `now_ms`. */
#include "aws/credentials.h"

#include "aws/credential_chain.h"
#include "aws/profile.h"
#include "base/hash.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define EARLY_MS (5 * 60 * INT64_C(1000)) /* renewal before they expire */
#define PAUSE_MS INT64_C(30000)           /* between searches while the old ones are valid */
#define FIRST_PAUSE_MS INT64_C(1000)      /* while there are none; it doubles up to PAUSE_MS */
#define ASK_PAUSE_MS INT64_C(1000)        /* between searches for rejected credentials or changed files */

struct credential_source {
    struct http *http;
    char *profile, *region, *ca_file;
    const atomic_bool *cancel;

    pthread_mutex_t lock; /* guards the members below */
    pthread_cond_t fetched;
    bool fetching;           /* a caller searches, without the lock */
    bool rejected;           /* by the store */
    struct credentials held; /* serial 0: none */
    char origin[CREDENTIALS_ORIGIN_MAX];
    struct profile_stamp stamp; /* of the files, before they were read last */
    int64_t tried_ms;           /* last search */
    int64_t refresh_ms;         /* next search; INT64_MAX: never */
    unsigned failures;          /* failed searches in a row */
    struct err failure;         /* of the last one */
};

/* ---- life */

static char *copy_of(const char *text)
{
    return text && *text ? strdup(text) : NULL;
}

int credentials_new(struct http *http, const struct credentials_options *o, struct credential_source **ret_source,
                    struct err *e)
{
    struct credential_source *s = calloc(1, sizeof *s);
    if (!s)
        return err_nomem(e, sizeof *s);
    s->http = http;
    s->cancel = o->cancel;
    s->profile = copy_of(o->profile);
    s->region = copy_of(o->region);
    s->ca_file = copy_of(o->ca_file);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->fetched, NULL);
    if ((o->profile && *o->profile && !s->profile) || (o->region && *o->region && !s->region) ||
        (o->ca_file && *o->ca_file && !s->ca_file)) {
        credentials_free(s);
        return err_nomem(e, PATH_TEXT_MAX);
    }
    *ret_source = s;
    return 0;
}

void credentials_free(struct credential_source *s)
{
    if (!s)
        return;
    pthread_cond_destroy(&s->fetched);
    pthread_mutex_destroy(&s->lock);
    free(s->profile);
    free(s->region);
    free(s->ca_file);
    wipe(s, sizeof *s);
    free(s);
}

/* ---- when to search again; the caller holds the lock */

static bool is_valid(const struct credential_source *s, int64_t now_ms)
{
    return s->held.serial && (s->held.expires_ms == 0 || now_ms < s->held.expires_ms);
}

/* Whether the last search was less than `pause_ms` ago. It can also lie a little ahead: callers read the clock
 * before they get the lock. If it lies far ahead, the clock was set back, and the search counts as long ago. */
static bool too_soon(const struct credential_source *s, int64_t now_ms, int64_t pause_ms)
{
    return now_ms > s->tried_ms - pause_ms && now_ms < s->tried_ms + pause_ms;
}

static int64_t pause_after_failure(const struct credential_source *s, int64_t now_ms)
{
    assert(s->failures > 0);
    if (is_valid(s, now_ms))
        return PAUSE_MS;
    unsigned doublings = s->failures < 6 ? s->failures - 1 : 5;
    int64_t pause_ms = FIRST_PAUSE_MS << doublings;
    return pause_ms < PAUSE_MS ? pause_ms : PAUSE_MS;
}

/* Credentials that expire are renewed by the clock alone: a helper program can write into these files each time it
 * runs. */
static bool files_changed(const struct credential_source *s)
{
    struct profile_stamp stamp;
    if (s->failures == 0 && s->held.expires_ms != 0)
        return false;
    profile_stamp_take(&stamp);
    return !profile_stamp_equal(&stamp, &s->stamp);
}

static bool must_fetch(const struct credential_source *s, int64_t now_ms)
{
    if (!s->held.serial && s->failures == 0)
        return true;
    if (!too_soon(s, now_ms, ASK_PAUSE_MS) && files_changed(s))
        return true;
    if (s->failures)
        return !too_soon(s, now_ms, pause_after_failure(s, now_ms));
    if (s->rejected && !too_soon(s, now_ms, ASK_PAUSE_MS))
        return true;
    return now_ms >= s->refresh_ms || !is_valid(s, now_ms);
}

/* A service can return the old credentials shortly before they expire. Then it is asked every PAUSE_MS. */
static int64_t refresh_time(const struct credentials *c, int64_t now_ms)
{
    if (c->expires_ms == 0)
        return INT64_MAX;
    int64_t early_ms = c->expires_ms - EARLY_MS, soon_ms = now_ms + PAUSE_MS;
    return early_ms > soon_ms ? early_ms : soon_ms;
}

/* ---- the search */

static bool are_same(const struct credentials *a, const struct credentials *b)
{
    return strcmp(a->access_key, b->access_key) == 0 && strcmp(a->secret_key, b->secret_key) == 0 &&
           strcmp(a->session_token, b->session_token) == 0;
}

static void adopt(struct credential_source *s, const struct credentials *found, const char *origin, int64_t now_ms)
{
    uint64_t serial = s->held.serial;
    if (serial == 0 || !are_same(&s->held, found))
        serial++;
    s->rejected = false; /* if they are the same, the store will reject them again */
    s->held = *found;
    s->held.serial = serial;
    memcpy(s->origin, origin, sizeof s->origin);
    s->refresh_ms = refresh_time(found, now_ms);
    s->failures = 0;
}

/* Searches. The caller holds the lock; it is released during the search. */
static void fetch(struct credential_source *s, int64_t now_ms)
{
    const struct credential_chain chain = {
        .access = {.http = s->http, .ca_file = s->ca_file, .cancel = s->cancel, .now_ms = now_ms},
        .profile = s->profile,
        .region = s->region};
    struct credentials found = {0};
    char origin[CREDENTIALS_ORIGIN_MAX] = "";
    struct err e = {.code = ERR_NONE};
    s->fetching = true;
    s->tried_ms = now_ms;
    profile_stamp_take(&s->stamp); /* before the files are read, so that a change in between is seen next time */
    pthread_mutex_unlock(&s->lock);
    int rc = credential_chain_walk(&chain, &found, origin, &e);
    pthread_mutex_lock(&s->lock);
    s->fetching = false;
    if (rc == 0) {
        adopt(s, &found, origin, now_ms);
    } else {
        s->failures++;
        s->failure = e;
    }
    wipe(&found, sizeof found);
    pthread_cond_broadcast(&s->fetched);
}

int credentials_get(struct credential_source *s, int64_t now_ms, struct credentials *ret, struct err *e)
{
    pthread_mutex_lock(&s->lock);
    while (s->fetching && !is_valid(s, now_ms))
        pthread_cond_wait(&s->fetched, &s->lock);
    if (!s->fetching && must_fetch(s, now_ms))
        fetch(s, now_ms);
    int rc = is_valid(s, now_ms) ? 0 : -1;
    if (rc == 0)
        *ret = s->held;
    else if (s->failures)
        *e = s->failure;
    else
        err_set(e, ERR_REMOTE, 0, "the credentials have expired");
    pthread_mutex_unlock(&s->lock);
    return rc;
}

void credentials_reject(struct credential_source *s, uint64_t serial)
{
    pthread_mutex_lock(&s->lock);
    if (s->held.serial == serial)
        s->rejected = true;
    pthread_mutex_unlock(&s->lock);
}

void credentials_origin(struct credential_source *s, char out[CREDENTIALS_ORIGIN_MAX])
{
    pthread_mutex_lock(&s->lock);
    memcpy(out, s->origin, CREDENTIALS_ORIGIN_MAX);
    pthread_mutex_unlock(&s->lock);
}
