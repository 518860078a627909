/* cli/list.c - `seawall list`.
 *
 * A replica can have more restore points than fit into memory, but not more objects. So each point is printed as
 * soon as it is found, and JSON is printed by hand: no text in it needs escapes. */
#include "base/array.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/units.h"
#include "cli/cli.h"
#include "cli/litestream.h"
#include "config/file.h"
#include "replica/handle.h"
#include "replica/inventory.h"
#include "replica/losses.h"
#include "replica/points.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct listing {
    unsigned show;
    struct replica_handle replica;
    struct inventory inventory;
    struct point_range *ranges;
    size_t range_count, range_cap;
    struct losses losses;
    uint64_t points;
    uint64_t printed; /* entries of the list that is being printed */
    int write_errno;  /* of the first write that failed; 0: none */
    struct err err;   /* of note_range */
};

static const char *when(int64_t ms)
{
    static char text[2][CLOCK_TEXT_MAX]; /* one line can have two times */
    static unsigned turn;
    clock_format(ms, text[++turn % 2]);
    return text[turn % 2];
}

/* Prints the separator before the next element of a JSON list. Each element has its own line. */
static void print_comma(struct listing *l)
{
    text_put(stdout, l->printed++ ? ",\n    " : "\n    ");
}

/* Whether a write failed, so that printing must stop: the disk is full, or the reader closed the pipe, as in
 * `seawall list --points | head`. */
static int write_failed(struct listing *l)
{
    if (ferror(stdout) && l->write_errno == 0)
        l->write_errno = errno;
    return ferror(stdout);
}

static int note_range(void *context, const struct point_range *r)
{
    struct listing *l = context;
    if (array_reserve(&l->ranges, &l->range_cap, l->range_count + 1, sizeof *l->ranges, &l->err))
        return -1;
    l->ranges[l->range_count++] = *r;
    l->points += r->points;
    return 0;
}

/* ---- words */

static const char *state_word(enum inventory_state s)
{
    static const char *const words[] = {[INVENTORY_COMPLETE] = "complete",
                                        [INVENTORY_NOT_COMPLETE] = "not complete",
                                        [INVENTORY_LACKS_CHUNKS] = "lacks chunks",
                                        [INVENTORY_DAMAGED] = "damaged",
                                        [INVENTORY_DELETED] = "deleted"};
    return words[s];
}

static const char *kind_word(enum name_kind k)
{
    static const char *const words[] = {
        [NAME_OTHER] = "identity",    [NAME_LEVEL0] = "segment", [NAME_LEVEL] = "segment", [NAME_CHUNK] = "chunk",
        [NAME_INTERIOR] = "interior", [NAME_MARKER] = "marker",  [NAME_PART] = "part",     [NAME_PACK] = "pack"};
    return words[k];
}

/* Writes the flags of an object, separated by commas, each between two `quote`s. "": it has none. */
static const char *flag_words(const struct inventory_object *o, const char *quote, char out[160])
{
    const struct {
        bool is;
        const char *word;
    } all[] = {
        {o->flags & SEGMENT_FROM_EMPTY, "from_empty"},
        {o->flags & SEGMENT_LAST_ONLY, "last_only"},
        {o->flags & SEGMENT_BASE_ONLY, "base_only"},
        {o->flags & SEGMENT_IN_PARTS, "in_parts"},
        {o->damaged, "damaged"},
        {o->orphan, "orphan"},
        {o->unknown, "orphan_or_not"},
    };
    size_t at = 0;
    out[0] = 0;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (all[i].is)
            at += (size_t)snprintf(out + at, 160 - at, "%s%s%s%s", at ? ", " : "", quote, all[i].word, quote);
    return out;
}

/* ---- text */

/* Says which times are not those at which the commits were made. */
static void print_clamped(const struct point_range *r)
{
    if (r->clamped_last == 0)
        return;
    text_print("  txid %" PRIu64, r->clamped_first);
    if (r->clamped_first < r->clamped_last)
        text_print(" to %" PRIu64, r->clamped_last);
    text_print(": the clock was ahead before, so these times are later than what it said (--points shows that)\n");
}

static void print_ranges(const struct listing *l)
{
    for (size_t i = 0; i < l->range_count; i++) {
        const struct point_range *r = &l->ranges[i];
        if (r->first_txid == r->last_txid)
            text_print("txid %" PRIu64 ", %s\n", r->last_txid, when(r->last_ms));
        else if (point_range_every(r))
            text_print("txid %" PRIu64 " to %" PRIu64 ", %s to %s, every transaction\n", r->first_txid, r->last_txid,
                       when(r->first_ms), when(r->last_ms));
        else if (r->points == 1)
            text_print("txid %" PRIu64 " to %" PRIu64 " as one point, %s\n", r->first_txid, r->last_txid,
                       when(r->last_ms));
        else
            text_print("txid %" PRIu64 " to %" PRIu64 " as %" PRIu64 " points, %s to %s\n", r->first_txid, r->last_txid,
                       r->points, when(r->first_ms), when(r->last_ms));
        print_clamped(r);
    }
}

