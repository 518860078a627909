/* ship/levels.c */
#include "ship/levels.h"

#include "base/clock.h"

#include <assert.h>
#include <string.h>
/* All levels begin at `end`. */
static void begin_at(struct levels *l, struct level_end end)
{
    for (unsigned k = 0; k < LEVELS; k++)
        l->ends[k] = end;
    memset(l->counts, 0, sizeof l->counts);
    memset(l->bytes, 0, sizeof l->bytes);
    memset(l->bytes_since, 0, sizeof l->bytes_since);
}

void levels_note_append(struct levels *l, uint64_t max, uint64_t checksum, uint64_t bytes, bool anew)
{
    if (anew) {
        begin_at(l, (struct level_end){.txid = max, .checksum = checksum});
        l->base_max = max;
        l->base_bytes = bytes;
        l->base_at_ms = clock_mono_ms();
        return;
    }
    l->counts[0]++;
    l->bytes[0] += bytes;
    l->bytes_since[0] += bytes;
}

void levels_note_segment(struct levels *l, unsigned level, const struct level_end *end, uint64_t bytes)
{
    assert(level >= 1 && level <= SEGMENT_LEVEL_MAX && end->txid >= l->ends[level].txid);
    l->counts[level]++;
    l->bytes[level] += bytes;
    l->bytes_since[level] += bytes;
    for (unsigned k = 0; k < level; k++) {
        l->counts[k] = 0;
        l->bytes[k] = l->bytes_since[k] = 0;
    }
    for (unsigned k = 1; k <= level; k++)
        l->ends[k] = *end;
}

void levels_note_base_begun(struct levels *l)
{
    memset(l->bytes_since, 0, sizeof l->bytes_since);
}

void levels_note_base(struct levels *l, uint64_t max, uint64_t bytes)
{
    memcpy(l->bytes, l->bytes_since, sizeof l->bytes);
    l->base_max = max;
    l->base_bytes = bytes;
    l->base_at_ms = clock_mono_ms();
}

unsigned levels_due(const struct levels *l, uint64_t fanout)
{
    unsigned level = 1;
    assert(fanout >= 1);
    if (l->counts[0] < fanout)
        return 0;
    while (level < SEGMENT_LEVEL_MAX && l->counts[level] + 1 >= fanout)
        level++;
    return level;
}

bool levels_base_due(const struct levels *l, uint64_t head, uint64_t database_bytes, uint64_t interval_ms)
{
    uint64_t read = l->base_bytes;
    for (unsigned k = 0; k < LEVELS; k++)
        read += l->bytes[k];
    if (head > l->base_max && read > database_bytes + database_bytes / 2 + BASE_WEIGHT_MIN)
        return true;
    return head > l->base_max && interval_ms != UINT64_MAX && clock_mono_ms() - l->base_at_ms >= (int64_t)interval_ms;
}

/* ---- at attach */

struct survey {
    struct catalog *catalog;
    const struct levels_head *head;
    struct catalog_object *newest[LEVELS]; /* of level 1 and up */
};

/* Whether an object with this error is of no use: it is damaged or gone. A level does not continue it; a base replaces
 * its pages. */
static bool is_of_no_use(const struct err *e)
{
    return e->code == ERR_CORRUPT || e->code == ERR_GONE;
}

enum side { BEFORE, BEHIND };

/* The state of the database before or behind an object. If the object is of no use, that of the head. */
static int state_beside(const struct survey *v, struct catalog_object *o, enum side side, struct level_end *ret_end,
                        struct err *e)
{
    *ret_end = (struct level_end){.txid = v->head->txid, .checksum = v->head->checksum};
    if (catalog_load(v->catalog, o, e))
        return is_of_no_use(e) ? 0 : -1;
    const struct segment *s = o->segment;
    const struct segment_info *i = &s->trailer.info;
    bool behind =
        side == BEHIND || (i->flags & SEGMENT_FROM_EMPTY); /* before the first object of a history there is no state */
    if (i->page_size != v->head->page_size || i->max > v->head->txid)
        return 0;
    *ret_end = behind ? (struct level_end){.txid = i->max, .checksum = s->records[s->trailer.record_count - 1].checksum}
                      : (struct level_end){.txid = i->min - 1, .checksum = i->checksum_before};
    return 0;
}

/* The segments of a level that begin behind `after` and continue each other up to the newest one: the first of them.
 * NULL: there is none. There are gaps where the replica began a new history and where retention deleted segments. */
