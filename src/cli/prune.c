/* cli/prune.c - `seawall prune`. */
#include "retention/retention.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/progress.h"
#include "base/units.h"
#include "cli/cli.h"
#include "cli/every.h"
#include "config/find.h"
#include "config/variables.h"
#include "daemon/prune.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TRIES_MAX 3 /* to decide, while another process deletes from the replica */

struct request {
    const char *url, *config_path;
    uint64_t jobs; /* with --all; 0: not given */
    bool dry_run, json, quiet, all;
    struct given_options options;
    struct retention_policy policy;
    atomic_bool *cancel;
};

struct outcome {
    struct retention_plan plan;
    struct retention_figures deleted;
};

/* ---- the policy */

/* The section of the database whose path is `word`, else the one that has the replica `url`; a pattern has it if its
 * variables can give it. NULL: the file has neither. */
static const struct config_db *find_section(const struct config *file, const char *word, const char *url)
{
    const struct config_db *found = word ? config_find_section(file, word) : NULL;
    const struct config_db *of_pattern = NULL;
    for (size_t i = 0; !found && i < file->db_count; i++) {
        const struct config_db *db = &file->dbs[i];
        const bool pattern = config_is_pattern(db);
        for (size_t k = 0; k < db->replica_count; k++)
            if (pattern && !of_pattern && variables_can_give(db->replicas[k], url))
                of_pattern = db;
            else if (!pattern && strcmp(db->replicas[k], url) == 0)
                found = db;
    }
    return found ? found : of_pattern;
}

/* Completes the request with URL and policy. `file`: NULL if there is none. Options of the command line take
 * precedence. */
static int complete(struct request *r, struct config *file, struct err *e)
{
    const char *word = r->url;
    struct options o = options_default();
    if (file) {
        if (config_find_url(file, word, &r->url, e))
            return -1;
        const struct config_db *db = find_section(file, word, r->url);
        o = db ? db->options : file->options;
    }
    if (given_options_apply(&r->options, &o, e))
        return -1;
    r->policy = prune_policy(&o);
    return retention_policy_check(&r->policy, e);
}

/* ---- what is printed */

static void key_of(const struct retention_verdict *v, char out[NAME_MAX_BYTES])
{
    if (v->name.kind == NAME_OTHER)
        snprintf(out, NAME_MAX_BYTES, NAME_IDENTITY);
    else
        name_format(&v->name, out);
}

static void print_verdicts(const struct retention_plan *p)
{
    for (size_t i = 0; i < p->count; i++) {
        char key[NAME_MAX_BYTES], bytes[32];
        key_of(&p->verdicts[i], key);
        units_format_size(p->verdicts[i].size, bytes);
        text_print("%-6s  %-59s %9s  %s\n", p->verdicts[i].goes ? "delete" : "keep", key, bytes,
                   retention_reason_text(p->verdicts[i].reason));
    }
}

static void print_amount(const char *before, uint64_t objects, uint64_t bytes)
{
    char text[32];
    units_format_size(bytes, text);
    text_print("%s%" PRIu64 " object%s, %s", before, objects, cli_plural(objects), text);
}

static void print_summary(const struct request *r, const struct outcome *o)
{
    if (r->dry_run)
        print_amount("would delete ", o->plan.delete_count, o->plan.delete_bytes);
    else
        print_amount("deleted ", o->deleted.objects, o->deleted.bytes);
    print_amount("; kept ", o->plan.keep_count, o->plan.keep_bytes);
    text_print("\n");
}

static struct json *amount_json(uint64_t objects, uint64_t bytes)
{
    struct json *j = json_object_new();
    json_set_number(j, "objects", (int64_t)objects);
    json_set_number(j, "bytes", (int64_t)bytes);
    return j;
}

