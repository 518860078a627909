/* verify/verify.h: a sound replica of any shape has no problem; damage is found and named. */
#include "unit.h"

#include "claims.h"
#include "failing_alloc.h"
#include "replica_in_memory.h"
#include "verify/verify.h"

static struct codec *codec;
static struct store *store; /* in memory */
static struct replica r;
static struct verify_result result;

static int setup(void **state)
{
    (void)state;
    if (replica_in_memory(&r, &store, &codec, 77))
        return -1;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    verify_result_release(&result);
    replica_in_memory_release(&r, store, codec);
    return 0;
}

enum depth { BY_TAILS, WHOLE };

static int look(struct store *s, enum depth depth, struct err *e)
{
    struct verify_options o = {.flags = depth == WHOLE ? VERIFY_FULL : 0};
    struct replica_handle replica = replica_handle_borrow(s, codec);
    verify_result_release(&result);
    int rc = verify_run(&replica, &o, &result, e);
    replica_handle_close(&replica);
    return rc;
}

static void run(struct store *s, enum depth depth)
{
    struct err e;
    assert_ok(look(s, depth, &e), &e);
}

static void assert_sound(struct store *s, enum depth depth)
{
    run(s, depth);
    if (result.problem_total > 0)
        fail_msg("'%s': %s", result.problems[0].object, result.problems[0].text);
}

static bool names(const char *key)
{
    for (size_t i = 0; i < result.problem_count; i++)
        if (strcmp(result.problems[i].object, key) == 0)
            return true;
    return false;
}

static void assert_named(const char *key)
{
    if (result.problem_total == 0)
        fail_msg("no problem was found, but '%s' has one", key);
    if (!names(key))
        fail_msg("'%s' is not named, but '%s' is: %s", key, result.problems[0].object, result.problems[0].text);
}

static struct memory_store *memory(void)
{
    return (struct memory_store *)store;
}

static struct memory_object *object_of(const char *key)
{
    struct memory_object *o = memory_store_object(memory(), key);
    if (!o)
        fail_msg("there is no '%s'", key);
    return o;
}

/* Puts objects of every kind: full, last_only in parts, higher levels, bases that were read at several moments. */
static void make_rich(void)
{
    r.interior = true;
    replica_commits(&r, 20, 1024);
    replica_put_full(&r, 1, 3, SEGMENT_FROM_EMPTY);
    replica_put_last(&r, 0, 4, 8, SEGMENT_IN_PARTS);
    replica_put_full(&r, 9, 9, 0);
    replica_put_full(&r, 10, 12, 0);
    replica_put_last(&r, 1, 9, 12, SEGMENT_IN_PARTS);
    replica_put_last(&r, 2, 1, 12, SEGMENT_FROM_EMPTY);
    replica_put_base(&r, 9, 12);
    replica_put_full(&r, 13, 16, 0);
    replica_put_base(&r, 16, 16);
    replica_put_full(&r, 17, 20, 0);
}

/* ---- sound replicas */

static void a_sound_replica_of_any_shape_has_no_problem(void **state)
{
    static struct replica any;
    unsigned looked = 0;
    (void)state;
    for (unsigned seed = 0; seed < 400; seed++) {
        struct store *s = memory_store_new();
        struct err e;
        assert_non_null(s);
        replica_init(&any, s, codec, seed);
        static const uint32_t sizes[] = {512, 1024};
        uint64_t ends[MODEL_TXIDS], points = 0;
        size_t count = 0;
        unsigned total = 1 + seed % 24, turn = seed % 3 ? total : seed % total;
        replica_commits(&any, turn, sizes[seed % 2]);
        replica_commits(&any, total - turn, sizes[!(seed % 2)]);
        replica_random_level0(&any, ends, &count);
        replica_random_levels(&any, 1, ends, count);
        for (size_t a = 0; a < count; a += 3) {
            size_t b = a + dice_below(&any.dice, (uint32_t)(count - a));
            if (any.model.at[ends[a]].epoch == any.model.at[ends[b]].epoch)
                replica_put_base(&any, ends[a], ends[b]);
        }
        for (uint64_t t = 1; t <= any.model.newest; t++)
            points += replica_can_restore(&any, t);
        for (int depth = BY_TAILS; depth <= WHOLE; depth++) {
            int rc = look(s, depth, &e);
            if (rc && (e.code != ERR_NOTFOUND || points > 0))
                fail_msg("seed %u: %s", seed, e.msg);
            if (result.problem_total > 0)
                fail_msg("seed %u, depth %d: '%s': %s", seed, depth, result.problems[0].object,
                         result.problems[0].text);
            assert_int_equal(result.points, points);
            looked += rc == 0;
        }
        replica_release(&any);
        store_close(s);
    }
    assert_true(looked > 600);
}

/* If objects are missing and nothing else is wrong, only that is reported, and the restore points are those of the
 * model. */
