/* doctor/database.c */
#include "doctor/database.h"

#include "base/disk.h"
#include "base/folder.h"
#include "base/io.h"
#include "base/page.h"
#include "base/sqlite_file.h"
#include "base/units.h"
#include "capture/candidate.h"
#include "state/state.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAP_BYTES_OF_PAGE 16

/* ---- what it is */

/* Without a file the daemon waits. */
static bool look_at_file(struct doctor_report *r, struct doctor_database *d)
{
    struct stat st;
    struct err e;
    char size[32];
    if (candidate_check(d->path, &st, &e)) {
        doctor_say_error(r, DOCTOR_ERROR, "file", &e, "check the path, and that this user may read it: ls -lL");
        return false;
    }
    d->mode = st.st_mode;
    d->device = st.st_dev;
    d->bytes = (uint64_t)st.st_size;
    d->there = st.st_size > 0;
    units_format_size(d->bytes, size);
    if (st.st_mode == 0)
        doctor_say(r, DOCTOR_WARNING, "file",
                   "'%s' does not exist: the daemon waits for it" TEXT_HINT
                   "start the application, which makes it, or bring it back: seawall restore -o %s URL",
                   d->path, d->path);
    else if (st.st_size == 0)
        doctor_say(r, DOCTOR_WARNING, "file",
                   "'%s' is empty: the daemon waits for its first transaction" TEXT_HINT
                   "start the application, which fills it; if it should have tables, bring it back: seawall restore "
                   "--force -o %s URL",
                   d->path, d->path);
    else
        doctor_say(r, DOCTOR_OK, "file", "a SQLite database of %s", size);
    return true;
}

static void look_at_names(struct doctor_report *r, const struct doctor_database *d)
{
    char real[PATH_TEXT_MAX], given[PATH_TEXT_MAX];
    struct err e;
    if (folder_check_database_name(d->path, "-journal", &e) || (d->mode && folder_check_one_name(d->path, &e)) ||
        (folder_check_sqlite_files(d->path, &e) && e.code != ERR_NOTFOUND)) {
        doctor_say_error(r, DOCTOR_ERROR, "names", &e, "look at what is beside the database: ls -la");
        return;
    }
    if (!d->mode)
        return;
    if (path_resolve(d->path, real) && path_absolute(d->path, given, &e) == 0 && strcmp(real, given) != 0)
        doctor_say(r, DOCTOR_OK, "names", "the path leads to '%s', which has one name", real);
    else
        doctor_say(r, DOCTOR_OK, "names", "the file has one name");
}

/* ---- permissions */

static bool may(const char *path, int what)
{
    return faccessat(AT_FDCWD, path, what, AT_EACCESS) == 0;
}

/* A file beside the database: missing, or one that this user may write. */
static bool may_write_beside(const struct doctor_database *d, const char *suffix)
{
    char path[PATH_TEXT_MAX];
    struct err e;
    return path_format(path, &e, "%s%s", d->path, suffix) != 0 || !may(path, F_OK) || may(path, R_OK | W_OK);
}

static void look_at_permissions(struct doctor_report *r, const struct doctor_database *d)
{
    static const char *const beside[] = {"-wal", "-shm", STATE_SUFFIX};
    static const char check[] = "permissions";
    char folder[PATH_TEXT_MAX];
    struct err e;
    if (path_parent(d->path, folder, &e)) {
        doctor_say_error(r, DOCTOR_ERROR, check, &e, "check the path");
        return;
    }
    if (d->mode && !may(d->path, R_OK | W_OK)) {
        doctor_say(r, DOCTOR_ERROR, check,
                   "user %u may not write '%s': %s" TEXT_HINT
                   "run the daemon as the user of the application: 'stat -c %%U %s' shows who that is",
                   (unsigned)geteuid(), d->path, strerror(errno), d->path);
        return;
    }
    for (size_t i = 0; i < sizeof beside / sizeof beside[0]; i++)
        if (!may_write_beside(d, beside[i])) {
            doctor_say(r, DOCTOR_ERROR, check,
                       "user %u may not write '%s%s'" TEXT_HINT
                       "run the daemon as the user of the application, or give that user the file with chown",
                       (unsigned)geteuid(), d->path, beside[i]);
            return;
        }
    if (!may(folder, F_OK))
        doctor_say(r, DOCTOR_ERROR, check, "the folder '%s' does not exist" TEXT_HINT "make it: mkdir -p %s", folder,
                   folder);
    else if (may(folder, W_OK | X_OK))
        doctor_say(r, DOCTOR_OK, check, "user %u may write the database and its folder", (unsigned)geteuid());
    else
        doctor_say(r, d->known ? DOCTOR_WARNING : DOCTOR_ERROR, check,
                   "user %u may not make files in '%s': %s. The daemon makes '%s" STATE_SUFFIX "' there" TEXT_HINT
                   "allow it to the user of the daemon, for example with 'setfacl -m u:%u:rwx %s'",
                   (unsigned)geteuid(), folder, strerror(errno), path_name(d->path), (unsigned)geteuid(), folder);
}

