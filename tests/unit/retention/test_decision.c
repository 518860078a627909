/* retention/decision.h: compares the verdicts with a slow implementation of the same rules, on random catalogs, and
 * limits the steps on large ones.
 *
 * The slow functions look at all segments for each segment, begin again when one is damaged, and remember nothing
 * between two plans. */
#include "unit.h"

#include "replica_in_memory.h"

#include "replica/ways.h"
#include "retention/decision.h"
#include "retention/retention.h"

#define HOUR INT64_C(3600000)
#define NONE SIZE_MAX

static struct codec *codec;
static struct store *store;
static struct memory_store *memory;
static struct replica r;

static int setup(void **state)
{
    (void)state;
    if (replica_in_memory(&r, &store, &codec, 11))
        return -1;
    memory = (struct memory_store *)store;
    memory->now_ms = 1000 * HOUR;
    r.time_ms = memory->now_ms;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    replica_in_memory_release(&r, store, codec);
    return 0;
}

/* ---- a decision step by step, as retention.c makes it */

static struct retention_verdict *take_verdicts(struct decision *d, const struct catalog_object *list, size_t count)
{
    struct retention_verdict *first = d->out.verdicts + d->out.count;
    for (size_t i = 0; i < count; i++)
        first[i] = (struct retention_verdict){.name = list[i].name, .size = list[i].size, .time_ms = list[i].time_ms};
    d->out.count += count;
    return first;
}

/* False: level 0 has no object that can be read. */
static bool begin(struct decision *d, struct catalog *c, const struct retention_policy *p)
{
    struct err e;
    assert_ok(catalog_open(c, store, codec, &e), &e);
    *d = (struct decision){.c = c, .policy = p, .now_ms = memory->now_ms, .segment_count = catalog_segment_count(c)};
    struct catalog_object *head = catalog_head(c);
    if (!head || catalog_load(c, head, &e))
        return false;
    const size_t all = d->segment_count + c->marker_count + c->chunk_count + c->part_count;
    d->head_max = head->segment->trailer.info.max;
    d->head_run = head->segment->trailer.info.run;
    d->keep_all_ms = p->keep_all_ms > p->grace_ms ? p->keep_all_ms : p->grace_ms;
    d->window_ms = p->keep_levels_ms > d->keep_all_ms ? p->keep_levels_ms : d->keep_all_ms;
    d->out.verdicts = calloc(all + 1, sizeof *d->out.verdicts);
    d->needed = calloc(d->segment_count + 1, sizeof *d->needed);
    d->ends = calloc(d->segment_count + 1, sizeof *d->ends);
    d->bases = calloc(c->marker_count + 1, sizeof *d->bases);
    assert_true(d->out.verdicts && d->needed && d->ends && d->bases);
    d->segments = take_verdicts(d, c->level0, c->level0_count);
    take_verdicts(d, c->levels, c->level_count);
    d->markers = take_verdicts(d, c->markers, c->marker_count);
    d->chunks = take_verdicts(d, c->chunks, c->chunk_count);
    d->parts = take_verdicts(d, c->parts, c->part_count);
    return true;
}

static void end(struct decision *d)
{
    for (size_t i = 0; d->bases && i < d->c->marker_count; i++)
        free(d->bases[i].segments);
    free(d->bases);
    free(d->needed);
    free(d->ends);
    free(d->out.verdicts);
    catalog_release(d->c);
}

/* ---- slow: what covers a segment */

static bool is_settled(enum retention_reason why)
{
    return why == RETENTION_HEAD || why == RETENTION_YOUNG || why == RETENTION_POINT_OF_BASE ||
           why == RETENTION_BEFORE_ANCHOR;
}

static void slow_find_end(struct decision *d, size_t i)
{
    struct catalog_object *o = catalog_segment(d->c, i);
    struct err e;
    if (o->name.kind == NAME_LEVEL0 && catalog_load(d->c, o, &e) == 0)
        d->ends[i] = o->segment->trailer.info.max;
}

