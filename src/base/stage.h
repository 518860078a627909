/* base/stage.h - a file that nobody sees until it is whole.
 *
 * Without a name (O_TMPFILE), so that a crash leaves nothing behind; where the file system has no such files, with a hidden
 * temporary name. */
#ifndef SEAWALL_BASE_STAGE_H
#define SEAWALL_BASE_STAGE_H

#include "base/err.h"
#include "base/path.h"

struct stage {
    int fd;
    char path[PATH_TEXT_MAX]; /* "" while the file has no name at all */
};
#define STAGE_NONE ((struct stage){.fd = -1})

int stage_begin(struct stage *st, const char *dir, unsigned mode, struct err *e) MUST_CHECK;

/* Gives it the name `path`, which must not exist: ERR_EXISTS. The caller syncs the file before and the folder after. */
int stage_link(struct stage *st, const char *path, struct err *e) MUST_CHECK;

/* Gives it a hidden temporary name in `dir`, if it has none: for those who need a path. stage_end removes it. */
int stage_name(struct stage *st, const char *dir, struct err *e) MUST_CHECK;

/* Puts it in the place of `path`, whatever is there. Needs stage_name. */
int stage_rename(struct stage *st, const char *path, struct err *e) MUST_CHECK;

void stage_end(struct stage *st); /* closes; without stage_link or stage_rename nothing remains. STAGE_NONE is fine */

#endif
