/* config/listen.h: where the status page is served. */
#include "unit.h"

#include "config/listen.h"

static void assert_shown(const char *text, const char *shown, bool loopback)
{
    struct listen_place p;
    struct err e;
    char out[LISTEN_SHOWN_MAX];
    assert_ok(listen_parse(text, &p, &e), &e);
    listen_show(&p, out);
    assert_string_equal(out, shown);
    assert_int_equal(p.loopback, loopback);
}

static void a_port_alone_is_for_this_machine(void **state)
{
    (void)state;
    assert_shown("9099", "http://127.0.0.1:9099/", true);
    assert_shown(":9099", "http://127.0.0.1:9099/", true);
    assert_shown("localhost:1", "http://127.0.0.1:1/", true);
}

static void an_address_is_taken_as_it_is(void **state)
{
    (void)state;
    assert_shown("127.0.0.2:65535", "http://127.0.0.2:65535/", true);
    assert_shown("[::1]:80", "http://[::1]:80/", true);
    assert_shown("0.0.0.0:9099", "http://0.0.0.0:9099/", false);
    assert_shown("[::]:9099", "http://[::]:9099/", false);
    assert_shown("10.0.0.7:9099", "http://10.0.0.7:9099/", false);
    assert_shown("[0:0::1]:9099", "http://[::1]:9099/", true);
}

static void a_unix_socket_has_an_absolute_path(void **state)
{
    (void)state;
    assert_shown("unix:/run/seawall/http", "unix:/run/seawall/http", false);
}

static void every_other_form_is_refused_with_a_hint(void **state)
{
    static const char *const wrong[] = {"",
                                        "0",
                                        "65536",
                                        "-1",
                                        "9099x",
                                        "99999999999",
                                        "host:9099",
                                        "127.0.0.1",
                                        "127.0.0.1:",
                                        "1.2.3:80",
                                        "::1:9099",
                                        "[::1]",
                                        "[::1:9099",
                                        "[1.2.3.4]:1",
                                        "[]:1",
                                        "*:9099",
                                        "unix:",
                                        "unix:http",
                                        "unix:/run/",
                                        "[localhost]:1",
                                        "http://127.0.0.1:9099/",
                                        "127.0.0.1:80 ",
                                        "[fe80::1%eth0]:1"};
    struct listen_place p;
    struct err e;
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(listen_parse(wrong[i], &p, &e), -1);
        assert_int_equal(e.code, ERR_CONFIG);
        assert_contains(e.msg, "HINT: ");
    }
}

static void two_spellings_of_one_place_are_equal(void **state)
{
    struct listen_place a, b;
    struct err e;
    (void)state;
    assert_ok(listen_parse("9099", &a, &e), &e);
    assert_ok(listen_parse("127.0.0.1:9099", &b, &e), &e);
    assert_true(listen_equal(&a, &b));
    assert_ok(listen_parse("127.0.0.1:9098", &b, &e), &e);
    assert_false(listen_equal(&a, &b));
    assert_ok(listen_parse("unix:/a", &a, &e), &e);
    assert_ok(listen_parse("unix:/b", &b, &e), &e);
    assert_false(listen_equal(&a, &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(a_port_alone_is_for_this_machine),     UNIT(an_address_is_taken_as_it_is),
        UNIT(a_unix_socket_has_an_absolute_path),   UNIT(every_other_form_is_refused_with_a_hint),
        UNIT(two_spellings_of_one_place_are_equal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