/* The segment of a higher level that begins at the beginning of `i` or before, and reaches furthest. */
static size_t slow_cover(const struct decision *d, const int *sound, size_t i, bool good)
{
    const struct name *n = &catalog_segment(d->c, i)->name, *best = NULL;
    size_t found = NONE;
    for (size_t k = d->c->level0_count; k < d->segment_count; k++) {
        const struct name *m = &catalog_segment(d->c, k)->name;
        bool old = decision_older(d, d->segments[k].time_ms, d->keep_all_ms);
        if (m->level <= n->level || m->min > n->min || d->segments[k].reason == RETENTION_BEFORE_ANCHOR ||
            (good && (!old || sound[k] < 0)))
            continue;
        if (!best || m->max > best->max || (m->max == best->max && m->min < best->min)) {
            best = m;
            found = k;
        }
    }
    return found;
}

static void slow_judge(struct decision *d, const int *sound, bool *relied, size_t i)
{
    const uint64_t min = catalog_segment(d->c, i)->name.min;
    size_t good = slow_cover(d, sound, i, true), any = slow_cover(d, sound, i, false);
    if (good != NONE && catalog_segment(d->c, good)->name.max >= min &&
        catalog_segment(d->c, good)->name.max < d->ends[i])
        slow_find_end(d, i);
    if (good != NONE && catalog_segment(d->c, good)->name.max >= d->ends[i]) {
        decision_set(&d->segments[i], true, RETENTION_COVERED);
        relied[good] = true;
    } else if (!decision_older(d, d->segments[i].time_ms, d->keep_all_ms)) {
        decision_set(&d->segments[i], false, RETENTION_KEEP_ALL);
    } else if (any == NONE || catalog_segment(d->c, any)->name.max < d->ends[i]) {
        decision_set(&d->segments[i], false, RETENTION_ALONE);
    } else {
        decision_set(&d->segments[i], false, sound[any] < 0 ? RETENTION_COVER_DAMAGED : RETENTION_COVER_YOUNG);
    }
}

static bool slow_is_sound(struct decision *d, size_t i)
{
    struct catalog_object *o = catalog_segment(d->c, i);
    bool there = false;
    struct err e;
    if (catalog_load(d->c, o, &e))
        return false;
    assert_ok(decision_listed(d, o->segment, &there, &e), &e);
    return there && !(o->segment->trailer.info.flags & SEGMENT_BASE_ONLY);
}

/* `d`: a decision after retention_judge_segments. Judges all segments again whose verdict depends on other segments. */
static void slow_judge_segments(struct decision *d)
{
    const struct catalog *c = d->c;
    const uint64_t start = d->anchor ? d->anchor->start : 0;
    int *sound = calloc(d->segment_count + 1, sizeof *sound); /* 0: not read; -1: not */
    bool *relied = calloc(d->segment_count + 1, sizeof *relied), done = false;
    assert_true(sound && relied);
    for (size_t i = 0; i < d->segment_count; i++) {
        const struct name *n = &catalog_segment(c, i)->name;
        d->ends[i] = i >= c->level0_count      ? n->max
                     : i + 1 < c->level0_count ? c->level0[i + 1].name.min - 1
                                               : d->head_max;
        bool stays = is_settled(d->segments[i].reason) && d->segments[i].reason != RETENTION_BEFORE_ANCHOR;
        if (!stays && d->anchor && n->min <= start && d->ends[i] > start)
            slow_find_end(d, i);
    }
    while (!done) {
        done = true;
        memset(relied, 0, d->segment_count + 1);
        for (size_t i = 0; i < d->segment_count; i++)
            if (!is_settled(d->segments[i].reason))
                slow_judge(d, sound, relied, i);
        for (size_t i = 0; i < d->segment_count; i++) {
            if (relied[i] && sound[i] == 0)
                sound[i] = slow_is_sound(d, i) ? 1 : -1;
            done &= !relied[i] || sound[i] > 0;
        }
    }
    free(sound);
    free(relied);
}

