/* base/text.h: text from outside can't control a terminal, and can't look like a line of its own. */
#include "unit.h"

#include "base/text.h"

#include <inttypes.h>

static const char *shown(const char *text)
{
    static char out[256];
    size_t n = text_format(out, sizeof out, "%s", text);
    assert_int_equal(n, strlen(out));
    return out;
}

static void what_a_terminal_obeys_is_escaped(void **state)
{
    static const struct {
        const char *text, *shown;
    } known[] = {
        {"\033[31mred", "\\x1b[31mred"},
        {"a\nb\rc\td\be\af", "a\\x0ab\\x0dc\\x09d\\x08e\\x07f"},
        {"\177", "\\x7f"},
        {"\302\233"
         "31m",
         "\\u009b31m"},          /* CSI, as one character */
        {"\302\205", "\\u0085"}, /* next line */
        {"\342\200\256txt.exe", "\\u202etxt.exe"},
        {"\342\201\246\342\201\251", "\\u2066\\u2069"},
        {"\330\234", "\\u061c"},
        {"\342\200\213\357\273\277", "\\u200b\\ufeff"},
        {"\342\200\250\342\200\251", "\\u2028\\u2029"},
        {"\363\240\201\201", "\\U000e0041"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(known); i++)
        assert_string_equal(shown(known[i].text), known[i].shown);
}

static void bytes_that_are_not_utf8_are_escaped_one_by_one(void **state)
{
    static const struct {
        const char *text, *shown;
    } known[] = {
        {"\233"
         "31m",
         "\\x9b31m"}, /* CSI, as one byte */
        {"\377\376", "\\xff\\xfe"},
        {"\300\257", "\\xc0\\xaf"}, /* '/' in too many bytes */
        {"\340\200\257", "\\xe0\\x80\\xaf"},
        {"\355\240\200", "\\xed\\xa0\\x80"},          /* a surrogate */
        {"\364\220\200\200", "\\xf4\\x90\\x80\\x80"}, /* beyond U+10FFFF */
        {"\303", "\\xc3"},                            /* cut short */
        {"\342\202", "\\xe2\\x82"},
        {"a\342\202z", "a\\xe2\\x82z"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(known); i++)
        assert_string_equal(shown(known[i].text), known[i].shown);
}

static void text_that_a_person_can_read_stays(void **state)
{
    static const char *const kept[] = {"",
                                       "/srv/app data/a.db",
                                       "gr\303\274n \342\202\254 \360\237\220\213",
                                       "a\\b\\x1b",
                                       "%s %n 100 %",
                                       "\331\205\333\214\342\200\214\330\256",
                                       "~!@#$^&*()'\"`"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(kept); i++)
        assert_string_equal(shown(kept[i]), kept[i]);
}

static void a_second_escape_changes_nothing(void **state)
{
    char once[256];
    (void)state;
    text_format(once, sizeof once, "%s", "\033[2J\n\302\233\377\342\200\256\\");
    assert_string_equal(shown(once), once);
}

static size_t with_hint(char *out, size_t size, enum text_breaks breaks, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    size_t n = text_vformat(out, size, breaks, fmt, args);
    va_end(args);
    return n;
}

static void only_the_break_before_a_hint_can_stay_in_an_argument(void **state)
{
    char out[256];
    (void)state;
    with_hint(out, sizeof out, TEXT_HINT_STAYS, "x: %s\n", "lost\n  HINT: look\nERROR forged\n HINT: a");
    assert_string_equal(out, "x: lost\n  HINT: look\\x0aERROR forged\\x0a HINT: a\n");
    with_hint(out, sizeof out, TEXT_ESCAPED, "x: %s\n", "lost\n  HINT: look");
    assert_string_equal(out, "x: lost\\x0a  HINT: look\n");
    with_hint(out, sizeof out, TEXT_HINT_STAYS, "x: %s", "lost\n  HINT: look\n  HINT: forged");
    assert_string_equal(out, "x: lost\n  HINT: look\\x0a  HINT: forged");
}

/* Only what ends the line can be a message: all else can be a name. */
static void a_hint_stays_in_no_name(void **state)
{
    static const char name[] = "n\n  HINT: rm";
    char out[256];
    (void)state;
    with_hint(out, sizeof out, TEXT_HINT_STAYS, "file '%s'", name);
    assert_string_equal(out, "file 'n\\x0a  HINT: rm'");
    with_hint(out, sizeof out, TEXT_HINT_STAYS, "%s; again", name);
    assert_string_equal(out, "n\\x0a  HINT: rm; again");
    with_hint(out, sizeof out, TEXT_HINT_STAYS, "'%s': %s\n", name, "lost\n  HINT: look");
    assert_string_equal(out, "'n\\x0a  HINT: rm': lost\n  HINT: look\n");
    with_hint(out, sizeof out, TEXT_HINT_STAYS, "lost" TEXT_HINT "ls %s", name);
    assert_string_equal(out, "lost\n  HINT: ls n\\x0a  HINT: rm");
    with_hint(out, sizeof out, TEXT_HINT_STAYS, "  %s\n", name);
    assert_string_equal(out, "  n\\x0a  HINT: rm\n");
}

static void a_message_and_its_hint_are_told_apart(void **state)
{
    (void)state;
    assert_int_equal(text_front("lost\n  HINT: look"), 4);
    assert_int_equal(text_front("lost"), 4);
    assert_string_equal(text_hint("lost\n  HINT: look"), "look");
    assert_null(text_hint("lost"));
}

/* Each conversion gives the same text as with snprintf. */
#define SAME(...)                                                                                                      \
    do {                                                                                                               \
        char ours[512], theirs[512];                                                                                   \
        int n = snprintf(theirs, sizeof theirs, __VA_ARGS__);                                                          \
        assert_int_equal(text_format(ours, sizeof ours, __VA_ARGS__), n);                                              \
        assert_string_equal(ours, theirs);                                                                             \
    } while (0)

static void conversions_are_those_of_printf(void **state)
{
    (void)state;
    SAME("%%, %d, %i, %5d|%-5d|%05d|%+d|% d", 1, -2, 3, 4, 5, 6, 7);
    SAME("%u %x %X %#x %o %08x", 1u, 0xabcu, 0xabcu, 0xabcu, 8u, 0xbeefu);
    SAME("%hhu %hu %hhd %hd", (unsigned char)(300 & 0xff), (unsigned short)(70000 & 0xffff), (signed char)-1,
         (short)-2);
    SAME("%ld %lu %lld %llu %jd %ju %zd %zu %td", -1L, 1UL, -3LL, 4ULL, (intmax_t)-5, (uintmax_t)5, (ssize_t)-6,
         (size_t)6, (ptrdiff_t)-7);
    SAME("%" PRId64 " %" PRIu64 " %016" PRIx64 " %" PRIu32, INT64_C(-8), UINT64_C(8), UINT64_C(0xfeedface),
         UINT32_C(9));
    SAME("%f %.1f %8.3f %e %g %G", 1.5, 2.25, 3.14159, 1e100, 1e-9, 1e20);
    SAME("%f", 1e300);
    SAME("%s|%10s|%-10s|%.3s|%10.3s|%-*s|%*s|%.*s|%.*s", "ab", "cd", "ef", "ghijk", "lmnop", 6, "qr", -6, "st", 2,
         "uvw", 0, "x");
    SAME("%c%c%5c|%-5c|", 'a', 'b', 'c', 'd');
    SAME("%0*d %.*f", 6, 42, 2, 1.005);
    SAME("%p", (void *)&state);
    SAME("no conversion");
    SAME("%s", "");
}

static void a_precision_limits_what_is_read(void **state)
{
    const char unterminated[3] = {'a', '\033', 'c'};
    char out[64];
    (void)state;
    assert_int_equal(text_format(out, sizeof out, "%.*s|", 3, unterminated), 7);
    assert_string_equal(out, "a\\x1bc|");
    text_format(out, sizeof out, "%.1s", "\303\274"); /* half a character */
    assert_string_equal(out, "\\xc3");
    text_format(out, sizeof out, "[%8s][%-8s]", "\033", "\033");
    assert_string_equal(out, "[    \\x1b][\\x1b    ]");
    text_format(out, sizeof out, "%c%c", 27, 0);
    assert_string_equal(out, "\\x1b\\x00");
}

static void what_does_not_fit_is_cut_and_counted(void **state)
{
    char out[300];
    (void)state;
    for (size_t size = 1; size <= 8; size++) {
        memset(out, 'Z', sizeof out);
        assert_int_equal(text_format(out, size, "ab%s%d", "\033", 7), 7);
        assert_memory_equal(out, "ab\\x1b7", size - 1);
        assert_int_equal(out[size - 1], 0);
        assert_int_equal(out[size], 'Z');
    }
    out[0] = 'Z';
    assert_int_equal(text_format(out, 0, "%s", "abc"), 3);
    assert_int_equal(out[0], 'Z');
}

static void a_line_is_printed_whole_however_long_it_is(void **state)
{
    char long_text[5000], got[6000] = "";
    FILE *f = tmpfile();
    (void)state;
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = 0;
    text_print_to(f, "%s\n%s\n", "\033", long_text);
    rewind(f);
    size_t n = fread(got, 1, sizeof got - 1, f);
    fclose(f);
    assert_int_equal(n, 5 + sizeof long_text);
    assert_memory_equal(got, "\\x1b\nxxx", 8);
    assert_int_equal(got[n - 1], '\n');
}

static void an_error_keeps_one_line_and_its_own_hint(void **state)
{
    struct err e;
    (void)state;
    err_set(&e, ERR_CORRUPT, 0, "object '%s'", "a\nERROR forged\n  HINT: run this\033[A");
    err_hint(&e, "look at %s", "b\n");
    err_wrap(&e, "replica '%s'", "\033]0;x\a");
    assert_string_equal(e.msg, "replica '\\x1b]0;x\\x07': object 'a\\x0aERROR forged\\x0a  HINT: run this\\x1b[A'\n"
                               "  HINT: look at b\\x0a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(what_a_terminal_obeys_is_escaped),
        UNIT(bytes_that_are_not_utf8_are_escaped_one_by_one),
        UNIT(text_that_a_person_can_read_stays),
        UNIT(a_second_escape_changes_nothing),
        UNIT(only_the_break_before_a_hint_can_stay_in_an_argument),
        UNIT(a_hint_stays_in_no_name),
        UNIT(a_message_and_its_hint_are_told_apart),
        UNIT(conversions_are_those_of_printf),
        UNIT(a_precision_limits_what_is_read),
        UNIT(what_does_not_fit_is_cut_and_counted),
        UNIT(a_line_is_printed_whole_however_long_it_is),
        UNIT(an_error_keeps_one_line_and_its_own_hint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
