/* config/members.h - the databases of a configuration: those that sections name, and those that patterns match now.
 *
 *   - A section with a path is one database, also if the file does not exist yet.
 *   - A pattern gives each regular file, or link to one, that it matches, and that begins as a SQLite database does or
 *     is empty: SQLite makes an empty file first. A file that can't be opened is taken too, so that its database is
 *     reported as failed and not forgotten. Everything else is passed over, counted, and named up to a limit.
 *   - A database belongs to the section with its path, else to the first pattern in the file that matches it.
 *   - A file that patterns find by two paths, over a link, is one database. A section with one of the paths comes
 *     first, then the path without links: nobody takes the database of a neighbour by a link to it.
 *
 * The path of a member is as the section has it, or as its pattern matches it: absolute, links and all. */
#ifndef SEAWALL_CONFIG_MEMBERS_H
#define SEAWALL_CONFIG_MEMBERS_H

#include "config/file.h"

#include <sys/stat.h>

#define CONFIG_MEMBERS_MAX 100000 /* more is ERR_LIMIT */
#define CONFIG_NAMED_MAX 16       /* paths that are named for each reason */

struct config_member {
    char *path;
    char **urls; /* at least 1, in the order of the file. They can have secrets in the values of headers */
    size_t url_count;
    const struct config_db *section;
};

/* Why a path that a pattern matches is not a member. */
enum config_reason {
    REASON_COMPANION,      /* -wal, -shm, -journal, -seawall*: a file beside a database */
    REASON_NOT_A_FILE,     /* a folder, a device, a link that leads nowhere */
    REASON_NOT_A_DATABASE, /* a file that begins otherwise */
    REASON_OTHER_NAME,     /* the same file is a member by another path */
    REASON_UNREADABLE,     /* a folder that can't be read: databases in it were not found */
    REASON_NO_URL,         /* a database for which the variables give no URL, or one that is too long */
    REASONS,
};

/* Whether a file with this path or name is one that SQLite or Seawall keeps beside a database, by its name alone. */
bool config_is_companion(const char *path);

/* The reason in words, after a path: "is not a SQLite database". */
const char *config_reason_text(enum config_reason reason);

struct config_passed_over {
    char *path; /* owned */
    enum config_reason reason;
};

struct config_members {
    struct config_member *list; /* ascending by path, as strcmp has it */
    size_t count, cap;
    size_t passed_over[REASONS];      /* for each reason: paths that were passed over */
    struct config_passed_over *named; /* the first CONFIG_NAMED_MAX of each reason, in the order of the walk */
    size_t named_count, named_cap;
    size_t matched[CONFIG_DBS_MAX]; /* for each section: its members */
};

/* What the caller replicates already. Whether `path`, or the file with this st_dev and st_ino, is one of its databases:
 * then the file is taken as a database and is not opened. This must be true of each database that this process has open
 * or may open meanwhile: closing a second descriptor would drop its locks on the file. */
struct config_known {
    bool (*is)(void *context, const char *path, const struct stat *st);
    void *context;
};

/* Finds all databases. `known`: NULL if this process has no database open. The caller releases *ret with
 * config_members_release; its members point into `c`. After an error it need not.
 * If passed_over[REASON_UNREADABLE] is not 0, members can be missing: do not conclude that a database is gone.
 * ERR_LIMIT: more than CONFIG_MEMBERS_MAX. ERR_NOMEM: also if no descriptor is left. ERR_IO. */
int config_find_members(const struct config *c, const struct config_known *known, struct config_members *ret,
                        struct err *e) MUST_CHECK;
void config_members_release(struct config_members *m);

/* The member at `path`. NULL: there is none. */
const struct config_member *config_members_find(const struct config_members *m, const char *path);

/* Whether a database was passed over, or could have been: REASON_UNREADABLE and REASON_NO_URL. */
bool config_is_missed(enum config_reason reason);

/* How many paths were passed over for one of these reasons. */
size_t config_members_missed(const struct config_members *m);

/* Finds the member at one path, by the rules above. `path`: as path_absolute writes it, or as a
 * section has it. The caller releases *ret with config_member_release. ERR_NOTFOUND: no section has this path, or the
 * file is passed over; the message says why. ERR_CONFIG: the variables give no URL. ERR_NOMEM, ERR_IO. A file that two
 * links lead to is seen by config_find_members only. */
int config_member_of(const struct config *c, const char *path, const struct config_known *known,
                     struct config_member *ret, struct err *e) MUST_CHECK;

/* The section that the database at `path` belongs to, by its path alone: the one with this very path, else the first
 * pattern that matches it. For patterns `path` must be as path_absolute writes it. NULL: there is none. */
const struct config_db *config_section_of(const struct config *c, const char *path);

/* Makes the member of a section at `path`, which it has or matches. Looks at no file. ERR_CONFIG, ERR_NOMEM. */
int config_member_make(const struct config_db *section, const char *path, struct config_member *ret,
                       struct err *e) MUST_CHECK;
void config_member_release(struct config_member *m);

/* Calls `fn` for each folder in which a new name could become a member of a pattern: to watch them. A folder that
 * several patterns look into is reported for each. `fn` returns 0, or -1 with `e` to end. Errors: ERR_NOMEM, also if no
 * descriptor is left, and those of `fn`. */
int config_each_folder(const struct config *c, int (*fn)(void *context, const char *path, struct err *e), void *context,
                       struct err *e) MUST_CHECK;

/* Lists the databases that sections name with their path. Looks at no file. The caller releases *ret. ERR_NOMEM,
 * ERR_CONFIG: a URL is too long. */
int config_list_named(const struct config *c, struct config_members *ret, struct err *e) MUST_CHECK;

/* Names the place that a URL leads to, so that two URLs of one place give one text. False: the URL is wrong. */
typedef bool config_place_fn(const char *url, char out[PATH_TEXT_MAX]);

/* Checks that each place belongs to one database. Wrong URLs are left out. Calls `place_of` for each folder, and for
 * URLs that look like another one. ERR_CONFIG: the message names the place and both databases; *ret_wrong is the one
 * whose section is the later one. ERR_NOMEM. */
int config_check_places(const struct config_members *m, config_place_fn *place_of,
                        const struct config_member **ret_wrong, struct err *e) MUST_CHECK;

#endif
