/* capture/frozen.h - a copy of the pages of a database in a rollback-journal mode, as they were at one moment.
 *
 * A database in these modes stands still only while a read lock keeps its writers from committing (still.h). That
 * lock must not be held while a store is waited for. So the pages that will be sent are copied into a file first,
 * each page at the offset that it has in the database.
 *
 * The file has no name, and only its owner may read it. It is as long as the database, but sparse: it takes as much
 * room as the pages in it. It is in the folder TMPDIR if that is set, otherwise in the folder of the database. */
#ifndef SEAWALL_CAPTURE_FROZEN_H
#define SEAWALL_CAPTURE_FROZEN_H

#include "base/stage.h"
#include "capture/capture.h"

struct frozen {
    struct stage file;
    uint64_t after; /* the file holds every page whose last change is later than this txid */
};
#define FROZEN_NONE ((struct frozen){.file = STAGE_NONE})

/* Copies the pages that changed after the txid `after`, by the page map. Before: the database is held still, the map
 * is proven, and *f is FROZEN_NONE. On error *f is FROZEN_NONE. ERR_LIMIT: no room for the copy. ERR_IO. ERR_NOMEM.
 * ERR_BUSY and ERR_SQLITE from the database. */
int frozen_take(struct frozen *f, struct capture *capture, uint64_t after, struct err *e) MUST_CHECK;

/* Closes and frees the file. *f becomes FROZEN_NONE. FROZEN_NONE is fine. */
void frozen_release(struct frozen *f);

#endif