static void an_object_is_not_called_damaged_because_another_one_is_missing(void **state)
{
    static struct replica any;
    unsigned sound = 0, missing = 0;
    (void)state;
    for (unsigned seed = 0; seed < 1500; seed++) {
        struct store *s = memory_store_new();
        struct err e;
        uint64_t points = 0;
        assert_non_null(s);
        replica_init(&any, s, codec, seed);
        replica_random(&any);
        for (uint64_t t = 1; t <= any.model.newest; t++)
            points += replica_can_restore(&any, t);
        int rc = look(s, WHOLE, &e);
        if (rc && (e.code != ERR_NOTFOUND || points > 0))
            fail_msg("seed %u: %s", seed, e.msg);
        for (size_t i = 0; i < result.problem_count; i++) {
            struct verify_problem *p = &result.problems[i];
            if (!strstr(p->text, "is missing") && !strstr(p->text, "can't be restored"))
                fail_msg("seed %u: '%s': %s", seed, p->object, p->text);
            if (strstr(p->text, "is missing") && memory_store_object((struct memory_store *)s, p->object))
                fail_msg("seed %u: '%s' is there: %s", seed, p->object, p->text);
        }
        if (rc == 0)
            assert_int_equal(result.points, points);
        sound += rc == 0 && result.problem_total == 0;
        missing += rc == 0 && result.problem_total > 0;
        replica_release(&any);
        store_close(s);
    }
    assert_true(sound > 100 && missing > 100);
}

/* A missing object that no other one covers is reported. */
static void a_level0_object_that_is_missing_and_not_covered_is_named(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < 200; seed++) {
        static struct replica any;
        struct store *s = memory_store_new();
        char key[NAME_MAX_BYTES];
        struct err e;
        assert_non_null(s);
        replica_init(&any, s, codec, seed);
        replica_commits(&any, 12, 512);
        for (uint64_t t = 1; t <= 12; t++)
            replica_put_full(&any, t, t, t == 1 ? SEGMENT_FROM_EMPTY : 0);
        if (seed % 2)
            replica_put_base(&any, 6, 7);
        struct placed *gone = &any.placed[seed % 11]; /* not the last one: no object names it */
        replica_remove(&any, gone);
        name_format(&gone->name, key);
        assert_ok(look(s, BY_TAILS, &e), &e);
        if (seed % 2 && gone->min == 1) /* retention can have deleted it: the history begins with the base */
            assert_int_equal(result.points, 12 - 7 + 1);
        else
            assert_named(key);
        replica_release(&any);
        store_close(s);
    }
}

static void every_state_is_proven_with_full(void **state)
{
    (void)state;
    make_rich();
    assert_sound(store, BY_TAILS);
    assert_int_equal(result.states, 0);
    assert_int_equal(result.points, 3 + 1 + 1 + 3 + 4 + 4);
    assert_int_equal(result.oldest.txid, 1);
    assert_int_equal(result.newest.txid, 20);
    assert_int_equal(result.orphans, 0);
    assert_int_equal(result.objects, memory()->count);
    assert_sound(store, WHOLE);
    assert_int_equal(result.states, result.points);
}

/* ---- states that are not problems */

static void put_bytes(const char *key)
{
    struct err e;
    assert_ok(store_put_new(store, key, "x", 1, NULL, &e), &e);
}

static void objects_that_nothing_needs_are_counted(void **state)
{
    (void)state;
    make_rich();
    put_bytes("part/52000000000000000000000000000000-00000000ffffffff");
    put_bytes("base/0000000000000014-52000000000000000000000000000000/00000001");
    put_bytes("base/0000000000000014-52000000000000000000000000000000/interior");
    put_bytes("notes.txt");
    assert_sound(store, WHOLE);
    assert_int_equal(result.orphans, 3);
    assert_int_equal(result.orphan_bytes, 3);
    assert_int_equal(result.foreign, 1);
}

static void leftovers_of_retention_are_no_problem(void **state)
{
    (void)state;
    make_rich();
    for (size_t i = 0; i < r.placed_count;
         i++) /* removes all objects that the second base makes unnecessary, except one */
        if (r.placed[i].max <= 16 && r.placed[i].start != 16 && r.placed[i].max != 9 && r.placed[i].max != 16)
            replica_remove(&r, &r.placed[i]);
    assert_sound(store, WHOLE);
    assert_int_equal(result.oldest.txid, 16);
    assert_true(result.orphans >= 1);
}

static void only_a_hole_that_a_higher_level_has_is_no_problem(void **state)
{
    (void)state;
    replica_commits(&r, 9, 512);
    for (uint64_t t = 1; t <= 9; t++)
        replica_put_full(&r, t, t, t == 1 ? SEGMENT_FROM_EMPTY : 0);
    replica_put_last(&r, 1, 1, 4, SEGMENT_FROM_EMPTY);
    replica_remove(&r, &r.placed[1]); /* a base may need the objects before it */
    assert_sound(store, WHOLE);
    replica_remove(&r, &r.placed[0]);
    assert_sound(store, WHOLE);
    replica_remove(&r, &r.placed[4]); /* txid 5: no other object has it */
    run(store, BY_TAILS);
    assert_named("0/0000000000000005");
}

