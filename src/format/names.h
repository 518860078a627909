/* format/names.h - the keys of a replica's objects. txids are 16 hex digits, so that listing order is history order.
 *
 *   seawall.json                        identity of the replica
 *   0/<min>                             level 0: the next key is known in advance, so that the PUT is a compare-and-swap
 *   <level>/<min>-<max>                 compacted
 *   base/<start>-<run>/<first page>     base chunk
 *   base/<start>-<run>/marker           the base is complete
 *   part/<run>-<n>                      part of a large segment
 *
 * <run>: 32 hex digits. <first page>: 8. <n>: 16. */
#ifndef SEAWALL_FORMAT_NAMES_H
#define SEAWALL_FORMAT_NAMES_H

#include "format/segment.h"

#include <stdbool.h>

#define NAME_MAX_BYTES 80
#define NAME_IDENTITY "seawall.json"
#define NAME_LEVEL0_PREFIX "0/"

enum name_kind { NAME_OTHER, NAME_LEVEL0, NAME_LEVEL, NAME_CHUNK, NAME_MARKER, NAME_PART };

/* What a key says by itself. `max` only for NAME_LEVEL; of a level-0 object it stands in the trailer. */
struct name {
    enum name_kind kind;
    unsigned level;
    uint64_t min, max;
    uint64_t start;      /* NAME_CHUNK, NAME_MARKER */
    struct uid run;      /* NAME_CHUNK, NAME_MARKER, NAME_PART */
    uint32_t first_page; /* NAME_CHUNK */
    uint64_t number;     /* NAME_PART */
};

void name_format(const struct name *name, char out[NAME_MAX_BYTES]);

/* NAME_OTHER for anything that name_format would not write exactly so. */
struct name name_parse(const char *key);

#endif
