/* cli/prune.c - `seawall prune`. */
#include "retention/retention.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/units.h"
#include "cli/cli.h"
#include "config/file.h"
#include "daemon/prune.h"

#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRIES_MAX 3 /* while somebody else deletes too */

static atomic_bool interrupted;

static void on_signal(int signo)
{
    (void)signo;
    atomic_store(&interrupted, true);
}

struct request {
    const char *url, *config_path;
    bool dry_run, json, quiet, help;
    struct cli_options options; /* of the command line: they override the file */
    struct retention_policy policy;
};

struct outcome {
    struct retention_plan plan;
    struct retention_figures deleted;
};

/* ---- the policy */

/* The database that the word stands for, or to which the replica belongs; NULL: none in the file. */
static const struct config_db *find_db(const struct config *file, const char *word, const char *url)
{
    const struct config_db *found = NULL;
    for (size_t i = 0; i < file->db_count; i++) {
        const struct config_db *db = &file->dbs[i];
        if (word && strcmp(db->path, word) == 0)
            return db;
        for (size_t k = 0; k < db->replica_count; k++)
            if (strcmp(db->replicas[k], url) == 0)
                found = db;
    }
    return found;
}

/* Where and by what policy: the file, and what the command line says besides. */
static int complete(struct request *r, const struct config *file, struct err *e)
{
    const char *word = r->url;
    struct options o = options_default();
    if (file) {
        if (config_find_url(file, word, &r->url, e))
            return -1;
        const struct config_db *db = find_db(file, word, r->url);
        o = db ? db->options : file->options;
    }
    if (cli_apply_options(&r->options, &o, e))
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
        printf("%-6s  %-59s %9s  %s\n", p->verdicts[i].goes ? "delete" : "keep", key, bytes,
               retention_reason_text(p->verdicts[i].reason));
    }
}

static void print_amount(const char *before, uint64_t objects, uint64_t bytes)
{
    char text[32];
    units_format_size(bytes, text);
    printf("%s%" PRIu64 " object%s, %s", before, objects, objects == 1 ? "" : "s", text);
}

static void print_summary(const struct request *r, const struct outcome *o)
{
    if (r->dry_run)
        print_amount("would delete ", o->plan.delete_count, o->plan.delete_bytes);
    else
        print_amount("deleted ", o->deleted.objects, o->deleted.bytes);
    print_amount("; kept ", o->plan.keep_count, o->plan.keep_bytes);
    printf("\n");
}

static struct json *amount_json(uint64_t objects, uint64_t bytes)
{
    struct json *j = json_object_new();
    json_set_number(j, "objects", (int64_t)objects);
    json_set_number(j, "bytes", (int64_t)bytes);
    return j;
}

static int print_json(const struct request *r, const struct outcome *o, struct err *e)
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
    char *text = json_print(j);
    json_free(j);
    if (!text)
        return err_nomem(e, 0);
    fputs(text, stdout);
    free(text);
    return 0;
}

/* ---- the command */

/* What was decided is printed before it is done, and what was done even if it failed half-way. */
static int prune_once(const struct request *r, struct outcome *o, struct err *e)
{
    const struct replica_options options = {.mode = STORE_READ, .cancel = &interrupted, .retrying = cli_tell_retry};
    struct replica_handle replica;
    struct err later;
    if (replica_handle_open(&replica, r->url, &options, e))
        return -1;
    int rc = retention_decide_now(&replica, &r->policy, &o->plan, e);
    bool decided = rc == 0;
    if (decided && !r->json && !r->quiet) {
        print_verdicts(&o->plan);
        fflush(stdout);
    }
    if (decided && !r->dry_run)
        rc = retention_apply(replica.store, &o->plan, &o->deleted, e);
    replica_handle_close(&replica);
    if (decided && r->json && print_json(r, o, rc ? &later : e))
        return -1;
    if (decided && !r->json)
        print_summary(r, o);
    return rc;
}

/* ERR_BUSY comes only while nothing is decided. */
static int prune(const struct request *r, struct outcome *o, struct err *e)
{
    int rc = prune_once(r, o, e);
    for (int i = 1; i < TRIES_MAX && rc != 0 && e->code == ERR_BUSY && !atomic_load(&interrupted); i++)
        rc = prune_once(r, o, e);
    if (rc != 0 && e->code == ERR_BUSY)
        err_hint(e, "somebody else deletes from this replica at the moment; try again later");
    return rc;
}

static int parse(int argc, char **argv, struct request *r)
{
    struct args args = args_of(argc, argv);
    const char *word = NULL;
    enum args_kind kind;
    int code = EXIT_DONE;
    while (code == EXIT_DONE && (kind = args_next(&args, &word)) != ARGS_END) {
        if (kind == ARGS_WORD) {
            if (r->url)
                return cli_usage("prune", "one URL only, not '%s' too", word);
            r->url = word;
        } else if (strcmp(args.name, "c") == 0 || strcmp(args.name, "config") == 0) {
            if (!(r->config_path = args_value(&args)))
                return cli_usage("prune", "-c needs a path");
        } else if (args_flag(&args, "dry-run")) {
            r->dry_run = true;
        } else if (args_flag(&args, "json")) {
            r->json = true;
        } else if (args_flag(&args, "quiet")) {
            r->quiet = true;
        } else if (args_flag(&args, "help") || args_flag(&args, "h")) {
            r->help = true;
            return EXIT_DONE;
        } else if (options_is_retention(args.name)) {
            code = cli_note_option("prune", &args, &r->options);
        } else {
            return cli_usage("prune", "there is no option --%s%s", args.name, args.value ? " that takes a value" : "");
        }
    }
    if (code == EXIT_DONE && !r->url && !r->config_path)
        return cli_usage("prune", "it takes the URL of a replica");
    return code;
}

int cmd_prune(int argc, char **argv)
{
    struct request r = {.url = NULL};
    struct outcome o = {.deleted = {0}};
    struct sigaction action = {.sa_handler = on_signal};
    struct config *config = NULL;
    struct err e;
    int code = parse(argc, argv, &r);
    if (code)
        return code;
    if (r.help) {
        cli_print_help("prune");
        return EXIT_DONE;
    }
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    if (cli_read_config(r.config_path, &config, &e) || complete(&r, config, &e) || prune(&r, &o, &e))
        code = cli_fail(&e);
    retention_plan_release(&o.plan);
    config_free(config);
    return code;
}
