/* config/variables.h - variables in the URLs of replicas: one [replica] section gives each database a place of its own.
 *
 *   {name}    file name of the database                  app.db
 *   {stem}    file name without its ending               app
 *   {folder}  name of the folder that holds it           acme
 *   {path}    whole path without the first slash         srv/tenants/acme/app.db
 *   {{        the character '{'
 *
 * A value never changes what the URL means. Where the store decodes %XX (each scheme except file://), the characters
 * that have a meaning in a URL are encoded. In these URLs variables are possible between "scheme://" and the '?',
 * {path} not in the name of the bucket. In the path of a folder the first variable comes after a slash, and values are
 * used as they are. */
#ifndef SEAWALL_CONFIG_VARIABLES_H
#define SEAWALL_CONFIG_VARIABLES_H

#include "base/path.h"

#include <stddef.h>

/* Checks the variables of a URL. ERR_CONFIG: an unknown variable, a '{' without '}', or a variable at a place where
 * none is possible. */
int variables_check(const char *url, struct err *e) MUST_CHECK;

/* Whether the URL has a variable. Precondition: variables_check(url) is 0. */
bool variables_in(const char *url);

/* Puts the values for the database at `path` into `url`. `path`: as path_absolute writes it.
 * Precondition: variables_check(url) is 0. ERR_CONFIG: the result does not fit into `size` bytes, or the URL has
 * {folder} and the database is in the root folder, which has no name. */
int variables_expand(const char *url, const char *path, char *out, size_t size, struct err *e) MUST_CHECK;

enum variable { VARIABLE_NAME, VARIABLE_STEM, VARIABLE_FOLDER, VARIABLE_PATH, VARIABLE_BRACE, VARIABLE_NONE };

/* Whether values are encoded in this URL, and %XX in its text is a byte. */
bool variables_are_encoded(const char *url);

/* The part of the URL in which variables are possible: from its beginning to the end that is returned. */
const char *variables_end(const char *url);

/* The variable at `at`, which is before variables_end(url). ret_len: its length, at least 1. VARIABLE_BRACE: "{{".
 * VARIABLE_NONE: any other character. Precondition: variables_check(url) is 0. */
enum variable variables_at(const char *at, size_t *ret_len);

/* Writes `n` bytes of a value, encoded if the URL is, with a NUL. False: it does not fit into `size` bytes. */
bool variables_put_value(const char *url, const char *value, size_t n, char *out, size_t size);

/* The length of a file name without its ending: of "app.db" 3, of ".app" 4. */
size_t variables_stem_length(const char *name);

/* Whether some values of the variables in `url` give the place of `wanted`, whatever its query. Precondition:
 * variables_check(url) is 0. */
bool variables_can_give(const char *url, const char *wanted);

#endif