static void a_gap_is_no_problem_where_a_base_comes_right_behind(void **state)
{
    (void)state;
    replica_commits(&r, 12, 512);
    for (uint64_t t = 1; t <= 12; t++)
        replica_put_full(&r, t, t, t == 1 ? SEGMENT_FROM_EMPTY : 0);
    replica_put_base(&r, 2, 2);
    replica_put_base(&r, 6, 7);
    for (uint64_t t = 1; t <= 6; t++)
        if (t != 2) /* has the record of the first base */
            replica_remove(&r, &r.placed[t - 1]);
    assert_sound(store, WHOLE);
    assert_int_equal(result.oldest.txid, 2);
    assert_int_equal(result.points, 1 + 6);
    replica_remove(&r, &r.placed[8]); /* txid 9 */
    run(store, BY_TAILS);
    assert_named("0/0000000000000009");
}

/* Twelve objects of level 0, of which txid 4 is lost. The base from txid 8 heals the loss. */
static void lose_and_heal(void)
{
    replica_commits(&r, 12, 512);
    for (uint64_t t = 1; t <= 12; t++)
        replica_put_full(&r, t, t, t == 1 ? SEGMENT_FROM_EMPTY : 0);
    replica_remove(&r, &r.placed[3]);
    r.lost_min = 4;
    replica_put_base(&r, 8, 9);
}

static void a_loss_that_was_noticed_and_healed_is_no_problem(void **state)
{
    (void)state;
    lose_and_heal();
    assert_sound(store, WHOLE);
    assert_int_equal(result.points, 3 + 4);
    assert_int_equal(result.losses.count, 1);
    assert_int_equal(result.losses.list[0].first, 4);
    assert_int_equal(result.losses.list[0].last, 8);
    replica_remove(&r, &r.placed[5]); /* txid 6 is needed by nothing */
    assert_sound(store, WHOLE);
}

static void the_same_loss_without_a_word_of_the_writer_is_named(void **state)
{
    (void)state;
    lose_and_heal();
    r.lost_min = 0;
    replica_remove(&r, &r.placed[r.placed_count - 1]);
    r.run.bytes[15]++;
    replica_put_base(&r, 8, 9);
    run(store, BY_TAILS);
    assert_named("0/0000000000000004");
    assert_int_equal(result.losses.count, 0);
}

static void another_loss_after_a_healed_one_is_named(void **state)
{
    static const uint64_t lost[] = {2, 8, 9, 11};
    (void)state;
    lose_and_heal();
    for (size_t i = 0; i < sizeof lost / sizeof lost[0]; i++) {
        char key[NAME_MAX_BYTES];
        name_format(&(struct name){.kind = NAME_LEVEL0, .min = lost[i]}, key);
        struct memory_object kept = *object_of(key);
        struct err e;
        kept.bytes = malloc(kept.size);
        assert_non_null(kept.bytes);
        memcpy(kept.bytes, object_of(key)->bytes, kept.size);
        snprintf(kept.key, sizeof kept.key, "%s", key);
        assert_ok(store_remove(store, key, &e), &e);
        run(store, BY_TAILS);
        assert_named(key);
        assert_ok(store_put_new(store, key, kept.bytes, kept.size, NULL, &e), &e);
        free(kept.bytes);
    }
    assert_sound(store, WHOLE);
}

static void damage_in_a_healed_loss_is_named(void **state)
{
    (void)state;
    lose_and_heal();
    struct memory_object *o = object_of("0/0000000000000006");
    o->bytes[o->size - 100] ^= 1;
    run(store, BY_TAILS);
    assert_named("0/0000000000000006");
}

static void a_chunk_that_only_lost_txids_need_is_no_problem(void **state)
{
    struct name chunk = {.kind = NAME_CHUNK, .start = 5, .run = r.run, .first_page = 1};
    char key[NAME_MAX_BYTES];
    struct err e;
    (void)state;
    lose_and_heal();
    r.run.bytes[15]++;
    chunk.run = r.run;
    r.lost_min = 0;
    replica_put_base(&r, 5, 6);
    assert_sound(store, WHOLE);
    assert_int_equal(result.losses.list[0].last, 8);
    assert_true(result.losses.list[0].first > 8); /* that base leads to txid 8 */
    name_format(&chunk, key);
    assert_ok(store_remove(store, key, &e), &e);
    assert_sound(store, WHOLE);
    assert_int_equal(result.losses.list[0].first, 4);
    chunk.start = 8; /* of the base that healed the loss */
    chunk.run.bytes[15]--;
    name_format(&chunk, key);
    assert_ok(store_remove(store, key, &e), &e);
    run(store, BY_TAILS);
    assert_named(key);
}

