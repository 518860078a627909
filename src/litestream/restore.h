/* litestream/restore.h - restores a database from a replica that Litestream wrote: list, plan, write, put in place.
 *
 * The options are those of restore/restore.h, with RESTORE_DELTA an error. The restored database gets no state file: it is
 * not the continuation of a replica of Seawall. */
#ifndef SEAWALL_LITESTREAM_RESTORE_H
#define SEAWALL_LITESTREAM_RESTORE_H

#include "litestream/names.h"
#include "restore/restore.h"

struct lite_result {
    bool found;  /* the place has a replica of Litestream and none of Seawall; set after an error too */
    bool beside; /* it has objects of both: nothing was restored; set after an error too */
    /* the rest only without an error */
    struct lite_name point; /* LITE_LTX: its max is the txid; LITE_SEGMENT: the state after it; LITE_SNAPSHOT */
    int64_t time_ms;
    uint32_t page_size, pages; /* 0 with RESTORE_DRY_RUN, where they are not known */
    size_t objects;
    uint64_t bytes; /* of these objects */
    bool undo;      /* the database that was there is kept as the undo */
};

/* Whether a URL begins with a scheme at which Litestream can put a replica, and which Seawall can't read. */
bool lite_foreign_scheme(const char *url);

/* Restores the newest point, or that of options->txid or time_ms. An error leaves the target as it was.
 * RESTORE_IF_NO_DB and RESTORE_IF_REPLICA are ignored: the caller has looked. ERR_CONFIG: RESTORE_DELTA is not possible.
 * ERR_NOTFOUND: the place has no replica of Litestream, or one of Seawall too, or not that restore point. ERR_CORRUPT: the replica is damaged.
 * ERR_CONFIG: also if it is encrypted. Other errors: as restore_run. */
int lite_restore(const struct restore_options *options, struct lite_result *ret, struct err *e) MUST_CHECK;

#endif
