/* ship/base_journal.c - the file has a header and records of one size. Header and records have a checksum each. */
#include "ship/base_journal.h"

#include "base/endian.h"
#include "base/folder.h"
#include "base/io.h"
#include "base/log.h"
#include "base/page.h"
#include "format/names.h"
#include "state/state.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAGIC "SWBASE1\n"

enum { /* offsets; integers are big-endian */
       HEAD_PLACE = 8,
       HEAD_DATABASE = HEAD_PLACE + DIGEST_BYTES,
       HEAD_ID = HEAD_DATABASE + UID_BYTES,
       HEAD_START = HEAD_ID + UID_BYTES,
       HEAD_PAGE_SIZE = HEAD_START + 8,
       HEAD_END_PAGE = HEAD_PAGE_SIZE + 4,
       HEAD_KNOWN_AT = HEAD_END_PAGE + 4,
       HEAD_SUM = HEAD_KNOWN_AT + 8,
       HEAD_BYTES = HEAD_SUM + 8,

       CHUNK_INDEX = 0,
       CHUNK_FIRST = 4,
       CHUNK_LAST = 8,
       CHUNK_MAX = 12,
       CHUNK_SIZE = 20,
       CHUNK_DIGEST = 28,
       CHUNK_SUM = CHUNK_DIGEST + DIGEST_BYTES,
       CHUNK_BYTES = CHUNK_SUM + 8,
};

void base_journal_path(const char *state_path, uint32_t replica, char out[PATH_TEXT_MAX])
{
    struct err e;
    if (path_format(out, &e, "%s-base-%u", state_path, replica))
        out[0] = 0;
}

static bool is_journal(int fd)
{
    char start[HEAD_PLACE];
    struct err failed;
    if (io_pread(fd, start, sizeof start, 0, &failed) == 0)
        return memcmp(start, MAGIC, sizeof start) == 0;
    errno = failed.code == ERR_IO ? failed.sys : 0;
    return false;
}

/* The name of the database: what is in front of the suffix of the state file. */
static void database_of(const char *path, char out[PATH_TEXT_MAX])
{
    const char *name = path_name(path), *found = NULL;
    for (const char *at = name; (at = strstr(at, STATE_SUFFIX "-base-")); at++)
        found = at;
    snprintf(out, PATH_TEXT_MAX, "%.*s", found ? (int)(found - name) : 0, name);
}

static int open_journal(const char *path, enum folder_access access, int *ret_fd, struct err *e)
{
    struct folder f;
    char database[PATH_TEXT_MAX];
    database_of(path, database);
    const struct folder_file file = {
        .name = path_name(path), .access = access, .like = database[0] ? database : NULL, .is_ours = is_journal};
    if (folder_open_parent(&f, path, e))
        return -1;
    int rc = folder_open_file(&f, &file, ret_fd, e);
    if (rc == 0 && access == FOLDER_MAKE)
        folder_give_to_owner(&f, &file, *ret_fd);
    folder_close(&f);
    return rc;
}

/* Removes a journal whose head is not whole: nobody would take it for ours. */
static void remove_unfinished(const char *path)
{
    struct folder f;
    struct err e;
    if (folder_open_parent(&f, path, &e))
        return;
    int rc = folder_remove(&f, path_name(path), &e);
    (void)rc; /* then the next base can't be remembered either, and says so */
    folder_close(&f);
}

void base_journal_begin(const char *path, const struct identity_replica *replica, const struct copy_terms *terms)
{
    uint8_t b[HEAD_BYTES];
    struct err e;
    int fd = -1;
    assert(terms->kind == COPY_BASE);
    memcpy(b, MAGIC, HEAD_PLACE);
    memcpy(b + HEAD_PLACE, replica->place.bytes, DIGEST_BYTES);
    memcpy(b + HEAD_DATABASE, replica->database.bytes, UID_BYTES);
    memcpy(b + HEAD_ID, terms->id.bytes, UID_BYTES);
    put_be64(b + HEAD_START, terms->start);
    put_be32(b + HEAD_PAGE_SIZE, terms->page_size);
    put_be32(b + HEAD_END_PAGE, terms->end_page);
    put_be64(b + HEAD_KNOWN_AT, terms->known_at);
    put_be64(b + HEAD_SUM, hash64(b, HEAD_SUM));
    if (open_journal(path, FOLDER_MAKE, &fd, &e)) {
        log_warn("a base that is interrupted will start over: %s", e.msg);
        return;
    }
    int rc = ftruncate(fd, 0) == 0 ? io_pwrite(fd, b, sizeof b, 0, &e) : err_sys(&e, errno, "truncate");
    io_close(&fd);
    if (rc == 0)
        return;
    log_warn("a base that is interrupted will start over: '%s': %s", path, e.msg);
    remove_unfinished(path);
}

