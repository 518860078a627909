/* doctor/database.h - looks at a database from outside. Opens it not, and writes nothing: a running application or
 * daemon notices nothing. */
#ifndef SEAWALL_DOCTOR_DATABASE_H
#define SEAWALL_DOCTOR_DATABASE_H

#include "config/options.h"
#include "doctor/report.h"
#include "state/identity.h"

#include <sys/types.h>

struct doctor_database {
    const char *path;              /* as it was given; borrowed */
    const struct options *options; /* borrowed */
    bool followed;                 /* a daemon runs on it, and answers */

    /* what was found */
    bool usable;               /* it is a database, or can become one */
    bool there;                /* the file exists, and is not empty */
    uint64_t bytes;            /* of it */
    mode_t mode;               /* of the file; 0: there is none */
    dev_t device;              /* of its file system */
    bool known;                /* it has a state file with an identity */
    struct identity *identity; /* if known; owned */
};

/* Fills in what was found. The caller releases `d`. Before: this process does not have the database open. */
void doctor_look_at_database(struct doctor_report *r, struct doctor_database *d);
void doctor_database_release(struct doctor_database *d);

#endif
