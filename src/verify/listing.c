/* verify/listing.c - what there is.
 *
 * Two listings, this one first: parts and chunks that it has and no later catalog names are named by nothing. A listing that
 * contradicts what can be read is no ground to judge a replica on. */
#include "verify/check.h"

#include <stdlib.h>
#include <string.h>

struct taking {
    struct check *check;
    char last[STORE_KEY_MAX];
    bool nomem, disorder;
};

static int take_entry(void *context, const struct store_entry *entry)
{
    struct taking *t = context;
    struct check *c = t->check;
    struct name name = name_parse(entry->key);
    if (t->last[0] && strcmp(entry->key, t->last) <= 0)
        t->disorder = true;
    memcpy(t->last, entry->key, strlen(entry->key) + 1);
    if (strcmp(entry->key, NAME_IDENTITY) == 0) {
        c->identity_listed = true;
        c->identity_size = entry->size;
        return 0;
    }
    if (name.kind == NAME_OTHER) {
        c->result.foreign++;
        return 0;
    }
    c->listed++;
    if (name.kind != NAME_PART && name.kind != NAME_CHUNK)
        return 0;
    if (c->loose_count == c->loose_cap) {
        size_t cap = c->loose_cap ? 2 * c->loose_cap : 64;
        void *grown = realloc(c->loose, cap * sizeof *c->loose);
        t->nomem |= !grown;
        if (!grown)
            return 1;
        c->loose = grown;
        c->loose_cap = cap;
    }
    c->loose[c->loose_count++] = (struct loose){.name = name, .size = entry->size};
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return name_compare(&((const struct loose *)a)->name, &((const struct loose *)b)->name);
}

static int list_all(struct check *c, struct err *e)
{
    struct taking t = {.check = c};
    if (store_list(c->store, "", "", take_entry, &t, e))
        return -1;
    if (t.nomem)
        return err_nomem(e, 2 * c->loose_cap * sizeof *c->loose);
    if (t.disorder)
        return err_set(e, ERR_REMOTE, 0, "list '%s': the keys are out of order or come twice", c->store->url);
    if (c->loose_count > 0)
        qsort(c->loose, c->loose_count, sizeof *c->loose, by_name);
    return 0;
}

/* Whose objects these are. 1: there is nothing more to look at, a problem is noted. */
static int identify(struct check *c, struct err *e)
{
    static const char hint[] =
        "put that file back from a copy of the replica; every object has the id of its database too";
    static const char front[] = "object '" NAME_IDENTITY "': "; /* the problem stands under its key already */
    struct replica_identity identity;
    struct err why;
    if (replica_identity_read(c->store, &identity, &why) == 0) {
        if (c->identity_listed)
            return 0;
        return err_set(e, ERR_REMOTE, 0, "list '%s': '" NAME_IDENTITY "' is not in the listing, but it is there",
                       c->store->url);
    }
    if (why.code == ERR_NOTFOUND && c->listed == 0)
        return err_set(e, ERR_NOTFOUND, 0, "'%s' holds no replica", c->store->url);
    if (why.code == ERR_NOTFOUND)
        check_problem(c, NAME_IDENTITY, hint, "is missing, but %llu objects of a replica are there",
                      (unsigned long long)c->listed);
    else if (why.code == ERR_CORRUPT || why.code == ERR_LIMIT)
        check_problem(c, NAME_IDENTITY, hint, "%s",
                      strncmp(why.msg, front, sizeof front - 1) == 0 ? why.msg + sizeof front - 1 : why.msg);
    else
        return *e = why, -1;
    return 1;
}

/* Says seawall.json something else than all objects do? The oldest and the newest of level 0 stand for all. Then they are right:
 * otherwise each of them would be a problem. */
static int believe_objects(struct check *c, struct err *e)
{
    struct catalog *cat = c->catalog;
    struct uid seen[2];
    for (size_t i = 0; i < 2; i++) {
        struct segment s;
        char key[NAME_MAX_BYTES];
        if (cat->level0_count == 0)
            return 0;
        name_format(&cat->level0[i ? cat->level0_count - 1 : 0].name, key);
        if (object_load(c->store, key, c->codec, SEGMENT_WANT_RECORDS, &s, e))
            return e->code == ERR_CORRUPT || e->code == ERR_NOTFOUND || e->code == ERR_LIMIT || e->code == ERR_IO ? 0
                                                                                                                  : -1;
        seen[i] = s.trailer.info.database;
        segment_release(&s);
    }
    if (!uid_equal(&seen[0], &seen[1]) || uid_equal(&seen[0], &cat->identity.database))
        return 0;
    check_problem(c, NAME_IDENTITY, hint_mixed, "has the id of another database than the objects");
    cat->identity.database = seen[0];
    return 0;
}

static int make_items(struct check *c, struct err *e)
{
    struct catalog *cat = c->catalog;
    size_t n = cat->level0_count + cat->level_count + cat->marker_count;
    c->items = calloc(n + 1, sizeof *c->items);
    if (!c->items)
        return err_nomem(e, n * sizeof *c->items);
    for (size_t i = 0; i < cat->level0_count; i++)
        c->items[c->item_count++] = (struct item){.name = cat->level0[i].name, .object = &cat->level0[i]};
    for (size_t i = 0; i < cat->level_count; i++)
        c->items[c->item_count++] = (struct item){.name = cat->levels[i].name, .object = &cat->levels[i]};
    for (size_t i = 0; i < cat->marker_count; i++)
        c->items[c->item_count++] = (struct item){.name = cat->markers[i].name, .object = &cat->markers[i]};
    return 0;
}

/* Only seawall.json: is that so, or does the listing leave out the rest? */
static int check_bare(struct check *c, struct err *e)
{
    static const char first[] = "0/0000000000000001";
    struct buf tail = BUF_INIT(OBJECT_TAIL_BYTES);
    uint64_t size = 0;
    int rc = store_read_tail(c->store, first, 1, &tail, &size, e);
    buf_release(&tail);
    if (rc == 0)
        return err_set(e, ERR_REMOTE, 0, "list '%s': '%s' is not in the listing, but it is there", c->store->url,
                       first);
    if (e->code != ERR_NOTFOUND)
        return -1;
    return err_set(e, ERR_NOTFOUND, 0, "'%s' has no restore point yet", c->store->url);
}

int listing_take(struct check *c, struct err *e)
{
    if (list_all(c, e))
        return -1;
    int rc = identify(c, e);
    if (rc)
        return rc < 0 ? -1 : 0;
    if (c->listed == 0)
        return check_bare(c, e);
    catalog_release(c->catalog);
    if (catalog_open(c->catalog, c->store, c->codec, e))
        return -1;
    c->result.objects = 1; /* seawall.json */
    c->result.bytes = c->identity_size;
    if (believe_objects(c, e))
        return -1;
    return make_items(c, e);
}
