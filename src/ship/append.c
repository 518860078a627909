/* ship/append.c - one PUT, one compare-and-swap. */
#include "base/clock.h"
#include "base/invariant.h"
#include "base/trial.h"
#include "ship/destination.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The intent is in the mapped file before the request leaves. At the limit the oldest is forgotten: should it land after all, its
 * run id still shows that it is ours. Before the first PUT of a run to a replica run, position and head are on disk: after a power
 * cut what it put is recognised. */
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
    state_set_replica(a->state, d->index,
                      entry); /* after a sync that failed: what it should have written is written anew */
    if (d->run_on_disk)
        return 0;
    state_note_put(a->state, &a->run, d->index);
    if (RULE(sync_run) && state_sync(a->state, e))
        return -1;
    d->run_on_disk = true;
    return 0;
}

/* The position moves. */
static void adopt(struct destination *d, const struct author *a, const struct landed *o, int64_t store_ms)
{
    uint64_t newest = state_txid(a->state);
    INVARIANT(o->max > d->entry.durable_txid && o->max <= newest,
              "replica '%s': from txid %" PRIu64 " to %" PRIu64 " of %" PRIu64, d->url, d->entry.durable_txid, o->max,
              newest);
    d->entry.durable_txid = o->max;
    d->entry.head = o->digest;
    d->entry.head_checksum = o->checksum;
    d->entry.base_owed = o->base_owed;
    if (o->anew)
        d->entry.anew_txid = o->max;
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

/* Without exclusive PUT each proof is too old by the next time. */
static bool too_old(const struct destination *d, const struct author *a, int64_t store_ms)
{
    int64_t most = a->grace_ms / 2;
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

/* The level-0 object after the one that begins at `txid`; 0: there is none. The store's clock is of no use where each proof is made
 * anew. */
static int find_next(struct destination *d, uint64_t txid, uint64_t *ret_next, int64_t *store_ms, struct err *e)
{
    struct name name = {.kind = NAME_LEVEL0, .min = txid};
    char key[NAME_MAX_BYTES];
    name_format(&name, key);
    *ret_next = 0;
    if (d->store->fencing != STORE_FENCING_WEAK && store_time(d->store, store_ms, e))
        return -1;
    return store_list(d->store, NAME_LEVEL0_PREFIX, key, note_first, ret_next, e) ? -1 : 0;
}

/* Is the object at `min` the one with this digest? Only a weak store can have lost or overwritten it: others are not asked. */
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

/* Before a PUT: a proof that is too old is made anew, or the state becomes DETACHED. */
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
        return err_wrap(e, "is the head still the head?");
    d->broken |= !safe;
    if (next || !there || !safe)
        destination_enter(d, DESTINATION_DETACHED);
    else
        destination_prove(d, store_ms);
    return 0;
}

/* After a PUT whose answer came late, with others' objects behind it. Either it landed in their past, where retention had made
 * room: nobody links to it, it is taken back. Or it was the head, and somebody who took over went on from it: it is theirs now. */
static int believe(struct destination *d, const struct author *a, const char *key, int64_t *store_ms,
                   bool *ret_believed, struct err *e)
{
    const struct landed *ours = &d->outgoing.object;
    struct level0_facts behind;
    uint64_t next = 0;
    *ret_believed = true;
    if (!RULE(proof_answer) || !too_old(d, a, *store_ms))
        return 0;
    bool there = true;
    if (still_there(d, a, ours->min, &ours->digest, &there, e))
        return err_wrap(e, "did somebody overwrite it?");
    if (!there) {
        *ret_believed = false;
        destination_enter(d, DESTINATION_DETACHED);
        return 0;
    }
    if (find_next(d, ours->min, &next, store_ms, e))
        return err_wrap(e, "did the answer come in time?");
    if (!next)
        return 0;
    if (destination_read_facts(d, a, next, &behind, e))
        return -1;
    if (next == ours->max + 1 && digest_equal(&behind.info.digest_before, &ours->digest))
        return 0;
    *ret_believed = false;
    destination_enter(d, DESTINATION_DETACHED);
    return store_remove(d->store, key, e);
}

/* ---- the PUT */

/* The key is taken: by whom? */
static int resolve(struct destination *d, const struct author *a, int64_t store_ms, struct err *e)
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
    bool earlier_run =
        !uid_equal(&info->run, &a->run); /* in one process only digests count: a cloned machine has both ids */
    bool tried = RULE(attempts) && identity_replica_tried(&d->entry, &found.digest);
    uint64_t next = 1;
    int rc = 0;
    if (tried && d->store->fencing == STORE_FENCING_WEAK && find_next(d, info->min, &next, &store_ms, e))
        return -1;
    if (RULE(proof_answer) && next && too_old(d, a, store_ms)) { /* whosever it is: what lies behind it decides */
        destination_enter(d, DESTINATION_DETACHED);
        return 0;
    }
    if (tried)
        adopt(d, a, &landed, store_ms);
    else if (earlier_run && identity_is_past(&id, &info->run, info->max))
        adopt(d, a, &landed, store_ms);
    else if (earlier_run && identity_knows_run(&id, &info->run)) /* ours, but not our past: attach compares all pages */
        destination_enter(d, DESTINATION_DETACHED);
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
    if (store_put_new(d->store, key, o->bytes.data, o->bytes.len, &store_ms, e))
        return e->code == ERR_EXISTS ? resolve(d, a, store_ms, e) : -1;
    if (believe(d, a, key, &store_ms, &believed, e))
        return -1;
    if (!believed)
        return 0;
    d->objects++;
    d->bytes += o->bytes.len;
    adopt(d, a, &o->object, store_ms);
    return 0;
}

int destination_append(struct destination *d, const struct author *a, struct err *e)
{
    INVARIANT(d->state == DESTINATION_ATTACHED && d->outgoing.object.min == d->entry.durable_txid + 1,
              "replica '%s': an append at txid %" PRIu64 " after %" PRIu64 " in state %d", d->url,
              d->outgoing.object.min, d->entry.durable_txid, d->state);
    if (prove_head(d, a, e))
        return -1;
    return d->state == DESTINATION_ATTACHED ? put(d, a, e) : 0;
}
