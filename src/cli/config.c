/* cli/config.c - `seawall config`: checks a configuration file, and prints a configuration file with all values.
 *
 * Everything is checked before the first line is printed. Headers can hold secrets: only their names are printed, in
 * comments. */
#include "base/json.h"
#include "cli/cli.h"
#include "config/members.h"
#include "config/variables.h"
#include "daemon/prune.h"
#include "storage/open.h"

#include <stdio.h>
#include <string.h>

#define HEADER "header="

/* Checks a URL with values for its variables. */
static int check_url(const char *url, struct err *e)
{
    char expanded[CONFIG_URL_MAX], shown[STORE_URL_MAX];
    return variables_expand(url, "/folder/name", expanded, sizeof expanded, e) || store_check(expanded, shown, e);
}

static int check_urls(const struct config *c, const char *path, struct err *e)
{
    for (size_t i = 0; i < c->replica_count; i++)
        if (check_url(c->replicas[i].url, e))
            return config_blame(path, "replica", c->replicas[i].name, NULL, e);
    for (size_t i = 0; i < c->db_count; i++)
        for (size_t k = 0; k < c->dbs[i].replica_count; k++) {
            const char *word = c->dbs[i].words[k];
            if (!config_find_replica(c, word) && check_url(word, e))
                return config_blame(path, "db", c->dbs[i].path, word, e);
        }
    return 0;
}

/* A daemon refuses to start with a policy that keeps nothing. */
static int check_policy(const struct options *o, struct err *e)
{
    struct retention_policy policy = prune_policy(o);
    return o->prune_interval_ms == OPTION_NEVER ? 0 : retention_policy_check(&policy, e);
}

static int check_policies(const struct config *c, const char *path, struct err *e)
{
    for (size_t i = 0; i < c->db_count; i++)
        if (check_policy(&c->dbs[i].options, e))
            return config_blame(path, "db", c->dbs[i].path, NULL, e);
    return c->db_count == 0 && check_policy(&c->options, e) ? err_wrap(e, "'%s'", path) : 0;
}

static void print_options(const struct options *o)
{
    for (size_t i = 0; i < option_count; i++) {
        char value[32];
        option_format(o, &option_table[i], value);
        text_print("%s = %s\n", option_table[i].name, value);
    }
}

/* `header`: "NAME:VALUE", percent-encoded or not. */
static void print_header(const char *header)
{
    text_print("# header = %.*s: not shown\n", (int)strcspn(header, ":&"), header);
}

/* Prints "key = URL" without the headers in its query. `n`: bytes of the URL to print, up to an '&' or the end. */
static void print_url(const char *key, const char *url, size_t n)
{
    const char *query = memchr(url, '?', n), *end = url + n;
    size_t printed = 0, len = 0;
    for (const char *at = query; at && at < end; at += len) {
        len = 1 + strcspn(at + 1, "&");
        if (strncmp(at + 1, HEADER, strlen(HEADER)) == 0)
            print_header(at + 1 + strlen(HEADER));
    }
    text_print("%s = %.*s", key, (int)(query ? query - url : end - url), url);
    for (const char *at = query; at && at < end; at += len) {
        len = 1 + strcspn(at + 1, "&");
        if (len > 1 && strncmp(at + 1, HEADER, strlen(HEADER)) != 0)
            text_print("%c%.*s", printed++ ? '&' : '?', (int)len - 1, at + 1);
    }
    text_put(stdout, "\n");
}

/* Prints one parameter of `n` bytes, with a key of `key` bytes. '%' and '&' are encoded, and are printed decoded. */
static void print_parameter(const char *text, size_t key, size_t n)
{
    char value[CONFIG_URL_MAX + 1];
    size_t len = 0;
    for (size_t i = key + 1; i < n && len < CONFIG_URL_MAX; i++) {
        bool percent = strncmp(text + i, "%25", 3) == 0, ampersand = strncmp(text + i, "%26", 3) == 0;
        value[len++] = percent ? '%' : ampersand ? '&' : text[i];
        i += percent || ampersand ? 2 : 0;
    }
    text_print("%.*s = %.*s\n", (int)key, text, (int)len, value);
}

/* Prints the parameters of a replica, one on a line. */
static void print_parameters(const char *text)
{
    while (*text) {
        size_t n = strcspn(text, "&"), key = strcspn(text, "=");
        if (strncmp(text, HEADER, strlen(HEADER)) == 0) {
            print_header(text + strlen(HEADER));
        } else {
            print_parameter(text, key, n);
        }
        text += n + (text[n] == '&');
    }
}

