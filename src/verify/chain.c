/* verify/chain.c
 *
 * Level 0 has gaps where retention has been: it deletes objects whose txids a higher level has, and keeps those
 * that a base needs. So a gap is not a problem if a higher level has all its txids. Whether retention was allowed
 * to delete the restore points in the gap can't be seen from the replica. */
#include "verify/chain.h"

#include "base/page.h"
#include "base/search.h"
#include "replica/ways.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static bool is_segment(const struct item *it)
{
    return it->name.kind == NAME_LEVEL0 || it->name.kind == NAME_LEVEL || it->name.kind == NAME_PACK;
}

static struct name level0_name(uint64_t min)
{
    return (struct name){.kind = NAME_LEVEL0, .min = min};
}

/* ---- records */

/* Gets all records of an item. They are borrowed until the next call. *ret_records is NULL if the object can't be read
 * any more: then a problem was noted, or the verification starts again. */
static int records_of(struct check *c, struct item *it, const struct commit_record **ret_records, struct err *e)
{
    char key[NAME_MAX_BYTES];
    *ret_records = it->object->segment->records;
    if (*ret_records)
        return 0;
    if (c->reread != it) {
        segment_release(&c->records);
        c->reread = NULL;
        name_format(&it->name, key);
        if (object_load(c->store, key, c->codec, SEGMENT_WANT_RECORDS, &c->records, e))
            return check_failed(c, it, e);
        c->reread = it;
    }
    const bool same = uid_equal(&c->records.trailer.info.nonce, &item_info(it)->nonce);
    *ret_records = same ? c->records.records : NULL;
    if (!same)
        check_void(c);
    return 0;
}

static int record_in(struct check *c, struct item *it, uint64_t txid, struct commit_record *ret_record, bool *ret_found,
                     struct err *e)
{
    const struct segment_info *i = item_info(it);
    const struct commit_record *records = NULL;
    if (txid == i->max || txid == i->min) {
        *ret_found = txid == i->max || plan_records_all(i);
        *ret_record = txid == i->max ? it->last : it->first;
        return 0;
    }
    if (!plan_records_all(i) || txid < i->min || txid > i->max)
        return 0;
    if (records_of(c, it, &records, e))
        return -1;
    *ret_found = records != NULL;
    if (records)
        *ret_record = records[txid - i->min];
    return 0;
}

int chain_record(struct check *c, uint64_t txid, struct commit_record *ret_record, bool *ret_found, struct err *e)
{
    const struct catalog_object *o = catalog_level0_at(c->catalog, txid);
    struct item *it = o ? &c->items[o - c->catalog->level0] : NULL;
    *ret_found = false;
    if (it && it->sound && record_in(c, it, txid, ret_record, ret_found, e))
        return -1;
    if (*ret_found || txid == 0)
        return 0;
    const size_t at = ways_upto(c->catalog->ways, txid);
    const size_t best = at > 0 && c->catalog->ways->order[at - 1].max == txid ? c->sound_ends[at - 1] : 0;
    *ret_found = best != 0;
    if (best) {
        assert(c->items);
        *ret_record = c->items[best - 1].last;
    }
    return 0;
}

/* Fills c->sound_ends. */
static int note_sound_ends(struct check *c, struct err *e)
{
    const struct ways *ways = c->catalog->ways;
    free(c->sound_ends);
    c->sound_ends = calloc(ways->count + 1, sizeof *c->sound_ends);
    if (!c->sound_ends)
        return err_nomem(e, ways->count * sizeof *c->sound_ends);
    for (size_t at = 0; at < ways->count; at++) {
        const bool same_end = at > 0 && ways->order[at - 1].max == ways->order[at].max;
        const size_t i = c->catalog->level0_count + ways->order[at].index,
                     before = same_end ? c->sound_ends[at - 1] : 0;
        c->sound_ends[at] = c->items[i].sound && (before == 0 || i + 1 < before) ? i + 1 : before;
    }
    return 0;
}

