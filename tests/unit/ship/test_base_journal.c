/* ship/base_journal.h: reads the chunks of an unfinished base back, up to the first record that can't be trusted. */
#include "ship/base_journal.h"

#include "failing_alloc.h"

#define PAGES 100

static const struct copy_terms terms = {
    .kind = COPY_BASE, .id = {.bytes = {9}}, .start = 5, .page_size = 4096, .end_page = PAGES, .known_at = 7};
static const struct identity_replica replica = {.place = {.bytes = {1}}, .database = {.bytes = {2}}};
static char path[PATH_TEXT_MAX];

static struct listed chunk_of(unsigned index)
{
    return (struct listed){.size = 1000 + index,
                           .digest = {.bytes = {(uint8_t)index}},
                           .first_page = 10 * index + 1,
                           .last_page = 10 * index + 10,
                           .max = 20 + index};
}

static void begin(const char *state_path)
{
    base_journal_path(state_path, 3, path);
    base_journal_begin(path, &replica, &terms);
}

static void note(unsigned index)
{
    struct listed chunk = chunk_of(index);
    base_journal_note(path, index, &chunk);
}

static void check(size_t chunks, bool read_all)
{
    struct copy c = base_journal_load(path, &replica);
    assert_int_equal(c.terms.kind, COPY_BASE);
    assert_int_equal(c.terms.start, 5);
    assert_int_equal(c.terms.known_at, 7);
    assert_int_equal(c.terms.end_page, PAGES);
    assert_int_equal(c.objects.count, chunks);
    assert_int_equal(c.objects.resumed, chunks);
    assert_int_equal(c.cursor.pieces, chunks);
    assert_int_equal(c.cursor.next_page, 10 * chunks + 1);
    assert_int_equal(c.cursor.read_all, read_all);
    for (unsigned i = 0; i < chunks; i++) {
        struct listed chunk = chunk_of(i);
        assert_int_equal(c.objects.list[i].max, chunk.max);
        assert_int_equal(c.objects.list[i].size, chunk.size);
        assert_true(digest_equal(&c.objects.list[i].digest, &chunk.digest));
        assert_true(strncmp(c.objects.list[i].name, "base/", 5) == 0);
    }
    copy_release(&c);
}

static void a_base_goes_on_behind_the_last_chunk_that_was_noted(void **state)
{
    (void)state;
    begin(temp_path("state"));
    check(0, false);
    for (unsigned i = 0; i < 4; i++)
        note(i);
    check(4, false);
    for (unsigned i = 4; i < PAGES / 10; i++)
        note(i);
    check(PAGES / 10, true);
}

static void chunks_that_were_noted_in_another_order_count(void **state)
{
    (void)state;
    begin(temp_path("state"));
    note(1);
    note(0);
    note(2);
    check(3, false);
}

static void a_chunk_behind_a_gap_does_not_count(void **state)
{
    (void)state;
    begin(temp_path("state"));
    note(0);
    note(2);
    check(1, false);
}

/* Behind the last page that a database can have comes page 0: the base would continue there. */
static void a_chunk_that_ends_beyond_the_base_does_not_count(void **state)
{
    static const uint32_t ends[] = {PAGES + 1, UINT32_MAX - 1, UINT32_MAX};
    (void)state;
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        struct listed chunk = chunk_of(1);
        begin(temp_path("state"));
        note(0);
        chunk.last_page = ends[i];
        base_journal_note(path, 1, &chunk);
        check(1, false);
    }
}

static void no_base_has_more_pages_than_a_database_can_have(void **state)
{
    (void)state;
    struct copy_terms large = terms;
    base_journal_path(temp_path("state"), 3, path);
    large.end_page = UINT32_MAX;
    base_journal_begin(path, &replica, &large);
    assert_int_equal(base_journal_load(path, &replica).terms.kind, COPY_NONE);
    large.end_page = SEGMENT_PAGE_MAX;
    base_journal_begin(path, &replica, &large);
    assert_int_equal(base_journal_load(path, &replica).terms.kind, COPY_BASE);
}

