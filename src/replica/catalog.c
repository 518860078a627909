/* replica/catalog.c */
#include "replica/catalog.h"

#include "base/clock.h"
#include "base/json.h"

#include <stdlib.h>
#include <string.h>

#define IDENTITY_BYTES_MAX 4096

/* ---- listing */

struct list_context {
    struct catalog *catalog;
    size_t cap0, cap_levels, cap_markers, cap_chunks, cap_parts;
    bool nomem, identity_seen;
};

static int push(struct catalog_object **list, size_t *count, size_t *cap, const struct catalog_object *o)
{
    if (*count == *cap) {
        size_t grown_cap = *cap ? 2 * *cap : 64;
        void *grown = realloc(*list, grown_cap * sizeof **list);
        if (!grown)
            return -1;
        *list = grown;
        *cap = grown_cap;
    }
    (*list)[(*count)++] = *o;
    return 0;
}

static int add_entry(void *context, const struct store_entry *entry)
{
    struct list_context *l = context;
    struct catalog *c = l->catalog;
    struct catalog_object o = {.name = name_parse(entry->key), .size = entry->size, .time_ms = entry->time_ms};
    int rc = 0;
    if (strcmp(entry->key, NAME_IDENTITY) == 0) {
        l->identity_seen = true;
        c->identity_size = entry->size;
        c->identity_time_ms = entry->time_ms;
    } else if (o.name.kind == NAME_OTHER) {
        return 0; /* not ours */
    }
    c->objects++;
    c->bytes += entry->size;
    if (o.name.kind == NAME_LEVEL0)
        rc = push(&c->level0, &c->level0_count, &l->cap0, &o);
    else if (o.name.kind == NAME_LEVEL)
        rc = push(&c->levels, &c->level_count, &l->cap_levels, &o);
    else if (o.name.kind == NAME_MARKER)
        rc = push(&c->markers, &c->marker_count, &l->cap_markers, &o);
    else if (o.name.kind == NAME_CHUNK)
        rc = push(&c->chunks, &c->chunk_count, &l->cap_chunks, &o);
    else if (o.name.kind == NAME_PART)
        rc = push(&c->parts, &c->part_count, &l->cap_parts, &o);
    l->nomem |= rc != 0;
    return rc;
}

static int identity_lost(const struct store *store, struct err *e)
{
    err_set(e, ERR_CORRUPT, 0, "'%s' has objects of a replica, but no '" NAME_IDENTITY "'", store->url);
    return err_hint(e, "put that file back from a copy; or move the objects away, and a new replica is begun");
}

int catalog_open(struct catalog *c, struct store *store, struct codec *codec, struct err *e)
{
    struct list_context l = {.catalog = c};
    *c = (struct catalog){.store = store, .codec = codec};
    int rc = store_list(store, "", "", add_entry, &l, e);
    if (rc == 0 && l.nomem)
        rc = err_nomem(e, (c->level0_count + 1) * sizeof *c->level0);
    if (rc == 0 && l.identity_seen) {
        rc = replica_identity_read(store, &c->identity, e);
        if (rc != 0 && e->code == ERR_NOTFOUND)
            e->code =
                ERR_GONE; /* whoever takes "not found" for "no replica" must not be told so of one that was listed */
    } else if (rc == 0 && c->objects > 0) {
        rc = identity_lost(store, e);
    } else if (rc == 0) {
        rc = err_set(e, ERR_NOTFOUND, 0, "'%s' holds no replica", store->url);
    }
    if (rc)
        catalog_release(c);
    return rc;
}

static void forget(struct catalog_object *o)
{
    if (o->segment)
        segment_release(o->segment);
    free(o->segment);
    o->segment = NULL;
}

static void release_objects(struct catalog_object *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        forget(&list[i]);
    free(list);
}

void catalog_spare(struct catalog *c, struct catalog_object *o)
{
    if (!o->segment || c->records_kept <= CATALOG_RECORDS_MAX)
        return;
    c->records_kept -= o->segment->trailer.record_count;
    forget(o);
}

void catalog_release(struct catalog *c)
{
    release_objects(c->level0, c->level0_count);
    release_objects(c->levels, c->level_count);
    release_objects(c->markers, c->marker_count);
    free(c->chunks);
    free(c->parts);
    *c = (struct catalog){0};
}

