/* cli/follow.c - `seawall follow`: a copy that stays fresh, its status, and its promotion. */
#include "follow/follow.h"

#include "base/clock.h"
#include "base/progress.h"
#include "base/units.h"
#include "cli/cli.h"
#include "cli/litestream.h"
#include "config/find.h"
#include "daemon/exec.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define INTERVAL_MS 1000
#define INTERVAL_LIMIT_MS 3600000
#define INTERVAL_MAX_MS 30000
#define JOBS_MAX 64

struct request {
    const char *config_path, *url, *path, *exec, *log_format;
    uint64_t interval_ms, interval_max_ms, jobs;
    unsigned flags, mode;
    bool status, json, promote;
};

/* ---- signals */

static atomic_bool stopping;
static int wake_fd = -1;

static void on_signal(int number)
{
    const uint64_t one = 1;
    int saved = errno;
    if (number != SIGCHLD)
        atomic_store(&stopping, true);
    ssize_t ignored = write(wake_fd, &one, sizeof one);
    (void)ignored;
    errno = saved;
}

static int catch_signals(struct err *e)
{
    const struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (wake_fd < 0)
        return err_sys(e, errno, "eventfd");
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGCHLD, &action, NULL);
    return 0;
}

static void drain(void)
{
    uint64_t count;
    ssize_t ignored = read(wake_fd, &count, sizeof count);
    (void)ignored;
}

/* ---- following */

struct session {
    const struct request *request;
    struct progress progress;
    struct exec exec;
    struct err exec_error;
    bool exec_failed;
};

static void show_progress(void *context, uint64_t done, uint64_t total)
{
    struct session *s = context;
    progress_callback(&s->progress, done, total);
}

/* The command begins when the copy has been the newest state once. */
static int on_turn(void *context, bool current)
{
    struct session *s = context;
    drain();
    if (!s->exec.command)
        return 0;
    if (exec_has_ended(&s->exec) || s->exec.ended)
        return 1;
    if (!current || exec_is_running(&s->exec))
        return 0;
    s->exec_failed = exec_start(&s->exec, &s->exec_error) != 0;
    return s->exec_failed;
}

/* The command gets the signal, and ends by itself. */
static int end_exec(struct session *s)
{
    exec_signal(&s->exec, SIGTERM);
    for (struct pollfd p = {.fd = wake_fd, .events = POLLIN}; exec_is_running(&s->exec) && !exec_has_ended(&s->exec);
         drain())
        poll(&p, 1, -1);
    return s->exec.ended ? exec_exit_code(s->exec.status) : EXIT_DONE;
}

static int run(const struct request *r, struct session *s)
{
    struct err e;
    struct follow f;
    const struct follow_options o = {
        .url = r->url,
        .path = r->path,
        .interval_ms = (int64_t)r->interval_ms,
        .interval_max_ms = (int64_t)(r->interval_max_ms > r->interval_ms ? r->interval_max_ms : r->interval_ms),
        .flags = r->flags | (r->promote ? FOLLOW_UNTIL_CURRENT : 0u),
        .mode = (mode_t)r->mode,
        .jobs = (unsigned)r->jobs,
        .cancel = &stopping,
        .wake_fd = wake_fd,
        .progress = show_progress,
        .turn = on_turn,
        .context = s};
    progress_begin(&s->progress, progress_place_of_stderr(), NULL, "copy");
    int rc = follow_open(&f, &o, &e);
    progress_end(&s->progress);
    if (rc == 0)
        rc = follow_run(&f, &e);
    bool was_running = s->exec.pid > 0 || s->exec.ended;
    int exec_code = end_exec(s);
    if (rc == 0 && s->exec_failed) {
        e = s->exec_error;
        rc = -1;
    }
    if (rc == 0 && r->promote)
        rc = follow_promote(&f, &e);
    const bool written = f.written;
    if (rc == 0 && r->promote)
        text_print("%s: took over %s with txid %" PRIu64 "; 'seawall replicate %s URL' goes on\n", r->path, f.note.url,
                   f.note.now.txid, r->path);
    follow_close(&f);
    if (rc != 0 && e.code == ERR_CANCELED && stopping && !(o.flags & FOLLOW_UNTIL_CURRENT))
        return was_running ? exec_code : EXIT_DONE;
    if (rc != 0)
        return written ? (cli_fail(&e), EXIT_WRITTEN) : cli_fail_reading(&e);
    return exec_code;
}

