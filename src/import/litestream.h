/* import/litestream.h - writes a configuration file of Seawall from one of Litestream.
 *
 * Each key of Litestream 0.3.13 and 0.5.18 becomes keys of Seawall, or a comment that says why there is no counterpart and
 * what to do. Values that are secrets are never written: the comment says where they come from. */
#ifndef SEAWALL_IMPORT_LITESTREAM_H
#define SEAWALL_IMPORT_LITESTREAM_H

#include "import/tree.h"

#include <stdbool.h>
#include <stdio.h>

struct import_options {
    const char *name; /* of the file, for comments */
    bool expand;      /* replace $NAME and ${NAME} by the values of the environment, as Litestream does */
};

struct import_result {
    size_t databases; /* sections that were written */
    size_t disabled;  /* of them: written as comments, because a person must choose something first */
};

/* Writes the configuration to `out`. ERR_CONFIG: the document has no databases, something is not of the kind that
 * Litestream expects, or a variable is not set; the message has the line. ERR_NOMEM. An error of `out` stays in
 * ferror(). */
int import_litestream(const struct tree_node *root, const struct import_options *options, FILE *out,
                      struct import_result *ret, struct err *e) MUST_CHECK;

#endif
