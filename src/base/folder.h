/* base/folder.h - files by name in a folder that may belong to another user.
 *
 * The daemon and the commands often run as root beside a database of another user. That user can put a symbolic link, a
 * FIFO, a second name of any file, or another folder where Seawall expects a file of its own. So:
 *   - A folder is opened once. Every name is looked up from its descriptor: a folder that is swapped meanwhile changes
 *     nothing.
 *   - The last part of a path is never followed if it is a symbolic link. Opening never blocks.
 *   - Before Seawall writes, truncates, or changes owner or mode of a file, the file is checked by its descriptor: it is
 *     regular, has one name, and is ours (struct folder_file).
 * The path of the folder itself may lead through symbolic links: it is the choice of the person who gave it. */
#ifndef SEAWALL_BASE_FOLDER_H
#define SEAWALL_BASE_FOLDER_H

#include "base/path.h"

#include <stdbool.h>
#include <sys/stat.h>

/* Limits what this process makes from now on, by its umask: a class of users (group, others) that may not read a file of
 * mode `like` gets no permission at all, one that may not write it gets no permission to write. `like`: the mode of the
 * database. Replicas of a private database are private then. */
void folder_keep_private(mode_t like);

/* The permissions that folder_keep_private takes away; 0: none. Any thread. */
mode_t folder_private_bits(void);

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

/* A folder into which nobody else may put anything: only this user, root and `owners` can write to it (or it has the
 * sticky bit, so that they can't replace what we put there). */
struct folder_trust {
    mode_t make;      /* make the folder with this mode if it is missing, but not its parent; 0: it must be there */
    bool may_be_link; /* its last part may be a symbolic link: a person chose it */
    const uid_t *owners;
    size_t owner_count;
};

/* Opens the folder `path` and checks it. The caller closes it. ERR_NOTFOUND: it, or its parent, does not exist. ERR_CONFIG:
 * it is not a folder, or others could put files there. ERR_IO. */
int folder_open_trusted(struct folder *f, const char *path, const struct folder_trust *t, struct err *e) MUST_CHECK;

/* Opens the folder that holds `path`. Errors: as folder_open. */
int folder_open_parent(struct folder *f, const char *path, struct err *e) MUST_CHECK;

/* Makes the names in the folder durable. ERR_IO. */
int folder_sync(const struct folder *f, struct err *e) MUST_CHECK;

/* Reads what `name` is. Does not follow a symbolic link. *ret_there is false if the name does not exist, also because
 * it is longer than a name can be. ERR_IO. */
int folder_look(const struct folder *f, const char *name, struct stat *ret_stat, bool *ret_there,
                struct err *e) MUST_CHECK;

/* Removes a name, if it is there. What the name leads to is not touched. ERR_IO: also if it is a folder. */
int folder_remove(const struct folder *f, const char *name, struct err *e) MUST_CHECK;

/* Renames within the folder, and replaces what `to` is. Follows no symbolic link. ERR_NOTFOUND: there is no `from`.
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
    bool (*is_ours)(int fd); /* whether a file that is not empty has our contents. NULL: any contents will do */
    bool may_be_linked;      /* the file may have several names */
};

/* Opens a file and checks that it is ours: a regular file; with one name; that belongs to this user, or to the owner of
 * file->like; that is empty or has our contents. A file of a third user counts too if it has our contents: a daemon that
 * runs as a user of its own made it.
 * The caller closes *ret_fd. ERR_NOTFOUND: there is none. ERR_CONFIG: the name leads to something that is not ours.
 * ERR_IO. */
int folder_open_file(const struct folder *f, const struct folder_file *file, int *ret_fd, struct err *e) MUST_CHECK;

/* The same in one call, for the file at `path`. file->name must be the last part of it. */
int folder_open_path(const char *path, const struct folder_file *file, int *ret_fd, struct err *e) MUST_CHECK;

/* Gives an open file the owner of file->like, if this process is root and the file is its own. A file of
 * another owner stays as it is. If the owner can't be changed, the file stays root's: it works all the same. */
void folder_give_to_owner(const struct folder *f, const struct folder_file *file, int fd);

/* Removes a file, if it is there and is ours, as folder_open_file checks it. ERR_CONFIG: it is not ours, and stays.
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

/* A path of the file `name` in the folder. Where the system has /proc, it leads into the folder even if another user
 * moves the folder meanwhile. ERR_CONFIG: the path is too long. */
int folder_temporary_path(const struct folder_temporary *t, const char *name, char out[PATH_TEXT_MAX],
                          struct err *e) MUST_CHECK;

/* Removes all files in the folder, and the folder. If the folder was moved, its files are removed and the empty folder
 * stays. Then the folder is closed. ERR_IO: something stays; the message names it. */
int folder_remove_temporary(struct folder_temporary *t, struct err *e) MUST_CHECK;

/* Checks that the name of the database at `db_path` leaves room for `suffix`, the longest that a file beside it needs.
 * ERR_CONFIG: it is too long. */
int folder_check_database_name(const char *db_path, const char *suffix, struct err *e) MUST_CHECK;

/* Checks that the database at `db_path`, if there is one, has one name, and is not a mount of a single file, which has
 * another name elsewhere. SQLite keeps a -wal for each name: commits by another name would be seen by nobody, and could be
 * lost. ERR_CONFIG: it has several names. */
int folder_check_one_name(const char *db_path, struct err *e) MUST_CHECK;

/* Checks the files that SQLite will open beside the database at `db_path`: each of -wal, -shm and -journal is missing,
 * or a regular file with one name. SQLite would write into a file that another user linked there.
 * ERR_CONFIG: one of them is something else. ERR_NOTFOUND: there is no folder. ERR_IO. */
int folder_check_sqlite_files(const char *db_path, struct err *e) MUST_CHECK;

#endif