static void print_bases(const struct inventory *v)
{
    for (size_t i = 0; i < v->base_count; i++) {
        const struct inventory_base *b = &v->bases[i];
        char bytes[32];
        units_format_size(b->bytes, bytes);
        text_print("base from txid %" PRIu64, b->start);
        if (b->state == INVENTORY_DELETED) {
            text_print(", deleted; %s of it are left, which 'seawall prune' removes\n", bytes);
            continue;
        }
        if (b->max)
            text_print(" to %" PRIu64, b->max);
        text_print(", %s, %s in %zu chunk%s, %s\n", when(b->time_ms), bytes, b->chunks, cli_plural(b->chunks),
                   state_word(b->state));
    }
}

static void print_levels(const struct inventory *v)
{
    char bytes[32];
    for (unsigned level = 0; level < INVENTORY_LEVELS; level++) {
        const struct inventory_level *l = &v->levels[level];
        units_format_size(l->bytes, bytes);
        if (l->objects)
            text_print("level %u: %" PRIu64 " object%s, %s, txid %" PRIu64 " to %" PRIu64 "\n", level, l->objects,
                       cli_plural(l->objects), bytes, l->first_txid, l->last_txid);
    }
    units_format_size(v->part_bytes, bytes);
    if (v->parts)
        text_print("parts of large segments: %" PRIu64 " object%s, %s\n", v->parts, cli_plural(v->parts), bytes);
}

static int print_point(void *context, const struct commit_record *r)
{
    struct listing *l = context;
    if (l->printed++ == 0)
        text_print("%12s  %-24s  %10s\n", "txid", "time", "pages");
    text_print("%12" PRIu64 "  %-24s  %10" PRIu32, r->txid, when(r->time_ms), r->pages);
    if (r->clock_ms)
        text_print("  the clock said %s", when(r->clock_ms));
    text_print("\n");
    return write_failed(context);
}

static int print_object(void *context, const struct inventory_object *o)
{
    struct listing *l = context;
    char txids[48] = "-", level[8] = "-", flags[160];
    if (o->max)
        snprintf(txids, sizeof txids, "%" PRIu64 "-%" PRIu64, o->min, o->max);
    else if (o->min)
        snprintf(txids, sizeof txids, "%" PRIu64 "-", o->min);
    if (o->kind == NAME_LEVEL0 || o->kind == NAME_LEVEL || o->kind == NAME_PACK)
        snprintf(level, sizeof level, "%u", o->level);
    if (l->printed++ == 0)
        text_print("%-8s  %5s  %17s  %-24s  %12s  %s\n", "kind", "level", "txids", "time", "bytes", "key");
    flag_words(o, "", flags);
    text_print("%-8s  %5s  %17s  %-24s  %12" PRIu64 "  %s%s%s\n", kind_word(o->kind), level, txids, when(o->time_ms),
               o->size, o->key, *flags ? "  " : "", flags);
    return write_failed(context);
}

static int print_text(struct listing *l, struct err *e)
{
    struct catalog *c = &l->replica.catalog;
    char bytes[32];
    if (l->show == 0) {
        print_ranges(l);
        cli_print_losses(&l->losses);
        print_bases(&l->inventory);
        print_levels(&l->inventory);
    }
    l->printed = 0;
    if ((l->show & SHOW_POINTS) && points_each(c, print_point, l, e))
        return -1;
    l->printed = 0;
    if ((l->show & SHOW_SEGMENTS) && inventory_objects(&l->inventory, print_object, l, e))
        return -1;
    cli_print_passed_over(c->foreign);
    units_format_size(c->bytes, bytes);
    text_print("%" PRIu64 " restore point%s in %" PRIu64 " objects, %s\n", l->points, cli_plural(l->points), c->objects,
               bytes);
    return 0;
}

/* ---- JSON */

static void print_json_head(const struct listing *l)
{
    text_print("{\n");
    if (l->range_count) {
        const struct point_range *first = &l->ranges[0], *last = &l->ranges[l->range_count - 1];
        text_print("  \"first_txid\": %" PRIu64 ",\n  \"last_txid\": %" PRIu64 ",\n", first->first_point,
                   last->last_txid);
        text_print("  \"first_time\": \"%s\",\n  \"last_time\": \"%s\",\n", when(first->first_ms), when(last->last_ms));
    }
    text_print("  \"objects\": %" PRIu64 ",\n  \"bytes\": %" PRIu64 ",\n  \"foreign\": %" PRIu64,
               l->replica.catalog.objects, l->replica.catalog.bytes, l->replica.catalog.foreign);
}

