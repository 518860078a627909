/* state/identity.h: an identity is encoded in bytes with a checksum; its replicas, runs and binding. */
#include "unit.h"

#include "base/endian.h"
#include "identity_random.h"

static void an_identity_decodes_as_it_was_encoded(void **state)
{
    static uint8_t slot[IDENTITY_SLOT_BYTES];
    static struct identity id, back;
    struct dice d = dice_of(11);
    uint64_t serial = 0;
    (void)state;
    for (int round = 0; round < 2000; round++) {
        random_identity(&d, &id);
        if (round % 2)
            memset(slot, round, sizeof slot); /* bytes of an earlier, longer identity */
        identity_encode(&id, (uint64_t)round << 40, slot);
        memset(&back, 0x55, sizeof back);
        assert_true(identity_decode(slot, &back, &serial));
        assert_true(serial == (uint64_t)round << 40);
        assert_identities_equal(&id, &back);
    }
}

/* Bytes behind the end of an identity do not count. */
static void every_byte_of_a_slot_is_guarded(void **state)
{
    static uint8_t slot[IDENTITY_SLOT_BYTES];
    static struct identity id, back;
    struct dice d = dice_of(12);
    uint64_t serial = 0;
    (void)state;
    for (int full = 0; full < 2; full++) {
        random_identity(&d, &id);
        if (full)
            fill_identity(&d, &id);
        identity_encode(&id, 5, slot);
        uint32_t size = get_be32(slot + 16);
        assert_true(size > 20 && size <= IDENTITY_SLOT_BYTES);
        for (uint32_t i = 0; i < IDENTITY_SLOT_BYTES; i++) {
            uint8_t bit = (uint8_t)(1 << i % 8);
            slot[i] ^= bit;
            assert_int_equal(identity_decode(slot, &back, &serial), i >= size);
            slot[i] ^= bit;
        }
    }
}

static void a_slot_that_was_never_written_is_no_identity(void **state)
{
    static uint8_t slot[IDENTITY_SLOT_BYTES];
    static struct identity back;
    uint64_t serial = 0;
    (void)state;
    assert_false(identity_decode(slot, &back, &serial));
    memset(slot, 0xff, sizeof slot);
    assert_false(identity_decode(slot, &back, &serial));
}

static bool decodes_when_sealed(uint8_t *slot, uint32_t size)
{
    static struct identity back;
    uint64_t serial = 0;
    put_be32(slot + 16, size);
    put_be64(slot + 8, hash64(slot + 16, size - 16));
    return identity_decode(slot, &back, &serial);
}

/* The checksum is right, and the counts are too large. */
static void counts_beyond_their_limits_are_refused(void **state)
{
    static uint8_t slot[IDENTITY_SLOT_BYTES];
    static struct identity id;
    struct dice d = dice_of(13);
    (void)state;
    fill_identity(&d, &id);
    identity_encode(&id, 5, slot);
    uint32_t size = get_be32(slot + 16);
    assert_true(decodes_when_sealed(slot, size));
    for (uint32_t shorter = 20; shorter < size; shorter++)
        assert_false(decodes_when_sealed(slot, shorter));
    assert_false(decodes_when_sealed(slot, size + 1));
    assert_false(decodes_when_sealed(slot, IDENTITY_SLOT_BYTES));
    put_be32(slot + 16, IDENTITY_SLOT_BYTES + 1);
    assert_false(identity_decode(slot, &id, &(uint64_t){0}));
    put_be32(slot + 16, 19);
    assert_false(identity_decode(slot, &id, &(uint64_t){0}));
    for (uint32_t at = 20; at + 4 <= size;
         at++) { /* at any offset: no value makes the decoder read beyond its arrays */
        uint8_t kept[4];
        memcpy(kept, slot + at, 4);
        put_be32(slot + at, UINT32_C(0x7fffffff));
        decodes_when_sealed(slot, size);
        put_be32(slot + at, 65);
        decodes_when_sealed(slot, size);
        memcpy(slot + at, kept, 4);
    }
}

/* ---- replicas and runs */

