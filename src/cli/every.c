/* cli/every.c */
#include "cli/every.h"

#include "cli/cli.h"
#include "cli/place.h"
#include "storage/open.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct every_item {
    const struct replicas_db *db;
    size_t replica; /* of its section */
    bool begun, failed;
};

void every_begin_output(struct every *a)
{
    each_begin_output(&a->each);
}

void every_end_output(struct every *a)
{
    fflush(stdout);
    each_end_output(&a->each);
}

enum every_outcome every_fail(struct every *a, const struct every_replica *r, const struct err *e)
{
    if (e->code == ERR_CLAIM && !r->alone)
        return EVERY_AGAIN;
    if (e->code == ERR_CANCELED)
        return EVERY_LEFT;
    every_begin_output(a);
    text_print_to(stderr, "seawall: database '%s': %s\n", r->path, e->msg);
    every_end_output(a);
    return EVERY_FAILED;
}

int every_print_json(struct every *a, const struct every_replica *r, struct json *taken, struct err *e)
{
    char url[STORE_URL_MAX];
    json_set_text(taken, "database", r->path);
    json_set_text(taken, "replica", place_shown(r->url, url));
    char *text = json_print_line(taken);
    json_free(taken);
    if (!text)
        return err_nomem(e, 0);
    every_begin_output(a);
    text_put(stdout, a->elements++ > 0 ? "," : "");
    text_put(stdout, text);
    every_end_output(a);
    free(text);
    return 0;
}

/* ---- one replica */

static enum each_answer work(struct every *a, struct every_item *item, const struct every_replica *r)
{
    struct replica_identity id;
    struct err e;
    bool there = false;
    enum every_outcome outcome = EVERY_FAILED;
    if (place_look(r->url, a->cancel, &there, &id, &e))
        outcome = every_fail(a, r, &e);
    else if (!there && !config_is_pattern(r->section) && place_is_empty(r->url, &e))
        outcome = every_fail(a, r, &e); /* the file names it: it was not found by listing */
    else
        outcome = there ? a->run(a->context, a, r) : EVERY_WELL;
    if (outcome == EVERY_AGAIN && !r->alone)
        return EACH_AGAIN;
    assert(outcome != EVERY_AGAIN);
    every_begin_output(a);
    item->begun = outcome == EVERY_FAILED || (there && outcome == EVERY_WELL);
    item->failed = outcome == EVERY_FAILED;
    a->missing += outcome == EVERY_WELL && !there;
    a->failed += item->failed;
    every_end_output(a);
    return EACH_DONE;
}

static enum each_answer work_on(void *context, size_t index, bool alone)
{
    struct every *a = context;
    struct every_item *item = &a->items[index];
    struct config_member m;
    struct err e;
    struct every_replica r = {.path = item->db->path, .section = item->db->section, .alone = alone};
    if (config_member_make(item->db->section, item->db->path, &m, &e)) {
        e.code = ERR_CONFIG; /* nothing is gained by doing it again */
        item->begun = item->failed = every_fail(a, &r, &e) == EVERY_FAILED;
        every_begin_output(a);
        a->failed++;
        every_end_output(a);
        return EACH_DONE;
    }
    assert(item->replica < m.url_count);
    r.url = m.urls[item->replica];
    enum each_answer answer = work(a, item, &r);
    config_member_release(&m);
    return answer;
}

/* ---- all of them */

static int make_items(struct every *a, struct err *e)
{
    size_t most = 1;
    for (size_t i = 0; i < a->replicas.count; i++)
        most += a->replicas.list[i].section->replica_count;
    a->items = calloc(most, sizeof *a->items);
    if (!a->items)
        return err_nomem(e, most * sizeof *a->items);
    for (size_t i = 0; i < a->replicas.count; i++)
        for (size_t k = 0; k < a->replicas.list[i].section->replica_count; k++)
            if (a->replicas.list[i].at >> k & 1)
                a->items[a->count++] = (struct every_item){.db = &a->replicas.list[i], .replica = k};
    return 0;
}

static size_t count_begun(const struct every *a)
{
    size_t n = 0;
    for (size_t i = 0; i < a->count; i++)
        n += a->items[i].begun;
    return n;
}

static void print_json_end(const struct every *a, size_t begun, size_t left)
{
    text_print("], \"count\": %zu, \"failed\": %zu, \"without_replica\": %zu, \"strange\": %" PRIu64
               ", \"unread\": %zu, \"left\": %zu}\n",
               begun, a->failed, a->missing, a->replicas.strange, a->replicas.failed, left);
}

static void print_text_end(const struct every *a, size_t begun, size_t left)
{
    text_print("%s %zu replica%s, %zu failed\n", a->done, begun, cli_plural(begun), a->failed);
    if (a->totals)
        a->totals(a->context);
    if (a->missing > 0)
        text_print("passed over: %zu place%s without a replica\n", a->missing, cli_plural(a->missing));
    if (a->replicas.strange > 0)
        text_print("passed over: %" PRIu64 " other thing%s in the stores\n", a->replicas.strange,
                   cli_plural(a->replicas.strange));
    if (a->failed > 0)
        text_print("failed:\n");
    for (size_t i = 0; i < a->count; i++)
        if (a->items[i].failed && a->items[i].db->section->replica_count == 1)
            text_print("  %s\n", a->items[i].db->path);
        else if (a->items[i].failed)
            text_print("  %s, replica %zu\n", a->items[i].db->path, a->items[i].replica + 1);
    if (a->replicas.failed > 0)
        text_print("there can be more replicas: %zu thing%s in the stores could not be read\n", a->replicas.failed,
                   cli_plural(a->replicas.failed));
    if (left > 0)
        text_print("interrupted: %zu replica%s left\n", left, left == 1 ? " is" : "s are");
}

static int sum_up(const struct every *a)
{
    const size_t begun = count_begun(a), left = a->count - begun - a->missing;
    if (a->json)
        print_json_end(a, begun, left);
    else
        print_text_end(a, begun, left);
    if (left > 0)
        return EXIT_INTERRUPTED;
    return a->failed > 0 || a->replicas.failed > 0 ? EXIT_SOME_FAILED : begun == 0 ? EXIT_NOTHING : EXIT_DONE;
}

int every_run(struct every *a)
{
    struct err e;
    a->count = a->failed = a->missing = a->elements = 0;
    a->items = NULL;
    a->replicas = (struct replicas){.list = NULL};
    int rc = replicas_find(a->config, a->at_once, a->cancel, &a->replicas, &e);
    if (rc == 0)
        rc = make_items(a, &e);
    if (rc == 0) {
        a->each =
            (struct each){.count = a->count, .at_once = a->at_once, .cancel = a->cancel, .run = work_on, .context = a};
        if (a->json)
            text_print("{\"replicas\": [\n");
        rc = each_run(&a->each, "replicas", a->what, &e);
    }
    int code = rc ? cli_fail(&e) : sum_up(a);
    free(a->items);
    replicas_release(&a->replicas);
    return code;
}
