/* replica/identity.c */
#include "replica/identity.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "format/names.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define IDENTITY_BYTES_MAX 4096

static int hint_at_damage(struct err *e)
{
    return err_hint(
        e, "put a copy of that file back; or move it away, and start the daemon of this database, which puts it again");
}

static int without_id(struct err *e)
{
    err_set(e, ERR_CORRUPT, 0, "object '" NAME_IDENTITY "': it has no database id");
    return hint_at_damage(e);
}

static int wrong_version(int64_t version, struct err *e)
{
    err_set(e, ERR_CORRUPT, 0, "object '" NAME_IDENTITY "': format version %lld, this program reads version %d",
            (long long)version, REPLICA_FORMAT_VERSION);
    return err_hint(e, "use the version of seawall that wrote it, or a newer one");
}

static int parse_identity(const struct buf *text, struct replica_identity *ret_identity, struct err *e)
{
    struct json *j = NULL;
    struct replica_identity id = {.created_ms = 0};
    int64_t version = 0;
    if (json_parse(text->data, text->len, &j, e)) {
        (void)err_wrap(e, "object '" NAME_IDENTITY "'");
        return hint_at_damage(e);
    }
    const char *database = json_get_text(j, "database");
    const char *encryption = json_get_text(j, "encryption");
    int rc = 0;
    if (!json_get_number(j, "format", &version) || version != REPLICA_FORMAT_VERSION)
        rc = wrong_version(version, e);
    else if (!encryption || strcmp(encryption, "none") != 0)
        rc = err_set(e, ERR_CORRUPT, 0, "object '" NAME_IDENTITY "': encrypted in a way that this program can't read");
    else if (!database || strlen(database) != 2 * UID_BYTES || !hex_decode(database, id.database.bytes, UID_BYTES))
        rc = without_id(e);
    json_get_number(j, "created", &id.created_ms);
    writer_note_read(j, &id.founder);
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

static int write_identity(struct store *store, const struct uid *database, const struct writer_note *founder,
                          struct err *e)
{
    char hex[2 * UID_BYTES + 1];
    hex_encode(database->bytes, UID_BYTES, hex);
    struct json *j = json_object_new();
    if (j) {
        json_set_number(j, "format", REPLICA_FORMAT_VERSION);
        json_set_text(j, "database", hex);
        json_set_text(j, "encryption", "none");
        json_set_number(j, "created", clock_wall_ms());
        if (founder)
            writer_note_write(j, founder);
    }
    char *text = json_print(j);
    if (text && strlen(text) > IDENTITY_BYTES_MAX) { /* nobody could read it */
        free(text);
        json_free(j);
        return write_identity(store, database, NULL, e);
    }
    int rc = text ? store_put_new(store, NAME_IDENTITY, text, strlen(text), NULL, e) : err_nomem(e, IDENTITY_BYTES_MAX);
    free(text);
    json_free(j);
    return rc;
}

int replica_identity_lost(const struct store *store, struct err *e)
{
    err_set(e, ERR_CORRUPT, 0, "'%s' has objects of a replica, but no '" NAME_IDENTITY "'", store->url);
    return err_hint(e, "start the daemon of this database, which puts that file again; or put it back from a copy");
}

bool replica_key_of_litestream(const char *key)
{
    static const char *const folders[] = {"ltx/", "generations/"};
    const size_t n = strlen(key);
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++)
        if (strncmp(key, folders[i], strlen(folders[i])) == 0)
            return true;
    return n > 4 && strcmp(key + n - 4, ".ltx") == 0;
}

/* What a place has in which a replica is to begin. */
struct neighbours {
    bool ours, litestream;
};

static int note_object(void *context, const struct store_entry *entry)
{
    struct neighbours *n = context;
    n->ours = name_parse(entry->key).kind != NAME_OTHER;
    n->litestream |= replica_key_of_litestream(entry->key);
    return n->ours;
}

/* Checks that the place has no objects of a replica of Seawall. Objects without seawall.json have an id that would differ
 * from a new one, so they could not be restored. */
static int check_empty(struct store *store, struct neighbours *ret, struct err *e)
{
    *ret = (struct neighbours){.ours = false};
    if (store_list(store, "", "", note_object, ret, e))
        return -1;
    if (!ret->ours)
        return 0;
    return replica_identity_lost(store, e);
}

int replica_identity_replace(struct store *store, const struct uid *database, const struct writer_note *founder,
                             struct replica_identity *ret_identity, struct err *e)
{
    int rc = write_identity(store, database, founder, e);
    if (rc != 0 && e->code != ERR_EXISTS) /* another process created it first: read theirs */
        return rc;
    return replica_identity_read(store, ret_identity, e);
}

int replica_identity_obtain(struct store *store, const struct writer_note *founder,
                            struct replica_identity *ret_identity, struct err *e)
{
    struct uid database;
    struct neighbours beside;
    int rc = replica_identity_read(store, ret_identity, e);
    if (rc == 0 || e->code != ERR_NOTFOUND)
        return rc;
    if (check_empty(store, &beside, e) || random_bytes(database.bytes, UID_BYTES, e))
        return -1;
    rc = replica_identity_replace(store, &database, founder, ret_identity, e);
    if (rc == 0 && beside.litestream)
        log_warn(
            "replica '%s': it begins beside objects of Litestream, which 'seawall restore' and 'seawall list' do not "
            "read there any more" TEXT_HINT "give the replica a place of its own, or copy Litestream's elsewhere",
            store->url);
    return rc;
}
