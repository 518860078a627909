/* cli/tables.c */
#include "cli/tables.h"

#include "cli/cli.h"
#include "cli/commands.h"
#include "storage/open.h"

static struct json *flag_json(const struct flag *f)
{
    struct json *j = json_object_new();
    const char letter[2] = {f->letter, 0};
    json_set_text(j, "name", f->name);
    if (f->letter)
        json_set_text(j, "letter", letter);
    if (f->value_name)
        json_set_text(j, "value", f->value_name);
    json_set_text(j, "help", f->help);
    return j;
}

static struct json *command_json(const struct command *c)
{
    static const char *const taken[] = {
        [OPTIONS_NONE] = "none", [OPTIONS_RETENTION] = "retention", [OPTIONS_ALL] = "all"};
    struct json *j = json_object_new(), *words = json_list_new(), *flags = json_list_new();
    const struct flag *f = NULL;
    for (size_t i = 0; i < c->word_count; i++) {
        struct json *word = json_object_new();
        json_set_text(word, "name", c->words[i].name);
        json_set_number(word, "max", c->words[i].max);
        json_push(words, word);
    }
    for (size_t i = 0; (f = command_flag(c, i)); i++)
        json_push(flags, flag_json(f));
    json_set_text(j, "name", c->name);
    json_set_text(j, "options", taken[c->options]);
    json_set(j, "words", words);
    json_set(j, "flags", flags);
    return j;
}

static struct json *option_json(const struct option_spec *o)
{
    struct json *j = json_object_new();
    char fallback[OPTION_TEXT_MAX], min[OPTION_TEXT_MAX], max[OPTION_TEXT_MAX];
    option_format_default(o, fallback);
    option_format_limits(o, min, max);
    json_set_text(j, "name", o->name);
    json_set_text(j, "default", fallback);
    json_set_text(j, "min", min);
    json_set_text(j, "max", max);
    json_set_flag(j, "never", o->may_never);
    json_set_flag(j, "yes_no", o->kind == OPTION_YES_NO);
    json_set_text(j, "value", o->value_name);
    json_set_text(j, "help", o->help);
    return j;
}

static struct json *store_json(const struct store_kind *kind)
{
    struct json *j = json_object_new(), *keys = json_list_new();
    struct store_url_option o;
    for (size_t i = 0; kind->option && kind->option(i, &o); i++) {
        struct json *key = json_object_new();
        json_set_text(key, "name", o.name);
        json_set_text(key, "value", o.value_name);
        json_set_text(key, "help", o.help);
        json_push(keys, key);
    }
    json_set_text(j, "name", kind->name);
    json_set_text(j, "scheme", kind->scheme);
    json_set(j, "keys", keys);
    return j;
}

int tables_print(struct err *e)
{
    struct json *j = json_object_new(), *list = json_list_new(), *options = json_list_new(), *stores = json_list_new();
    const struct store_kind *kind = NULL;
    for (size_t i = 0; i < command_count; i++)
        json_push(list, command_json(commands[i]));
    for (size_t i = 0; i < option_count; i++)
        json_push(options, option_json(&option_table[i]));
    for (size_t i = 0; (kind = store_kind_at(i)); i++)
        json_push(stores, store_json(kind));
    json_set(j, "commands", list);
    json_set(j, "options", options);
    json_set(j, "stores", stores);
    return cli_print_json(j, e);
}
