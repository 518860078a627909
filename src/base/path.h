/* base/path.h - builds paths in buffers of PATH_TEXT_MAX bytes. A path that does not fit is ERR_CONFIG; it is never
 * cut. */
#ifndef SEAWALL_BASE_PATH_H
#define SEAWALL_BASE_PATH_H

#include "base/err.h"

#include <stdbool.h>

#define PATH_TEXT_MAX 4096 /* with NUL */

/* Checks a path that a person gave: it is not what means something else elsewhere: '-' (standard input or output), '~'
 * that no shell has expanded, a URL, or almost one ("s3:b", "file:/x"). With "./" before it each of them is a path.
 * ERR_CONFIG: it is; the hint says what to write. */
int path_check_given(const char *path, struct err *e) MUST_CHECK;

/* Like snprintf into `out`. */
int path_format(char out[PATH_TEXT_MAX], struct err *e, const char *fmt, ...) PRINTF_LIKE(3, 4) MUST_CHECK;

/* The folder of a path: "a/b" -> "a", "b" -> ".". */
int path_parent(const char *path, char out[PATH_TEXT_MAX], struct err *e) MUST_CHECK;

/* The last part of a path. Points into `path`. */
const char *path_name(const char *path);

/* Writes the absolute path, without symbolic links, of the file that `path` leads to now. The file may be missing, its
 * folder may not. False: the folder is missing, or the result is too long, or the look failed for a reason of the moment:
 * then errno is one of io_is_passing. */
bool path_resolve(const char *path, char out[PATH_TEXT_MAX]);

/* Writes `path` as an absolute path without '.', repeated slashes, and a slash at the end. Looks at no file: links and
 * '..' stay. ERR_CONFIG: the result is too long. ERR_IO, ERR_NOTFOUND: the current folder is not known. */
int path_absolute(const char *path, char out[PATH_TEXT_MAX], struct err *e) MUST_CHECK;

/* Whether a part of the path is '..'. */
bool path_has_parent(const char *path);

/* Syncs the folder of `path`. ERR_NOTFOUND: the folder does not exist. ERR_IO. */
int path_fsync_parent(const char *path, struct err *e) MUST_CHECK;

/* The same, for a name that may have existed before. If the folder can't be opened for lack of permission, or is
 * read-only, this process did not make the name: that is not an error. */
int path_sync_name(const char *path, struct err *e) MUST_CHECK;

/* Makes the folder `path`, and those above it that are missing, with mode 0777 less the umask and privacy(). Makes each
 * new folder durable. ERR_IO: also if one of them exists and is not a folder. */
int path_make_dirs(const char *path, struct err *e) MUST_CHECK;

/* The same, for a caller that calls io_sync_file_system later. */
int path_make_dirs_unsynced(const char *path, struct err *e) MUST_CHECK;

/* Removes the folder `path` if it is empty. */
void path_remove_empty_dir(const char *path);

#endif
