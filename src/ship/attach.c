/* ship/attach.c - finds out where a replica ends, and whether this writer may continue it. findings.h has the
 * decision. */
#include "base/clock.h"
#include "base/invariant.h"
#include "base/trial.h"
#include "replica/ways.h"
#include "ship/look.h"
#include "ship/newcomer.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ROOM_TXIDS (UINT64_C(1) << 40) /* decades of commits, which a replica must have room for */
#define LINKS_CHECKED 32               /* of the newest objects, on a weak store */

/* Checks an object whose PUT was not acknowledged. */
static int confirm(const struct destination *d, uint64_t min, struct err *e)
{
    const struct name name = {.kind = NAME_LEVEL0, .min = min};
    char key[NAME_MAX_BYTES];
    name_format(&name, key);
    return store_confirm(d->store, key, e);
}

/* Checks that an object that can't be read is not one that a newer program wrote. Behind that one nothing may begin:
 * that program can read what is there. */
static int check_not_newer(const struct destination *d, const char *key, struct err *e)
{
    struct buf tail = BUF_INIT(SEGMENT_TRAILER_BYTES);
    uint64_t size = 0;
    int rc = store_read_tail(d->store, key, SEGMENT_TRAILER_BYTES, &tail, &size, e);
    if (rc == 0 && tail.len == SEGMENT_TRAILER_BYTES && segment_trailer_is_newer(tail.data)) {
        err_set(e, ERR_CONFIG, 0, "'%s': the object '%s' has a newer format than this program knows", d->url, key);
        rc = err_hint(e, "nothing is put there: use the version of seawall that wrote it, or a newer one");
    }
    buf_release(&tail);
    return rc;
}

static int check_name_not_newer(const struct destination *d, const struct name *name, struct err *e)
{
    char key[NAME_MAX_BYTES];
    name_format(name, key);
    return check_not_newer(d, key, e);
}

/* The same for all objects that can have kept the planner, or the map of the plan `p`, from a result. */
static int check_none_is_newer(const struct destination *d, struct catalog *c, const struct plan *p, struct err *e)
{
    struct err damage;
    for (size_t i = 0; i < catalog_segment_count(c); i++)
        if (c->ways->fault[i] == ERR_CORRUPT && check_name_not_newer(d, &catalog_segment(c, i)->name, e))
            return -1;
    for (size_t i = 0; i < c->marker_count; i++)
        if (catalog_load(c, &c->markers[i], &damage) && damage.code == ERR_CORRUPT &&
            check_name_not_newer(d, &c->markers[i].name, e))
            return -1;
    for (size_t i = 0; i < p->source_count; i++)
        if (check_not_newer(d, p->sources[i].key, e) && e->code != ERR_NOTFOUND)
            return -1;
    return 0;
}

/* Reads the level-0 objects from our position on, and adds them to the findings. */
static int look(const struct destination *d, const struct author *a, const struct catalog *c, struct findings *f,
                struct err *e)
{
    size_t first_newer = c->level0_count - f->newer;
    for (size_t i = first_newer > 0 ? first_newer - 1 : 0; i < c->level0_count; i++) {
        struct level0_facts o;
        uint64_t min = c->level0[i].name.min;
        if (destination_read_facts_of(d, a, &c->level0[i].name, &o, e)) {
            bool newest = i + 1 == c->level0_count;
            struct err newer;
            if (e->code == ERR_CORRUPT && check_name_not_newer(d, &c->level0[i].name, &newer)) {
                *e = newer;
                return -1;
            }
            f->end_damaged = newest && f->newer == 0 && e->code == ERR_CORRUPT && RULE(look);
            if (f->end_damaged) /* it is as good as lost */
                return 0;
            if (e->code != ERR_CORRUPT || a->take_over == TAKE_OVER_NO || newest)
                return -1;
            findings_add_damaged(f); /* a take-over goes on behind it */
            continue;
        }
        if (!uid_equal(&o.info.database, &d->entry.database))
            return err_set(e, ERR_CORRUPT, 0,
                           "the object at txid %" PRIu64 " belongs to another database than '" NAME_IDENTITY "' says",
                           min);
        if (identity_replica_tried(&d->entry, &o.digest) && confirm(d, min, e))
            return -1;
        findings_add(f, &o);
    }
    return 0;
}

