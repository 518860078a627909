/* cli/tables.h - `seawall help --tables`: commands, options and keys of URLs as JSON, for the check of the man
 * page. */
#ifndef SEAWALL_CLI_TABLES_H
#define SEAWALL_CLI_TABLES_H

#include "base/err.h"

/* Prints
 *   {"commands": [{"name", "options": "all"|"retention"|"none", "words": [{"name", "max"}, ...],
 *                  "flags": [{"name", "letter", "value", "help"}, ...]}, ...],
 *    "options": [{"name", "default", "min", "max", "never", "yes_no", "value", "help"}, ...],
 *    "stores": [{"name", "scheme", "keys": [{"name", "value", "help"}, ...]}, ...]}
 * "letter" and "value" of a flag are left out where there is none. ERR_NOMEM. */
int tables_print(struct err *e) MUST_CHECK;

#endif
