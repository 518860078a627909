/* ship/attach.c - does the replica's head belong to the proven past of our map?
 *
 *   linked  what follows our position begins right after it and links to the object that we know as the head
 *   mine    and each of these objects was an attempt of ours, or was put by a run of ours
 *   past    and lies in what our map contains
 *
 *   past: continue. mine: compare all pages with what the replica holds (resync). Otherwise it is another writer's: stop, unless
 * told to take over, which is a resync too. */
#include "base/invariant.h"
#include "base/trial.h"
#include "ship/destination.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LINKS_CHECKED 32 /* of the newest objects, on a weak store */

struct findings {
    bool mine, past;
    bool behind; /* the object at our position is gone: retention took it. Whose the others are shows each by itself */
    uint64_t head_txid, head_checksum;
    int64_t head_time_ms;
    struct digest head;
    uint64_t base_owed, anew_txid;
    unsigned adopted;
    struct segment_info last; /* of the head */
};

/* The object is the newest so far. */
static void note_head(struct findings *f, const struct segment *s, const struct digest *digest)
{
    const struct commit_record *newest = &s->records[s->trailer.record_count - 1];
    f->head_txid = s->trailer.info.max;
    f->head = *digest;
    f->head_checksum = newest->checksum;
    f->head_time_ms = newest->time_ms;
    f->last = s->trailer.info;
}

/* Takes the object after `f->head_txid` into account. */
static void consider(const struct destination *d, const struct identity *id, const struct segment *s,
                     const struct digest *digest, struct findings *f)
{
    const struct segment_info *i = &s->trailer.info;
    bool hole =
        f->behind || i->min > f->head_txid + 1; /* where retention has been, and a power cut took back our position */
    bool linked = hole || (i->min == f->head_txid + 1 && digest_equal(&i->digest_before, &f->head));
    f->behind = false;
    f->past &= !hole;
    bool attempt = RULE(attempts) && identity_replica_tried(&d->entry, digest);
    f->mine &= linked && (attempt || identity_knows_run(id, &i->run));
    f->past &= linked && (attempt || identity_is_past(id, &i->run, i->max));
    note_head(f, s, digest);
    if (i->flags & SEGMENT_FROM_EMPTY) {
        f->base_owed = i->flags & SEGMENT_BASE_ONLY ? i->max : 0;
        f->anew_txid = i->max;
    }
    f->adopted++;
}

static int look(const struct destination *d, const struct author *a, struct catalog *c, const struct identity *id,
                struct findings *f, struct err *e)
{
    const struct identity_replica *entry = &d->entry;
    *f = (struct findings){.mine = true,
                           .past = !entry->unrelated,
                           .head_txid = entry->durable_txid,
                           .head = entry->head,
                           .head_checksum = entry->head_checksum,
                           .base_owed = entry->base_owed,
                           .anew_txid = entry->anew_txid};
    size_t first_newer = 0;
    while (first_newer < c->level0_count && c->level0[first_newer].name.min <= entry->durable_txid)
        first_newer++;
    size_t i = first_newer > 0 ? first_newer - 1 : 0; /* the head that we know, or whatever is there instead */
    f->behind = first_newer == 0 && entry->durable_txid > 0;
    for (; i < c->level0_count; i++) {
        struct segment s;
        struct digest digest;
        if (object_load_level0(c->store, c->level0[i].name.min, a->codec, &s, &digest, e)) {
            if (e->code != ERR_CORRUPT || a->take_over == TAKE_OVER_NO || i + 1 == c->level0_count)
                return -1;
            f->mine = f->past = false; /* damaged, and not the head: what is taken over goes on behind it */
            continue;
        }
        if (!uid_equal(&s.trailer.info.database, &entry->database)) {
            segment_release(&s);
            return err_set(e, ERR_CORRUPT, 0,
                           "the object at txid %" PRIu64 " belongs to another database than '" NAME_IDENTITY "' says",
                           c->level0[i].name.min);
        }
        if (i < first_newer && first_newer < c->level0_count && s.trailer.info.max < entry->durable_txid) {
            f->behind = true;         /* retention took the one at our position, not this older one */
        } else if (i < first_newer) { /* must end where we stand, and be what we know */
            bool known = s.trailer.info.max == entry->durable_txid && digest_equal(&digest, &entry->head);
            f->mine &= known || identity_replica_tried(entry, &digest) || identity_knows_run(id, &s.trailer.info.run);
            f->past &= known; /* ours, but not where we stand: a store that lost its newest objects */
            note_head(f, &s, &digest);
        } else {
            consider(d, id, &s, &digest, f);
        }
        segment_release(&s);
    }
    return 0;
}