/* Reads which pages the replica holds at its head. If they can't be restored, because the first base is not complete
 * or an object is damaged, nothing in the replica counts: the next object begins a new history. */
static int read_head_map(struct destination *d, struct catalog *c, uint64_t head_txid, struct err *e)
{
    struct plan p = {0};
    map_release(&d->head_map);
    d->from_empty = false;
    int rc = plan_make(c, head_txid, &p, e);
    const bool no_plan = rc != 0 && (e->code == ERR_NOTFOUND || e->code == ERR_CORRUPT);
    if (rc == 0)
        rc = plan_map(c, &p, &d->head_map, e);
    if (no_plan || (rc != 0 && e->code == ERR_CORRUPT)) { /* a damaged history can't be continued */
        d->from_empty = true;
        rc = check_none_is_newer(d, c, &p, e);
    }
    plan_release(&p);
    return rc;
}

/* Attempts that are not in the store are forgotten: if one appears later, its run shows that it is ours. On a weak
 * store it would overwrite the object that we put under its key, so `open_attempts` remembers that. */
static void set_position(struct destination *d, const struct findings *f)
{
    d->open_attempts |= d->store->fencing == STORE_FENCING_WEAK && d->entry.attempt_count > 0;
    d->entry.durable_txid = f->head_txid;
    d->entry.head = f->head;
    d->entry.head_checksum = f->head_checksum;
    d->entry.base_owed = f->base_owed;
    d->entry.anew_txid = f->anew_txid;
    d->entry.attempt_count = 0;
    d->head_time_ms = f->head_time_ms;
    d->head_page_size = f->last.page_size;
    d->head_min = f->last.min;
}

/* Sets the error for a place that lacks our objects, and of which nothing proves that it is their place. The folder may
 * be the mount point of a disk that is not mounted. So a new replica is begun there only if a person says so. */
static int is_gone(const struct destination *d, const char *found, struct err *e)
{
    err_set(e, ERR_REMOTE, 0, "'%s' held txid %" PRIu64 ", and now it %s", d->url, d->entry.durable_txid, found);
    return err_hint(e, "is the disk mounted? To begin the replica again there, start the daemon once with --take-over");
}

/* An empty place is the place of our replica if it can't be another one: it is a bucket, or it has been the same
 * folder since the replica was seen in it (storage/file.c). */
static bool is_the_place(const struct destination *d, const struct author *a)
{
    return !d->store->folder || d->seen_here || a->take_over == TAKE_OVER_YES;
}

/* Returns 0 if objects have been missing for long enough to believe it. */
static int confirm_loss(struct destination *d, const char *found, struct err *e)
{
    const int64_t now = clock_boot_ms();
    if (d->missed_boot_ms == 0)
        d->missed_boot_ms = now;
    if (now - d->missed_boot_ms >= look_confirm_ms(d->store))
        return 0;
    return err_set(e, ERR_REMOTE, 0, "'%s' held txid %" PRIu64 ", and now it %s: looking again before it is believed",
                   d->url, d->entry.durable_txid, found);
}

/* Refuses a replica near the last txid: a commit beyond it could not be restored, and no replica that grew commit by
 * commit has come so far. All replicas of a database have the same txids, so this one would end the others too. */
static int is_full(const struct destination *d, uint64_t head_txid, struct err *e)
{
    err_set(e, ERR_CONFIG, 0, "'%s' is at txid %" PRIu64 ", close to the last possible txid: nothing can be added",
            d->url, head_txid);
    return err_hint(e, "begin a new replica under another URL");
}

