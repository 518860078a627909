/* cli/restore_json.c */
#include "cli/restore_json.h"

#include "base/clock.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/place.h"

#include <assert.h>

static void set_text(struct json *j, const char *key, const char *text)
{
    if (text)
        json_set_text(j, key, text);
    else
        json_set_null(j, key);
}

/* `known`: otherwise null. */
static void set_number(struct json *j, const char *key, bool known, uint64_t value)
{
    if (known)
        json_set_number(j, key, (int64_t)value);
    else
        json_set_null(j, key);
}

static void set_time(struct json *j, const char *key, bool known, int64_t ms)
{
    char when[CLOCK_TEXT_MAX];
    clock_format(ms, when);
    set_text(j, key, known ? when : NULL);
}

static struct json *begin(const char *outcome, const struct restore_options *o, const char *format)
{
    char shown[STORE_URL_MAX];
    struct json *j = json_object_new();
    json_set_text(j, "outcome", outcome);
    json_set_text(j, "replica", place_shown(o->url, shown));
    json_set_text(j, "format", format);
    set_text(j, "path", o->path);
    return j;
}

static const char *outcome_of(const struct restore_options *o, const struct restore_result *r)
{
    return r->outcome == RESTORE_NOTHING_TO_DO ? "exists"
           : r->outcome == RESTORE_NO_REPLICA  ? "no replica"
           : o->flags & RESTORE_DRY_RUN        ? "would restore"
                                               : "restored";
}

int restore_json_print(const struct restore_options *o, const struct restore_result *r, struct err *e)
{
    const bool done = r->outcome == RESTORE_DONE, delta = done && r->delta, skipped = done && r->skipped.last;
    struct json *j = begin(outcome_of(o, r), o, "seawall");
    set_number(j, "txid", done, r->record.txid);
    set_time(j, "time", done, r->record.time_ms);
    set_number(j, "newest_txid", done, r->newest_txid);
    set_number(j, "pages", done, r->record.pages);
    set_number(j, "page_size", done, r->page_size);
    set_number(j, "objects", done, r->objects);
    set_number(j, "bytes", done, r->bytes);
    set_number(j, "rewritten_pages", delta, r->in_place.rewritten);
    set_number(j, "fetched_bytes", delta, r->in_place.fetched);
    set_text(j, "restored_whole", done && r->not_delta[0] ? r->not_delta : NULL);
    set_number(j, "skipped_txid", skipped, r->skipped.last);
    set_time(j, "skipped_time", skipped, r->skipped.last_ms);
    set_number(j, "unread_objects", done && (o->flags & RESTORE_BY_TIME), r->skipped.unread);
    json_set_flag(j, "undo", done && r->undo && !(o->flags & RESTORE_DRY_RUN));
    return cli_print_json(j, e);
}

int restore_json_print_litestream(const struct restore_options *o, const struct lite_result *r, struct err *e)
{
    const bool ltx = r->point.kind == LITE_LTX, dry = o->flags & RESTORE_DRY_RUN;
    char key[STORE_KEY_MAX];
    assert(r->found);
    struct json *j = begin(dry ? "would restore" : "restored", o, ltx ? "litestream 0.5" : "litestream 0.3");
    lite_name_format(&r->point, key);
    set_number(j, "txid", ltx, r->point.max);
    set_time(j, "time", true, r->time_ms);
    json_set_text(j, "object", key);
    set_number(j, "pages", !dry, r->pages);
    set_number(j, "page_size", !dry, r->page_size);
    set_number(j, "objects", true, r->objects);
    set_number(j, "bytes", true, r->bytes);
    json_set_flag(j, "undo", r->undo && !dry);
    return cli_print_json(j, e);
}

int restore_json_print_undo(const struct undo_options *o, const struct undo_result *r, struct err *e)
{
    const bool in_place = !r->whole;
    struct json *j = json_object_new();
    json_set_text(j, "outcome", "undone");
    json_set_text(j, "path", o->path);
    json_set_flag(j, "whole", r->whole);
    set_number(j, "txid", in_place && r->txid, r->txid);
    set_number(j, "undone_txid", in_place && r->txid_undone, r->txid_undone);
    set_number(j, "pages", in_place, r->pages);
    set_number(j, "page_size", in_place, r->page_size);
    set_number(j, "rewritten_pages", in_place, r->rewritten);
    json_set_flag(j, "undo", o->flags & UNDO_KEEP);
    return cli_print_json(j, e);
}
