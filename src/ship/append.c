/* ship/append.c - puts the object that continues the head: one PUT, one compare-and-swap. */
#include "base/clock.h"
#include "base/invariant.h"
#include "base/trial.h"
#include "replica/packs.h"
#include "ship/destination.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Notes the attempt in the state file, before the request leaves. At IDENTITY_ATTEMPTS_MAX the oldest attempt is
 * forgotten: if its object appears after all, the run id in the object still shows that it is ours. Before the first
 * PUT of a run to a replica, run, position and head are synced: after a power cut the objects of this run are still
 * recognised. */
static int note_attempt(struct destination *d, const struct author *a, struct err *e)
{
    struct identity_replica *entry = &d->entry;
    bool again = identity_replica_tried(entry, &d->outgoing.object.digest);
    if (!again && entry->attempt_count == IDENTITY_ATTEMPTS_MAX) {
        memmove(entry->attempts, entry->attempts + 1, (IDENTITY_ATTEMPTS_MAX - 1) * sizeof entry->attempts[0]);
        entry->attempt_count--;
    }
    if (!again)
        entry->attempts[entry->attempt_count++] = d->outgoing.object.digest;
    if (again && d->run_on_disk)
        return 0;
    state_set_replica(a->state, d->index, entry); /* even if it is noted: the sync after it may have failed */
    if (d->run_on_disk)
        return 0;
    state_note_put(a->state, &a->run, d->index);
    if (RULE(sync_run) && state_sync(a->state, e))
        return -1;
    d->run_on_disk = true;
    return 0;
}

/* Makes an object that is in the store the head. */
static void adopt(struct destination *d, const struct author *a, const struct landed *o, int64_t store_ms)
{
    uint64_t newest = state_txid(a->state);
    INVARIANT(o->max > d->entry.durable_txid && o->max <= newest,
              "replica '%s': from txid %" PRIu64 " to %" PRIu64 " of %" PRIu64, d->url, d->entry.durable_txid, o->max,
              newest);
    if (d->store->costs && digest_equal(&o->digest, &d->outgoing.object.digest))
        kept_add(d->kept, o->min, d->outgoing.bytes.data, d->outgoing.bytes.len);
    d->entry.durable_txid = o->max;
    d->entry.head = o->digest;
    d->entry.head_checksum = o->checksum;
    d->entry.base_owed = o->base_owed;
    if (o->anew) {
        d->entry.anew_txid = o->max;
        d->lost = false;
    }
    d->entry.attempt_count = 0;
    d->from_empty = false;
    d->head_page_size = o->page_size;
    d->head_min = o->min;
    if (d->open_attempts && d->endangered_min == 0) {
        d->endangered_min = o->min;
        d->endangered = o->digest;
    }
    d->outgoing.bytes.len = 0;
    levels_note_append(&d->levels, o->max, o->checksum, o->bytes, o->anew);
    destination_prove(d, store_ms);
    state_set_replica(a->state, d->index, &d->entry);
}

/* ---- proof of the head */

/* On a weak store every proof is too old: another writer can overwrite the head at any time. */
static bool too_old(const struct destination *d, const struct author *a, int64_t store_ms)
{
    const int64_t most =
        (RULE(pack_proof) ? (int64_t)pack_settle_ms(d->store, (uint64_t)a->grace_ms) : a->grace_ms) / 2;
    return d->store->fencing == STORE_FENCING_WEAK || llabs(store_ms - d->proof_store_ms) > most ||
           clock_boot_ms() - d->proof_boot_ms > most;
}

static int note_first(void *context, const struct store_entry *entry)
{
    struct name name = name_parse(entry->key);
    if (name.kind == NAME_LEVEL0)
        *(uint64_t *)context = name.min;
    return name.kind == NAME_LEVEL0;
}

/* Finds the level-0 object that comes after the one that begins at `txid`. *ret_next: its first txid; 0: there is
 * none. *store_ms becomes the store's clock before the listing. Exception: a weak store is not asked for the time,
 * because there every proof is too old anyway. */
static int find_next(struct destination *d, uint64_t txid, uint64_t *ret_next, int64_t *store_ms, struct err *e)
{
    struct name name = {.kind = NAME_LEVEL0, .min = txid};
    char key[NAME_MAX_BYTES];
    name_format(&name, key);
    *ret_next = 0;
    const int64_t before_ms = clock_wall_ms();
    if (d->store->fencing != STORE_FENCING_WEAK) {
        if (store_time(d->store, store_ms, e))
            return -1;
        destination_note_clock(d, before_ms, *store_ms);
    }
    return store_list(d->store, NAME_LEVEL0_PREFIX, key, note_first, ret_next, e) ? -1 : 0;
}

/* Checks that the object at `min` has this digest. Only a weak store can have lost or overwritten it: others are not
 * asked. */
