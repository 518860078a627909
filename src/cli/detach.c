/* cli/detach.c - `seawall detach` and `seawall attach`: a running daemon lets go of its database, and takes it up
 * again; `seawall reload`: it reads its configuration again. */
#include "cli/cli.h"
#include "cli/client.h"

#include <string.h>

#define ANSWER_MS 60000 /* a local job may have to end first */

struct request {
    struct client_request at;
    bool json;
};

static int run(const struct command *c, int argc, char **argv)
{
    struct request r = {.json = false};
    struct client_target target;
    struct config *config = NULL;
    struct err e;
    int code = EXIT_DONE;
    if (!cli_parse(c, argc, argv, &r, &code))
        return code;
    int rc = client_find_target(&r.at, &config, &target, &e);
    if (rc == 0)
        rc = client_ask_state(&target, c->name, ANSWER_MS, r.json, &e);
    config_free(config);
    return rc ? cli_fail(&e) : EXIT_DONE;
}

/* A daemon of many databases is found by its configuration, one of a single database by that. The file may have an error
 * now: then the daemon says so. */
static int reload(const struct client_request *r, bool as_json, struct err *e)
{
    struct client_target all = {.config = r->config_path}, one;
    struct config *config = NULL;
    int read = cli_read_config(r->config_path, &config, e), rc = -1;
    all.control = cli_control(r->control, config);
    struct err asked = {.code = ERR_BUSY};
    if (!r->db && r->config_path)
        rc = client_ask_state(&all, "reload", ANSWER_MS, as_json, &asked);
    config_free(config);
    if (rc == 0 || read != 0 || asked.code != ERR_BUSY) {
        if (rc != 0 && asked.code != ERR_BUSY)
            *e = asked;
        return rc;
    }
    rc = client_find_target(r, &config, &one, e);
    if (rc == 0)
        rc = client_ask_state(&one, "reload", ANSWER_MS, as_json, e);
    config_free(config);
    return rc;
}

static int cmd_reload(int argc, char **argv)
{
    struct request r = {.json = false};
    struct err e = {.code = ERR_NONE};
    int code = EXIT_DONE;
    if (!cli_parse(&reload_command, argc, argv, &r, &code))
        return code;
    return reload(&r.at, r.json, &e) ? cli_fail(&e) : EXIT_DONE;
}

static int cmd_detach(int argc, char **argv)
{
    return run(&detach_command, argc, argv);
}

static int cmd_attach(int argc, char **argv)
{
    return run(&attach_command, argc, argv);
}

static const struct flag flags[] = {
    FLAG_CONFIG(struct request, at.config_path,
                "configuration file that has the database; DB can be left out if it is the only one"),
    FLAG_CONTROL(struct request, at.control),
    {.name = "json", FLAG_INTO(struct request, json), .help = "one JSON object: database, state"},
};

static const struct word words[] = {
    WORD_DATABASE(struct request, at.db, WORD_OR_CONFIG),
};

const struct command detach_command = {
    .name = "detach",
    .works_without_output = true,
    .run = cmd_detach,
    .example = "detach DB",
    .summary = "let the daemon let go of the database, for work that needs it alone",
    .arguments = "[DB]",
    .description =
        "The daemon that runs closes the database, and holds no lock on it until 'seawall attach', or until it is "
        "started again. Meanwhile nothing is replicated. For PRAGMA journal_mode=DELETE, locking_mode=EXCLUSIVE and "
        "changes of the page size. Exits with 1 if no daemon runs.\n",
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
    .words = words,
    .word_count = sizeof words / sizeof words[0],
};

const struct command attach_command = {
    .name = "attach",
    .works_without_output = true,
    .run = cmd_attach,
    .example = "attach DB",
    .summary = "let the daemon take up the database again after 'detach'",
    .arguments = "[DB]",
    .description = "The daemon opens the database again, and what changed meanwhile becomes one restore point. Exits "
                   "with 1 if no daemon runs.\n",
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
    .words = words,
    .word_count = sizeof words / sizeof words[0],
};

const struct command reload_command = {
    .name = "reload",
    .works_without_output = true,
    .run = cmd_reload,
    .example = "reload -c FILE",
    .summary = "let the daemon read its configuration again",
    .arguments = "[DB]",
    .description =
        "As SIGHUP does, but with an answer: exits with 1 and says why if the file has an error; the daemon then "
        "goes on with the configuration that it has. Exits with 1 if no daemon runs.\n",
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
    .words = words,
    .word_count = sizeof words / sizeof words[0],
};
