/* verify/check.c */
#include "verify/check.h"

#include "base/array.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char hint_damaged[] =
    "put it back from a copy of the replica, or from an older version if the bucket keeps versions; if there is none, "
    "start a second replica in an empty place with 'seawall replicate', and keep this one for what it still has";
static const char hint_pack[] = "objects that lie in it are still there, and restores use them: if all are, a daemon "
                                "removes the pack, and packs them again; "
                                "otherwise put it back from a copy of the replica";
static const char hint_interior[] =
    "restores do not read it, so they are right; delete it, and readers read the base instead";
const char hint_mixed[] =
    "the objects of two replicas are mixed: give each database a place of its own, and move its objects there";

static void note(struct check *c, const char *key, const char *hint, const char *fmt, va_list args)
{
    struct verify_result *r = &c->result;
    struct err ignored; /* without memory the problem is only counted */
    assert(key[0]);
    pthread_mutex_lock(&c->lock);
    r->problem_total++;
    if (r->problem_count < VERIFY_PROBLEMS_MAX &&
        array_reserve(&r->problems, &r->problem_cap, r->problem_count + 1, sizeof *r->problems, &ignored) == 0) {
        struct verify_problem *p = &r->problems[r->problem_count++];
        snprintf(p->object, sizeof p->object, "%s", key);
        vsnprintf(p->text, sizeof p->text, fmt, args);
        p->hint = hint;
    }
    pthread_mutex_unlock(&c->lock);
}

void check_problem(struct check *c, const char *key, const char *hint, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    note(c, key, hint, fmt, args);
    va_end(args);
}

void check_problem_of(struct check *c, const struct name *name, const char *hint, const char *fmt, ...)
{
    char key[NAME_MAX_BYTES];
    va_list args;
    name_format(name, key);
    va_start(args, fmt);
    note(c, key, hint, fmt, args);
    va_end(args);
}

int check_canceled(const struct check *c, struct err *e)
{
    if (c->options->cancel && atomic_load(c->options->cancel))
        return err_set(e, ERR_CANCELED, 0, "interrupted");
    return 0;
}

void check_void(struct check *c)
{
    pthread_mutex_lock(&c->lock);
    c->changed = true;
    pthread_mutex_unlock(&c->lock);
}

struct sought {
    const char *key;
    bool listed;
};

static int compare_first(void *context, const struct store_entry *entry)
{
    struct sought *s = context;
    s->listed = strcmp(entry->key, s->key) == 0;
    return 1; /* ends the listing: the first key decides */
}

/* Handles an object that does not exist. An object of the catalog is missing if it is still listed. A named object is
 * missing if the object that names it is still listed. Otherwise retention has deleted it, and our listing is out of
 * date. */
static int note_missing(struct check *c, const struct item *it, const char *key, struct err *e)
{
    char owner[NAME_MAX_BYTES] = "";
    if (it->owner)
        name_format(&it->owner->name, owner);
    struct sought s = {.key = it->owner ? owner : key};
    if (store_list(c->store, s.key, "", compare_first, &s, e))
        return -1;
    if (!s.listed)
        check_void(c);
    else if (it->owner)
        c->named[it - c->named].missing = true;
    else
        check_problem(c, key, hint_damaged, "is listed, but is not there when it is read");
    return 0;
}

int check_failed(struct check *c, const struct item *it, struct err *e)
{
    char key[NAME_MAX_BYTES], front[NAME_MAX_BYTES + 16];
    name_format(&it->name, key);
    if (e->code == ERR_NOTFOUND || e->code == ERR_GONE)
        return note_missing(c, it, key, e);
    bool damaged = e->code == ERR_CORRUPT || e->code == ERR_LIMIT || (e->code == ERR_IO && e->sys == EIO);
    if (!damaged)
        return -1;
    size_t n = (size_t)snprintf(front, sizeof front, "object '%s': ", key);
    const char *why = strncmp(e->msg, front, n) == 0 ? e->msg + n : e->msg;
    const bool beside = it->name.kind == NAME_PACK && catalog_lies_in(c->catalog, it->object);
    const char *hint = it->name.kind == NAME_INTERIOR ? hint_interior : beside ? hint_pack : hint_damaged;
    check_problem(c, key, hint, "%.*s", text_front(why), why);
    return 0;
}