/* ---- slow: the restore point of a base */

/* Makes a plan without what earlier searches have found out. */
static int slow_plan(const struct catalog *c, uint64_t txid, struct plan *ret_plan)
{
    struct catalog fresh = *c;
    struct err e;
    fresh.ways = NULL;
    assert_ok(catalog_make_ways(&fresh, &e), &e);
    int rc = plan_make(&fresh, txid, ret_plan, &e);
    ways_free(fresh.ways);
    if (rc != 0)
        assert_true(e.code == ERR_NOTFOUND || e.code == ERR_CORRUPT);
    return rc;
}

/* The first txid, not before `from`, at which a segment ends that has txid `max`; 0: there is none. */
static uint64_t slow_next_end(struct catalog *c, uint64_t max, uint64_t from)
{
    uint64_t found = UINT64_MAX;
    struct err e;
    struct catalog_object *o = catalog_level0_at(c, max);
    if (o && catalog_load(c, o, &e) == 0 && o->segment->trailer.info.max >= max) {
        uint64_t own = o->segment->trailer.info.flags & SEGMENT_LAST_ONLY ? o->segment->trailer.info.max : max;
        found = own >= from ? own : found;
    }
    for (size_t i = 0; i < c->level_count; i++) {
        const struct name *n = &c->levels[i].name;
        if (n->min <= max && n->max >= from && n->max < found)
            found = n->max;
    }
    return found == UINT64_MAX ? 0 : found;
}

static bool slow_leads(const struct catalog *c, struct catalog_object *marker, uint64_t txid)
{
    struct catalog alone = *c;
    struct plan p = {0};
    bool from_base = false, all = true, first = true;
    alone.markers = marker;
    alone.marker_count = 1;
    if (slow_plan(&alone, txid, &p))
        return false;
    for (size_t i = 0; i < p.source_count; i++) {
        const struct name name = name_parse(p.sources[i].key);
        const struct catalog_object *o = catalog_find(c, &name);
        all &= o && o->size == p.sources[i].size;
        from_base |= name.kind == NAME_CHUNK;
        if (p.sources[i].kind == OBJECT_SEGMENT) {
            from_base |= first && p.sources[i].max > marker->name.start;
            first = false;
        }
    }
    plan_release(&p);
    return all && from_base;
}

static uint64_t slow_point(const struct decision *d, struct catalog_object *marker)
{
    bool there = false;
    struct err e;
    if (catalog_load(d->c, marker, &e))
        return 0;
    assert_ok(decision_listed(d, marker->segment, &there, &e), &e);
    const uint64_t max = marker->segment->trailer.info.max;
    for (uint64_t end = max; there && (end = slow_next_end(d->c, max, end)) != 0; end++)
        if (slow_leads(d->c, marker, end))
            return end;
    return 0;
}

/* Whether a base before `base` that stays leads to its point, by the segments that stay after the anchor. */
static bool slow_reached(const struct decision *d, size_t base)
{
    struct catalog view = *d->c;
    struct plan p = {0};
    view.markers = calloc(base + 1, sizeof *view.markers);
    view.marker_count = 0;
    assert_non_null(view.markers);
    for (size_t i = 0; i < base; i++)
        if (d->bases[i].stays)
            view.markers[view.marker_count++] = d->c->markers[i];
    bool reached = slow_plan(&view, d->bases[base].point, &p) == 0;
    for (size_t i = 0; i < p.source_count; i++)
        if (p.sources[i].kind == OBJECT_SEGMENT) {
            reached &= p.sources[i].max > d->anchor->start;
            break;
        }
    plan_release(&p);
    free(view.markers);
    return reached;
}