static void print_json_ranges(struct listing *l)
{
    l->printed = 0;
    text_print(",\n  \"ranges\": [");
    for (size_t i = 0; i < l->range_count; i++) {
        const struct point_range *r = &l->ranges[i];
        print_comma(l);
        text_print("{\"first_txid\": %" PRIu64 ", \"last_txid\": %" PRIu64
                   ", \"first_time\": \"%s\", \"last_time\": \"%s\", ",
                   r->first_txid, r->last_txid, when(r->first_ms), when(r->last_ms));
        text_print("\"every\": %s, \"count\": %" PRIu64, point_range_every(r) ? "true" : "false", r->points);
        if (r->clamped_last)
            text_print(", \"clamped_first\": %" PRIu64 ", \"clamped_last\": %" PRIu64, r->clamped_first,
                       r->clamped_last);
        text_print("}");
    }
    text_print("\n  ]");
}

static void print_json_losses(struct listing *l)
{
    l->printed = 0;
    text_print(",\n  \"lost\": [");
    for (size_t i = 0; i < l->losses.count; i++) {
        const struct known_loss *lost = &l->losses.list[i];
        if (lost->first > lost->last)
            continue;
        print_comma(l);
        text_print("{\"first_txid\": %" PRIu64 ", \"last_txid\": %" PRIu64 ", \"time\": \"%s\"}", lost->first,
                   lost->last, when(lost->time_ms));
    }
    text_print("\n  ]");
}

static void print_json_inventory(struct listing *l)
{
    const struct inventory *v = &l->inventory;
    l->printed = 0;
    text_print(",\n  \"bases\": [");
    for (size_t i = 0; i < v->base_count; i++) {
        const struct inventory_base *b = &v->bases[i];
        char run[2 * UID_BYTES + 1];
        hex_encode(b->run.bytes, UID_BYTES, run);
        print_comma(l);
        text_print("{\"start\": %" PRIu64 ", ", b->start);
        if (b->max)
            text_print("\"max\": %" PRIu64 ", ", b->max);
        text_print("\"run\": \"%s\", \"time\": \"%s\", \"chunks\": %zu, \"bytes\": %" PRIu64 ", \"state\": \"%s\"}",
                   run, when(b->time_ms), b->chunks, b->bytes, state_word(b->state));
    }
    l->printed = 0;
    text_print("\n  ],\n  \"levels\": [");
    for (unsigned level = 0; level < INVENTORY_LEVELS; level++)
        if (v->levels[level].objects) {
            print_comma(l);
            text_print("{\"level\": %u, \"objects\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"first_txid\": %" PRIu64
                       ", \"last_txid\": %" PRIu64 "}",
                       level, v->levels[level].objects, v->levels[level].bytes, v->levels[level].first_txid,
                       v->levels[level].last_txid);
        }
    text_print("\n  ],\n  \"parts\": {\"objects\": %" PRIu64 ", \"bytes\": %" PRIu64 "}", v->parts, v->part_bytes);
}

static int print_json_point(void *context, const struct commit_record *r)
{
    print_comma(context);
    text_print("{\"txid\": %" PRIu64 ", \"time\": \"%s\", \"pages\": %" PRIu32, r->txid, when(r->time_ms), r->pages);
    if (r->clock_ms)
        text_print(", \"clock\": \"%s\"", when(r->clock_ms));
    text_print("}");
    return write_failed(context);
}

static int print_json_object(void *context, const struct inventory_object *o)
{
    char flags[160];
    print_comma(context);
    text_print("{\"key\": \"%s\", \"kind\": \"%s\", ", o->key, kind_word(o->kind));
    if (o->kind == NAME_LEVEL0 || o->kind == NAME_LEVEL || o->kind == NAME_PACK)
        text_print("\"level\": %u, ", o->level);
    if (o->min)
        text_print("\"first_txid\": %" PRIu64 ", ", o->min);
    if (o->max)
        text_print("\"last_txid\": %" PRIu64 ", ", o->max);
    text_print("\"time\": \"%s\", \"bytes\": %" PRIu64 ", \"flags\": [%s]}", when(o->time_ms), o->size,
               flag_words(o, "\"", flags));
    return write_failed(context);
}

