/* cli/add.c - `seawall add` and `seawall remove`: databases that a running daemon of many takes up, and lets go of. */
#include "cli/cli.h"
#include "cli/client.h"
#include "config/find.h"

#include <string.h>

#define ANSWER_MS 60000 /* a look at all databases may have to end first */

struct request {
    struct client_request at;
    const char *urls[CONFIG_DB_REPLICAS_MAX];
    size_t url_count;
    bool json;
};

/* What the daemon has to know: the paths of folders are absolute. `texts`: room for them. */
static int complete(struct request *r, struct config *config, char (*texts)[PATH_TEXT_MAX], struct err *e)
{
    for (size_t i = 0; i < r->url_count; i++) {
        if (config_find_url(config, r->urls[i], &r->urls[i], e))
            return -1;
        if (strstr(r->urls[i], "://"))
            continue;
        if (path_absolute(r->urls[i], texts[i], e))
            return -1;
        r->urls[i] = texts[i];
    }
    return 0;
}

static int run(const struct command *c, struct request *r, int64_t timeout_ms, struct err *e)
{
    char texts[CONFIG_DB_REPLICAS_MAX][PATH_TEXT_MAX];
    struct client_target target = {.config = r->at.config_path};
    struct config *config = NULL;
    int rc = cli_read_config(r->at.config_path, &config, e);
    if (rc == 0 && !config_is_of_many(config)) {
        rc = err_set(e, ERR_CONFIG, 0, "'%s' has one database, and so has its daemon", target.config);
        err_hint(e, "a daemon has many if the file has several [db] sections, or one with wildcards");
    }
    if (rc == 0)
        rc = path_absolute(r->at.db, target.path, e) || complete(r, config, texts, e) ? -1 : 0;
    if (rc == 0) {
        target.control = cli_control(r->at.control, config);
        target.urls = r->urls;
        target.url_count = r->url_count;
        rc = client_ask_state(&target, c->name, timeout_ms, r->json, e);
    }
    config_free(config);
    return rc;
}

static int cmd(const struct command *c, int argc, char **argv, int64_t timeout_ms)
{
    struct request r = {.json = false};
    struct err e;
    int code = EXIT_DONE;
    if (!cli_parse(c, argc, argv, &r, &code))
        return code;
    if (!r.at.config_path)
        return cli_usage(c, "-c FILE is needed: the daemon is found by its configuration");
    return run(c, &r, timeout_ms, &e) ? cli_fail(&e) : EXIT_DONE;
}

static int cmd_add(int argc, char **argv)
{
    return cmd(&add_command, argc, argv, ANSWER_MS);
}

static int cmd_remove(int argc, char **argv)
{
    return cmd(&remove_command, argc, argv, EXCHANGE_NEVER);
}

static const struct flag flags[] = {
    FLAG_CONFIG(struct request, at.config_path, "configuration file of the daemon"),
    FLAG_CONTROL(struct request, at.control),
    {.name = "json", FLAG_INTO(struct request, json), .help = "one JSON object: database, state"},
};

static const struct word add_words[] = {
    WORD_DATABASE(struct request, at.db, WORD_NEEDED),
    {.name = "URL",
     .meaning = "replica URL",
     .max = CONFIG_DB_REPLICAS_MAX,
     .offset = offsetof(struct request, urls),
     .count_offset = offsetof(struct request, url_count),
     .needed = WORD_OPTIONAL},
};

static const struct word remove_words[] = {
    WORD_DATABASE(struct request, at.db, WORD_NEEDED),
};

const struct command add_command = {
    .name = "add",
    .works_without_output = true,
    .run = cmd_add,
    .example = "add -c FILE DB URL",
    .summary = "let the daemon of many databases take up one more",
    .arguments = "DB [URL...]",
    .description = "The daemon replicates DB until it ends, or until 'seawall remove'; to keep it, write it into the "
                   "configuration. Each URL is a replica: a name of the file, a URL, or a folder. Without one DB is "
                   "taken as the file has it, after it was removed. Exits with 1 if no daemon runs, or if the "
                   "database can't be replicated.\n",
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
    .words = add_words,
    .word_count = sizeof add_words / sizeof add_words[0],
};

const struct command remove_command = {
    .name = "remove",
    .works_without_output = true,
    .run = cmd_remove,
    .example = "remove -c FILE DB",
    .summary = "let the daemon of many databases let go of one for good",
    .arguments = "DB",
    .description = "The daemon ships what is captured and closes DB; the command waits for that. The replicas stay. If "
                   "the configuration has DB, the daemon takes it up again after 'seawall reload', 'seawall add' or a "
                   "restart. Exits with 1 if no daemon runs, or if not everything could be shipped.\n",
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
    .words = remove_words,
    .word_count = sizeof remove_words / sizeof remove_words[0],
};