static void assert_bases(const struct decision *d, unsigned *usable)
{
    for (size_t i = 0; i < d->c->marker_count; i++) {
        const struct retained_base *b = &d->bases[i];
        const uint64_t point = slow_point(d, b->marker);
        assert_int_equal(b->usable, point != 0);
        if (!b->usable)
            continue;
        ++*usable;
        assert_int_equal(b->point, point);
        if (!d->anchor || b <= d->anchor || (b->stays && d->markers[i].reason != RETENTION_BASE_BRIDGE))
            continue;
        assert_int_equal(b->stays, !slow_reached(d, i));
    }
}

/* ---- slow: leftovers */

static bool slow_overtaken(const struct decision *d, uint64_t start)
{
    for (size_t i = 0; i < d->c->marker_count; i++)
        if (d->bases[i].start > start && d->bases[i].usable &&
            decision_older(d, d->markers[i].time_ms, d->policy->grace_ms))
            return true;
    return false;
}

static void assert_chunks(const struct decision *d)
{
    for (size_t i = 0; i < d->c->chunk_count; i++) {
        const struct name *n = &d->c->chunks[i].name;
        const struct name marker = {.kind = NAME_MARKER, .start = n->start, .run = n->run};
        if (!catalog_find(d->c, &marker) && decision_older(d, d->chunks[i].time_ms, d->policy->grace_ms))
            assert_int_equal(d->chunks[i].goes, slow_overtaken(d, n->start));
    }
}

/* ---- random catalogs */

static void damage_some(struct dice *d)
{
    for (size_t i = 0; i < memory->count; i++) {
        struct memory_object *o = &memory->objects[i];
        bool loaded = strncmp(o->key, "part/", 5) != 0 && strcmp(o->key, NAME_IDENTITY) != 0;
        if (loaded && dice_below(d, 8) == 0)
            o->bytes[o->size - 1 - dice_below(d, 60)] ^= 1;
    }
}

static void age(struct dice *d)
{
    memory->now_ms += (int64_t)dice_below(d, 3) * HOUR;
    r.time_ms = memory->now_ms;
}

static void random_history(struct dice *d)
{
    static const uint64_t txids = 20;
    replica_commits(&r, txids, 512);
    for (uint64_t min = 1, max = 0; min <= txids; min = max + 1) {
        max = min + dice_below(d, 3);
        max = max < txids ? max : txids;
        if (dice_below(d, 12) == 0 && min > 1)
            replica_put_anchor(&r, min, max, 0);
        else if (dice_below(d, 12))
            replica_put_full(&r, min, max, min == 1 || dice_below(d, 6) == 0 ? SEGMENT_FROM_EMPTY : 0);
        age(d);
    }
    for (unsigned i = dice_below(d, 30); i > 0; i--) { /* levels that do not nest */
        const uint64_t min = dice_between(d, 1, (uint32_t)txids), max = dice_between(d, (uint32_t)min, (uint32_t)txids);
        const struct name name = {.kind = NAME_LEVEL, .level = dice_between(d, 1, 4), .min = min, .max = max};
        char key[NAME_MAX_BYTES];
        name_format(&name, key);
        if (!memory_store_object(memory, key) && r.placed_count + 10 < PLACED_MAX)
            replica_put_last(&r, name.level, min, max,
                             (min == 1 || dice_below(d, 6) == 0 ? SEGMENT_FROM_EMPTY : 0) |
                                 (dice_below(d, 4) ? 0 : SEGMENT_IN_PARTS));
        r.run.bytes[15]++; /* another run, so that the parts have other names */
        age(d);
    }
    r.run.bytes[15] = 0;
    for (unsigned i = dice_below(d, 8); i > 0; i--) {
        const uint64_t start = dice_between(d, 1, (uint32_t)txids),
                       max = dice_between(d, (uint32_t)start, (uint32_t)txids);
        r.run.bytes[15]++;
        struct placed *o = replica_put_base(&r, start, max);
        if (dice_below(d, 5) == 0)
            replica_remove(&r, o);
        age(d);
    }
}

