/* base/ini.h - INI files, through inih. The only door to it.
 *
 *   # comment
 *   [section]
 *   key = value     ; comment
 *   key =
 *       inner = value
 *
 * ';' and '#' begin a comment at the beginning of a line or after a blank; anywhere else they belong to the value. An indented line
 * belongs to the key above it: it is delivered with the key "key.inner", or "key." when it has no '=' of its own. Lines may be as
 * long as the file.
 *
 * A section is delivered too, before what stands in it, with "" as the key: an empty one would not be seen otherwise. */
#ifndef SEAWALL_BASE_INI_H
#define SEAWALL_BASE_INI_H

#include "base/err.h"

#include <stddef.h>

#define INI_FILE_MAX (1u << 20) /* bytes; more is refused */
#define INI_KEY_MAX 128         /* with NUL; a longer one is refused */

/* `section` is "" before the first, `key` is "" where a section begins. Blanks around section, key and value are dropped. The three
 * are good for the call only. Return -1 with `e` to stop: file and line are put in front. */
typedef int ini_fn(void *context, const char *section, const char *key, const char *value, struct err *e);

/* ERR_NOTFOUND: there is no such file. ERR_IO. ERR_CONFIG: what is wrong, with file and line; never what stands there. */
int ini_read(const char *path, ini_fn *fn, void *context, struct err *e) MUST_CHECK;

/* The same of text in memory, without a file in the messages. `text` is changed; text[size] must be writable. */
int ini_read_text(char *text, size_t size, ini_fn *fn, void *context, struct err *e) MUST_CHECK;

#endif
