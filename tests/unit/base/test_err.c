/* base/err.h: each level adds what it was doing, and the message never overflows its buffer. */
#include "unit.h"

#include <errno.h>

static void each_level_puts_what_it_was_doing_in_front(void **state)
{
    struct err e;
    (void)state;
    assert_int_equal(err_sys(&e, EIO, "pread %d bytes at %d", 24, 4152), -1);
    assert_int_equal(err_wrap(&e, "segment %s", "2a"), -1);
    assert_int_equal(err_wrap(&e, "db '%s'", "a.db"), -1);
    assert_string_equal(e.msg, "db 'a.db': segment 2a: pread 24 bytes at 4152: Input/output error");
    assert_int_equal(e.code, ERR_IO);
    assert_int_equal(e.sys, EIO);
}

static void system_errors_that_callers_tell_apart_have_codes_of_their_own(void **state)
{
    static const struct {
        int sys;
        enum err_code code;
    } known[] = {{ENOENT, ERR_NOTFOUND}, {EEXIST, ERR_EXISTS}, {ENOMEM, ERR_NOMEM}, {EACCES, ERR_IO}, {ENOSPC, ERR_IO}};
    struct err e;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        err_sys(&e, known[i].sys, "open");
        assert_int_equal(e.code, known[i].code);
        assert_int_equal(e.sys, known[i].sys);
    }
}

static void a_hint_stands_at_the_end_and_only_the_first_one_counts(void **state)
{
    struct err e;
    (void)state;
    err_set(&e, ERR_EXISTS, 0, "'x' exists");
    err_hint(&e, "say %s", "--force");
    err_hint(&e, "or go home");
    err_wrap(&e, "restore");
    assert_string_equal(e.msg, "restore: 'x' exists\n  HINT: say --force");
}

/* For each function that can make a message too long. */
static void a_message_that_is_cut_ends_in_dots(void **state)
{
    char text[2 * ERR_MSG_MAX];
    struct err e;
    (void)state;
    for (size_t n = ERR_MSG_MAX - 30; n < sizeof text; n += n < ERR_MSG_MAX + 2 ? 1 : 100) {
        static const char *const names[] = {"err_set", "err_sys", "err_wrap", "err_wrap of", "err_hint"};
        memset(text, 'a', n);
        text[n] = 0;
        for (int how = 0; how < 5; how++) {
            size_t whole = 0;
            if (how == 0) {
                err_set(&e, ERR_LIMIT, 0, "%s", text);
                whole = n;
            } else if (how == 1) {
                err_sys(&e, EIO, "%s", text);
                whole = n + strlen(": Input/output error");
            } else if (how == 2) {
                err_set(&e, ERR_LIMIT, 0, "bbbb");
                err_wrap(&e, "%s", text);
                whole = n + strlen(": bbbb");
            } else if (how == 3) {
                err_set(&e, ERR_LIMIT, 0, "%s", text);
                err_wrap(&e, "bbbb");
                whole = (n < ERR_MSG_MAX ? n : ERR_MSG_MAX) + strlen("bbbb: ");
            } else if (n < ERR_MSG_MAX) {
                err_set(&e, ERR_LIMIT, 0, "%s", text);
                err_hint(&e, "bbbb");
                whole = n + strlen("\n  HINT: bbbb");
            } else {
                continue;
            }
            size_t length = strnlen(e.msg, ERR_MSG_MAX);
            assert_true(length < ERR_MSG_MAX);
            if (whole >= ERR_MSG_MAX && strcmp(e.msg + length - 3, "...") != 0)
                fail_msg("%s: message of %zu bytes was cut to '...%s'", names[how], whole, e.msg + length - 10);
            else if (whole < ERR_MSG_MAX)
                assert_int_equal(length, whole);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(each_level_puts_what_it_was_doing_in_front),
        UNIT(system_errors_that_callers_tell_apart_have_codes_of_their_own),
        UNIT(a_hint_stands_at_the_end_and_only_the_first_one_counts),
        UNIT(a_message_that_is_cut_ends_in_dots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
