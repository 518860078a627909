/* base/log.h: lines of the log. */
#include "base/log.h"

#include "unit.h"

#include "base/json.h"

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

/* What one call of the log writes. The caller frees it. */
static char *written(enum log_format format, void (*write_it)(void))
{
    size_t n = 0;
    int kept = dup(STDERR_FILENO), fd = open(temp_path("log"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(kept >= 0 && fd >= 0 && dup2(fd, STDERR_FILENO) >= 0);
    log_set_format(format);
    write_it();
    log_set_format(LOG_TEXT);
    dup2(kept, STDERR_FILENO);
    close(kept);
    close(fd);
    char *lines = (char *)file_bytes(temp_path("log"), &n);
    assert_non_null(lines);
    assert_int_equal(lines[n - 1], '\n');
    assert_ptr_equal(strchr(lines, '\n'), lines + n - 1); /* one line */
    lines[n - 1] = 0;
    return lines;
}

static void with_all_parts(void)
{
    log_warn("replica '%s': it says \"no\" %s" TEXT_HINT "wait", "s3://b/\\p", "\n\x1b[1m");
}

static void without_parts(void)
{
    log_info("stopping");
}

static void too_long(void)
{
    char text[3000];
    for (size_t i = 0; i + 1 < sizeof text; i++)
        text[i] = (char)(i % 2 ? 0xa9 : 0xc3);
    text[sizeof text - 1] = 0;
    log_error("database 'a': %s", text);
}

static void each_format_has_the_parts_of_an_event_on_one_line(void **state)
{
    static const struct {
        enum log_format format;
        void (*write_it)(void);
        const char *ends; /* behind the time */
    } cases[] = {
        {LOG_LOGFMT, with_all_parts,
         " level=\"warn\" replica=\"s3://b/\\\\p\" msg=\"it says \\\"no\\\" \\\\x0a\\\\x1b[1m\" hint=\"wait\""},
        {LOG_JSON, with_all_parts,
         ",\"level\":\"warn\",\"replica\":\"s3://b/\\\\p\",\"msg\":\"it says \\\"no\\\" "
         "\\\\x0a\\\\x1b[1m\",\"hint\":\"wait\"}"},
        {LOG_JOURNAL, with_all_parts, "<4>replica 's3://b/\\p': it says \"no\" \\x0a\\x1b[1m HINT: wait"},
        {LOG_LOGFMT, without_parts, " level=\"info\" msg=\"stopping\""},
        {LOG_JSON, without_parts, ",\"level\":\"info\",\"msg\":\"stopping\"}"},
        {LOG_JOURNAL, without_parts, "<6>stopping"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char *line = written(cases[i].format, cases[i].write_it);
        const size_t n = strlen(line), k = strlen(cases[i].ends);
        if (n < k || strcmp(line + n - k, cases[i].ends) != 0)
            fail_msg("case %zu: %s", i, line);
        const char *begin = cases[i].format == LOG_JSON     ? "{\"time\":\"20"
                            : cases[i].format == LOG_LOGFMT ? "time=\"20"
                                                            : "<";
        assert_int_equal(strncmp(line, begin, strlen(begin)), 0);
        free(line);
    }
}

static void a_line_that_is_cut_stays_whole_json_of_whole_characters(void **state)
{
    struct json *j = NULL;
    struct err e;
    (void)state;
    char *line = written(LOG_JSON, too_long);
    assert_ok(json_parse(line, strlen(line), &j, &e), &e);
    assert_string_equal(json_get_text(j, "database"), "a");
    assert_true(strlen(json_get_text(j, "msg")) > 1000);
    json_free(j);
    free(line);
}

static void words_name_the_formats(void **state)
{
    enum log_format format = LOG_JSON;
    (void)state;
    assert_true(log_format_of("logfmt", &format) && format == LOG_LOGFMT);
    assert_true(log_format_of("json", &format) && format == LOG_JSON);
    assert_true(log_format_of("text", &format) && format == LOG_TEXT);
    assert_true(log_format_of("auto", &format) && format == LOG_TEXT);
    char stream[64];
    struct stat st;
    assert_int_equal(fstat(STDERR_FILENO, &st), 0);
    snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    assert_true(log_format_of("auto", &format) && format == LOG_JOURNAL);
    setenv("JOURNAL_STREAM", "1:1", 1);
    assert_true(log_format_of("auto", &format) && format == LOG_TEXT);
    unsetenv("JOURNAL_STREAM");
    assert_false(log_format_of("xml", &format));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_IN_TEMP(an_event_is_one_line_on_stderr_however_long),
        UNIT_IN_TEMP(each_format_has_the_parts_of_an_event_on_one_line),
        UNIT_IN_TEMP(a_line_that_is_cut_stays_whole_json_of_whole_characters),
        cmocka_unit_test(words_name_the_formats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
