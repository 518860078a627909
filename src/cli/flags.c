/* cli/flags.c */
#include "cli/flags.h"

#include "base/path.h"
#include "base/units.h"

#include <assert.h>
#include <string.h>

#define HELP_FLAG_NAME "help"
#define VERSION_FLAG_NAME "version"
#define CONFIG_FLAG_NAME "config"

static const struct flag help_flag = {
    .name = HELP_FLAG_NAME, .letter = 'h', .kind = FLAG_HELP, .help = "show this help"};

static const struct flag version_flag = {
    .name = VERSION_FLAG_NAME, .letter = 'v', .kind = FLAG_VERSION, .help = "show the version"};

struct parsing {
    const struct command *command;
    char *request;
    int argc, next; /* next: index of the first argument that was not read */
    char **argv;
    size_t words;
    bool only_words, help, version;
};

/* A flag as it was written. */
struct written {
    const char *name; /* without dashes, not terminated */
    size_t name_bytes;
    const char *value; /* after the equals sign; NULL: none */
};

/* ---- the table */

const struct flag *command_flag(const struct command *c, size_t index)
{
    if (index < c->flag_count)
        return &c->flags[index];
    if (index == c->flag_count)
        return &version_flag;
    return index == c->flag_count + 1 ? &help_flag : NULL;
}