static struct json *json_of(const struct request *r, const struct outcome *o)
{
    const struct retention_plan *p = &o->plan;
    struct json *j = json_object_new(), *objects = json_list_new();
    for (size_t i = 0; !r->quiet && i < p->count; i++) {
        char text[NAME_MAX_BYTES], when[CLOCK_TEXT_MAX];
        struct json *one = json_object_new();
        key_of(&p->verdicts[i], text);
        clock_format(p->verdicts[i].time_ms, when);
        json_set_text(one, "key", text);
        json_set_flag(one, "delete", p->verdicts[i].goes);
        json_set_text(one, "reason", retention_reason_text(p->verdicts[i].reason));
        json_set_number(one, "bytes", (int64_t)p->verdicts[i].size);
        json_set_text(one, "time", when);
        json_push(objects, one);
    }
    json_set_flag(j, "dry_run", r->dry_run);
    json_set(j, "keep", amount_json(p->keep_count, p->keep_bytes));
    json_set(j, "delete", amount_json(p->delete_count, p->delete_bytes));
    json_set(j, "deleted", amount_json(o->deleted.objects, o->deleted.bytes));
    json_set(j, "objects", objects);
    return j;
}

/* ---- the command */

/* Decides, prints the decision, and deletes. The summary counts what was deleted even if deleting failed half-way. */
static int prune_once(const struct request *r, struct outcome *o, struct err *e)
{
    const struct replica_options options = {.mode = STORE_READ, .cancel = r->cancel, .retrying = cli_tell_retry};
    struct replica_handle replica;
    struct progress progress;
    struct err later;
    if (replica_handle_open(&replica, r->url, &options, e))
        return -1;
    int rc = retention_decide_now(&replica, &r->policy, &o->plan, e);
    bool decided = rc == 0;
    if (decided && !r->json && !r->quiet && !r->all) {
        print_verdicts(&o->plan);
        fflush(stdout);
    }
    progress_begin(&progress, r->all ? PROGRESS_NOWHERE : progress_place_of_stderr(), "objects", "prune");
    o->plan.progress = progress_callback;
    o->plan.context = &progress;
    if (decided && !r->dry_run)
        rc = retention_apply(replica.store, &o->plan, &o->deleted, e);
    progress_end(&progress);
    o->plan.progress = NULL;
    o->plan.context = NULL;
    replica_handle_close(&replica);
    if (decided && r->json && !r->all && cli_print_json(json_of(r, o), rc ? &later : e))
        return -1;
    if (decided && !r->json && !r->all)
        print_summary(r, o);
    return rc;
}

/* Tries again while another process deletes: ERR_BUSY is returned only before the decision, so nothing was
 * deleted yet. */
static int prune(const struct request *r, struct outcome *o, struct err *e)
{
    int rc = prune_once(r, o, e);
    for (int i = 1; i < TRIES_MAX && rc != 0 && e->code == ERR_BUSY && !atomic_load(r->cancel); i++)
        rc = prune_once(r, o, e);
    if (rc != 0 && e->code == ERR_BUSY)
        err_hint(e, "another process deletes objects of this replica; try again later");
    return rc;
}

/* ---- all replicas */

struct sums {
    const struct request *request;
    struct retention_figures gone, kept; /* guarded by the output of `every` */
};

/* Options of the command line take precedence over those of the database. */
static int policy_of(struct request *own, const struct config_db *section, struct err *e)
{
    struct options o = section->options;
    if (given_options_apply(&own->options, &o, e))
        return -1;
    own->policy = prune_policy(&o);
    return retention_policy_check(&own->policy, e);
}

static void add_up(struct sums *s, const struct every_replica *r, const struct outcome *o)
{
    const struct request *q = s->request;
    const struct retention_figures gone =
        q->dry_run ? (struct retention_figures){o->plan.delete_count, o->plan.delete_bytes} : o->deleted;
    s->gone.objects += gone.objects;
    s->gone.bytes += gone.bytes;
    s->kept.objects += o->plan.keep_count;
    s->kept.bytes += o->plan.keep_bytes;
    if (gone.objects > 0 && !q->quiet && !q->json) {
        text_print("%s: ", r->path);
        print_summary(q, o);
    }
}

