/* cli/replicate.c - `seawall replicate`: the daemon. */
#include "cli/cli.h"
#include "config/find.h"
#include "daemon/scheduler.h"

#include <assert.h>
#include <unistd.h>

#define URLS_MAX IDENTITY_REPLICAS_MAX

_Static_assert(CONFIG_DB_REPLICAS_MAX <= URLS_MAX, "the replicas of a database in a file must fit");

struct request {
    const char *config_path, *db_path, *control, *exec;
    const char *urls[URLS_MAX];
    size_t url_count;
    bool once, take_over;
    struct given_options options;
    struct config_member db; /* of the configuration */
};

/* Makes the configuration of the daemon from the command line, which comes first, and the file. `file`: NULL if
 * there is none. The result points into both and into `r`. */
static int complete(struct request *r, struct config *file, struct replicate_config *ret_config, struct err *e)
{
    struct replicate_config c = {.db_path = r->db_path, .once = r->once};
    c.take_over = r->take_over ? TAKE_OVER_YES : TAKE_OVER_NO;
    c.options = file ? file->options : options_default();
    c.control = cli_control(r->control, file);
    if (file && r->url_count == 0) {
        if (config_find_db(file, r->db_path, &r->db, e))
            return -1;
        c.db_path = r->db.path;
        c.options = r->db.section->options;
        for (size_t i = 0; i < r->db.url_count; i++)
            r->urls[r->url_count++] = r->db.urls[i];
    } else if (file) {
        for (size_t i = 0; i < r->url_count; i++)
            if (config_find_url(file, r->urls[i], &r->urls[i], e))
                return -1;
    }
    if (given_options_apply(&r->options, &c.options, e))
        return -1;
    assert(c.db_path && r->url_count > 0);
    c.exec = r->exec;
    c.urls = r->urls;
    c.url_count = r->url_count;
    *ret_config = c;
    return 0;
}

/* ---- SIGHUP */

struct rereading {
    struct request given; /* the command line, with the database that is replicated */
    struct request request;
    struct config *file;
};

static void release_again(void *context)
{
    struct rereading *again = context;
    config_member_release(&again->request.db);
    config_free(again->file);
    again->file = NULL;
}

static int read_again(void *context, struct replicate_config *ret_config, struct err *e)
{
    struct rereading *again = context;
    again->request = again->given;
    if (cli_read_config(again->given.config_path, &again->file, e) == 0 &&
        complete(&again->request, again->file, ret_config, e) == 0)
        return 0;
    release_again(again);
    return -1;
}

/* The exit code of the command comes first. It can't hide that something is not durable. */
static int code_of(int code, const struct replicate_summary *s)
{
    return s->commanded && s->command_code != 0 ? s->command_code : code;
}

static int cmd_replicate(int argc, char **argv)
{
    struct request r = {.config_path = NULL};
    struct rereading again = {.file = NULL};
    struct config *file = NULL;
    struct replicate_config config;
    struct replicate_summary summary = {.hung = false};
    struct err e;
    int code = EXIT_DONE;
    if (!cli_parse(&replicate_command, argc, argv, &r, &code))
        return code;
    if (r.exec && r.once)
        return cli_usage(&replicate_command, "--exec and --once exclude each other");
    again.given = r;
    int rc = cli_read_config(r.config_path, &file, &e) || complete(&r, file, &config, &e);
    if (rc == 0) {
        again.given.db_path = config.db_path;
        if (file) {
            config.again.read = read_again;
            config.again.release = release_again;
            config.again.context = &again;
        }
        rc = scheduler_run(&config, &summary, &e);
    }
    if (rc != 0)
        code = cli_fail_shipping(&e);
    code = code_of(code, &summary);
    if (summary.hung)
        _exit(code); /* threads still use what would be freed */
    config_member_release(&r.db);
    config_free(file);
    return code;
}

static const struct flag flags[] = {
    FLAG_CONFIG(struct request, config_path,
                "configuration file with databases, replicas and options; the command line takes precedence"),
    FLAG_CONTROL(struct request, control),
    {.name = "exec",
     FLAG_INTO(struct request, exec),
     .value_name = "COMMAND",
     .help = "run this command beside the replication, pass signals on to it, and end with it and its exit code"},
    {.name = "once", FLAG_INTO(struct request, once), .help = "bring the replicas up to date and exit"},
    {.name = "take-over", FLAG_INTO(struct request, take_over), .help = "continue a replica that another writer began"},
};

static const struct word words[] = {
    WORD_DATABASE(struct request, db_path, WORD_OR_CONFIG),
    WORD_REPLICAS(struct request, urls, url_count, URLS_MAX),
};

const struct command replicate_command = {
    .name = "replicate",
    .works_without_output = true,
    .run = cmd_replicate,
    .example = "replicate DB URL...",
    .summary = "run beside the application and ship every transaction",
    .arguments = "[DB [URL...]]",
    .description =
        "Runs in the foreground until SIGTERM or SIGINT. Then it ships what is captured, and exits with 0 only if "
        "all of it is durable. A second signal stops at once. SIGHUP reads the configuration again. SIGUSR1 logs "
        "figures.\n",
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
    .words = words,
    .word_count = sizeof words / sizeof words[0],
    .options = OPTIONS_ALL,
    .options_offset = offsetof(struct request, options),
};
