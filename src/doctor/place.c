/* doctor/place.c */
#include "doctor/place.h"

#include "base/clock.h"
#include "base/disk.h"
#include "base/privacy.h"
#include "base/units.h"
#include "replica/identity.h"
#include "replica/skipped.h"
#include "storage/open.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LEFTOVER_MS 600000 /* an object that tries something out, and is older, belongs to no process any more */
#define LEFTOVERS_MAX 200  /* that one run removes */
#define KEY_MAX 64

static const char reach_hint[] =
    "check that this machine and this user reach the place: curl -v ENDPOINT, or ls -la FOLDER";
static const char damage_hint[] = "'seawall verify' says what is damaged";

/* One look at one place. */
struct visit {
    struct doctor_report *r;
    const struct doctor_place *p;
    char shown[STORE_URL_MAX];
    struct store *store;
    int64_t store_ms; /* the store's clock */
    bool history;     /* the place has objects of level 0 */
    struct store_rules rules;
    char key[KEY_MAX]; /* of the object that is tried; "": there is none */
};

static bool is_canceled(const struct visit *v)
{
    return v->r->cancel && atomic_load(v->r->cancel);
}

/* ---- a folder */

/* The nearest folder above a path that does not exist. */
static void nearest(const char *path, char out[PATH_TEXT_MAX])
{
    char above[PATH_TEXT_MAX];
    struct err e;
    snprintf(out, PATH_TEXT_MAX, "%s", path);
    while (access(out, F_OK) != 0 && path_parent(out, above, &e) == 0 && strcmp(above, out) != 0)
        snprintf(out, PATH_TEXT_MAX, "%s", above);
}

/* The position of the replica in the state file. NULL: it has none. */
static const struct identity_replica *entry_of(const struct visit *v, const char *url, struct identity *copy)
{
    struct identity_replica *entry = NULL;
    struct err e;
    if (!v->p->db->known)
        return NULL;
    *copy = *v->p->db->identity;
    const uint32_t before = copy->replica_count;
    if (identity_replica_get(copy, url, &entry, &e) || copy->replica_count > before)
        return NULL;
    return entry;
}

static void look_at_missing_folder(struct visit *v)
{
    static const char check[] = "folder";
    char above[PATH_TEXT_MAX], real[PATH_TEXT_MAX];
    struct identity *id = malloc(sizeof *id);
    const struct identity_replica *entry = NULL;
    if (id && path_resolve(v->shown, real))
        entry = entry_of(v, real, id);
    nearest(v->shown, above);
    if (entry && entry->durable_txid > 0)
        doctor_say(v->r, DOCTOR_ERROR, check,
                   "it held transaction %" PRIu64 ", and now it does not exist" TEXT_HINT
                   "is the disk mounted? If the folder was removed, start the daemon once with --take-over",
                   entry->durable_txid);
    else if (faccessat(AT_FDCWD, above, W_OK | X_OK, AT_EACCESS) != 0)
        doctor_say(v->r, DOCTOR_ERROR, check,
                   "it does not exist, and user %u may not make it in '%s': %s" TEXT_HINT
                   "make the folder, and give it to the user of the daemon",
                   (unsigned)geteuid(), above, strerror(errno));
    else
        doctor_say(v->r, DOCTOR_OK, check, "it does not exist yet; the daemon makes it in '%s'", above);
    free(id);
}

static void look_at_disk(struct visit *v, const struct stat *st)
{
    const struct doctor_database *db = v->p->db;
    struct disk disk;
    char has[32], needs[32];
    if (db->mode && st->st_dev == db->device)
        doctor_say(v->r, DOCTOR_WARNING, "folder",
                   "it is on the disk of the database: a disk that fails takes both" TEXT_HINT
                   "add a replica on another disk, or in S3");
    if (!disk_look(v->shown, &disk))
        return;
    units_format_size(disk.free_bytes, has);
    units_format_size(2 * db->bytes, needs);
    if (disk.kind == DISK_MEMORY)
        doctor_say(v->r, DOCTOR_WARNING, "room",
                   "it is in memory (%s): a restart of the machine loses it" TEXT_HINT "use a folder on a disk",
                   disk.name);
    else if (disk.free_bytes < 2 * db->bytes)
        doctor_say(v->r, DOCTOR_WARNING, "room",
                   "%s are free, and the database with one new base needs up to %s" TEXT_HINT
                   "make room, or use another disk",
                   has, needs);
    else
        doctor_say(v->r, DOCTOR_OK, "room", "%s are free", has);
}

