/* cli/restore_all.c */
#include "cli/restore_all.h"

#include "base/array.h"
#include "base/clock.h"
#include "base/folder.h"
#include "base/io.h"
#include "base/json.h"
#include "base/units.h"
#include "cli/cli.h"
#include "cli/each.h"
#include "cli/newest.h"
#include "cli/place.h"
#include "cli/replicas.h"
#include "cli/skipped.h"
#include "restore/target.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum fate {
    FATE_LEFT, /* an interrupt came first */
    FATE_DONE,
    FATE_EXISTS,     /* --if-db-not-exists */
    FATE_NO_REPLICA, /* its places have no replica */
    FATE_NOT_YET,    /* --time: its replicas began later */
    FATE_FAILED,
    FATES,
};

struct disk {
    dev_t device;
    char folder[PATH_TEXT_MAX]; /* on it */
};

struct run {
    const struct restore_all *request;
    struct disk *disks; /* owned; file systems to sync; guarded as below */
    size_t disk_count, disk_cap;
    struct replicas replicas;
    struct each each;
    char *fates;          /* owned; enum fate of each database */
    char *made;           /* owned; of each database: whether its folder was made for it */
    size_t counts[FATES]; /* of all that ended. From here on: guarded by the output of `each` */
    uint64_t bytes;       /* of the restored databases */
    size_t elsewhere;     /* restored from a replica that says it belongs to another path */
    struct err first;     /* of the first failure */
};

/* ---- where it goes */

/* How many parts at the front of the pattern have no wildcards. */
static size_t fixed_parts(const struct pattern *p)
{
    size_t n = 0;
    while (n < p->count && !pattern_part_is_wild(p, n))
        n++;
    return n;
}

int restore_all_target(const struct config *c, const char *to, const char *path, char out[PATH_TEXT_MAX], struct err *e)
{
    char absolute[PATH_TEXT_MAX];
    size_t skipped = 0;
    if (path_absolute(path, absolute, e))
        return -1;
    const char *below = absolute;
    for (size_t i = 0; skipped == 0 && i < c->db_count; i++)
        if (config_is_pattern(&c->dbs[i]) && pattern_matches(&c->dbs[i].pattern, absolute))
            skipped = fixed_parts(&c->dbs[i].pattern);
    for (size_t i = 0; i < skipped; i++)
        below = strchr(below + 1, '/');
    if (path_has_parent(absolute))
        return err_set(e, ERR_CONFIG, 0, "'%s' has '..'", absolute);
    return path_format(out, e, "%s%s", to, below);
}

static int target_of(const struct run *run, size_t index, char out[PATH_TEXT_MAX], struct err *e)
{
    const struct restore_all *r = run->request;
    const char *path = run->replicas.list[index].path;
    return r->to ? restore_all_target(r->config, r->to, path, out, e) : path_format(out, e, "%s", path);
}

struct target_name {
    char *path; /* owned */
    const char *of;
};

static int compare_targets(const void *a, const void *b)
{
    return strcmp(((const struct target_name *)a)->path, ((const struct target_name *)b)->path);
}

static int check_neighbours(const struct target_name *names, size_t count, struct err *e)
{
    for (size_t i = 1; i < count; i++)
        if (strcmp(names[i].path, names[i - 1].path) == 0) {
            err_set(e, ERR_CONFIG, 0, "databases '%s' and '%s' would both be restored to '%s'", names[i - 1].of,
                    names[i].of, names[i].path);
            return err_hint(e, "restore without --to, or with a configuration that has one of the two sections");
        }
    return 0;
}

/* Two databases must not go to one path. */
static int check_targets(const struct run *run, struct err *e)
{
    const size_t count = run->replicas.count;
    struct target_name *names = calloc(count + 1, sizeof *names);
    char path[PATH_TEXT_MAX];
    int rc = names ? 0 : err_nomem(e, count * sizeof *names);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = target_of(run, i, path, e);
        names[i] = (struct target_name){.path = rc == 0 ? strdup(path) : NULL, .of = run->replicas.list[i].path};
        if (rc == 0 && !names[i].path)
            rc = err_nomem(e, strlen(path));
    }
    if (rc == 0) {
        qsort(names, count, sizeof *names, compare_targets);
        rc = check_neighbours(names, count, e);
    }
    for (size_t i = 0; names && i < count; i++)
        free(names[i].path);
    free(names);
    return rc;
}

