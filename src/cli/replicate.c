/* cli/replicate.c - `seawall replicate`: the daemon. */
#include "cli/cli.h"
#include "config/file.h"
#include "daemon/scheduler.h"

#include <assert.h>
#include <unistd.h>

#define URLS_MAX IDENTITY_REPLICAS_MAX

_Static_assert(CONFIG_DB_REPLICAS_MAX <= URLS_MAX, "the replicas of a database in a file must fit");

struct request {
    const char *config_path, *db_path, *control;
    const char *urls[URLS_MAX];
    size_t url_count;
    bool once, take_over;
    struct given_options options;
};

/* Makes the configuration of the daemon from the command line, which comes first, and the file. `file`: NULL if
 * there is none. The result points into both and into `r`. */
static int complete(struct request *r, const struct config *file, struct replicate_config *ret_config, struct err *e)
{
    const struct config_db *db = NULL;
    struct replicate_config c = {.db_path = r->db_path, .once = r->once};
    c.take_over = r->take_over ? TAKE_OVER_YES : TAKE_OVER_NO;
    c.options = file ? file->options : options_default();
    c.control = cli_control(r->control, file);
    if (file && r->url_count == 0) {
        if (config_find_db(file, r->db_path, &db, e))
            return -1;
        c.db_path = db->path;
        c.options = db->options;
        for (size_t i = 0; i < db->replica_count; i++)
            r->urls[r->url_count++] = db->replicas[i];
    } else if (file) {
        for (size_t i = 0; i < r->url_count; i++)
            if (config_find_url(file, r->urls[i], &r->urls[i], e))
                return -1;
    }
    if (given_options_apply(&r->options, &c.options, e))
        return -1;
    assert(c.db_path && r->url_count > 0);
    c.urls = r->urls;
    c.url_count = r->url_count;
    *ret_config = c;
    return 0;
}

static int cmd_replicate(int argc, char **argv)
{
    struct request r = {.config_path = NULL};
    struct config *file = NULL;
    struct replicate_config config;
    struct replicate_summary summary = {.hung = false};
    struct err e;
    int code = EXIT_DONE;
    if (!cli_parse(&replicate_command, argc, argv, &r, &code))
        return code;
    if (cli_read_config(r.config_path, &file, &e) || complete(&r, file, &config, &e) ||
        scheduler_run(&config, &summary, &e))
        code = cli_fail_shipping(&e);
    if (summary.hung)
        _exit(code); /* threads still use what would be freed */
    config_free(file);
    return code;
}

static const struct flag flags[] = {
    FLAG_CONFIG(struct request, config_path,
                "configuration file with databases, replicas and options; the command line takes precedence"),
    FLAG_CONTROL(struct request, control),
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
        "all of it is durable. SIGUSR1 logs figures. A second signal stops at once.\n",
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
    .words = words,
    .word_count = sizeof words / sizeof words[0],
    .options = OPTIONS_ALL,
    .options_offset = offsetof(struct request, options),
};
