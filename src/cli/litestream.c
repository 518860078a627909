/* cli/litestream.c */
#include "cli/litestream.h"

#include "base/clock.h"
#include "base/units.h"
#include "cli/cli.h"
#include "litestream/contents.h"
#include "storage/open.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NAME_05 "Litestream 0.5"
#define NAME_03 "Litestream 0.3"

int cli_check_scheme(const char *url, struct err *e)
{
    if (!url || !lite_foreign_scheme(url))
        return 0;
    err_set(e, ERR_CONFIG, 0,
            "store '%.*s': a replica of Litestream can be there, but Seawall reads S3 and folders alone",
            (int)strcspn(url, ":"), url);
    return err_hint(e, "copy the replica into a folder, with rclone for example, and give the path of the folder");
}

/* For a place that has objects of both, where the replica of Seawall lacks what is asked for. */
static void hint_at_theirs(struct err *e)
{
    err_hint(e,
             "objects of Litestream are there too, and are not read beside a replica of Seawall: copy them to a place "
             "of their own, and give its URL");
}

/* ---- restore */

static void point_text(const struct lite_name *n, char out[96])
{
    if (n->kind == LITE_LTX)
        snprintf(out, 96, "txid %" PRIu64, n->max);
    else if (n->kind == LITE_SNAPSHOT)
        snprintf(out, 96, "the snapshot of generation %016" PRIx64 ", index %08" PRIx32, n->generation, n->index);
    else
        snprintf(out, 96, "generation %016" PRIx64 ", index %08" PRIx32 ", offset %08" PRIx32, n->generation, n->index,
                 n->offset);
}

void cli_print_litestream(const struct restore_options *o, const struct lite_result *r)
{
    char point[96], when[CLOCK_TEXT_MAX], size[32], fetched[32];
    const bool dry = o->flags & RESTORE_DRY_RUN;
    point_text(&r->point, point);
    clock_format(r->time_ms, when);
    units_format_size((uint64_t)r->pages * r->page_size, size);
    units_format_size(r->bytes, fetched);
    text_print("'%s' is a replica of %s\n", o->url, r->point.kind == LITE_LTX ? NAME_05 : NAME_03);
    text_print("%s %s of %s: ", dry ? "would restore" : "restored", point, when);
    if (!dry)
        text_print("%s in %" PRIu32 " pages, ", size, r->pages);
    text_print("from %zu object%s of %s\n", r->objects, cli_plural(r->objects), fetched);
    if ((o->flags & RESTORE_BY_TIME) && o->time_ms != r->time_ms) {
        clock_format(o->time_ms, when);
        text_print("that is the newest restore point not after %s\n", when);
    }
    if (r->point.kind == LITE_SNAPSHOT)
        text_print(
            "that is a snapshot alone: without a WAL after it, only --integrity-check tells whether it is whole\n");
    if (r->undo)
        text_print("the old state is kept: 'seawall restore --undo -o %s' puts it back\n", o->path);
}

void cli_restore_litestream(const struct restore_options *o, int *rc, struct lite_result *ret, struct err *e)
{
    struct err own;
    int own_rc = lite_restore(o, ret, &own);
    if (*rc && ret->beside)
        hint_at_theirs(e);
    if (!ret->found)
        return;
    *rc = own_rc;
    if (own_rc)
        *e = own;
}

/* ---- list */

struct level {
    uint64_t objects, bytes, first, last;
};

/* What is known of all points. */
struct summary {
    uint64_t points, first_txid; /* first_txid: 0.5 */
    int64_t first_ms, last_ms;
    struct level levels[LITE_LEVELS];
};

static const char *when(int64_t ms)
{
    static char text[2][CLOCK_TEXT_MAX]; /* one line can have two times */
    static unsigned turn;
    clock_format(ms, text[++turn % 2]);
    return text[turn % 2];
}

/* Whether this object is the one that counts as its point: several files can lead to one txid. */
static bool counts_as_point(const struct lite_list *l, size_t i)
{
    const struct lite_object *o = &l->all[i];
    if (o->name.kind != LITE_LTX)
        return o->point;
    for (size_t k = i; k-- > 0 && l->all[k].name.max == o->name.max;)
        if (l->all[k].point)
            return false;
    return o->point;
}

static void add_point(struct summary *s, const struct lite_object *o)
{
    if (s->points == 0 || o->time_ms < s->first_ms)
        s->first_ms = o->time_ms;
    if (s->points == 0 || o->time_ms > s->last_ms)
        s->last_ms = o->time_ms;
    if (s->points++ == 0)
        s->first_txid = o->name.max;
}

