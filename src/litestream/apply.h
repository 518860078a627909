/* litestream/apply.h - writes the database of a plan into a file. */
#ifndef SEAWALL_LITESTREAM_APPLY_H
#define SEAWALL_LITESTREAM_APPLY_H

#include "litestream/plan.h"

struct lite_applied {
    uint32_t page_size, pages;
    int64_t time_ms;        /* of the point */
    struct lite_object *at; /* the object that was read last, in the contents: after an error, the one that it is about.
                               NULL: none was read */
};

/* `fd`: an empty file. `spool`: another one, for one WAL at a time; -1 if p->kind is LITE_LTX. `ret` is set after an
 * error too. ERR_CORRUPT, ERR_CONFIG: an object is damaged or encrypted; the message names it. ERR_GONE: an object does
 * not exist any more. ERR_CANCELED, ERR_CLAIM, ERR_NOMEM, ERR_IO, and the errors of the store. After an error the files
 * may hold anything. */
int lite_apply(struct store *store, const struct lite_plan *p, const struct feed_options *options, int fd, int spool,
               struct lite_applied *ret, struct err *e) MUST_CHECK;

#endif