static int print_json(struct listing *l, struct err *e)
{
    print_json_head(l);
    print_json_ranges(l);
    print_json_losses(l);
    print_json_inventory(l);
    l->printed = 0;
    if (l->show & SHOW_SEGMENTS) {
        text_print(",\n  \"segments\": [");
        if (inventory_objects(&l->inventory, print_json_object, l, e))
            return -1;
        text_print("\n  ]");
    }
    l->printed = 0;
    text_print(",\n  \"points\": [");
    if (points_each(&l->replica.catalog, print_json_point, l, e))
        return -1;
    text_print("\n  ]\n}\n");
    return 0;
}

/* ---- the command */

static int no_point_is_left(const struct listing *l, struct err *e)
{
    err_set(e, ERR_CORRUPT, 0, "'%s' has no restore point: objects that its bases need are missing or damaged",
            l->replica.catalog.store->url);
    return err_hint(e, "'seawall verify' names them");
}

static int list_catalog(struct listing *l, struct err *e)
{
    if (points_ranges(&l->replica.catalog, note_range, l, e))
        return -1;
    if (l->err.code) {
        *e = l->err;
        return -1;
    }
    const bool damaged = l->points == 0 && l->replica.catalog.marker_count > 0; /* a base was complete once */
    if (l->points == 0 && !damaged && !(l->show & SHOW_SEGMENTS))
        return err_set(e, ERR_NOTFOUND, 0, "'%s' has no restore point yet", l->replica.catalog.store->url);
    if (losses_read(&l->replica.catalog, &l->losses, e) || inventory_take(&l->inventory, &l->replica.catalog, e))
        return -1;
    int rc = l->show & SHOW_JSON ? print_json(l, e) : print_text(l, e);
    fflush(stdout);
    if (rc == 0 && write_failed(l) && l->write_errno != EPIPE)
        rc = err_sys(e, l->write_errno, "write the list");
    clearerr(stdout); /* the error is in `e`, or a reader that has read enough, which is not an error */
    inventory_release(&l->inventory);
    return rc == 0 && damaged && !(l->show & SHOW_SEGMENTS) ? no_point_is_left(l, e) : rc;
}

static int list(const char *url, unsigned show, struct err *e)
{
    struct listing l = {.show = show};
    const struct replica_options options = {.mode = STORE_READ, .retrying = cli_tell_retry};
    int rc = replica_handle_open(&l.replica, url, &options, e);
    if (rc == 0)
        rc = replica_handle_list(&l.replica, e);
    if (rc == 0) {
        catalog_prefetch(&l.replica.catalog);
        rc = list_catalog(&l, e);
    }
    free(l.ranges);
    replica_handle_close(&l.replica);
    return rc;
}

struct request {
    const char *url, *config_path;
    unsigned show; /* of enum cli_show */
};

static int cmd_list(int argc, char **argv)
{
    struct request r = {.show = 0};
    struct config *config = NULL;
    struct err e;
    int code = EXIT_DONE;
    if (!cli_parse(&list_command, argc, argv, &r, &code))
        return code;
    int rc = cli_find_replica(r.config_path, &r.url, &config, &e);
    if (rc == 0) {
        rc = list(r.url, r.show, &e);
        if (rc && e.code == ERR_NOTFOUND)
            cli_list_litestream(r.url, r.show, &rc, &e);
    }
    config_free(config);
    return rc ? cli_fail_reading(&e) : EXIT_DONE;
}

static const struct flag flags[] = {
    FLAG_CONFIG(struct request, config_path, "configuration file that has the replica or the database"),
    {.name = "points",
     FLAG_INTO(struct request, show),
     .bits = SHOW_POINTS,
     .help = "each restore point on a line: txid, time, size of the database in pages"},
    {.name = "segments",
     FLAG_INTO(struct request, show),
     .bits = SHOW_SEGMENTS,
     .help = "each object on a line: kind, level, txids, time, bytes, key, flags"},
    {.name = "json",
     FLAG_INTO(struct request, show),
     .bits = SHOW_JSON,
     .help =
         "one JSON object: first_txid, last_txid, first_time, last_time, objects, bytes, foreign, ranges, lost, bases, "
         "levels, parts, points, and with --segments segments"},
    FLAG_MEMORY,
};

static const struct word words[] = {
    WORD_REPLICA(struct request, url, WORD_OR_CONFIG),
};

const struct command list_command = {
    .name = "list",
    .run = cmd_list,
    .example = "list URL",
    .summary = "show what can be restored",
    .arguments = "URL|DB",
    .description =
        "Shows what can be restored from a replica, as ranges of transactions, and what the replica consists of: "
        "bases, levels, bytes. Each of these states can also be read without a restore: see 'seawall help shell'. With "
        "-c, URL can be the name of a replica in the file, or the path of a database "
        "in the file, whose first replica is then used.\n",
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
    .words = words,
    .word_count = sizeof words / sizeof words[0],
};