static int check_states(struct check *c, const struct item *it, struct err *e)
{
    const struct segment_info *i = item_info(it);
    struct commit_record before = {0}, other = {0}; /* the state before txid 1 is empty */
    bool has_before = true, has_other = false;
    if (i->min > 1 && chain_record(c, i->min - 1, &before, &has_before, e))
        return -1;
    if (chain_record(c, i->max, &other, &has_other, e))
        return -1;
    if (!(i->flags & SEGMENT_FROM_EMPTY) && has_before && before.checksum != i->checksum_before)
        check_problem_of(c, &it->name, hint_damaged,
                         "does not continue the state after txid %" PRIu64 ": checksums differ", i->min - 1);
    if (has_other && (other.checksum != it->last.checksum || other.pages != it->last.pages))
        check_problem_of(c, &it->name, hint_damaged,
                         "gives another checksum or size for the state after txid %" PRIu64 " than level 0 does",
                         i->max);
    return 0;
}

/* A chunk must have every page of its range that the database had at that moment. */
static int check_filled(struct check *c, const struct item *it, struct err *e)
{
    const struct segment_info *o = item_info(it->owner);
    struct commit_record r = {0};
    bool found = false;
    if (it->name.kind != NAME_CHUNK)
        return 0;
    if (chain_record(c, it->listed->max, &r, &found, e))
        return -1;
    if (!found)
        return 0;
    uint32_t last = r.pages < it->listed->last_page ? r.pages : it->listed->last_page;
    if (last == lock_byte_page(o->page_size))
        last--;
    uint32_t has = it->last_page ? it->last_page : it->listed->first_page - 1;
    if (last >= it->listed->first_page && has != last)
        check_problem_of(c, &it->name, hint_damaged,
                         "ends with page %u, but after txid %" PRIu64 " the database had page %u", has, it->listed->max,
                         last);
    return 0;
}

/* ---- level 0 */

static void check_link(struct check *c, const struct item *a, const struct item *b)
{
    const struct segment_info *x = item_info(a), *y = item_info(b);
    char key[NAME_MAX_BYTES], before[NAME_MAX_BYTES];
    name_format(&b->name, key);
    name_format(&a->name, before);
    if (y->min <= x->max && a->name.kind == NAME_PACK && b->name.kind == NAME_PACK)
        return; /* two writers made them; check_states compares them */
    if (y->min <= x->max) {
        check_problem(c, key, hint_mixed, "begins before '%s' ends, at txid %" PRIu64, before, x->max);
        return;
    }
    if (a->last.time_ms > b->first.time_ms)
        check_problem(c, key, NULL, "is older than '%s', by the times of their commits", before);
    if (y->min != x->max + 1)
        return;
    if (a->name.kind != NAME_PACK && a->digest_known && !digest_equal(&a->digest, &y->digest_before))
        check_problem(c, before, hint_damaged, "is not the object that '%s' links to: the SHA-256 differs", key);
    else if (digest_is_zero(&y->digest_before))
        check_problem(c, key, hint_damaged, "links to no object, but follows '%s'", before);
    if (x->page_size != y->page_size && !(y->flags & SEGMENT_FROM_EMPTY))
        check_problem(c, key, hint_damaged, "has pages of %u bytes, '%s' has pages of %u", y->page_size, before,
                      x->page_size);
}

static void check_level0(struct check *c)
{
    const struct item *a = NULL;
    for (size_t i = 0; i < c->catalog->level0_count; i++) {
        const struct item *b = &c->items[i];
        if (a && b->sound)
            check_link(c, a, b);
        a = b->sound ? b : NULL; /* where a damaged object ends is not known */
    }
}

/* ---- gaps */

struct cover {
    uint64_t min, max;
};

static int by_min(const void *a, const void *b)
{
    uint64_t x = ((const struct cover *)a)->min, y = ((const struct cover *)b)->min;
    return (x > y) - (x < y);
}

/* The txids that an object has, or would have if it were not damaged: damage is reported by itself. */
static struct cover claim_of(const struct check *c, size_t i)
{
    const struct item *it = &c->items[i];
    if (it->sound)
        return (struct cover){item_info(it)->min, item_info(it)->max};
    if (it->name.kind != NAME_LEVEL0)
        return (struct cover){it->name.min, it->name.max};
    bool last = i + 1 >= c->catalog->level0_count;
    return (struct cover){it->name.min, last ? it->name.min : c->items[i + 1].name.min - 1};
}

