/* follow/first.c
 *
 * The note exists before the copy does. So a copy that a kill left beside a note of phase NOTE_MAKING differs from a
 * database of another process: it is a state of the replica, page by page. */
#include "follow/first.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/trial.h"
#include "follow/check.h"
#include "follow/page1.h"
#include "replica/points.h"
#include "restore/restore.h"
#include "restore/target.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define OPEN_TRIES 24 /* of some seconds each */

/* ---- what is there */

struct found {
    bool database, note;
};

static int look_for(const char *path, const char *suffix, bool *ret_there, mode_t *ret_mode, struct err *e)
{
    struct folder folder;
    struct stat st = {.st_mode = S_IFREG};
    char name[PATH_TEXT_MAX];
    if (path_format(name, e, "%s%s", path_name(path), suffix) || folder_open_parent(&folder, path, e)) {
        if (e->code == ERR_NOTFOUND)
            e->code = ERR_CONFIG; /* the folder of the copy */
        return -1;
    }
    int rc = folder_look(&folder, name, &st, ret_there, e);
    if (rc == 0 && *ret_there && suffix[0] == '\0' && !S_ISREG(st.st_mode))
        rc = err_set(e, ERR_CONFIG, 0, "'%s' is not a regular file", path);
    *ret_mode = st.st_mode & 0777;
    folder_close(&folder);
    return rc;
}

static int refuse_stranger(const char *path, struct err *e)
{
    err_set(e, ERR_EXISTS, 0, "'%s' exists, and is not a copy of 'seawall follow'", path);
    return err_hint(e, "name another path with -o, or move the file away first");
}

static int find(struct follow *f, struct err *e)
{
    const char *path = f->options->path;
    struct found found = {.database = false};
    enum note_found note = NOTE_NONE;
    mode_t mode = 0;
    if (folder_check_database_name(path, UNDO_SUFFIX, e) || look_for(path, "", &found.database, &mode, e) ||
        look_for(path, NOTE_SUFFIX, &found.note, &mode, e))
        return -1;
    if (found.database && !found.note)
        return refuse_stranger(path, e);
    if (note_open(&f->file, path, &f->note, &note, e))
        return -1;
    if (note != NOTE_WHOLE)
        f->note = (struct note){.phase = NOTE_MAKING};
    if (found.database && note != NOTE_WHOLE && !(f->options->flags & FOLLOW_START_OVER)) {
        err_set(e, ERR_EXISTS, 0, "the note beside the copy '%s' is damaged", path);
        return err_hint(e, "'seawall follow --start-over -o %s URL' makes it a copy of the replica again", path);
    }
    if (!found.database)
        f->note.phase = NOTE_MAKING;
    return 0;
}

/* ---- making the copy */

static struct mirror_stamp stamp_of(const struct stat *st)
{
    return (struct mirror_stamp){.inode = st->st_ino,
                                 .size = (uint64_t)st->st_size,
                                 .mtime_ns = st->st_mtim.tv_sec * INT64_C(1000000000) + st->st_mtim.tv_nsec};
}

static int set_wal_mode(const char *path, int readable, mode_t mode, struct err *e)
{
    static const uint8_t versions[2] = {2, 2};
    int fd = -1;
    const struct folder_file file = {.name = path_name(path), .access = FOLDER_UPDATE, .like = path_name(path)};
    if (fchmod(readable, mode) != 0)
        return err_sys(e, errno, "change the permissions of '%s'", path);
    if (folder_open_path(path, &file, &fd, e))
        return -1;
    int rc = io_pwrite(fd, versions, sizeof versions, PAGE1_VERSIONS, e) || io_fsync(fd, path, e) ? -1 : 0;
    if (rc == 0 && fchmod(fd, mode & (mode_t)~0222) != 0)
        rc = err_sys(e, errno, "change the permissions of '%s'", path);
    io_close(&fd);
    return rc;
}

/* Page 1 of the new file: the bytes of the replica are kept, and the copy gets WAL mode. The stamp is that of the file as it
 * was made: if another process writes to it before it is opened, that shows. No process of ours has it open. */
static int make_wal_mode(struct follow *f, struct err *e)
{
    const char *path = f->options->path;
    uint8_t page[100];
    struct stat st;
    int fd = -1;
    const struct folder_file file = {.name = path_name(path), .access = FOLDER_READ, .like = path_name(path)};
    if (folder_open_path(path, &file, &fd, e))
        return -1;
    int rc = io_pread(fd, page, sizeof page, 0, e);
    if (rc == 0) {
        f->note.now.page1 = page1_keep(page);
        if (page[PAGE1_VERSIONS] != 2 || page[PAGE1_VERSIONS + 1] != 2)
            rc = set_wal_mode(path, fd, f->note.mode, e);
    }
    if (rc == 0 && fstat(fd, &st) != 0)
        rc = err_sys(e, errno, "fstat '%s'", path);
    if (rc == 0)
        f->note.stamp = stamp_of(&st);
    io_close(&fd);
    return rc;
}