static int still_there(const struct destination *d, const struct author *a, uint64_t min, const struct digest *digest,
                       bool *ret_there, struct err *e)
{
    struct level0_facts found;
    *ret_there = true;
    if (d->store->fencing != STORE_FENCING_WEAK || min == 0)
        return 0;
    if (destination_read_facts(d, a, min, &found, e)) {
        *ret_there = false;
        return e->code == ERR_NOTFOUND ? 0 : -1;
    }
    *ret_there = digest_equal(&found.digest, digest);
    return 0;
}

/* Before a PUT: if the proof of the head is too old, proves the head again. If that fails the state becomes
 * DETACHED. */
static int prove_head(struct destination *d, const struct author *a, struct err *e)
{
    uint64_t next = 0;
    int64_t store_ms = 0;
    if (!RULE(proof_age) || !too_old(d, a, d->proof_store_ms))
        return 0;
    bool there = true, safe = true;
    if (find_next(d, d->entry.durable_txid, &next, &store_ms, e) ||
        still_there(d, a, d->head_min, &d->entry.head, &there, e) ||
        (d->endangered_min != d->head_min && still_there(d, a, d->endangered_min, &d->endangered, &safe, e)))
        return err_wrap(e, "check that the head has not moved");
    d->broken |= !safe;
    if (next || !there || !safe)
        destination_enter(d, DESTINATION_DETACHED);
    else
        destination_prove(d, store_ms);
    return 0;
}

/* Removes the object that was just put, which must not count. Then attach decides. */
static int take_back(struct destination *d, struct err *e)
{
    const struct name name = {.kind = NAME_LEVEL0, .min = d->outgoing.object.min};
    char key[NAME_MAX_BYTES];
    name_format(&name, key);
    destination_enter(d, DESTINATION_DETACHED);
    return store_remove(d->store, key, e);
}

#define COMERS_MAX 16 /* objects that came since the loss; more of them are not ours */

struct comers {
    uint64_t ours; /* first txid of the object that we put */
    uint64_t min[COMERS_MAX];
    size_t count;
};

static int note_comer(void *context, const struct store_entry *entry)
{
    struct comers *c = context;
    const struct name name = name_parse(entry->key);
    if (name.kind == NAME_LEVEL0 && name.min != c->ours)
        c->min[c->count++] = name.min;
    return c->count == COMERS_MAX;
}

/* After the PUT of a new beginning. Two writers that both believed in the replica can have noticed its loss at the same
 * moment, and their new beginnings have different keys. So each lists what came since the loss, after its PUT: at
 * least one of them sees the other. *ret_alone is false if there is an object that no run of ours put, or one behind
 * ours. A late PUT of ours from the time before the loss does no harm. */
static int check_alone(const struct destination *d, const struct author *a, bool *ret_alone, struct err *e)
{
    struct comers c = {.ours = d->outgoing.object.min};
    struct identity id = state_identity(a->state);
    const struct name left = {.kind = NAME_LEVEL0, .min = d->left_min};
    char key[NAME_MAX_BYTES];
    name_format(&left, key);
    if (store_list(d->store, NAME_LEVEL0_PREFIX, key, note_comer, &c, e))
        return -1;
    *ret_alone = c.count < COMERS_MAX;
    for (size_t i = 0; i < c.count && *ret_alone; i++) {
        struct level0_facts facts;
        *ret_alone = c.min[i] < c.ours;
        if (*ret_alone && destination_read_facts(d, a, c.min[i], &facts, e))
            return -1;
        *ret_alone = *ret_alone && identity_knows_run(&id, &facts.info.run);
    }
    return 0;
}

/* Decides after a PUT whether to believe the answer. Only an answer that came late is in question, if the object now
 * has another writer's object behind it. Two cases:
 *   - The object behind links to ours: ours was the head, and a writer who took over went on from it. Believe the
 *     answer.
 *   - It does not link: ours was put in the past, under a key that retention had freed. Remove our object;
 *     *ret_believed is false, and the state becomes DETACHED.
 * On a weak store the object must also still be there as we put it. */
static int believe(struct destination *d, const struct author *a, int64_t *store_ms, bool *ret_believed, struct err *e)
{
    const struct landed *ours = &d->outgoing.object;
    struct level0_facts behind;
    uint64_t next = 0;
    *ret_believed = true;
    if (d->lost && check_alone(d, a, ret_believed, e))
        return err_wrap(e, "check that no other writer began the replica again");
    if (!*ret_believed)
        return take_back(d, e);
    if (!RULE(proof_answer) || !too_old(d, a, *store_ms))
        return 0;
    bool there = true;
    if (still_there(d, a, ours->min, &ours->digest, &there, e))
        return err_wrap(e, "check that the object was not overwritten");
    if (!there) {
        *ret_believed = false;
        destination_enter(d, DESTINATION_DETACHED);
        return 0;
    }
    if (find_next(d, ours->min, &next, store_ms, e))
        return err_wrap(e, "check that the answer came in time");
    if (!next)
        return 0;
    if (destination_read_facts(d, a, next, &behind, e))
        return -1;
    if (next == ours->max + 1 && digest_equal(&behind.info.digest_before, &ours->digest))
        return 0;
    *ret_believed = false;
    return take_back(d, e);
}

