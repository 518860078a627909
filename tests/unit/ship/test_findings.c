/* ship/findings.h: a table with the outcome of attach for a position, runs of this writer, and objects of a replica. */
#include "ship/findings.h"

#include "unit.h"

#define POSITION 10    /* our durable txid in most rows */
#define EARLIER_END 20 /* the txid at which our present run began */
#define OBJECTS_MAX 4

enum writer { EARLIER_RUN, PRESENT_RUN, STRANGER };

enum quirk {
    DAMAGED = 1,    /* can't be read */
    FORGED = 2,     /* has another digest than the object that we know by this place */
    UNLINKED = 4,   /* names another object as the one before */
    ATTEMPTED = 8,  /* is an attempt of ours whose outcome is unknown */
    BEGINNING = 16, /* the object begins a new history: no object before it counts */
    BASE_ONLY = 32,
};

struct object {
    uint64_t min, max; /* max 0: there is no object */
    enum writer writer;
    unsigned quirks;
};

struct row {
    const char *rule;
    uint64_t durable;
    bool unrelated;
    enum take_over take_over;
    struct object objects[OBJECTS_MAX];
    enum attach_outcome outcome;
    uint64_t head; /* if no object is added: our position */
    unsigned adopted;
};

#define SAME POSITION, false, TAKE_OVER_NO
#define TAKE POSITION, false, TAKE_OVER_YES

