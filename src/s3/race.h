/* s3/race.h - finds out whether a server puts exclusively, by a race: several PUTs of one key with If-None-Match at the
 * same moment. Exactly one may succeed, which wins. If a server looks for the key in one step and stores it in another,
 * several can win. */
#ifndef SEAWALL_S3_RACE_H
#define SEAWALL_S3_RACE_H

#include "s3/client.h"

enum s3_race_result {
    S3_RACE_EXCLUSIVE,    /* in each round at most one PUT won, and others were refused */
    S3_RACE_SEVERAL_WON,  /* the server ignores If-None-Match, or looks and stores in two steps */
    S3_RACE_NO_CONDITION, /* the server does not know If-None-Match */
};

struct s3_race {
    unsigned racers;           /* PUTs at the same moment: 2 to STORE_RACERS_MAX */
    const atomic_bool *cancel; /* see struct s3_op */
};

/* Runs the race on keys below STORE_PROBE_PREFIX with random names, and removes them; a removal that fails leaves a
 * small object. Errors: those of a PUT, if the answers of the others decide nothing. */
int s3_race(struct s3_client *c, const struct s3_race *race, enum s3_race_result *ret_result, struct err *e) MUST_CHECK;

#endif
