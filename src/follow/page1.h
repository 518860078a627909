/* follow/page1.h - bytes of page 1 that are not the same in the copy and in the replica.
 *
 *   18, 19   version numbers: 2 in the copy, which is always in WAL mode
 *   40..43   schema cookie: a program that has read the schema keeps it while the cookie is the same. The copy can become
 *            another database, with another schema and by chance the same cookie. So whatever may have skipped a commit
 *            raises the cookie above every one that the copy had.
 *
 * Source: SQLite "Database File Format", section 1.3. */
#ifndef SEAWALL_FOLLOW_PAGE1_H
#define SEAWALL_FOLLOW_PAGE1_H

#include "base/endian.h"
#include "follow/note.h"

#define PAGE1_VERSIONS 18

static inline struct page1_kept page1_keep(const uint8_t *page)
{
    struct page1_kept k;
    memcpy(k.bytes, page + 18, 2);
    memcpy(k.bytes + 2, page + 40, 4);
    return k;
}

static inline uint32_t page1_cookie(const struct page1_kept *k)
{
    return get_be32(k->bytes + 2);
}

/* Makes page 1 of the copy from that of the replica. */
static inline void page1_to_copy(uint8_t *page, uint32_t cookie_shift)
{
    page[18] = page[19] = 2;
    put_be32(page + 40, get_be32(page + 40) + cookie_shift);
}

/* Makes page 1 of the replica from that of the copy. */
static inline void page1_to_replica(uint8_t *page, const struct page1_kept *k)
{
    memcpy(page + 18, k->bytes, 2);
    memcpy(page + 40, k->bytes + 2, 4);
}

/* The shift that gives the copy a cookie above `before`, the one that it had, or with `same` not below it: `shift`, if that
 * does. */
static inline uint32_t page1_shift_above(uint32_t before, uint32_t replica_cookie, uint32_t shift, bool same)
{
    int32_t above = (int32_t)(replica_cookie + shift - before);
    return above > 0 || (same && above == 0) ? shift : before + 1 - replica_cookie;
}

#endif
