/* base/progress.h: what is said, and where it belongs. */
#include "unit.h"

#include "base/progress.h"

#include <fcntl.h>
#include <sys/stat.h>

static void assert_text(const char *unit, uint64_t already, uint64_t done, uint64_t total, int64_t ms,
                        const char *wanted)
{
    struct progress p;
    char text[PROGRESS_TEXT_MAX];
    progress_begin(&p, PROGRESS_NOWHERE, unit, "work");
    progress_goes_on_from(&p, already);
    progress_text(&p, done, total, p.started_ms + ms, text);
    assert_string_equal(text, wanted);
}

static void percentage_rate_and_time_left_are_those_of_this_run(void **state)
{
    (void)state;
    assert_text(NULL, 0, 250000000, 1000000000, 2000, "25 %, 125.0 MB/s, 6 s left");
    assert_text(NULL, 500000000, 750000000, 1000000000, 2000, "75 %, 125.0 MB/s, 2 s left");
    assert_text("databases", 0, 1200, 10000, 4000, "1200 of 10000 databases, 12 %, 300 a second, 29 s left");
    assert_text("databases", 0, 3, 10, 2000, "3 of 10 databases, 30 %, 1.5 a second, 4 s left");
    assert_text(NULL, 0, 0, 1000, 5000, "0 %, 0 B/s");
    assert_text(NULL, 0, 500, 0, 5000, "0 %, 100 B/s, 0 s left");
    assert_text(NULL, 0, 2000, 1000, 1000, "100 %, 2.0 kB/s, 0 s left");
    assert_text(NULL, 0, UINT64_MAX, UINT64_MAX, 1000, "100 %, 1000.0 PB/s, 0 s left");
    assert_text(NULL, 0, 10, 1000, 0, "1 %, 0 B/s");
}

static void times_are_rounded_to_what_matters(void **state)
{
    static const struct {
        uint64_t seconds;
        const char *text;
    } cases[] = {{0, "0 s"},        {119, "119 s"},      {120, "2 min"},       {149, "2 min"},         {150, "3 min"},
                 {7199, "120 min"}, {7200, "2 h 0 min"}, {11100, "3 h 5 min"}, {360000, "100 h 0 min"}};
    char out[32];
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        progress_format_time(cases[i].seconds, out);
        assert_string_equal(out, cases[i].text);
    }
}

/* Where progress belongs if stderr is this file. */
static enum progress_place place_with(int fd)
{
    const int saved = dup(STDERR_FILENO);
    dup2(fd, STDERR_FILENO);
    enum progress_place place = progress_place_of_stderr();
    dup2(saved, STDERR_FILENO);
    close(saved);
    return place;
}

static void a_file_is_a_log_and_a_pipe_gets_nothing(void **state)
{
    int ends[2];
    char stream[64];
    struct stat st;
    (void)state;
    unsetenv("JOURNAL_STREAM");
    int file = open(temp_path("log"), O_CREAT | O_RDWR, 0600);
    assert_true(file >= 0 && pipe(ends) == 0);
    assert_int_equal(place_with(file), PROGRESS_LOG);
    assert_int_equal(place_with(ends[1]), PROGRESS_NOWHERE);
    int null = open("/dev/null", O_WRONLY);
    assert_int_equal(place_with(null), PROGRESS_NOWHERE);
    assert_int_equal(fstat(ends[1], &st), 0);
    snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    assert_int_equal(place_with(ends[1]), PROGRESS_LOG);
    assert_int_equal(place_with(null), PROGRESS_NOWHERE); /* the variable was inherited, and stderr led elsewhere */
    unsetenv("JOURNAL_STREAM");
    close(null);
    close(file);
    close(ends[0]);
    close(ends[1]);
}

/* Work that began `ms` ago, and last said something then. */
static struct progress begun(enum progress_place place, int64_t ms)
{
    struct progress p;
    progress_begin(&p, place, NULL, "restore");
    p.started_ms -= ms;
    p.told_ms -= ms;
    return p;
}

/* What reports at these ages of the work write to stderr. */
static char *written(enum progress_place place, const int64_t *ages, size_t count)
{
    static char text[4000];
    int file = open(temp_path("stderr"), O_CREAT | O_TRUNC | O_RDWR, 0600), saved = dup(STDERR_FILENO);
    fflush(stderr);
    dup2(file, STDERR_FILENO);
    struct progress p = begun(place, ages[0]);
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            p.started_ms -= ages[i] - ages[i - 1];
            p.told_ms -= ages[i] - ages[i - 1];
        }
        progress_report(&p, 500, 1000);
    }
    progress_end(&p);
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    close(saved);
    ssize_t n = pread(file, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = 0;
    close(file);
    return text;
}

static size_t count_of(const char *text, const char *part)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, part)); at++)
        count++;
    return count;
}

static void a_terminal_has_one_line_that_is_gone_at_the_end(void **state)
{
    const int64_t ages[] = {900, 1100, 1150, 1300};
    (void)state;
    const char *text = written(PROGRESS_TERMINAL, ages, COUNT_OF(ages));
    assert_int_equal(count_of(text, "50 %"), 2); /* not in the first second, and not again within 100 ms */
    assert_int_equal(count_of(text, "\n"), 0);
    assert_int_equal(count_of(text, "\x1b"), 0);
    assert_contains(text, "\r[###############---------------] 50 %");
    assert_string_equal(strrchr(text, '\r'), "\r");
    const int64_t early[] = {10, 500, 999 - 50};
    assert_string_equal(written(PROGRESS_TERMINAL, early, COUNT_OF(early)), "");
}

static void a_log_has_a_line_a_minute_and_elsewhere_is_nothing(void **state)
{
    const int64_t ages[] = {2000, 59000, 60100, 61000, 119000, 120200};
    (void)state;
    const char *text = written(PROGRESS_LOG, ages, COUNT_OF(ages));
    assert_int_equal(count_of(text, "INFO  restore: 50 %"), 2);
    assert_int_equal(count_of(text, "\r"), 0);
    assert_string_equal(written(PROGRESS_NOWHERE, ages, COUNT_OF(ages)), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(percentage_rate_and_time_left_are_those_of_this_run),
        UNIT(times_are_rounded_to_what_matters),
        UNIT_IN_TEMP(a_file_is_a_log_and_a_pipe_gets_nothing),
        UNIT_IN_TEMP(a_terminal_has_one_line_that_is_gone_at_the_end),
        UNIT_IN_TEMP(a_log_has_a_line_a_minute_and_elsewhere_is_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
