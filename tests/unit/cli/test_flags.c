/* cli/flags.h: the parser, with a table of this test; then the tables of the commands. */
#include "unit.h"

#include "cli/cli.h"
#include "cli/commands.h"

#include <ctype.h>

/* ---- the parser */

struct request {
    const char *path, *db;
    const char *urls[3];
    size_t url_count;
    bool once;
    uint64_t number, time_ms;
    unsigned bits;
    int level;
    struct given_options options;
};

static bool read_level(const char *value, void *request)
{
    struct request *r = request;
    r->level = strcmp(value, "high") == 0 ? 2 : 1;
    return strcmp(value, "high") == 0 || strcmp(value, "low") == 0;
}

static const struct flag flags[] = {
    FLAG_CONFIG(struct request, path, "a file"),
    {.name = "once", FLAG_INTO(struct request, once), .help = "once"},
    {.name = "number",
     .letter = 'n',
     FLAG_INTO(struct request, number),
     .max = 64,
     .value_name = "N",
     .expects = "a number from 1 to 64",
     .help = "a number"},
    {.name = "time",
     .kind = FLAG_MS,
     .offset = offsetof(struct request, time_ms),
     .max = 60000,
     .value_name = "TIME",
     .expects = "a time up to 1m",
     .help = "a time"},
    {.name = "set", FLAG_INTO(struct request, bits), .bits = 4, .help = "sets a bit"},
    {.name = "clear", .kind = FLAG_CLEAR, .offset = offsetof(struct request, bits), .bits = 4, .help = "clears it"},
    {.name = "level",
     .kind = FLAG_READ,
     .read = read_level,
     .value_name = "high|low",
     .expects = "high or low",
     .help = "a level"},
};

static const struct word words[] = {
    {.name = "DB", .meaning = "database", .max = 1, .offset = offsetof(struct request, db), .needed = WORD_OR_CONFIG},
    {.name = "URL",
     .meaning = "replica URL",
     .max = 3,
     .offset = offsetof(struct request, urls),
     .count_offset = offsetof(struct request, url_count),
     .needed = WORD_OPTIONAL},
};

static const struct command sample = {
    .name = "sample",
    .flags = flags,
    .flag_count = COUNT_OF(flags),
    .words = words,
    .word_count = COUNT_OF(words),
    .options = OPTIONS_RETENTION,
    .options_offset = offsetof(struct request, options),
};

static struct request request;
static bool help;
static struct err e;

/* Parses a NULL-terminated list of arguments into `request`. */
static int parse_into(const struct command *c, const char *const *arguments)
{
    char *argv[96];
    int argc = 0;
    for (; arguments[argc]; argc++)
        argv[argc] = (char *)(uintptr_t)arguments[argc];
    request = (struct request){.number = 7};
    e = (struct err){.code = ERR_NONE};
    enum flags_outcome outcome = flags_parse(c, argc, argv, &request, &e);
    help = outcome == FLAGS_HELP;
    return outcome == FLAGS_WRONG ? -1 : 0;
}

#define PARSE(...) parse_into(&sample, (const char *const[]){__VA_ARGS__, NULL})

#define REFUSED(message, ...)                                                                                          \
    do {                                                                                                               \
        assert_error(PARSE(__VA_ARGS__), &e, ERR_CONFIG);                                                              \
        assert_string_equal(e.msg, message);                                                                           \
    } while (0)

static void each_kind_of_flag_stores_its_value(void **state)
{
    (void)state;
    assert_ok(PARSE("db", "--once", "--number", "64", "--time", "2s", "--set", "--level", "high", "-c", "file"), &e);
    assert_string_equal(request.db, "db");
    assert_true(request.once);
    assert_int_equal(request.number, 64);
    assert_int_equal(request.time_ms, 2000);
    assert_int_equal(request.bits, 4);
    assert_int_equal(request.level, 2);
    assert_string_equal(request.path, "file");
    assert_false(help);
}

static void a_flag_that_is_not_given_keeps_its_default(void **state)
{
    (void)state;
    assert_ok(PARSE("db"), &e);
    assert_int_equal(request.number, 7);
    assert_false(request.once);
    assert_null(request.path);
    assert_int_equal(request.url_count, 0);
    assert_int_equal(request.options.count, 0);
}

static void a_value_is_the_next_argument_or_follows_an_equals_sign(void **state)
{
    (void)state;
    assert_ok(PARSE("--number", "5", "db"), &e);
    assert_int_equal(request.number, 5);
    assert_ok(PARSE("--number=6", "db"), &e);
    assert_int_equal(request.number, 6);
    assert_ok(PARSE("-n", "8", "db"), &e);
    assert_int_equal(request.number, 8);
    assert_ok(PARSE("-n=9", "db"), &e);
    assert_int_equal(request.number, 9);
    assert_ok(PARSE("--config=a=b", "--time=0"), &e);
    assert_string_equal(request.path, "a=b");
    assert_ok(PARSE("--config="), &e);
    assert_string_equal(request.path, "");
}

