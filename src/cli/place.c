/* cli/place.c */
#include "cli/place.h"

#include "base/hash.h"
#include "base/path.h"
#include "cli/cli.h"
#include "storage/open.h"

#include <stdio.h>
#include <string.h>

#define NOTES_MAX 64 /* of writers that are read at one place */

static int open_place(const char *url, const atomic_bool *cancel, struct store **ret_store, struct err *e)
{
    if (store_open(url, STORE_READ, ret_store, e))
        return -1;
    (*ret_store)->cancel = cancel;
    (*ret_store)->retrying = cli_tell_retry;
    return 0;
}

static int note_ours(void *context, const char *name)
{
    *(bool *)context =
        strcmp(name, "base") == 0 || strcmp(name, "part") == 0 || (name[0] >= '0' && name[0] <= '9' && !name[1]);
    return *(bool *)context;
}

int place_look(const char *url, const atomic_bool *cancel, bool *ret_there, struct replica_identity *ret_identity,
               struct err *e)
{
    struct store *store = NULL;
    bool objects = false;
    *ret_there = false;
    if (open_place(url, cancel, &store, e))
        return e->code == ERR_NOTFOUND ? 0 : -1;
    int rc = replica_identity_read(store, ret_identity, e);
    *ret_there = rc == 0;
    if (rc != 0 && e->code == ERR_NOTFOUND) {
        rc = store_folders(store, note_ours, &objects, e);
        if (rc == 0 && objects)
            rc = replica_identity_lost(store, e);
    }
    store_close(store);
    return rc;
}

/* ---- notes */

struct reading {
    struct store *store;
    place_note_fn *fn;
    void *context;
    unsigned count;
};

static int take_writer(void *context, const struct store_entry *entry)
{
    struct reading *r = context;
    struct writer_note note;
    struct uid writer;
    if (!writer_note_is_key(entry->key) || ++r->count > NOTES_MAX)
        return r->count > NOTES_MAX;
    if (hex_decode(strchr(entry->key, '/') + 1, writer.bytes, UID_BYTES) && writer_note_find(r->store, &writer, &note))
        r->fn(r->context, &note);
    return 0;
}

int place_notes(const char *url, const atomic_bool *cancel, bool *ret_there, place_note_fn *fn, void *context,
                struct err *e)
{
    struct replica_identity id;
    struct reading r = {.fn = fn, .context = context};
    if (place_look(url, cancel, ret_there, &id, e))
        return -1;
    if (!*ret_there)
        return 0;
    fn(context, &id.founder);
    if (open_place(url, cancel, &r.store, e))
        return -1;
    int rc = store_list(r.store, "writer/", "", take_writer, &r, e);
    store_close(r.store);
    return rc;
}

bool place_note_is_of(const struct writer_note *note, const char *path)
{
    char found[PATH_TEXT_MAX];
    struct err e;
    return (path_absolute(path, found, &e) == 0 && writer_note_has_path(note, found)) ||
           (path_resolve(path, found) && writer_note_has_path(note, found));
}

/* ---- for people */

const char *place_shown(const char *url, char *out)
{
    struct err e;
    return store_check(url, out, &e) ? "?" : out;
}

int place_is_empty(const char *url, struct err *e)
{
    char shown[STORE_URL_MAX];
    err_set(e, ERR_NOTFOUND, 0, "there is no replica at '%s'", place_shown(url, shown));
    return err_hint(e,
                    "mount its disk or correct the url; if there never was one, 'seawall snapshot -c FILE' makes it");
}
