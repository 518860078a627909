/* base/folder.h - files by name in a folder that may belong to another user.
 *
 * The daemon and the commands often run as root beside a database of another user. That user can put a symbolic link, a
 * FIFO, a second name of any file, or another folder where Seawall expects a file of its own. So:
 *   - A folder is opened once. Every name is looked up from its descriptor, so nothing changes if another folder takes
 *     its place meanwhile.
 *   - The last part of a path is never followed if it is a symbolic link. Opening never blocks.
 *   - Before Seawall writes or truncates a file, or changes its owner or mode, it checks the file by its descriptor:
 *     the file is regular, has one name, and is ours (struct folder_file).
 * The path of the folder itself may lead through symbolic links: the person who gave it chose it.
 *
 * Preconditions of all functions: a folder that is passed is open, and a name has no '/'. */
#ifndef SEAWALL_BASE_FOLDER_H
#define SEAWALL_BASE_FOLDER_H

#include "base/path.h"

#include <stdbool.h>
#include <sys/stat.h>

/* Whether /proc leads to the open files of this process. */
bool folder_has_proc(void);

struct folder {
    int fd;                   /* O_PATH; -1: not open */
    char path[PATH_TEXT_MAX]; /* as it was given, for messages */
};
#define FOLDER_NONE ((struct folder){.fd = -1})

/* Opens the folder `path`. The caller closes it with folder_close, which does nothing to FOLDER_NONE.
 * ERR_NOTFOUND: it does not exist. ERR_IO. */
int folder_open(struct folder *f, const char *path, struct err *e) MUST_CHECK;
void folder_close(struct folder *f);

/* A folder is trusted if this user, root or one of `owners` owns it, and if group and others can't write to it. They
 * may write to a folder with the sticky bit: there they can't replace our files. */
struct folder_trust {
    mode_t make;      /* a missing folder is made with this mode, but not its parent; 0: the folder must exist */
    bool may_be_link; /* its last part may be a symbolic link: a person chose it */
    const uid_t *owners;
    size_t owner_count;
};

/* Opens the folder `path` and checks it. The caller closes it. ERR_NOTFOUND: it, or its parent, does not exist.
 * ERR_CONFIG: it is not a folder, or others could put files there. ERR_IO. */
int folder_open_trusted(struct folder *f, const char *path, const struct folder_trust *t, struct err *e) MUST_CHECK;

/* Checks that no symbolic link is on the way from the folder `top`, which may itself be one, to `path`, which begins with
 * the text of `top`. What does not exist yet is none. ERR_CONFIG: a link, or something that is not a folder, or '..',
 * is on the way; or `path` itself is a link. ERR_IO. */
int folder_check_below(const char *top, const char *path, struct err *e) MUST_CHECK;

/* Opens the folder that holds `path`. Errors: as folder_open. */
int folder_open_parent(struct folder *f, const char *path, struct err *e) MUST_CHECK;

/* Makes the names in the folder durable. ERR_IO. */
int folder_sync(const struct folder *f, struct err *e) MUST_CHECK;

/* Finds out what `name` is. Does not follow a symbolic link. *ret_there: whether the name exists; a name that is too
 * long for the file system does not. *ret_stat is set if it exists. ERR_IO. */
int folder_look(const struct folder *f, const char *name, struct stat *ret_stat, bool *ret_there,
                struct err *e) MUST_CHECK;

/* Removes a name, if it exists. If it is a symbolic link, only the link goes. ERR_IO: also if it is a folder. */
int folder_remove(const struct folder *f, const char *name, struct err *e) MUST_CHECK;

/* Renames within the folder. Replaces `to` if it exists. Follows no symbolic link. ERR_NOTFOUND: `from` does not exist.
 * ERR_IO. */
int folder_rename(const struct folder *f, const char *from, const char *to, struct err *e) MUST_CHECK;

/* Gives the file `from` a second name. ERR_EXISTS: `to` exists. ERR_IO. */
int folder_link(const struct folder *f, const char *from, const char *to, struct err *e) MUST_CHECK;