/* ---- what is on the disk
 *
 * A restore of many small files is mostly waiting for the disk. Contents are synced before a database gets its name, so
 * none is half-written after a power cut. Names, folders and state files are synced once, at the end. */

/* Notes the file system of the folder of a target. Called with the output of `each` held. */
static int note_disk(struct run *run, const char *target, struct err *e)
{
    char parent[PATH_TEXT_MAX];
    struct stat st;
    if (path_parent(target, parent, e))
        return -1;
    if (stat(parent, &st) != 0)
        return err_sys(e, errno, "stat '%s'", parent);
    for (size_t i = 0; i < run->disk_count; i++)
        if (run->disks[i].device == st.st_dev)
            return 0;
    if (array_reserve(&run->disks, &run->disk_cap, run->disk_count + 1, sizeof *run->disks, e))
        return -1;
    struct disk *d = &run->disks[run->disk_count++];
    d->device = st.st_dev;
    memcpy(d->folder, parent, sizeof parent);
    return 0;
}

static int sync_disks(const struct run *run, struct err *e)
{
    for (size_t i = 0; i < run->disk_count; i++)
        if (io_sync_file_system(run->disks[i].folder, e))
            return -1;
    return 0;
}

/* ---- one database */

/* What is tried for one database, replica after replica. */
struct attempt {
    struct run *run;
    const struct replicas_db *db;
    char target[PATH_TEXT_MAX];
    bool alone, made_folder, elsewhere;
    bool again;         /* too little memory beside the others */
    int64_t created_ms; /* of the replica that is tried */
    struct restore_result result;
};

/* Whether the note is that of a database with another path. Of a long path only the end is known. */
static bool is_elsewhere(const struct writer_note *note, const char *path)
{
    char absolute[PATH_TEXT_MAX];
    struct err e;
    if (note->hashed || !note->path[0] || path_absolute(path, absolute, &e))
        return false;
    if (strncmp(note->path, "...", 3) != 0)
        return strcmp(note->path, absolute) != 0;
    size_t n = strlen(note->path + 3), len = strlen(absolute);
    return len < n || strcmp(absolute + len - n, note->path + 3) != 0;
}

static int make_folder(struct attempt *a, struct err *e)
{
    char parent[PATH_TEXT_MAX];
    struct stat st;
    if ((a->run->request->options.flags & RESTORE_DRY_RUN) || a->made_folder)
        return 0;
    if (path_parent(a->target, parent, e))
        return -1;
    if (stat(parent, &st) == 0)
        return 0;
    a->made_folder = true;
    return path_make_dirs_unsynced(parent, e);
}

/* An interrupt or a failure leaves no empty folder. At the end: until then the folder can be that of another database, whose
 * restore has no file in it yet. */
static void remove_folders(const struct run *run)
{
    char target[PATH_TEXT_MAX], parent[PATH_TEXT_MAX];
    struct err e;
    for (size_t i = 0; i < run->replicas.count; i++)
        if (run->made[i] && target_of(run, i, target, &e) == 0 && path_parent(target, parent, &e) == 0)
            path_remove_empty_dir(parent);
}

/* What is at the target: a database that exists is left alone, or is a failure before anything is fetched. */
static int check_target(const struct attempt *a, bool *ret_exists, struct err *e)
{
    const unsigned flags = a->run->request->options.flags;
    enum target_found found = TARGET_FREE;
    struct stat st;
    *ret_exists = false;
    if (a->run->request->to && folder_check_below(a->run->request->to, a->target, e))
        return err_hint(e, "move away what is in the way, or restore to another folder with --to DIR");
    if (flags & RESTORE_IF_NO_DB) {
        if (target_look(a->target, &found, e))
            return -1;
        *ret_exists = found == TARGET_DATABASE;
        return 0;
    }
    if (lstat(a->target, &st) != 0)
        return 0; /* the restore says what is wrong */
    if (!S_ISREG(st.st_mode)) {
        err_set(e, ERR_CONFIG, 0, "'%s' is not a regular file", a->target);
        return err_hint(e, "move it away, or restore below another folder with --to DIR");
    }
    if (flags & (RESTORE_FORCE | RESTORE_DELTA))
        return 0;
    err_set(e, ERR_EXISTS, 0, "'%s' exists", a->target);
    return err_hint(e, "--if-db-not-exists passes over databases that exist, --to DIR restores beside them, --force "
                       "replaces them");
}

