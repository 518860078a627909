/* wal/header.c */
#include "wal/header.h"

#include "base/endian.h"
#include "base/page.h"

#include <string.h>

#define WAL_MAGIC 0x377f0682u /* if the lowest bit is set, checksums are over big-endian words */

int wal_header_decode(const uint8_t bytes[WAL_HEADER_BYTES], struct wal_header *ret_header, struct err *e)
{
    uint32_t magic = get_be32(bytes);
    struct wal_header h = {.order = magic & 1 ? WAL_BIG_ENDIAN : WAL_LITTLE_ENDIAN,
                           .page_size = get_be32(bytes + 8),
                           .checkpoint_seq = get_be32(bytes + 12),
                           .sum = {get_be32(bytes + 24), get_be32(bytes + 28)}};
    if ((magic & ~1u) != WAL_MAGIC)
        return err_set(e, ERR_CORRUPT, 0, "WAL header: wrong magic number %08x", magic);
    if (get_be32(bytes + 4) != WAL_FORMAT_VERSION)
        return err_set(e, ERR_CORRUPT, 0, "WAL header: unknown format version %u", get_be32(bytes + 4));
    if (!page_size_valid(h.page_size))
        return err_set(e, ERR_CORRUPT, 0, "WAL header: page size %u is not valid", h.page_size);
    if (!wal_sum_equal(wal_sum_add((struct wal_sum){0, 0}, h.order, bytes, 24), h.sum))
        return err_set(e, ERR_CORRUPT, 0, "WAL header: wrong checksum");
    memcpy(h.salt, bytes + 16, WAL_SALT_BYTES);
    *ret_header = h;
    return 0;
}

void wal_frame_header_decode(const uint8_t bytes[WAL_FRAME_HEADER_BYTES], struct wal_frame_header *ret_frame)
{
    ret_frame->pgno = get_be32(bytes);
    ret_frame->db_pages = get_be32(bytes + 4);
    memcpy(ret_frame->salt, bytes + 8, WAL_SALT_BYTES);
    ret_frame->sum = (struct wal_sum){get_be32(bytes + 16), get_be32(bytes + 20)};
}

static uint32_t native32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

bool wal_index_header_decode(const uint8_t copy1[WAL_INDEX_HEADER_BYTES], const uint8_t copy2[WAL_INDEX_HEADER_BYTES],
                             struct wal_index_header *ret_header)
{
    if (memcmp(copy1, copy2, WAL_INDEX_HEADER_BYTES) != 0)
        return false;
    const uint8_t *h = copy1;
    struct wal_sum sum = wal_sum_add((struct wal_sum){0, 0}, WAL_NATIVE_ORDER, h, 40);
    if (h[12] == 0 || !wal_sum_equal(sum, (struct wal_sum){native32(h + 40), native32(h + 44)}))
        return false;
    uint16_t page_size;
    memcpy(&page_size, h + 14, sizeof page_size);
    ret_header->change = native32(h + 8);
    ret_header->page_size = (page_size & 0xfe00u) + ((page_size & 1u) << 16);
    ret_header->mx_frame = native32(h + 16);
    ret_header->db_pages = native32(h + 20);
    ret_header->frame_sum = (struct wal_sum){native32(h + 24), native32(h + 28)};
    memcpy(ret_header->salt, h + 32, WAL_SALT_BYTES);
    return true;
}

struct wal_pos wal_index_pos(const struct wal_index_header *header)
{
    struct wal_pos pos = {.frame = header->mx_frame};
    memcpy(pos.salt, header->salt, WAL_SALT_BYTES);
    if (pos.frame > 0)
        pos.sum = header->frame_sum;
    return pos;
}

bool wal_pos_equal(const struct wal_pos *a, const struct wal_pos *b)
{
    return a->frame == b->frame && memcmp(a->salt, b->salt, WAL_SALT_BYTES) == 0 && wal_sum_equal(a->sum, b->sum);
}
