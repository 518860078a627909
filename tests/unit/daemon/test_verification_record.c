/* daemon/verification_record.h: records are read as they were written, and a file that can't be read says nothing. */
#include "daemon/verification_record.h"

#include "failing_alloc.h"

static struct verification_records records;

static int begin(void **state)
{
    struct err e;
    if (temp_setup(state) || verification_records_init(&records, 2, &e))
        return -1;
    records.urls[0] = "/one";
    records.urls[1] = "s3://two/p";
    return 0;
}

static int end(void **state)
{
    verification_records_release(&records);
    return temp_teardown(state);
}

static void assert_unknown(const struct verification_record *r)
{
    assert_true(r->verified_ms == 0 && r->proven_ms == 0 && r->proven_txid == 0 && r->problems == 0);
    assert_true(r->text[0] == 0 && r->content[0] == 0);
}

static void load(const char *text)
{
    assert_int_equal(file_write(temp_path("file"), text, strlen(text)), 0);
    verification_records_load(&records, temp_path("file"), "app.db");
}

static void records_are_read_as_they_were_written(void **state)
{
    struct err e;
    (void)state;
    records.list[1] = (struct verification_record){
        .verified_ms = 2000, .problems = 3, .text = "a \"part\" is missing", .proven_ms = 1000, .proven_txid = 7};
    snprintf(records.list[1].content, sizeof records.list[1].content, "row 5 missing from index i");
    char *text = verification_records_print(&records);
    assert_non_null(text);
    assert_ok(verification_records_write(temp_path("file"), text, &e), &e);
    free(text);
    const struct verification_record before = records.list[1];
    records.list[1] = (struct verification_record){.verified_ms = 0};
    verification_records_load(&records, temp_path("file"), "app.db");
    const struct verification_record *r = &records.list[1];
    assert_true(r->verified_ms == 2000 && r->proven_ms == 1000 && !r->ok);
    assert_int_equal(r->problems, 3);
    assert_int_equal(r->proven_txid, 7);
    assert_string_equal(r->text, before.text);
    assert_string_equal(r->content, before.content);
    assert_unknown(&records.list[0]);
}

static void a_missing_file_leaves_all_unknown(void **state)
{
    (void)state;
    verification_records_load(&records, temp_path("absent"), "app.db");
    assert_unknown(&records.list[0]);
    assert_unknown(&records.list[1]);
}

static void a_file_that_can_not_be_decoded_leaves_all_unknown(void **state)
{
    static const char *const texts[] = {
        "",
        "not json",
        "[]",
        "{\"format\": 2, \"replicas\": [{\"url\": \"/one\", \"verified\": \"2026-03-01T12:00:00.000Z\"}]}",
        "{\"format\": 1, \"replicas\": [{\"url\": \"/one\", \"verified\": \"soon\"}, 7, {}]}",
        "{\"format\": 1, \"replicas\": [{\"url\": \"/other\", \"verified\": \"2026-03-01T12:00:00.000Z\"}]}"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        load(texts[i]);
        assert_unknown(&records.list[0]);
        assert_unknown(&records.list[1]);
    }
}

static void a_text_longer_than_a_record_is_cut(void **state)
{
    char text[2000], problem[1000];
    (void)state;
    memset(problem, 'x', sizeof problem);
    problem[sizeof problem - 1] = 0;
    snprintf(text, sizeof text,
             "{\"format\": 1, \"replicas\": [{\"url\": \"/one\", \"verified\": \"2026-03-01T12:00:00.000Z\", "
             "\"problem\": \"%s\"}]}",
             problem);
    load(text);
    assert_int_equal(strlen(records.list[0].text), VERIFICATION_TEXT_MAX - 1);
}

static void without_memory_the_replicas_count_as_never_verified(void **state)
{
    (void)state;
    assert_int_equal(file_write(temp_path("file"), "{\"format\": 1, \"replicas\": []}", 29), 0);
    failing_alloc_arm(1);
    verification_records_load(&records, temp_path("file"), "app.db");
    assert_true(failing_alloc_disarm());
    assert_unknown(&records.list[0]);
}

static int make_records(void *context, struct err *e)
{
    struct verification_records r;
    (void)context;
    int rc = verification_records_init(&r, 3, e);
    if (rc == 0)
        verification_records_release(&r);
    return rc;
}

static void each_allocation_of_the_records_fails_once(void **state)
{
    (void)state;
    assert_each_allocation_fails_once(make_records, NULL);
}

#define RECORD_UNIT(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RECORD_UNIT(records_are_read_as_they_were_written),
        RECORD_UNIT(a_missing_file_leaves_all_unknown),
        RECORD_UNIT(a_file_that_can_not_be_decoded_leaves_all_unknown),
        RECORD_UNIT(a_text_longer_than_a_record_is_cut),
        RECORD_UNIT(without_memory_the_replicas_count_as_never_verified),
        RECORD_UNIT(each_allocation_of_the_records_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
