/* restore/wanted.c */
#include "restore/wanted.h"

#include "base/page.h"

#include <assert.h>
#include <stdlib.h>

void wanted_init_all(struct wanted *w, const struct plan *plan, struct map *map)
{
    assert(map->pages == plan->record.pages && map->known == 0);
    *w = (struct wanted){.plan = plan, .map = map, .known_upto = UINT64_MAX};
}

/* Makes the page wanted, and forgets the version that the caller has of it, which is not that of the target. */
static void want(struct wanted *w, uint32_t pgno)
{
    w->bits[pgno / 64] |= UINT64_C(1) << pgno % 64;
    map_set(w->map, pgno, (struct map_entry){0, 0});
    w->missing++;
}

int wanted_init_missing(struct wanted *w, const struct plan *plan, struct map *map, uint64_t known_upto, struct err *e)
{
    uint32_t pages = plan->record.pages, lock_page = lock_byte_page(plan->page_size);
    size_t words = (size_t)pages / 64 + 1;
    assert(map->pages == pages);
    *w = (struct wanted){.plan = plan, .map = map, .known_upto = known_upto};
    w->bits = calloc(words, sizeof *w->bits);
    if (!w->bits)
        return err_nomem(e, words * sizeof *w->bits);
    for (uint32_t pgno = 1; pgno <= pages; pgno++)
        if (pgno != lock_page && map_get(map, pgno).txid == 0)
            want(w, pgno);
    return 0;
}

void wanted_release(struct wanted *w)
{
    free(w->bits);
    w->bits = NULL;
}

bool wanted_any(const struct wanted *w)
{
    return !w->bits || w->missing > 0 || w->known_upto < w->plan->record.txid;
}

/* ---- sources */

enum range_kind { RANGE_WANTED, RANGE_MISSING };

static bool range_holds(const struct wanted *w, const struct plan_source *s, enum range_kind kind)
{
    if (s->last_page == 0)
        return true;
    uint32_t last = s->last_page < w->plan->record.pages ? s->last_page : w->plan->record.pages;
    for (uint32_t pgno = s->first_page; pgno <= last; pgno++) {
        if (pgno % 64 == 0 && w->bits[pgno / 64] == 0) { /* none of the next 64 pages is wanted */
            pgno |= 63;
            continue;
        }
        if (wanted_page(w, pgno) && (kind == RANGE_WANTED || map_get(w->map, pgno).txid == 0))
            return true;
    }
    return false;
}

bool wanted_needs(const struct wanted *w, const struct plan_source *s, bool *part_of_needed)
{
    if (!w->bits)
        return true;
    bool unknown = s->max > w->known_upto; /* it may hold changes that the caller does not know */
    switch (s->kind) {
    case OBJECT_CHUNK:
        return unknown || (w->missing > 0 && range_holds(w, s, RANGE_MISSING));
    case OBJECT_PART:
        return *part_of_needed && (unknown || range_holds(w, s, RANGE_WANTED));
    case OBJECT_SEGMENT:
    case OBJECT_MARKER:
    case OBJECT_INTERIOR:
        break;
    }
    *part_of_needed = unknown || w->missing > 0;
    return *part_of_needed;
}

/* ---- versions */

static bool is_of_target(const struct wanted *w, const struct version *v)
{
    return v->txid <= w->plan->record.txid && v->pgno <= w->plan->record.pages;
}

/* Makes pages wanted that changed after known_upto. It looks at the whole index before any version is chosen, because
 * earlier versions of a page come before the one that makes it wanted. */
static void want_what_changed(struct wanted *w, const struct segment *s)
{
    for (uint32_t i = 0; i < s->trailer.version_count; i++) {
        const struct version *v = &s->versions[i];
        if (is_of_target(w, v) && v->txid > w->known_upto && !wanted_page(w, v->pgno))
            want(w, v->pgno);
    }
}

void wanted_choose(struct wanted *w, const struct segment *s)
{
    assert(s->trailer.version_count == 0 || s->versions);
    want_what_changed(w, s);
    for (uint32_t i = 0; i < s->trailer.version_count; i++) {
        const struct version *v = &s->versions[i];
        if (v->kind == VERSION_PATCH || !is_of_target(w, v) || !wanted_page(w, v->pgno))
            continue;
        struct map_entry chosen = map_get(w->map, v->pgno);
        if (v->txid < chosen.txid)
            continue;
        if (w->bits && chosen.txid == 0)
            w->missing--;
        map_set(w->map, v->pgno, (struct map_entry){.hash = v->hash, .txid = v->txid});
    }
}