static void a_base_under_way_is_no_problem(void **state)
{
    struct err e;
    (void)state;
    replica_commits(&r, 6, 512);
    replica_put_anchor(&r, 1, 2, SEGMENT_FROM_EMPTY);
    assert_error(look(store, BY_TAILS, &e), &e, ERR_NOTFOUND);
    replica_put_full(&r, 3, 4, 0);
    replica_put_base(&r, 2, 3);
    assert_sound(store, WHOLE);
    replica_put_anchor(&r, 5, 6, 0);
    assert_sound(store, WHOLE);
    assert_int_equal(result.newest.txid, 4);
    assert_int_equal(result.head, 6);
}

/* ---- damage */

static void a_place_without_a_replica_is_an_error(void **state)
{
    struct store *empty = memory_store_new();
    struct err e;
    (void)state;
    assert_error(look(empty, BY_TAILS, &e), &e, ERR_NOTFOUND);
    assert_error(look(store, BY_TAILS, &e), &e, ERR_NOTFOUND); /* seawall.json alone */
    store_close(empty);
}

static void every_object_that_is_missing_is_named_or_was_not_needed(void **state)
{
    (void)state;
    make_rich();
    for (size_t i = 0; i < memory()->count; i++) {
        struct memory_object kept = memory()->objects[i];
        struct name name = name_parse(kept.key);
        struct err e;
        kept.bytes = malloc(kept.size);
        assert_non_null(kept.bytes);
        memcpy(kept.bytes, memory()->objects[i].bytes, kept.size);
        assert_ok(store_remove(store, kept.key, &e), &e);
        run(store, BY_TAILS);
        bool must = name.kind == NAME_PART || name.kind == NAME_CHUNK || name.kind == NAME_OTHER ||
                    (name.kind == NAME_LEVEL0 && name.min > 12 && name.min < 17);
        if (must)
            assert_named(kept.key);
        else if (name.kind == NAME_INTERIOR)
            assert_int_equal(result.problem_total, 0);
        assert_ok(store_put_new(store, kept.key, kept.bytes, kept.size, NULL, &e), &e);
        free(kept.bytes);
    }
    assert_sound(store, BY_TAILS);
}

static void a_truncated_object_is_named(void **state)
{
    (void)state;
    make_rich();
    for (size_t i = 0; i < memory()->count; i++) {
        struct memory_object *o = &memory()->objects[i];
        size_t size = o->size;
        for (size_t k = 0; k < 12; k++) {
            o->size = size * k / 12;
            run(store, BY_TAILS);
            assert_named(o->key);
        }
        o->size = size;
    }
}

/* These objects are small, so the SHA-256 in a link to one shows the damage. In objects without a link to them, --full
 * finds it. */
static void a_flipped_bit_is_found_and_named(void **state)
{
    size_t cases = 0, by_tails = 0;
    (void)state;
    make_rich();
    for (size_t i = 0; i < memory()->count; i++) {
        struct memory_object *o = &memory()->objects[i];
        if (strcmp(o->key, NAME_IDENTITY) == 0)
            continue; /* its values are compared, not its bytes */
        size_t step = o->size / 40 + 1;
        for (size_t at = 0; at < o->size; at += at < 8 || at + 240 > o->size ? 5 : step) {
            uint8_t bit = (uint8_t)(1u << at % 8);
            o->bytes[at] ^= bit;
            run(store, BY_TAILS);
            by_tails += names(o->key);
            assert_true(result.problem_total == 0 || names(o->key));
            run(store, WHOLE);
            if (!names(o->key))
                fail_msg("bit %zu of byte %zu of %zu of '%s' is not found", at % 8, at, o->size, o->key);
            o->bytes[at] ^= bit;
            cases++;
        }
    }
    assert_true(cases > 1000 && by_tails * 10 > cases * 7);
}

static void swap(struct memory_object *a, struct memory_object *b)
{
    struct memory_object was = *a;
    a->bytes = b->bytes;
    a->size = b->size;
    b->bytes = was.bytes;
    b->size = was.size;
}

/* Whether the object is not looked at, because the object that names it is damaged. */
static bool is_loose(const char *key)
{
    enum name_kind kind = name_parse(key).kind;
    return kind == NAME_PART || kind == NAME_CHUNK || kind == NAME_INTERIOR;
}

static void swapped_objects_are_named(void **state)
{
    (void)state;
    make_rich();
    for (size_t i = 0; i + 1 < memory()->count; i++)
        for (size_t k = i + 1; k < memory()->count; k += 3) {
            struct memory_object *a = &memory()->objects[i], *b = &memory()->objects[k];
            swap(a, b);
            run(store, BY_TAILS);
            bool depends = strcmp(b->key, NAME_IDENTITY) == 0 || is_loose(a->key) != is_loose(b->key);
            if (!depends || !is_loose(a->key))
                assert_named(strcmp(b->key, NAME_IDENTITY) == 0
                                 ? b->key
                                 : a->key); /* without seawall.json nothing else is checked */
            if (!depends || !is_loose(b->key))
                assert_named(b->key);
            swap(a, b);
        }
}

