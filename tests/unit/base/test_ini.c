/* base/ini.h: lines longer than inih allows are read whole, and no message shows a value. */
#include "failing_alloc.h"
#include "unit.h"

#include "base/ini.h"

static char got[8192];

static int note(void *context, const char *section, const char *key, const char *value, struct err *e)
{
    size_t n = strlen(got);
    if (context && strcmp(key, context) == 0)
        return err_set(e, ERR_CONFIG, 0, "'%s' is not wanted", key);
    if (*key)
        snprintf(got + n, sizeof got - n, "[%s] %s = '%s'\n", section, key, value);
    else
        snprintf(got + n, sizeof got - n, "[%s]\n", section);
    return 0;
}

static int read_text(const char *text, void *context, struct err *e)
{
    char *copy = strdup(text);
    got[0] = 0;
    int rc = ini_read_text(copy, strlen(text), note, context, e);
    free(copy);
    return rc;
}

static void sections_keys_and_values_come_in_order(void **state)
{
    struct err e;
    (void)state;
    assert_ok(read_text("\xef\xbb\xbf"
                        "before = 1\r\n"
                        "\n"
                        "[ a b ] # comment\r\n"
                        "  first  =  one two  \n"
                        "empty =\n"
                        "colon: x\n"
                        "[c]\n"
                        "last = 9",
                        NULL, &e),
              &e);
    assert_string_equal(
        got,
        "[] before = '1'\n[a b]\n[a b] first = 'one two'\n[a b] empty = ''\n[a b] colon = 'x'\n[c]\n[c] last = '9'\n");
}

static void a_section_ends_at_the_bracket_before_the_end_of_the_line(void **state)
{
    struct err e;
    (void)state;
    assert_ok(read_text("[db /srv/[ab]*.db]\n[a[]] ; see [c]\n[d]# ]\n[e] f\n[g] h]\n[ [i] ]\t\r\n", NULL, &e), &e);
    assert_string_equal(got, "[db /srv/[ab]*.db]\n[a[]]\n[d]\n[e]\n[g] h]\n[[i]]\n");
}

static void only_a_blank_before_it_makes_a_comment_inside_a_line(void **state)
{
    struct err e;
    (void)state;
    assert_ok(read_text("# a = 1\n  ; b = 2\n[s]\nc = x;y#z=\nd = x ;y\ne = x #y\nf =#\ng = #\n", NULL, &e), &e);
    assert_string_equal(got, "[s]\n[s] c = 'x;y#z='\n[s] d = 'x'\n[s] e = 'x'\n[s] f = '#'\n[s] g = ''\n");
}

static void an_indented_line_belongs_to_the_key_above_it(void **state)
{
    struct err e;
    (void)state;
    assert_ok(read_text("[s]\ns3 =\n  a = 1\n\tb=2\n  # comment\n  more\nt = 3\n[u]\n  v = 4\n", NULL, &e), &e);
    assert_string_equal(
        got, "[s]\n[s] s3 = ''\n[s] s3.a = '1'\n[s] s3.b = '2'\n[s] s3. = 'more'\n[s] t = '3'\n[u]\n[u] v = '4'\n");
}

static int check_long(void *context, const char *section, const char *key, const char *value, struct err *e)
{
    size_t *n = context;
    (void)e;
    assert_int_equal(strlen(section), *n);
    if (!*key) /* the beginning of a section */
        return 0;
    assert_string_equal(key, "k");
    assert_int_equal(strlen(value), *n);
    assert_int_equal(strspn(value, "v"), *n);
    return 0;
}

static void lines_of_any_length_are_read_whole(void **state)
{
    static const size_t lengths[] = {1,   40,  48,  49,  50,  51,  150, 190,  195,
                                     196, 197, 198, 199, 200, 201, 400, 4096, 100000};
    struct err e;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        size_t n = lengths[i], size = 0;
        char *text = malloc(3 * n + 64), *run = malloc(n + 1);
        memset(run, 's', n);
        run[n] = 0;
        size = (size_t)sprintf(text, "#%s\n[%s]\nk = ", n < 200 ? run : "", run);
        memset(text + size, 'v', n);
        text[size + n] = '\n';
        assert_ok(ini_read_text(text, size + n + 1, check_long, &n, &e), &e);
        free(text);
        free(run);
    }
}