/* With --dry-run the folders are not made that the restore would make: so there is no place to be looked at. */
static void pass_over_a_missing_folder(const struct attempt *a, struct restore_options *o)
{
    char parent[PATH_TEXT_MAX];
    struct stat st;
    struct err e;
    if (!(o->flags & RESTORE_DRY_RUN) || path_parent(a->target, parent, &e) || stat(parent, &st) == 0)
        return;
    o->path = NULL;
    o->flags &= ~(unsigned)(RESTORE_DELTA | RESTORE_IF_NO_DB);
}

static enum fate restore_from(struct attempt *a, const struct newest_replica *r, struct err *e)
{
    struct restore_options o = a->run->request->options;
    bool exists = false;
    o.url = r->url;
    o.path = a->target;
    o.jobs = 0;
    o.progress = NULL;
    o.flags |= RESTORE_IF_REPLICA | RESTORE_UNSYNCED;
    a->created_ms = r->identity.created_ms;
    a->elsewhere = is_elsewhere(&r->identity.founder, a->db->path);
    if (check_target(a, &exists, e))
        return FATE_FAILED;
    if (exists)
        return FATE_EXISTS;
    pass_over_a_missing_folder(a, &o);
    if (make_folder(a, e) || check_target(a, &exists, e) || restore_run(&o, &a->result, e))
        return FATE_FAILED;
    return a->result.outcome == RESTORE_NOTHING_TO_DO ? FATE_EXISTS
           : a->result.outcome == RESTORE_NO_REPLICA  ? FATE_NO_REPLICA
                                                      : FATE_DONE;
}

/* Whether another replica may have what this one does not give. */
static bool is_of_replica(const struct err *e)
{
    switch (e->code) {
    case ERR_CORRUPT:
    case ERR_REMOTE:
    case ERR_TIMEOUT:
    case ERR_NOTFOUND:
    case ERR_CLAIM:
    case ERR_GONE:
    case ERR_LIMIT:
        return true;
    default:
        return false;
    }
}

/* With --time, a replica that began later has no restore point, and that is not a failure. */
static enum fate judge(const struct attempt *a, enum fate fate, const struct err *e)
{
    const struct restore_options *o = &a->run->request->options;
    if (fate != FATE_FAILED)
        return fate;
    if (e->code == ERR_CANCELED)
        return FATE_LEFT;
    return e->code == ERR_NOTFOUND && (o->flags & RESTORE_BY_TIME) && a->created_ms > o->time_ms ? FATE_NOT_YET
                                                                                                 : FATE_FAILED;
}

/* Whether it is a failure that the database has no replica: the file names it, so no listing found its place. */
static bool is_missed(const struct attempt *a)
{
    return !config_is_pattern(a->db->section) && !(a->run->request->options.flags & RESTORE_IF_REPLICA);
}

static void tell(struct attempt *a, const struct newest_replica *list, size_t count, size_t used)
{
    char head[PATH_TEXT_MAX + 32];
    snprintf(head, sizeof head, "database '%s': ", a->db->path);
    each_begin_output(&a->run->each);
    newest_tell(head, list, count, used);
    each_end_output(&a->run->each);
}

/* Too little memory beside others, an interrupt, and errors of this machine end the tries. */
static bool ends_tries(struct attempt *a, const struct err *e)
{
    a->again |= e->code == ERR_CLAIM && !a->alone;
    return a->again || e->code == ERR_CANCELED || e->code == ERR_NOMEM;
}