/* No restore point is lost by it. */
static void damaged_interior_pages_do_no_harm_to_their_base(void **state)
{
    (void)state;
    make_rich();
    assert_sound(store, WHOLE);
    const uint64_t points = result.points, objects = result.objects;
    unsigned damaged = 0;
    for (size_t i = 0; i < memory()->count; i++) {
        struct memory_object *o = &memory()->objects[i];
        if (name_parse(o->key).kind != NAME_INTERIOR)
            continue;
        o->bytes[o->size / 2] ^= 1;
        run(store, WHOLE);
        assert_int_equal(result.problem_total, 1);
        assert_named(o->key);
        assert_true(result.points == points && result.objects == objects - 1);
        o->bytes[o->size / 2] ^= 1;
        damaged++;
    }
    assert_int_equal(damaged, 2);
}

static void an_object_of_another_database_is_named(void **state)
{
    static struct replica other;
    struct store *s = memory_store_new();
    (void)state;
    make_rich();
    replica_init(&other, s, codec, 77); /* only the id of the database differs */
    struct replica was = r;
    r = other;
    make_rich();
    other = r;
    r = was;
    struct memory_store *m = (struct memory_store *)s;
    assert_int_equal(m->count, memory()->count);
    for (size_t i = 0; i < m->count; i++) {
        swap(&memory()->objects[i], &m->objects[i]);
        run(store, BY_TAILS);
        assert_named(memory()->objects[i].key);
        if (strcmp(memory()->objects[i].key, NAME_IDENTITY) == 0)
            assert_int_equal(result.problem_total, 1); /* this object, and not all others */
        swap(&memory()->objects[i], &m->objects[i]);
    }
    replica_release(&other);
    store_close(s);
}

/* Takes the object `key` apart. A test that changes it puts it together again, with checksums that fit. */
static void forge(const char *key, void (*change)(struct forgery *f, const struct segment *s))
{
    struct memory_object *o = object_of(key);
    struct forgery f;
    struct segment s;
    struct buf out = BUF_INIT(1 << 28);
    struct err e;
    assert_ok(object_decode(o->bytes, o->size, codec, &s, &e), &e);
    assert_ok(forgery_open(&f, o->bytes, o->size, codec, &e), &e);
    change(&f, &s);
    assert_ok(forgery_close(&f, codec, &out, &e), &e);
    free(o->bytes);
    o->bytes = out.data;
    o->size = out.len;
    forgery_release(&f);
    segment_release(&s);
}

static void other_link(struct forgery *f, const struct segment *s)
{
    (void)s;
    f->trailer[TRAILER_DIGEST_BEFORE] ^= 1;
}

static void no_link(struct forgery *f, const struct segment *s)
{
    (void)s;
    memset(f->trailer + TRAILER_DIGEST_BEFORE, 0, DIGEST_BYTES);
}

static void other_checksum_before(struct forgery *f, const struct segment *s)
{
    (void)s;
    f->trailer[TRAILER_CHECKSUM_BEFORE] ^= 1;
}

static void other_checksum(struct forgery *f, const struct segment *s)
{
    (void)s;
    f->records.data[f->records.len - 1] ^= 1; /* of the last record */
}

static void other_page_hash(struct forgery *f, const struct segment *s)
{
    (void)s;
    f->index.data[f->index.len - 1] ^= 1; /* of the last version that has one */
}

static void says_it_waits_for_a_base(struct forgery *f, const struct segment *s)
{
    (void)s;
    f->trailer[TRAILER_FLAGS + 3] |= SEGMENT_BASE_ONLY;
}

static void an_object_that_contradicts_others_is_named(void **state)
{
    static const struct {
        const char *key;
        void (*change)(struct forgery *f, const struct segment *s);
        const char *named;
        enum depth depth;
    } cases[] = {
        {"0/0000000000000011", other_link, "0/000000000000000d", BY_TAILS},
        {"0/0000000000000011", no_link, "0/000000000000000d", BY_TAILS},
        {"0/0000000000000011", other_checksum_before, "0/0000000000000011", BY_TAILS},
        {"1/0000000000000009-000000000000000c", other_checksum_before, "1/0000000000000009-000000000000000c", BY_TAILS},
        {"1/0000000000000009-000000000000000c", other_checksum, "1/0000000000000009-000000000000000c", BY_TAILS},
        {"2/0000000000000001-000000000000000c", other_checksum, "2/0000000000000001-000000000000000c", BY_TAILS},
        {"0/0000000000000011", other_checksum, "0/0000000000000011", WHOLE},
        {"0/0000000000000011", other_page_hash, "0/0000000000000011", WHOLE},
        {"2/0000000000000001-000000000000000c", other_page_hash, "2/0000000000000001-000000000000000c", WHOLE},
        {"0/0000000000000011", says_it_waits_for_a_base, "0/0000000000000011", BY_TAILS},
    };
    (void)state;
    make_rich();
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct memory_object *o = object_of(cases[i].key);
        size_t size = o->size;
        uint8_t *bytes = malloc(size);
        assert_non_null(bytes);
        memcpy(bytes, o->bytes, size);
        forge(cases[i].key, cases[i].change);
        run(store, cases[i].depth);
        assert_named(cases[i].named);
        if (cases[i].depth == WHOLE) {
            assert_sound(store, BY_TAILS);
            run(store, WHOLE);
        }
        o = object_of(cases[i].key);
        free(o->bytes);
        o->bytes = bytes;
        o->size = size;
    }
    assert_sound(store, WHOLE);
}

