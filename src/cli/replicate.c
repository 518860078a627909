/* cli/replicate.c - `seawall replicate`: the daemon. */
#include "cli/cli.h"
#include "config/find.h"
#include "config/listen.h"
#include "daemon/scheduler.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define URLS_MAX IDENTITY_REPLICAS_MAX
#define LOCK_WAIT_MS_MAX (24 * 3600 * 1000)

_Static_assert(CONFIG_DB_REPLICAS_MAX <= URLS_MAX, "the replicas of a database in a file must fit");

struct request {
    const char *config_path, *db_path, *control, *exec, *listen, *log_format;
    const char *urls[URLS_MAX];
    size_t url_count;
    bool once, take_over;
    uint64_t lock_wait_ms;
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
    struct options shared; /* of the daemon, for all databases together */
    bool quiet;            /* say nothing of what is not there */
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
    if (cli_refuse_copy(c.db_path, e))
        return -1;
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

/* Where the status page is served: --listen comes before the file. NULL: nowhere. */
static const char *listen_of(const struct source *s)
{
    return s->request.listen ? s->request.listen : s->file && s->file->listen[0] ? s->file->listen : NULL;
}

static int check_listen(const struct request *r, struct err *e)
{
    struct listen_place place;
    return r->listen && listen_parse(r->listen, &place, e) ? err_wrap(e, "--listen") : 0;
}

/* Whether the daemon is one for all databases of the file. */
static bool takes_all(const struct source *s)
{
    const struct config *c = s->file;
    return c && !s->request.db_path && config_is_of_many(c);
}

/* What the command line says of all databases. `shared`: the options of the daemon, as the file has them. */
static int complete_shared(struct source *s, const struct options *shared, struct err *e)
{
    const struct request *r = &s->request;
    s->shared = *shared;
    if (given_options_apply(&r->options, &s->shared, e))
        return -1;
    for (size_t i = 0; i < s->count; i++) {
        s->databases[i].lock_wait_ms = r->lock_wait_ms;
        s->databases[i].take_over = r->take_over ? TAKE_OVER_YES : TAKE_OVER_NO;
        s->databases[i].control = cli_control(r->control, s->file);
        s->databases[i].progress = PROGRESS_LOG;
        if (given_options_apply(&r->options, &s->databases[i].options, e))
            return -1;
    }
    return 0;
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
    return complete_shared(s, all ? &s->file->options : &s->databases[0].options, e);
}

/* Reads the file, and finds the databases. The caller releases `s`, also after an error. */
static int read_source(struct source *s, const struct request *given, const struct config_known *known, struct err *e)
{
    *s = (struct source){.request = *given};
    return check_listen(given, e) || cli_read_config(given->config_path, &s->file, e) ||
                   cli_set_log_format(given->log_format, s->file, e) || find_databases(s, known, e)
               ? -1
               : 0;
}

static struct daemon_config daemon_config_of(const struct source *s)
{
    const struct request *r = &s->request;
    return (struct daemon_config){.databases = s->databases,
                                  .count = s->count,
                                  .incomplete = config_members_missed(&s->all) > 0,
                                  .once = r->once,
                                  .shared = s->shared,
                                  .control = cli_control(r->control, s->file),
                                  .listen = listen_of(s),
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

/* Two databases must not share a place; those that were added by hand are told apart by their identity. */
static int check_place(const struct config_members *all, const char *path, const char *url, struct err *e)
{
    char wanted[PATH_TEXT_MAX], taken[PATH_TEXT_MAX];
    if (!cli_place_of_url(url, wanted))
        return 0;
    for (size_t i = 0; i < all->count; i++)
        for (size_t k = 0; k < all->list[i].url_count; k++)
            if (strcmp(all->list[i].path, path) != 0 && cli_place_of_url(all->list[i].urls[k], taken) &&
                strcmp(taken, wanted) == 0)
                return err_set(e, ERR_CONFIG, 0, "replica '%s' also belongs to database '%s'", wanted,
                               all->list[i].path);
    return 0;
}

/* The source has a single database, with the options of the command line like every other. */
static int one_again(void *context, const struct one_database *wanted, const struct config_known *known,
                     struct daemon_config *ret_config, struct err *e)
{
    struct rereading *again = context;
    struct config *file = again->file ? again->file : again->start;
    char shown[STORE_URL_MAX];
    int rc = 0;
    again->source = (struct source){.request = again->given, .file = file};
    struct source *s = &again->source;
    if (wanted->url_count == 0)
        rc = config_member_of(file, wanted->path, known, &s->one, e);
    else
        rc = config_find_members(file, known, &s->all, e);
    for (size_t i = 0; rc == 0 && i < wanted->url_count; i++)
        rc = destination_show(wanted->urls[i], shown, e) || check_place(&s->all, wanted->path, wanted->urls[i], e) ? -1
                                                                                                                   : 0;
    s->databases = rc == 0 ? calloc(1, sizeof *s->databases) : NULL;
    if (rc == 0 && !s->databases)
        rc = err_nomem(e, sizeof *s->databases);
    if (rc == 0) {
        s->count = 1;
        s->databases[0] =
            (struct replicate_config){.db_path = wanted->path,
                                      .urls = wanted->url_count > 0 ? wanted->urls : (const char *const *)s->one.urls,
                                      .url_count = wanted->url_count > 0 ? wanted->url_count : s->one.url_count,
                                      .options = s->one.section ? s->one.section->options : file->options};
        rc = complete_shared(s, &file->options, e);
    }
    if (rc != 0) {
        release_again(again);
        return -1;
    }
    *ret_config = daemon_config_of(s);
    return 0;
}

static int each_folder_again(void *context, int (*fn)(void *to, const char *folder, struct err *e), void *to,
                             struct err *e)
{
    const struct rereading *again = context;
    return config_each_folder(again->file ? again->file : again->start, fn, to, e);
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
        config.again.each_folder = each_folder_again;
        config.again.one = takes_all(s) ? one_again : NULL;
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
    if (r.listen && r.once)
        return cli_usage(&replicate_command, "--listen and --once exclude each other");
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
    FLAG_LOG_FORMAT(struct request, log_format),
    {.name = "exec",
     FLAG_INTO(struct request, exec),
     .value_name = "COMMAND",
     .help = "run this command beside the replication, pass signals on to it, and end with it and its exit code"},
    {.name = "listen",
     FLAG_INTO(struct request, listen),
     .value_name = "PLACE",
     .help =
         "serve a status page, metrics for Prometheus and a health check at PORT, ADDRESS:PORT or unix:PATH; a port "
         "alone is for this machine only"},
    {.name = "once", FLAG_INTO(struct request, once), .help = "bring the replicas up to date and exit"},
    {.name = "take-over", FLAG_INTO(struct request, take_over), .help = "continue a replica that another writer began"},
    {.name = "wait-for-lock",
     .kind = FLAG_MS,
     .offset = offsetof(struct request, lock_wait_ms),
     .max = LOCK_WAIT_MS_MAX,
     .value_name = "TIME",
     .expects = "a time up to 24h, as in 500ms, 10s, 5m",
     .help = "wait for another daemon, snapshot or restore that has the database, and take over when it ends (0)"},
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
