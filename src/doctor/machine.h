/* doctor/machine.h - looks at what all databases of a daemon share: SQLite, limits of this process, inotify. */
#ifndef SEAWALL_DOCTOR_MACHINE_H
#define SEAWALL_DOCTOR_MACHINE_H

#include "doctor/report.h"

#include <stdint.h>

/* What a daemon for these databases needs. */
struct doctor_needs {
    size_t databases, replicas;
    uint64_t largest_bytes; /* of a database */
    size_t folders;         /* that are watched for new databases */
};

void doctor_look_at_machine(struct doctor_report *r, const struct doctor_needs *needs);

/* Whether this version of SQLite has the WAL-reset bug. `version`: as sqlite3_libversion_number gives it. */
bool doctor_has_wal_reset_bug(int version);

#endif
