/* cli/contest.h - leaves each place in a store to one database, although URLs of several sections can lead there.
 *
 * The daemon sees this conflict only if both databases exist. A machine that lost them has only the stores, and there
 * each place looks like the replica of each section: one database would be restored to two paths, or pruned by the
 * rules of another one. So:
 *   1. A section that names its database has its place, whatever patterns say.
 *   2. Otherwise seawall.json and the notes of later writers decide: they must name exactly one of the databases.
 *   3. Otherwise nobody has the place, and that is a failure.
 * The same holds for a place in a folder that could not be listed for another section, and for a place that another
 * section has, but without knowing for which of its databases. */
#ifndef SEAWALL_CLI_CONTEST_H
#define SEAWALL_CLI_CONTEST_H

#include "config/file.h"

#include <stdatomic.h>

struct contest_claim {
    const char *path; /* of the database; borrowed */
    const struct config_db *section;
    size_t replica; /* of the section */
    char *url;      /* of the replica; NULL: there is none, and the claim stays. Owned by the caller, as is `place` */
    char *place;    /* as cli_place_of writes it */
    bool lost;      /* result: the place is not that of this database */
};

/* A folder of a store that could not be listed, or a place whose database is not known. */
struct contest_unread {
    char *place; /* as above */
    const struct config_db *section;
};

struct contest {
    struct contest_claim *claims; /* are sorted */
    size_t count;
    const struct contest_unread *unread;
    size_t unread_count;
    unsigned jobs; /* places that are asked at a time */
    const atomic_bool *cancel;
    size_t failed;    /* result: places for which nothing decides, or that could not be asked: reported on stderr */
    size_t empty;     /* result: places without a replica that several databases claim */
    struct err error; /* of the first failure */
};

/* Decides. ERR_NOMEM; ERR_CANCELED. */
int contest_settle(struct contest *c, struct err *e) MUST_CHECK;

#endif