static enum every_outcome prune_one(void *context, struct every *a, const struct every_replica *r)
{
    struct sums *sums = context;
    struct request own = *sums->request;
    struct outcome o = {.deleted = {0}};
    struct err e;
    own.url = r->url;
    own.quiet = true; /* not each object of each replica */
    int rc = policy_of(&own, r->section, &e);
    if (rc == 0)
        rc = prune(&own, &o, &e);
    if (rc == 0 && own.json)
        rc = every_print_json(a, r, json_of(&own, &o), &e);
    every_begin_output(a);
    add_up(sums, r, &o);
    every_end_output(a);
    retention_plan_release(&o.plan);
    return rc ? every_fail(a, r, &e) : EVERY_WELL;
}

static void print_sums(void *context)
{
    const struct sums *s = context;
    print_amount(s->request->dry_run ? "would delete " : "deleted ", s->gone.objects, s->gone.bytes);
    print_amount("; kept ", s->kept.objects, s->kept.bytes);
    text_print("\n");
}

static int prune_all(const struct request *r)
{
    struct sums sums = {.request = r};
    struct every every = {.cancel = r->cancel,
                          .at_once = r->jobs ? (unsigned)r->jobs : EVERY_JOBS,
                          .what = "prune",
                          .done = "pruned",
                          .json = r->json,
                          .run = prune_one,
                          .totals = print_sums,
                          .context = &sums};
    struct config *config = NULL;
    struct err e;
    if (cli_read_config(r->config_path, &config, &e))
        return cli_fail(&e);
    every.config = config;
    int code = every_run(&every);
    config_free(config);
    return code;
}

static int cmd_prune(int argc, char **argv)
{
    struct request r = {.url = NULL};
    struct outcome o = {.deleted = {0}};
    struct config *config = NULL;
    struct err e;
    int code = EXIT_DONE;
    if (!cli_parse(&prune_command, argc, argv, &r, &code))
        return code;
    if (!r.all && r.jobs > 0)
        return cli_usage(&prune_command, "--jobs goes only with --all");
    if (r.all && (!r.config_path || r.url))
        return cli_usage(&prune_command, "--all needs -c FILE, and takes no replica");
    if (r.dry_run)
        cli_output_is_work();
    r.cancel = cli_catch_interrupts();
    if (r.all)
        return prune_all(&r);
    if (cli_read_config(r.config_path, &config, &e) || complete(&r, config, &e) || prune(&r, &o, &e))
        code = cli_fail_reading(&e);
    retention_plan_release(&o.plan);
    config_free(config);
    return code;
}

static const struct flag flags[] = {
    FLAG_CONFIG(struct request, config_path, "configuration file that has the replica or the database"),
    {.name = "dry-run", FLAG_INTO(struct request, dry_run), .help = "only print what would be deleted"},
    {.name = "quiet", FLAG_INTO(struct request, quiet), .help = "print only the totals"},
    FLAG_EVERY(struct request, all, jobs),
    {.name = "json",
     FLAG_INTO(struct request, json),
     .help = "one JSON object (with --all a list \"replicas\" of them): dry_run, keep, delete, deleted, objects"},
    FLAG_MEMORY,
};

static const struct word words[] = {
    WORD_REPLICA(struct request, url, WORD_OR_CONFIG),
};

const struct command prune_command = {
    .name = "prune",
    .works_without_output = true,
    .run = cmd_prune,
    .example = "prune URL",
    .summary = "delete what no retention rule keeps",
    .arguments = "URL|DB",
    .description =
        "Deletes from a replica what no retention rule keeps, and prints for each object whether and why it is "
        "kept or deleted. Use the same options as for the daemon. With -c, URL can be the name of a replica in "
        "the file, or the path of a database in the file, whose first replica is then used, with the options of "
        "that database. With --all every replica of every database of FILE is pruned, found by listing the stores, "
        "each with the options of its database.\n",
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
    .words = words,
    .word_count = sizeof words / sizeof words[0],
    .options = OPTIONS_RETENTION,
    .options_offset = offsetof(struct request, options),
};