bool flag_is_path(const char *value_name)
{
    static const char *const paths[] = {"FILE", "PATH", "DIR", "FOLDER", "DB"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        if (strcmp(value_name, paths[i]) == 0)
            return true;
    return false;
}

const struct option_spec *command_option(const struct command *c, size_t index)
{
    for (size_t i = 0; c->options != OPTIONS_NONE && i < option_count; i++)
        if ((c->options == OPTIONS_ALL || option_is_retention(&option_table[i])) && index-- == 0)
            return &option_table[i];
    return NULL;
}

static bool is_name(const struct written *w, const char *name)
{
    return strlen(name) == w->name_bytes && memcmp(name, w->name, w->name_bytes) == 0;
}

static const struct flag *find_flag(const struct command *c, const struct written *w)
{
    const struct flag *f = NULL;
    for (size_t i = 0; (f = command_flag(c, i)); i++)
        if (is_name(w, f->name) || (f->letter && w->name_bytes == 1 && *w->name == f->letter))
            return f;
    return NULL;
}

static const struct option_spec *find_option(const struct command *c, const struct written *w)
{
    const struct option_spec *o = NULL;
    for (size_t i = 0; (o = command_option(c, i)); i++)
        if (is_name(w, o->name))
            return o;
    return NULL;
}

/* ---- values */

/* The value after the equals sign, or the next argument. NULL: it is missing. */
static const char *take_value(struct parsing *p, const struct written *w)
{
    if (w->value || p->next == p->argc)
        return w->value;
    return p->argv[p->next++];
}

static int missing_value(const char *name, const char *value_name, struct err *e)
{
    return err_set(e, ERR_CONFIG, 0, "missing value: --%s %s", name, value_name);
}

/* False: the value is invalid. */
static bool store_value(const struct flag *f, const char *value, char *request)
{
    void *variable = request + f->offset;
    uint64_t n = 0;
    switch (f->kind) {
    case FLAG_TEXT:
        *(const char **)variable = value;
        return true;
    case FLAG_NUMBER:
        if (!units_parse(value, UNITS_NONE, &n) || n < 1 || n > f->max)
            return false;
        *(uint64_t *)variable = n;
        return true;
    case FLAG_MS:
        if (!units_parse(value, UNITS_MS, &n) || n > f->max)
            return false;
        *(uint64_t *)variable = n;
        return true;
    default:
        assert(f->kind == FLAG_READ);
        return f->read(value, request);
    }
}

static void store_presence(const struct flag *f, struct parsing *p)
{
    void *variable = p->request + f->offset;
    if (f->kind == FLAG_HELP)
        p->help = true;
    else if (f->kind == FLAG_VERSION)
        p->version = true;
    else if (f->kind == FLAG_BOOL)
        *(bool *)variable = true;
    else if (f->kind == FLAG_SET)
        *(unsigned *)variable |= f->bits;
    else
        *(unsigned *)variable &= ~f->bits;
}

static int parse_flag(struct parsing *p, const struct flag *f, const struct written *w, struct err *e)
{
    if (!f->value_name && w->value)
        return err_set(e, ERR_CONFIG, 0, "--%s takes no value", f->name);
    if (!f->value_name) {
        store_presence(f, p);
        return 0;
    }
    const char *value = take_value(p, w);
    if (!value)
        return missing_value(f->name, f->value_name, e);
    if (flag_is_path(f->value_name) && path_check_given(value, e))
        return err_wrap(e, "--%s", f->name);
    if (!store_value(f, value, p->request))
        return err_set(e, ERR_CONFIG, 0, "--%s: invalid value '%.60s', expected %s", f->name, value, f->expects);
    return 0;
}

static int parse_option(struct parsing *p, const struct option_spec *spec, const struct written *w, struct err *e)
{
    struct given_options *o = (struct given_options *)(void *)(p->request + p->command->options_offset);
    if (o->count == GIVEN_OPTIONS_MAX)
        return err_set(e, ERR_CONFIG, 0, "more than %d options", GIVEN_OPTIONS_MAX);
    const char *value = take_value(p, w);
    if (!value)
        return missing_value(spec->name, spec->value_name, e);
    o->given[o->count].value = value;
    o->given[o->count++].spec = spec;
    return 0;
}

/* ---- arguments */

static int parse_dashed(struct parsing *p, const char *argument, struct err *e)
{
    struct written w = {.name = argument + (argument[1] == '-' ? 2 : 1)};
    w.name_bytes = strcspn(w.name, "=");
    w.value = w.name[w.name_bytes] ? w.name + w.name_bytes + 1 : NULL;
    const struct flag *f = find_flag(p->command, &w);
    if (f)
        return parse_flag(p, f, &w, e);
    const struct option_spec *o = find_option(p->command, &w);
    if (o)
        return parse_option(p, o, &w, e);
    return err_set(e, ERR_CONFIG, 0, "unknown option '%.*s'", (int)(w.name + w.name_bytes - argument), argument);
}

/* The entry of the table that the next word belongs to. NULL: the command takes no more words. */
static const struct word *next_word(const struct parsing *p)
{
    const struct command *c = p->command;
    if (p->words < c->word_count)
        return &c->words[p->words];
    const struct word *last = c->word_count ? &c->words[c->word_count - 1] : NULL;
    return last && p->words - (c->word_count - 1) < last->max ? last : NULL;
}

static int parse_word(struct parsing *p, const char *text, struct err *e)
{
    const struct command *c = p->command;
    const struct word *w = next_word(p), *last = c->word_count ? &c->words[c->word_count - 1] : NULL;
    int shown = (int)strcspn(text, "?"); /* the query of a URL can hold secrets */
    if (!last)
        return err_set(e, ERR_CONFIG, 0, "unexpected argument '%.*s'", shown, text);
    if (!w && last->max > 1)
        return err_set(e, ERR_CONFIG, 0, "more than %u arguments for %s", last->max, last->name);
    if (!w)
        return err_set(e, ERR_CONFIG, 0, "unexpected argument '%.*s': only one %s", shown, text, last->name);
    if (flag_is_path(w->name) && path_check_given(text, e))
        return err_wrap(e, "%s", w->name);
    p->words++;
    const char **variable = (const char **)(void *)(p->request + w->offset);
    size_t *count = w->max > 1 ? (size_t *)(void *)(p->request + w->count_offset) : NULL;
    variable[count ? (*count)++ : 0] = text;
    return 0;
}

static bool has_config(const struct parsing *p)
{
    for (size_t i = 0; i < p->command->flag_count; i++)
        if (strcmp(p->command->flags[i].name, CONFIG_FLAG_NAME) == 0)
            return *(const char *const *)(void *)(p->request + p->command->flags[i].offset) != NULL;
    return false;
}

static int check_words(const struct parsing *p, struct err *e)
{
    const struct command *c = p->command;
    for (size_t i = p->words; i < c->word_count; i++)
        if (c->words[i].needed == WORD_NEEDED || (c->words[i].needed == WORD_OR_CONFIG && !has_config(p)))
            return err_set(e, ERR_CONFIG, 0, "missing %s", c->words[i].meaning);
    return 0;
}

/* Asserts that the table of a command is consistent, and that there is a request if it needs one. */
static void assert_table(const struct command *c, const void *request)
{
    assert(request || (c->flag_count == 0 && c->word_count == 0 && c->options == OPTIONS_NONE));
    for (size_t i = 0; i < c->word_count; i++)
        assert(c->words[i].max == 1 || (c->words[i].max > 1 && i + 1 == c->word_count)); /* a list comes last */
    for (size_t i = 0; i < c->flag_count; i++)
        assert((c->flags[i].kind >= FLAG_TEXT) == (c->flags[i].value_name != NULL));
}

enum flags_outcome flags_parse(const struct command *c, int argc, char **argv, void *request, struct err *e)
{
    struct parsing p = {.command = c, .request = request, .argc = argc, .argv = argv};
    assert_table(c, request);
    while (p.next < argc && !p.help && !p.version) {
        const char *argument = argv[p.next++];
        bool dashed = !p.only_words && argument[0] == '-' && argument[1];
        if (dashed && strcmp(argument, "--") == 0)
            p.only_words = true;
        else if (dashed ? parse_dashed(&p, argument, e) : parse_word(&p, argument, e))
            return FLAGS_WRONG;
    }
    if (p.help || p.version)
        return p.help ? FLAGS_HELP : FLAGS_VERSION;
    return check_words(&p, e) ? FLAGS_WRONG : FLAGS_PARSED;
}

int given_options_apply(const struct given_options *o, struct options *to, struct err *e)
{
    assert(o->count <= GIVEN_OPTIONS_MAX);
    for (size_t i = 0; i < o->count; i++)
        if (options_set(to, o->given[i].spec->name, o->given[i].value, e))
            return -1;
    return 0;
}