enum folder_access {
    FOLDER_READ,   /* the file must exist */
    FOLDER_UPDATE, /* read and write; the file must exist */
    FOLDER_MAKE,   /* read and write; makes the file with mode 0600 if there is none */
};

/* A file that Seawall expects in a folder. */
struct folder_file {
    const char *name;
    enum folder_access access;
    const char *like; /* name of the database in the same folder, whose owner may own the file. NULL: only we may */
    bool (*is_ours)(int fd); /* whether a file that is not empty has our contents. False with an errno of io_is_passing:
                              * it can't be read now. NULL: any contents will do */
    bool may_be_linked;      /* the file may have several names */
};

/* Opens a file and checks that it is ours. It is ours if it is a regular file, has one name, is empty or has our
 * contents, and belongs to this user or to the owner of file->like. If it has our contents, its owner does not matter:
 * a daemon that runs as a third user may have made it.
 * The caller closes *ret_fd. ERR_NOTFOUND: there is no file. ERR_CONFIG: the file is not ours. ERR_IO. */
int folder_open_file(const struct folder *f, const struct folder_file *file, int *ret_fd, struct err *e) MUST_CHECK;

/* The same in one call, for the file at `path`. file->name must be the last part of it. */
int folder_open_path(const char *path, const struct folder_file *file, int *ret_fd, struct err *e) MUST_CHECK;

/* Gives an open file the owner and group of file->like, if this process is root and the file belongs to root. If the
 * owner can't be changed, the file stays root's, which works too. */
void folder_give_to_owner(const struct folder *f, const struct folder_file *file, int fd);

/* Removes a file, if it exists and is ours by the rules of folder_open_file. ERR_CONFIG: it is not ours, and stays.
 * ERR_IO. */
int folder_remove_file(const struct folder *f, const struct folder_file *file, struct err *e) MUST_CHECK;

/* A folder of our own, with mode 0700 and a random name, in a folder that may belong to another user. */
struct folder_temporary {
    struct folder parent, own;
    char name[64]; /* in the parent */
};

/* Makes a folder `<parent>/<prefix>-<random>`. `prefix` has at most 40 bytes. The caller removes it with
 * folder_remove_temporary. ERR_NOTFOUND: the parent does not exist. ERR_IO. */
int folder_make_temporary(struct folder_temporary *t, const char *parent, const char *prefix, struct err *e) MUST_CHECK;

/* Writes a path of the file `name` in the folder. Where the system has /proc, the path leads into the folder even if
 * another user moves the folder meanwhile. ERR_CONFIG: the path is too long. */
int folder_temporary_path(const struct folder_temporary *t, const char *name, char out[PATH_TEXT_MAX],
                          struct err *e) MUST_CHECK;

/* Removes all files in the folder, and the folder, and closes it. If the folder was moved, it stays, but empty.
 * ERR_IO: a file or the folder stays; the message names it. The folder is closed then too. */
int folder_remove_temporary(struct folder_temporary *t, struct err *e) MUST_CHECK;

/* Checks that a file beside the database at `db_path` can have its name with `suffix`, the longest suffix in use.
 * ERR_CONFIG: that name is too long. */
int folder_check_database_name(const char *db_path, const char *suffix, struct err *e) MUST_CHECK;

/* Checks that the database at `db_path`, if it exists, has one name, and is not a mount of a single file, which has
 * another name elsewhere. SQLite keeps a -wal for each name: Seawall would not see commits by another name, and they
 * could be lost. ERR_CONFIG: it has several names. */
int folder_check_one_name(const char *db_path, struct err *e) MUST_CHECK;

/* Checks the files that SQLite will open beside the database at `db_path`: each of -wal, -shm and -journal is missing,
 * or a regular file with one name. Otherwise SQLite could write into a file that another user linked there.
 * ERR_CONFIG: one of them is something else. ERR_NOTFOUND: there is no folder. ERR_IO. */
int folder_check_sqlite_files(const char *db_path, struct err *e) MUST_CHECK;

#endif