/* What the replica holds at its head. Not to be had (its first base is not complete): then nothing in it counts. */
static int read_head_map(struct destination *d, struct catalog *c, uint64_t head_txid, struct err *e)
{
    struct plan p = {0};
    map_release(&d->head_map);
    d->from_empty = false;
    int rc = plan_make(c, head_txid, &p, e);
    if (rc != 0 && (e->code == ERR_NOTFOUND || e->code == ERR_CORRUPT)) {
        d->from_empty = true;
        return 0;
    }
    if (rc == 0)
        rc = plan_map(c, &p, &d->head_map, e);
    if (rc != 0 && e->code == ERR_CORRUPT) { /* a damaged history can't be continued, only left behind */
        d->from_empty = true;
        rc = 0;
    }
    plan_release(&p);
    return rc;
}

/* What was tried and has not landed is forgotten: should it land yet, its run shows whose it is. On a weak store it would overwrite
 * what we put in its place: that is remembered. */
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

/* What was shipped is not there: rather wait than begin anew on the bare mount point of a disk. */
static int is_gone(const struct destination *d, const char *found, struct err *e)
{
    err_set(e, ERR_REMOTE, 0, "'%s' held txid %" PRIu64 ", and now it %s", d->url, d->entry.durable_txid, found);
    return err_hint(e, "is the disk mounted? To begin a new replica there, say --take-over once");
}

/* Which database the replica is of: read once; made when there is none. */
static int identify(const struct destination *d, const struct author *a, struct replica_identity *ret_id, struct err *e)
{
    int rc = replica_identity_read(d->store, ret_id, e);
    if (rc == 0 || e->code != ERR_NOTFOUND)
        return rc;
    if (d->entry.durable_txid > 0 && a->take_over == TAKE_OVER_NO)
        return is_gone(d, "holds no replica", e);
    return replica_identity_obtain(d->store, ret_id, e);
}

/* Are all these txids in compacted segments? Then retention may have taken the objects that had them. */
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

/* Do the newest objects of a weak store still continue each other? One of them may have been overwritten. */
static int check_links(struct destination *d, const struct author *a, const struct catalog *c, struct err *e)
{
    struct segment_info before = {.max = 0};
    struct digest before_digest = {{0}};
    if (d->store->fencing != STORE_FENCING_WEAK)
        return 0;
    for (size_t i = c->level0_count > LINKS_CHECKED ? c->level0_count - LINKS_CHECKED : 0; i < c->level0_count; i++) {
        struct segment s;
        struct digest digest;
        if (object_load_level0(c->store, c->level0[i].name.min, a->codec, &s, &digest, e))
            return -1;
        const struct segment_info info = s.trailer.info;
        segment_release(&s);
        bool hole =
            before.max > 0 && info.min > before.max + 1 && levels_have(c, before.max + 1, info.min - 1); /* retention */
        bool linked = hole || (info.min == before.max + 1 && digest_equal(&info.digest_before, &before_digest));
        d->broken |= before.max > 0 && !linked && !(info.flags & SEGMENT_FROM_EMPTY);
        if (info.flags & SEGMENT_FROM_EMPTY)
            d->broken = false;
        before = info;
        before_digest = digest;
    }
    return 0;
}