static void a_journal_that_was_cut_or_damaged_anywhere_counts_up_to_there(void **state)
{
    (void)state;
    struct stat st;
    begin(temp_path("state"));
    assert_int_equal(stat(path, &st), 0);
    off_t head = st.st_size;
    for (unsigned i = 0; i < 3; i++)
        note(i);
    assert_int_equal(stat(path, &st), 0);
    off_t record = (st.st_size - head) / 3;
    for (off_t at = 0; at < 3 * record; at++) { /* flips one bit in each byte of the records */
        int fd = open(path, O_RDWR | O_CLOEXEC);
        uint8_t byte = 0;
        assert_true(fd >= 0 && pread(fd, &byte, 1, head + at) == 1);
        byte ^= 4;
        assert_int_equal(pwrite(fd, &byte, 1, head + at), 1);
        check((size_t)(at / record), false);
        byte ^= 4;
        assert_int_equal(pwrite(fd, &byte, 1, head + at), 1);
        close(fd);
    }
    for (off_t size = head + 3 * record; size >= head; size--) {
        assert_int_equal(truncate(path, size), 0);
        check((size_t)((size - head) / record), false);
    }
    assert_int_equal(truncate(path, head - 1), 0);
    assert_int_equal(base_journal_load(path, &replica).terms.kind, COPY_NONE);
}

static void a_journal_of_another_replica_or_none_is_no_base(void **state)
{
    (void)state;
    struct identity_replica other = replica;
    begin(temp_path("state"));
    note(0);
    other.place.bytes[0]++;
    assert_int_equal(base_journal_load(path, &other).terms.kind, COPY_NONE);
    other = replica;
    other.database.bytes[0]++; /* another replica is at this URL now */
    assert_int_equal(base_journal_load(path, &other).terms.kind, COPY_NONE);
    assert_int_equal(base_journal_load(temp_path("none"), &replica).terms.kind, COPY_NONE);
}

/* What can't be kept in memory is put again. What is kept is what was noted. */
static void with_too_little_memory_fewer_chunks_count(void **state)
{
    bool failed = true;
    unsigned long tried = 0;
    (void)state;
    begin(temp_path("state"));
    for (unsigned i = 0; i < PAGES / 10; i++)
        note(i);
    for (; failed; tried++) {
        failing_alloc_arm(tried + 1);
        struct copy c = base_journal_load(path, &replica);
        failed = failing_alloc_disarm();
        assert_true(c.objects.count <= PAGES / 10 && (failed || c.objects.count == PAGES / 10));
        for (size_t i = 0; i < c.objects.count; i++)
            assert_int_equal(c.objects.list[i].size, 1000 + i);
        if (c.terms.kind == COPY_BASE)
            assert_int_equal(c.cursor.next_page, 10 * c.objects.count + 1);
        copy_release(&c);
    }
    assert_true(tried > 1);
}

static void a_base_that_begins_forgets_the_one_before(void **state)
{
    (void)state;
    begin(temp_path("state"));
    note(0);
    begin(temp_path("state"));
    check(0, false);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, temp_setup, temp_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_base_goes_on_behind_the_last_chunk_that_was_noted),
        TEST(chunks_that_were_noted_in_another_order_count),
        TEST(a_chunk_behind_a_gap_does_not_count),
        TEST(a_chunk_that_ends_beyond_the_base_does_not_count),
        TEST(no_base_has_more_pages_than_a_database_can_have),
        TEST(a_journal_that_was_cut_or_damaged_anywhere_counts_up_to_there),
        TEST(a_journal_of_another_replica_or_none_is_no_base),
        TEST(with_too_little_memory_fewer_chunks_count),
        TEST(a_base_that_begins_forgets_the_one_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
