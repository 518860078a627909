/* base/stage.h: files that are hidden until they are whole. */
#include "base/io.h"
#include "base/stage.h"

#include "unit.h"

static void a_staged_file_has_no_name_until_it_is_linked(void **state)
{
    struct err e;
    struct stage st;
    size_t n = 0;
    (void)state;
    assert_ok(stage_begin(&st, temp_dir, &e), &e);
    assert_ok(io_write(st.fd, "whole", 5, &e), &e);
    if (st.name[0] == 0) /* the file system has nameless files */
        assert_int_equal(names_in(temp_dir), 0);
    assert_ok(stage_link(&st, "f", &e), &e);
    stage_end(&st);
    assert_int_equal(names_in(temp_dir), 1);
    uint8_t *bytes = file_bytes(temp_path("f"), &n);
    assert_string_equal((char *)bytes, "whole");
    free(bytes);
}

static void a_staged_file_never_replaces_another_by_link(void **state)
{
    struct err e;
    struct stage st;
    size_t n = 0;
    (void)state;
    assert_int_equal(file_write(temp_path("f"), "old", 3), 0);
    for (int named = 0; named < 2; named++) {
        assert_ok(stage_begin(&st, temp_dir, &e), &e);
        if (named)
            assert_ok(stage_name(&st, &e), &e);
        assert_error(stage_link(&st, "f", &e), &e, ERR_EXISTS);
        stage_end(&st);
        assert_int_equal(names_in(temp_dir), 1);
    }
    uint8_t *bytes = file_bytes(temp_path("f"), &n);
    assert_string_equal((char *)bytes, "old");
    free(bytes);
}

static void a_staged_file_with_a_name_replaces_another_by_rename(void **state)
{
    struct err e;
    struct stage st;
    size_t n = 0;
    (void)state;
    assert_int_equal(file_write(temp_path("f"), "old", 3), 0);
    assert_ok(stage_begin(&st, temp_dir, &e), &e);
    assert_ok(io_write(st.fd, "new", 3, &e), &e);
    assert_ok(stage_name(&st, &e), &e);
    assert_int_equal(st.name[0], '.');
    assert_ok(stage_rename(&st, "f", &e), &e);
    stage_end(&st);
    assert_int_equal(names_in(temp_dir), 1);
    uint8_t *bytes = file_bytes(temp_path("f"), &n);
    assert_string_equal((char *)bytes, "new");
    free(bytes);
}

static void an_abandoned_stage_leaves_nothing_behind(void **state)
{
    struct err e;
    struct stage st = STAGE_NONE;
    (void)state;
    stage_end(&st);
    assert_ok(stage_begin(&st, temp_dir, &e), &e);
    assert_ok(stage_name(&st, &e), &e);
    assert_int_equal(names_in(temp_dir), 1);
    stage_end(&st);
    stage_end(&st);
    assert_int_equal(names_in(temp_dir), 0);
    assert_error(stage_begin(&st, temp_path("absent"), &e), &e, ERR_NOTFOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_IN_TEMP(a_staged_file_has_no_name_until_it_is_linked),
        UNIT_IN_TEMP(a_staged_file_never_replaces_another_by_link),
        UNIT_IN_TEMP(a_staged_file_with_a_name_replaces_another_by_rename),
        UNIT_IN_TEMP(an_abandoned_stage_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
