/* web/host.h: the header Host of a request to a loopback address. */
#include "unit.h"

#include "web/host.h"

static void names_and_addresses_of_this_machine_are_local(void **state)
{
    static const char *const local[] = {"localhost",     "localhost:9099", "LOCALHOST",      "localhost.",
                                        "a.localhost:1", "127.0.0.1",      "127.0.0.1:9099", "10.0.0.7",
                                        "[::1]",         "[::1]:9099",     "127.0.0.1:"};
    (void)state;
    assert_true(host_is_local(NULL));
    for (size_t i = 0; i < sizeof local / sizeof local[0]; i++)
        assert_true(host_is_local(local[i]));
}

static void names_of_strangers_are_not_local(void **state)
{
    static const char *const foreign[] = {"",
                                          "evil.example",
                                          "evil.example:9099",
                                          "notlocalhost",
                                          "localhost.evil.example",
                                          "127.0.0.1.evil.example",
                                          "127.0.0.1@evil.example",
                                          "localhost:9099:1",
                                          "localhost:x",
                                          "0x7f000001",
                                          "2130706433",
                                          "[::1",
                                          "[::1]x",
                                          "[evil]",
                                          "::1",
                                          "localhost evil.example",
                                          "localhost\\evil"};
    char longest[400];
    (void)state;
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++)
        assert_false(host_is_local(foreign[i]));
    memset(longest, 'a', sizeof longest);
    memcpy(longest + sizeof longest - sizeof ".localhost", ".localhost", sizeof ".localhost");
    assert_false(host_is_local(longest));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(names_and_addresses_of_this_machine_are_local),
        UNIT(names_of_strangers_are_not_local),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