static int note_level0(void *context, const struct store_entry *entry)
{
    const struct name name = name_parse(entry->key);
    if (name.kind == NAME_LEVEL0)
        *(uint64_t *)context = name.min;
    return name.kind == NAME_LEVEL0;
}

/* The note of this writer; false: it is not to be named. */
static bool name_self(const struct author *a, struct writer_note *ret_note)
{
    const struct identity id = state_identity(a->state);
    if (a->database)
        writer_note_make(ret_note, &id.writer, a->database, a->hide_writer);
    return a->database != NULL;
}

/* Makes seawall.json again. Each object has the id of the replica, so any object gives it back. Without objects of
 * level 0 the replica is new, or it is one that we know and that lost everything. */
static int replace_identity(struct destination *d, const struct author *a, struct replica_identity *ret_id,
                            struct err *e)
{
    uint64_t min = 0;
    struct level0_facts facts;
    struct writer_note note;
    const struct writer_note *self = name_self(a, &note) ? &note : NULL;
    if (store_list(d->store, NAME_LEVEL0_PREFIX, "", note_level0, &min, e))
        return -1;
    if (min == 0 && d->entry.durable_txid == 0)
        return replica_identity_obtain(d->store, self, ret_id, e);
    if (min == 0 && !is_the_place(d, a))
        return is_gone(d, "holds no replica", e);
    if (min == 0 && confirm_loss(d, "has no objects", e))
        return -1;
    if (min > 0 && destination_read_facts(d, a, min, &facts, e))
        return -1;
    d->identity_put = true;
    return replica_identity_replace(d->store, min > 0 ? &facts.info.database : &d->entry.database, self, ret_id, e);
}

/* Reads seawall.json, or makes it if there is none. */
static int identify(struct destination *d, const struct author *a, struct replica_identity *ret_id, struct err *e)
{
    d->identity_put = false;
    int rc = replica_identity_read(d->store, ret_id, e);
    if (rc == 0) /* of this database: then the place is the right one */
        d->seen_here |= uid_equal(&ret_id->database, &d->entry.database);
    return rc == 0 || e->code != ERR_NOTFOUND ? rc : replace_identity(d, a, ret_id, e);
}

/* Whether compacted segments have all txids from `first` to `last`. Then retention may have deleted the level-0
 * objects. */
static bool levels_have(const struct catalog *c, uint64_t first, uint64_t last)
{
    bool further = true;
    while (first <= last && further) {
        further = false;
        for (size_t i = 0; i < c->level_count; i++)
            if (c->levels[i].name.min <= first && c->levels[i].name.max >= first) {
                first = c->levels[i].name.max + 1;
                further = true;
            }
    }
    return first > last;
}

/* Sets `broken` if the newest objects of a weak store do not link to each other: one of them was overwritten. */
static int check_links(struct destination *d, const struct author *a, const struct catalog *c, struct err *e)
{
    struct level0_facts before = {.info.max = 0};
    if (d->store->fencing != STORE_FENCING_WEAK)
        return 0;
    for (size_t i = c->level0_count > LINKS_CHECKED ? c->level0_count - LINKS_CHECKED : 0; i < c->level0_count; i++) {
        struct level0_facts o;
        if (destination_read_facts_of(d, a, &c->level0[i].name, &o, e))
            return -1;
        uint64_t end = before.info.max;
        bool retention = end > 0 && o.info.min > end + 1 && levels_have(c, end + 1, o.info.min - 1);
        bool linked = retention || before.packed ||
                      (o.info.min == end + 1 && digest_equal(&o.info.digest_before, &before.digest));
        if (o.info.flags & SEGMENT_FROM_EMPTY)
            d->broken = false;
        else if (end > 0 && !linked)
            d->broken = true;
        before = o;
    }
    return 0;
}

/* The newest txid of levels and bases. An honest writer puts none beyond the head, so then level 0 has lost its newest
 * objects. With the same txids again, the planner would take the levels and bases for the new history. Precondition:
 * levels_survey. */
