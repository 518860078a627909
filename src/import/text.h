/* import/text.h - values of litestream.yml: environment variables, times, yes and no, parts of URLs. */
#ifndef SEAWALL_IMPORT_TEXT_H
#define SEAWALL_IMPORT_TEXT_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define IMPORT_TEXT_MAX 4096

/* Copies a value, with $NAME and ${NAME} replaced if `expand` is true. ERR_CONFIG: a variable is not set, the text is
 * longer than IMPORT_TEXT_MAX - 1, or has a line break or a control character. */
int import_expand(const char *value, bool expand, char out[IMPORT_TEXT_MAX], struct err *e) MUST_CHECK;

/* Whether a value has a variable. `out`: its name, or "". */
bool import_variable(const char *value, char out[128]);

/* Reads a time as Go writes it: 1h30m, 10s, 100ms. False: it is none, or is negative. */
bool import_duration(const char *value, uint64_t *ret_ms);

/* 1: true, 0: false, -1: neither. */
int import_flag(const char *value);

#endif