static void a_checksum_that_was_wrong_from_the_beginning_is_named(void **state)
{
    (void)state;
    replica_commits(&r, 3, 512);
    replica_put_full(&r, 1, 1, SEGMENT_FROM_EMPTY);
    r.checksum_before_lie = 5;
    replica_put_full(&r, 2, 2, 0);
    r.checksum_before_lie = 0;
    replica_put_full(&r, 3, 3, 0);
    run(store, BY_TAILS);
    assert_named("0/0000000000000002");
    assert_int_equal(result.problem_total, 1);
}

static void a_lost_newest_object_is_named_if_something_reaches_beyond_it(void **state)
{
    (void)state;
    replica_commits(&r, 6, 512);
    for (uint64_t t = 1; t <= 6; t++)
        replica_put_full(&r, t, t, t == 1 ? SEGMENT_FROM_EMPTY : 0);
    replica_put_last(&r, 1, 1, 6, SEGMENT_FROM_EMPTY);
    for (size_t i = 6; i-- > 0;) {
        char key[NAME_MAX_BYTES];
        replica_remove(&r, &r.placed[i]);
        name_format(&r.placed[i].name, key);
        run(store, BY_TAILS);
        assert_named(key);
    }
}

/* ---- a store that fails, or gives wrong answers */

static const struct store_ops *sound_ops;
static enum { LIST_FAILS, LIST_EMPTY, LIST_CUT, LIST_TWICE, READ_FAILS } trouble;
static atomic_uint reads_left;

struct passing {
    store_entry_fn *fn;
    void *context;
    unsigned left, times;
};

static int pass_entry(void *context, const struct store_entry *entry)
{
    struct passing *p = context;
    if (p->left-- == 0)
        return 1;
    for (unsigned i = 1; i < p->times; i++)
        p->fn(p->context, entry);
    return p->fn(p->context, entry);
}

static int troubled_list(struct store *s, const char *prefix, const char *start_after, store_entry_fn *fn,
                         void *context, struct err *e)
{
    struct passing p = {fn, context,
                        trouble == LIST_CUT     ? 1
                        : trouble == LIST_EMPTY ? 0
                                                : 1000,
                        trouble == LIST_TWICE ? 2 : 1};
    if (trouble == LIST_FAILS)
        return err_set(e, ERR_REMOTE, 503, "no");
    return sound_ops->list(s, prefix, start_after, pass_entry, &p, e);
}

static int troubled_read_tail(struct store *s, const char *key, size_t n, struct buf *out, uint64_t *ret_size,
                              struct err *e)
{
    if (trouble == READ_FAILS && atomic_fetch_sub(&reads_left, 1) == 0)
        return err_set(e, ERR_REMOTE, 503, "no");
    return sound_ops->read_tail(s, key, n, out, ret_size, e);
}

static void a_store_that_fails_or_contradicts_itself_is_an_error_and_not_a_result(void **state)
{
    struct store_ops ops = *store->ops;
    struct err e;
    (void)state;
    make_rich();
    sound_ops = store->ops;
    ops.list = troubled_list;
    ops.read_tail = troubled_read_tail;
    store->ops = &ops;
    for (trouble = LIST_FAILS; trouble < READ_FAILS; trouble++)
        if (trouble != LIST_CUT)
            assert_error(look(store, BY_TAILS, &e), &e, trouble == LIST_TWICE ? ERR_CORRUPT : ERR_REMOTE);
    for (unsigned i = 0; i < 20; i++) {
        trouble = READ_FAILS;
        reads_left = i;
        assert_error(look(store, BY_TAILS, &e), &e, ERR_REMOTE);
    }
    store->ops = sound_ops;
}

/* Lets something happen to an object when its tail is read for the `at_read`th time in a look. */
static struct {
    pthread_mutex_t lock;
    char key[NAME_MAX_BYTES];
    uint64_t victim; /* its txid, on level 0 */
    unsigned reads, at_read, looks;
    bool gone, hidden; /* it was deleted; it can't be read, and only the listing of everything has it */
} meanwhile = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void aim_at(uint64_t txid)
{
    const struct name name = {.kind = NAME_LEVEL0, .min = txid};
    meanwhile.victim = txid;
    name_format(&name, meanwhile.key);
}

static int note_look(struct store *s, const char *prefix, const char *start_after, store_entry_fn *fn, void *context,
                     struct err *e)
{
    pthread_mutex_lock(&meanwhile.lock);
    bool hides = meanwhile.hidden && strcmp(prefix, meanwhile.key) == 0;
    if (!prefix[0]) { /* a look lists everything twice before it reads */
        if (meanwhile.gone)
            aim_at(meanwhile.victim + 1);
        meanwhile.looks++;
        meanwhile.reads = 0;
        meanwhile.gone = false;
    }
    pthread_mutex_unlock(&meanwhile.lock);
    return hides ? 0 : sound_ops->list(s, prefix, start_after, fn, context, e);
}

