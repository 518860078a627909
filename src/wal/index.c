/* wal/index.c - a block:
 *
 *   0       4-byte page numbers, of frame 1 of the block and so on; in the first block from offset 136 on
 *   16384   8192 slots of 2 bytes: the index of a frame in the block, or 0
 *
 * The slot of a page is its number times 383; while that slot is taken, the next one. */
#include "wal/index.h"

#include "base/endian.h"

#include <string.h>

#define SLOTS 8192u
#define SLOTS_AT 16384u
#define FIRST_PAGES_AT WAL_INDEX_MIN_BYTES
#define WAL_MAGIC 0x377f0682u

static uint32_t *pages_of(uint8_t *block, uint32_t number)
{
    return (uint32_t *)(void *)(block + (number == 0 ? FIRST_PAGES_AT : 0));
}

static uint16_t *slots_of(uint8_t *block)
{
    return (uint16_t *)(void *)(block + SLOTS_AT);
}

/* The number of the last frame before this block. */
static uint32_t frames_before(uint32_t number)
{
    return number == 0 ? 0 : WAL_INDEX_FIRST_FRAMES + (number - 1) * WAL_INDEX_FRAMES;
}

struct wal_index_place wal_index_place(uint32_t frame)
{
    assert(frame >= 1);
    uint32_t block = (frame - 1 + WAL_INDEX_FRAMES - WAL_INDEX_FIRST_FRAMES) / WAL_INDEX_FRAMES;
    return (struct wal_index_place){.block = block, .index = frame - frames_before(block)};
}

static uint32_t first_slot(uint32_t pgno)
{
    return (pgno * 383u) % SLOTS;
}

static void store32(uint32_t *at, uint32_t value)
{
    __atomic_store_n(at, value, __ATOMIC_RELAXED);
}

static void store16(uint16_t *at, uint16_t value)
{
    __atomic_store_n(at, value, __ATOMIC_RELEASE);
}

/* Removes the frames from `index` on. */
static void forget_from(uint8_t *block, uint32_t number, uint32_t index)
{
    uint32_t *pages = pages_of(block, number);
    uint16_t *slots = slots_of(block);
    uint32_t count = number == 0 ? WAL_INDEX_FIRST_FRAMES : WAL_INDEX_FRAMES;
    for (uint32_t i = 0; i < SLOTS; i++)
        if (slots[i] >= index)
            store16(&slots[i], 0);
    for (uint32_t i = index; i <= count; i++)
        store32(&pages[i - 1], 0);
}

bool wal_index_add(uint8_t *block, uint32_t frame, uint32_t pgno)
{
    struct wal_index_place place = wal_index_place(frame);
    uint32_t *pages = pages_of(block, place.block);
    uint16_t *slots = slots_of(block);
    if (place.index == 1 || pages[place.index - 1] != 0)
        forget_from(block, place.block, place.index);
    uint32_t slot = first_slot(pgno), tries = 0;
    for (; slots[slot] != 0; slot = (slot + 1) % SLOTS)
        if (tries++ > WAL_INDEX_FRAMES)
            return false;
    store32(&pages[place.index - 1], pgno);
    store16(&slots[slot], (uint16_t)place.index);
    return true;
}

uint32_t wal_index_find(const uint8_t *block, uint32_t number, uint32_t pgno, uint32_t upto)
{
    const uint32_t *pages = (const uint32_t *)(const void *)(block + (number == 0 ? FIRST_PAGES_AT : 0));
    const uint16_t *slots = (const uint16_t *)(const void *)(block + SLOTS_AT);
    uint32_t count = number == 0 ? WAL_INDEX_FIRST_FRAMES : WAL_INDEX_FRAMES, before = frames_before(number), found = 0;
    uint32_t slot = first_slot(pgno);
    for (uint32_t tries = 0; tries < SLOTS; tries++, slot = (slot + 1) % SLOTS) {
        uint32_t index = __atomic_load_n(&slots[slot], __ATOMIC_ACQUIRE);
        if (index == 0)
            break;
        if (index <= count && before + index <= upto && pages[index - 1] == pgno && before + index > found)
            found = before + index;
    }
    return found;
}

/* ---- headers */

static void native(uint8_t *at, uint32_t value)
{
    memcpy(at, &value, sizeof value);
}

void wal_index_header_encode(const struct wal_index_header *header, uint8_t out[WAL_INDEX_HEADER_BYTES])
{
    /* 65536 does not fit: it is stored as 1 */
    uint16_t page_size = (uint16_t)((header->page_size & 0xff00u) | (header->page_size >> 16));
    memset(out, 0, WAL_INDEX_HEADER_BYTES);
    native(out, WAL_FORMAT_VERSION);
    native(out + 8, header->change);
    out[12] = 1;
    out[13] = WAL_NATIVE_ORDER == WAL_BIG_ENDIAN;
    memcpy(out + 14, &page_size, sizeof page_size);
    native(out + 16, header->mx_frame);
    native(out + 20, header->db_pages);
    native(out + 24, header->frame_sum.s0);
    native(out + 28, header->frame_sum.s1);
    memcpy(out + 32, header->salt, WAL_SALT_BYTES);
    struct wal_sum sum = wal_sum_add((struct wal_sum){0, 0}, WAL_NATIVE_ORDER, out, 40);
    native(out + 40, sum.s0);
    native(out + 44, sum.s1);
}

void wal_header_encode(struct wal_header *header, uint8_t out[WAL_HEADER_BYTES])
{
    assert(header->order == WAL_NATIVE_ORDER);
    put_be32(out, WAL_MAGIC | (header->order == WAL_BIG_ENDIAN));
    put_be32(out + 4, WAL_FORMAT_VERSION);
    put_be32(out + 8, header->page_size);
    put_be32(out + 12, header->checkpoint_seq);
    memcpy(out + 16, header->salt, WAL_SALT_BYTES);
    header->sum = wal_sum_add((struct wal_sum){0, 0}, header->order, out, 24);
    put_be32(out + 24, header->sum.s0);
    put_be32(out + 28, header->sum.s1);
}

void wal_frame_encode(struct wal_frame_header *header, struct wal_sum before, uint32_t page_size, uint8_t *frame)
{
    put_be32(frame, header->pgno);
    put_be32(frame + 4, header->db_pages);
    memcpy(frame + 8, header->salt, WAL_SALT_BYTES);
    header->sum = wal_sum_add(before, WAL_NATIVE_ORDER, frame, 8);
    header->sum = wal_sum_add(header->sum, WAL_NATIVE_ORDER, frame + WAL_FRAME_HEADER_BYTES, page_size);
    put_be32(frame + 16, header->sum.s0);
    put_be32(frame + 20, header->sum.s1);
}