/* What no replica has given. *e: why the first of the file failed. */
static enum fate nothing_from(const struct attempt *a, const struct newest_replica *list, size_t count, struct err *e)
{
    const struct newest_replica *failed = NULL;
    bool later = false;
    for (size_t i = 0; i < count; i++) {
        later |= list[i].state == NEWEST_LATER;
        if (list[i].state == NEWEST_FAILED && (!failed || list[i].number < failed->number))
            failed = &list[i];
    }
    if (failed)
        *e = failed->error;
    else if (!later && is_missed(a))
        place_is_empty(list[0].url, e);
    return failed || (!later && is_missed(a)) ? FATE_FAILED : later ? FATE_NOT_YET : FATE_NO_REPLICA;
}

/* Asks all replicas of the database, and tries them, the newest first. *e: why it failed. */
static enum fate restore_newest(struct attempt *a, struct newest_replica *list, size_t count, struct err *e)
{
    newest_ask(&a->run->request->options, list, count);
    for (size_t i = 0; i < count; i++)
        if (list[i].state == NEWEST_FAILED && ends_tries(a, &list[i].error)) {
            *e = list[i].error;
            return e->code == ERR_CANCELED ? FATE_LEFT : FATE_FAILED;
        }
    for (size_t i = 0; i < count; i++) {
        if (list[i].state != NEWEST_USABLE)
            continue;
        enum fate fate = judge(a, restore_from(a, &list[i], e), e);
        if (fate == FATE_DONE)
            tell(a, list, count, i);
        if (fate == FATE_DONE || fate == FATE_EXISTS || fate == FATE_LEFT ||
            (fate == FATE_FAILED && (ends_tries(a, e) || !is_of_replica(e))))
            return fate;
        list[i].state = fate == FATE_NO_REPLICA ? NEWEST_NONE : fate == FATE_NOT_YET ? NEWEST_LATER : NEWEST_FAILED;
        list[i].error = *e;
    }
    return nothing_from(a, list, count, e);
}

static enum fate restore_from_any(struct attempt *a, const struct config_member *m, struct err *e)
{
    struct newest_replica *list = calloc(m->url_count + 1, sizeof *list);
    size_t count = 0;
    if (!list) {
        err_nomem(e, m->url_count * sizeof *list);
        return FATE_FAILED;
    }
    for (size_t k = 0; k < m->url_count; k++)
        if (a->db->at >> k & 1)
            list[count++] = (struct newest_replica){.url = m->urls[k], .number = k};
    enum fate fate = restore_newest(a, list, count, e);
    free(list);
    return fate;
}

/* A hint that names -o is for one database: with --all a folder is given. */
static void hint_for_all(struct err *e)
{
    const char *hint = text_hint(e->msg);
    if (!hint || !strstr(hint, " -o"))
        return;
    e->msg[text_front(e->msg)] = 0;
    err_hint(e, "restore below another folder with --to DIR, or replace the files with --force");
}

static void note(struct attempt *a, size_t index, enum fate fate, const struct err *e)
{
    struct run *run = a->run;
    char head[PATH_TEXT_MAX + 32];
    struct err of_disk;
    each_begin_output(&run->each);
    if (fate == FATE_DONE && !(run->request->options.flags & RESTORE_DRY_RUN) && note_disk(run, a->target, &of_disk)) {
        fate = FATE_FAILED;
        e = &of_disk;
    }
    run->fates[index] = (char)fate;
    run->counts[fate] += fate != FATE_LEFT; /* these are counted at the end, with those that were not begun */
    if (fate == FATE_DONE) {
        run->bytes += (uint64_t)a->result.record.pages * a->result.page_size;
        run->elsewhere += a->elsewhere;
        snprintf(head, sizeof head, "database '%s': ", a->db->path);
        skipped_tell(stderr, head, run->request->options.time_ms, a->result.record.txid, &a->result.skipped);
    } else if (fate == FATE_FAILED) {
        struct err told = *e;
        hint_for_all(&told);
        text_print_to(stderr, "seawall: database '%s': %s\n", a->db->path, told.msg);
        if (run->counts[FATE_FAILED] == 1)
            run->first = *e;
    }
    each_end_output(&run->each);
}