static uint64_t reach_of(const struct destination *d, const struct catalog *c)
{
    uint64_t reach = d->levels.base_max;
    for (size_t i = 0; i < c->level_count; i++)
        reach = c->levels[i].name.max > reach ? c->levels[i].name.max : reach;
    for (size_t i = 0; i < c->marker_count; i++)
        reach = c->markers[i].name.start > reach ? c->markers[i].name.start : reach;
    return reach;
}

static int is_without_level0(const struct destination *d, uint64_t reach, struct err *e)
{
    err_set(e, ERR_CONFIG, 0, "'%s' has lost all objects of level 0, and has others up to txid %" PRIu64, d->url,
            reach);
    return err_hint(e, "nothing can be added there; begin a new replica under another URL, and keep this one for what "
                       "it still has");
}

/* An entry without a position. What is known of the store stays. */
static struct identity_replica entry_without_position(const struct identity_replica *entry, const struct uid *database)
{
    return (struct identity_replica){
        .place = entry->place, .database = *database, .raced = entry->raced, .not_exclusive = entry->not_exclusive};
}

static void begin_empty(struct destination *d, const struct author *a)
{
    d->entry = entry_without_position(&d->entry, &d->entry.database);
    d->from_empty = true;
    d->head_time_ms = 0;
    d->head_page_size = 0;
    d->head_min = 0;
    d->levels = (struct levels){.base_bytes = 0};
    state_set_replica(a->state, d->index, &d->entry);
    snprintf(d->found, sizeof d->found, "the replica is empty: it gets everything");
}

/* An object was overwritten or lost, so the history up to it can't be restored: the next one begins a new history. */
static void begin_behind_damage(struct destination *d, const struct findings *f, const char *damage)
{
    map_release(&d->head_map);
    d->from_empty = true;
    d->broken = d->open_attempts = false;
    d->endangered_min = 0;
    set_position(d, f);
    d->entry.base_owed = f->head_txid; /* nothing counts as durable before the new history lands */
    snprintf(d->found, sizeof d->found, "an object before txid %" PRIu64 " was %s: everything is sent again",
             f->head_txid + 1, damage);
}

/* Levels or bases reach beyond the head, to txid `reach`. */
static int begin_beyond(struct destination *d, const struct findings *f, uint64_t reach, struct err *e)
{
    struct findings behind = *f;
    if (reach > SEGMENT_TXID_MAX - ROOM_TXIDS)
        return is_full(d, reach, e);
    behind.head_txid = reach;
    begin_behind_damage(d, &behind, "lost");
    return 0;
}

static void go_on(struct destination *d, const struct author *a, const struct findings *f)
{
    set_position(d, f);
    state_set_replica(a->state, d->index, &d->entry);
    d->from_empty = false;
    int n = snprintf(d->found, sizeof d->found, "continues at txid %" PRIu64, f->head_txid);
    if (f->adopted)
        n += snprintf(d->found + n, sizeof d->found - (size_t)n, ", adopted %u object%s", f->adopted,
                      f->adopted == 1 ? "" : "s");
    if (d->identity_put)
        snprintf(d->found + n, sizeof d->found - (size_t)n, "; '" NAME_IDENTITY "' was missing and was put again");
}

/* The new position does not go into the state file: this head is not our past before the pages are compared. */
static int ask_for_resync(struct destination *d, struct catalog *c, const struct findings *f, struct err *e)
{
    if (read_head_map(d, c, f->head_txid, e))
        return -1;
    set_position(d, f);
    snprintf(d->found, sizeof d->found, "%s at txid %" PRIu64 "%s",
             f->mine ? "was left" : "takes over another writer's history", f->head_txid,
             d->from_empty ? ": it can't be read, so everything is sent again"
                           : ": comparing all pages with what it holds");
    return 0;
}

/* ---- a replica that lost objects: destination.h, "Loss" */

