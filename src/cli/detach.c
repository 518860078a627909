/* cli/detach.c - `seawall detach` and `seawall attach`: a running daemon lets go of its database, and takes it up
 * again. */
#include "cli/cli.h"
#include "cli/client.h"

#include <string.h>

#define ANSWER_MS 60000 /* a local job may have to end first */

static int ask(const struct client_target *t, const char *command, struct err *e)
{
    struct json *answer = NULL;
    if (client_ask(t, command, ANSWER_MS, &answer, e))
        return -1;
    const char *state = json_get_text(answer, "state");
    int rc = 0;
    if (!state)
        rc = err_set(e, ERR_REMOTE, 0, "database '%s': malformed answer from the daemon", t->db);
    else
        text_print("%s\n", state);
    json_free(answer);
    return rc;
}

static int run(const struct command *c, int argc, char **argv)
{
    struct client_request r = {.db = NULL};
    struct client_target target;
    struct config *config = NULL;
    struct err e;
    int code = EXIT_DONE;
    if (!cli_parse(c, argc, argv, &r, &code))
        return code;
    int rc = client_find_target(&r, &config, &target, &e);
    if (rc == 0)
        rc = ask(&target, c->name, &e);
    config_free(config);
    return rc ? cli_fail(&e) : EXIT_DONE;
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
    FLAG_CONFIG(struct client_request, config_path,
                "configuration file that has the database; DB can be left out if it is the only one"),
    FLAG_CONTROL(struct client_request, control),
};

static const struct word words[] = {
    WORD_DATABASE(struct client_request, db, WORD_OR_CONFIG),
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
