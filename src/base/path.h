/* base/path.h - builds paths in buffers of PATH_TEXT_MAX bytes. A path that does not fit is ERR_CONFIG; it is never
 * cut. */
#ifndef SEAWALL_BASE_PATH_H
#define SEAWALL_BASE_PATH_H

#include "base/err.h"

#include <stdbool.h>

#define PATH_TEXT_MAX 4096 /* with NUL */

int path_format(char out[PATH_TEXT_MAX], struct err *e, const char *fmt, ...) PRINTF_LIKE(3, 4) MUST_CHECK;

/* The folder of a path: "a/b" -> "a", "b" -> ".". */
int path_parent(const char *path, char out[PATH_TEXT_MAX], struct err *e) MUST_CHECK;

/* The last part of a path. Points into `path`. */
const char *path_name(const char *path);

/* What a path leads to now: without links, and absolute. The last part may be missing. False: the path leads nowhere, or is
 * too long. */
bool path_resolve(const char *path, char out[PATH_TEXT_MAX]);

/* Syncs the folder of `path`. ERR_IO. */
int path_fsync_parent(const char *path, struct err *e) MUST_CHECK;

/* The same, for a name that may have been there before. A folder that we have no permission for is not an error: we did
 * not make the name. */
int path_sync_name(const char *path, struct err *e) MUST_CHECK;

/* Like mkdir -p. Makes each new folder durable. ERR_IO. */
int path_make_dirs(const char *path, struct err *e) MUST_CHECK;

#endif
