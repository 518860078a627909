/* base/ini.h - INI files, through inih. The only door to it.
 *
 *   [section]
 *   key = value     ; comment
 */
#ifndef SEAWALL_BASE_INI_H
#define SEAWALL_BASE_INI_H

#include "base/err.h"

#define INI_FILE_MAX (1u << 20) /* bytes; more is refused */

/* `section` is "" before the first. Return -1 with `e` to stop: file and line are put in front. */
typedef int ini_fn(void *context, const char *section, const char *key, const char *value, struct err *e);

/* ERR_NOTFOUND: there is no such file. ERR_IO. ERR_CONFIG: what is wrong, with file and line. */
int ini_read(const char *path, ini_fn *fn, void *context, struct err *e) MUST_CHECK;

#endif
