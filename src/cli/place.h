/* cli/place.h - what is at the place of a replica, and whose it says it is. */
#ifndef SEAWALL_CLI_PLACE_H
#define SEAWALL_CLI_PLACE_H

#include "replica/handle.h"

/* Looks whether there is a replica at `url`, with one small read. *ret_there: there is one; then *ret_identity is its
 * seawall.json. ERR_CORRUPT: there are objects of a replica, but no seawall.json. Errors of the store. */
int place_look(const char *url, const atomic_bool *cancel, bool *ret_there, struct replica_identity *ret_identity,
               struct err *e) MUST_CHECK;

/* The same, and calls `fn` for the note in seawall.json and for those of later writers (replica/writer.h), up to 64.
 * Without a replica `fn` is not called. */
typedef void place_note_fn(void *context, const struct writer_note *note);
int place_notes(const char *url, const atomic_bool *cancel, bool *ret_there, place_note_fn *fn, void *context,
                struct err *e) MUST_CHECK;

/* Whether the note can be that of the database at `path`, an absolute path: as it is, or where it leads to now.
 * False: also if there is no note. */
bool place_note_is_of(const struct writer_note *note, const char *path);

/* Writes the URL without secrets; "?": it is wrong. Returns `out`, which has STORE_URL_MAX bytes. */
const char *place_shown(const char *url, char *out);

/* Sets ERR_NOTFOUND: there is no replica at `url`, where a section that names its database has one. Returns -1. */
int place_is_empty(const char *url, struct err *e);

#endif
