/* restore/journal.c */
#include "restore/journal.h"

#include "base/endian.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/page.h"
#include "restore/lock.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define BUFFER_BYTES (1u << 20) /* of records in one write */
#define CHECKSUM_STEP 200       /* SQLite adds every 200th byte of a page, from its end */

static const uint8_t magic[8] = {0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7};
static const uint8_t note_magic[8] = {'S', 'W', 'L', 'U', 'N', 'D', 'O', '1'};

static uint32_t record_checksum(uint32_t nonce, const uint8_t *page, uint32_t page_size)
{
    uint32_t sum = nonce;
    for (uint32_t at = page_size - CHECKSUM_STEP; at > 0 && at < page_size; at -= CHECKSUM_STEP)
        sum += page[at];
    return sum;
}

static uint64_t record_offset(uint32_t page_size, uint32_t record)
{
    return JOURNAL_HEADER_BYTES + (uint64_t)record * (page_size + 8);
}

/* ---- writing */

int journal_begin(struct journal_writer *j, const struct journal_database *database, struct err *e)
{
    assert(page_size_valid(database->page_size));
    *j = (struct journal_writer){.stage = STAGE_NONE,
                                 .buf = BUF_INIT(BUFFER_BYTES + PAGE_SIZE_MAX + 8),
                                 .written = JOURNAL_HEADER_BYTES,
                                 .page_size = database->page_size,
                                 .pages = database->pages};
    if (random_bytes(&j->nonce, sizeof j->nonce, e) || stage_begin_in(&j->stage, database->folder, e))
        return -1;
    if (geteuid() == 0 && fchown(j->stage.fd, database->like->st_uid, database->like->st_gid) != 0)
        return err_sys(e, errno, "set the owner of the journal");
    if (fchmod(j->stage.fd, database->like->st_mode & 0777) != 0)
        return err_sys(e, errno, "set the mode of the journal");
    return 0;
}

static int flush(struct journal_writer *j, struct err *e)
{
    if (io_pwrite(j->stage.fd, j->buf.data, j->buf.len, j->written, e))
        return err_wrap(e, "rollback journal");
    j->written += j->buf.len;
    j->buf.len = 0;
    return 0;
}

int journal_add(struct journal_writer *j, uint32_t pgno, const uint8_t *page, struct err *e)
{
    assert(pgno >= 1 && pgno <= j->pages);
    if (buf_append_be32(&j->buf, pgno, e) || buf_append(&j->buf, page, j->page_size, e) ||
        buf_append_be32(&j->buf, record_checksum(j->nonce, page, j->page_size), e))
        return -1;
    j->records_checksum ^= page_hash(pgno, page, j->page_size);
    j->count++;
    return j->buf.len >= BUFFER_BYTES ? flush(j, e) : 0;
}

int journal_finish(struct journal_writer *j, struct err *e)
{
    assert(j->stage.fd >= 0);
    uint8_t header[JOURNAL_HEADER_BYTES] = {0};
    memcpy(header, magic, sizeof magic);
    put_be32(header + 8, j->count);
    put_be32(header + 12, j->nonce);
    put_be32(header + 16, j->pages);
    put_be32(header + 20, JOURNAL_HEADER_BYTES);
    put_be32(header + 24, j->page_size);
    if (flush(j, e))
        return -1;
    if (io_pwrite(j->stage.fd, header, sizeof header, 0, e))
        return err_wrap(e, "rollback journal");
    return io_fsync(j->stage.fd, "the rollback journal", e);
}

int journal_annotate(struct journal_writer *j, const struct journal_note *note, struct err *e)
{
    assert(j->stage.fd >= 0 && j->buf.len == 0 && j->written > JOURNAL_HEADER_BYTES - 1);
    uint8_t b[JOURNAL_NOTE_BYTES] = {0};
    memcpy(b, note_magic, sizeof note_magic);
    put_be64(b + 8, note->checksum_before);
    put_be64(b + 16, note->checksum_after);
    put_be64(b + 24, note->txid_before);
    put_be64(b + 32, note->txid_after);
    memcpy(b + 40, note->database.bytes, UID_BYTES);
    put_be32(b + 56, note->pages_after);
    put_be32(b + 60, j->pages);
    put_be64(b + 64, note->inode);
    put_be64(b + 72, note->size);
    put_be64(b + 80, (uint64_t)note->mtime_ns);
    put_be64(b + 88, j->records_checksum);
    put_be64(b + 112, hash64(b, 112));
    if (io_pwrite(j->stage.fd, b, sizeof b, j->written, e))
        return err_wrap(e, "rollback journal");
    return io_fsync(j->stage.fd, "the rollback journal", e);
}

