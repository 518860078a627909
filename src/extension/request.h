/* extension/request.h - what a program asks for when it opens a replica: the parameters of the file name, or the
 * environment.
 *
 *   file:app.db?vfs=seawall&replica=URL&at=TIME&txid=N&follow=TIME&cache-dir=FOLDER&cache-size=SIZE
 *   SEAWALL_REPLICA=app.db?replica=URL&...
 *
 * The variable is for a program that gives file names, not URIs: each main database with this file name is opened as if
 * it had these parameters.
 *
 * SQLite decodes the percent-encoding of a URI. That of the variable is decoded here.
 *
 * What can't be understood is refused: without a replica the program would write a new database of this name, and
 * without a misspelled moment it would read another state. */
#ifndef SEAWALL_EXTENSION_REQUEST_H
#define SEAWALL_EXTENSION_REQUEST_H

#include "reader/reader.h"

#define REQUEST_BYTES_MAX 8192 /* of all parameters together */

/* Finds the value of a parameter; NULL: it is not given. */
typedef const char *request_get_fn(const void *context, const char *parameter);

/* Fills the options of a reader. `get` gives the parameters; the strings are borrowed. *ret_asked: a replica is asked
 * for. ERR_CONFIG: a value is invalid, or contradicts another one; or the cache is to be shared, which SQLite does by
 * the file name alone. */
int request_read(request_get_fn *get, const void *context, struct reader_options *ret_options, bool *ret_asked,
                 struct err *e) MUST_CHECK;

/* Checks that `parameter` is one of ours, or one of SQLite itself. ERR_CONFIG: it is not. */
int request_check_name(const char *parameter, struct err *e) MUST_CHECK;

/* Checks that no parameter of ours is given. ERR_CONFIG: one is. For a file name that asks for no replica. */
int request_check_none(request_get_fn *get, const void *context, struct err *e) MUST_CHECK;

/* The parameters of the environment. */
struct request_text {
    char bytes[REQUEST_BYTES_MAX]; /* name, value, name, value, each with a NUL; decoded */
    size_t count;                  /* of names and values */
};

/* Reads the variable `text`, if it is for a database with the file name `name`. *ret_ours: it is; otherwise it is for
 * another one, or empty. ERR_CONFIG: it is for this name, or for none that can be read, and is malformed, too long, has
 * an unknown parameter, or lacks the replica. */
int request_decode(const char *text, const char *name, struct request_text *ret_request, bool *ret_ours,
                   struct err *e) MUST_CHECK;

/* A request_get_fn over a struct request_text. */
const char *request_text_get(const void *context, const char *parameter);

#endif
