/* replicate/append.c - one PUT, one compare-and-swap. */
#include "base/clock.h"
#include "replicate/destination.h"

#include <inttypes.h>
#include <string.h>

/* The intent is in the mapped file before the request leaves. At the limit the oldest is forgotten: should it land after all, its
 * run id still shows that it is ours. */
static void note_attempt(struct destination *d, const struct author *a)
{
    struct identity_replica *entry = &d->entry;
    if (identity_replica_tried(entry, &d->outgoing.digest))
        return;
    if (entry->attempt_count == IDENTITY_ATTEMPTS_MAX) {
        memmove(entry->attempts, entry->attempts + 1, (IDENTITY_ATTEMPTS_MAX - 1) * sizeof entry->attempts[0]);
        entry->attempt_count--;
    }
    entry->attempts[entry->attempt_count++] = d->outgoing.digest;
    state_set_replica(a->state, d->index, entry);
}

/* The object that ends at `max` is there and continues our history: the position moves. */
static void adopt(struct destination *d, const struct author *a, uint64_t max, const struct digest *digest, uint64_t checksum,
                  uint64_t base_owed, uint32_t page_size)
{
    d->entry.durable_txid = max;
    d->entry.head = *digest;
    d->entry.head_checksum = checksum;
    d->entry.base_owed = base_owed;
    d->entry.attempt_count = 0;
    d->from_empty = false;
    d->head_page_size = page_size;
    d->outgoing.bytes.len = 0;
    state_set_replica(a->state, d->index, &d->entry);
}

static int other_writer(struct destination *d, const struct segment_info *info, struct err *e)
{
    char writer[2 * UID_BYTES + 1], when[CLOCK_TEXT_MAX];
    hex_encode(info->writer.bytes, UID_BYTES, writer);
    clock_format(info->time_ms, when);
    d->state = DESTINATION_CONFLICT;
    err_set(e, ERR_CONFLICT, 0, "another writer (%.8s) has put txid %" PRIu64 " to %" PRIu64 " into '%s' at %s", writer, info->min,
            info->max, d->url, when);
    return err_hint(e, "one replica takes one database; stop the other, use another URL, or say --take-over");
}

/* The key is taken: by whom? */
static int resolve(struct destination *d, const struct author *a, const char *key, struct err *e)
{
    struct segment s;
    struct digest digest;
    if (object_load_whole(d->store, key, a->codec, &s, &digest, e))
        return -1;
    const struct segment_info info = s.trailer.info;
    const uint64_t checksum = s.records[s.trailer.record_count - 1].checksum;
    struct identity id = state_identity(a->state);
    int rc = 0;
    if (identity_replica_tried(&d->entry, &digest) ||
        (!uid_equal(&info.run, &a->run) && identity_is_past(&id, &info.run, info.max))) {
        uint64_t owed = info.flags & SEGMENT_BASE_ONLY ? info.max : info.flags & SEGMENT_FROM_EMPTY ? 0 : d->entry.base_owed;
        adopt(d, a, info.max, &digest, checksum, owed, info.page_size);
    } else if (!uid_equal(&info.run, &a->run) && identity_knows_run(&id, &info.run)) {
        d->state = DESTINATION_DETACHED; /* ours, but not our past: compare all pages with the replica */
        d->outgoing.bytes.len = 0;
    } else {
        rc = other_writer(d, &info, e); /* the same run with other bytes: a cloned machine */
    }
    segment_release(&s);
    return rc;
}

int destination_append(struct destination *d, const struct author *a, struct err *e)
{
    struct outgoing *o = &d->outgoing;
    struct name name = {.kind = NAME_LEVEL0, .min = o->min};
    char key[NAME_MAX_BYTES];
    name_format(&name, key);
    note_attempt(d, a);
    if (store_put_new(d->store, key, o->bytes.data, o->bytes.len, e) == 0) {
        d->objects++;
        d->bytes += o->bytes.len;
        adopt(d, a, o->max, &o->digest, o->checksum, o->base_owed, o->page_size);
        return 0;
    }
    return e->code == ERR_EXISTS ? resolve(d, a, key, e) : -1;
}
