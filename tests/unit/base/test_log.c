/* base/log.h: lines of the log. */
#include "base/log.h"

#include "unit.h"

static void an_event_is_one_line_on_stderr_however_long(void **state)
{
    char text[4096] = "", long_text[3000];
    size_t n = 0;
    (void)state;
    memset(long_text, 'x', sizeof long_text);
    long_text[sizeof long_text - 1] = 0;
    int kept = dup(STDERR_FILENO), fd = open(temp_path("log"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(kept >= 0 && fd >= 0 && dup2(fd, STDERR_FILENO) >= 0);
    log_warn("disk %d%% full", 95);
    log_error("%s", long_text);
    log_info("done");
    dup2(kept, STDERR_FILENO);
    close(kept);
    close(fd);
    char *lines = (char *)file_bytes(temp_path("log"), &n);
    assert_non_null(lines);
    int used = 0;
    assert_int_equal(sscanf(lines, "%*4d-%*2d-%*2dT%*2d:%*2d:%*2d.%*3dZ %n%4095[^\n]", &used, text), 1);
    assert_string_equal(text, "WARN  disk 95% full");
    assert_int_equal(lines[n - 1], '\n');
    assert_contains(lines, "ERROR xxx");
    assert_contains(lines, "\n20");
    unsigned count = 0;
    for (size_t i = 0; i < n; i++)
        count += lines[i] == '\n';
    assert_int_equal(count, 3);
    free(lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_IN_TEMP(an_event_is_one_line_on_stderr_however_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