int catalog_load(struct catalog *c, struct catalog_object *o, struct err *e)
{
    char key[NAME_MAX_BYTES];
    struct segment s;
    if (o->segment)
        return 0;
    name_format(&o->name, key);
    if (object_load(c->store, key, c->codec, SEGMENT_WANT_RECORDS, &s, e)) {
        if (e->code == ERR_NOTFOUND)
            e->code = ERR_GONE;
        return -1;
    }
    int rc = object_fits_name(&o->name, &s.trailer.info)
                 ? 0
                 : err_set(e, ERR_CORRUPT, 0, "holds something else than its key says");
    if (rc == 0 && !uid_equal(&s.trailer.info.database, &c->identity.database))
        rc = err_set(e, ERR_CORRUPT, 0, "belongs to another database than '" NAME_IDENTITY "' says");
    if (rc) {
        segment_release(&s);
        return err_wrap(e, "object '%s'", key);
    }
    o->segment = malloc(sizeof *o->segment);
    if (!o->segment) {
        segment_release(&s);
        return err_nomem(e, sizeof *o->segment);
    }
    *o->segment = s;
    c->records_kept += s.trailer.record_count;
    return 0;
}

void catalog_prefetch(const struct catalog *c, uint64_t after, uint64_t upto)
{
    char(*names)[NAME_MAX_BYTES] = malloc((c->level0_count + 1) * sizeof *names);
    const char **keys = malloc((c->level0_count + 1) * sizeof *keys);
    size_t count = 0;
    for (size_t i = 0; names && keys && i < c->level0_count; i++)
        if (c->level0[i].name.min > after && c->level0[i].name.min <= upto) {
            name_format(&c->level0[i].name, names[count]);
            keys[count] = names[count];
            count++;
        }
    if (names && keys)
        store_prefetch(c->store, keys, count);
    free(names);
    free(keys);
}

struct catalog_object *catalog_level0_at(struct catalog *c, uint64_t txid)
{
    size_t low = 0, high = c->level0_count;
    while (low < high) { /* first with min > txid */
        size_t mid = low + (high - low) / 2;
        if (c->level0[mid].name.min > txid)
            high = mid;
        else
            low = mid + 1;
    }
    return low ? &c->level0[low - 1] : NULL;
}

/* ---- by name */

static int compare_numbers(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

/* Two of one kind, in the order of their keys. */
static int compare_names(const struct name *a, const struct name *b)
{
    int order[] = {compare_numbers(a->level, b->level),
                   compare_numbers(a->min, b->min),
                   compare_numbers(a->max, b->max),
                   compare_numbers(a->start, b->start),
                   memcmp(a->run.bytes, b->run.bytes, UID_BYTES),
                   compare_numbers(a->first_page, b->first_page),
                   compare_numbers(a->number, b->number)};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++)
        if (order[i] != 0)
            return order[i];
    return 0;
}

static struct catalog_object *list_of(const struct catalog *c, enum name_kind kind, size_t *ret_count)
{
    switch (kind) {
    case NAME_LEVEL0:
        return *ret_count = c->level0_count, c->level0;
    case NAME_LEVEL:
        return *ret_count = c->level_count, c->levels;
    case NAME_MARKER:
        return *ret_count = c->marker_count, c->markers;
    case NAME_CHUNK:
        return *ret_count = c->chunk_count, c->chunks;
    case NAME_PART:
        return *ret_count = c->part_count, c->parts;
    default:
        return *ret_count = 0, NULL;
    }
}

