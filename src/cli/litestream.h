/* cli/litestream.h - what `seawall restore` and `seawall list` do at the place of a replica that Litestream wrote. */
#ifndef SEAWALL_CLI_LITESTREAM_H
#define SEAWALL_CLI_LITESTREAM_H

#include "litestream/restore.h"

enum cli_show { SHOW_JSON = 1, SHOW_POINTS = 2, SHOW_SEGMENTS = 4 };

/* ERR_CONFIG: Litestream can put a replica at this URL, but Seawall can't read it there. The hint says what to do. */
int cli_check_scheme(const char *url, struct err *e) MUST_CHECK;

/* Restores from a replica of Litestream, if there is one at the URL and none of Seawall: then ret->found is true, and *rc is 0 or the error
 * is in `e`. Otherwise `rc` stays as it is, and the error in `e` gets a hint
 * if objects of Litestream are beside a replica of Seawall. */
void cli_restore_litestream(const struct restore_options *o, int *rc, struct lite_result *ret, struct err *e);

/* Prints what it did. */
void cli_print_litestream(const struct restore_options *o, const struct lite_result *r);

/* The same for a listing. Precondition: *rc is -1, with its error in `e`. `show`: of enum cli_show. */
void cli_list_litestream(const char *url, unsigned show, int *rc, struct err *e);

#endif
