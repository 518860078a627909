/* format/names.h - the keys of the objects of a replica. A txid has 16 hex digits, so that keys sort in the order of
 * the history.
 *
 *   seawall.json                        identity of the replica
 *   0/<min>                             segment of level 0. Two writers that append put the same key: only one succeeds
 *   <level>/<min>-<max>                 compacted segment
 *   base/<start>-<run>/<first page>     chunk of a base
 *   base/<start>-<run>/interior         interior pages of a base, once more
 *   base/<start>-<run>/marker           marker: the base is complete
 *   part/<run>-<n>                      part of a large segment
 *   pack/<min>-<max>                    the same commits as the segments of level 0 from min to max, in one object
 *
 * <run> has 32 hex digits, <first page> has 8, <n> has 16. */
#ifndef SEAWALL_FORMAT_NAMES_H
#define SEAWALL_FORMAT_NAMES_H

#include "format/segment.h"

#include <stdbool.h>

#define NAME_MAX_BYTES 80 /* with NUL */
#define NAME_IDENTITY "seawall.json"
#define NAME_LEVEL0_PREFIX "0/"

enum name_kind { NAME_OTHER, NAME_LEVEL0, NAME_LEVEL, NAME_CHUNK, NAME_INTERIOR, NAME_MARKER, NAME_PART, NAME_PACK };
#define NAME_KINDS (NAME_PACK + 1)

/* A key, decoded. */
struct name {
    enum name_kind kind;
    unsigned level;      /* NAME_LEVEL: 1 to 9 */
    uint64_t min;        /* NAME_LEVEL0, NAME_LEVEL, NAME_PACK */
    uint64_t max;        /* NAME_LEVEL, NAME_PACK; the max of a level-0 segment is in its trailer */
    uint64_t start;      /* NAME_CHUNK, NAME_INTERIOR, NAME_MARKER */
    struct uid run;      /* NAME_CHUNK, NAME_INTERIOR, NAME_MARKER, NAME_PART */
    uint32_t first_page; /* NAME_CHUNK */
    uint64_t number;     /* NAME_PART */
};

/* Writes the key. Precondition: the level of a NAME_LEVEL is 1 to SEGMENT_LEVEL_MAX. NAME_OTHER: writes "". */
void name_format(const struct name *name, char out[NAME_MAX_BYTES]);

/* Decodes a key. Returns NAME_OTHER if name_format does not write this key. The numbers can be out of range: see
 * name_in_range. */
struct name name_parse(const char *key);

/* Whether the numbers are in range: min is at least 1, min <= max, txids are at most SEGMENT_TXID_MAX, and first_page
 * is at most SEGMENT_PAGE_MAX. A NAME_PART and a NAME_OTHER always are. */
bool name_in_range(const struct name *name);

#endif