static bool is_its_moment(const char *key)
{
    pthread_mutex_lock(&meanwhile.lock);
    bool now = strcmp(key, meanwhile.key) == 0 && ++meanwhile.reads >= meanwhile.at_read && !meanwhile.gone;
    pthread_mutex_unlock(&meanwhile.lock);
    return now;
}

static int read_tail_or_delete(struct store *s, const char *key, size_t n, struct buf *out, uint64_t *ret_size,
                               struct err *e)
{
    if (is_its_moment(key) && meanwhile.victim <= 10) {
        if (sound_ops->remove(s, key, e))
            return -1;
        meanwhile.gone = true;
    }
    return sound_ops->read_tail(s, key, n, out, ret_size, e);
}

static int read_tail_or_miss(struct store *s, const char *key, size_t n, struct buf *out, uint64_t *ret_size,
                             struct err *e)
{
    if (is_its_moment(key)) {
        meanwhile.at_read = 0; /* at each read from now on */
        return err_set(e, ERR_NOTFOUND, 0, "no such object");
    }
    return sound_ops->read_tail(s, key, n, out, ret_size, e);
}

typedef int read_tail_fn(struct store *s, const char *key, size_t n, struct buf *out, uint64_t *ret_size,
                         struct err *e);

/* Puts twelve commits; level 1 has ten of them. */
static void begin_meanwhile(unsigned at_read, read_tail_fn *read_tail)
{
    static struct store_ops ops;
    replica_commits(&r, 12, 512);
    for (uint64_t t = 1; t <= 12; t++)
        replica_put_full(&r, t, t, t == 1 ? SEGMENT_FROM_EMPTY : 0);
    replica_put_last(&r, 1, 1, 10, SEGMENT_FROM_EMPTY);
    sound_ops = store->ops;
    ops = *sound_ops;
    ops.list = note_look;
    ops.read_tail = read_tail;
    store->ops = &ops;
    meanwhile.looks = meanwhile.reads = 0;
    meanwhile.gone = meanwhile.hidden = false;
    meanwhile.at_read = at_read;
    aim_at(1);
}

/* Retention deletes an object each time when it is examined. */
static void an_object_that_is_deleted_at_each_look_is_not_missing(void **state)
{
    (void)state;
    begin_meanwhile(1, read_tail_or_delete);
    assert_sound(store, WHOLE);
    assert_int_equal(meanwhile.victim, 11);
    assert_true(meanwhile.looks >= 10);
}

/* Retention deletes an object each time when a walk reads it for the second time. */
static void an_object_that_is_deleted_at_each_walk_is_not_missing(void **state)
{
    (void)state;
    begin_meanwhile(2, read_tail_or_delete);
    assert_sound(store, WHOLE);
    assert_int_equal(meanwhile.victim, 11);
}

static void an_object_that_is_listed_and_can_not_be_read_is_named_once(void **state)
{
    (void)state;
    begin_meanwhile(1, read_tail_or_miss);
    for (unsigned at_read = 1; at_read <= 2; at_read++) {
        aim_at(5);
        meanwhile.at_read = at_read;
        run(store, WHOLE);
        assert_int_equal(meanwhile.at_read, 0);
        assert_named("0/0000000000000005");
        assert_int_equal(result.problem_total, 1);
        assert_contains(result.problems[0].text, "is listed, but is not there");
    }
}

static void if_retention_deletes_during_each_look_there_is_no_result(void **state)
{
    struct err e;
    (void)state;
    begin_meanwhile(1, read_tail_or_miss);
    aim_at(5);
    meanwhile.hidden = true;
    assert_error(look(store, WHOLE, &e), &e, ERR_BUSY);
    assert_contains(e.msg, "changes faster than it can be read");
    assert_contains(e.msg, "HINT");
}

/* The listing of everything had read level 0 when only the objects before `from` were there. */
static struct {
    uint64_t from;
    store_entry_fn *fn;
    void *context;
    unsigned listings;
} unseen;

static int pass_seen(void *context, const struct store_entry *entry)
{
    const struct name name = name_parse(entry->key);
    (void)context;
    return name.kind == NAME_LEVEL0 && name.min >= unseen.from ? 0 : unseen.fn(unseen.context, entry);
}

static int list_seen(struct store *s, const char *prefix, const char *start_after, store_entry_fn *fn, void *context,
                     struct err *e)
{
    if (prefix[0])
        return sound_ops->list(s, prefix, start_after, fn, context, e);
    unseen.listings++;
    unseen.fn = fn;
    unseen.context = context;
    return sound_ops->list(s, prefix, start_after, pass_seen, NULL, e);
}