/* The state file that a restore makes is for a writer. */
static int remove_state_file(const char *path, struct err *e)
{
    struct folder folder;
    char name[PATH_TEXT_MAX];
    if (path_format(name, e, "%s" STATE_SUFFIX, path_name(path)) || folder_open_parent(&folder, path, e))
        return -1;
    int rc = folder_remove(&folder, name, e);
    folder_close(&folder);
    return rc;
}

static int open_replica(struct follow *f, struct err *e)
{
    const struct replica_options o = {
        .mode = STORE_READ, .cancel = f->options->cancel, .retrying = f->options->retrying};
    if (f->replica.store)
        return 0;
    if (replica_handle_open(&f->replica, f->options->url, &o, e) == 0)
        return 0;
    f->replica = (struct replica_handle){.store = NULL};
    return -1;
}

static struct note_point point_of(const struct restore_result *r)
{
    return (struct note_point){.txid = r->record.txid,
                               .time_ms = r->record.time_ms,
                               .checksum = r->record.checksum,
                               .pages = r->record.pages,
                               .page_size = r->page_size};
}

/* What the copy will be is in the note before the copy is there. So it is known after a kill, too, when retention has removed
 * all records of that state. */
struct planned {
    struct follow *follow;
    struct uid database;
};

static int note_planned(void *context, const struct restore_result *result, struct err *e)
{
    const struct planned *p = context;
    struct follow *f = p->follow;
    f->note.database = p->database;
    f->note.next = point_of(result);
    return note_save(&f->file, &f->note, e) || note_sync(&f->file, e) ? -1 : 0;
}

/* A copy that is replaced because it can't be opened stays as the undo. */
static int restore(struct follow *f, unsigned flags, struct err *e)
{
    const struct follow_options *o = f->options;
    struct restore_result result;
    struct replica_identity identity;
    struct planned planned = {.follow = f};
    const struct restore_options r = {.url = o->url,
                                      .path = o->path,
                                      .txid = POINT_NEWEST,
                                      .flags = flags,
                                      .mode = f->note.mode & 0555u,
                                      .jobs = o->jobs,
                                      .cancel = o->cancel,
                                      .retrying = o->retrying,
                                      .progress = o->progress,
                                      .context = o->context,
                                      .planned = note_planned,
                                      .planned_context = &planned};
    if (open_replica(f, e) || replica_identity_read(f->replica.store, &identity, e))
        return -1;
    snprintf(f->note.url, sizeof f->note.url, "%s", f->replica.store->url);
    planned.database = identity.database;
    if (note_save(&f->file, &f->note, e) || note_sync(&f->file, e) || restore_run(&r, &result, e))
        return -1;
    f->note.database = identity.database;
    f->note.newest = result.newest_txid;
    f->note.copied = true;
    f->note.boot = clock_boot_id();
    f->note.now = point_of(&result);
    f->note.next = (struct note_point){.txid = 0};
    return make_wal_mode(f, e);
}

/* A reader of the copy that recovers a long log, because the last follower was killed, shuts all others out meanwhile. */
static int open_mirror(struct follow *f, struct err *e)
{
    for (int tries = 0;; tries++) {
        if (mirror_open(&f->copy, f->options->path, f->note.mode, e) == 0)
            return 0;
        if (e->code != ERR_BUSY || tries == OPEN_TRIES || (f->options->cancel && atomic_load(f->options->cancel)))
            return -1;
        if (tries == 0)
            log_info("copy '%s': waiting for another process that has locked it", f->options->path);
    }
}

static int made(struct follow *f, struct err *e)
{
    if (open_mirror(f, e) || first_settle(f, e))
        return -1;
    log_info("copy '%s': made from %s, as of txid %" PRIu64, f->options->path, f->note.url, f->note.now.txid);
    return 0;
}

static int make(struct follow *f, unsigned flags, struct err *e)
{
    const mode_t mode = f->note.mode;
    f->note = (struct note){.phase = NOTE_MAKING, .mode = mode};
    return restore(f, flags, e) || made(f, e) ? -1 : 0;
}

/* ---- a copy that is there */

/* Looks for the state among the records of the replica. */
static int search(struct follow *f, struct check_pages *pages, struct note_point *ret_point, struct err *e)
{
    if (open_replica(f, e) || replica_handle_list(&f->replica, e))
        return -1;
    const struct uid *database = &f->replica.catalog.identity.database;
    const struct uid none = {{0}};
    if (!uid_equal(&f->note.database, &none) && !uid_equal(database, &f->note.database))
        return 0;
    if (check_search(&f->replica.catalog, pages, &f->note.now, ret_point, e))
        return -1;
    if (ret_point->txid == 0 && f->note.next.txid > 0 &&
        check_search(&f->replica.catalog, pages, &f->note.next, ret_point, e))
        return -1;
    if (ret_point->txid > 0)
        f->note.database = *database;
    return 0;
}