/* False: there is nothing to try. */
static bool look_at_folder(struct visit *v)
{
    struct stat st;
    if (stat(v->shown, &st) != 0 && (errno == ENOENT || errno == ENOTDIR)) {
        look_at_missing_folder(v);
        return false;
    }
    if (stat(v->shown, &st) == 0 && S_ISDIR(st.st_mode))
        look_at_disk(v, &st);
    return true;
}

/* ---- what it does with objects */

static void say_unknown(struct visit *v, const char *check, const char *what)
{
    doctor_say(v->r, DOCTOR_OK, check, "%s is not known: %s", what, v->rules.why);
}

static void look_at_versions(struct visit *v)
{
    const struct store_rules *u = &v->rules;
    if (u->keeps_versions == STORE_UNKNOWN)
        say_unknown(v, "versions", "whether the bucket keeps versions");
    else if (u->keeps_versions == STORE_NO)
        doctor_say(v->r, DOCTOR_OK, "versions", "the bucket keeps no versions");
    else if (u->removes_old == STORE_NO)
        doctor_say(v->r, DOCTOR_WARNING, "versions",
                   "the bucket keeps versions, and no rule removes old ones: what retention deletes is hidden, and is "
                   "billed for ever" TEXT_HINT
                   "give the bucket a lifecycle rule for noncurrent versions: NoncurrentVersionExpiration");
    else
        doctor_say(v->r, DOCTOR_OK, "versions", "the bucket keeps versions%s",
                   u->removes_old == STORE_YES ? ", and a rule removes old ones" : "");
}

static void look_at_lifecycle(struct visit *v)
{
    const struct store_rules *u = &v->rules;
    if (u->removes == STORE_UNKNOWN)
        say_unknown(v, "lifecycle", "whether a rule removes objects");
    else if (u->removes == STORE_YES)
        doctor_say(v->r, DOCTOR_ERROR, "lifecycle",
                   "the lifecycle rule '%s' removes objects of this replica, which damages it" TEXT_HINT
                   "take this prefix out of the rule; seawall's own retention removes what is not needed",
                   u->rule);
    else if (u->archives == STORE_YES)
        doctor_say(v->r, DOCTOR_ERROR, "lifecycle",
                   "the lifecycle rule '%s' moves objects of this replica to an archive, where they can't be "
                   "read" TEXT_HINT "take this prefix out of the rule",
                   u->rule);
    else
        doctor_say(v->r, DOCTOR_OK, "lifecycle", "no rule removes or archives objects");
}

static bool asks_for_lock(const struct visit *v)
{
    return strstr(v->p->url, "object-lock-mode=") != NULL;
}

static void look_at_lock(struct visit *v)
{
    const struct store_rules *u = &v->rules;
    if (!asks_for_lock(v) && u->locks_all != STORE_YES)
        return;
    if (u->locks == STORE_UNKNOWN)
        say_unknown(v, "object-lock", "whether the bucket has object lock");
    else if (u->locks == STORE_NO)
        doctor_say(v->r, DOCTOR_ERROR, "object-lock",
                   "the URL asks for object lock, and the bucket has none" TEXT_HINT
                   "make a bucket with object lock, or remove object-lock-mode");
    else if (u->locks_all == STORE_YES)
        doctor_say(v->r, DOCTOR_WARNING, "object-lock",
                   "the bucket locks each object by default, also those that seawall removes again" TEXT_HINT
                   "remove the default retention of the bucket, and use object-lock-mode and object-lock-days");
    else
        doctor_say(v->r, DOCTOR_OK, "object-lock", "the bucket has object lock");
}

static bool look_at_rules(struct visit *v)
{
    struct err e;
    if (store_rules(v->store, &v->rules, &e)) {
        doctor_say_error(v->r, DOCTOR_ERROR, "rules", &e, reach_hint);
        return false;
    }
    if (v->store->folder)
        return true;
    look_at_versions(v);
    look_at_lifecycle(v);
    look_at_lock(v);
    return true;
}

/* ---- what may be done there. Each returns false if nothing more can be tried */

static int note_first(void *context, const struct store_entry *entry)
{
    bool *any = context;
    *any |= name_parse(entry->key).kind == NAME_LEVEL0;
    return *any;
}

static int note_litestream(void *context, const struct store_entry *entry)
{
    bool *any = context;
    *any |= replica_key_of_litestream(entry->key);
    return *any;
}