static void what_is_put_while_the_listing_runs_is_no_problem_and_needs_no_second_look(void **state)
{
    static struct store_ops ops;
    (void)state;
    replica_commits(&r, 14, 512);
    for (uint64_t t = 1; t <= 14; t++)
        replica_put_full(&r, t, t, t == 1 ? SEGMENT_FROM_EMPTY : 0);
    replica_put_last(&r, 1, 1, 8, SEGMENT_FROM_EMPTY);
    replica_put_last(&r, 1, 11, 12, 0); /* the listing of level 1 was late for 9 to 10 */
    replica_put_pack(&r, 1, 4);
    replica_put_pack(&r, 5, 10);
    sound_ops = store->ops;
    ops = *sound_ops;
    ops.list = list_seen;
    store->ops = &ops;
    for (unseen.from = 1; unseen.from <= 9; unseen.from += 4) {
        unseen.listings = 0;
        assert_sound(store, WHOLE);
        assert_int_equal(unseen.listings, 1);
        assert_int_equal(result.head, unseen.from == 1 ? 10 : unseen.from - 1); /* without level 0, packs count */
    }
    for (uint64_t t = 9; t <= 14; t++) { /* and now they are lost */
        char key[NAME_MAX_BYTES];
        struct err e;
        const struct name name = {.kind = NAME_LEVEL0, .min = t};
        name_format(&name, key);
        assert_ok(store_remove(store, key, &e), &e);
    }
    run(store, BY_TAILS);
    assert_named("0/0000000000000009");
    store->ops = sound_ops;
}

static void an_interrupted_verification_says_so(void **state)
{
    atomic_bool cancel = true;
    struct verify_options o = {.cancel = &cancel};
    struct err e;
    (void)state;
    make_rich();
    struct replica_handle replica = replica_handle_borrow(store, codec);
    assert_error(verify_run(&replica, &o, &result, &e), &e, ERR_CANCELED);
    replica_handle_close(&replica);
}

/* ---- out of memory */

static int verify_whole(void *context, struct err *e)
{
    (void)context;
    int rc = look(store, WHOLE, e);
    if (rc == 0)
        assert_true(result.problem_total == 0 && result.points == 16);
    return rc;
}

static void each_allocation_of_a_verification_fails_once(void **state)
{
    (void)state;
    make_rich();
    assert_each_allocation_fails_once(verify_whole, NULL);
}

CLAIMS_FIXTURES

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIMS_TEST(a_sound_replica_of_any_shape_has_no_problem),
        CLAIMS_TEST(an_object_is_not_called_damaged_because_another_one_is_missing),
        CLAIMS_TEST(a_level0_object_that_is_missing_and_not_covered_is_named),
        CLAIMS_TEST(every_state_is_proven_with_full),
        CLAIMS_TEST(objects_that_nothing_needs_are_counted),
        CLAIMS_TEST(leftovers_of_retention_are_no_problem),
        CLAIMS_TEST(a_gap_is_no_problem_where_a_base_comes_right_behind),
        CLAIMS_TEST(only_a_hole_that_a_higher_level_has_is_no_problem),
        CLAIMS_TEST(a_loss_that_was_noticed_and_healed_is_no_problem),
        CLAIMS_TEST(the_same_loss_without_a_word_of_the_writer_is_named),
        CLAIMS_TEST(another_loss_after_a_healed_one_is_named),
        CLAIMS_TEST(damage_in_a_healed_loss_is_named),
        CLAIMS_TEST(a_chunk_that_only_lost_txids_need_is_no_problem),
        CLAIMS_TEST(a_base_under_way_is_no_problem),
        CLAIMS_TEST(a_place_without_a_replica_is_an_error),
        CLAIMS_TEST(every_object_that_is_missing_is_named_or_was_not_needed),
        CLAIMS_TEST(a_truncated_object_is_named),
        CLAIMS_TEST(a_flipped_bit_is_found_and_named),
        CLAIMS_TEST(swapped_objects_are_named),
        CLAIMS_TEST(damaged_interior_pages_do_no_harm_to_their_base),
        CLAIMS_TEST(an_object_of_another_database_is_named),
        CLAIMS_TEST(an_object_that_contradicts_others_is_named),
        CLAIMS_TEST(a_checksum_that_was_wrong_from_the_beginning_is_named),
        CLAIMS_TEST(a_lost_newest_object_is_named_if_something_reaches_beyond_it),
        CLAIMS_TEST(a_store_that_fails_or_contradicts_itself_is_an_error_and_not_a_result),
        CLAIMS_TEST(an_object_that_is_deleted_at_each_look_is_not_missing),
        CLAIMS_TEST(an_object_that_is_deleted_at_each_walk_is_not_missing),
        CLAIMS_TEST(an_object_that_is_listed_and_can_not_be_read_is_named_once),
        CLAIMS_TEST(if_retention_deletes_during_each_look_there_is_no_result),
        CLAIMS_TEST(what_is_put_while_the_listing_runs_is_no_problem_and_needs_no_second_look),
        CLAIMS_TEST(an_interrupted_verification_says_so),
        CLAIMS_TEST(each_allocation_of_a_verification_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