static bool only_missing(const struct run *run)
{
    return (run->request->options.flags & RESTORE_IF_NO_DB) != 0;
}

static enum each_answer restore_one(void *context, size_t index, bool alone)
{
    struct run *run = context;
    struct attempt a = {.run = run, .db = &run->replicas.list[index], .alone = alone};
    struct config_member m = {.path = NULL};
    enum fate fate = FATE_FAILED;
    struct err e;
    bool exists = false;
    if (target_of(run, index, a.target, &e) == 0 && (!only_missing(run) || check_target(&a, &exists, &e) == 0) &&
        config_member_make(a.db->section, a.db->path, &m, &e) == 0)
        fate = exists ? FATE_EXISTS : restore_from_any(&a, &m, &e); /* no store is asked for one that exists */
    config_member_release(&m);
    run->made[index] |= a.made_folder;
    if (a.again)
        return EACH_AGAIN;
    note(&a, index, fate, &e);
    return EACH_DONE;
}

/* ---- what is printed */

static void print_databases(const struct run *run, enum fate fate, const char *head)
{
    bool any = false;
    for (size_t i = 0; i < run->replicas.count; i++) {
        if (run->fates[i] != (char)fate)
            continue;
        if (!any)
            text_print("%s\n", head);
        any = true;
        text_print("  %s\n", run->replicas.list[i].path);
    }
}

static void print_count(uint64_t count, const char *one, const char *many)
{
    if (count > 0)
        text_print("passed over: %" PRIu64 " %s\n", count, count == 1 ? one : many);
}

/* Of the databases that exist there are as many as before, so they are only counted. */
static void print_passed_over(const struct run *run)
{
    char when[CLOCK_TEXT_MAX], head[128];
    print_count(run->counts[FATE_EXISTS], "database that exists already", "databases that exist already");
    clock_format(run->request->options.time_ms, when);
    snprintf(head, sizeof head, "passed over: %zu database%s whose replica began after %s:", run->counts[FATE_NOT_YET],
             cli_plural(run->counts[FATE_NOT_YET]), when);
    print_databases(run, FATE_NOT_YET, head);
    print_count(run->counts[FATE_NO_REPLICA], "place without a replica", "places without a replica");
    print_count(run->replicas.strange, "other thing in the stores", "other things in the stores");
}

static void print_restored(const struct run *run, int64_t ms)
{
    char size[32], rate[32], when[CLOCK_TEXT_MAX];
    const struct restore_options *o = &run->request->options;
    units_format_size(run->bytes, size);
    units_format_size(ms > 0 ? run->bytes * 1000 / (uint64_t)ms : 0, rate);
    if (o->flags & RESTORE_DRY_RUN)
        text_print("would restore %zu of %zu databases, %s\n", run->counts[FATE_DONE], run->replicas.count, size);
    else
        text_print("restored %zu of %zu databases: %s in %.1f s, %s/s\n", run->counts[FATE_DONE], run->replicas.count,
                   size, (double)ms / 1e3, rate);
    if ((o->flags & RESTORE_BY_TIME) && run->counts[FATE_DONE] > 0) {
        clock_format(o->time_ms, when);
        text_print("each as of its newest restore point not after %s\n", when);
    }
    if (run->elsewhere > 0)
        text_print("%zu of them %s restored from a replica whose seawall.json names another path: %s\n", run->elsewhere,
                   run->elsewhere == 1 ? "was" : "were", "the database was moved, or was another one");
}

static int exit_code(const struct run *run, bool interrupted)
{
    const size_t done = run->counts[FATE_DONE], exist = run->counts[FATE_EXISTS];
    if (interrupted)
        return EXIT_INTERRUPTED;
    if (run->counts[FATE_FAILED] > 0 || run->replicas.failed > 0)
        return EXIT_SOME_FAILED;
    if (done > 0)
        return EXIT_DONE;
    if (exist > 0)
        return EXIT_NOTHING_TO_DO;
    return run->request->options.flags & RESTORE_IF_REPLICA ? EXIT_NO_REPLICA : EXIT_NOTHING;
}