static void a_replica_is_known_by_its_url(void **state)
{
    static struct identity id;
    struct identity_replica *a = NULL, *b = NULL, *again = NULL;
    struct err e;
    char url[32];
    (void)state;
    id = (struct identity){.txid = 1};
    assert_ok(identity_replica_get(&id, "/a", &a, &e), &e);
    a->durable_txid = 9;
    assert_ok(identity_replica_get(&id, "/b", &b, &e), &e);
    assert_int_equal(b->durable_txid, 0);
    assert_ok(identity_replica_get(&id, "/a", &again, &e), &e);
    assert_ptr_equal(again, a);
    assert_int_equal(again->durable_txid, 9);
    for (int i = 2; i < IDENTITY_REPLICAS_MAX; i++) {
        snprintf(url, sizeof url, "/%d", i);
        assert_ok(identity_replica_get(&id, url, &b, &e), &e);
    }
    assert_error(identity_replica_get(&id, "/one-more", &b, &e), &e, ERR_LIMIT);
    assert_contains(e.msg, "HINT");
    assert_ok(identity_replica_get(&id, "/a", &again, &e), &e);
    assert_int_equal(id.replica_count, IDENTITY_REPLICAS_MAX);
}

static void an_attempt_is_known_by_its_digest(void **state)
{
    struct identity_replica r = {.attempt_count = 1, .attempts = {{{1}}, {{2}}}};
    (void)state;
    assert_true(identity_replica_tried(&r, &(struct digest){{1}}));
    assert_false(identity_replica_tried(&r, &(struct digest){{2}})); /* beyond the count */
    r.attempt_count = 0;
    assert_false(identity_replica_tried(&r, &(struct digest){{1}}));
}

/* A start of the daemon, which puts something into its first replica. */
static void begin_run(struct identity *id, const struct uid *run, enum identity_past past)
{
    identity_end_runs(id, past);
    assert_true(identity_note_put(id, run, 0));
    assert_false(identity_note_put(id, run, 0));
}

static void objects_of_an_earlier_run_are_our_past_up_to_the_next_run(void **state)
{
    static struct identity id;
    const struct uid one = {{1}}, two = {{2}}, other = {{3}};
    (void)state;
    id = (struct identity){.txid = 0};
    begin_run(&id, &one, IDENTITY_KEEP_PAST);
    assert_false(identity_is_past(&id, &one, 0)); /* the present run: digests decide, not the id of the run */
    id.txid = 10;
    begin_run(&id, &two, IDENTITY_KEEP_PAST);
    assert_true(identity_is_past(&id, &one, 10));
    assert_false(identity_is_past(&id, &one, 11)); /* put by this run before a power cut took the state file back */
    assert_false(identity_is_past(&id, &two, 1));
    assert_false(identity_is_past(&id, &other, 1));
    assert_true(identity_knows_run(&id, &one) && identity_knows_run(&id, &two));
    assert_false(identity_knows_run(&id, &other));
    id.txid = 20;
    begin_run(&id, &other, IDENTITY_KEEP_PAST);
    assert_false(identity_is_past(&id, &one, 11)); /* its end stays where it was */
    assert_true(identity_is_past(&id, &two, 20));
}

static void when_the_map_is_lost_no_earlier_run_is_our_past(void **state)
{
    static struct identity id;
    const struct uid one = {{1}}, two = {{2}}, three = {{3}};
    (void)state;
    id = (struct identity){.txid = 5};
    begin_run(&id, &one, IDENTITY_KEEP_PAST);
    begin_run(&id, &two, IDENTITY_KEEP_PAST);
    begin_run(&id, &three, IDENTITY_LOSE_PAST);
    assert_false(identity_is_past(&id, &one, 1));
    assert_false(identity_is_past(&id, &two, 1));
    assert_true(identity_knows_run(&id, &one) && identity_knows_run(&id, &two)); /* still ours */
}

static void at_the_limit_a_run_is_forgotten_but_no_run_whose_objects_were_not_looked_at(void **state)
{
    static struct identity id;
    (void)state;
    id = (struct identity){.txid = 1};
    assert_true(identity_note_put(&id, &(struct uid){{1}}, 5)); /* from then on this replica is away */
    for (uint8_t i = 1; i <= IDENTITY_RUNS_MAX + 3; i++) {
        struct uid run = {{i}};
        identity_end_runs(&id, IDENTITY_KEEP_PAST);
        identity_note_looked(&id, &run, 0);
        assert_true(identity_note_put(&id, &run, 0));
    }
    assert_int_equal(id.run_count, IDENTITY_RUNS_MAX);
    assert_true(identity_knows_run(&id, &(struct uid){{1}}));
    for (uint8_t i = 2; i <= 4; i++)
        assert_false(identity_knows_run(&id, &(struct uid){{i}}));
    assert_true(identity_knows_run(&id, &(struct uid){{5}}));
    assert_true(id.runs[IDENTITY_RUNS_MAX - 1].upto == RUN_OPEN);
    assert_true(id.runs[IDENTITY_RUNS_MAX - 2].upto == 1);
}

