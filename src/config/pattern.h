/* config/pattern.h - paths with wildcards, as in [db /srv/tenants/?*.d/[ab]*.db].
 *
 * A pattern is compared with a path part by part: a wildcard never matches a slash, so a pattern and the paths that it
 * matches have equally many parts.
 *
 *   *      any bytes, also none
 *   ?      one byte
 *   [ab]   one of these bytes; [a-z] a range, [!ab] any other byte
 *
 * A name that begins with a dot is matched only by a part that begins with a dot. A backslash has no meaning: [*], [?]
 * and [[] match the characters themselves. A path with one of the three characters is always a pattern, also if a
 * file of this name exists. Otherwise anybody who can make that file could switch the pattern off. */
#ifndef SEAWALL_CONFIG_PATTERN_H
#define SEAWALL_CONFIG_PATTERN_H

#include "base/path.h"

#include <stddef.h>
#include <stdint.h>

#define PATTERN_PARTS_MAX 64 /* names between slashes; one bit each in `wild` */

struct pattern {
    char *written; /* as pattern_read was given it */
    char *parts;   /* the parts of the absolute path one after the other, each with a NUL */
    size_t count;  /* of parts, at least 1 */
    uint64_t wild; /* bit i: part i has wildcards */
};

/* Whether a path has wildcards. */
bool pattern_is(const char *path);

/* Reads a pattern. A relative one begins at the current folder, whose name has no wildcards whatever its characters.
 * The caller releases *ret with pattern_release.
 * ERR_CONFIG: it has '..', '**', or a '[' without ']', ends with a slash, is the root folder, or has too many parts.
 * ERR_IO, ERR_NOTFOUND: the current folder is not known. ERR_NOMEM. */
int pattern_read(struct pattern *ret, const char *path, struct err *e) MUST_CHECK;
void pattern_release(struct pattern *p); /* also of a zeroed one */

/* Part `index` of the pattern. Precondition: index < count. */
const char *pattern_part(const struct pattern *p, size_t index);

/* Whether part `index` has wildcards, and whether it matches a name. Precondition: index < count. */
bool pattern_part_is_wild(const struct pattern *p, size_t index);
bool pattern_part_matches(const struct pattern *p, size_t index, const char *name);

/* What each name that the last part matches ends with: its text after the last wildcard. Points into `p`. */
const char *pattern_tail(const struct pattern *p);

/* Whether the pattern matches `path`, an absolute path as path_absolute writes it. Looks at no file. */
bool pattern_matches(const struct pattern *p, const char *path);

/* False: no path matches both patterns. */
bool pattern_may_meet(const struct pattern *a, const struct pattern *b);

/* Whether the pattern matches everything that `other` finds below the folder `path`, which matches the first `parts`
 * parts of `other`. Each part below is the same in both, or is '*' in this one. */
bool pattern_covers(const struct pattern *p, const struct pattern *other, const char *path, size_t parts);

/* What a walk reports. Each function returns 0, or -1 with `e` to end the walk. NULL: not wanted. */
struct pattern_walk {
    /* A path that the pattern matches. It can be a file, a folder or anything else. If the last part of the pattern has
     * no wildcards, the path may be missing, and the folder above it too. */
    int (*found)(void *context, const char *path, struct err *e);
    /* An existing folder in which a new name could lead to a match: it holds names that match a part with wildcards or
     * the last part, or it would hold a part that is missing. `parts`: how many parts of the pattern its path is. */
    int (*folder)(void *context, const char *path, size_t parts, struct err *e);
    /* A folder that can't be read; sys: errno. What the pattern matches in it was not found. */
    int (*unreadable)(void *context, const char *path, size_t parts, int sys, struct err *e);
    void *context;
};

/* Looks for everything that the pattern matches now, in the order of the folders. Follows links to folders. A folder
 * that vanishes meanwhile is passed over. ERR_NOMEM: also if no descriptor is left. Else the errors of the
 * functions. */
int pattern_walk(const struct pattern *p, const struct pattern_walk *w, struct err *e) MUST_CHECK;

#endif