/* Warns about what Litestream left in this place. */
static void look_for_litestream(struct visit *v)
{
    static const char *const folders[] = {"ltx/", "generations/", "0000/"};
    bool any = false;
    struct err e;
    for (size_t i = 0; i < sizeof folders / sizeof folders[0] && !any; i++)
        if (store_list(v->store, folders[i], "", note_litestream, &any, &e))
            return; /* listing works, as was seen before */
    if (any)
        doctor_say(
            v->r, DOCTOR_WARNING, "place",
            "objects of Litestream are there too, which 'seawall restore' and 'seawall list' do not read beside a "
            "replica of Seawall" TEXT_HINT
            "give the replica a place of its own, or copy Litestream's objects elsewhere");
}

static bool try_list(struct visit *v)
{
    struct err e;
    if (store_list(v->store, NAME_LEVEL0_PREFIX, "", note_first, &v->history, &e)) {
        doctor_say_error(v->r, DOCTOR_ERROR, "list", &e, reach_hint);
        return false;
    }
    doctor_say(v->r, DOCTOR_OK, "list", "listing works");
    look_for_litestream(v);
    return true;
}

static bool look_at_clock(struct visit *v)
{
    struct err e;
    const int64_t before = clock_wall_ms();
    if (store_time(v->store, &v->store_ms, &e)) {
        doctor_say_error(v->r, DOCTOR_ERROR, "clock", &e, reach_hint);
        return false;
    }
    const int64_t after = clock_wall_ms();
    const int64_t ahead = v->store_ms < before - 1000 ? before - v->store_ms
                          : v->store_ms > after       ? after - v->store_ms
                                                      : 0;
    const int64_t off = ahead < 0 ? -ahead : ahead;
    if (off > SKIPPED_CLOCKS_MS)
        doctor_say(v->r, DOCTOR_WARNING, "clock",
                   "the clock of this machine is %" PRId64 " s %s the store's, so the times of restore points may be "
                   "wrong" TEXT_HINT "look at both with 'date' and set the wrong one, for example by NTP",
                   (off + 500) / 1000, ahead > 0 ? "ahead of" : "behind");
    else
        doctor_say(v->r, DOCTOR_OK, "clock", "the clock of this machine agrees with the store's");
    return true;
}

struct leftovers {
    char keys[LEFTOVERS_MAX][STORE_KEY_MAX];
    size_t count;
    int64_t store_ms;
};

static int note_leftover(void *context, const struct store_entry *entry)
{
    struct leftovers *l = context;
    if (entry->key[0] && entry->time_ms < l->store_ms - LEFTOVER_MS)
        snprintf(l->keys[l->count++], STORE_KEY_MAX, "%s", entry->key);
    return l->count == LEFTOVERS_MAX;
}

/* Of processes that were killed. Errors do not matter: the next one tries again. */
static void remove_leftovers(struct visit *v)
{
    struct leftovers *l = calloc(1, sizeof *l);
    struct err ignored;
    if (!l)
        return;
    l->store_ms = v->store_ms;
    bool listed = store_list(v->store, STORE_PROBE_PREFIX, "", note_leftover, l, &ignored) == 0;
    for (size_t i = 0; listed && i < l->count && !is_canceled(v); i++)
        listed = store_remove(v->store, l->keys[i], &ignored) == 0;
    free(l);
}

/* Another process can have removed the folder of these objects in between. */
static int put(struct visit *v, struct err *e)
{
    int rc = store_put_new(v->store, v->key, v->key, strlen(v->key), NULL, e);
    return rc != 0 && e->code == ERR_NOTFOUND ? store_put_new(v->store, v->key, v->key, strlen(v->key), NULL, e) : rc;
}

static bool try_put(struct visit *v)
{
    uint8_t random[16];
    char hex[2 * sizeof random + 1];
    struct err e;
    if (random_bytes(random, sizeof random, &e)) {
        doctor_say_error(v->r, DOCTOR_ERROR, "put", &e, reach_hint);
        return false;
    }
    hex_encode(random, sizeof random, hex);
    snprintf(v->key, sizeof v->key, STORE_PROBE_PREFIX "%s", hex);
    if (put(v, &e)) {
        doctor_say_error(v->r, DOCTOR_ERROR, "put", &e, reach_hint);
        if (e.code == ERR_CONFIG) /* it was refused; otherwise it may be there */
            v->key[0] = 0;
        return false;
    }
    doctor_say(v->r, DOCTOR_OK, "put", "an object of %zu bytes was put", strlen(v->key));
    return true;
}

