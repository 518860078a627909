/* ship/findings.c */
#include "ship/findings.h"

#include "base/trial.h"

#include <assert.h>

void findings_begin(struct findings *f, const struct identity_replica *entry, const struct identity *id, size_t newer)
{
    *f = (struct findings){.entry = entry,
                           .id = id,
                           .newer = newer,
                           .mine = true,
                           .past = !entry->unrelated,
                           .head_txid = entry->durable_txid,
                           .head = entry->head,
                           .head_checksum = entry->head_checksum,
                           .base_owed = entry->base_owed,
                           .anew_txid = entry->anew_txid};
}

static void note_head(struct findings *f, const struct level0_facts *o)
{
    f->head_txid = o->info.max;
    f->head = o->digest;
    f->head_checksum = o->checksum;
    f->head_time_ms = o->time_ms;
    f->last = o->info;
    f->db_bytes = o->db_bytes;
}

/* The object at our position should end there and have the digest that we know. If it ends before, and others follow,
 * retention deleted the object at our position. If it ends before and none follows, the store lost its newest
 * objects. */
static void add_at_position(struct findings *f, const struct level0_facts *o)
{
    const struct identity_replica *entry = f->entry;
    if (f->newer > 0 && o->info.max < entry->durable_txid) {
        f->behind = true;
        return;
    }
    bool known = !o->packed && o->info.max == entry->durable_txid && digest_equal(&o->digest, &entry->head);
    f->mine &= known || identity_replica_tried(entry, &o->digest) || identity_knows_run(f->id, &o->info.run);
    f->past &= known;
    f->packed = o->packed;
    note_head(f, o);
}

static void add_after_position(struct findings *f, const struct level0_facts *o)
{
    const struct segment_info *i = &o->info;
    bool hole = f->behind || f->packed || o->packed || i->min > f->head_txid + 1;
    bool linked = hole || (i->min == f->head_txid + 1 && digest_equal(&i->digest_before, &f->head));
    bool attempt = RULE(attempts) && identity_replica_tried(f->entry, &o->digest);
    f->behind = false;
    f->packed = o->packed;
    f->mine &= linked && (attempt || identity_knows_run(f->id, &i->run));
    f->past &= !hole && linked && (attempt || identity_is_past(f->id, &i->run, i->max));
    note_head(f, o);
    if (i->flags & SEGMENT_FROM_EMPTY) {
        f->base_owed = i->flags & SEGMENT_BASE_ONLY ? i->max : 0;
        f->anew_txid = i->max;
    }
    f->adopted++;
}

void findings_add(struct findings *f, const struct level0_facts *o)
{
    bool at_position = o->info.min <= f->entry->durable_txid;
    assert(!at_position || f->objects == 0);
    if (f->objects++ == 0 && !at_position)
        f->behind = f->entry->durable_txid > 0;
    if (at_position)
        add_at_position(f, o);
    else
        add_after_position(f, o);
}

void findings_add_damaged(struct findings *f)
{
    f->objects++;
    f->mine = f->past = false;
}

enum attach_outcome findings_outcome(const struct findings *f, enum take_over take_over)
{
    if (f->objects == 0)
        return f->entry->durable_txid > 0 && take_over == TAKE_OVER_NO ? ATTACH_GONE : ATTACH_EMPTY;
    if (f->mine && f->past)
        return ATTACH_CONTINUE;
    return f->mine || take_over == TAKE_OVER_YES ? ATTACH_RESYNC : ATTACH_CONFLICT;
}
