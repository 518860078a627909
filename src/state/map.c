/* state/map.c */
#include "state/map.h"

#include "base/claim.h"
#include "base/endian.h"
#include "base/hash.h"
#include "base/page.h"
#include "base/trial.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define GROW_ENTRIES SCALE(4096u, 4u) /* 64 KiB: a growing database must not remap the file with each commit */

void map_init_memory(struct map *m, uint32_t page_size)
{
    *m = (struct map){.page_size = page_size, .fd = -1};
}

void map_init_claimed(struct map *m, uint32_t page_size, uint64_t backed)
{
    *m = (struct map){.page_size = page_size, .fd = -1, .claimed = true, .backed = backed};
}

void map_release(struct map *m)
{
    claim_give(m->charged);
    if (m->fd < 0)
        free(m->mapping);
    else if (m->mapping)
        munmap(m->mapping, m->mapped);
    free(m->newest);
    *m = (struct map){.fd = -1};
}

uint64_t map_entry_sum(uint32_t pgno, struct map_entry entry)
{
    uint8_t b[20];
    if (entry.txid == 0)
        return 0;
    put_be32(b, pgno);
    put_be64(b + 4, entry.hash);
    put_be64(b + 12, entry.txid);
    return hash64(b, sizeof b);
}

void map_set(struct map *m, uint32_t pgno, struct map_entry entry)
{
    assert(pgno >= 1 && pgno <= m->pages);
    struct map_entry *at = &m->entries[pgno - 1];
    m->checksum ^= at->hash ^ entry.hash;
    m->sum ^= map_entry_sum(pgno, *at) ^ map_entry_sum(pgno, entry);
    m->known += (entry.txid != 0) - (at->txid != 0);
    *at = entry;
    size_t group = (pgno - 1) / MAP_GROUP;
    if (group < m->groups && entry.txid > m->newest[group])
        m->newest[group] = entry.txid;
}

/* Makes `newest` for all groups, from their entries. Without memory for it, no group is skipped. */
static void know_groups(struct map *m)
{
    size_t groups = ((size_t)m->cap + MAP_GROUP - 1) / MAP_GROUP;
    uint64_t *grown = groups > m->groups ? realloc(m->newest, groups * sizeof *grown) : NULL;
    if (!grown)
        return;
    memset(grown + m->groups, 0, (groups - m->groups) * sizeof *grown);
    size_t first_new = m->groups;
    m->newest = grown;
    m->groups = groups;
    for (size_t i = first_new * MAP_GROUP; i < m->pages; i++)
        if (m->entries[i].txid > m->newest[i / MAP_GROUP])
            m->newest[i / MAP_GROUP] = m->entries[i].txid;
}

uint32_t map_next_changed(struct map *m, uint32_t pgno, uint64_t after)
{
    assert(pgno >= 1);
    if (m->groups * MAP_GROUP < m->pages)
        know_groups(m);
    while (pgno <= m->pages && (pgno - 1) / MAP_GROUP < m->groups && m->newest[(pgno - 1) / MAP_GROUP] <= after) {
        uint64_t next = ((uint64_t)(pgno - 1) / MAP_GROUP + 1) * MAP_GROUP + 1;
        if (next > m->pages)
            return m->pages + 1;
        pgno = (uint32_t)next;
    }
    return pgno <= m->pages ? pgno : m->pages + 1;
}

bool map_is_complete(const struct map *m)
{
    bool lock_page = m->page_size != 0 && m->pages >= lock_byte_page(m->page_size);
    return m->known == m->pages - (lock_page ? 1 : 0);
}

static int grow_file(struct map *m, size_t bytes, struct err *e)
{
    int rc = posix_fallocate(m->fd, (off_t)m->offset, (off_t)bytes); /* otherwise a full disk is a SIGBUS later */
    if (rc != 0)
        return err_sys(e, rc, "reserve %zu bytes for the state file", bytes);
    void *at = m->mapping ? mremap(m->mapping, m->mapped, bytes, MREMAP_MAYMOVE)
                          : mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, (off_t)m->offset);
    if (at == MAP_FAILED)
        return err_sys(e, errno, "map %zu bytes of the state file", bytes);
    m->mapping = at;
    return 0;
}

/* Takes from the budget what a map of `bytes` bytes needs. What was taken is given back with the map, also if there is
 * no memory for it. */
static int charge(struct map *m, uint32_t pages, size_t bytes, struct err *e)
{
    const size_t needs = bytes > m->backed ? bytes - (size_t)m->backed : 0;
    if (needs <= m->charged)
        return 0;
    if (claim_take(needs - m->charged, e))
        return err_wrap(e, "claims a database of %u pages", pages);
    m->charged = needs;
    return 0;
}

static int grow(struct map *m, uint32_t pages, struct err *e)
{
    uint64_t cap = (uint64_t)m->cap + m->cap / 8;
    if (cap < pages)
        cap = pages;
    cap = (cap + GROW_ENTRIES - 1) / GROW_ENTRIES * GROW_ENTRIES;
    if (cap > UINT32_MAX)
        cap = UINT32_MAX;
    size_t bytes = cap * sizeof(struct map_entry);
    if (m->claimed && charge(m, pages, bytes, e))
        return -1;
    if (m->fd < 0) { /* calloc: pages that are never written take no memory, whatever size a damaged replica claims */
        void *grown = m->mapping ? realloc(m->mapping, bytes) : calloc(1, bytes);
        if (!grown)
            return err_nomem(e, bytes);
        m->fresh = !m->mapping;
        m->mapping = grown;
    } else if (grow_file(m, bytes, e)) {
        return -1;
    }
    m->mapped = bytes;
    m->entries = (struct map_entry *)(void *)m->mapping;
    m->cap = (uint32_t)cap;
    return 0;
}

int map_resize(struct map *m, uint32_t pages, struct err *e)
{
    if (pages > m->cap && grow(m, pages, e))
        return -1;
    for (uint32_t pgno = pages + 1; pgno <= m->pages; pgno++)
        map_set(m, pgno, (struct map_entry){0, 0});
    if (pages > m->pages && !m->fresh)
        memset(m->entries + m->pages, 0, (size_t)(pages - m->pages) * sizeof *m->entries);
    m->pages = pages;
    m->fresh = false;
    return 0;
}

void map_clear(struct map *m)
{
    m->pages = m->known = 0;
    m->checksum = m->sum = 0;
    free(m->newest);
    m->newest = NULL;
    m->groups = 0;
}