static void decisions_of_random_catalogs_are_those_of_the_slow_rules(void **state)
{
    unsigned counts[RETENTION_PART_GIVEN_UP + 1] = {0}, usable = 0;
    for (uint64_t seed = 1; seed <= 400; seed++) {
        struct dice d = dice_of(seed);
        struct catalog c;
        struct decision decision;
        struct err e;
        const struct retention_policy policy = {.grace_ms = dice_below(&d, 10) * (uint64_t)HOUR,
                                                .keep_all_ms = dice_below(&d, 20) * (uint64_t)HOUR,
                                                .keep_levels_ms = dice_below(&d, 40) * (uint64_t)HOUR,
                                                .keep_daily = dice_below(&d, 3),
                                                .keep_monthly = 1};
        teardown(state);
        assert_int_equal(setup(state), 0);
        random_history(&d);
        if (seed % 4)
            damage_some(&d);
        memory->now_ms += (int64_t)dice_below(&d, 40) * HOUR;
        if (begin(&decision, &c, &policy)) {
            assert_ok(retention_judge_bases(&decision, &e), &e);
            assert_bases(&decision, &usable);
            assert_ok(retention_judge_segments(&decision, &e), &e);
            struct retention_verdict *quick = calloc(decision.segment_count, sizeof *quick);
            assert_non_null(quick);
            memcpy(quick, decision.segments, decision.segment_count * sizeof *quick);
            slow_judge_segments(&decision);
            for (size_t i = 0; i < decision.segment_count; i++) {
                counts[quick[i].reason]++;
                if (quick[i].goes != decision.segments[i].goes || quick[i].reason != decision.segments[i].reason)
                    fail_msg("seed %d: segment %zu: %s, but slowly %s", (int)seed, i,
                             retention_reason_text(quick[i].reason),
                             retention_reason_text(decision.segments[i].reason));
            }
            free(quick);
            assert_ok(retention_judge_chunks(&decision, &e), &e);
            assert_chunks(&decision);
        }
        end(&decision);
    }
    static const enum retention_reason met[] = {RETENTION_COVERED,       RETENTION_ALONE, RETENTION_COVER_DAMAGED,
                                                RETENTION_COVER_YOUNG,   RETENTION_YOUNG, RETENTION_KEEP_ALL,
                                                RETENTION_BEFORE_ANCHOR, RETENTION_HEAD,  RETENTION_POINT_OF_BASE};
    for (size_t i = 0; i < COUNT_OF(met); i++)
        assert_true(counts[met[i]] > 50);
    assert_true(usable > 200);
}

/* ---- large catalogs. If the steps grew with the square of the objects, these tests would take minutes */

static void put_garbage(const char *key)
{
    struct err e;
    assert_ok(store_put_new(store, key, "garbage", 7, NULL, &e), &e);
}

static void put_garbage_named(struct name name)
{
    char key[NAME_MAX_BYTES];
    name_format(&name, key);
    put_garbage(key);
}

static void put_object(const struct name *name, struct object_parts *parts)
{
    static const uint8_t page[512] = {1};
    const struct version v = {
        .pgno = 1, .kind = VERSION_IMAGE, .txid = parts->info.max, .hash = page_hash(1, page, 512)};
    char key[NAME_MAX_BYTES];
    struct buf object = {0};
    struct digest digest;
    struct err e;
    parts->info.page_size = 512;
    parts->info.database = r.database;
    if (parts->info.kind != OBJECT_MARKER && !(parts->info.flags & SEGMENT_BASE_ONLY)) {
        parts->versions = &v;
        parts->version_count = 1;
        parts->payload = page;
        parts->info.first_page = parts->info.last_page = 1;
    }
    name_format(name, key);
    assert_ok(object_make(codec, parts, &object, &digest, &e), &e);
    assert_ok(store_put_new(store, key, object.data, object.len, NULL, &e), &e);
    buf_release(&object);
}