static bool try_get(struct visit *v)
{
    char back[KEY_MAX] = "";
    struct err e;
    if (store_read(v->store, v->key, 0, back, strlen(v->key), &e))
        doctor_say_error(v->r, DOCTOR_ERROR, "get", &e, reach_hint);
    else if (strcmp(back, v->key) != 0)
        doctor_say(v->r, DOCTOR_ERROR, "get",
                   "the object that comes back is not the one that was put" TEXT_HINT
                   "look for a proxy between this machine and the store");
    else
        doctor_say(v->r, DOCTOR_OK, "get", "it was read back");
    return strcmp(back, v->key) == 0;
}

/* A second PUT of the key must be refused. */
static bool try_again(struct visit *v)
{
    struct err e;
    int rc = store_put_new(v->store, v->key, v->key, strlen(v->key), NULL, &e);
    if (rc != 0 && e.code == ERR_EXISTS)
        return true;
    if (rc != 0)
        doctor_say_error(v->r, DOCTOR_ERROR, "exclusive-put", &e, reach_hint);
    else
        doctor_say(v->r, DOCTOR_WARNING, "exclusive-put",
                   "the store lets a PUT replace an object: two writers of one replica are noticed only "
                   "afterwards" TEXT_HINT "make sure that there is one writer, or use another store");
    return false;
}

static void try_race(struct visit *v)
{
    static const char check[] = "exclusive-put";
    const bool free = v->store->folder != NULL;
    struct err e;
    if (store_race(v->store, STORE_RACERS_MAX, &e))
        doctor_say_error(v->r, DOCTOR_ERROR, check, &e, reach_hint);
    else if (v->store->fencing == STORE_FENCING_STRONG)
        doctor_say(v->r, DOCTOR_OK, check,
                   free ? "PUT is exclusive" : "PUT is exclusive: of %d at the same moment one won", STORE_RACERS_MAX);
    else
        doctor_say(v->r, DOCTOR_WARNING, check,
                   "PUT is not exclusive: two writers of one replica are noticed only afterwards, and can damage "
                   "it" TEXT_HINT "make sure that there is one writer; conditional=require refuses this store");
}

/* Also after a signal: nothing is left behind. */
static void try_remove(struct visit *v, bool tell)
{
    struct err e;
    if (!v->key[0])
        return;
    v->store->cancel = NULL;
    int rc = store_remove(v->store, v->key, &e);
    v->store->cancel = v->r->cancel;
    if (!tell)
        return;
    if (rc != 0)
        doctor_say(v->r, DOCTOR_WARNING, "delete",
                   "%.*s: retention can't remove what is not needed any more, and '%s' stays" TEXT_HINT
                   "allow it (for S3: s3:DeleteObject on bucket/prefix/*), or set prune-interval to never",
                   (int)strcspn(e.msg, "\n"), e.msg, v->key);
    else
        doctor_say(v->r, DOCTOR_OK, "delete", "it was removed again");
}

/* What a daemon does there. */
static void try_all(struct visit *v)
{
    if (v->rules.locks_all == STORE_YES) /* what is tried would stay */
        return;
    remove_leftovers(v);
    const bool put_and_read = try_put(v) && !is_canceled(v) && try_get(v) && !is_canceled(v);
    const bool refused = put_and_read && try_again(v);
    try_remove(v, put_and_read);
    if (refused && !is_canceled(v))
        try_race(v);
}

/* ---- whose replica it is */

static void say_foreign(struct visit *v, const struct replica_identity *id)
{
    const struct doctor_database *db = v->p->db;
    char who[WRITER_TEXT_BYTES] = "";
    struct err e;
    const bool named = id->founder.host[0] != 0;
    err_set(&e, ERR_CONFLICT, 0, "it has a history that %s%s%s",
            db->there ? "this database did not write" : "this database does not have: it is missing or empty",
            named ? ". Begun by " : "", named ? writer_note_text(&id->founder, who) : "");
    if (db->there)
        err_hint(&e,
                 "if the database was lost and made again, restore it: seawall restore --force -o %s %s; if this "
                 "database is right, continue the replica with it: seawall replicate --take-over %s %s",
                 db->path, v->shown, db->path, v->shown);
    else
        err_hint(&e, "bring it back: seawall restore %s-o %s %s", db->mode ? "--force " : "", db->path, v->shown);
    doctor_say_error(v->r, DOCTOR_ERROR, "history", &e, damage_hint);
}

