/* support/store_places.h - a place for each kind of store, for the tests of the contract. */
#ifndef TESTS_STORE_PLACES_H
#define TESTS_STORE_PLACES_H

#include "store_contract.h"

#include <inttypes.h>
#include <time.h>

/* ---- a folder */

#define FOLDER "store/with/parents" /* in the temporary folder of the test */

static inline struct store *folder_open(void)
{
    struct err e;
    struct store *s = NULL;
    return store_open(temp_path(FOLDER), STORE_WRITE, &s, &e) ? NULL : s;
}

__attribute__((unused)) static struct store_under_test folder = {
    .open = folder_open, .clear = temp_setup, .forget = temp_teardown};

/* ---- an S3 bucket
 *
 * SEAWALL_TEST_S3 names it: s3://bucket/prefix?endpoint=... Credentials come from the environment. Each test works
 * below a prefix of its own. tests/support/rgw has a server, and `make check-s3-store` brings both together. */

static char s3_url[2048]; /* of the test that runs */

static inline bool s3_is_there(void)
{
    return getenv("SEAWALL_TEST_S3") != NULL;
}

/* Whether the server under test lacks a part of the contract. tests/support/keeper.py names these parts in
 * SEAWALL_TEST_LACKS: "signatures" (the server checks none), "order" (of listings), "deletion" (of many objects in one
 * attempt). */
static inline bool s3_lacks(const char *what)
{
    const char *lacks = getenv("SEAWALL_TEST_LACKS");
    return lacks && strstr(lacks, what);
}

static inline int s3_clear(void **state)
{
    static unsigned count;
    const char *place = getenv("SEAWALL_TEST_S3"), *query = strchr(place, '?');
    struct timespec now;
    (void)state;
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(s3_url, sizeof s3_url, "%.*s/%" PRIx64 "-%d-%u%s", query ? (int)(query - place) : (int)strlen(place),
             place, (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec, (int)getpid(), ++count,
             query ? query : "");
    return 0;
}

static inline struct store *s3_open(void)
{
    struct err e;
    struct store *s = NULL;
    if (store_open(s3_url, STORE_WRITE, &s, &e)) {
        fprintf(stderr, "%s: %s\n", s3_url, e.msg);
        return NULL;
    }
    return s;
}

__attribute__((unused)) static struct store_under_test s3 = {.open = s3_open, .clear = s3_clear};

/* Asks the server whether its PUT is exclusive, and sets s3.weak. False: the server does not answer. */
static inline bool s3_find_fencing(void)
{
    struct err e = {.msg = ""};
    enum store_fencing fencing = STORE_FENCING_UNKNOWN;
    s3_clear(NULL);
    struct store *s = s3_open();
    if (s && store_put_new(s, "seawall.json", "{}", 2, NULL, &e) == 0 &&
        store_probe(s, "seawall.json", "{}", 2, &e) == 0)
        fencing = atomic_load(&s->fencing);
    else if (s)
        fprintf(stderr, "%s: %s\n", s3_url, e.msg);
    store_close(s);
    s3.weak = fencing == STORE_FENCING_WEAK;
    s3.unordered = s3_lacks("order");
    return fencing != STORE_FENCING_UNKNOWN;
}

#endif
