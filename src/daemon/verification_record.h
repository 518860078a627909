/* daemon/verification_record.h - what is on record of each replica's verification: <db>-seawall-proof.json, because the
 * interval is longer than most runs of a daemon. */
#ifndef SEAWALL_DAEMON_VERIFICATION_RECORD_H
#define SEAWALL_DAEMON_VERIFICATION_RECORD_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VERIFICATION_SUFFIX "-seawall-proof.json"
#define VERIFICATION_TEXT_MAX 400

struct verification_record {
    int64_t verified_ms; /* wall clock, of the last verification that came to a result; 0: never */
    bool ok;             /* its result */
    uint64_t problems;
    char text[VERIFICATION_TEXT_MAX];    /* the first problem */
    int64_t proven_ms;                   /* wall clock of the last restore that succeeded; 0: none */
    uint64_t proven_txid;                /* the txid that it restored */
    char content[VERIFICATION_TEXT_MAX]; /* fault of the database itself that SQLite found in this restore; "": none */

    /* not kept in the file */
    char error[VERIFICATION_TEXT_MAX]; /* why the last try came to no result; "": it did */
    int error_code;                    /* the exit code of that try: texts differ in names and times */
    int64_t retry_at_ms;               /* monotonic; not before, after such a try */
};

/* The records of `count` replicas, whose URLs are `urls` as they are shown. */
struct verification_records {
    struct verification_record *list; /* owned */
    const char **urls;                /* owned; the texts are borrowed */
    size_t count;
};

/* Records of replicas that were never verified. `urls` has room for `count` texts that outlive the records. ERR_NOMEM. */
int verification_records_init(struct verification_records *r, size_t count, struct err *e) MUST_CHECK;
void verification_records_release(struct verification_records *r);

/* Reads the file. A file that is missing counts as empty, and so does one that can't be understood, with a warning in the
 * log. `database`: name of the database in the same folder, whose owner may own the file. */
void verification_records_load(struct verification_records *r, const char *path, const char *database);

/* The text of the file; the caller frees it. NULL: out of memory. */
char *verification_records_print(const struct verification_records *r);

/* Replaces the file, durably; any thread. ERR_IO. */
int verification_records_write(const char *path, const char *text, struct err *e) MUST_CHECK;

#endif