void base_journal_note(const char *path, unsigned index, const struct listed *chunk)
{
    uint8_t b[CHUNK_BYTES];
    struct err e;
    int fd = -1;
    put_be32(b + CHUNK_INDEX, index);
    put_be32(b + CHUNK_FIRST, chunk->first_page);
    put_be32(b + CHUNK_LAST, chunk->last_page);
    put_be64(b + CHUNK_MAX, chunk->max);
    put_be64(b + CHUNK_SIZE, chunk->size);
    memcpy(b + CHUNK_DIGEST, chunk->digest.bytes, DIGEST_BYTES);
    put_be64(b + CHUNK_SUM, hash64(b, CHUNK_SUM));
    if (open_journal(path, FOLDER_UPDATE, &fd, &e))
        return;
    ssize_t written =
        pwrite(fd, b, sizeof b, lseek(fd, 0, SEEK_END)); /* a record that was cut short ends the journal */
    (void)written;
    io_close(&fd);
}

void base_journal_forget(const char *path)
{
    struct folder f;
    struct err e;
    const struct folder_file file = {.name = path_name(path), .access = FOLDER_READ, .is_ours = is_journal};
    if (folder_open_parent(&f, path, &e))
        return;
    int rc = folder_remove_file(&f, &file, &e);
    (void)rc; /* one that stays does no harm: it names its base */
    folder_close(&f);
}

/* ---- reading */

static bool read_head(const uint8_t *b, const struct identity_replica *replica, struct copy *ret_copy)
{
    uint32_t page_size = get_be32(b + HEAD_PAGE_SIZE);
    if (memcmp(b, MAGIC, HEAD_PLACE) != 0 || get_be64(b + HEAD_SUM) != hash64(b, HEAD_SUM) ||
        memcmp(b + HEAD_PLACE, replica->place.bytes, DIGEST_BYTES) != 0 ||
        memcmp(b + HEAD_DATABASE, replica->database.bytes, UID_BYTES) != 0 || !page_size_valid(page_size) ||
        get_be32(b + HEAD_END_PAGE) == 0 || get_be32(b + HEAD_END_PAGE) > SEGMENT_PAGE_MAX)
        return false;
    struct copy_terms terms = {.kind = COPY_BASE,
                               .page_size = page_size,
                               .start = get_be64(b + HEAD_START),
                               .end_page = get_be32(b + HEAD_END_PAGE),
                               .known_at = get_be64(b + HEAD_KNOWN_AT)};
    memcpy(terms.id.bytes, b + HEAD_ID, UID_BYTES);
    *ret_copy = copy_begin(&terms);
    return true;
}

/* Two chunks are put at a time, so a chunk can be noted before the chunk in front of it. False: the record does not
 * count, nor do those after it. */
static bool read_chunk(struct copy *c, const uint8_t *b)
{
    struct err e;
    struct listed chunk = {.first_page = get_be32(b + CHUNK_FIRST),
                           .last_page = get_be32(b + CHUNK_LAST),
                           .max = get_be64(b + CHUNK_MAX),
                           .size = get_be64(b + CHUNK_SIZE)};
    struct name name = {
        .kind = NAME_CHUNK, .start = c->terms.start, .run = c->terms.id, .first_page = chunk.first_page};
    uint32_t index = get_be32(b + CHUNK_INDEX);
    if (get_be64(b + CHUNK_SUM) != hash64(b, CHUNK_SUM) || index > c->objects.count + COPY_IN_FLIGHT)
        return false;
    memcpy(chunk.digest.bytes, b + CHUNK_DIGEST, DIGEST_BYTES);
    name_format(&name, chunk.name);
    return copy_note(&c->objects, index, &chunk, &e) == 0;
}

/* Keeps the chunks that cover the first pages of the database without a gap. */
static void keep_what_continues(struct copy *c)
{
    const struct listed *list = c->objects.list;
    uint32_t next = 1;
    size_t n = 0;
    while (n < c->objects.count && list[n].first_page == next && list[n].last_page >= next &&
           list[n].last_page <= c->terms.end_page) {
        next = list[n].last_page + 1;
        n++;
    }
    c->objects.count = c->objects.resumed = n;
    c->cursor.pieces = c->objects.put = (unsigned)n;
    c->cursor.next_page = next;
    c->cursor.read_all = next > c->terms.end_page;
}

struct copy base_journal_load(const char *path, const struct identity_replica *replica)
{
    uint8_t b[HEAD_BYTES > CHUNK_BYTES ? HEAD_BYTES : CHUNK_BYTES];
    struct copy c = {.terms.kind = COPY_NONE};
    struct err e;
    int fd = -1;
    if (open_journal(path, FOLDER_READ, &fd, &e))
        return c;
    bool found = read(fd, b, HEAD_BYTES) == HEAD_BYTES && read_head(b, replica, &c);
    while (found && read(fd, b, CHUNK_BYTES) == CHUNK_BYTES && read_chunk(&c, b))
        ;
    io_close(&fd);
    if (found)
        keep_what_continues(&c);
    return c;
}