/* The starts and the newest txids of the sound bases, sorted for a search. */
struct bases {
    uint64_t *starts, *maxes; /* owned; each ascending */
    size_t count;
};

static int by_number(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static int bases_init(struct bases *b, const struct check *c, struct err *e)
{
    const size_t markers = c->catalog->marker_count;
    *b = (struct bases){calloc(markers + 1, sizeof *b->starts), calloc(markers + 1, sizeof *b->maxes), 0};
    if (!b->starts || !b->maxes)
        return err_nomem(e, markers * sizeof *b->maxes);
    for (size_t i = catalog_segment_count(c->catalog); i < c->item_count; i++) {
        const struct item *it = &c->items[i];
        if (!it->sound)
            continue;
        b->starts[b->count] = it->name.start;
        b->maxes[b->count++] = item_info(it)->max;
    }
    qsort(b->starts, b->count, sizeof *b->starts, by_number);
    qsort(b->maxes, b->count, sizeof *b->maxes, by_number);
    return 0;
}

static void bases_release(struct bases *b)
{
    free(b->starts);
    free(b->maxes);
}

struct range_query {
    const uint64_t *numbers;
    uint64_t from;
};

static bool is_from(const void *context, size_t index)
{
    const struct range_query *q = context;
    return q->numbers[index] >= q->from;
}

/* Is one of the numbers, which ascend, in the range? */
static bool has_any(const uint64_t *numbers, size_t count, uint64_t from, uint64_t upto)
{
    const struct range_query q = {numbers, from};
    size_t first = search_first(count, is_from, &q);
    return first < count && numbers[first] <= upto;
}

/* Whether retention can have made a gap. It deletes all segments between the restore point of an old base and the next
 * base that stays, and before that everything older than the oldest base. So three conditions must hold: no segment is
 * older than the oldest base; the segment before the gap has the newest txid of a base; the segment behind the gap
 * follows the state of a base. */
static bool is_between_bases(const struct check *c, const struct bases *b, const struct cover *before,
                             const struct cover *behind)
{
    return b->count > 0 && claim_of(c, 0).max >= b->starts[0] &&
           has_any(b->maxes, b->count, before->min, before->max) &&
           has_any(b->starts, b->count, behind->min - 1, behind->max);
}

static int check_gaps(struct check *c, uint64_t origin, struct err *e)
{
    size_t n = catalog_segment_count(c->catalog);
    struct cover *claims = calloc(n + 1, sizeof *claims);
    struct cover far = {origin, origin}; /* of the segment that reaches furthest */
    struct bases bases = {NULL, NULL, 0};
    int rc = claims ? bases_init(&bases, c, e) : err_nomem(e, n * sizeof *claims);
    for (size_t i = 0; rc == 0 && i < n; i++)
        claims[i] = claim_of(c, i);
    if (rc == 0)
        qsort(claims, n, sizeof *claims, by_min);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        struct name missing = level0_name(far.max + 1);
        if (claims[i].max <= origin || (c->newer && claims[i].min > c->result.head + 1))
            continue;
        if (claims[i].min > far.max + 1 && !is_between_bases(c, &bases, &far, &claims[i]) &&
            !losses_explain(&c->result.losses, far.max + 1, claims[i].min - 1))
            check_problem_of(c, &missing, hint_damaged, "is missing: no object has the txids %" PRIu64 " to %" PRIu64,
                             far.max + 1, claims[i].min - 1);
        if (claims[i].max > far.max)
            far = claims[i];
    }
    free(claims);
    bases_release(&bases);
    return rc;
}

static int note_any(void *context, const struct store_entry *entry)
{
    *(bool *)context = name_parse(entry->key).kind == NAME_LEVEL0;
    return *(bool *)context;
}

