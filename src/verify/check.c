/* verify/check.c */
#include "verify/check.h"

#include "base/array.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char hint_damaged[] =
    "put it back from a copy of the replica, or from an older version if the bucket keeps them; if there is none, let "
    "'seawall replicate' begin a second replica in an empty place now, and keep this one for the rest";
const char hint_mixed[] =
    "the objects of two replicas are mixed: give each database a place of its own, and move the others' objects there";

static void note(struct check *c, const char *key, const char *hint, const char *fmt, va_list args)
{
    struct verify_result *r = &c->result;
    struct err ignored; /* without memory the problem is only counted */
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

static int stop_listing(void *context, const struct store_entry *entry)
{
    const char *key = ((const char **)context)[0];
    if (strcmp(entry->key, key) == 0)
        ((const char **)context)[1] = key;
    return 1;
}

void check_void(struct check *c)
{
    pthread_mutex_lock(&c->lock);
    c->changed = true;
    pthread_mutex_unlock(&c->lock);
}

/* An object of the catalog is missing if it is still listed; one that is named, if what names it is still there. Otherwise
 * retention has taken it, at whatever look: what hangs on it can't be judged without a listing that does not have it. */
static int note_missing(struct check *c, const struct item *it, const char *key, struct err *e)
{
    char owner[NAME_MAX_BYTES] = "";
    if (it->owner)
        name_format(&it->owner->name, owner);
    const char *found[2] = {it->owner ? owner : key, NULL};
    if (store_list(c->store, found[0], "", stop_listing, found, e))
        return -1;
    if (!found[1])
        check_void(c);
    else if (it->owner)
        check_problem(c, key, hint_damaged, "is missing: '%s' names it", owner);
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
    check_problem(c, key, hint_damaged, "%s", strncmp(e->msg, front, n) == 0 ? e->msg + n : e->msg);
    return 0;
}
