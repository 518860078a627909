/* extension/trouble.h - why a call failed, for seawall_error(): SQLite has only a code for it. */
#ifndef SEAWALL_EXTENSION_TROUBLE_H
#define SEAWALL_EXTENSION_TROUBLE_H

#include "base/err.h"
#include "extension/host.h"

/* Notes the error of this thread, and writes it to SQLite's log (SQLITE_CONFIG_LOG) with `code`. Returns `code`. */
int trouble_note(const struct host *host, int code, const struct err *e);

/* The last error of this thread. ERR_NONE, with the message "": there was none. */
const struct err *trouble_last(void);
void trouble_forget(void);

#endif