/* Refuses the copy, also in its status. */
static int refuse_written(struct follow *f, struct err *e)
{
    struct err unsaved;
    f->written = true;
    err_set(e, ERR_CONFLICT, 0, "another process wrote to the copy '%s', so it is not followed any further",
            f->options->path);
    err_hint(e, "'seawall follow --start-over -o %s URL' makes it a copy again; what was written is lost",
             f->options->path);
    snprintf(f->note.error, sizeof f->note.error, "%.*s", text_front(e->msg), e->msg);
    if (note_save(&f->file, &f->note, &unsaved))
        log_warn("%s", unsaved.msg);
    return -1;
}

static int settle_by_pages(struct follow *f, struct err *e)
{
    struct check_pages pages;
    struct note *n = &f->note;
    struct note_point found = {.txid = 0};
    log_info("copy '%s': reading all pages, to find out which state it is", f->options->path);
    int rc = check_read(&f->copy, f->options->cancel, &pages, e);
    if (rc == 0 && check_is(&pages, &n->next))
        found = n->next;
    else if (rc == 0 && check_is(&pages, &n->now))
        found = n->now;
    else if (rc == 0 && RULE(follow_first) && n->phase == NOTE_MAKING && check_fits(&pages, &n->next))
        found = n->next;
    else if (rc == 0)
        rc = search(f, &pages, &found, e);
    check_release(&pages);
    if (rc)
        return -1;
    if (found.txid == 0)
        return refuse_written(f, e);
    n->now = found;
    n->next = (struct note_point){.txid = 0};
    n->now.pos = mirror_pos(&f->copy);
    n->copied = n->now.pos.frame == 0;
    return 0;
}

int first_settle(struct follow *f, struct err *e)
{
    bool settled = false;
    struct mirror_stamp stamp;
    const uint32_t change = f->copy.header.change;
    if (mirror_look(&f->copy, e) || mirror_stamp(&f->copy, &stamp, e))
        return -1;
    const bool emptied = f->copy.header.mx_frame == 0 && f->copy.header.change != change; /* after a commit */
    if ((!emptied && check_position(&f->copy, &f->note, &settled, e)) || (!settled && settle_by_pages(f, e)))
        return -1;
    f->note.stamp = stamp;
    f->note.checkpointing = false;
    f->note.boot = clock_boot_id();
    if (f->note.phase == NOTE_MAKING && remove_state_file(f->options->path, e))
        return -1;
    const bool is_new = f->note.phase == NOTE_MAKING;
    f->note.phase = NOTE_FOLLOWING;
    return note_save(&f->file, &f->note, e) || (is_new && note_sync(&f->file, e)) ? -1 : 0;
}

/* A kill may have come between the restore and the note; or the file is of another process, and must stay as it is. */
static int settle_unfinished(struct follow *f, mode_t mode, struct err *e)
{
    struct err ignored;
    if (first_settle(f, e) == 0)
        return 0;
    f->copy.mode = mode;
    if (mirror_permit_writing(&f->copy, &ignored))
        log_warn("%s", ignored.msg);
    return -1;
}

static int open_copy(struct follow *f, mode_t mode, struct err *e)
{
    if (open_mirror(f, e) == 0) {
        f->start_over = (f->options->flags & FOLLOW_START_OVER) != 0;
        return f->start_over ? 0 : f->note.phase == NOTE_MAKING ? settle_unfinished(f, mode, e) : first_settle(f, e);
    }
    if (!(f->options->flags & FOLLOW_START_OVER) || e->code == ERR_BUSY)
        return -1;
    log_warn("copy '%s' can't be opened (%.*s), and is replaced", f->options->path, text_front(e->msg), e->msg);
    return make(f, RESTORE_FORCE, e);
}

int first_open(struct follow *f, struct err *e)
{
    const struct follow_options *o = f->options;
    bool there = false;
    mode_t mode = 0;
    if (find(f, e))
        return -1;
    if (o->mode || !f->note.mode)
        f->note.mode = o->mode ? o->mode : TARGET_MODE_DEFAULT;
    if (look_for(o->path, "", &there, &mode, e))
        return -1;
    if (there)
        return open_copy(f, mode, e);
    if (make(f, RESTORE_NO_UNDO, e) == 0)
        return 0;
    struct err ignored;
    if (look_for(o->path, "", &there, &mode, &ignored) == 0 && !there && note_remove(&f->file, &ignored))
        log_warn("%s", ignored.msg);
    return -1;
}
