/* restore/passes.h - the four passes that write a database, and the data that they share.
 *
 *   1. choose   find in the indexes, for each wanted page, the newest image or zero version that is not after the
 * target
 *   2. images   write the chosen images, source by source, in any order and in several threads at a time
 *   3. patches  apply the patches that follow the chosen version of a page, source by source in ascending order
 *   4. verify   every page has a version, and the XOR of the page hashes is the database checksum of the commit record
 *
 * Each pass begins after the one before it has ended. Passes 2 and 3 check the hash of every page that they write. */
#ifndef SEAWALL_RESTORE_PASSES_H
#define SEAWALL_RESTORE_PASSES_H

#include "base/page.h"
#include "restore/source_reader.h"
#include "restore/wanted.h"

struct passes {
    struct source_origin from;
    struct codec *codec;       /* borrowed: of the thread that runs pass 1 */
    const atomic_bool *cancel; /* borrowed; the passes end when it becomes true; NULL: never */
    int fd;                    /* borrowed: the file that is written, of the size of the database */
    struct wanted wanted;      /* has the map: of each page, hash and txid of the version chosen so far */
    struct segment **kept;     /* owned: for each source its index, kept between the passes; NULL: not kept */
    size_t kept_versions;      /* versions in all kept indexes */
    bool *skipped;             /* owned: for each source: it does not have to be read */
    uint64_t total;            /* bytes of the sources that are not skipped */
};

/* Allocates `kept` and `skipped`. Precondition: the caller has set `from`, `codec`, `cancel` and `fd`. The caller
 * initializes `wanted` before pass 1, and releases the passes in any case. ERR_NOMEM. */
int passes_init(struct passes *p, struct err *e) MUST_CHECK;
void passes_release(struct passes *p);

/* Pass 1, over all sources. Errors of all passes: ERR_GONE, ERR_CORRUPT, ERR_CLAIM, ERR_CANCELED, ERR_NOMEM, ERR_IO,
 * and those of the store. */
int passes_choose(struct passes *p, struct err *e) MUST_CHECK;

/* Make a reader for pass 2 or 3. Each thread has its own, and frees it with source_reader_free. ERR_NOMEM. */
int passes_image_reader(const struct passes *p, struct source_reader **ret_reader, struct err *e) MUST_CHECK;
int passes_patch_reader(const struct passes *p, struct source_reader **ret_reader, struct err *e) MUST_CHECK;

/* Pass 2, one source. Several threads may call it at a time, each with a reader of its own. Precondition: the source is
 * not skipped. */
int passes_write_images(const struct passes *p, struct source_reader *r, size_t source, struct err *e) MUST_CHECK;

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

/* Whether pass 3 has to read a source: not a chunk, which holds no patches, and not a skipped one. */
bool passes_has_patches(const struct passes *p, size_t source);

/* Pass 4. *ret_mismatch: every page has a version, but together they have another database checksum than the commit
 * record. ERR_CORRUPT: that, or a page has no version. */
int passes_verify(const struct passes *p, bool *ret_mismatch, struct err *e) MUST_CHECK;

#endif