/* ---- the disk */

static void look_at_disk(struct doctor_report *r, const struct doctor_database *d)
{
    static const char check[] = "file-system";
    char folder[PATH_TEXT_MAX];
    struct disk disk;
    struct err e;
    if (path_parent(d->path, folder, &e) || !disk_look(d->mode ? d->path : folder, &disk))
        return;
    if (disk.read_only)
        doctor_say(r, DOCTOR_ERROR, check, "it is mounted read-only" TEXT_HINT "mount it with 'mount -o remount,rw'");
    else if (disk.kind == DISK_NETWORK)
        doctor_say(r, DOCTOR_WARNING, check,
                   "%s, a network file system: WAL mode works on it only if all programs that use the database run on "
                   "this machine, and locks have to work" TEXT_HINT "put the database on a disk of this machine",
                   disk.name);
    else if (disk.kind == DISK_FUSE)
        doctor_say(r, DOCTOR_WARNING, check,
                   "a program serves it (FUSE): whether locks and shared memory work there depends on that "
                   "program" TEXT_HINT "put the database on a disk of this machine");
    else if (disk.kind == DISK_OVERLAY)
        doctor_say(r, DOCTOR_WARNING, check,
                   "the layer of a container (%s), which ends with the container: the database and its state file are "
                   "lost then" TEXT_HINT "put the folder of the database on a volume",
                   disk.name);
    else if (disk.kind == DISK_MEMORY)
        doctor_say(r, DOCTOR_WARNING, check,
                   "memory (%s): a restart of the machine loses the database and its state file" TEXT_HINT
                   "put the database on a disk",
                   disk.name);
    else
        doctor_say(r, DOCTOR_OK, check, "a disk of this machine");
}

/* The state file, the journal of a base, and a WAL as long as it may become. */
static void look_at_room(struct doctor_report *r, const struct doctor_database *d)
{
    char folder[PATH_TEXT_MAX], has[32], needs[32];
    struct disk disk;
    struct err e;
    if (path_parent(d->path, folder, &e) || !disk_look(folder, &disk))
        return;
    const uint64_t needed = d->bytes / PAGE_SIZE_MIN * MAP_BYTES_OF_PAGE + d->options->wal_limit;
    units_format_size(disk.free_bytes, has);
    units_format_size(needed, needs);
    if (disk.free_bytes >= needed)
        doctor_say(r, DOCTOR_OK, "room", "%s are free", has);
    else
        doctor_say(r, DOCTOR_WARNING, "room",
                   "%s are free, and the state file and a WAL as long as wal-limit need up to %s" TEXT_HINT
                   "make room in '%s', or set a smaller wal-limit",
                   has, needs, folder);
}

/* ---- the journal mode, and who has it open */

static bool read_header(const struct doctor_database *d, struct sqlite_file *ret_file)
{
    uint8_t bytes[SQLITE_FILE_HEADER_BYTES];
    char name[PATH_TEXT_MAX];
    struct err e;
    int fd = -1;
    if (!path_resolve(d->path, name))
        return false;
    const struct folder_file file = {
        .name = path_name(name), .like = path_name(name), .access = FOLDER_READ, .may_be_linked = true};
    if (folder_open_path(name, &file, &fd, &e))
        return false;
    int rc = io_pread(fd, bytes, sizeof bytes, 0, &e);
    io_close(&fd);
    return rc == 0 && sqlite_file_decode(bytes, ret_file);
}

