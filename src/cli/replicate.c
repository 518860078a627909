/* cli/replicate.c - `seawall replicate`: the daemon. */
#include "cli/cli.h"
#include "config/find.h"
#include "daemon/scheduler.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

#define URLS_MAX IDENTITY_REPLICAS_MAX

_Static_assert(CONFIG_DB_REPLICAS_MAX <= URLS_MAX, "the replicas of a database in a file must fit");

struct request {
    const char *config_path, *db_path, *control, *exec;
    const char *urls[URLS_MAX];
    size_t url_count;
    bool once, take_over;
    struct given_options options;
};

/* From the command line and the file, one reading of it: the databases, and what their configurations point into. */
struct source {
    struct request request;
    struct config *file;                /* owned; NULL: there is none */
    struct config_member one;           /* of the file, if a daemon of one database takes it from there */
    struct config_members all;          /* otherwise */
    struct replicate_config *databases; /* owned */
    size_t count;
    uint64_t memory; /* of the daemon, for all databases together */
    bool quiet;      /* say nothing of what is not there */
};

static void release(struct source *s)
{
    free(s->databases);
    config_members_release(&s->all);
    config_member_release(&s->one);
    config_free(s->file);
    *s = (struct source){.count = 0};
}

/* ---- which databases */

/* The command line comes before the file. */
static int complete_one(struct source *s, struct replicate_config *ret_config, struct err *e)
{
    struct request *r = &s->request;
    struct replicate_config c = {.db_path = r->db_path, .once = r->once};
    c.options = s->file ? s->file->options : options_default();
    if (s->file && r->url_count == 0) {
        if (config_find_db(s->file, r->db_path, &s->one, e))
            return -1;
        c.db_path = s->one.path;
        c.options = s->one.section->options;
        for (size_t i = 0; i < s->one.url_count; i++)
            r->urls[r->url_count++] = s->one.urls[i];
    } else if (s->file) {
        for (size_t i = 0; i < r->url_count; i++)
            if (config_find_url(s->file, r->urls[i], &r->urls[i], e))
                return -1;
    }
    assert(c.db_path && r->url_count > 0);
    c.urls = r->urls;
    c.url_count = r->url_count;
    *ret_config = c;
    return 0;
}

static void complete_all(const struct config_members *all, struct replicate_config *ret_configs)
{
    for (size_t i = 0; i < all->count; i++)
        ret_configs[i] = (struct replicate_config){.db_path = all->list[i].path,
                                                   .urls = (const char *const *)all->list[i].urls,
                                                   .url_count = all->list[i].url_count,
                                                   .options = all->list[i].section->options};
}

/* Whether the daemon is one for all databases of the file. */
static bool takes_all(const struct source *s)
{
    const struct config *c = s->file;
    return c && !s->request.db_path && (c->db_count > 1 || (c->db_count == 1 && config_is_pattern(&c->dbs[0])));
}

static int find_databases(struct source *s, const struct config_known *known, struct err *e)
{
    const struct request *r = &s->request;
    const bool all = takes_all(s);
    if (all && r->once)
        return err_set(e, ERR_CONFIG, 0, "--once takes one database; 'seawall snapshot -c' takes all of a file");
    if (all && cli_find_members(s->file, r->config_path, known, &s->all, e))
        return -1;
    if (all && !s->quiet)
        cli_tell_members(s->file, &s->all);
    s->count = all ? s->all.count : 1;
    s->databases = calloc(s->count + 1, sizeof *s->databases);
    if (!s->databases)
        return err_nomem(e, s->count * sizeof *s->databases);
    if (all)
        complete_all(&s->all, s->databases);
    else if (complete_one(s, s->databases, e))
        return -1;
    struct options shared = all ? s->file->options : s->databases[0].options;
    if (given_options_apply(&r->options, &shared, e))
        return -1;
    s->memory = shared.memory;
    for (size_t i = 0; i < s->count; i++) {
        s->databases[i].take_over = r->take_over ? TAKE_OVER_YES : TAKE_OVER_NO;
        s->databases[i].control = cli_control(r->control, s->file);
        if (given_options_apply(&r->options, &s->databases[i].options, e))
            return -1;
    }
    return 0;
}

