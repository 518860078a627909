/* verify/listing.c - which objects the replica has, and which database they belong to.
 *
 * There is one listing. If it lacks an object that can be read, or has a key twice, that is an error of the store, not
 * a problem of the replica. */
#include "verify/listing.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int list_all(struct check *c, struct err *e)
{
    struct catalog *cat = c->catalog;
    catalog_release(cat);
    if (catalog_list(cat, c->store, c->codec, e))
        return -1;
    catalog_hold(cat);
    c->result.foreign = cat->foreign;
    return 0;
}

/* The message without the key in front, because a problem is reported under its key. */
static const char *without_key(const struct err *e)
{
    static const char front[] = "object '" NAME_IDENTITY "': ";
    return strncmp(e->msg, front, sizeof front - 1) == 0 ? e->msg + sizeof front - 1 : e->msg;
}

/* Reads seawall.json into the catalog. *ret_known: it could be read. Otherwise a problem is noted. */
static int identify(struct check *c, bool *ret_known, struct err *e)
{
    static const char hint[] =
        "put that file back from a copy of the replica; every object has the id of its database too";
    struct catalog *cat = c->catalog;
    const uint64_t others = cat->objects - cat->identity_listed;
    struct err why;
    *ret_known = replica_identity_read(c->store, &cat->identity, &why) == 0;
    if (*ret_known && !cat->identity_listed)
        return err_set(e, ERR_REMOTE, 0, "list '%s': '" NAME_IDENTITY "' exists, but is not in the listing",
                       c->store->url);
    if (*ret_known)
        return 0;
    if (why.code == ERR_NOTFOUND && others == 0)
        return err_set(e, ERR_NOTFOUND, 0, "'%s' holds no replica", c->store->url);
    if (why.code == ERR_NOTFOUND) {
        check_problem(c, NAME_IDENTITY, hint, "is missing, but there are %" PRIu64 " objects of a replica", others);
    } else if (why.code == ERR_CORRUPT || why.code == ERR_LIMIT) {
        check_problem(c, NAME_IDENTITY, hint, "%.*s", text_front(without_key(&why)), without_key(&why));
    } else {
        *e = why;
        return -1;
    }
    return 0;
}

/* *ret_read: the object could be read, and *ret_database is the database that it belongs to. */
static int read_database(struct check *c, const struct catalog_object *o, bool *ret_read, struct uid *ret_database,
                         struct err *e)
{
    struct segment s;
    char key[NAME_MAX_BYTES];
    name_format(&o->name, key);
    *ret_read = object_load(c->store, key, c->codec, SEGMENT_WANT_RECORDS, &s, e) == 0;
    if (!*ret_read) {
        bool damaged = e->code == ERR_CORRUPT || e->code == ERR_NOTFOUND || e->code == ERR_LIMIT || e->code == ERR_IO;
        return damaged ? 0 : -1;
    }
    *ret_database = s.trailer.info.database;
    segment_release(&s);
    return 0;
}

/* Compares the database of seawall.json with that of the oldest and the newest object of level 0. If both objects have
 * another one, notes one problem and takes the database of the objects. Otherwise each object would be a problem. */
static int believe_objects(struct check *c, struct err *e)
{
    struct catalog *cat = c->catalog;
    struct uid oldest, newest;
    bool known = false;
    if (cat->level0_count == 0)
        return 0;
    if (read_database(c, &cat->level0[0], &known, &oldest, e))
        return -1;
    if (!known)
        return 0;
    if (read_database(c, catalog_head(cat), &known, &newest, e))
        return -1;
    if (!known || !uid_equal(&oldest, &newest) || uid_equal(&oldest, &cat->identity.database))
        return 0;
    check_problem(c, NAME_IDENTITY, hint_mixed, "has the id of another database than the objects");
    cat->identity.database = oldest;
    return 0;
}

static int make_items(struct check *c, struct err *e)
{
    struct catalog *cat = c->catalog;
    const size_t segments = catalog_segment_count(cat), n = segments + cat->marker_count;
    c->items = calloc(n + 1, sizeof *c->items);
    c->chunk_named = calloc(cat->chunk_count + 1, sizeof *c->chunk_named);
    c->part_named = calloc(cat->part_count + 1, sizeof *c->part_named);
    if (!c->items || !c->chunk_named || !c->part_named)
        return err_nomem(e, n * sizeof *c->items);
    for (size_t i = 0; i < n; i++) {
        struct catalog_object *o = i < segments ? catalog_segment(cat, i) : &cat->markers[i - segments];
        c->items[c->item_count++] = (struct item){.name = o->name, .object = o};
    }
    return 0;
}

/* Checks that a listing with only seawall.json is complete: it must not lack the first object of level 0, which always
 * has the same key. */
static int check_bare(struct check *c, struct err *e)
{
    static const char first[] = "0/0000000000000001";
    struct buf tail = BUF_INIT(OBJECT_TAIL_BYTES);
    uint64_t size = 0;
    int rc = store_read_tail(c->store, first, 1, &tail, &size, e);
    buf_release(&tail);
    if (rc == 0)
        return err_set(e, ERR_REMOTE, 0, "list '%s': '%s' exists, but is not in the listing", c->store->url, first);
    if (e->code != ERR_NOTFOUND)
        return -1;
    return err_set(e, ERR_NOTFOUND, 0, "'%s' has no restore point yet", c->store->url);
}

int listing_take(struct check *c, struct err *e)
{
    bool known = false;
    assert(!c->items);
    if (list_all(c, e) || identify(c, &known, e))
        return -1;
    if (!known)
        return 0;
    if (c->catalog->objects == c->catalog->identity_listed)
        return check_bare(c, e);
    c->result.objects = 1; /* seawall.json */
    c->result.bytes = c->catalog->identity_size;
    if (believe_objects(c, e))
        return -1;
    return make_items(c, e);
}
