/* config/find.h - what a word of the command line means in a configuration. Nothing here looks at the file of a
 * database, which may be lost. */
#ifndef SEAWALL_CONFIG_FIND_H
#define SEAWALL_CONFIG_FIND_H

#include "config/members.h"

/* Whether a daemon of this file is one of many databases: several sections, or a pattern. */
bool config_is_of_many(const struct config *c);

/* Finds the database at `path`: of the section with this very path, else of the first pattern that matches it. For a
 * pattern `path` may be relative, and may lead through links. With `path` NULL: the only database. The caller releases
 * *ret with config_member_release. ERR_CONFIG: there is none; or `path` is NULL, and there are several sections, or the
 * only one is a pattern. ERR_NOMEM. */
int config_find_db(const struct config *c, const char *path, struct config_member *ret, struct err *e) MUST_CHECK;

/* The section that config_find_db takes for `path`. NULL: there is none. It belongs to `c`. */
const struct config_db *config_find_section(const struct config *c, const char *path);

/* Finds the URL that a word means: the name of a replica, the path of a database (its first replica), a URL, or the
 * path of a folder; with `word` NULL the first replica of the only database. *ret_url belongs to `c`, or is `word`.
 * ERR_CONFIG: the word is none of these, or names a replica whose URL has variables. ERR_NOMEM. */
int config_find_url(struct config *c, const char *word, const char **ret_url, struct err *e) MUST_CHECK;

/* The URL of replica `index` of a member of `c`. *ret_url belongs to `c`. ERR_NOMEM. */
int config_find_url_at(struct config *c, const struct config_member *m, size_t index, const char **ret_url,
                       struct err *e) MUST_CHECK;

#endif
