/* format/segment.h - what an object of a replica holds, decoded. The bytes are specified in seawall-format(5).
 *
 *   header (magic) | block ... | records | index | list | trailer
 *
 * An object is immutable and proves itself: the trailer has a checksum over itself and names the checksum of records, index and
 * list; the index has the checksum of each block and the hash of each page. Every length is checked before it is trusted. */
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
#define SEGMENT_VERSION 1
#define SEGMENT_BLOCK_BYTES 65536 /* raw bytes in a block, at most */

/* Limits of one object. At them encoding ends with ERR_LIMIT and decoding with ERR_CORRUPT. */
#define SEGMENT_BYTES_MAX                                                                                              \
    (256u << 20) /* far below every provider's limit for one PUT; the writer aims at 32 MiB and less */
#define SEGMENT_RECORDS_MAX (4u << 20)
#define SEGMENT_VERSIONS_MAX (16u << 20)
#define SEGMENT_LIST_MAX (1u << 20) /* 16 TiB in chunks of 16 MiB */
#define SEGMENT_LEVEL_MAX 9

/* A random name: of a database, a writer (a state file), a run (one start of the daemon), an object. */
struct uid {
    uint8_t bytes[UID_BYTES];
};
bool uid_equal(const struct uid *a, const struct uid *b);

enum object_kind { OBJECT_SEGMENT = 1, OBJECT_PART = 2, OBJECT_CHUNK = 3, OBJECT_MARKER = 4 };

enum segment_flags {
    SEGMENT_LAST_ONLY = 1,  /* only the last version of each page, as of max; the only restore point is max */
    SEGMENT_FROM_EMPTY = 2, /* nothing before it counts: first object of a history, or the page size changed */
    SEGMENT_BASE_ONLY = 4,  /* holds no pages: state max can only be read from a base with start >= max */
    SEGMENT_IN_PARTS = 8,   /* the list names parts that hold more versions of the same segment */
    SEGMENT_ENCRYPTED = 16, /* reserved: an error in this version */
};
#define SEGMENT_FLAGS_KNOWN (SEGMENT_LAST_ONLY | SEGMENT_FROM_EMPTY | SEGMENT_BASE_ONLY | SEGMENT_IN_PARTS)

struct segment_info {
    enum object_kind kind;
    unsigned level; /* 0 to 9; 0 for chunks and markers */
    uint32_t flags;
    uint64_t min, max;              /* txids it covers, both included; a chunk or marker: min is 0 */
    uint64_t start;                 /* chunk and marker: the txid that fixed the ranges of the base; otherwise 0 */
    uint32_t page_size;             /* bytes */
    uint32_t first_page, last_page; /* range of pages it may hold; 0, 0: none */
    int64_t time_ms;                /* when it was written */
    struct uid database, writer, run, nonce;
    uint64_t checksum_before;    /* database checksum of state min - 1 */
    struct digest digest_before; /* of the level-0 object before; zeros for the first one and for other kinds */
};

/* A restore point. */
struct commit_record {
    uint64_t txid;
    int64_t time_ms;   /* wall clock when Seawall saw it; never falls within a replica */
    uint32_t pages;    /* size of the database */
    uint64_t checksum; /* XOR of the hashes of its pages */
};

enum version_kind { VERSION_ZERO = 0, VERSION_IMAGE = 1, VERSION_PATCH = 2 };

/* A page as one commit left it. */
struct version {
    uint32_t pgno;
    enum version_kind kind;
    uint64_t txid;
    uint64_t from; /* patch: it applies to any version v with from <= v < txid */
    uint64_t hash; /* of the whole page after it; 0 for a page of zeros */
    uint64_t mask; /* patch */
};
size_t version_size(const struct version *v, uint32_t page_size); /* bytes in its block */

/* An object that another one names: a part of a manifest, a chunk of a marker. */
struct listed {
    char name[80]; /* key inside the replica; NAME_MAX_BYTES */
    uint64_t size; /* bytes */
    struct digest digest;
    uint32_t first_page, last_page;
    uint64_t max;
};

/* ---- writing */

/* Compresses versions as they come. Ends as one object in memory. */
struct segment_writer {
    struct codec *codec; /* borrowed */
    uint32_t page_size;
    struct buf out;   /* header and finished blocks */
    struct buf block; /* raw bytes of the block being filled */
    uint32_t block_versions;
    struct buf blocks; /* index: the block table */
    uint32_t block_count;
    struct version *versions; /* owned */
    size_t version_count, version_cap;
};
int segment_writer_init(struct segment_writer *w, struct codec *codec, uint32_t page_size, struct err *e) MUST_CHECK;
void segment_writer_release(struct segment_writer *w);

/* In ascending order of (pgno, txid). `bytes`: version_size(v) bytes; copied. */
int segment_writer_add(struct segment_writer *w, const struct version *v, const uint8_t *bytes,
                       struct err *e) MUST_CHECK;

struct segment_content {
    const struct segment_info *info;
    const struct commit_record *records;
    size_t record_count;
    const struct listed *list;
    size_t list_count;
};
/* Makes the object. The writer can only be released after it. */
int segment_writer_finish(struct segment_writer *w, const struct segment_content *content, struct buf *ret_object,
                          struct digest *ret_digest, struct err *e) MUST_CHECK;

/* ---- reading */

struct segment_block {
    uint64_t offset; /* in the object */
    uint32_t stored_size, raw_size;
    uint64_t checksum; /* of the stored bytes */
    uint32_t first_version, versions;
};

struct segment_trailer {
    struct segment_info info;
    uint64_t object_size;
    uint64_t tail_offset; /* where records, index and list begin */
    uint32_t version_count, block_count, record_count, list_count;
    uint32_t records_stored, index_stored, list_stored;
    uint32_t records_raw, index_raw, list_raw;
    uint64_t tail_checksum;
};

/* `bytes`: the last SEGMENT_TRAILER_BYTES of an object of object_size bytes. */
int segment_trailer_decode(const uint8_t bytes[SEGMENT_TRAILER_BYTES], uint64_t object_size,
                           struct segment_trailer *ret_trailer, struct err *e) MUST_CHECK;

struct segment {
    struct segment_trailer trailer;
    struct commit_record *records; /* all owned */
    struct version *versions;
    struct segment_block *blocks;
    struct listed *list;
};
void segment_release(struct segment *s);

enum segment_want { SEGMENT_WANT_RECORDS, SEGMENT_WANT_ALL };

/* `tail`: the bytes from trailer.tail_offset up to the trailer. Records and list always, blocks and versions with SEGMENT_WANT_ALL.
 */
int segment_decode(const struct segment_trailer *trailer, const uint8_t *tail, struct codec *codec,
                   enum segment_want want, struct segment *ret_segment, struct err *e) MUST_CHECK;

/* Inflates one block: `stored` holds block->stored_size bytes, `raw` takes block->raw_size (at most SEGMENT_BLOCK_BYTES). */
int segment_block_inflate(const struct segment_block *block, const uint8_t *stored, struct codec *codec, uint8_t *raw,
                          struct err *e) MUST_CHECK;

/* Checks the bytes in front of the blocks, for a caller that has the whole object. */
int segment_header_check(const uint8_t *object, size_t size, struct err *e) MUST_CHECK;

#endif
