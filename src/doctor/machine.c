/* doctor/machine.c */
#include "doctor/machine.h"

#include "base/disk.h"
#include "base/io.h"
#include "base/units.h"

#include <errno.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <unistd.h>

/* Of one open database: three connections with a database, a -wal and a -shm each, the state file, two to look at
 * locks, and what its jobs open. */
#define FILES_OF_DATABASE 14
#define FILES_OF_DAEMON 64
#define FILES_OF_REPLICA 4
#define WATCHES_OF_DATABASE 10 /* the -wal twice, the file, and the folders on the way to it */
#define WATCHES_OF_REPLICA 8   /* the folders of a replica that is a folder */
#define INSTANCES_OF_DAEMON 3

/* ---- SQLite */

/* Fixed in 3.51.3, and before that in 3.50.7 and 3.44.6. */
bool doctor_has_wal_reset_bug(int version)
{
    if (version < 3007000 || version >= 3051003)
        return false;
    return !(version >= 3050007 && version < 3051000) && !(version >= 3044006 && version < 3045000);
}

static void look_at_sqlite(struct doctor_report *r)
{
    static const char check[] = "sqlite";
    const int version = sqlite3_libversion_number();
    if (!sqlite3_threadsafe())
        doctor_say(r, DOCTOR_ERROR, check,
                   "SQLite %s was built without threads, which the daemon needs" TEXT_HINT
                   "install the libsqlite3 of the distribution",
                   sqlite3_libversion());
    else if (sqlite3_compileoption_used("OMIT_WAL"))
        doctor_say(r, DOCTOR_ERROR, check,
                   "SQLite %s was built without WAL mode" TEXT_HINT "install the libsqlite3 of the distribution",
                   sqlite3_libversion());
    else if (version < SQLITE_VERSION_NUMBER)
        doctor_say(r, DOCTOR_WARNING, check,
                   "seawall was built with SQLite %s, and runs with %s, which is older" TEXT_HINT
                   "install the version that it was built with, or build it again; 'ldd' shows which library is used",
                   SQLITE_VERSION, sqlite3_libversion());
    else if (doctor_has_wal_reset_bug(version))
        doctor_say(r, DOCTOR_OK, check,
                   "SQLite %s. It has the WAL-reset bug of 3.7.0 to 3.51.2, which can't strike while a daemon is "
                   "attached; update the SQLite of applications that run without one",
                   sqlite3_libversion());
    else
        doctor_say(r, DOCTOR_OK, check, "SQLite %s", sqlite3_libversion());
}

/* ---- limits */

static void look_at_open_files(struct doctor_report *r, const struct doctor_needs *n)
{
    static const char check[] = "open-files";
    struct rlimit limit;
    const uint64_t needed =
        FILES_OF_DAEMON + FILES_OF_DATABASE * (uint64_t)n->databases + FILES_OF_REPLICA * (uint64_t)n->replicas;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < needed)
        doctor_say(r, DOCTOR_ERROR, check,
                   "%" PRIu64 " files may be open, and %zu databases with %zu replicas need up to %" PRIu64 TEXT_HINT
                   "raise the hard limit: LimitNOFILE= in the unit of systemd, or 'ulimit -Hn'",
                   (uint64_t)limit.rlim_max, n->databases, n->replicas, needed);
    else
        doctor_say(r, DOCTOR_OK, check, "up to %" PRIu64 " are needed, %" PRIu64 " may be open", needed,
                   (uint64_t)limit.rlim_max);
}

/* A write beyond the limit ends a process with SIGXFSZ, or fails. Other processes that write the database have limits
 * of their own. */
static void look_at_file_size(struct doctor_report *r, const struct doctor_needs *n)
{
    static const char check[] = "file-size";
    struct rlimit limit;
    char most[32];
    if (getrlimit(RLIMIT_FSIZE, &limit) != 0)
        return;
    if (limit.rlim_cur == RLIM_INFINITY) {
        doctor_say(r, DOCTOR_OK, check, "files may have any size");
        return;
    }
    units_format_size(limit.rlim_cur, most);
    const bool small = limit.rlim_cur / 2 < n->largest_bytes;
    doctor_say(r, small ? DOCTOR_ERROR : DOCTOR_WARNING, check,
               "no file may grow beyond %s: a checkpoint of a larger database, and a proof by a restore, fail" TEXT_HINT
               "remove the limit: 'ulimit -f unlimited', or LimitFSIZE=infinity in the unit of systemd",
               most);
}