/* An empty folder may be the mount point of a disk. A bucket that answers has lost its objects. */
static void say_gone(struct visit *v, uint64_t txid)
{
    const bool folder = v->store->folder != NULL;
    doctor_say(v->r, folder ? DOCTOR_ERROR : DOCTOR_WARNING, "history",
               "it held transaction %" PRIu64 ", and now it is empty" TEXT_HINT "%s", txid,
               folder ? "is the disk mounted? To begin the replica again there, start the daemon once with --take-over"
                      : "look for what removed the objects; the daemon begins the replica again by itself");
}

static void look_at_history(struct visit *v)
{
    static const char check[] = "history";
    struct identity *copy = malloc(sizeof *copy);
    struct replica_identity id;
    struct err e;
    int rc = copy ? replica_identity_read(v->store, &id, &e) : err_nomem(&e, sizeof *copy);
    const struct identity_replica *entry = copy ? entry_of(v, v->store->url, copy) : NULL;
    const bool ours = rc == 0 && entry && uid_equal(&entry->database, &id.database);
    if (rc != 0 && e.code == ERR_NOTFOUND && !v->history && entry && entry->durable_txid > 0)
        say_gone(v, entry->durable_txid);
    else if (rc != 0 && e.code == ERR_NOTFOUND && !v->history)
        doctor_say(v->r, DOCTOR_OK, check,
                   "the place is empty: the daemon begins the replica with a copy of all pages");
    else if (rc != 0 && e.code == ERR_NOTFOUND)
        doctor_say(v->r, entry ? DOCTOR_WARNING : DOCTOR_ERROR, check,
                   "it has objects of a replica, but no 'seawall.json'" TEXT_HINT
                   "start the daemon of this database, which puts that file again");
    else if (rc != 0)
        doctor_say_error(v->r, DOCTOR_ERROR, check, &e, damage_hint);
    else if (ours && entry->not_exclusive)
        doctor_say(v->r, DOCTOR_WARNING, check,
                   "it continues at transaction %" PRIu64 "; the store was seen to let two writers put one "
                   "object" TEXT_HINT "make sure that there is one writer, or use another store",
                   entry->durable_txid);
    else if (ours)
        doctor_say(v->r, DOCTOR_OK, check, "it continues at transaction %" PRIu64, entry->durable_txid);
    else if (v->history && !v->p->attached && v->p->db->usable)
        say_foreign(v, &id);
    else
        doctor_say(v->r, DOCTOR_OK, check,
                   v->p->attached ? "its daemon continues it"
                   : v->history   ? "it has transactions"
                                  : "it has no transactions yet");
    free(copy);
}

/* ---- all of it */

static void visit_store(struct visit *v)
{
    char description[STORE_DESCRIPTION_MAX];
    v->store->cancel = v->r->cancel;
    v->store->retrying = v->p->retrying;
    if (v->store->note[0])
        doctor_say(v->r, DOCTOR_WARNING, "privacy", "%s" TEXT_HINT "change that, unless you want it so",
                   v->store->note);
    if (!try_list(v) || is_canceled(v))
        return;
    store_describe(v->store, description);
    if (description[0])
        doctor_say(v->r, DOCTOR_OK, "store", "%s", description);
    if (!look_at_clock(v) || is_canceled(v) || !look_at_rules(v) || is_canceled(v))
        return;
    look_at_history(v);
    if (!is_canceled(v) && !v->p->only_look)
        try_all(v);
}

void doctor_look_at_place(struct doctor_report *r, const struct doctor_place *p)
{
    struct visit v = {.r = r, .p = p};
    struct err e;
    if (store_check(p->url, v.shown, &e)) {
        doctor_about_database(r, p->db->path);
        doctor_say_error(r, DOCTOR_ERROR, "url", &e, "see 'seawall help s3'");
        return;
    }
    doctor_about_replica(r, p->db->path, v.shown);
    const mode_t before = privacy();
    privacy_set(p->db->mode ? privacy_of(p->db->mode) : 0);
    if (strstr(v.shown, "://") || look_at_folder(&v)) {
        if (store_open(p->url, STORE_WRITE, &v.store, &e))
            doctor_say_error(r, DOCTOR_ERROR, "store", &e, reach_hint);
        else
            visit_store(&v);
        store_close(v.store);
    }
    privacy_set(before);
    doctor_about_machine(r); /* `shown` ends here */
}