static const char *word_of(const struct run *run, enum fate fate)
{
    static const char *const words[FATES] = {[FATE_LEFT] = "left",           [FATE_DONE] = "restored",
                                             [FATE_EXISTS] = "exists",       [FATE_NO_REPLICA] = "no replica",
                                             [FATE_NOT_YET] = "began later", [FATE_FAILED] = "failed"};
    return fate == FATE_DONE && (run->request->options.flags & RESTORE_DRY_RUN) ? "would restore" : words[fate];
}

static struct json *json_of_databases(const struct run *run)
{
    struct json *list = json_list_new();
    char target[PATH_TEXT_MAX];
    struct err e;
    for (size_t i = 0; i < run->replicas.count; i++) {
        struct json *j = json_object_new();
        json_set_text(j, "database", run->replicas.list[i].path);
        if (target_of(run, i, target, &e) == 0)
            json_set_text(j, "path", target);
        else
            json_set_null(j, "path");
        json_set_text(j, "outcome", word_of(run, (enum fate)run->fates[i]));
        json_push(list, j);
    }
    return list;
}

/* Returns an exit code. */
static int print_json(const struct run *run, int64_t ms, int code)
{
    struct json *j = json_object_new();
    struct err e;
    json_set(j, "databases", json_of_databases(run));
    json_set_number(j, "restored", (int64_t)run->counts[FATE_DONE]);
    json_set_number(j, "failed", (int64_t)run->counts[FATE_FAILED]);
    json_set_number(j, "left", (int64_t)run->counts[FATE_LEFT]);
    json_set_number(j, "unread", (int64_t)run->replicas.failed);
    json_set_number(j, "strange", (int64_t)run->replicas.strange);
    json_set_number(j, "bytes", (int64_t)run->bytes);
    json_set_number(j, "ms", ms);
    return cli_print_json(j, &e) ? cli_fail(&e) : code;
}

static int sum_up(struct run *run, int64_t ms)
{
    const struct restore_all *r = run->request;
    bool interrupted = atomic_load(r->options.cancel) && run->counts[FATE_LEFT] > 0;
    if (r->json)
        return print_json(run, ms, exit_code(run, interrupted));
    print_restored(run, ms);
    print_passed_over(run);
    print_databases(run, FATE_FAILED, "failed:");
    if (run->replicas.failed > 0)
        text_print("there can be more databases: %zu thing%s in the stores could not be read\n", run->replicas.failed,
                   cli_plural(run->replicas.failed));
    if (interrupted)
        text_print("interrupted: %zu database%s left\n  HINT: the same command with --if-db-not-exists goes on\n",
                   run->counts[FATE_LEFT], run->counts[FATE_LEFT] == 1 ? " is" : "s are");
    return exit_code(run, interrupted);
}

/* ---- all of them */

static int run_all(struct run *run, struct err *e)
{
    const struct restore_all *r = run->request;
    if (replicas_find(r->config, r->at_once, r->options.cancel, &run->replicas, e))
        return -1;
    run->fates = calloc(run->replicas.count + 1, 1);
    run->made = calloc(run->replicas.count + 1, 1);
    if (!run->fates || !run->made)
        return err_nomem(e, run->replicas.count);
    if (check_targets(run, e))
        return -1;
    run->each = (struct each){.count = run->replicas.count,
                              .at_once = r->at_once,
                              .cancel = r->options.cancel,
                              .run = restore_one,
                              .context = run};
    int rc = each_run(&run->each, "databases", "restore", e);
    remove_folders(run);
    return rc || sync_disks(run, e) ? -1 : 0;
}

int restore_all(const struct restore_all *r)
{
    struct run run = {.request = r};
    struct err e;
    assert(r->options.cancel);
    const int64_t start_ms = clock_mono_ms();
    int rc = run_all(&run, &e);
    if (rc == 0)
        for (size_t i = 0; i < run.replicas.count; i++) /* those that were not begun */
            run.counts[FATE_LEFT] += run.fates[i] == FATE_LEFT;
    int code = rc ? cli_fail(&e) : sum_up(&run, clock_mono_ms() - start_ms);
    free(run.fates);
    free(run.made);
    free(run.disks);
    replicas_release(&run.replicas);
    return code;
}