static struct summary summarize(const struct lite_contents *c)
{
    const struct lite_list *const lists[] = {&c->files, &c->snapshots, &c->segments};
    struct summary s = {0};
    for (size_t k = 0; k < 3; k++)
        for (size_t i = 0; i < lists[k]->count; i++)
            if (counts_as_point(lists[k], i))
                add_point(&s, &lists[k]->all[i]);
    for (size_t i = 0; i < c->files.count; i++) {
        const struct lite_object *o = &c->files.all[i];
        struct level *l = &s.levels[o->name.level];
        if (l->objects++ == 0 || o->name.min < l->first)
            l->first = o->name.min;
        if (o->name.max > l->last)
            l->last = o->name.max;
        l->bytes += o->size;
    }
    return s;
}

static const char *name_of(const struct lite_contents *c)
{
    if (c->files.count == 0)
        return NAME_03;
    return c->snapshots.count || c->segments.count ? NAME_05 " and of " NAME_03 : NAME_05;
}

static void print_generations(const struct lite_contents *c)
{
    const struct lite_list *const lists[] = {&c->snapshots, &c->segments};
    static const char *const words[] = {"snapshot", "WAL segment"};
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0, n = 0; i < lists[k]->count; i += n) {
            const struct lite_object *o = &lists[k]->all[i];
            char bytes[32];
            uint64_t size = 0;
            for (n = 0; i + n < lists[k]->count && o[n].name.generation == o->name.generation; n++)
                size += o[n].size;
            units_format_size(size, bytes);
            text_print("generation %016" PRIx64 ": %zu %s%s, %s, %s to %s\n", o->name.generation, n, words[k],
                       cli_plural(n), bytes, when(o->time_ms), when(o[n - 1].time_ms));
        }
}

static void print_summary(const struct lite_contents *c, const struct summary *s)
{
    char bytes[32];
    if (c->top)
        text_print("txid %" PRIu64 " to %" PRIu64 "; --points shows which of them are restore points\n", s->first_txid,
                   c->top);
    if (c->beyond)
        text_print("from txid %" PRIu64 " on nothing can be restored: the files between are missing or damaged\n",
                   c->beyond);
    for (unsigned i = 0; i < LITE_LEVELS; i++) {
        const struct level *l = &s->levels[i];
        units_format_size(l->bytes, bytes);
        if (l->objects)
            text_print("level %u: %" PRIu64 " object%s, %s, txid %" PRIu64 " to %" PRIu64 "%s\n", i, l->objects,
                       cli_plural(l->objects), bytes, l->first, l->last, i == LITE_SNAPSHOT_LEVEL ? ", snapshots" : "");
    }
    print_generations(c);
}

static void print_points(const struct lite_contents *c)
{
    const struct lite_list *const lists[] = {&c->snapshots, &c->segments};
    if (c->top)
        text_print("%12s  %-24s  %10s\n", "txid", "time", "pages");
    for (size_t i = 0; i < c->files.count && !ferror(stdout); i++)
        if (counts_as_point(&c->files, i))
            text_print("%12" PRIu64 "  %-24s  %10" PRIu32 "\n", c->files.all[i].name.max, when(c->files.all[i].time_ms),
                       c->files.all[i].pages);
    if (c->snapshots.count)
        text_print("%-16s  %-8s  %-8s  %s\n", "generation", "index", "offset", "time");
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; i < lists[k]->count && !ferror(stdout); i++) {
            const struct lite_object *o = &lists[k]->all[i];
            char offset[16] = "snapshot";
            if (k == 1)
                snprintf(offset, sizeof offset, "%08" PRIx32, o->name.offset);
            if (o->point)
                text_print("%016" PRIx64 "  %08" PRIx32 "  %-8s  %s\n", o->name.generation, o->name.index, offset,
                           when(o->time_ms));
        }
}

static void print_objects(const struct lite_contents *c)
{
    const struct lite_list *const lists[] = {&c->files, &c->snapshots, &c->segments};
    text_print("%-24s  %12s  %s\n", "time", "bytes", "key");
    for (size_t k = 0; k < 3; k++)
        for (size_t i = 0; i < lists[k]->count && !ferror(stdout); i++) {
            const struct lite_object *o = &lists[k]->all[i];
            char key[STORE_KEY_MAX];
            lite_name_format(&o->name, key);
            text_print("%-24s  %12" PRIu64 "  %s%s\n", when(o->time_ms), o->size, key, o->damaged ? "  damaged" : "");
        }
}

static void print_text(const struct lite_contents *c, const struct summary *s, unsigned show)
{
    char bytes[32];
    text_print("'%s' is a replica of %s\n", c->store->url, name_of(c));
    if (show == 0)
        print_summary(c, s);
    if (show & SHOW_POINTS)
        print_points(c);
    if (show & SHOW_SEGMENTS)
        print_objects(c);
    cli_print_passed_over(c->foreign);
    units_format_size(c->bytes, bytes);
    text_print("%" PRIu64 " restore point%s in %" PRIu64 " objects, %s", s->points, cli_plural(s->points), c->objects,
               bytes);
    if (s->points)
        text_print(", %s to %s", when(s->first_ms), when(s->last_ms));
    text_print("\n");
}