static int attach_to(struct destination *d, const struct author *a, struct catalog *c, enum destination_state *ret_to,
                     struct err *e)
{
    struct identity id = state_identity(a->state);
    struct findings f;
    if (c->level0_count == 0 && d->entry.durable_txid > 0 && a->take_over == TAKE_OVER_NO)
        return is_gone(d, "has no objects", e); /* retention never takes the newest */
    if (c->level0_count == 0) {
        d->entry = (struct identity_replica){.place = d->entry.place, .database = d->entry.database};
        d->from_empty = true;
        d->head_time_ms = 0;
        d->head_page_size = 0;
        d->head_min = 0;
        d->levels = (struct levels){.base_bytes = 0};
        state_set_replica(a->state, d->index, &d->entry);
        snprintf(d->found, sizeof d->found, "the replica is empty: it gets everything");
        *ret_to = DESTINATION_ATTACHED;
        return 0;
    }
    if (look(d, a, c, &id, &f, e))
        return -1;
    if (!f.mine && a->take_over == TAKE_OVER_NO)
        return destination_conflict(d, &f.last, e);
    struct levels_head head = {.txid = f.head_txid,
                               .anew_txid = f.anew_txid,
                               .checksum = f.head_checksum,
                               .page_size = f.last.page_size,
                               .store_ms = d->proof_store_ms};
    if (check_links(d, a, c, e) || levels_survey(&d->levels, c, &head, e))
        return -1;
    if (d->broken) {
        map_release(&d->head_map);
        d->from_empty = true;
        d->broken = d->open_attempts = false;
        d->endangered_min = 0;
        set_position(d, &f);
        snprintf(d->found, sizeof d->found,
                 "an object before txid %" PRIu64 " was overwritten: everything is sent anew", f.head_txid);
        *ret_to = DESTINATION_RESYNC;
        return 0;
    }
    if (f.mine && f.past) {
        set_position(d, &f);
        state_set_replica(a->state, d->index, &d->entry);
        d->from_empty = false;
        int n = snprintf(d->found, sizeof d->found, "continues at txid %" PRIu64, f.head_txid);
        if (f.adopted)
            snprintf(d->found + n, sizeof d->found - (size_t)n, ", adopted %u object%s", f.adopted,
                     f.adopted == 1 ? "" : "s");
        *ret_to = DESTINATION_ATTACHED;
        return 0;
    }
    if (read_head_map(d, c, f.head_txid, e))
        return -1;
    set_position(d, &f); /* not in the state file: until the pages are compared this head is not our past */
    snprintf(d->found, sizeof d->found, "%s at txid %" PRIu64 "%s",
             f.mine ? "was left" : "takes over another writer's history", f.head_txid,
             d->from_empty ? ": it can't be read, so everything is sent anew"
                           : ": comparing all pages with what it holds");
    *ret_to = DESTINATION_RESYNC;
    return 0;
}

int destination_attach(struct destination *d, const struct author *a, struct err *e)
{
    struct catalog c;
    struct replica_identity id;
    enum destination_state to = DESTINATION_DETACHED;
    int64_t store_ms = 0;
    INVARIANT(d->state == DESTINATION_DETACHED, "replica '%s': attached in state %d", d->url, d->state);
    if (destination_open_store(d, e) || destination_look_up(d, a->state, e))
        return -1;
    if (identify(d, a, &id, e) || replica_probe(d->store, e) || store_time(d->store, &store_ms, e))
        return -1;
    destination_prove(d, store_ms);                     /* before the listing that is the proof */
    if (!uid_equal(&id.database, &d->entry.database)) { /* new to us, or another replica under the same URL */
        d->entry = (struct identity_replica){.place = d->entry.place, .database = id.database};
        state_set_replica(a->state, d->index, &d->entry);
    }
    if (catalog_open(&c, d->store, a->codec, e))
        return -1;
    int rc = attach_to(d, a, &c, &to, e);
    catalog_release(&c);
    if (rc == 0)
        destination_enter(d, to);
    if (rc == 0 && to == DESTINATION_ATTACHED)
        state_note_looked(a->state, &a->run, d->index);
    return rc;
}