static void what_is_wrong_is_named_by_line_and_never_quoted(void **state)
{
    static const struct {
        const char *text, *line;
    } wrong[] = {{"[a]\nSECRET\n", "line 2"},
                 {"a = SECRET\n[SECRET\n", "line 2"},
                 {"[]\nx = SECRET\n", "line 1"},
                 {"\n\n = SECRET\n", "line 3"},
                 {"[ ]\n", "line 1"},
                 {"SECRET", "line 1"}};
    struct err e;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        assert_error(read_text(wrong[i].text, NULL, &e), &e, ERR_CONFIG);
        assert_contains(e.msg, wrong[i].line);
        assert_null(strstr(e.msg, "SECRET"));
    }
    char nul[] = "a = 1\nb = \0SECRET\n";
    assert_error(ini_read_text(nul, sizeof nul - 1, note, NULL, &e), &e, ERR_CONFIG);
    assert_contains(e.msg, "line 2: NUL byte");
    char key[400];
    snprintf(key, sizeof key, "%0300d = 1\n", 0);
    assert_error(read_text(key, NULL, &e), &e, ERR_CONFIG);
    assert_contains(e.msg, "line 1");
}

static void a_callback_stops_it_and_the_line_is_named(void **state)
{
    char stop[] = "stop";
    struct err e;
    (void)state;
    assert_error(read_text("a = 1\n\nstop = 2\nb = 3\n", stop, &e), &e, ERR_CONFIG);
    assert_string_equal(e.msg, "line 3: 'stop' is not wanted");
    assert_string_equal(got, "[] a = '1'\n");
}

static void a_section_without_keys_is_delivered_too(void **state)
{
    char stop[] = "";
    struct err e;
    (void)state;
    assert_ok(read_text("[a]\n# k = 1\n[b]\n[a]\nk = 2\n[c]", NULL, &e), &e);
    assert_string_equal(got, "[a]\n[b]\n[a]\n[a] k = '2'\n[c]\n");
    assert_error(read_text("k = 1\n[a]\nk = 2\n", stop, &e), &e, ERR_CONFIG);
    assert_contains(e.msg, "line 2: ");
    assert_string_equal(got, "[] k = '1'\n");
}

static void files_are_read_up_to_their_ceiling(void **state)
{
    const char *path = temp_path("file");
    struct err e;
    (void)state;
    assert_error(ini_read(path, note, NULL, &e), &e, ERR_NOTFOUND);
    assert_ok(ini_read("/dev/null", note, NULL, &e), &e);
    assert_error(ini_read(temp_dir, note, NULL, &e), &e, ERR_CONFIG);
    assert_int_equal(mkfifo(temp_path("fifo"), 0600), 0);
    assert_error(ini_read(temp_path("fifo"), note, NULL, &e), &e, ERR_CONFIG);
    char *text = malloc(INI_FILE_MAX + 1);
    memset(text, '\n', INI_FILE_MAX + 1);
    memcpy(text + INI_FILE_MAX - 5, "a = 1", 5);
    got[0] = 0;
    assert_int_equal(file_write(path, text, INI_FILE_MAX), 0);
    assert_ok(ini_read(path, note, NULL, &e), &e);
    assert_string_equal(got, "[] a = '1'\n");
    assert_int_equal(file_write(path, text, INI_FILE_MAX + 1), 0);
    assert_error(ini_read(path, note, NULL, &e), &e, ERR_CONFIG);
    assert_contains(e.msg, path);
    free(text);
}

static int read_file(void *context, struct err *e)
{
    got[0] = 0;
    int rc = ini_read(context, note, NULL, e);
    if (rc == 0)
        assert_contains(got, "a = '1'");
    return rc;
}

static void each_allocation_of_the_reader_fails_once(void **state)
{
    char path[1024];
    (void)state;
    snprintf(path, sizeof path, "%s", temp_path("file"));
    assert_int_equal(file_write(path, "[s]\na = 1\n", 10), 0);
    assert_each_allocation_fails_once(read_file, path);
}

static void byte_order_marks_are_no_part_of_the_first_key(void **state)
{
    struct err e;
    (void)state;
    assert_error(read_text("\xef\xbb\xbf\xef\xbb\xbf = 1\n", NULL, &e), &e, ERR_CONFIG);
    assert_contains(e.msg, "missing key");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(byte_order_marks_are_no_part_of_the_first_key),
        UNIT(sections_keys_and_values_come_in_order),
        UNIT(a_section_ends_at_the_bracket_before_the_end_of_the_line),
        UNIT(only_a_blank_before_it_makes_a_comment_inside_a_line),
        UNIT(an_indented_line_belongs_to_the_key_above_it),
        UNIT(lines_of_any_length_are_read_whole),
        UNIT(what_is_wrong_is_named_by_line_and_never_quoted),
        UNIT(a_callback_stops_it_and_the_line_is_named),
        UNIT(a_section_without_keys_is_delivered_too),
        UNIT_IN_TEMP(files_are_read_up_to_their_ceiling),
        UNIT_IN_TEMP(each_allocation_of_the_reader_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
