/* format/segment.h - the contents of an object of a replica, decoded. seawall-format(5) specifies the bytes.
 *
 *   header (magic) | block ... | records | index | list | trailer
 *
 * An object never changes, and every byte of it is checked: the trailer has a checksum of itself and one of records,
 * index and list. The index has the checksum of each block and the hash of each page. Every length is checked before it
 * is used. */
#ifndef SEAWALL_FORMAT_SEGMENT_H
#define SEAWALL_FORMAT_SEGMENT_H

#include "base/buf.h"
#include "base/hash.h"
#include "format/codec.h"

#include <stdbool.h>
#include <stdint.h>

#define UID_BYTES 16
#define SEGMENT_HEADER_BYTES 8
#define SEGMENT_TRAILER_BYTES 240
#define SEGMENT_VERSION 2         /* of the format: an object has 1, or the 2 that its kind needs (segment_version) */
#define SEGMENT_BLOCK_BYTES 65536 /* uncompressed bytes of a block, at most */

/* Limits of one object. Beyond them encoding fails with ERR_LIMIT, and decoding with ERR_CORRUPT. */
#define SEGMENT_BYTES_MAX                                                                                              \
    (256u << 20) /* far below the limit of every provider for one PUT; writers aim at 32 MiB or less */
#define SEGMENT_RECORDS_MAX (4u << 20)
#define SEGMENT_VERSIONS_MAX (16u << 20)
#define SEGMENT_LIST_MAX (1u << 20) /* chunks of a base: 8 TiB, if each holds 8 MiB of pages */
#define SEGMENT_LEVEL_MAX 9
#define SEGMENT_TXID_MAX ((uint64_t)INT64_MAX)
#define SEGMENT_PAGE_MAX (UINT32_MAX - 1) /* the last page of the largest database of SQLite */

/* A random id: of a replica, a writer (a state file), a run (one life of a writer), or an object. */
struct uid {
    uint8_t bytes[UID_BYTES];
};
bool uid_equal(const struct uid *a, const struct uid *b);

enum object_kind { OBJECT_SEGMENT = 1, OBJECT_PART = 2, OBJECT_CHUNK = 3, OBJECT_MARKER = 4, OBJECT_INTERIOR = 5 };

/* The version in the trailer: that of the first programs which knew this kind. So older ones read all that they need. */
unsigned segment_version(enum object_kind kind);

enum segment_flags {
    SEGMENT_LAST_ONLY = 1,  /* has only the last version of each page, as of max: the only restore point is max */
    SEGMENT_FROM_EMPTY = 2, /* objects before it do not count: it begins a history, or the page size changed */
    SEGMENT_BASE_ONLY = 4,  /* has no pages: the state of max can be read only from a base with start >= max */
    SEGMENT_IN_PARTS = 8,   /* the list names the parts, which hold more versions of the same segment */
    SEGMENT_ENCRYPTED = 16, /* reserved: this version can't read it */
};
#define SEGMENT_FLAGS_KNOWN (SEGMENT_LAST_ONLY | SEGMENT_FROM_EMPTY | SEGMENT_BASE_ONLY | SEGMENT_IN_PARTS)

/* The min of a marker is 0, unless the writer put the base because the replica had lost objects. Then it is the first
 * txid that could not be restored any more; the last one is max - 1. */
struct segment_info {
    enum object_kind kind;
    unsigned level;    /* 0 to 9; 0 for all but segments */
    uint32_t flags;    /* enum segment_flags */
    uint64_t min, max; /* txids, both included; min of a chunk or of interior pages is 0, that of a marker as above */
    uint64_t start; /* of what belongs to a base: a restore from the base needs the segments after this txid; else 0 */
    uint32_t page_size;             /* bytes */
    uint32_t first_page, last_page; /* pages that it may hold, both included; 0, 0: none */
    int64_t time_ms; /* wall clock when it was written, or at its newest commit if that was clamped; ms since 1970 */
    struct uid database, writer; /* of the replica; of the state file */
    struct uid run;              /* of the writer; of what belongs to a base: of the base */
    struct uid nonce;            /* random, so that no two objects are equal */
    uint64_t checksum_before;    /* database checksum at txid min - 1 */
    /* Level 0: of the level-0 segment before it, zeros in the first one. Marker: of the interior pages of the base, zeros:
     * there are none. Otherwise zeros. */
    struct digest digest_before;
};

/* A restore point. Times never decrease within a replica. So after a clock was ahead, and was set right, commits get
 * the time of the last commit before: they are clamped. Nothing in a record says so. But the object of a clamped commit
 * was written before the time in its record: segment_writer_finish sees to it, and a reader finds it out. */
struct commit_record {
    uint64_t txid;
    int64_t time_ms;   /* wall clock when Seawall saw the commit, ms since 1970, but not before the commit before it */
    uint32_t pages;    /* size of the database in pages */
    uint64_t checksum; /* of the database: XOR of the hashes of its pages */
    int64_t clock_ms;  /* what the clock said, if time_ms is later than that; 0: it said time_ms */
};

/* What the clock said at the commit, as far as it is known. */
static inline int64_t commit_clock_ms(const struct commit_record *r)
{
    return r->clock_ms ? r->clock_ms : r->time_ms;
}

enum version_kind { VERSION_ZERO = 0, VERSION_IMAGE = 1, VERSION_PATCH = 2 };

/* A page after one commit. */
struct version {
    uint32_t pgno;
    enum version_kind kind;
    uint64_t txid;
    uint64_t from; /* of a patch: it applies to every version v with from <= v < txid */
    uint64_t hash; /* page_hash of the whole page; 0 for a page of zeros */
    uint64_t mask; /* of a patch */
};
size_t version_size(const struct version *v, uint32_t page_size); /* bytes in the block */