/* The newest object that is left was put by another writer. Runs of ours are forgotten in time, our id is not. */
static bool is_foreign(const struct findings *f)
{
    return f->objects > 0 && !f->mine && !uid_equal(&f->last.writer, &f->id->writer);
}

/* When the object was stored. In a folder times of files can be set, so the later one of two counts: that of the file,
 * and the one that the object itself has, which is not in the future. */
static int64_t stored_ms(const struct destination *d, const struct catalog_object *o, const struct findings *f)
{
    const int64_t own_ms = f->last.time_ms < d->proof_store_ms ? f->last.time_ms : d->proof_store_ms;
    return d->store->folder && own_ms > o->time_ms ? own_ms : o->time_ms;
}

/* Whether an object of another writer was stored after we proved that our head was the newest object. Older objects are
 * the past that we continued. */
static bool is_newcomer(const struct destination *d, const struct catalog *c, const struct findings *f)
{
    const struct catalog_object *left = catalog_head(c);
    return left && is_foreign(f) && (!d->seen_here || stored_ms(d, left, f) > d->proof_before_ms);
}

/* The head is gone, and nothing is behind it. */
static bool head_is_lost(const struct findings *f)
{
    return f->entry->durable_txid > 0 && f->newer == 0 && (f->objects == 0 || f->last.max < f->entry->durable_txid);
}

/* After a loss a late PUT of ours can have landed where the new beginning goes. It continues what is lost. */
static int is_restorable(struct catalog *c, uint64_t txid, bool *ret_is, struct err *e)
{
    struct plan p = {0};
    *ret_is = plan_make(c, txid, &p, e) == 0;
    plan_release(&p);
    return *ret_is || e->code == ERR_NOTFOUND || e->code == ERR_CORRUPT ? 0 : -1;
}

/* The position stays: the next object goes behind the last txid that was acknowledged. A power cut can have taken our
 * newest position back: then levels and bases that are left reach beyond it, and the next object goes behind those. The
 * attempts stay too, since an object of the time before the loss can land under its key. */
static int begin_again(struct destination *d, const struct author *a, struct catalog *c, const char *lost,
                       struct err *e)
{
    const struct catalog_object *left = catalog_head(c);
    const struct levels_head head = {.txid = d->entry.durable_txid,
                                     .anew_txid = d->entry.anew_txid,
                                     .checksum = d->entry.head_checksum,
                                     .page_size = d->head_page_size,
                                     .store_ms = d->proof_store_ms};
    if (levels_survey(&d->levels, c, &head, e))
        return -1;
    const uint64_t reach = reach_of(d, c);
    if (reach > SEGMENT_TXID_MAX - ROOM_TXIDS)
        return is_full(d, reach, e);
    map_release(&d->head_map);
    d->from_empty = d->lost = true;
    d->broken = false; /* what was overwritten before does not matter any more, and may be lost */
    d->endangered_min = 0;
    d->open_attempts |= d->store->fencing == STORE_FENCING_WEAK && d->entry.attempt_count > 0;
    d->left_min = left ? left->name.min : 0;
    d->head_min = 0;
    d->head_page_size = 0;
    d->levels = (struct levels){.base_bytes = 0};
    d->entry.base_owed = d->entry.durable_txid; /* nothing counts as durable, also after a restart */
    state_set_replica(a->state, d->index, &d->entry);
    snprintf(d->found, sizeof d->found,
             "it lost objects: it held txid %" PRIu64 ", and now it %s. Everything is sent again, as a new beginning",
             d->entry.durable_txid, lost);
    if (reach > d->entry.durable_txid)
        d->entry.durable_txid = reach; /* not in the state file before an object is there */
    return 0;
}

/* Fails if the head can be read although the listing lacks it: listings of some stores lag, for minutes or longer. The
 * key of the head has its first txid, which only this run knows; a head of one commit has its last one too. */