void journal_end(struct journal_writer *j)
{
    stage_end(&j->stage);
    buf_release(&j->buf);
}

/* ---- reading */

static int not_whole(const struct journal_reader *j, const char *why, struct err *e)
{
    return err_set(e, ERR_CORRUPT, 0, "'%s' is damaged: %s", j->path, why);
}

static int read_note(struct journal_reader *j, struct err *e)
{
    uint8_t b[JOURNAL_NOTE_BYTES];
    if (io_pread(j->fd, b, sizeof b, record_offset(j->page_size, j->count), e))
        return err_wrap(e, "'%s'", j->path);
    if (memcmp(b, note_magic, sizeof note_magic) != 0 || get_be64(b + 112) != hash64(b, 112) ||
        get_be32(b + 60) != j->pages)
        return not_whole(j, "its note is not valid", e);
    /* each page of before is still in the file, or in a record; only the lock-byte page is in none */
    if (j->pages > (uint64_t)get_be32(b + 56) + j->count + 1)
        return not_whole(j, "it has fewer pages than the database that it describes", e);
    j->note = (struct journal_note){.checksum_before = get_be64(b + 8),
                                    .checksum_after = get_be64(b + 16),
                                    .txid_before = get_be64(b + 24),
                                    .txid_after = get_be64(b + 32),
                                    .pages_after = get_be32(b + 56),
                                    .inode = get_be64(b + 64),
                                    .size = get_be64(b + 72),
                                    .mtime_ns = (int64_t)get_be64(b + 80),
                                    .records_checksum = get_be64(b + 88)};
    memcpy(j->note.database.bytes, b + 40, UID_BYTES);
    return 0;
}

static int read_header(struct journal_reader *j, bool *ret_is_journal, struct err *e)
{
    uint8_t b[28];
    struct stat st;
    *ret_is_journal = false;
    if (fstat(j->fd, &st) != 0)
        return err_sys(e, errno, "stat '%s'", j->path);
    if ((uint64_t)st.st_size < sizeof b)
        return 0;
    if (io_pread(j->fd, b, sizeof b, 0, e))
        return err_wrap(e, "'%s'", j->path);
    if (memcmp(b, magic, sizeof magic) != 0)
        return 0;
    j->count = get_be32(b + 8);
    j->nonce = get_be32(b + 12);
    j->pages = get_be32(b + 16);
    j->page_size = get_be32(b + 24);
    if (get_be32(b + 20) != JOURNAL_HEADER_BYTES || !page_size_valid(j->page_size) || j->pages == 0)
        return not_whole(j, "its header is not valid", e);
    if ((uint64_t)st.st_size != record_offset(j->page_size, j->count) + JOURNAL_NOTE_BYTES)
        return not_whole(j, "its size does not match its header", e);
    *ret_is_journal = true;
    return read_note(j, e);
}

int journal_open(struct journal_reader *j, const char *path, bool *ret_is_journal, struct err *e)
{
    *j = (struct journal_reader){.fd = -1};
    if (path_format(j->path, e, "%s", path))
        return -1;
    const struct folder_file undo = lock_database(path_name(path), FOLDER_READ); /* or a journal */
    if (folder_open_path(path, &undo, &j->fd, e))
        return -1;
    int rc = read_header(j, ret_is_journal, e);
    if (rc || !*ret_is_journal)
        journal_close(j);
    return rc;
}

int journal_next(struct journal_reader *j, uint32_t *ret_pgno, uint8_t *page, struct err *e)
{
    assert(j->fd >= 0 && j->next <= j->count);
    uint8_t number[4], sum[4];
    uint64_t at = record_offset(j->page_size, j->next);
    if (j->next == j->count) {
        *ret_pgno = 0;
        return j->records_checksum == j->note.records_checksum
                   ? 0
                   : not_whole(j, "its pages do not have the checksum of its note", e);
    }
    if (io_pread(j->fd, number, sizeof number, at, e) || io_pread(j->fd, page, j->page_size, at + 4, e) ||
        io_pread(j->fd, sum, sizeof sum, at + 4 + j->page_size, e))
        return err_wrap(e, "'%s'", j->path);
    uint32_t pgno = get_be32(number);
    if (pgno == 0 || pgno > j->pages || pgno == lock_byte_page(j->page_size))
        return not_whole(j, "a page number is not valid", e);
    if (get_be32(sum) != record_checksum(j->nonce, page, j->page_size))
        return not_whole(j, "a record has the wrong checksum", e);
    j->records_checksum ^= page_hash(pgno, page, j->page_size);
    j->next++;
    *ret_pgno = pgno;
    return 0;
}

void journal_close(struct journal_reader *j)
{
    io_close(&j->fd);
}