/* ---- the PUT */

/* Finds out whose object is under a key that exists already. destination.h has the cases. */
static int resolve(struct destination *d, const struct author *a, const char *key, int64_t store_ms, struct err *e)
{
    struct level0_facts found;
    if (destination_read_facts(d, a, d->outgoing.object.min, &found, e))
        return -1;
    const struct segment_info *info = &found.info;
    struct landed landed = {.min = info->min,
                            .max = info->max,
                            .digest = found.digest,
                            .checksum = found.checksum,
                            .base_owed = info->flags & SEGMENT_BASE_ONLY    ? info->max
                                         : info->flags & SEGMENT_FROM_EMPTY ? 0
                                                                            : d->entry.base_owed,
                            .bytes = found.bytes,
                            .page_size = info->page_size,
                            .anew = info->flags & SEGMENT_FROM_EMPTY};
    struct identity id = state_identity(a->state);
    /* Of this run only digests count: the clone of a machine has the same run id. */
    bool earlier_run = !uid_equal(&info->run, &a->run);
    bool tried = RULE(attempts) && identity_replica_tried(&d->entry, &found.digest);
    uint64_t next = 1;
    int rc = 0;
    if (tried && d->store->fencing == STORE_FENCING_WEAK && find_next(d, info->min, &next, &store_ms, e))
        return -1;
    if (RULE(proof_answer) && next && too_old(d, a, store_ms)) { /* the objects behind it decide */
        destination_enter(d, DESTINATION_DETACHED);
        return 0;
    }
    if (d->lost && tried && !landed.anew) { /* it continues what is lost: attach goes behind it */
        destination_enter(d, DESTINATION_DETACHED);
        return 0;
    }
    bool ours = tried || (earlier_run && identity_is_past(&id, &info->run, info->max) && !d->lost);
    if (ours && store_confirm(d->store, key, e))
        return -1;
    if (ours)
        adopt(d, a, &landed, store_ms);
    else if (earlier_run && identity_knows_run(&id, &info->run)) /* ours, but not our past */
        destination_enter(d, DESTINATION_DETACHED);
    else if (!digest_is_zero(&d->entry.head) && !(info->flags & SEGMENT_FROM_EMPTY) &&
             !digest_equal(&info->digest_before, &d->entry.head))
        rc = destination_overwritten(d, a, d->head_min, info, e);
    else
        rc = destination_conflict(d, info, e);
    return rc;
}

static int put(struct destination *d, const struct author *a, struct err *e)
{
    struct outgoing *o = &d->outgoing;
    struct name name = {.kind = NAME_LEVEL0, .min = o->object.min};
    char key[NAME_MAX_BYTES];
    int64_t store_ms = 0;
    bool believed = true;
    name_format(&name, key);
    if (note_attempt(d, a, e))
        return -1;
    const int64_t before_ms = clock_wall_ms();
    const int rc = store_put_new(d->store, key, o->bytes.data, o->bytes.len, &store_ms, e);
    if (rc == 0 || e->code == ERR_EXISTS)
        destination_note_clock(d, before_ms, store_ms);
    if (rc)
        return e->code == ERR_EXISTS ? resolve(d, a, key, store_ms, e) : -1;
    if (believe(d, a, &store_ms, &believed, e))
        return -1;
    if (!believed)
        return 0;
    d->objects++;
    d->bytes += o->bytes.len;
    if (d->store->costs) /* a folder's links are exclusive */
        recent_add(&d->recent, o->object.min, &o->object.digest, o->bytes.data, o->bytes.len);
    adopt(d, a, &o->object, store_ms);
    return 0;
}

int destination_append(struct destination *d, const struct author *a, struct err *e)
{
    INVARIANT(d->state == DESTINATION_ATTACHED && d->outgoing.object.min == d->entry.durable_txid + 1,
              "replica '%s': an append at txid %" PRIu64 " after %" PRIu64 " in state %d", d->url,
              d->outgoing.object.min, d->entry.durable_txid, d->state);
    assert(d->outgoing.bytes.len > 0 && d->store && d->known);
    if (prove_head(d, a, e))
        return -1;
    return d->state == DESTINATION_ATTACHED ? put(d, a, e) : 0;
}