/* Reads the file, and finds the databases. The caller releases `s`, also after an error. */
static int read_source(struct source *s, const struct request *given, const struct config_known *known, struct err *e)
{
    *s = (struct source){.request = *given};
    return cli_read_config(given->config_path, &s->file, e) || find_databases(s, known, e) ? -1 : 0;
}

static struct daemon_config daemon_config_of(const struct source *s)
{
    const struct request *r = &s->request;
    return (struct daemon_config){.databases = s->databases,
                                  .count = s->count,
                                  .incomplete = config_members_missed(&s->all) > 0,
                                  .once = r->once,
                                  .memory = s->memory,
                                  .control = cli_control(r->control, s->file),
                                  .exec = r->exec,
                                  .socket_of = takes_all(s) ? r->config_path : NULL};
}

/* ---- while the daemon runs */

struct rereading {
    struct request given; /* the command line, with the database that is replicated, if it is one */
    struct config *file;  /* owned; the one that was read last; NULL: that of the start */
    struct config *start; /* borrowed */
    struct source source; /* until release_again; its file is that of this struct */
};

static void release_again(void *context)
{
    struct rereading *again = context;
    again->source.file = NULL;
    release(&again->source);
}

static int find_again(struct rereading *again, struct config *file, const struct config_known *known, bool quiet,
                      struct daemon_config *ret_config, struct err *e)
{
    again->source = (struct source){.request = again->given, .file = file, .quiet = quiet};
    if (find_databases(&again->source, known, e)) {
        release_again(again);
        return -1;
    }
    *ret_config = daemon_config_of(&again->source);
    return 0;
}

static int read_again(void *context, const struct config_known *known, struct daemon_config *ret_config, struct err *e)
{
    struct rereading *again = context;
    struct config *file = NULL;
    if (cli_read_config(again->given.config_path, &file, e))
        return -1;
    if (find_again(again, file, known, false, ret_config, e)) {
        config_free(file);
        return -1;
    }
    config_free(again->file);
    again->file = file;
    return 0;
}

static int look_again(void *context, const struct config_known *known, struct daemon_config *ret_config, struct err *e)
{
    struct rereading *again = context;
    return find_again(again, again->file ? again->file : again->start, known, true, ret_config, e);
}

/* ---- the command */

/* The exit code of the command comes first. It can't hide that something is not durable. */
static int code_of(int code, const struct daemon_summary *s)
{
    if (s->commanded && s->command_code != 0)
        return s->command_code;
    return code != EXIT_DONE && s->failed > 0 && s->failed < s->databases ? EXIT_SOME_FAILED : code;
}

static int run(struct source *s, const struct request *given, struct daemon_summary *ret_summary, struct err *e)
{
    struct rereading again = {.given = *given, .start = s->file};
    struct daemon_config config = daemon_config_of(s);
    if (!takes_all(s))
        again.given.db_path = s->databases[0].db_path;
    if (s->file) {
        config.again.read = read_again;
        config.again.look = takes_all(s) ? look_again : NULL;
        config.again.release = release_again;
        config.again.context = &again;
    }
    int rc = scheduler_run(&config, ret_summary, e);
    config_free(again.file);
    return rc;
}

static int cmd_replicate(int argc, char **argv)
{
    struct request r = {.config_path = NULL};
    struct source source;
    struct daemon_summary summary = {.hung = false};
    struct err e;
    int code = EXIT_DONE;
    if (!cli_parse(&replicate_command, argc, argv, &r, &code))
        return code;
    if (r.exec && r.once)
        return cli_usage(&replicate_command, "--exec and --once exclude each other");
    if (read_source(&source, &r, NULL, &e) || run(&source, &r, &summary, &e))
        code = cli_fail_shipping(&e);
    code = code_of(code, &summary);
    if (summary.hung)
        _exit(code); /* threads still use what would be freed */
    release(&source);
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
