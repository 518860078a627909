/* wal/reader.c */
#include "wal/reader.h"

#include "base/page.h"

#include <assert.h>
#include <string.h>

void wal_reader_start(struct wal_reader *r, const struct wal_header *header)
{
    *r = (struct wal_reader){.order = header->order, .page_size = header->page_size, .pos = {.sum = header->sum}};
    memcpy(r->pos.salt, header->salt, WAL_SALT_BYTES);
}

int wal_reader_resume(struct wal_reader *r, const struct wal_header *header, const struct wal_pos *pos, struct err *e)
{
    if (memcmp(header->salt, pos->salt, WAL_SALT_BYTES) != 0)
        return err_set(e, ERR_CORRUPT, 0, "the WAL header does not have the salts of frame %u", pos->frame);
    wal_reader_start(r, header);
    if (pos->frame > 0)
        r->pos = *pos;
    return 0;
}

int wal_reader_next(struct wal_reader *r, const uint8_t *bytes, struct wal_frame *ret_frame, struct err *e)
{
    assert(page_size_valid(r->page_size)); /* wal_reader_start was called */
    struct wal_frame_header h;
    uint32_t number = r->pos.frame + 1;
    wal_frame_header_decode(bytes, &h);
    if (memcmp(h.salt, r->pos.salt, WAL_SALT_BYTES) != 0)
        return err_set(e, ERR_CORRUPT, 0, "frame %u has the salts of another generation", number);
    struct wal_sum sum = wal_sum_add(r->pos.sum, r->order, bytes, 8);
    sum = wal_sum_add(sum, r->order, bytes + WAL_FRAME_HEADER_BYTES, r->page_size);
    if (!wal_sum_equal(sum, h.sum))
        return err_set(e, ERR_CORRUPT, 0, "the checksum of frame %u does not continue the log", number);
    if (h.pgno == 0)
        return err_set(e, ERR_CORRUPT, 0, "frame %u has page number 0", number);
    r->pos.frame = number;
    r->pos.sum = sum;
    *ret_frame = (struct wal_frame){
        .number = number, .pgno = h.pgno, .db_pages = h.db_pages, .page = bytes + WAL_FRAME_HEADER_BYTES};
    return 0;
}