static void a_value_may_begin_with_a_dash(void **state)
{
    (void)state;
    assert_ok(PARSE("-c", "-file"), &e);
    assert_string_equal(request.path, "-file");
    assert_ok(PARSE("-c", "--"), &e);
    assert_string_equal(request.path, "--");
}

static void one_dash_and_two_are_the_same(void **state)
{
    (void)state;
    assert_ok(PARSE("-once", "--n", "3", "db"), &e);
    assert_true(request.once);
    assert_int_equal(request.number, 3);
}

static void an_unknown_flag_is_refused(void **state)
{
    (void)state;
    REFUSED("unknown option '--twice'", "--twice", "db");
    REFUSED("unknown option '-x'", "-x", "db");
    REFUSED("unknown option '--onc'", "--onc", "db");
    REFUSED("unknown option '--once-more'", "--once-more", "db");
    REFUSED("unknown option '--twice'", "--twice=5", "db");
    REFUSED("unknown option '-'", "-=5", "db");
    REFUSED("unknown option '--put-rate'", "--put-rate", "1/s", "db");
}

static void a_missing_value_is_refused(void **state)
{
    (void)state;
    REFUSED("missing value: --config FILE", "db", "-c");
    REFUSED("missing value: --number N", "db", "--number");
    REFUSED("missing value: --grace TIME", "db", "--grace");
}

static void a_value_for_a_flag_without_one_is_refused(void **state)
{
    (void)state;
    REFUSED("--once takes no value", "--once=yes", "db");
    REFUSED("--set takes no value", "--set=", "db");
    REFUSED("--help takes no value", "-h=1", "db");
}

static void an_invalid_value_is_refused(void **state)
{
    (void)state;
    REFUSED("--number: invalid value '0', expected a number from 1 to 64", "--number", "0");
    REFUSED("--number: invalid value '65', expected a number from 1 to 64", "--number", "65");
    REFUSED("--number: invalid value '', expected a number from 1 to 64", "--number=");
    REFUSED("--number: invalid value '-1', expected a number from 1 to 64", "--number", "-1");
    REFUSED("--number: invalid value '5x', expected a number from 1 to 64", "--number", "5x");
    REFUSED("--number: invalid value '99999999999999999999', expected a number from 1 to 64", "--number",
            "99999999999999999999");
    REFUSED("--time: invalid value '2m', expected a time up to 1m", "--time", "2m");
    REFUSED("--level: invalid value 'middle', expected high or low", "--level", "middle");
}

static void the_last_of_repeated_flags_counts(void **state)
{
    (void)state;
    assert_ok(PARSE("-n", "1", "--number=2", "--once", "--once", "--set", "--clear", "db"), &e);
    assert_int_equal(request.number, 2);
    assert_true(request.once);
    assert_int_equal(request.bits, 0);
    assert_ok(PARSE("--clear", "--set", "db"), &e);
    assert_int_equal(request.bits, 4);
}

static void two_dashes_end_the_flags(void **state)
{
    (void)state;
    assert_ok(PARSE("--once", "--", "--once=1", "--", "-c"), &e);
    assert_string_equal(request.db, "--once=1");
    assert_int_equal(request.url_count, 2);
    assert_string_equal(request.urls[0], "--");
    assert_string_equal(request.urls[1], "-c");
}

static void a_lone_dash_is_a_word(void **state)
{
    (void)state;
    assert_ok(PARSE("db", "-"), &e);
    assert_int_equal(request.url_count, 1);
    assert_string_equal(request.urls[0], "-");
}

static void what_has_the_place_of_a_path_must_be_one(void **state)
{
    static const char *const wrong[] = {"-",       "~",         "~/x",       "s3:b",     "s3:/b/x", "S3://b/x",
                                        "file:/x", "file:///x", "sftp:h:/p", "gs://b/x", "x://y"};
    static const char *const right[] = {"./-", "./~/x", "~x", "./s3:b", "a:b.db", "/a/s3:b", "a/b://c", "x"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        assert_error(PARSE(wrong[i]), &e, ERR_CONFIG);
        assert_contains(e.msg, "HINT");
        assert_error(PARSE("db", "--config", wrong[i]), &e, ERR_CONFIG);
        assert_ok(PARSE("db", wrong[i]), &e); /* a URL is for the stores to judge */
    }
    for (size_t i = 0; i < COUNT_OF(right); i++) {
        assert_ok(PARSE(right[i]), &e);
        assert_string_equal(request.db, right[i]);
    }
}

