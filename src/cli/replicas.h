/* cli/replicas.h - all databases of a configuration that have a place in its stores, found by listing the stores. No
 * database has to exist: this is how a machine that lost them finds them again.
 *
 * Folders of a store are listed only where the pattern of a section has wildcards (config/places.h), and never what is
 * in a replica. Whether a place has a replica is not looked at here: place_look does that.
 *
 * Where the names of a place do not say which database it is, seawall.json and the notes of later writers do
 * (replica/writer.h): their path counts if the pattern matches it and it has its replica at this very place. A place that
 * several databases could have gets one, or none (cli/contest.h). */
#ifndef SEAWALL_CLI_REPLICAS_H
#define SEAWALL_CLI_REPLICAS_H

#include "config/members.h"

#include <stdatomic.h>

struct replicas_db {
    char *path; /* owned */
    const struct config_db *section;
    uint32_t at; /* bit k: replica k of the section may be there; not 0 */
};

struct replicas {
    struct replicas_db *list; /* owned; ascending by path */
    size_t count, cap;
    uint64_t strange; /* things in the listed folders that are no place of a database: files, other names */
    size_t failed;    /* folders of stores that could not be listed, or places that do not say whose they are:
                    * reported */
    struct err error; /* the first of these */
};

/* Finds all databases. Reports on stderr what fails, and sections without any place. The caller releases *ret with
 * replicas_release. `jobs`: folders that are listed at a time. ERR_NOMEM; ERR_LIMIT: more than CONFIG_MEMBERS_MAX;
 * ERR_CLAIM: more names than the budget of base/claim.h has room for; ERR_CANCELED. */
int replicas_find(const struct config *c, unsigned jobs, const atomic_bool *cancel, struct replicas *ret,
                  struct err *e) MUST_CHECK;
void replicas_release(struct replicas *r);

#endif