/* The object that reaches beyond level 0. *ret_max: its newest txid. NAME_OTHER: none does. */
static struct name find_beyond(const struct check *c, uint64_t *ret_max)
{
    assert(c->items || c->item_count == 0);
    *ret_max = c->catalog->later.max;
    if (c->catalog->later.max > c->result.head)
        return c->catalog->later;
    for (size_t i = c->catalog->level0_count; i < c->item_count; i++)
        if (c->items[i].sound && item_info(&c->items[i])->max > c->result.head) {
            *ret_max = item_info(&c->items[i])->max;
            return c->items[i].name;
        }
    return (struct name){.kind = NAME_OTHER};
}

/* Checks that no object reaches beyond level 0. An object that was put during the listing can seem to. Then level 0 has
 * a newer object by now. What the listing has of later commits is checked as far as it goes, but nothing follows from
 * what it lacks. */
static int check_head(struct check *c, struct err *e)
{
    const size_t n = c->catalog->level0_count;
    const struct item *head = n ? &c->items[n - 1] : NULL;
    char key[NAME_MAX_BYTES] = "";
    uint64_t max = 0;
    if (head && !head->sound)
        return 0;
    c->result.head = head ? item_info(head)->max : 0;
    const struct name beyond = find_beyond(c, &max);
    if (beyond.kind == NAME_OTHER)
        return 0;
    const struct name last = level0_name(c->result.head), missing = level0_name(c->result.head + 1);
    if (head)
        name_format(&last, key);
    if (store_list(c->store, NAME_LEVEL0_PREFIX, key, note_any, &c->newer, e))
        return -1;
    name_format(&beyond, key);
    if (!c->newer)
        check_problem_of(c, &missing, hint_damaged, "is missing: '%s' reaches to txid %" PRIu64, key, max);
    return 0;
}

/* ---- losses that the writer noticed */

static void take_losses(struct check *c)
{
    for (size_t i = catalog_segment_count(c->catalog); i < c->item_count; i++)
        if (c->items[i].sound)
            losses_add(&c->result.losses, item_info(&c->items[i]));
}

/* Reports the parts and chunks that do not exist. Only txids of a noticed loss may need one. */
static void report_missing(struct check *c)
{
    for (size_t i = 0; i < c->named_count; i++) {
        const struct item *it = &c->named[i];
        if (it->name.kind == NAME_INTERIOR) /* nothing needs them */
            continue;
        char owner[NAME_MAX_BYTES];
        if (!it->missing)
            continue;
        const struct segment_info *o = item_info(it->owner);
        name_format(&it->owner->name, owner);
        if (!losses_explain(&c->result.losses, it->name.kind == NAME_CHUNK ? o->max : o->min, o->max))
            check_problem_of(c, &it->name, hint_damaged, "is missing: '%s' names it", owner);
    }
}

/* ---- restore points, and objects that they do not need */

static int note_point(void *context, const struct commit_record *record)
{
    struct verify_result *r = context;
    losses_note_point(&r->losses, record->txid);
    if (r->points++ == 0)
        r->oldest = *record;
    r->newest = *record;
    return 0;
}

static bool has_records(const struct item *it)
{
    return it->object->segment->records || it->object->segment->trailer.record_count == 0;
}

/* Lets the planner find the restore points, from the sound objects alone. */
static int find_points(struct check *c, struct err *e)
{
    size_t sizes = c->item_count + 3;
    struct catalog_object *objects = calloc(sizes, sizeof *objects);
    struct catalog sound = *c->catalog;
    struct catalog_object **lists[] = {&sound.level0, &sound.levels, &sound.markers};
    size_t *counts[] = {&sound.level0_count, &sound.level_count, &sound.marker_count};
    size_t i = 0, at = 0;
    if (!objects)
        return err_nomem(e, sizes * sizeof *objects);
    for (size_t k = 0; k < 3; k++) {
        size_t end = i + *counts[k];
        *lists[k] = objects + at;
        *counts[k] = 0;
        for (; i < end; i++)
            if (c->items[i].sound) {
                objects[at] = *c->items[i].object;
                objects[at].lent = has_records(&c->items[i]);
                if (!objects[at].lent)
                    objects[at].segment = NULL; /* the planner reads it again */
                at++;
                ++*counts[k];
            }
    }
    int rc = points_each(&sound, note_point, &c->result, e);
    for (size_t k = 0; k < at; k++)
        catalog_forget(&sound, &objects[k]); /* what the planner has read again */
    free(objects);
    return rc;
}