struct catalog_object *catalog_seek(const struct catalog *c, const struct name *name)
{
    size_t low = 0, high = 0, count = 0;
    struct catalog_object *list = list_of(c, name->kind, &count);
    for (high = count; low < high;) {
        size_t mid = low + (high - low) / 2;
        if (compare_names(&list[mid].name, name) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low < count ? &list[low] : NULL;
}

struct catalog_object *catalog_find(const struct catalog *c, const struct name *name)
{
    struct catalog_object *o = catalog_seek(c, name);
    return o && compare_names(&o->name, name) == 0 ? o : NULL;
}

bool catalog_in_order(const struct catalog *c)
{
    for (enum name_kind kind = NAME_LEVEL0; kind <= NAME_PART; kind++) {
        size_t count = 0;
        const struct catalog_object *list = list_of(c, kind, &count);
        for (size_t i = 1; i < count; i++)
            if (compare_names(&list[i - 1].name, &list[i].name) >= 0)
                return false;
    }
    return true;
}

/* ---- seawall.json */

static int parse_identity(const struct buf *text, struct replica_identity *ret_identity, struct err *e)
{
    struct json *j = NULL;
    struct replica_identity id = {.created_ms = 0};
    int64_t version = 0;
    if (json_parse(text->data, text->len, &j, e))
        return err_wrap(e, "object '" NAME_IDENTITY "'");
    const char *database = json_get_text(j, "database");
    const char *encryption = json_get_text(j, "encryption");
    int rc = 0;
    if (!json_get_number(j, "format", &version) || version != REPLICA_FORMAT_VERSION)
        rc =
            err_set(e, ERR_CORRUPT, 0, "object '" NAME_IDENTITY "': format version %lld, this program reads version %d",
                    (long long)version, REPLICA_FORMAT_VERSION);
    else if (!encryption || strcmp(encryption, "none") != 0)
        rc = err_set(e, ERR_CORRUPT, 0, "object '" NAME_IDENTITY "': encrypted in a way that this program can't read");
    else if (!database || strlen(database) != 2 * UID_BYTES || !hex_decode(database, id.database.bytes, UID_BYTES))
        rc = err_set(e, ERR_CORRUPT, 0, "object '" NAME_IDENTITY "': no database id");
    json_get_number(j, "created", &id.created_ms);
    json_free(j);
    if (rc == 0)
        *ret_identity = id;
    return rc;
}

int replica_identity_read(struct store *store, struct replica_identity *ret_identity, struct err *e)
{
    struct buf text = BUF_INIT(IDENTITY_BYTES_MAX);
    uint64_t size = 0;
    int rc = store_read_tail(store, NAME_IDENTITY, IDENTITY_BYTES_MAX, &text, &size, e);
    if (rc == 0)
        rc = parse_identity(&text, ret_identity, e);
    buf_release(&text);
    return rc;
}

int replica_probe(struct store *store, struct err *e)
{
    struct buf text = BUF_INIT(IDENTITY_BYTES_MAX);
    uint64_t size = 0;
    if (store->fencing != STORE_FENCING_UNKNOWN)
        return 0;
    int rc = store_read_tail(store, NAME_IDENTITY, IDENTITY_BYTES_MAX, &text, &size, e);
    if (rc == 0)
        rc = store_probe(store, NAME_IDENTITY, text.data, text.len, e);
    buf_release(&text);
    return rc;
}

static int write_identity(struct store *store, struct err *e)
{
    struct uid database;
    char hex[2 * UID_BYTES + 1];
    if (random_bytes(database.bytes, UID_BYTES, e))
        return -1;
    hex_encode(database.bytes, UID_BYTES, hex);
    struct json *j = json_object_new();
    if (j) {
        json_set_number(j, "format", REPLICA_FORMAT_VERSION);
        json_set_text(j, "database", hex);
        json_set_text(j, "encryption", "none");
        json_set_number(j, "created", clock_wall_ms());
    }
    char *text = json_print(j);
    int rc = text ? store_put_new(store, NAME_IDENTITY, text, strlen(text), NULL, e) : err_nomem(e, IDENTITY_BYTES_MAX);
    free(text);
    json_free(j);
    return rc;
}

static int note_object(void *context, const struct store_entry *entry)
{
    struct name name = name_parse(entry->key);
    *(bool *)context = name.kind != NAME_OTHER;
    return *(bool *)context;
}

/* Objects without it are of a database whose id is lost: under another id they could not be restored. */
static int check_empty(struct store *store, struct err *e)
{
    bool objects = false;
    if (store_list(store, "", "", note_object, &objects, e))
        return -1;
    if (!objects)
        return 0;
    return identity_lost(store, e);
}

int replica_identity_obtain(struct store *store, struct replica_identity *ret_identity, struct err *e)
{
    int rc = replica_identity_read(store, ret_identity, e);
    if (rc == 0 || e->code != ERR_NOTFOUND)
        return rc;
    if (check_empty(store, e))
        return -1;
    rc = write_identity(store, e);
    if (rc != 0 && e->code != ERR_EXISTS) /* somebody else was first: read theirs */
        return rc;
    return replica_identity_read(store, ret_identity, e);
}
