/* restore/wanted.h - which pages a restore still needs, and therefore which objects it reads.
 *
 * A restore into an empty file wants every page. A caller that has most pages already (restore/delta.h) wants only the
 * pages that it lacks, and the pages that changed after the txid up to which it knows the history.
 *
 * The caller goes through the objects from the newest to the oldest. Once every wanted page has an image, older objects
 * are not needed: the patches that follow an image are in the newer objects, which were read. So the amount that is
 * read depends on the pages that differ, not on the size of the database. Only one thread may use a struct wanted. */
#ifndef SEAWALL_RESTORE_WANTED_H
#define SEAWALL_RESTORE_WANTED_H

#include "replica/plan.h"
#include "state/map.h"

struct wanted {
    const struct plan *plan; /* borrowed */
    struct map *map; /* borrowed: for each page hash and txid of the version chosen so far; txid 0: none is chosen */
    uint64_t *bits;  /* owned: one for each page; NULL: every page is wanted */
    uint64_t known_upto; /* the caller knows of every change up to this txid */
    uint64_t missing;    /* wanted pages for which no version is chosen; counted only if `bits` is not NULL */
};

/* Every page is wanted. Precondition: `map` is empty, of plan->record.pages pages. */
void wanted_init_all(struct wanted *w, const struct plan *plan, struct map *map);

/* The pages without a version in `map` are wanted. Precondition: `map` has plan->record.pages pages. ERR_NOMEM. */
int wanted_init_missing(struct wanted *w, const struct plan *plan, struct map *map, uint64_t known_upto,
                        struct err *e) MUST_CHECK;
void wanted_release(struct wanted *w);

/* Whether the page is wanted. Precondition: 1 <= pgno <= plan->record.pages. */
static inline bool wanted_page(const struct wanted *w, uint32_t pgno)
{
    return !w->bits || (w->bits[pgno / 64] >> pgno % 64 & 1);
}

/* Whether any object has to be read. False: every wanted page has a version, and the caller knows all changes up to the
 * target. */
bool wanted_any(const struct wanted *w);

/* Whether a source has to be read. Preconditions: the caller asks for the sources from the newest to the oldest, a
 * segment before its parts, and has called wanted_choose for each newer source that had to be read. *part_of_needed
 * carries over from a segment to its parts: the caller sets it to false before the first call, and passes the same
 * variable to each. */
bool wanted_needs(const struct wanted *w, const struct plan_source *source, bool *part_of_needed);

/* Chooses versions from the index of a source: for each wanted page the newest image or zero version that is not after
 * the target. Pages that changed after known_upto become wanted. */
void wanted_choose(struct wanted *w, const struct segment *index);

#endif
