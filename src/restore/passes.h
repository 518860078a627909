/* restore/passes.h - the passes that write a database, and the data that they share.
 *
 *   1. choose   find in the indexes, for each wanted page, the newest image or zero version that is not after the
 *               target
 *   2. pages    write the pages, in rounds. A round is a range of pages. First its patches are read into memory, source
 *               by source in ascending order. Then the chosen images are read, in any order and in several threads at a
 *               time; the patches that follow an image are applied to it before it is written
 *   3. patches  only if the patches of a few pages do not fit into memory: then pass 2 has one round, without patches,
 *               and this pass applies them to the written pages, source by source in ascending order
 *   4. verify   every page has a version, and the XOR of the page hashes is the database checksum of the commit record
 *
 * Each pass begins after the one before it has ended. Passes 2 and 3 check the hash of every page that they write. */
#ifndef SEAWALL_RESTORE_PASSES_H
#define SEAWALL_RESTORE_PASSES_H

#include "base/output.h"
#include "base/page.h"
#include "restore/held.h"
#include "restore/source_reader.h"
#include "restore/wanted.h"

#define PASSES_SLOTS 1024 /* equal ranges of pages, of which rounds are made */

struct passes {
    struct source_origin from;
    struct codec *codec;         /* borrowed: of the thread that runs pass 1 */
    const atomic_bool *cancel;   /* borrowed; the passes end when it becomes true; NULL: never */
    int fd;                      /* borrowed: the file that is written, of the size of the database */
    const char *path;            /* borrowed: of that file, for messages; or NULL */
    struct wanted wanted;        /* has the map: of each page, hash and txid of the version chosen so far */
    struct segment **kept;       /* owned: for each source its index, kept between the passes; NULL: not kept */
    size_t kept_versions;        /* versions in all kept indexes */
    bool *skipped;               /* owned: for each source: it does not have to be read */
    uint64_t total;              /* bytes of the sources that are not skipped */
    uint64_t scattered;          /* images outside of chunks, without the page before them */
    uint64_t held[PASSES_SLOTS]; /* of each slot: memory that its patches take, at most */
    uint32_t *round_ends;        /* owned: the last page of each round; NULL: none is planned */
    size_t round_count;
    bool patches_late; /* pass 3 applies the patches, and pass 2 has one round */
};

/* Allocates `kept` and `skipped`. Precondition: the caller has set `from`, `codec`, `cancel` and `fd`. The caller
 * initializes `wanted` before pass 1, and releases the passes in any case. ERR_NOMEM. */
int passes_init(struct passes *p, struct err *e) MUST_CHECK;
void passes_release(struct passes *p);

/* Pass 1, over all sources. Plans the rounds of pass 2. Errors of all passes: ERR_GONE, ERR_CORRUPT, ERR_CLAIM,
 * ERR_CANCELED, ERR_NOMEM, ERR_IO, and those of the store. */
int passes_choose(struct passes *p, struct err *e) MUST_CHECK;

/* One round of pass 2. */
struct round {
    const struct passes *passes; /* borrowed */
    uint32_t first_page, last_page;
    struct held held;   /* the patches; none if passes->patches_late */
    size_t next_source; /* the first one whose patches are not held yet */
};

/* Begins round `number`, from 0 to p->round_count - 1. The caller ends it with passes_end_round. ERR_NOMEM. */
int passes_begin_round(const struct passes *p, size_t number, struct round *ret_round, struct err *e) MUST_CHECK;

/* Reads the patches of a round. Afterwards the map has the hash and the txid that the pages get by these patches.
 * `r`: of passes_held_reader. Threads may write another round meanwhile. Preconditions: the rounds before are read.
 * ERR_CLAIM: memory was missing, maybe because the threads hold some. Call it again when they have ended. */
int passes_hold_patches(struct passes *p, struct source_reader *r, struct round *round, struct err *e) MUST_CHECK;

/* Whether the source may have images for the round. */
bool passes_has_images(const struct round *round, size_t source);

/* Make a reader for pages of pass 2, for patches of pass 2, and for pass 3. Each thread has its own, and frees it with
 * source_reader_free. ERR_NOMEM. */
int passes_image_reader(const struct round *round, struct source_reader **ret_reader, struct err *e) MUST_CHECK;
int passes_held_reader(const struct passes *p, struct source_reader **ret_reader, struct err *e) MUST_CHECK;
int passes_patch_reader(const struct passes *p, struct source_reader **ret_reader, struct err *e) MUST_CHECK;

/* Writes the pages of a round whose images one source has. Several threads may call it at a time, each with a reader of
 * passes_image_reader and a piece of its own. The last pages may still be in the piece: output_flush writes them.
 * Precondition: passes_has_images is true. */
int passes_write_images(const struct round *round, struct source_reader *r, struct output_piece *piece, size_t source,
                        struct err *e) MUST_CHECK;

/* After all images of the round are written: adds the pages to the piece that have patches and no image, because they
 * were pages of zeros. */
int passes_write_rest(const struct round *round, struct output_piece *piece, struct err *e) MUST_CHECK;
void passes_end_round(struct round *round); /* a zeroed one is fine */

/* The page that patches are being applied to. Consecutive patches of one page cost one read and one write. */
struct open_page {
    const struct source_reader *reader; /* borrowed: of the patches */
    uint32_t pgno;                      /* 0: none */
    const struct version *last;         /* the patch applied last; NULL: the page is unchanged */
    uint8_t bytes[PAGE_SIZE_MAX];
};

/* Pass 3, one source. `page`: memory for the function to use. Preconditions: sources come in ascending order;
 * passes_has_patches is true for this one. */
int passes_apply_patches(struct passes *p, struct source_reader *r, size_t source, struct open_page *page,
                         struct err *e) MUST_CHECK;

/* Whether patches may be in a source: not a chunk, which holds no patches, and not a skipped one. */
bool passes_has_patches(const struct passes *p, size_t source);

/* Pass 4. *ret_mismatch: every page has a version, but together they have another database checksum than the commit
 * record. ERR_CORRUPT: that, or a page has no version. */
int passes_verify(const struct passes *p, bool *ret_mismatch, struct err *e) MUST_CHECK;

#endif