static void words_fill_their_places_in_order(void **state)
{
    (void)state;
    assert_ok(PARSE("db", "one", "--once", "two", "three"), &e);
    assert_string_equal(request.db, "db");
    assert_int_equal(request.url_count, 3);
    assert_string_equal(request.urls[2], "three");
    assert_true(request.once);
}

static void too_many_words_are_refused(void **state)
{
    const struct command one = {.name = "one", .words = words, .word_count = 1}, none = {.name = "none"};
    (void)state;
    REFUSED("more than 3 arguments for URL", "db", "1", "2", "3", "4");
    assert_error(parse_into(&one, (const char *const[]){"db", "x", NULL}), &e, ERR_CONFIG);
    assert_string_equal(e.msg, "unexpected argument 'x': only one DB");
    assert_error(parse_into(&none, (const char *const[]){"x", NULL}), &e, ERR_CONFIG);
    assert_string_equal(e.msg, "unexpected argument 'x'");
    const char *const with_secret[] = {"s3://b/p?header=x-key:sesame", NULL};
    assert_error(parse_into(&none, with_secret), &e, ERR_CONFIG);
    assert_string_equal(e.msg, "unexpected argument 's3://b/p'");
}

static void a_needed_word_may_be_left_out_only_with_a_configuration(void **state)
{
    (void)state;
    REFUSED("missing database", "--once");
    assert_ok(PARSE("-c", "file"), &e);
    const struct word always = {.name = "DB", .meaning = "database", .max = 1, .needed = WORD_NEEDED};
    const struct command c = {
        .name = "c", .flags = flags, .flag_count = COUNT_OF(flags), .words = &always, .word_count = 1};
    assert_error(parse_into(&c, (const char *const[]){"-c", "file", NULL}), &e, ERR_CONFIG);
}

static void help_ends_parsing(void **state)
{
    (void)state;
    assert_ok(PARSE("--help", "--twice"), &e);
    assert_true(help);
    assert_ok(PARSE("-h"), &e);
    assert_true(help);
    REFUSED("unknown option '--twice'", "--twice", "--help");
}

static void options_are_noted_in_their_order_and_applied(void **state)
{
    struct options o = options_default();
    (void)state;
    assert_ok(PARSE("db", "--grace", "2h", "--keep-daily=3", "--grace", "3h"), &e);
    assert_int_equal(request.options.count, 3);
    assert_string_equal(request.options.given[1].spec->name, "keep-daily");
    assert_ok(given_options_apply(&request.options, &o, &e), &e);
    assert_int_equal(o.grace_ms, 3 * 3600000);
    assert_int_equal(o.keep_daily, 3);
    assert_ok(PARSE("db", "--keep-daily=none"), &e);
    assert_error(given_options_apply(&request.options, &o, &e), &e, ERR_CONFIG);
    assert_contains(e.msg, "option 'keep-daily': invalid value 'none'");
}

static void more_options_than_fit_are_refused(void **state)
{
    const char *arguments[GIVEN_OPTIONS_MAX + 2] = {NULL};
    (void)state;
    for (size_t i = 0; i <= GIVEN_OPTIONS_MAX; i++)
        arguments[i] = "--grace=1h";
    assert_error(parse_into(&sample, arguments), &e, ERR_CONFIG);
    assert_string_equal(e.msg, "more than 64 options");
}

/* ---- the tables of the commands */

/* Is there "--name" or "-c" in the text, not as a part of a longer name? */
static bool mentions(const char *text, const char *dashed)
{
    size_t n = strlen(dashed);
    for (const char *at = strstr(text, dashed); at; at = strstr(at + 1, dashed))
        if ((at == text || strchr(" [", at[-1])) && !isalpha((unsigned char)at[n]) && at[n] != '-')
            return true;
    return false;
}

static void flag_is_whole(const struct command *c, const struct flag *f)
{
    if (!f->help || !*f->help)
        fail_msg("%s --%s has no help", c->name, f->name);
    if (strspn(f->name, "abcdefghijklmnopqrstuvwxyz-") != strlen(f->name) || strlen(f->name) < 2)
        fail_msg("%s --%s: not a name", c->name, f->name);
    bool takes_value = f->kind >= FLAG_TEXT && f->kind <= FLAG_READ;
    if (takes_value != (f->value_name != NULL))
        fail_msg("%s --%s: its kind and its value name disagree", c->name, f->name);
    if (takes_value && f->kind != FLAG_TEXT && !f->expects)
        fail_msg("%s --%s: does not say what it expects", c->name, f->name);
    if ((f->kind == FLAG_SET || f->kind == FLAG_CLEAR) && f->bits == 0)
        fail_msg("%s --%s sets nothing", c->name, f->name);
    if ((f->kind == FLAG_NUMBER || f->kind == FLAG_MS) && f->max == 0)
        fail_msg("%s --%s has no maximum", c->name, f->name);
    if ((f->kind == FLAG_READ) != (f->read != NULL))
        fail_msg("%s --%s: its kind and its function disagree", c->name, f->name);
}