static bool waits_for_base(const struct check *c)
{
    for (size_t i = 0; i < c->catalog->level0_count; i++) {
        const struct item *it = &c->items[i];
        if (it->sound && item_info(it)->min > c->result.newest.txid && (item_info(it)->flags & SEGMENT_BASE_ONLY))
            return true;
    }
    return false;
}

/* The oldest state that a restore can start from: that of the oldest restore point, or of the oldest base. From
 * there on no txid may be missing. */
static uint64_t find_origin(const struct check *c)
{
    uint64_t origin = c->result.points ? c->result.oldest.txid : UINT64_MAX;
    for (size_t i = 0; i < c->item_count; i++) {
        const struct item *it = &c->items[i];
        bool marker = it->name.kind == NAME_MARKER;
        uint64_t start = marker ? it->name.start : it->name.min - 1;
        if ((marker ? it->sound : c->result.points == 0) && start < origin)
            origin = start;
    }
    return origin == UINT64_MAX ? 0 : origin;
}

static void judge_points(struct check *c, uint64_t origin)
{
    struct verify_result *r = &c->result;
    struct name first = level0_name(origin > 0 ? origin : 1);
    if (r->problem_total > 0 || waits_for_base(c))
        return;
    if (r->points == 0 && origin > 0)
        check_problem_of(c, &first, hint_damaged,
                         "is missing: the history begins at txid %" PRIu64 ", and no base has the state before it",
                         origin + 1);
    else if (r->newest.txid < r->head)
        check_problem_of(
            c, &c->items[c->catalog->level0_count - 1].name, hint_damaged,
            "can't be restored: the objects do not lead from a base, or from the beginning, to txid %" PRIu64, r->head);
}

static void count_unnamed(struct verify_result *r, const struct catalog_object *list, const bool *named, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!named[i]) {
            r->orphans++;
            r->orphan_bytes += list[i].size;
        }
}

static void count_orphans(struct check *c, uint64_t origin)
{
    struct verify_result *r = &c->result;
    const struct catalog *cat = c->catalog;
    count_unnamed(r, cat->chunks, c->chunk_named, cat->chunk_count);
    count_unnamed(r, cat->parts, c->part_named, cat->part_count);
    for (size_t i = 0; i < cat->packed_count; i++) {
        r->orphans++;
        r->orphan_bytes += cat->packed[i].size;
    }
    for (size_t i = 0; i < c->item_count; i++) {
        const struct item *it = &c->items[i];
        bool before = it->sound && is_segment(it) && r->points > 0 && item_info(it)->max < r->oldest.txid &&
                      item_info(it)->max < origin;
        r->orphans += before;
        r->orphan_bytes += before ? it->size : 0;
        r->objects += it->sound && !before;
        r->bytes += it->sound && !before ? it->size : 0;
    }
    for (size_t i = 0; i < c->named_count; i++) {
        r->objects += c->named[i].sound;
        r->bytes += c->named[i].sound ? c->named[i].size : 0;
    }
}

int chain_check(struct check *c, struct err *e)
{
    if (note_sound_ends(c, e))
        return -1;
    take_losses(c);
    report_missing(c);
    check_level0(c);
    for (size_t i = 0; i < c->item_count; i++)
        if (c->items[i].sound && is_segment(&c->items[i]) && check_states(c, &c->items[i], e))
            return -1;
    for (size_t i = 0; i < c->named_count; i++)
        if (c->named[i].sound && c->named[i].owner->sound && check_filled(c, &c->named[i], e))
            return -1;
    if (check_head(c, e))
        return -1;
    if (c->changed)
        return 0;
    if (find_points(c, e))
        return -1;
    uint64_t origin = find_origin(c);
    if (check_gaps(c, origin, e))
        return -1;
    judge_points(c, origin);
    count_orphans(c, origin);
    return 0;
}
