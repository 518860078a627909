/* config/places.h - from the place of a replica back to the path of its database: the inverse of variables.h, for a
 * machine that has lost its databases.
 *
 * The URL of a section is a fixed beginning, the *root*, and levels of names below it: one for each slash after the
 * first variable that wildcards of the section have a part in. Wildcards match no slash, so {path} is as many levels as
 * the pattern has parts. For [db /srv/tenants/?*.d/app.db] and s3://b/{path}: root "s3://b/srv/tenants/", levels "?*.d"
 * and "app.db".
 *
 * The names of a place give the path of the database if each part of the path that has wildcards is in one of them, and
 * if the names can be divided in one way only. Otherwise several databases could be meant:
 *   - {folder} of /srv/x/y/app.db with wildcards in x and y does not say x;
 *   - {stem} does not say the ending, unless each name that the pattern matches has the same: the one of "[ab]*.db";
 *   - {folder}-{stem} is "a-b-c" for a/b-c and for a-b/c.
 *
 * Names come from a store, and can be those of others. Only a path that the pattern matches is ever returned, and none
 * that has "." or "..". */
#ifndef SEAWALL_CONFIG_PLACES_H
#define SEAWALL_CONFIG_PLACES_H

#include "config/file.h"

#define PLACES_LEVELS_MAX (PATTERN_PARTS_MAX + 64)

struct places_piece {
    enum { PIECE_TEXT, PIECE_PART, PIECE_STEM } kind;
    char *text;  /* PIECE_TEXT: owned, decoded */
    size_t part; /* PIECE_PART: of the pattern */
};

struct places_level {
    struct places_piece *pieces; /* owned; at least one */
    size_t count, cap;
    bool wild; /* its name is not known */
};

struct places {
    const struct config_db *section; /* borrowed */
    const char *url;                 /* of the section; borrowed */
    char root[CONFIG_URL_MAX];       /* without its query */
    struct places_level *levels;     /* owned */
    size_t level_count, level_cap;
    const char *ending; /* of each name that the pattern matches: ".db"; NULL: it is not always the same. Borrowed */
    bool complete;      /* the levels have each part of the path */
};

/* Prepares replica `replica` of a section that is a pattern. The section must outlive `ret`. The caller releases *ret
 * with places_release; after an error it need not. ERR_CONFIG: wildcards have a part in the name of the
 * bucket, whose names can't be listed; or the URL is too long. ERR_NOMEM. */
int places_init(struct places *ret, const struct config_db *section, size_t replica, struct err *e) MUST_CHECK;
void places_release(struct places *p);

/* The name of a level that has no wildcards: its text. NULL: the level has wildcards. */
const char *places_known_name(const struct places *p, size_t level);

/* Whether a replica of the section can be below the name at this level. */
bool places_may_have(const struct places *p, size_t level, const char *name);

/* Writes the URL of what the first `count` names lead to. ERR_CONFIG: it is longer than CONFIG_URL_MAX. */
int places_url(const struct places *p, const char *const *names, size_t count, char out[CONFIG_URL_MAX],
               struct err *e) MUST_CHECK;

/* The path of the database whose replica is at the place, by its names, one for each level. PLACES_SEVERAL: it can be
 * several, or the names do not say it. Looks at the pattern alone, and not at excluded paths and other sections. */
enum places_answer { PLACES_NONE, PLACES_ONE, PLACES_SEVERAL };
enum places_answer places_path(const struct places *p, const char *const *names, char out[PATH_TEXT_MAX]);

/* Whether the pattern matches `path`, an absolute path, and its replica is at the place with these names. */
bool places_fit(const struct places *p, const char *const *names, const char *path);

#endif
