/* base/complaint.h: an error that repeats is logged once. */
#include "base/complaint.h"

#include "unit.h"

static void an_error_that_repeats_is_news_once(void **state)
{
    (void)state;
    struct complaint c = {.text = ""};
    struct err e;
    assert_false(complaint_is_over(&c));
    err_set(&e, ERR_REMOTE, 503, "request 1: slow down");
    assert_true(complaint_is_news(&c, &e));
    err_set(&e, ERR_REMOTE, 503, "request 2: slow down");
    assert_false(complaint_is_news(&c, &e));
    assert_true(complaint_text_is_news(&c, &e));
    assert_false(complaint_text_is_news(&c, &e));
    err_set(&e, ERR_REMOTE, 500, "request 2: slow down");
    assert_true(complaint_is_news(&c, &e));
    err_set(&e, ERR_IO, 500, "request 2: slow down");
    assert_true(complaint_is_news(&c, &e));
    assert_true(complaint_is_over(&c));
    assert_false(complaint_is_over(&c));
    assert_true(complaint_is_news(&c, &e));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(an_error_that_repeats_is_news_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
