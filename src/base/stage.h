/* base/stage.h - a hidden file that gets its name when it is complete.
 *
 * It has no name (O_TMPFILE), so that a crash leaves nothing behind. On a file system without O_TMPFILE it has a hidden
 * temporary name. */
#ifndef SEAWALL_BASE_STAGE_H
#define SEAWALL_BASE_STAGE_H

#include "base/err.h"
#include "base/path.h"

struct stage {
    int fd;
    char path[PATH_TEXT_MAX]; /* "": the file has no name */
};
#define STAGE_NONE ((struct stage){.fd = -1})

/* Makes a hidden file in `dir`. ERR_NOTFOUND: the folder does not exist. ERR_IO. */
int stage_begin(struct stage *st, const char *dir, unsigned mode, struct err *e) MUST_CHECK;

/* Gives the file the name `path`. The caller syncs the file before and the folder after it. ERR_EXISTS: the name
 * exists. ERR_IO. */
int stage_link(struct stage *st, const char *path, struct err *e) MUST_CHECK;

/* Gives the file a hidden temporary name in `dir`, unless it has one. stage_end removes that name. ERR_IO. */
int stage_name(struct stage *st, const char *dir, struct err *e) MUST_CHECK;

/* Renames the file to `path`, and replaces a file that is there. Precondition: stage_name. ERR_IO. */
int stage_rename(struct stage *st, const char *path, struct err *e) MUST_CHECK;

/* Closes the file. Unless it got a name by stage_link or stage_rename, it is gone. STAGE_NONE does nothing. */
void stage_end(struct stage *st);

#endif