static struct catalog_object *run_behind(const struct survey *v, unsigned level, uint64_t after)
{
    struct catalog *c = v->catalog;
    struct catalog_object *first = NULL;
    uint64_t max = after;
    if (level == 0) { /* the name does not say where an object ends: they are taken to continue each other */
        struct catalog_object *before = catalog_level0_at(c, after);
        struct catalog_object *next = before ? before + 1 : c->level0;
        return next < c->level0 + c->level0_count ? next : NULL;
    }
    for (size_t i = 0; i < c->level_count; i++) {
        struct catalog_object *o = &c->levels[i];
        if (o->name.level != level || o->name.min <= after)
            continue;
        if (!first || o->name.min > max + 1)
            first = o;
        if (o->name.max > max)
            max = o->name.max;
    }
    return first;
}

/* Finds where the next segment of each level begins: where the newest segment of this level or of a higher one ends.
 * Without either, where the level below begins. */
static int find_ends(struct levels *l, const struct survey *v, struct err *e)
{
    uint64_t after[LEVELS + 1];
    after[LEVELS] = v->head->anew_txid;
    for (unsigned k = LEVELS; k-- > 1;)
        after[k] = v->newest[k] && v->newest[k]->name.max > after[k + 1] ? v->newest[k]->name.max : after[k + 1];
    l->ends[0] = (struct level_end){.txid = v->head->txid, .checksum = v->head->checksum};
    for (unsigned k = 1; k < LEVELS; k++) {
        struct catalog_object *first = run_behind(v, k - 1, after[k]);
        bool own = v->newest[k] && v->newest[k]->name.max == after[k];
        l->ends[k] = l->ends[k - 1];
        int rc = 0;
        if (first)
            rc = state_beside(v, first, BEFORE, &l->ends[k], e);
        else if (own)
            rc = state_beside(v, v->newest[k], BEHIND, &l->ends[k], e);
        if (rc)
            return -1;
    }
    for (unsigned k = SEGMENT_LEVEL_MAX; k-- > 1;)
        if (l->ends[k].txid < l->ends[k + 1].txid)
            l->ends[k] = l->ends[k + 1];
    return 0;
}

/* Finds the newest base whose marker can be read, and adds up its chunks. Without a base the first object counts as
 * one. */
static int find_base(struct levels *l, struct catalog *c, const struct levels_head *head, uint64_t *ret_start,
                     struct err *e)
{
    *ret_start = 0;
    l->base_at_ms = clock_mono_ms();
    for (size_t i = c->marker_count; i-- > 0;) {
        struct catalog_object *marker = &c->markers[i];
        if (catalog_load(c, marker, e)) {
            if (!is_of_no_use(e))
                return -1;
            continue;
        }
        const struct segment *s = marker->segment;
        *ret_start = s->trailer.info.start;
        l->base_max = s->trailer.info.max;
        for (uint32_t k = 0; k < s->trailer.list_count; k++)
            l->base_bytes += s->list[k].size;
        if (head->store_ms > marker->time_ms)
            l->base_at_ms -= head->store_ms - marker->time_ms;
        return 0;
    }
    if (c->level0_count == 0)
        return 0;
    struct catalog_object *first = &c->level0[0];
    l->base_bytes = first->size;
    for (size_t i = 0; i < c->part_count; i++)
        l->base_bytes += c->parts[i].size;
    if (head->store_ms > first->time_ms)
        l->base_at_ms -= head->store_ms - first->time_ms;
    return 0;
}

int levels_survey(struct levels *l, struct catalog *c, const struct levels_head *head, struct err *e)
{
    struct survey v = {.catalog = c, .head = head};
    uint64_t start = 0;
    *l = (struct levels){.base_bytes = 0};
    for (size_t i = 0; i < c->level_count; i++) {
        struct catalog_object **newest = &v.newest[c->levels[i].name.level];
        if (!*newest || c->levels[i].name.max > (*newest)->name.max)
            *newest = &c->levels[i];
    }
    if (find_ends(l, &v, e) || find_base(l, c, head, &start, e))
        return err_wrap(e, "find out how far the replica is compacted");
    for (size_t i = 0; i < c->level0_count + c->level_count; i++) {
        const struct catalog_object *o = i < c->level0_count ? &c->level0[i] : &c->levels[i - c->level0_count];
        unsigned k = o->name.level;
        if (k < SEGMENT_LEVEL_MAX && o->name.min <= l->ends[k + 1].txid)
            continue;
        l->counts[k]++;
        if ((k == 0 ? o->name.min : o->name.max) > start)
            l->bytes[k] += o->size;
    } /* In case this run goes on with a base that an earlier run began: rather too many bytes than too few. */
    memcpy(l->bytes_since, l->bytes, sizeof l->bytes);
    return 0;
}
