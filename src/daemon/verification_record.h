/* daemon/verification_record.h - the results of the last verifications of each replica. They are kept in the file
 * <db>-seawall-proof.json, because the interval is longer than most runs of a daemon. */
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
    bool ok;             /* it found no problem */
    uint64_t problems;
    char text[VERIFICATION_TEXT_MAX];    /* the first problem */
    int64_t proven_ms;                   /* wall clock of the last restore that succeeded; 0: none */
    uint64_t proven_txid;                /* the txid that it restored */
    char content[VERIFICATION_TEXT_MAX]; /* fault of the database itself that SQLite found in this restore; "": none */

    /* These are not in the file. */
    char error[VERIFICATION_TEXT_MAX]; /* why the last try had no result; "": it had one */
    int error_code;                    /* exit code of that try, to compare tries: texts differ in names and times */
    int64_t retry_at_ms;               /* monotonic; no try before this moment; 0: at any time */
};

/* The records of `count` replicas. `urls`: their URLs, as they are shown to people. */
struct verification_records {
    struct verification_record *list; /* owned */
    const char **urls;                /* owned; the texts are borrowed */
    size_t count;
};

/* Makes records of replicas that were never verified. The caller then sets each of r->urls to a text that outlives the
 * records. ERR_NOMEM. */
int verification_records_init(struct verification_records *r, size_t count, struct err *e) MUST_CHECK;
void verification_records_release(struct verification_records *r);

/* Reads the file. If it is missing, the replicas count as never verified. So they do if it can't be decoded; then the
 * log has a warning. `database`: name of the database in the same folder, whose owner may own the file. */
void verification_records_load(struct verification_records *r, const char *path, const char *database);

/* The text of the file; the caller frees it. NULL: out of memory. */
char *verification_records_print(const struct verification_records *r);

/* Replaces the file, and syncs it. Any thread may call this. ERR_IO. */
int verification_records_write(const char *path, const char *text, struct err *e) MUST_CHECK;

#endif
