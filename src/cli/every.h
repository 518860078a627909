/* cli/every.h - works on every replica of every database of a configuration: `verify --all`, `prune --all`. The replicas
 * are found by listing the stores (cli/replicas.h), so no database has to exist. */
#ifndef SEAWALL_CLI_EVERY_H
#define SEAWALL_CLI_EVERY_H

#include "base/json.h"
#include "cli/each.h"
#include "cli/replicas.h"

/* The flags for all replicas of a configuration. */
#define FLAG_EVERY(type, all_field, jobs_field)                                                                        \
    {.name = "all",                                                                                                    \
     FLAG_INTO(type, all_field),                                                                                       \
     .help = "with -c: every replica of every database of the file, found by listing the stores"},                     \
        {.name = "jobs",                                                                                               \
         FLAG_INTO(type, jobs_field),                                                                                  \
         .max = EACH_MAX,                                                                                              \
         .value_name = "N",                                                                                            \
         .expects = "a number from 1 to 64",                                                                           \
         .help = "with --all: replicas at a time (4)"}

#define EVERY_JOBS 4 /* default of --jobs: replicas at a time, each with threads of its own */

struct every_replica {
    const char *path; /* of the database */
    const struct config_db *section;
    const char *url;
    bool alone; /* no other replica is being worked on */
};

enum every_outcome {
    EVERY_WELL,
    EVERY_FAILED, /* it was reported */
    EVERY_AGAIN,  /* too little memory beside the others; not if it is alone */
    EVERY_LEFT,   /* interrupted */
};

struct every {
    const struct config *config;
    const atomic_bool *cancel;
    unsigned at_once; /* 1 to EACH_MAX */
    const char *what; /* for the progress: "verification" */
    const char *done; /* for the summary: "verified" */
    bool json;        /* the summary is the end of a JSON document that `run` writes elements of */
    /* Works on one replica, in any thread. It prints between every_begin_output and every_end_output. */
    enum every_outcome (*run)(void *context, struct every *a, const struct every_replica *r);
    /* Prints more totals after the first line of the summary. NULL: there are none. */
    void (*totals)(void *context);
    void *context;

    /* private */
    struct replicas replicas;
    struct each each;
    struct every_item *items; /* owned */
    size_t count, failed, missing, elements;
};

/* Works on all of them, and prints a summary: with `json` as the members after a list "replicas", else as text. Returns
 * an exit code: EXIT_SOME_FAILED if some failed or a store could not be listed, EXIT_NOTHING without any replica,
 * EXIT_INTERRUPTED. */
int every_run(struct every *a);

void every_begin_output(struct every *a);
void every_end_output(struct every *a);

/* What an error of one replica leads to. Reports it on stderr with the database, unless it is to be done again or was
 * interrupted. Not between the two functions above. */
enum every_outcome every_fail(struct every *a, const struct every_replica *r, const struct err *e);

/* Prints one element of the list "replicas", with database and replica, and frees it. ERR_NOMEM: nothing is printed. */
int every_print_json(struct every *a, const struct every_replica *r, struct json *taken, struct err *e) MUST_CHECK;

#endif