/* clang-format off */
static const struct row rows[] = {
    {"a new replica is empty",
     0, false, TAKE_OVER_NO, {{0}}, ATTACH_EMPTY, 0, 0},
    {"a replica that lost all its objects is gone",
     SAME, {{0}}, ATTACH_GONE, 10, 0},
    {"... and with --take-over it begins as an empty one",
     TAKE, {{0}}, ATTACH_EMPTY, 10, 0},
    {"the head is the object that we know",
     SAME, {{8, 10, EARLIER_RUN, 0}}, ATTACH_CONTINUE, 10, 0},
    {"... from any writer: after a restore we know only its digest",
     SAME, {{8, 10, STRANGER, 0}}, ATTACH_CONTINUE, 10, 0},
    {"... but the map was lost",
     POSITION, true, TAKE_OVER_NO, {{8, 10, EARLIER_RUN, 0}}, ATTACH_RESYNC, 10, 0},
    {"another object is at our position, put by a run of ours",
     SAME, {{8, 10, EARLIER_RUN, FORGED}}, ATTACH_RESYNC, 10, 0},
    {"another object is at our position, put by a stranger",
     SAME, {{8, 10, STRANGER, FORGED}}, ATTACH_CONFLICT, 10, 0},
    {"... and we take it over",
     TAKE, {{8, 10, STRANGER, FORGED}}, ATTACH_RESYNC, 10, 0},
    {"the store lost its newest objects",
     SAME, {{5, 7, EARLIER_RUN, 0}}, ATTACH_RESYNC, 7, 0},
    {"the store lost its newest objects, and a stranger's is left",
     SAME, {{5, 7, STRANGER, 0}}, ATTACH_CONFLICT, 7, 0},
    {"an earlier run put one more, which our map contains",
     SAME, {{8, 10, EARLIER_RUN, 0}, {11, 12, EARLIER_RUN, 0}}, ATTACH_CONTINUE, 12, 1},
    {"... and one that ends exactly where our run began",
     SAME, {{8, 10, EARLIER_RUN, 0}, {11, 20, EARLIER_RUN, 0}}, ATTACH_CONTINUE, 20, 1},
    {"an earlier run put one that ends later: our map does not have it",
     SAME, {{8, 10, EARLIER_RUN, 0}, {11, 21, EARLIER_RUN, 0}}, ATTACH_RESYNC, 21, 1},
    {"an attempt of ours was carried out",
     SAME, {{8, 10, EARLIER_RUN, 0}, {11, 12, PRESENT_RUN, ATTEMPTED}}, ATTACH_CONTINUE, 12, 1},
    {"... with any run in it: the digest proves that it is ours",
     SAME, {{8, 10, EARLIER_RUN, 0}, {11, 12, STRANGER, ATTEMPTED}}, ATTACH_CONTINUE, 12, 1},
    {"our run put one that is not an attempt: a cloned machine has the same run",
     SAME, {{8, 10, EARLIER_RUN, 0}, {11, 12, PRESENT_RUN, 0}}, ATTACH_RESYNC, 12, 1},
    {"a stranger went on behind our position",
     SAME, {{8, 10, EARLIER_RUN, 0}, {11, 12, STRANGER, 0}}, ATTACH_CONFLICT, 12, 1},
    {"... and behind what an earlier run put",
     SAME, {{8, 10, EARLIER_RUN, 0}, {11, 12, EARLIER_RUN, 0}, {13, 14, STRANGER, 0}}, ATTACH_CONFLICT, 14, 2},
    {"... and an earlier run behind the stranger's",
     SAME, {{8, 10, EARLIER_RUN, 0}, {11, 12, STRANGER, 0}, {13, 14, EARLIER_RUN, 0}}, ATTACH_CONFLICT, 14, 2},
    {"... and we take it over",
     TAKE, {{8, 10, EARLIER_RUN, 0}, {11, 12, STRANGER, 0}}, ATTACH_RESYNC, 12, 1},
    {"take-over of a replica that is ours changes nothing",
     TAKE, {{8, 10, EARLIER_RUN, 0}, {11, 12, EARLIER_RUN, 0}}, ATTACH_CONTINUE, 12, 1},
    {"an object of an earlier run that does not link to our head is not ours",
     SAME, {{8, 10, EARLIER_RUN, 0}, {11, 12, EARLIER_RUN, UNLINKED}}, ATTACH_CONFLICT, 12, 1},
    {"... nor is one that begins before the known head ends",
     SAME, {{8, 12, EARLIER_RUN, 0}, {11, 14, EARLIER_RUN, 0}}, ATTACH_CONFLICT, 14, 1},
    {"behind a hole a run of ours went on: a power cut took our position back",
     SAME, {{8, 10, EARLIER_RUN, 0}, {15, 16, EARLIER_RUN, 0}}, ATTACH_RESYNC, 16, 1},
    {"behind a hole a stranger went on",
     SAME, {{8, 10, EARLIER_RUN, 0}, {15, 16, STRANGER, 0}}, ATTACH_CONFLICT, 16, 1},
    {"an attempt of ours behind a hole is ours, but not proven past",
     SAME, {{8, 10, EARLIER_RUN, 0}, {15, 16, PRESENT_RUN, ATTEMPTED}}, ATTACH_RESYNC, 16, 1},
    {"retention deleted everything up to our position",
     SAME, {{15, 16, EARLIER_RUN, 0}, {17, 18, EARLIER_RUN, 0}}, ATTACH_RESYNC, 18, 2},
    {"... and a stranger wrote what is left",
     SAME, {{15, 16, STRANGER, 0}, {17, 18, STRANGER, 0}}, ATTACH_CONFLICT, 18, 2},
    {"... and the object right behind our position is left",
     SAME, {{11, 12, EARLIER_RUN, 0}}, ATTACH_RESYNC, 12, 1},
    {"retention deleted the object at our position, an older one is left",
     SAME, {{5, 7, EARLIER_RUN, 0}, {11, 12, EARLIER_RUN, 0}}, ATTACH_RESYNC, 12, 1},
    {"... the later ones must link again",
     SAME, {{5, 7, EARLIER_RUN, 0}, {11, 12, EARLIER_RUN, 0}, {13, 14, EARLIER_RUN, UNLINKED}},
     ATTACH_CONFLICT, 14, 2},
    {"a replica of another writer, new to us",
     0, false, TAKE_OVER_NO, {{1, 3, STRANGER, 0}}, ATTACH_CONFLICT, 3, 1},
    {"... that we take over",
     0, false, TAKE_OVER_YES, {{1, 3, STRANGER, 0}}, ATTACH_RESYNC, 3, 1},
    {"the first object of an earlier run was put, and the answer was lost",
     0, false, TAKE_OVER_NO, {{1, 3, EARLIER_RUN, 0}}, ATTACH_CONTINUE, 3, 1},
    {"the first object is an attempt of ours",
     0, false, TAKE_OVER_NO, {{1, 3, PRESENT_RUN, ATTEMPTED}}, ATTACH_CONTINUE, 3, 1},
    {"take-over goes on behind a damaged object",
     TAKE, {{8, 10, EARLIER_RUN, DAMAGED}, {11, 12, EARLIER_RUN, 0}}, ATTACH_RESYNC, 12, 1},
    {"... even where all else is ours",
     TAKE, {{8, 10, EARLIER_RUN, 0}, {11, 12, EARLIER_RUN, DAMAGED}, {13, 14, EARLIER_RUN, 0}}, ATTACH_RESYNC, 14, 1},
};
/* clang-format on */

static struct uid uid_of(enum writer writer)
{
    return (struct uid){.bytes = {(uint8_t)(1 + writer)}};
}

static struct digest digest_after(uint64_t max, bool other)
{
    return (struct digest){.bytes = {(uint8_t)max, (uint8_t)(other ? 1 : 0), 7}};
}

