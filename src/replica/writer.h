/* replica/writer.h - who writes a replica: the host and the path of its database, so that a conflict can name them.
 *
 * The writer that makes a replica writes it into seawall.json. A writer that takes a replica over puts one object more,
 * writer/<id>, with the id of its state file. Readers ignore both. Neither is ever changed, so a restart puts
 * nothing. */
#ifndef SEAWALL_REPLICA_WRITER_H
#define SEAWALL_REPLICA_WRITER_H

#include "base/json.h"
#include "format/segment.h"
#include "storage/store.h"

#define WRITER_HOST_BYTES 80  /* with NUL; longer names are cut */
#define WRITER_PATH_BYTES 200 /* with NUL; of a longer path the end is kept */
#define WRITER_TEXT_BYTES 400 /* of writer_note_text, with NUL */

struct writer_note {
    struct uid writer; /* id of its state file; zeros: there is no note */
    char host[WRITER_HOST_BYTES];
    char path[WRITER_PATH_BYTES]; /* of the database */
    bool hashed;                  /* host and path are the first digits of their SHA-256 */
    int64_t since_ms;             /* when it began here, by its clock */
};

/* Makes the note of this process, for the database at `path`. `hide`: names are replaced by hashes. Without a name of
 * the host or a resolved path, the note has "?" or the path as it was given. */
void writer_note_make(struct writer_note *ret_note, const struct uid *writer, const char *path, bool hide);

/* Adds the note to an object, and reads it from one. Without a whole note, *ret_note is zeros. */
void writer_note_write(struct json *j, const struct writer_note *note);
void writer_note_read(const struct json *j, struct writer_note *ret_note);

/* Whether it is the note of a database at `path`, as writer_note_make writes a path: only the end of a long one counts,
 * and a hash is compared with that of `path`. False: there is no note. */
bool writer_note_has_path(const struct writer_note *note, const char *path);

/* Finds the note of a writer in a replica. False: it has none, or it can't be read. */
bool writer_note_find(struct store *store, const struct uid *writer, struct writer_note *ret_note);

/* Puts writer/<id>, unless it is there, and then removes the notes of earlier writers. Errors are not reported: the
 * replica is as good without. */
void writer_note_put(struct store *store, const struct writer_note *note);

/* Whether this is the key of an object of this kind. */
bool writer_note_is_key(const char *key);

/* "host 'h', database 'p', since t": for people. */
const char *writer_note_text(const struct writer_note *note, char out[WRITER_TEXT_BYTES]);

#endif
