/* base/stage.h - a hidden file that gets its name when it is complete.
 *
 * The file has no name at first (O_TMPFILE), so that a crash leaves nothing behind. On a file system without O_TMPFILE
 * it has a hidden temporary name. The folder is opened once (see base/folder.h): if it is moved or replaced meanwhile,
 * the file still gets its name in the folder that was opened. */
#ifndef SEAWALL_BASE_STAGE_H
#define SEAWALL_BASE_STAGE_H

#include "base/err.h"
#include "base/folder.h"
#include "base/path.h"

#define STAGE_NAME_MAX 40

/* Writes a random hidden name, for a file that gets its own name later. Errors: those of random_bytes. */
int stage_hidden_name(char out[STAGE_NAME_MAX], struct err *e) MUST_CHECK;

struct stage {
    int fd;
    struct folder folder;
    char name[STAGE_NAME_MAX]; /* hidden temporary name in the folder; "": the file has no name */
};
#define STAGE_NONE ((struct stage){.fd = -1, .folder = {.fd = -1}})

/* Makes a hidden file with mode 0600 in the folder `dir`. The caller ends it with stage_end; after an error it need
 * not. ERR_NOTFOUND: the folder does not exist. ERR_IO. */
int stage_begin(struct stage *st, const char *dir, struct err *e) MUST_CHECK;

/* The same, in a folder that is open. `f` may be closed before the stage ends. */
int stage_begin_in(struct stage *st, const struct folder *f, struct err *e) MUST_CHECK;

/* The same as stage_begin_in, but with mode 0666 less the umask and privacy(): for files that the users of the folder
 * share. */
int stage_begin_shared(struct stage *st, const struct folder *f, struct err *e) MUST_CHECK;

/* Gives the file the name `name` in its folder. The caller syncs the file before and the folder after it. ERR_EXISTS:
 * the name exists. ERR_IO. */
int stage_link(struct stage *st, const char *name, struct err *e) MUST_CHECK;

/* Gives the file a hidden temporary name in its folder, unless it has a name. stage_end removes that name. ERR_IO. */
int stage_name(struct stage *st, struct err *e) MUST_CHECK;

/* Renames the file to `name` in its folder, and replaces a file that has that name. Precondition: stage_name was
 * called. ERR_IO. */
int stage_rename(struct stage *st, const char *name, struct err *e) MUST_CHECK;

/* Closes the file. It is lost, unless stage_link or stage_rename gave it a name. STAGE_NONE does nothing. */
void stage_end(struct stage *st);

#endif