static void put_segment(unsigned level, uint64_t min, uint64_t max, uint32_t flags)
{
    const struct name name = {
        .kind = level ? NAME_LEVEL : NAME_LEVEL0, .level = level, .min = min, .max = level ? max : 0};
    const struct commit_record record = {.txid = max, .time_ms = 1, .pages = 1, .checksum = 1};
    struct object_parts parts = {
        .info = {.kind = OBJECT_SEGMENT, .level = level, .min = min, .max = max, .flags = flags, .checksum_before = 1},
        .records = &record,
        .record_count = 1};
    put_object(&name, &parts);
}

static const struct retention_policy strict = {.grace_ms = 1, .keep_all_ms = 1, .keep_levels_ms = 1};

static void many_damaged_segments_of_levels_are_each_read_once(void **state)
{
    enum { COUNT = 20000 };
    struct catalog c;
    struct decision d;
    struct err e;
    (void)state;
    for (uint64_t t = 1; t < COUNT; t++)
        put_garbage_named((struct name){.kind = NAME_LEVEL0, .min = t});
    put_segment(0, COUNT, COUNT, 0);
    for (uint64_t t = 1; t <= COUNT; t++) /* each of these segments has all earlier txids */
        put_garbage_named((struct name){.kind = NAME_LEVEL, .level = 1, .min = 1, .max = t});
    memory->now_ms += HOUR;
    assert_true(begin(&d, &c, &strict));
    assert_ok(retention_judge_segments(&d, &e), &e);
    for (size_t i = 0; i + 1 < COUNT; i++)
        assert_true(!d.segments[i].goes && d.segments[i].reason == RETENTION_COVER_DAMAGED);
    end(&d);
}

static void many_unfinished_bases_are_compared_with_one_that_is_complete(void **state)
{
    enum { COUNT = 20000 };
    struct catalog c;
    struct decision d;
    struct err e;
    (void)state;
    put_segment(0, 1, 1, SEGMENT_FROM_EMPTY);
    for (uint64_t t = 1; t <= COUNT; t++) {
        const struct uid written = {{1}}, damaged = {{2}};
        put_garbage_named((struct name){.kind = NAME_CHUNK, .start = t, .run = written, .first_page = 1});
        put_garbage_named((struct name){.kind = NAME_MARKER, .start = t, .run = damaged});
    }
    memory->now_ms += HOUR;
    assert_true(begin(&d, &c, &strict));
    assert_ok(retention_judge_bases(&d, &e), &e);
    assert_ok(retention_judge_chunks(&d, &e), &e);
    for (size_t i = 0; i < COUNT; i++)
        assert_true(!d.chunks[i].goes && d.chunks[i].reason == RETENTION_CHUNK_WAITS);
    end(&d);
}

static void segments_that_may_name_many_parts_are_each_read_once(void **state)
{
    enum { COUNT = 20000 };
    struct catalog c;
    struct decision d;
    struct err e;
    (void)state;
    put_segment(0, 1, 1, SEGMENT_FROM_EMPTY);
    for (uint64_t t = 2; t <= COUNT; t++)
        put_garbage_named((struct name){.kind = NAME_LEVEL, .level = 1, .min = 1, .max = t});
    for (uint64_t t = 1; t <= COUNT; t++) {
        const struct name name = {.kind = NAME_PART, .run = {{3}}, .number = t};
        struct object_parts parts = {.info = {.kind = OBJECT_PART, .min = 1, .max = 1, .run = {{3}}}};
        put_object(&name, &parts);
    }
    memory->now_ms += HOUR;
    assert_true(begin(&d, &c, &strict));
    assert_ok(retention_judge_parts(&d, &e), &e);
    for (size_t i = 0; i < COUNT; i++)
        assert_true(!d.parts[i].goes && d.parts[i].reason == RETENTION_PART_UNKNOWN);
    end(&d);
}

