/* daemon/exec.h: where the shell of --exec may replace itself by the application. */
#include "unit.h"

#include "daemon/exec.h"

#include <stdlib.h>
#include <string.h>

/* The line that the shell would get. */
static const char *line_of(const char *command)
{
    static char line[256];
    size_t at = exec_replaces_shell(command);
    if (at == EXEC_KEEPS_SHELL)
        return command;
    snprintf(line, sizeof line, "%.*sexec %s", (int)at, command, command + at);
    return line;
}

static void a_program_takes_the_place_of_the_shell(void **state)
{
    (void)state;
    assert_string_equal(line_of("sleep 5"), "exec sleep 5");
    assert_string_equal(line_of("  sleep 5"), "  exec sleep 5");
    assert_string_equal(line_of("./server"), "exec ./server");
    assert_string_equal(line_of("/no/such/server --port 80"), "exec /no/such/server --port 80");
    assert_string_equal(line_of("sleep $TIME \"a; b\" 'c | d' e\\;"), "exec sleep $TIME \"a; b\" 'c | d' e\\;");
    assert_string_equal(line_of("sleep 5 >log 2>&1"), "exec sleep 5 >log 2>&1");
}

static void the_last_of_joined_commands_takes_its_place(void **state)
{
    (void)state;
    assert_string_equal(line_of("cd /app && sleep 5"), "cd /app && exec sleep 5");
    assert_string_equal(line_of("cd 'a && b' && true && sleep 5"), "cd 'a && b' && true && exec sleep 5");
}

static void variables_are_set_for_the_program(void **state)
{
    (void)state;
    assert_string_equal(line_of("A=1 B=$C sleep 5"), "A=1 B=$C exec sleep 5");
    assert_string_equal(line_of("A='1 2' sleep 5"), "A='1 2' sleep 5");
    assert_string_equal(line_of("A=1"), "A=1");
}

static void other_syntax_stays_with_the_shell(void **state)
{
    static const char *const commands[] = {"sleep 5; sleep 6",
                                           "sleep 5 || sleep 6",
                                           "sleep 5 | cat",
                                           "sleep 5 &",
                                           "sleep 5 & wait",
                                           "(sleep 5)",
                                           "{ sleep 5; }",
                                           "! sleep 5",
                                           "sleep 5 # 6",
                                           "sleep 5\nsleep 6",
                                           "sleep `echo 5`",
                                           "sleep $(echo 5)",
                                           "sleep \"$(echo 5)\"",
                                           "cat <<X",
                                           "sleep 'open",
                                           "trap '' TERM && sleep 5",
                                           "if true",
                                           "exec sleep 5",
                                           "no-such-program-anywhere",
                                           "$SERVER",
                                           "'sleep' 5",
                                           "",
                                           " ",
                                           "sleep 5 && ",
                                           "cd /app && exit"};
    (void)state;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        assert_ptr_equal(line_of(commands[i]), commands[i]);
}

static void a_program_is_looked_for_in_path(void **state)
{
    (void)state;
    char *path = strdup(getenv("PATH"));
    assert_non_null(path);
    setenv("PATH", "/nowhere::/elsewhere", 1);
    assert_true(exec_replaces_shell("sleep 5") == EXEC_KEEPS_SHELL);
    unsetenv("PATH");
    assert_true(exec_replaces_shell("sleep 5") == EXEC_KEEPS_SHELL);
    setenv("PATH", path, 1);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_takes_the_place_of_the_shell),
        cmocka_unit_test(the_last_of_joined_commands_takes_its_place),
        cmocka_unit_test(variables_are_set_for_the_program),
        cmocka_unit_test(other_syntax_stays_with_the_shell),
        cmocka_unit_test(a_program_is_looked_for_in_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