static int check_not_hidden(const struct destination *d, const struct author *a, struct err *e)
{
    const uint64_t keys[] = {d->head_min, d->entry.durable_txid};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        struct level0_facts found;
        if (keys[i] == 0)
            continue;
        if (destination_read_facts(d, a, keys[i], &found, e)) {
            if (e->code != ERR_NOTFOUND && e->code != ERR_CORRUPT)
                return -1;
        } else if (digest_equal(&found.digest, &d->entry.head)) {
            return err_set(e, ERR_REMOTE, 0,
                           "list '%s': the newest object, of txid %" PRIu64
                           ", can be read and is not in the listing: looking again",
                           d->url, d->entry.durable_txid);
        }
    }
    return 0;
}

/* Decides about a replica that lost its head. *ret_to: as for attach_to. */
static int after_loss(struct destination *d, const struct author *a, struct catalog *c, const struct findings *f,
                      enum destination_state *ret_to, struct err *e)
{
    char found[80] = "has no objects";
    if (is_newcomer(d, c, f))
        return destination_conflict(d, &f->last, e);
    if (f->end_damaged)
        snprintf(found, sizeof found, "ends with a damaged object");
    else if (f->objects > 0)
        snprintf(found, sizeof found, "ends at txid %" PRIu64, f->head_txid);
    if (f->objects == 0 && !f->end_damaged && !is_the_place(d, a))
        return is_gone(d, found, e);
    if (check_not_hidden(d, a, e) || confirm_loss(d, found, e))
        return -1;
    *ret_to = DESTINATION_RESYNC;
    return begin_again(d, a, c, found, e);
}

/* ---- all of it */

/* A writer that never was in a replica, of a database that has just begun. */
static bool is_newcomer_here(const struct author *a, const struct identity *id, const struct findings *f)
{
    for (uint32_t i = 0; i < id->replica_count; i++)
        if (id->replicas[i].durable_txid > 0)
            return false;
    return a->database && newcomer_is_small(a->database, f->db_bytes);
}

/* What is found, when nothing is missing. */
static int attach_at_head(struct destination *d, const struct author *a, struct catalog *c, const struct findings *f,
                          enum destination_state *ret_to, struct err *e)
{
    struct levels_head head = {.txid = f->head_txid,
                               .anew_txid = f->anew_txid,
                               .checksum = f->head_checksum,
                               .page_size = f->last.page_size,
                               .store_ms = d->proof_store_ms};
    bool restorable = true;
    if (d->lost && is_restorable(c, f->head_txid, &restorable, e))
        return -1;
    if (!restorable) { /* a late PUT of ours is the head now */
        set_position(d, f);
        *ret_to = DESTINATION_RESYNC;
        return begin_again(d, a, c, "has only objects of the time before the loss", e);
    }
    d->lost = false;
    if (check_links(d, a, c, e) || levels_survey(&d->levels, c, &head, e))
        return -1;
    const uint64_t reach = reach_of(d, c);
    if (reach > f->head_txid) {
        *ret_to = DESTINATION_RESYNC;
        return begin_beyond(d, f, reach, e);
    }
    if (findings_outcome(f, a->take_over) == ATTACH_CONTINUE && !d->broken) {
        *ret_to = DESTINATION_ATTACHED;
        go_on(d, a, f);
        return 0;
    }
    *ret_to = DESTINATION_RESYNC;
    if (!d->broken)
        return ask_for_resync(d, c, f, e);
    begin_behind_damage(d, f, "overwritten");
    return 0;
}