static void print_replica(const struct config_replica *r)
{
    char shown[STORE_URL_MAX];
    struct err e;
    size_t more = r->parameters[0] ? strlen(r->parameters) + 1 : 0; /* bytes that config_read appended */
    text_print("\n[replica %s]\n", r->name);
    if (store_check(r->url, shown, &e) == 0)
        text_print("# known as %s\n", shown);
    print_url("url", r->url, strlen(r->url) - more);
    print_parameters(r->parameters);
}

/* ---- what patterns match now, in comments */

#define EXAMPLES 2 /* databases of each pattern whose URLs are printed */

static void print_example(const struct config_member *m)
{
    char shown[STORE_URL_MAX];
    struct err e;
    text_print("#   %s:", m->path);
    for (size_t i = 0; i < m->url_count; i++)
        if (store_check(m->urls[i], shown, &e) == 0)
            text_print(" %s", shown);
        else
            text_print(" (the url is wrong: %.*s)", (int)strcspn(e.msg, "\n"), e.msg);
    text_put(stdout, "\n");
}

static void print_matches(const struct config *c, const struct config_db *db, const struct config_members *m)
{
    size_t count = m->matched[db - c->dbs], printed = 0;
    text_print("# matches %zu database%s now\n", count, cli_plural(count));
    for (size_t i = 0; i < m->count && printed < EXAMPLES; i++)
        if (m->list[i].section == db) {
            print_example(&m->list[i]);
            printed++;
        }
}

/* For each reason how many paths were passed over, and one of them. */
static void print_passed_over(const struct config_members *m)
{
    for (enum config_reason reason = 0; reason < REASONS; reason++)
        for (size_t i = 0; i < m->named_count; i++)
            if (m->named[i].reason == reason) {
                size_t others = m->passed_over[reason] - 1;
                text_print("# passed over: '%s' %s", m->named[i].path, config_reason_text(reason));
                if (others > 0)
                    text_print("; %zu other%s", others, cli_plural(others));
                text_put(stdout, "\n");
                break;
            }
}

/* ---- the configuration */

static void print_db(const struct config *c, const struct config_db *db, const struct config_members *m)
{
    text_print("\n[db %s]\n", db->path);
    if (config_is_pattern(db))
        print_matches(c, db, m);
    for (size_t k = 0; k < db->exclude_count; k++)
        text_print("exclude = %s\n", db->excludes[k].written);
    for (size_t k = 0; k < db->replica_count; k++)
        if (config_find_replica(c, db->words[k]))
            text_print("replica = %s\n", db->words[k]);
        else
            print_url("replica", db->words[k], strlen(db->words[k]));
    print_options(&db->options);
}

static void print_config(const struct config *c, const struct config_members *m)
{
    text_print("[seawall]\n");
    if (c->control[0])
        text_print("control = %s\n", c->control);
    if (c->listen[0])
        text_print("listen = %s\n", c->listen);
    if (c->log_format[0])
        text_print("log-format = %s\n", c->log_format);
    print_options(&c->options);
    for (size_t i = 0; i < c->db_count; i++)
        print_db(c, &c->dbs[i], m);
    for (size_t i = 0; i < c->replica_count; i++)
        print_replica(&c->replicas[i]);
    print_passed_over(m);
}

/* ---- as JSON */

static struct json *json_of_options(const struct options *o)
{
    struct json *j = json_object_new();
    for (size_t i = 0; i < option_count; i++) {
        char value[32];
        option_format(o, &option_table[i], value);
        json_set_text(j, option_table[i].name, value);
    }
    return j;
}

/* An empty text is null. */
static void set_text(struct json *j, const char *key, const char *text)
{
    if (text[0])
        json_set_text(j, key, text);
    else
        json_set_null(j, key);
}

/* The URL without secrets; null: it is wrong. */
static void set_url(struct json *j, const char *url)
{
    char shown[STORE_URL_MAX] = "";
    struct err e;
    set_text(j, "url", store_check(url, shown, &e) == 0 ? shown : "");
}