/* ---- JSON */

static void set_hex(struct json *j, const char *key, uint64_t value, int digits)
{
    char text[17];
    snprintf(text, sizeof text, "%0*" PRIx64, digits, value);
    json_set_text(j, key, text);
}

/* The fields that say where an object or a point is. */
static struct json *json_of(const struct lite_object *o)
{
    struct json *j = json_object_new();
    if (o->name.kind != LITE_LTX) {
        set_hex(j, "generation", o->name.generation, 16);
        set_hex(j, "index", o->name.index, 8);
    }
    if (o->name.kind == LITE_SEGMENT)
        set_hex(j, "offset", o->name.offset, 8);
    json_set_text(j, "time", when(o->time_ms));
    return j;
}

static struct json *json_points(const struct lite_contents *c)
{
    const struct lite_list *const lists[] = {&c->files, &c->snapshots, &c->segments};
    struct json *all = json_list_new();
    for (size_t k = 0; k < 3; k++)
        for (size_t i = 0; i < lists[k]->count; i++) {
            const struct lite_object *o = &lists[k]->all[i];
            if (!counts_as_point(lists[k], i))
                continue;
            struct json *j = json_of(o);
            if (o->name.kind == LITE_LTX) {
                json_set_number(j, "txid", (int64_t)o->name.max);
                json_set_number(j, "pages", o->pages);
            }
            json_push(all, j);
        }
    return all;
}

static struct json *json_objects(const struct lite_contents *c)
{
    const struct lite_list *const lists[] = {&c->files, &c->snapshots, &c->segments};
    struct json *all = json_list_new();
    for (size_t k = 0; k < 3; k++)
        for (size_t i = 0; i < lists[k]->count; i++) {
            const struct lite_object *o = &lists[k]->all[i];
            struct json *j = json_of(o);
            char key[STORE_KEY_MAX];
            lite_name_format(&o->name, key);
            json_set_text(j, "key", key);
            json_set_number(j, "bytes", (int64_t)o->size);
            if (o->name.kind == LITE_LTX) {
                json_set_number(j, "level", o->name.level);
                json_set_number(j, "first_txid", (int64_t)o->name.min);
                json_set_number(j, "last_txid", (int64_t)o->name.max);
            }
            if (o->damaged)
                json_set_flag(j, "damaged", true);
            json_push(all, j);
        }
    return all;
}

static int print_json(const struct lite_contents *c, const struct summary *s, unsigned show, struct err *e)
{
    struct json *j = json_object_new();
    json_set_text(j, "format", c->files.count ? NAME_05 : NAME_03);
    if (c->top) {
        json_set_number(j, "first_txid", (int64_t)s->first_txid);
        json_set_number(j, "last_txid", (int64_t)c->top);
    }
    if (c->beyond)
        json_set_number(j, "missing_before_txid", (int64_t)c->beyond);
    if (s->points) {
        json_set_text(j, "first_time", when(s->first_ms));
        json_set_text(j, "last_time", when(s->last_ms));
    }
    json_set_number(j, "objects", (int64_t)c->objects);
    json_set_number(j, "bytes", (int64_t)c->bytes);
    json_set_number(j, "foreign", (int64_t)c->foreign);
    if (show & SHOW_SEGMENTS)
        json_set(j, "segments", json_objects(c));
    json_set(j, "points", json_points(c));
    return cli_print_json(j, e);
}

static int list_contents(struct lite_contents *c, unsigned show, struct err *e)
{
    const struct feed_options options = {.jobs = 0};
    if (lite_read_headers(c, &options, e))
        return -1;
    const struct summary s = summarize(c);
    if (show & SHOW_JSON)
        return print_json(c, &s, show, e);
    print_text(c, &s, show);
    if (fflush(stdout) != 0 && errno == EPIPE)
        clearerr(stdout); /* a reader that has read enough, which is not an error */
    return 0;
}

void cli_list_litestream(const char *url, unsigned show, int *rc, struct err *e)
{
    struct store *store = NULL;
    struct lite_contents c;
    struct err own;
    bool beside = false;
    if (store_open(url, STORE_READ, &store, &own))
        return;
    store->retrying = cli_tell_retry;
    if (lite_list(&c, store, &beside, &own) == 0) {
        *rc = list_contents(&c, show, e);
        lite_release(&c);
    } else if (beside) {
        hint_at_theirs(e);
    }
    store_close(store);
}
