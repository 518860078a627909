/* doctor/place.h - looks at the place of a replica, and tries what a daemon does there.
 *
 * It puts small objects below STORE_PROBE_PREFIX, which everything else passes over, and removes them again. What a
 * killed process left there, the next one removes. In a bucket that keeps versions they stay as hidden versions. */
#ifndef SEAWALL_DOCTOR_PLACE_H
#define SEAWALL_DOCTOR_PLACE_H

#include "doctor/database.h"

struct doctor_place {
    const char *url;                       /* borrowed */
    const struct doctor_database *db;      /* that was looked at; borrowed */
    bool attached;                         /* its daemon says that the replica is its own */
    bool only_look;                        /* put nothing there */
    void (*retrying)(const struct err *e); /* called when a request is tried again; NULL: not called */
};

void doctor_look_at_place(struct doctor_report *r, const struct doctor_place *p);

#endif