/* An object that another one names: a segment names its parts, a marker the chunks of its base. */
struct listed {
    char name[80]; /* key in the replica; NAME_MAX_BYTES */
    uint64_t size; /* bytes */
    struct digest digest;
    uint32_t first_page, last_page; /* as in its trailer */
    uint64_t max;                   /* as in its trailer */
};

/* ---- writing */

/* Builds one object in memory. Compresses versions as they are added. */
struct segment_writer {
    struct codec *codec; /* borrowed */
    uint32_t page_size;
    bool small;              /* false after segment_writer_init; true: by codec_deflate_small */
    struct buf out;          /* header and finished blocks */
    struct buf block;        /* uncompressed bytes of the block that is being filled */
    uint32_t block_versions; /* in `block` */
    struct buf blocks;       /* the block table of the index */
    uint32_t block_count;
    struct version *versions; /* owned */
    size_t version_count, version_cap;
};

/* Begins an object. The codec must outlive the writer. The caller releases the writer, also after an error.
 * Precondition: the page size is valid. ERR_NOMEM. */
int segment_writer_init(struct segment_writer *w, struct codec *codec, uint32_t page_size, struct err *e) MUST_CHECK;
void segment_writer_release(struct segment_writer *w);

/* Adds a version. `bytes`: version_size(v) bytes; they are copied. Preconditions: versions come in ascending order of
 * (pgno, txid); pgno > 0; the kind is VERSION_ZERO if and only if the hash is 0. ERR_LIMIT: the object would exceed a
 * limit above. ERR_NOMEM. */
int segment_writer_add(struct segment_writer *w, const struct version *v, const uint8_t *bytes,
                       struct err *e) MUST_CHECK;

struct segment_content {
    const struct segment_info *info;
    const struct commit_record *records;
    size_t record_count;
    const struct listed *list;
    size_t list_count;
};

/* Makes the object and its digest. The caller releases *ret_object. Afterwards the writer can only be released, also
 * after an error. Preconditions: info->page_size is that of the writer; there is one record for each txid from min to
 * max, or one for max; their times do not decrease. ERR_LIMIT: the object exceeds a limit above, or a version is newer
 * than info->max. ERR_NOMEM. */
int segment_writer_finish(struct segment_writer *w, const struct segment_content *content, struct buf *ret_object,
                          struct digest *ret_digest, struct err *e) MUST_CHECK;

/* ---- reading */

struct segment_block {
    uint64_t offset;                /* in the object */
    uint32_t stored_size, raw_size; /* bytes, compressed and not */
    uint64_t checksum;              /* of the compressed bytes */
    uint32_t first_version, versions;
};

struct segment_trailer {
    struct segment_info info;
    uint64_t object_size; /* bytes */
    uint64_t tail_offset; /* of records, index and list */
    uint32_t version_count, block_count, record_count, list_count;
    uint32_t records_stored, index_stored, list_stored;
    uint32_t records_raw, index_raw, list_raw;
    uint64_t tail_checksum; /* of records, index and list, compressed */
};

/* Whether these bytes are the whole trailer of an object that a newer version of the format made: its version, or a
 * flag, is not known here. Such an object is not damaged. */
bool segment_trailer_is_newer(const uint8_t bytes[SEGMENT_TRAILER_BYTES]);

/* Decodes a trailer: the last SEGMENT_TRAILER_BYTES of an object of object_size bytes. ERR_CORRUPT: its magic, version,
 * checksum or fields are not valid. */
int segment_trailer_decode(const uint8_t bytes[SEGMENT_TRAILER_BYTES], uint64_t object_size,
                           struct segment_trailer *ret_trailer, struct err *e) MUST_CHECK;

/* An object without its blocks. Owns its arrays; the trailer has their lengths. */
struct segment {
    struct segment_trailer trailer;
    struct commit_record *records;
    struct version *versions;
    struct segment_block *blocks;
    struct listed *list;
    size_t charged; /* bytes that the arrays take from the budget (base/claim.h) */
};
void segment_release(struct segment *s); /* leaves it zeroed; a zeroed one is fine */

/* Free some arrays of a segment, which are NULL afterwards. The trailer keeps their lengths. */
void segment_drop_index(struct segment *s); /* versions and blocks */
void segment_drop_records(struct segment *s);

enum segment_want {
    SEGMENT_WANT_RECORDS, /* records and list */
    SEGMENT_WANT_ALL,     /* blocks and versions too */
};
struct segment_decoder {
    struct codec *codec; /* borrowed */
    enum segment_want want;
};

/* Decodes records and list, and with SEGMENT_WANT_ALL the index. `tail`: the bytes of the object from
 * trailer->tail_offset up to the trailer. The caller releases *ret_segment. Precondition: segment_trailer_decode made
 * the trailer. ERR_CORRUPT, ERR_NOMEM. ERR_CLAIM: the trailer claims more than the budget allows; the message has the
 * claim. */
int segment_decode(const struct segment_decoder *decoder, const struct segment_trailer *trailer, const uint8_t *tail,
                   struct segment *ret_segment, struct err *e) MUST_CHECK;

/* Checks the checksum of one block and inflates it. `stored` has block->stored_size bytes, `raw` has room for
 * SEGMENT_BLOCK_BYTES. Precondition: segment_decode made the block. ERR_CORRUPT, ERR_NOMEM. */
int segment_block_inflate(const struct segment_block *block, const uint8_t *stored, struct codec *codec, uint8_t *raw,
                          struct err *e) MUST_CHECK;

/* Checks the header of an object of `size` bytes. ERR_CORRUPT: it is too short, or has another magic number. */
int segment_header_check(const uint8_t *object, size_t size, struct err *e) MUST_CHECK;

#endif