static struct level0_facts facts_of(const struct object *o)
{
    struct level0_facts facts = {.info = {.kind = OBJECT_SEGMENT, .min = o->min, .max = o->max, .page_size = 4096},
                                 .digest = digest_after(o->max, o->quirks & FORGED),
                                 .checksum = 1000 + o->max,
                                 .time_ms = (int64_t)(2000 + o->max)};
    facts.info.run = uid_of(o->writer);
    if (o->min > 1)
        facts.info.digest_before = digest_after(o->min - 1, o->quirks & UNLINKED);
    facts.info.flags =
        (o->quirks & BEGINNING ? SEGMENT_FROM_EMPTY : 0) | (o->quirks & BASE_ONLY ? SEGMENT_BASE_ONLY : 0);
    return facts;
}

static struct identity our_identity(void)
{
    struct identity id = {.run_count = 2};
    id.runs[0] = (struct identity_run){.id = uid_of(EARLIER_RUN), .upto = EARLIER_END};
    id.runs[1] = (struct identity_run){.id = uid_of(PRESENT_RUN), .upto = RUN_OPEN};
    return id;
}

static struct identity_replica our_entry(uint64_t durable, const struct object *objects)
{
    struct identity_replica entry = {
        .durable_txid = durable, .head_checksum = 1000 + durable, .anew_txid = durable ? 1 : 0};
    if (durable > 0)
        entry.head = digest_after(durable, false);
    for (size_t i = 0; i < OBJECTS_MAX && objects[i].max > 0; i++)
        if (objects[i].quirks & ATTEMPTED)
            entry.attempts[entry.attempt_count++] = facts_of(&objects[i]).digest;
    return entry;
}

/* Adds objects as attach does: the newest one that begins at or before our position, and all later ones. */
static struct findings find(const struct identity_replica *entry, const struct identity *id,
                            const struct object *objects)
{
    struct findings f;
    size_t newer = 0;
    for (size_t i = 0; i < OBJECTS_MAX && objects[i].max > 0; i++)
        newer += objects[i].min > entry->durable_txid;
    findings_begin(&f, entry, id, newer);
    for (size_t i = 0; i < OBJECTS_MAX && objects[i].max > 0; i++) {
        struct level0_facts facts = facts_of(&objects[i]);
        if (objects[i].quirks & DAMAGED)
            findings_add_damaged(&f);
        else
            findings_add(&f, &facts);
    }
    return f;
}

static void each_row_of_the_table_has_its_outcome(void **state)
{
    (void)state;
    static const char *const names[] = {"EMPTY", "GONE", "CONTINUE", "RESYNC", "CONFLICT"};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct row *r = &rows[i];
        struct identity id = our_identity();
        struct identity_replica entry = our_entry(r->durable, r->objects);
        entry.unrelated = r->unrelated;
        struct findings f = find(&entry, &id, r->objects);
        enum attach_outcome outcome = findings_outcome(&f, r->take_over);
        if (outcome != r->outcome)
            fail_msg("row %zu, %s: %s, not %s", i, r->rule, names[outcome], names[r->outcome]);
        if (f.head_txid != r->head || f.adopted != r->adopted)
            fail_msg("row %zu, %s: head %llu, %u adopted", i, r->rule, (unsigned long long)f.head_txid, f.adopted);
    }
}

static void the_head_is_what_the_newest_object_says(void **state)
{
    (void)state;
    static const struct object objects[OBJECTS_MAX] = {{8, 10, EARLIER_RUN, 0}, {11, 12, EARLIER_RUN, 0}};
    struct identity id = our_identity();
    struct identity_replica entry = our_entry(POSITION, objects);
    struct findings f = find(&entry, &id, objects);
    struct digest expected = digest_after(12, false);
    assert_true(digest_equal(&f.head, &expected));
    assert_int_equal(f.head_checksum, 1012);
    assert_int_equal(f.head_time_ms, 2012);
    assert_int_equal(f.last.min, 11);
    assert_int_equal(f.anew_txid, 1);
}

static void an_object_that_begins_a_new_history_moves_its_beginning(void **state)
{
    (void)state;
    static const struct object with_pages[OBJECTS_MAX] = {{8, 10, EARLIER_RUN, 0}, {11, 12, EARLIER_RUN, BEGINNING}},
                               base_only[OBJECTS_MAX] = {{8, 10, EARLIER_RUN, 0},
                                                         {11, 12, EARLIER_RUN, BEGINNING | BASE_ONLY}};
    struct identity id = our_identity();
    struct identity_replica entry = our_entry(POSITION, with_pages);
    entry.base_owed = 9;
    struct findings f = find(&entry, &id, with_pages);
    assert_int_equal(f.anew_txid, 12);
    assert_int_equal(f.base_owed, 0); /* the object holds every page */
    f = find(&entry, &id, base_only);
    assert_int_equal(f.anew_txid, 12);
    assert_int_equal(f.base_owed, 12); /* its pages must come in a base */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_row_of_the_table_has_its_outcome),
                                       cmocka_unit_test(the_head_is_what_the_newest_object_says),
                                       cmocka_unit_test(an_object_that_begins_a_new_history_moves_its_beginning)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
