/* capture/still.c */
#include "capture/still.h"

#include <assert.h>

int watch_hold_still(struct watch *w, struct err *e)
{
    struct watch_connection *c = &w->reader[0];
    assert(watch_is_open(w) && w->rollback);
    if (!watch_files_are_ours(w))
        return err_set(e, ERR_GONE, 0, "another file is in the place of the database");
    if (watch_connection_begin_patiently(c, e))
        return -1;
    if (!seawall_wal_index(c->file)) /* SQLite maps the wal-index only in WAL mode */
        return 0;
    watch_connection_end(c);
    return err_set(e, ERR_GONE, 0, "the database was switched to WAL mode");
}

void watch_go_on(struct watch *w)
{
    assert(watch_is_open(w) && w->rollback);
    watch_connection_end(&w->reader[0]);
}
