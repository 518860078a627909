/* capture/dirty.c - a table of sets with a few places each. When a set is full the table grows. When the table may
 * not grow, the set gives up the page that changed longest ago. */
#include "capture/dirty.h"

#include "base/trial.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define SPANS 3
#define PLACES 4 /* in a set */
#define SETS_MIN 16u
#define SETS_MAX SCALE(32768u, 16u) /* 10 MiB; at it pages give way */

struct span {
    uint64_t from, to, mask;
};

struct place {
    uint32_t pgno; /* 0: free */
    uint32_t count;
    struct span spans[SPANS]; /* ascending; each begins where the one before ends */
};

struct dirty {
    struct place *places;
    uint32_t sets; /* a power of two */
};

struct dirty *dirty_new(void)
{
    struct dirty *d = calloc(1, sizeof *d);
    if (!d)
        return NULL;
    d->sets = SETS_MIN;
    d->places = calloc((size_t)d->sets * PLACES, sizeof *d->places);
    if (!d->places) {
        free(d);
        return NULL;
    }
    return d;
}

void dirty_free(struct dirty *d)
{
    if (!d)
        return;
    free(d->places);
    free(d);
}

void dirty_clear(struct dirty *d)
{
    memset(d->places, 0, (size_t)d->sets * PLACES * sizeof *d->places);
}

static struct place *set_of(const struct dirty *d, uint32_t pgno)
{
    return d->places + (size_t)((pgno * 2654435761u >> 16) & (d->sets - 1)) * PLACES; /* Knuth's multiplicative hash */
}

static struct place *find(const struct dirty *d, uint32_t pgno)
{
    struct place *set = set_of(d, pgno);
    for (unsigned i = 0; i < PLACES; i++)
        if (set[i].pgno == pgno)
            return &set[i];
    return NULL;
}

static uint64_t newest_txid(const struct place *p)
{
    return p->count > 0 ? p->spans[p->count - 1].to : 0;
}

/* A free place of the page's set, or the one whose page changed longest ago. */
static struct place *place_to_use(const struct dirty *d, uint32_t pgno)
{
    struct place *set = set_of(d, pgno), *best = &set[0];
    for (unsigned i = 0; i < PLACES; i++) {
        if (set[i].pgno == 0)
            return &set[i];
        if (newest_txid(&set[i]) < newest_txid(best))
            best = &set[i];
    }
    return best;
}

/* Doubles the number of sets. Without memory nothing changes. */
static void grow(struct dirty *d)
{
    struct dirty larger = {.sets = 2 * d->sets};
    larger.places = calloc((size_t)larger.sets * PLACES, sizeof *larger.places);
    if (!larger.places)
        return;
    for (size_t i = 0; i < (size_t)d->sets * PLACES; i++)
        if (d->places[i].pgno != 0)
            *place_to_use(&larger, d->places[i].pgno) = d->places[i];
    free(d->places);
    *d = larger;
}

static struct place *obtain(struct dirty *d, uint32_t pgno)
{
    struct place *p = find(d, pgno);
    if (p)
        return p;
    p = place_to_use(d, pgno);
    while (p->pgno != 0 && d->sets < SETS_MAX) {
        uint32_t sets = d->sets;
        grow(d);
        p = place_to_use(d, pgno);
        if (d->sets == sets)
            break;
    }
    *p = (struct place){.pgno = pgno};
    return p;
}

/* Makes one span of two neighbours: of those that are shortest together in relation to their age. So a page that
 * changes all the time has longer spans the older they are, and for every range of a segment some span begins not
 * much earlier. */
static void join_two(struct place *p)
{
    assert(p->count >= 2);
    unsigned best = 0;
    double least = 2;
    for (unsigned i = 0; i + 1 < p->count; i++) {
        double length = (double)(p->spans[i + 1].to - p->spans[i].from),
               age = (double)(newest_txid(p) + 1 - p->spans[i].from);
        if (length / age < least) {
            least = length / age;
            best = i;
        }
    }
    p->spans[best].to = p->spans[best + 1].to;
    p->spans[best].mask |= p->spans[best + 1].mask;
    memmove(&p->spans[best + 1], &p->spans[best + 2], (p->count - best - 2) * sizeof p->spans[0]);
    p->count--;
}

void dirty_note(struct dirty *d, const struct version *v)
{
    assert(v->pgno >= 1 && (v->kind != VERSION_PATCH || v->from < v->txid));
    if (v->kind != VERSION_PATCH) {
        struct place *known = RULE(mask_drop) ? find(d, v->pgno) : NULL;
        if (known)
            *known = (struct place){.pgno = 0};
        return;
    }
    struct place *p = obtain(d, v->pgno);
    if (newest_txid(p) != v->from && RULE(mask_drop))
        p->count = 0;
    if (p->count == SPANS)
        join_two(p);
    p->spans[p->count++] = (struct span){.from = v->from, .to = v->txid, .mask = v->mask};
}

bool dirty_since(const struct dirty *d, uint32_t pgno, uint64_t txid, uint64_t after, uint64_t *ret_from,
                 uint64_t *ret_mask)
{
    const struct place *p = find(d, pgno);
    *ret_mask = 0;
    if (!p || p->count == 0 || (newest_txid(p) != txid && RULE(mask_drop)))
        return false;
    for (unsigned i = p->count; i-- > 0;) {
        *ret_mask |= p->spans[i].mask;
        *ret_from = p->spans[i].from;
        if (*ret_from <= after)
            return true;
    }
    return !RULE(patch_from);
}
