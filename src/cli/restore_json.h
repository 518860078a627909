/* cli/restore_json.h - what `seawall restore --json` prints; seawall(1) has the schema. Each function prints one object
 * to standard output. ERR_NOMEM. */
#ifndef SEAWALL_CLI_RESTORE_JSON_H
#define SEAWALL_CLI_RESTORE_JSON_H

#include "litestream/restore.h"
#include "restore/undo.h"

/* A restore from a replica of Seawall, with any outcome. */
int restore_json_print(const struct restore_options *o, const struct restore_result *r, struct err *e) MUST_CHECK;

/* A restore from a replica of Litestream. Precondition: r->found. */
int restore_json_print_litestream(const struct restore_options *o, const struct lite_result *r,
                                  struct err *e) MUST_CHECK;

int restore_json_print_undo(const struct undo_options *o, const struct undo_result *r, struct err *e) MUST_CHECK;

#endif
