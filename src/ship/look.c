/* ship/look.c */
#include "ship/look.h"

#include "base/invariant.h"
#include "base/trial.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#define CONFIRM_MS SCALE(2000, 40)       /* a folder shows at once what is in it */
#define CONFIRM_SLOW_MS SCALE(15000, 40) /* behind caches and proxies, a bucket may show it later */

int64_t look_confirm_ms(const struct store *store)
{
    return !RULE(look_twice) ? 0 : store && store->slow ? CONFIRM_SLOW_MS : CONFIRM_MS;
}

struct head_look {
    struct recent *recent;
    uint64_t doubtful[RECENT_MAX]; /* first txids of recent objects that the listing shows with another size or tag */
    char etag[RECENT_MAX][RECENT_ETAG_MAX];
    size_t doubts;
    bool listed[RECENT_MAX]; /* of the recent objects, in their order */
    uint64_t head;           /* first txid of the head */
    bool there;
    uint64_t next; /* first txid of an object behind it; 0: there is none */
};

static int note_head(void *context, const struct store_entry *entry)
{
    struct head_look *l = context;
    struct name name = name_parse(entry->key);
    const struct recent_object *o = name.kind == NAME_LEVEL0 ? recent_find(l->recent, name.min) : NULL;
    if (o)
        l->listed[o - l->recent->objects] = true;
    if (o && !recent_fits(o, entry) && l->doubts < RECENT_MAX) {
        l->doubtful[l->doubts] = name.min;
        snprintf(l->etag[l->doubts++], RECENT_ETAG_MAX, "%s", entry->etag ? entry->etag : "");
    }
    if (name.kind == NAME_LEVEL0 && name.min == l->head)
        l->there = true;
    if (name.kind == NAME_LEVEL0 && name.min > l->head)
        l->next = name.min;
    return l->next != 0;
}

/* Objects before the head can go by retention. So that one is missing is a reason for a look at everything, and no loss.
 * The head itself is looked for otherwise, and what is behind it ends the listing. */
static void note_unlisted(struct destination *d, struct head_look *l)
{
    for (size_t i = 0; i < d->recent.count; i++)
        l->listed[i] |= d->recent.objects[i].min >= d->head_min;
    d->unlisted = recent_forget_unlisted(&d->recent, l->listed);
}

/* The listing may lag: what it does not show is read. If the history was missed, the head must be sound too: a base
 * alone is of no use. */
static int find_head(struct destination *d, const struct author *a, enum history_seen history, struct head_look *l,
                     struct err *e)
{
    const uint64_t first = d->recent.count > 0 ? d->recent.objects[0].min : d->head_min;
    const struct name before = {.kind = NAME_LEVEL0, .min = (first < d->head_min ? first : d->head_min) - 1};
    char key[NAME_MAX_BYTES];
    struct level0_facts found;
    name_format(&before, key);
    *l = (struct head_look){.recent = &d->recent, .head = d->head_min};
    if (store_list(d->store, NAME_LEVEL0_PREFIX, key, note_head, l, e))
        return -1;
    note_unlisted(d, l);
    if (l->there && history == HISTORY_BELIEVED)
        return 0;
    if (destination_read_facts(d, a, d->head_min, &found, e)) {
        l->there = false;
        return e->code == ERR_NOTFOUND || e->code == ERR_CORRUPT ? 0 : -1;
    }
    l->there = digest_equal(&found.digest, &d->entry.head);
    return 0;
}

/* Reads the recent objects that the listing shows with another size or tag than expected. One that is not ours shows
 * that PUT is not exclusive. One that is gone meanwhile shows nothing: retention deletes objects. */
static int clear_doubts(struct destination *d, const struct author *a, const struct head_look *l, struct err *e)
{
    const struct identity id = state_identity(a->state);
    for (size_t i = 0; i < l->doubts; i++) {
        struct recent_object *o = recent_find(&d->recent, l->doubtful[i]);
        struct level0_facts found;
        if (destination_read_facts(d, a, l->doubtful[i], &found, e)) {
            if (e->code == ERR_CORRUPT) { /* cut off, or damaged otherwise */
                d->broken = true;
                destination_enter(d, DESTINATION_DETACHED);
                return 0;
            }
            if (e->code != ERR_NOTFOUND)
                return -1;
        } else if (digest_equal(&found.digest, &o->digest)) {
            recent_learn(o, l->etag[i]);
        } else if (identity_knows_run(&id, &found.info.run)) { /* a PUT of ours that was carried out late */
            d->broken = true;
            destination_enter(d, DESTINATION_DETACHED);
            return 0;
        } else {
            return destination_overwritten(d, a, o->min, &found.info, e);
        }
    }
    return 0;
}

int destination_look(struct destination *d, const struct author *a, enum history_seen history, struct err *e)
{
    struct head_look l;
    INVARIANT(d->state == DESTINATION_ATTACHED && d->outgoing.bytes.len == 0 && d->entry.durable_txid > 0,
              "replica '%s': a look at txid %" PRIu64 " in state %d", d->url, d->entry.durable_txid, d->state);
    assert(d->store && d->known && d->head_min > 0);
    struct replica_identity id;
    bool unnamed = false;
    if (find_head(d, a, history, &l, e))
        return err_wrap(e, "check that the newest object exists");
    if (clear_doubts(d, a, &l, e))
        return -1;
    if (d->state != DESTINATION_ATTACHED)
        return 0;
    if (history == HISTORY_MISSED && replica_identity_read(d->store, &id, e)) {
        if (e->code != ERR_NOTFOUND)
            return err_wrap(e, "check that seawall.json exists");
        unnamed = true; /* attach puts it again */
    }
    if (l.next || !l.there || unnamed) {
        destination_enter(d, DESTINATION_DETACHED);
        return 0;
    }
    if (history == HISTORY_MISSED && d->entry.base_owed == 0) {
        d->entry.base_owed = d->entry.durable_txid;
        state_set_replica(a->state, d->index, &d->entry);
    }
    return 0;
}

int look_at_history(const struct look_terms *terms, struct presence *ret_presence, struct err *e)
{
    const struct replica_options options = {
        .mode = STORE_READ, .codec = terms->codec, .cancel = terms->cancel, .traffic = terms->traffic};
    struct replica_handle replica;
    assert(terms->txid > 0);
    if (replica_handle_open(&replica, terms->url, &options, e))
        return -1;
    int rc = presence_look(&replica, terms->txid, ret_presence, e);
    replica_handle_close(&replica);
    return rc;
}
