/* property/published.h - the objects that were put into the stores, and the restore points that must be in them. */
#ifndef PROPERTY_PUBLISHED_H
#define PROPERTY_PUBLISHED_H

#include "sim.h"

#include "replica/catalog.h"

struct point {
    bool is;         /* a restore point */
    bool retired;    /* retention may have deleted it */
    bool listed;     /* it was in the newest list of restore points */
    int64_t born_ms; /* when the store received its object */
    size_t serial;   /* of the state that a restore must give; 0: unknown, its object had no pages */
    uint64_t checksum;
    int64_t time_ms; /* of its record */
};
struct epoch {
    uint64_t min, max; /* of the object that began it */
    bool base_only;
};
struct base {
    uint64_t start, max;
    int64_t born_ms;
};
struct published {
    struct point *points;
    size_t point_cap;
    uint64_t head;
    struct uid writers[100]; /* the writers that put objects of level 0 */
    size_t writer_count;
    struct digest head_digest;
    struct uid head_writer;
    int64_t head_time_ms;
    struct epoch epochs[200];
    size_t epoch_count;
    struct base bases[2000];
    size_t base_count;
    bool ailing;    /* it lost objects, and its newest point can't be restored since then */
    unsigned loses; /* how often it lost objects */
};
extern struct published published[STORES]; /* by the number of the store */
extern bool stray_allowed;                 /* an object may be put behind the head: the daemon must delete it again */

struct published *published_of(const struct sim_store *s);
struct point *published_point(struct published *p, uint64_t txid); /* makes the point if it is new */

/* Whether the restore point must be there. Retention may have deleted any other one. */
bool published_promises(const struct published *p, uint64_t txid);

/* The newest restore point that the store had before a moment of the world's time, as far as it is there still. 0: none. */
uint64_t published_newest_before(const struct published *p, int64_t ms);

/* The state that a reader must see at a txid. 0: it is not known yet: then the state with this page 1 is the one. */
size_t published_serial(struct published *p, uint64_t txid, const uint8_t *page1, uint32_t page_size);

/* Restores the head of the store and `percent` of its other points, and compares them with what the application
 * committed. */
void published_check(struct sim_store *s, unsigned percent);
void published_check_any(struct sim_store *s); /* checks one point at random */

/* The store loses objects, and no daemon hears of it. From then on only a newest point that comes later is promised. */
void published_lose(struct sim_store *s);
bool published_any_ails(void);

void object_decode(const struct sim_object *o, struct segment *ret_segment); /* the caller calls segment_release() */

/* Reads a replica as it is, without faults. */
struct view {
    struct sim_store *store;
    struct store *handle;
    struct catalog catalog;
    bool down;
    unsigned loss;
};
bool view_open(struct view *v, struct sim_store *s); /* false: the replica is empty. view_close() in any case */
void view_close(struct view *v);

#endif