/* A base of one chunk; the object that follows it is missing. */
static void put_lost_base(uint64_t start, uint64_t max)
{
    const struct uid run = {{4}};
    const struct name chunk = {.kind = NAME_CHUNK, .start = start, .run = run, .first_page = 1},
                      marker = {.kind = NAME_MARKER, .start = start, .run = run};
    struct listed list = {.first_page = 1, .last_page = 1, .max = max, .digest = {{1}}};
    struct object_parts parts = {.info = {.kind = OBJECT_CHUNK, .start = start, .max = max, .run = run}};
    put_object(&chunk, &parts);
    name_format(&chunk, list.name);
    list.size = memory_store_object(memory, list.name)->size;
    struct object_parts head = {
        .info = {.kind = OBJECT_MARKER, .start = start, .max = max, .run = run, .first_page = 1, .last_page = 1},
        .list = &list,
        .list_count = 1};
    put_object(&marker, &head);
}

/* After each base one object is missing. Later segments of a level end where the point of the base could be. */
static void bases_that_lead_nowhere_are_given_up_in_few_steps(void **state)
{
    enum { COUNT = 20000, BASES = 200, EACH = COUNT / BASES };
    struct catalog c;
    struct decision d;
    struct err e;
    (void)state;
    for (uint64_t t = 1; t <= COUNT; t++)
        if (t % EACH != 1 || t == 1)
            put_segment(0, t, t, t == 1 ? SEGMENT_FROM_EMPTY : SEGMENT_LAST_ONLY);
    for (uint64_t t = EACH; t < COUNT; t += EACH)
        for (uint64_t k = 2; k < EACH; k++)
            put_segment(1, t - 1, t + k, SEGMENT_LAST_ONLY | SEGMENT_BASE_ONLY);
    for (uint64_t t = EACH; t < COUNT; t += EACH)
        put_lost_base(t, t + 1);
    memory->now_ms += HOUR;
    assert_true(begin(&d, &c, &strict));
    assert_ok(retention_judge_bases(&d, &e), &e);
    assert_int_equal(c.marker_count, BASES - 1);
    for (size_t i = 0; i < c.marker_count; i++)
        assert_false(d.bases[i].usable);
    assert_true(c.ways->steps > BASES && c.ways->steps < 10 * 1000 * 1000);
    end(&d);
}

/* There are as many segments as bases. Each base could continue with each segment, and no segment leads on. */
static void a_catalog_that_would_take_too_many_steps_is_refused(void **state)
{
    enum { COUNT = 4000 };
    struct catalog c;
    struct retention_plan plan = {0};
    struct err e;
    (void)state;
    for (uint64_t t = 1; t <= COUNT; t++)
        put_segment(0, 3 * COUNT + 2 * t, 3 * COUNT + 2 * t, SEGMENT_LAST_ONLY | SEGMENT_BASE_ONLY);
    for (uint64_t t = 1; t <= COUNT; t++)
        put_segment(1, 2 * t, 2 * t, SEGMENT_FROM_EMPTY | SEGMENT_LAST_ONLY);
    for (uint64_t t = 1; t <= COUNT; t++)
        put_lost_base(3 * COUNT + 2 * t - 1, 3 * COUNT + 2 * t);
    memory->now_ms += HOUR;
    assert_ok(catalog_open(&c, store, codec, &e), &e);
    assert_error(retention_decide(&c, &strict, memory->now_ms, &plan, &e), &e, ERR_LIMIT);
    assert_contains(e.msg, "nothing is deleted");
    assert_contains(e.msg, "HINT");
    const uint64_t most = DECISION_STEPS_MIN + (uint64_t)3 * COUNT * DECISION_STEPS_EACH;
    assert_true(c.ways->steps > most && c.ways->steps < most + 1000 * 1000);
    catalog_release(&c);
}

#define DECISION_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DECISION_TEST(many_damaged_segments_of_levels_are_each_read_once),
        DECISION_TEST(many_unfinished_bases_are_compared_with_one_that_is_complete),
        DECISION_TEST(segments_that_may_name_many_parts_are_each_read_once),
        DECISION_TEST(bases_that_lead_nowhere_are_given_up_in_few_steps),
        DECISION_TEST(a_catalog_that_would_take_too_many_steps_is_refused),
        DECISION_TEST(decisions_of_random_catalogs_are_those_of_the_slow_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