static void look_at_journal_mode(struct doctor_report *r, const struct doctor_database *d,
                                 const struct sqlite_file *header)
{
    static const char check[] = "journal-mode";
    if (header->write_version > 2 || header->read_version > 2)
        doctor_say(r, DOCTOR_ERROR, check,
                   "the header asks for version %u of the file format, which SQLite does not know: another engine "
                   "writes this file" TEXT_HINT "let every program open the database with SQLite",
                   header->write_version > header->read_version ? header->write_version : header->read_version);
    else if (header->write_version == 2)
        doctor_say(r, DOCTOR_OK, check, "WAL");
    else if (d->options->set_wal)
        doctor_say(r, DOCTOR_OK, check, "a rollback journal: the daemon switches the database to WAL mode once");
    else
        doctor_say(r, DOCTOR_ERROR, check,
                   "a rollback journal, and set-wal is no" TEXT_HINT
                   "run PRAGMA journal_mode=WAL on it, or let seawall do so with --set-wal=yes");
}

static void look_at_locks(struct doctor_report *r, const struct doctor_database *d, bool wal)
{
    char real[PATH_TEXT_MAX];
    struct err e;
    if (!path_resolve(d->path, real))
        return;
    const char *engine = candidate_engine(real);
    if (candidate_check_locks(real, wal, &e))
        doctor_say_error(r, DOCTOR_ERROR, "locks", &e, candidate_locked_hint);
    else if (engine)
        doctor_say(r, DOCTOR_WARNING, "locks",
                   "beside the database is a file of %s, which writes without the wal-index: SQLite can lose its "
                   "commits" TEXT_HINT "let every program open the database with SQLite's default VFS; remove the "
                   "file if it is an old one",
                   engine);
    else
        doctor_say(r, DOCTOR_OK, "locks", "nobody keeps the database locked, or writes past the wal-index");
}

static void look_inside(struct doctor_report *r, const struct doctor_database *d)
{
    struct sqlite_file header;
    if (!read_header(d, &header)) {
        doctor_say(r, DOCTOR_ERROR, "journal-mode",
                   "the header of the file is not that of a SQLite database: it is damaged or encrypted" TEXT_HINT
                   "check it with: sqlite3 %s 'PRAGMA integrity_check'",
                   d->path);
        return;
    }
    look_at_journal_mode(r, d, &header);
    look_at_locks(r, d, header.write_version == 2);
}

/* ---- the state file */

static void look_at_state(struct doctor_report *r, struct doctor_database *d)
{
    static const char check[] = "state-file";
    struct err e;
    d->identity = calloc(1, sizeof *d->identity);
    if (!d->identity) {
        r->no_memory = true;
        return;
    }
    d->known = state_peek(d->path, d->identity, &e) == 0;
    if (d->known)
        doctor_say(r, DOCTOR_OK, check, "the newest transaction that was captured is %" PRIu64, d->identity->txid);
    else if (e.code == ERR_NOTFOUND)
        doctor_say(r, DOCTOR_OK, check, "there is none: no daemon has followed this database yet");
    else if (e.code == ERR_CORRUPT)
        doctor_say(r, DOCTOR_WARNING, check,
                   "it does not count: %.*s. The daemon begins a new one" TEXT_HINT
                   "to continue the replica of the database that it came from, start the daemon once with --take-over",
                   text_front(e.msg), e.msg);
    else
        doctor_say_error(r, DOCTOR_ERROR, check, &e, "check the path");
}

void doctor_look_at_database(struct doctor_report *r, struct doctor_database *d)
{
    doctor_about_database(r, d->path);
    d->usable = look_at_file(r, d);
    look_at_names(r, d);
    look_at_state(r, d);
    look_at_permissions(r, d);
    look_at_disk(r, d);
    look_at_room(r, d);
    if (d->usable && d->there)
        look_inside(r, d);
}

void doctor_database_release(struct doctor_database *d)
{
    free(d->identity);
    d->identity = NULL;
}
