/* cli/list.c - `seawall list`. */
#include "base/clock.h"
#include "base/json.h"
#include "cli/cli.h"
#include "config/file.h"
#include "replica/plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct listing {
    bool json;
    struct json *points; /* with json */
    uint64_t count;
    struct commit_record first, last;
};

static struct json *point_of(const struct commit_record *r)
{
    struct json *point = json_object_new();
    char when[CLOCK_TEXT_MAX];
    clock_format(r->time_ms, when);
    json_set_number(point, "txid", (int64_t)r->txid);
    json_set_text(point, "time", when);
    json_set_number(point, "pages", r->pages);
    return point;
}

static int add_point(void *context, const struct commit_record *r)
{
    struct listing *l = context;
    char when[CLOCK_TEXT_MAX];
    if (l->count++ == 0) {
        l->first = *r;
        if (!l->json)
            printf("%12s  %-24s  %10s\n", "txid", "time", "pages");
    }
    l->last = *r;
    if (l->json) {
        json_push(l->points, point_of(r));
        return 0;
    }
    clock_format(r->time_ms, when);
    printf("%12" PRIu64 "  %-24s  %10" PRIu32 "\n", r->txid, when, r->pages);
    return 0;
}

static int print_json(const struct catalog *c, struct listing *l)
{
    struct json *j = json_object_new();
    char when[CLOCK_TEXT_MAX];
    json_set_number(j, "first_txid", (int64_t)l->first.txid);
    json_set_number(j, "last_txid", (int64_t)l->last.txid);
    clock_format(l->first.time_ms, when);
    json_set_text(j, "first_time", when);
    clock_format(l->last.time_ms, when);
    json_set_text(j, "last_time", when);
    json_set_number(j, "objects", (int64_t)c->objects);
    json_set_number(j, "bytes", (int64_t)c->bytes);
    json_set(j, "points", l->points);
    char *text = json_print(j);
    json_free(j);
    if (!text)
        return -1;
    fputs(text, stdout);
    free(text);
    return 0;
}

static int list(const char *url, bool json, struct err *e)
{
    struct listing l = {.json = json, .points = json ? json_list_new() : NULL};
    struct store *store = NULL;
    struct catalog c = {0};
    struct codec *codec = codec_new();
    int rc = codec ? store_open(url, STORE_READ, &store, e) : err_nomem(e, 0);
    if (rc == 0) {
        store->retrying = cli_tell_retry;
        rc = catalog_open(&c, store, codec, e);
    }
    if (rc == 0)
        catalog_prefetch(&c, 0, UINT64_MAX);
    if (rc == 0)
        rc = plan_points(&c, add_point, &l, e);
    if (rc == 0 && l.count == 0)
        rc = err_set(e, ERR_NOTFOUND, 0, "'%s' has no restore point yet", store->url);
    if (rc == 0 && json) {
        if (print_json(&c, &l))
            rc = err_nomem(e, 0);
    } else {
        json_free(l.points);
        if (rc == 0) {
            char bytes[32];
            cli_format_bytes(c.bytes, bytes);
            printf("%" PRIu64 " restore point%s in %" PRIu64 " objects, %s\n", l.count, l.count == 1 ? "" : "s", c.objects, bytes);
        }
    }
    catalog_release(&c);
    store_close(store);
    codec_free(codec);
    return rc;
}

int cmd_list(int argc, char **argv)
{
    struct args args = args_of(argc, argv);
    const char *word = NULL, *url = NULL, *config_path = NULL;
    struct config *config = NULL;
    bool json = false;
    struct err e;
    enum args_kind kind;
    while ((kind = args_next(&args, &word)) != ARGS_END) {
        if (kind == ARGS_WORD && !url) {
            url = word;
        } else if (kind == ARGS_WORD) {
            return cli_usage("list", "one URL only, not '%s' too", word);
        } else if (strcmp(args.name, "c") == 0 || strcmp(args.name, "config") == 0) {
            if (!(config_path = args_value(&args)))
                return cli_usage("list", "-c needs a path");
        } else if (args_flag(&args, "json")) {
            json = true;
        } else if (args_flag(&args, "help") || args_flag(&args, "h")) {
            cli_print_help("list");
            return EXIT_DONE;
        } else {
            return cli_usage("list", "there is no option --%s%s", args.name, args.value ? " that takes a value" : "");
        }
    }
    if (!url && !config_path)
        return cli_usage("list", "it takes the URL of a replica");
    if (cli_read_config(config_path, &config, &e))
        return cli_fail(&e);
    int rc = config ? config_find_url(config, url, &url, &e) : 0;
    if (rc == 0)
        rc = list(url, json, &e);
    config_free(config);
    return rc ? cli_fail(&e) : EXIT_DONE;
}