/* 0: it can't be read. */
static uint64_t setting(const char *path)
{
    char text[32];
    FILE *f = fopen(path, "re");
    uint64_t n = 0;
    if (f && fgets(text, sizeof text, f))
        n = strtoull(text, NULL, 10);
    if (f)
        fclose(f);
    return n;
}

static void look_at_inotify(struct doctor_report *r, const struct doctor_needs *n)
{
    static const char check[] = "inotify";
    const uint64_t watches = setting("/proc/sys/fs/inotify/max_user_watches");
    const uint64_t instances = setting("/proc/sys/fs/inotify/max_user_instances");
    const uint64_t needed = WATCHES_OF_DATABASE * (uint64_t)n->databases + WATCHES_OF_REPLICA * (uint64_t)n->replicas +
                            (uint64_t)n->folders;
    const uint64_t wanted = INSTANCES_OF_DAEMON + (uint64_t)n->databases;
    int fd = inotify_init1(IN_CLOEXEC), why = errno;
    io_close(&fd);
    if (fd < 0 && why == EMFILE)
        doctor_say(r, DOCTOR_WARNING, check,
                   "this user has all %" PRIu64 " instances that it may have: commits are seen once a second" TEXT_HINT
                   "sysctl fs.inotify.max_user_instances=%" PRIu64,
                   instances, 2 * instances + wanted);
    else if (watches > 0 && watches < needed)
        doctor_say(r, DOCTOR_WARNING, check,
                   "this user may watch %" PRIu64 " files and folders, and %zu databases need up to %" PRIu64
                   ": commits of some are seen once a second" TEXT_HINT "sysctl fs.inotify.max_user_watches=%" PRIu64,
                   watches, n->databases, needed, 2 * needed);
    else if (instances > 0 && n->databases > 0 && n->replicas > 0 && instances < wanted)
        doctor_say(r, DOCTOR_WARNING, check,
                   "this user may have %" PRIu64 " instances, and a replica in a folder takes one for each of %zu "
                   "databases: what vanishes from the folders of some is noticed within the hour" TEXT_HINT
                   "sysctl fs.inotify.max_user_instances=%" PRIu64,
                   instances, n->databases, 2 * wanted);
    else
        doctor_say(r, DOCTOR_OK, check, "%" PRIu64 " watches and %" PRIu64 " instances are allowed", watches,
                   instances);
}

/* ---- room for proofs */

static void look_at_temporary_folder(struct doctor_report *r, const struct doctor_needs *n)
{
    static const char check[] = "room-for-proofs";
    const char *dir = disk_temporary_folder();
    struct disk disk;
    char free_text[32], needed_text[32];
    if (!disk_look(dir, &disk) || access(dir, W_OK | X_OK) != 0) {
        doctor_say(r, DOCTOR_WARNING, check,
                   "'%s' can't be used for temporary files: %s. Replicas can't be proven by a restore" TEXT_HINT
                   "set TMPDIR to a folder with room for twice the largest database",
                   dir, strerror(errno));
        return;
    }
    const uint64_t needed = 2 * n->largest_bytes;
    units_format_size(disk.free_bytes, free_text);
    units_format_size(needed, needed_text);
    if (disk.free_bytes < needed)
        doctor_say(r, DOCTOR_WARNING, check,
                   "'%s' has %s free, and a proof by a restore wants %s, twice the largest database: replicas are "
                   "verified, but not restored" TEXT_HINT "set TMPDIR to a folder with room",
                   dir, free_text, needed_text);
    else if (disk.kind == DISK_MEMORY && n->largest_bytes > 0)
        doctor_say(r, DOCTOR_OK, check, "'%s' has %s free, in memory: a proof takes as much memory as the database",
                   dir, free_text);
    else
        doctor_say(r, DOCTOR_OK, check, "'%s' has %s free", dir, free_text);
}

void doctor_look_at_machine(struct doctor_report *r, const struct doctor_needs *needs)
{
    doctor_about_machine(r);
    look_at_sqlite(r);
    look_at_open_files(r, needs);
    look_at_file_size(r, needs);
    look_at_inotify(r, needs);
    look_at_temporary_folder(r, needs);
}