static int follow(struct request *r)
{
    struct session s = {.request = r, .exec = {.command = r->exec}};
    struct config *config = NULL;
    struct err e;
    if (cli_read_config(r->config_path, &config, &e) || cli_set_log_format(r->log_format, config, &e) ||
        (config && config_find_url(config, r->url, &r->url, &e)) || cli_check_scheme(r->url, &e) || catch_signals(&e)) {
        config_free(config);
        return cli_fail(&e);
    }
    int code = run(r, &s);
    config_free(config);
    return code;
}

/* ---- status */

static bool is_behind(const struct note *n)
{
    return n->newest > n->now.txid;
}

static void set_time(struct json *j, const char *key, int64_t ms)
{
    char text[CLOCK_TEXT_MAX];
    clock_format(ms, text);
    if (ms > 0)
        json_set_text(j, key, text);
    else
        json_set_null(j, key);
}

static int print_json(const char *path, const struct follow_status *s)
{
    const struct note *n = &s->note;
    int64_t now = clock_wall_ms();
    struct err e;
    struct json *j = json_object_new();
    json_set_text(j, "copy", path);
    json_set_text(j, "replica", n->url);
    json_set_flag(j, "running", s->running);
    json_set_number(j, "txid", (int64_t)n->now.txid);
    json_set_flag(j, "proven", s->proven);
    set_time(j, "time", n->now.time_ms);
    json_set_number(j, "age_ms", now - n->now.time_ms);
    set_time(j, "current", n->current_ms);
    json_set_number(j, "current_ms", n->current_ms ? now - n->current_ms : -1);
    json_set_number(j, "newest_txid", (int64_t)n->newest);
    json_set_flag(j, "behind", is_behind(n));
    set_time(j, "failing_since", n->failing_ms);
    json_set_text(j, "error", n->error[0] ? n->error : NULL);
    json_set_number(j, "steps", (int64_t)n->steps);
    json_set_number(j, "jumps", (int64_t)n->jumps);
    json_set_number(j, "requests", (int64_t)n->requests);
    return cli_print_json(j, &e) ? cli_fail(&e) : EXIT_DONE;
}

static void print_age(const char *what, int64_t ms, int64_t now)
{
    char when[CLOCK_TEXT_MAX];
    clock_format(ms, when);
    if (ms == 0)
        text_print("  %s: never yet\n", what);
    else
        text_print("  %s: %s, %.1f s ago\n", what, when, (double)(now - ms) / 1e3);
}

static int status(const struct request *r)
{
    const char *path = r->path ? r->path : r->url;
    struct follow_status s;
    struct err e;
    if (!path)
        return cli_usage(&follow_command, "missing path of the copy: --status PATH");
    cli_output_is_work();
    if (follow_status(path, &s, &e))
        return cli_fail(&e);
    if (r->json)
        return print_json(path, &s);
    const struct note *n = &s.note;
    int64_t now = clock_wall_ms();
    text_print("%s: txid %" PRIu64 " of %s%s\n", path, n->now.txid, n->url,
               s.running ? "" : "; no 'seawall follow' runs on it");
    if (!s.proven)
        text_print("  not proven: the machine has started since, so the copy may be older than that until 'seawall "
                   "follow' has "
                   "looked at it\n");
    print_age("newest transaction", n->now.time_ms, now);
    print_age("known to be the newest of the replica", n->current_ms, now);
    if (is_behind(n))
        text_print("  behind: the replica has txid %" PRIu64 "\n", n->newest);
    if (n->error[0])
        text_print("  error: %s\n", n->error);
    return EXIT_DONE;
}

int cli_refuse_copy(const char *db_path, struct err *e)
{
    struct follow_status s;
    if (follow_status(db_path, &s, e) || (s.note.phase == NOTE_MAKING && !s.running))
        return 0; /* a first copy that was never finished says nothing */
    err_set(e, ERR_CONFIG, 0, "'%s' is a copy of 'seawall follow'", db_path);
    return err_hint(e, "'seawall follow -o %s --promote URL' makes it a database of its own", db_path);
}

/* ---- the command */

static bool read_mode(const char *value, void *request)
{
    return cli_read_mode(value, &((struct request *)request)->mode);
}

static int check(const struct request *r)
{
    if (r->status && (r->exec || r->promote || r->flags))
        return cli_usage(&follow_command, "--status goes only with -o and --json");
    if (r->json && !r->status)
        return cli_usage(&follow_command, "--json goes only with --status");
    if (r->status)
        return EXIT_DONE;
    if (!r->url)
        return cli_usage(&follow_command, "missing replica URL");
    if (!r->path || !r->path[0])
        return cli_usage(&follow_command, "missing path of the copy: -o PATH");
    if (r->interval_ms == 0)
        return cli_usage(&follow_command, "--interval must be at least 1ms");
    if (r->exec && (r->promote || (r->flags & FOLLOW_UNTIL_CURRENT)))
        return cli_usage(&follow_command, "--exec excludes --promote and --until-current");
    return EXIT_DONE;
}