static struct json *json_of_members(const struct config_db *db, const struct config_members *m)
{
    struct json *list = json_list_new();
    for (size_t i = 0; i < m->count; i++) {
        if (m->list[i].section != db)
            continue;
        struct json *j = json_object_new(), *urls = json_list_new();
        for (size_t k = 0; k < m->list[i].url_count; k++) {
            struct json *one = json_object_new();
            set_url(one, m->list[i].urls[k]);
            json_push(urls, one);
        }
        json_set_text(j, "path", m->list[i].path);
        json_set(j, "replicas", urls);
        json_push(list, j);
    }
    return list;
}

static struct json *json_of_db(const struct config *c, const struct config_db *db, const struct config_members *m)
{
    struct json *j = json_object_new(), *excludes = json_list_new(), *names = json_list_new();
    json_set_text(j, "path", db->path);
    json_set_flag(j, "pattern", config_is_pattern(db));
    for (size_t k = 0; k < db->exclude_count; k++) {
        struct json *one = json_object_new();
        json_set_text(one, "path", db->excludes[k].written);
        json_push(excludes, one);
    }
    for (size_t k = 0; k < db->replica_count; k++) {
        struct json *one = json_object_new();
        const struct config_replica *r = config_find_replica(c, db->words[k]);
        set_text(one, "name", r ? r->name : "");
        set_url(one, r ? r->url : db->words[k]);
        json_push(names, one);
    }
    json_set(j, "exclude", excludes);
    json_set(j, "replicas", names);
    json_set(j, "databases", json_of_members(db, m));
    json_set(j, "options", json_of_options(&db->options));
    return j;
}

static struct json *json_of_passed_over(const struct config_members *m)
{
    struct json *list = json_list_new();
    for (size_t i = 0; i < m->named_count; i++) {
        struct json *j = json_object_new();
        json_set_text(j, "path", m->named[i].path);
        json_set_text(j, "reason", config_reason_text(m->named[i].reason));
        json_push(list, j);
    }
    return list;
}

static int print_json(const struct config *c, const struct config_members *m, struct err *e)
{
    struct json *j = json_object_new(), *dbs = json_list_new(), *replicas = json_list_new();
    for (size_t i = 0; i < c->db_count; i++)
        json_push(dbs, json_of_db(c, &c->dbs[i], m));
    for (size_t i = 0; i < c->replica_count; i++) {
        struct json *one = json_object_new();
        json_set_text(one, "name", c->replicas[i].name);
        set_url(one, c->replicas[i].url);
        json_push(replicas, one);
    }
    set_text(j, "control", c->control);
    set_text(j, "log_format", c->log_format);
    json_set(j, "options", json_of_options(&c->options));
    json_set(j, "dbs", dbs);
    json_set(j, "replicas", replicas);
    json_set(j, "passed_over", json_of_passed_over(m));
    return cli_print_json(j, e);
}

struct request {
    const char *path; /* NULL: print the defaults */
    bool json;
};

static int cmd_config(int argc, char **argv)
{
    const struct config defaults = {.options = options_default()};
    struct request r = {.path = NULL};
    struct config_members members = {.list = NULL};
    struct config *config = NULL;
    struct err e;
    int code = EXIT_DONE;
    if (!cli_parse(&config_command, argc, argv, &r, &code))
        return code;
    int rc = cli_read_config(r.path, &config, &e);
    if (rc == 0 && config)
        rc = check_urls(config, r.path, &e) || check_policies(config, r.path, &e) ||
                     cli_find_members(config, r.path, NULL, &members, &e)
                 ? -1
                 : 0;
    if (rc == 0 && config)
        cli_tell_members(config, &members);
    if (rc == 0 && r.json)
        rc = print_json(config ? config : &defaults, &members, &e);
    else if (rc == 0)
        print_config(config ? config : &defaults, &members);
    if (rc && e.code == ERR_CONFIG)
        err_hint(&e, "seawall.conf(5) has all keys; correct the file, and run the same command again");
    config_members_release(&members);
    config_free(config);
    return rc ? cli_fail(&e) : EXIT_DONE;
}

static const struct flag flags[] = {
    FLAG_CONFIG(struct request, path, "the configuration file"),
    {.name = "json",
     FLAG_INTO(struct request, json),
     .help = "one JSON object: control, log_format, options, dbs, replicas, passed_over"},
};

const struct command config_command = {
    .name = "config",
    .run = cmd_config,
    .example = "config -c FILE",
    .summary = "check a configuration file and show all values",
    .description =
        "Checks a configuration file and prints it with all values: every option for each database, and the "
        "replicas. The output is a configuration file too. Values of headers, which can be secrets, are left out. "
        "Without a file: the defaults.\n",
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
};
