/* base/path.h - paths as text, in buffers of PATH_TEXT_MAX; a path that does not fit is an error, never cut. */
#ifndef SEAWALL_BASE_PATH_H
#define SEAWALL_BASE_PATH_H

#include "base/err.h"

#define PATH_TEXT_MAX 4096

int path_format(char out[PATH_TEXT_MAX], struct err *e, const char *fmt, ...) PRINTF_LIKE(3, 4) MUST_CHECK;
int path_parent(const char *path, char out[PATH_TEXT_MAX], struct err *e) MUST_CHECK; /* "a/b" -> "a", "b" -> "." */
const char *path_name(const char *path);                                              /* what follows the last slash */
int path_fsync_parent(const char *path, struct err *e) MUST_CHECK; /* syncs the folder that holds `path` */
int path_sync_name(const char *path, struct err *e) MUST_CHECK;    /* the name of a folder that was there already */
int path_make_dirs(const char *path, struct err *e) MUST_CHECK;    /* like mkdir -p, each level made durable */

#endif