static int attach_to(struct destination *d, const struct author *a, struct catalog *c, enum destination_state *ret_to,
                     struct err *e)
{
    struct identity id = state_identity(a->state);
    const struct catalog_object *at = catalog_level0_at(c, d->entry.durable_txid);
    size_t newer = at ? c->level0_count - 1 - (size_t)(at - c->level0) : c->level0_count;
    struct findings f;
    findings_begin(&f, &d->entry, &id, newer);
    if (look(d, a, c, &f, e))
        return -1;
    enum attach_outcome outcome = findings_outcome(&f, a->take_over);
    if (head_is_lost(&f) && RULE(look) && !(is_foreign(&f) && a->take_over == TAKE_OVER_YES))
        return after_loss(d, a, c, &f, ret_to, e);
    d->missed_boot_ms = 0;
    if (outcome == ATTACH_GONE)
        return is_gone(d, "has no objects", e);
    if (outcome == ATTACH_CONFLICT) {
        destination_conflict(d, &f.last, e);
        return is_newcomer_here(a, &id, &f) ? newcomer_refuse(a->database, d->url, e) : -1;
    }
    if (f.head_txid > SEGMENT_TXID_MAX - ROOM_TXIDS)
        return is_full(d, f.head_txid, e);
    if (outcome != ATTACH_EMPTY)
        return attach_at_head(d, a, c, &f, ret_to, e);
    *ret_to = DESTINATION_ATTACHED;
    d->levels = (struct levels){.base_bytes = 0};
    const uint64_t left = reach_of(d, c);
    if (left > 0)
        return is_without_level0(d, left, e);
    begin_empty(d, a);
    return 0;
}

/* A first attach finds out by a race whether PUT is exclusive there, a later one by a single PUT. */
static int find_fencing(struct destination *d, const struct author *a, struct err *e)
{
    const bool unknown = d->store->fencing == STORE_FENCING_UNKNOWN;
    if (d->entry.not_exclusive)
        store_distrust(d->store);
    if (!d->entry.raced && unknown) {
        if (store_race(d->store, STORE_RACERS, e))
            return -1;
        d->entry.raced = true;
        d->entry.not_exclusive |= d->store->fencing == STORE_FENCING_WEAK;
        state_set_replica(a->state, d->index, &d->entry);
    }
    return replica_probe(d->store, e);
}

/* As destination_attach, with a store that is open. */
static int attach_to_store(struct destination *d, const struct author *a, enum destination_state *ret_to, struct err *e)
{
    struct catalog c;
    struct replica_identity id;
    int64_t store_ms = 0, before_ms = 0;
    if (identify(d, a, &id, e) || find_fencing(d, a, e))
        return -1;
    const struct identity self = state_identity(a->state);
    d->named |= uid_equal(&id.founder.writer, &self.writer);
    before_ms = clock_wall_ms();
    if (store_time(d->store, &store_ms, e))
        return -1;
    destination_note_clock(d, before_ms, store_ms);
    destination_prove(d, store_ms);                     /* the clock before the listing that proves it */
    if (!uid_equal(&id.database, &d->entry.database)) { /* a new replica, or another one at the same URL */
        d->entry = entry_without_position(&d->entry, &id.database);
        d->lost = false;
        state_set_replica(a->state, d->index, &d->entry);
    }
    if (catalog_open(&c, d->store, a->codec, e))
        return -1;
    int rc = attach_to(d, a, &c, ret_to, e);
    catalog_release(&c);
    return rc;
}

int destination_attach(struct destination *d, const struct author *a, struct err *e)
{
    enum destination_state to = DESTINATION_DETACHED;
    INVARIANT(d->state == DESTINATION_DETACHED, "replica '%s': attached in state %d", d->url, d->state);
    if (destination_open_store(d, e) || destination_look_up(d, a->state, e))
        return -1;
    d->proof_before_ms = d->proof_store_ms;
    if (attach_to_store(d, a, &to, e)) {
        d->proof_store_ms = d->proof_before_ms; /* nothing was proven */
        return -1;
    }
    struct writer_note note;
    if (!d->named && name_self(a, &note))
        writer_note_put(d->store, &note);
    d->named = true;
    d->seen_here = true;
    destination_enter(d, to);
    if (to == DESTINATION_ATTACHED)
        state_note_looked(a->state, &a->run, d->index);
    return 0;
}