static void every_flag_of_every_command_is_whole(void **state)
{
    const struct flag *f = NULL;
    (void)state;
    for (size_t i = 0; i < command_count; i++)
        for (size_t k = 0; (f = command_flag(commands[i], k)); k++)
            flag_is_whole(commands[i], f);
}

static void no_command_has_a_name_twice(void **state)
{
    const struct flag *f = NULL, *g = NULL;
    const struct option_spec *o = NULL;
    (void)state;
    for (size_t i = 0; i < command_count; i++) {
        assert_ptr_equal(command_find(commands[i]->name), commands[i]);
        for (size_t k = 0; (f = command_flag(commands[i], k)); k++) {
            for (size_t m = k + 1; (g = command_flag(commands[i], m)); m++)
                if (strcmp(f->name, g->name) == 0 || (f->letter && f->letter == g->letter))
                    fail_msg("%s: --%s and --%s", commands[i]->name, f->name, g->name);
            for (size_t m = 0; (o = command_option(commands[i], m)); m++)
                assert_string_not_equal(f->name, o->name);
        }
    }
}

static void every_command_can_run_and_says_what_it_does(void **state)
{
    (void)state;
    for (size_t i = 0; i < command_count; i++) {
        const struct command *c = commands[i];
        assert_non_null(c->run);
        assert_true(c->summary && *c->summary && c->description && *c->description);
        assert_memory_equal(c->example, c->name, strlen(c->name));
        for (size_t k = 0; k < c->word_count; k++) {
            assert_true(c->words[k].name && c->words[k].meaning && c->words[k].max > 0);
            assert_true(c->words[k].max == 1 || k + 1 == c->word_count); /* a list comes last */
        }
        assert_true(c->synopsis || (c->arguments != NULL) == (c->word_count > 0));
    }
}

static void a_synopsis_written_by_hand_has_every_flag(void **state)
{
    const struct flag *f = NULL;
    (void)state;
    for (size_t i = 0; i < command_count; i++)
        for (size_t k = 0; commands[i]->synopsis && (f = command_flag(commands[i], k)); k++) {
            char dashed[64];
            const char letter[2] = {f->letter, 0};
            snprintf(dashed, sizeof dashed, "%s%s", f->letter ? "-" : "--", f->letter ? letter : f->name);
            if (f->kind != FLAG_HELP && f->kind != FLAG_VERSION && !mentions(commands[i]->synopsis, dashed))
                fail_msg("the synopsis of %s lacks %s", commands[i]->name, dashed);
        }
}

static void options_are_all_or_those_of_retention_or_none(void **state)
{
    const struct option_spec *o = NULL;
    size_t all = 0, kept = 0;
    (void)state;
    while (command_option(&replicate_command, all))
        all++;
    for (; (o = command_option(&prune_command, kept)); kept++)
        assert_true(option_is_retention(o));
    assert_int_equal(all, option_count);
    assert_true(kept > 0 && kept < all);
    assert_null(command_option(&list_command, 0));
    assert_true(option_count <= GIVEN_OPTIONS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(each_kind_of_flag_stores_its_value),
        UNIT(a_flag_that_is_not_given_keeps_its_default),
        UNIT(a_value_is_the_next_argument_or_follows_an_equals_sign),
        UNIT(a_value_may_begin_with_a_dash),
        UNIT(one_dash_and_two_are_the_same),
        UNIT(an_unknown_flag_is_refused),
        UNIT(a_missing_value_is_refused),
        UNIT(a_value_for_a_flag_without_one_is_refused),
        UNIT(an_invalid_value_is_refused),
        UNIT(the_last_of_repeated_flags_counts),
        UNIT(two_dashes_end_the_flags),
        UNIT(a_lone_dash_is_a_word),
        UNIT(what_has_the_place_of_a_path_must_be_one),
        UNIT(words_fill_their_places_in_order),
        UNIT(too_many_words_are_refused),
        UNIT(a_needed_word_may_be_left_out_only_with_a_configuration),
        UNIT(help_ends_parsing),
        UNIT(options_are_noted_in_their_order_and_applied),
        UNIT(more_options_than_fit_are_refused),
        UNIT(every_flag_of_every_command_is_whole),
        UNIT(no_command_has_a_name_twice),
        UNIT(every_command_can_run_and_says_what_it_does),
        UNIT(a_synopsis_written_by_hand_has_every_flag),
        UNIT(options_are_all_or_those_of_retention_or_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
