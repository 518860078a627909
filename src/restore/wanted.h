/* restore/wanted.h - which pages a restore still looks for, and therefore which objects it reads.
 *
 * A restore into an empty file wants every page. A caller that has most pages already (restore/delta.h) wants the
 * others only: the pages that it lacks, and the pages that changed after the txid up to which it knows the history.
 *
 * Objects are asked for from the newest to the oldest. Once every wanted page has an image, older objects are not
 * needed: the patches that follow an image are in the newer objects, which were read. So what is read depends on what
 * differs, not on the size of the database. One thread. */
#ifndef SEAWALL_RESTORE_WANTED_H
#define SEAWALL_RESTORE_WANTED_H

#include "replica/plan.h"
#include "state/map.h"

struct wanted {
    const struct plan *plan; /* borrowed */
    struct map *map; /* borrowed: of each page, hash and txid of the version chosen so far; txid 0: none is chosen */
    uint64_t *bits;  /* owned: one for each page; NULL: every page is wanted */
    uint64_t known_upto; /* the caller knows of every change up to this txid */
    uint64_t missing;    /* wanted pages for which no version is chosen. Counted only if `bits` */
};

/* Every page is wanted. Precondition: `map` is empty, of plan->record.pages pages. */
void wanted_init_all(struct wanted *w, const struct plan *plan, struct map *map);

/* The pages without a version in `map` are wanted. Precondition: `map` has plan->record.pages pages. ERR_NOMEM. */
int wanted_init_missing(struct wanted *w, const struct plan *plan, struct map *map, uint64_t known_upto,
                        struct err *e) MUST_CHECK;
void wanted_release(struct wanted *w);

static inline bool wanted_page(const struct wanted *w, uint32_t pgno)
{
    return !w->bits || (w->bits[pgno / 64] >> pgno % 64 & 1);
}

/* False: the wanted pages are complete, and nothing newer is unknown. No object has to be read at all. */
bool wanted_any(const struct wanted *w);

/* Checks whether a source has to be read. Precondition: every newer source that was needed has been chosen from.
 * Sources are asked for from the newest to the oldest, a segment before its parts. *part_of_needed carries over from
 * the segment to its parts: the caller sets it to false before the first call and passes the same variable to each. */
bool wanted_needs(const struct wanted *w, const struct plan_source *source, bool *part_of_needed);

/* Chooses from the index of a source: for each wanted page the newest image or zero version that is not after the
 * target. Pages that changed after known_upto become wanted. */
void wanted_choose(struct wanted *w, const struct segment *index);

#endif
