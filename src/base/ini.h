/* base/ini.h - reads INI files. Only ini.c uses inih.
 *
 *   # comment
 *   [section]
 *   key = value     ; comment
 *   key =
 *       inner = value
 *
 * ';' and '#' begin a comment at the beginning of a line or after a blank; anywhere else they belong to the value. An
 * indented line belongs to the key above it: its key is "key.inner", or "key." if the line has no '='. A line may be as
 * long as the file.
 *
 * The name of a section ends at the first ']' that has nothing but a comment after it, so it can have other ones.
 *
 * A section is reported too, with "" as the key, before its keys. Otherwise an empty section would not be seen. */
#ifndef SEAWALL_BASE_INI_H
#define SEAWALL_BASE_INI_H

#include "base/err.h"

#include <stddef.h>

#define INI_FILE_MAX (1u << 20) /* bytes; a larger file is ERR_CONFIG */
#define INI_KEY_MAX 128         /* with NUL; a longer key is ERR_CONFIG */

/* Called for each key. `section` is "" before the first section, `key` is "" where a section begins. The three texts
 * have no blanks around them, and are valid during the call. Returns 0, or -1 with `e` to stop: file and line are put
 * in front of the message. */
typedef int ini_fn(void *context, const char *section, const char *key, const char *value, struct err *e);

/* Reads a file. ERR_NOTFOUND: it does not exist. ERR_CONFIG: the message has file and line, but no text of the file,
 * which can have secrets. ERR_IO, ERR_NOMEM, and the errors of `fn`. */
int ini_read(const char *path, ini_fn *fn, void *context, struct err *e) MUST_CHECK;

/* Reads a text in memory. Changes it. Precondition: text[size] is writable. Errors: as ini_read, but the message has
 * only the line. */
int ini_read_text(char *text, size_t size, ini_fn *fn, void *context, struct err *e) MUST_CHECK;

#endif
