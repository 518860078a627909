/* capture/frozen.h - pages of a database in a rollback-journal mode, as they were at one moment.
 *
 * Such a database stands still only while a read lock keeps its writers from committing, and a lock must not be held while a store
 * is waited for. So the pages that will be sent are copied into a file, each at the offset that it has in the database. The file
 * has no name and nobody else's permissions, and it is sparse: it takes as much room as is sent.
 *
 * It lies in the folder TMPDIR if that is set, otherwise beside the database. */
#ifndef SEAWALL_CAPTURE_FROZEN_H
#define SEAWALL_CAPTURE_FROZEN_H

#include "base/stage.h"
#include "capture/capture.h"

struct frozen {
    struct stage file;
    uint64_t after; /* it holds every page whose last change is later */
};
#define FROZEN_NONE ((struct frozen){.file = STAGE_NONE})

/* Copies the pages that the map says were changed after `after`. Only while the database is held still and the map is proven.
 * ERR_LIMIT: no room for it. ERR_IO. On error nothing is left. */
int frozen_take(struct frozen *f, struct capture *capture, uint64_t after, struct err *e) MUST_CHECK;
void frozen_release(struct frozen *f); /* FROZEN_NONE is fine, and is what remains */

#endif
