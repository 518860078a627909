/* reader/feed.h - the newest state of a replica, as far as this process knows it. One for each URL and folder of a
 * cache.
 *
 * No thread of its own looks for news: a reader that begins a transaction does, if the last look is too old. While
 * nothing comes, looks become rarer: a tenth of the time since the last news, but at most FEED_SLOWDOWN times the
 * interval. */
#ifndef SEAWALL_READER_FEED_H
#define SEAWALL_READER_FEED_H

#include "reader/snapshot.h"

#define FEED_SLOWDOWN 10
#define FEED_SURELY (-1)

struct feed;

/* Opens the feed of a URL, or shares it. `cache`: folder, or NULL. Contacts no store. Errors: those of store_open and
 * disk_open. */
int feed_open(const char *url, const char *cache, uint64_t cache_bytes, struct feed **ret_feed,
              struct err *e) MUST_CHECK;
void feed_close(struct feed *f); /* NULL does nothing */

/* Opens a state that does not change any more. Errors: those of snapshot_open. The caller releases it. */
int feed_at(struct feed *f, const struct moment *moment, struct snapshot **ret_snapshot, struct err *e) MUST_CHECK;

/* The newest state that is known. Asks the store if nobody has within `interval_ms`, or, if `slow_down`, within the
 * longer time above. FEED_SURELY: asks in the way that also finds a history that was begun again. *ret_trouble becomes
 * true and `e` has the reason if the store does not answer, but a state is known from before. Errors: no state is
 * known. The caller releases *ret_snapshot. */
int feed_newest(struct feed *f, int64_t interval_ms, bool slow_down, struct snapshot **ret_snapshot, bool *ret_trouble,
                struct err *e) MUST_CHECK;

/* From when on the interval to the next look counts, after a look that took from `begun_ms` to `ended_ms`. What it found is as
 * old as its begin. But half of the interval is left in any case: on a store that takes longer, readers that waited for this
 * look would all look again, one after the other. interval_ms < 1: from its end. */
int64_t feed_interval_from_ms(int64_t begun_ms, int64_t ended_ms, int64_t interval_ms);

/* Something that the newest state needs is gone: the next look plans again. `lost`: this state can't be read any more, so an
 * older one may follow; NULL: it may still be. */
void feed_distrust(struct feed *f, const struct snapshot *lost);

/* When the store last had nothing newer than this state, by clock_boot_ms. -1: another state is known to be the
 * newest, so when this one was is not known any more. */
int64_t feed_known_at_ms(struct feed *f, const struct snapshot *s);

void feed_traffic(struct feed *f, uint64_t *ret_requests, uint64_t *ret_bytes);

#endif
