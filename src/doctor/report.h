/* doctor/report.h - what `seawall doctor` finds, one finding for each thing that it looked at. */
#ifndef SEAWALL_DOCTOR_REPORT_H
#define SEAWALL_DOCTOR_REPORT_H

#include "base/err.h"
#include "base/path.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

enum doctor_weight {
    DOCTOR_OK,
    DOCTOR_WARNING, /* the replication works, and something about it is not as it should be */
    DOCTOR_ERROR,   /* the replication does not work, or what it puts is in danger */
};

struct doctor_finding {
    enum doctor_weight weight;
    const char *check;         /* its name, which is documented */
    char about[PATH_TEXT_MAX]; /* path of the database, or URL of the replica; "": the machine */
    bool of_replica;
    char database[PATH_TEXT_MAX]; /* that it concerns; "": all */
    char text[ERR_MSG_MAX];       /* may end with a hint, as the message of an error */
    enum err_code code;           /* of the error that it comes from; ERR_NONE: none */
};

struct doctor_report {
    struct doctor_finding *list; /* owned */
    size_t count, cap;
    size_t errors, warnings;
    const char *about, *database; /* of the next findings; borrowed; NULL: the machine */
    bool of_replica;
    bool no_memory;            /* findings were lost */
    const atomic_bool *cancel; /* set by the owner: ends the work when it becomes true */
};

void doctor_release(struct doctor_report *r);

/* From now on findings are about the machine, a database, or a replica of that database. The texts stay borrowed. */
void doctor_about_machine(struct doctor_report *r);
void doctor_about_database(struct doctor_report *r, const char *path);
void doctor_about_replica(struct doctor_report *r, const char *path, const char *url);

/* Add a finding. `check`: a text of the program. A warning or an error says what to do: its text ends with a hint;
 * `hint` is taken if that of the error has none. */
void doctor_say(struct doctor_report *r, enum doctor_weight weight, const char *check, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
void doctor_say_error(struct doctor_report *r, enum doctor_weight weight, const char *check, const struct err *e,
                      const char *hint);

/* The errors about a database and its replicas. */
size_t doctor_errors_of(const struct doctor_report *r, const char *path);

#endif