static int cmd_follow(int argc, char **argv)
{
    struct request r = {.interval_ms = INTERVAL_MS, .interval_max_ms = INTERVAL_MAX_MS};
    int code = EXIT_DONE;
    if (!cli_parse(&follow_command, argc, argv, &r, &code))
        return code;
    code = check(&r);
    if (code)
        return code;
    return r.status ? status(&r) : follow(&r);
}

static const struct flag flags[] = {
    FLAG_CONFIG(struct request, config_path, "configuration file that has the replica"),
    FLAG_LOG_FORMAT(struct request, log_format),
    {.name = "output",
     .letter = 'o',
     FLAG_INTO(struct request, path),
     .value_name = "PATH",
     .help = "where the copy is, or is made; it can be read by any program, and written by none"},
    {.name = "interval",
     .kind = FLAG_MS,
     .offset = offsetof(struct request, interval_ms),
     .max = INTERVAL_LIMIT_MS,
     .value_name = "TIME",
     .expects = "a time up to 1h, as in 100ms, 5s",
     .help = "how often to ask the replica for news while there are some (1s); a folder says it at once"},
    {.name = "max-interval",
     .kind = FLAG_MS,
     .offset = offsetof(struct request, interval_max_ms),
     .max = INTERVAL_LIMIT_MS,
     .value_name = "TIME",
     .expects = "a time up to 1h, as in 5s, 1m",
     .help = "how seldom it asks, when nothing came for long (30s)"},
    {.name = "until-current",
     FLAG_INTO(struct request, flags),
     .bits = FOLLOW_UNTIL_CURRENT,
     .help = "end when the copy is the newest state of the replica"},
    {.name = "exec",
     FLAG_INTO(struct request, exec),
     .value_name = "COMMAND",
     .help = "run this command when the copy is the newest state, pass the end on to it, and end with it and its exit "
             "code"},
    {.name = "start-over",
     FLAG_INTO(struct request, flags),
     .bits = FOLLOW_START_OVER,
     .help = "make a copy that another process wrote to, or that is of another replica, one of this replica; what was "
             "written "
             "is lost"},
    {.name = "promote",
     FLAG_INTO(struct request, promote),
     .help = "bring the copy up to date, make it an ordinary database, and take the replica over from its writer"},
    {.name = "status", FLAG_INTO(struct request, status), .help = "say how old the copy is, and exit"},
    {.name = "json",
     FLAG_INTO(struct request, json),
     .help = "with --status: a JSON object: txid, proven, time, age_ms, current_ms, behind, error and others"},
    {.name = "mode",
     .kind = FLAG_READ,
     .read = read_mode,
     .value_name = "MODE",
     .expects = "permissions in octal that let the owner read and write, such as 640",
     .help = "permissions of the database after --promote, in octal; the copy has them without writing; default: 600"},
    {.name = "jobs",
     FLAG_INTO(struct request, jobs),
     .max = JOBS_MAX,
     .value_name = "N",
     .expects = "a number from 1 to 64",
     .help = "threads of the first copy, 1 to 64; default: 4, from S3 12"},
    FLAG_MEMORY,
};

static const struct word words[] = {
    WORD_REPLICA(struct request, url, WORD_OPTIONAL),
};

const struct command follow_command = {
    .name = "follow",
    .works_without_output = true,
    .run = cmd_follow,
    .example = "follow -o PATH URL",
    .summary = "keep a copy of the database fresh, for programs that read it",
    .synopsis =
        "seawall follow [-c FILE] -o PATH [--interval TIME] [--max-interval TIME] [--until-current | --exec COMMAND |\n"
        "               --promote] [--start-over] [--mode MODE] [--jobs N] [--memory BYTES] [--log-format FORMAT] URL\n"
        "seawall follow --status [--json] PATH\n",
    .description =
        "Makes a copy of the newest state of a replica, and applies each new transaction to it, until SIGTERM or "
        "SIGINT. Programs read the copy with stock SQLite while it changes: a read transaction sees one state, and "
        "waits "
        "for nothing.\n",
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
    .words = words,
    .word_count = sizeof words / sizeof words[0],
};