static void a_lost_map_is_related_to_no_replica(void **state)
{
    static struct identity id;
    (void)state;
    id = (struct identity){.replica_count = 2};
    identity_end_runs(&id, IDENTITY_KEEP_PAST);
    assert_false(id.replicas[0].unrelated || id.replicas[1].unrelated);
    identity_end_runs(&id, IDENTITY_LOSE_PAST);
    assert_true(id.replicas[0].unrelated && id.replicas[1].unrelated);
}

/* ---- binding */

static void a_binding_names_the_database_and_not_the_way_to_it(void **state)
{
    struct binding a, b;
    struct err e;
    (void)state;
    assert_int_equal(file_write(temp_path("a.db"), "x", 1), 0);
    assert_int_equal(symlink(temp_path("a.db"), temp_path("link.db")), 0);
    assert_ok(binding_of(temp_path("a.db"), 7, &a, &e), &e);
    assert_ok(binding_of(temp_path("./link.db"), 8, &b, &e), &e);
    assert_true(digest_equal(&a.place, &b.place));
    assert_true(a.inode == 7 && b.inode == 8);
    assert_int_equal(link(temp_path("a.db"), temp_path("b.db")), 0);
    assert_ok(binding_of(temp_path("b.db"), 7, &b, &e), &e);
    assert_false(digest_equal(&a.place, &b.place)); /* the same file under another path */
    assert_error(binding_of(temp_path("absent.db"), 7, &b, &e), &e, ERR_NOTFOUND);
}

/* Takes 8 bytes out of a slot, and gives it the digit of an earlier version. */
static void make_earlier(uint8_t *slot, size_t at, char version)
{
    size_t size = get_be32(slot + 16);
    memmove(slot + at, slot + at + 8, size - at - 8);
    put_be32(slot + 16, (uint32_t)size - 8);
    slot[7] = (uint8_t)version;
    put_be64(slot + 8, hash64(slot + 16, size - 8 - 16));
}

/* Version 3 lacks the stamp, so there is none. Version 2 also lacks the txid after which compacted segments begin: they
 * begin at the position. */
static void a_slot_of_an_earlier_version_is_read(void **state)
{
    static uint8_t slot[IDENTITY_SLOT_BYTES];
    static struct identity id = {.txid = 90, .db_mtime_ns = 8, .db_ctime_ns = 9, .replica_count = 1}, found;
    const size_t stamp_at = 172;
    uint64_t serial = 0;
    (void)state;
    id.replicas[0].durable_txid = 70;
    id.replicas[0].base_owed = 5;
    id.replicas[0].anew_txid = 12;
    identity_encode(&id, 3, slot);
    assert_memory_equal(slot, "SEAWALL4", 8);
    assert_int_equal(get_be64(slot + stamp_at), 9);
    make_earlier(slot, stamp_at, '4');
    make_earlier(slot, stamp_at, '3');
    assert_true(identity_decode(slot, &found, &serial));
    assert_int_equal(found.db_mtime_ns, 8);
    assert_int_equal(found.db_ctime_ns, 0);
    assert_int_equal(found.replicas[0].anew_txid, 12);
    make_earlier(slot, get_be32(slot + 16) - 16, '2'); /* before its last two counts */
    assert_true(identity_decode(slot, &found, &serial));
    assert_int_equal(found.db_ctime_ns, 0);
    assert_int_equal(serial, 3);
    assert_int_equal(found.txid, 90);
    assert_int_equal(found.replicas[0].durable_txid, 70);
    assert_int_equal(found.replicas[0].base_owed, 5);
    assert_int_equal(found.replicas[0].anew_txid, 70);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(an_identity_decodes_as_it_was_encoded),
        UNIT(a_slot_of_an_earlier_version_is_read),
        UNIT(every_byte_of_a_slot_is_guarded),
        UNIT(a_slot_that_was_never_written_is_no_identity),
        UNIT(counts_beyond_their_limits_are_refused),
        UNIT(a_replica_is_known_by_its_url),
        UNIT(an_attempt_is_known_by_its_digest),
        UNIT(objects_of_an_earlier_run_are_our_past_up_to_the_next_run),
        UNIT(when_the_map_is_lost_no_earlier_run_is_our_past),
        UNIT(at_the_limit_a_run_is_forgotten_but_no_run_whose_objects_were_not_looked_at),
        UNIT(a_lost_map_is_related_to_no_replica),
        UNIT_IN_TEMP(a_binding_names_the_database_and_not_the_way_to_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
