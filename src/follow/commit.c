/* follow/commit.c */
#include "follow/commit.h"

#include "base/hash.h"
#include "base/page.h"
#include "base/trial.h"
#include "follow/page1.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The stamp of the file is the proof that nobody else wrote to it. What is not proven must not be covered by a new stamp. */
static int check_file(const struct mirror *mirror, const struct note *note, struct err *e)
{
    struct mirror_stamp now;
    if (mirror_stamp(mirror, &now, e))
        return -1;
    if (!note->checkpointing && mirror_stamp_equal(&now, &note->stamp))
        return 0;
    return err_set(e, ERR_CONFLICT, 0, "another process wrote to the database file of the copy '%s'", mirror->path);
}

int commit_begin(struct commit *c, const struct commit_terms *terms, struct err *e)
{
    assert(terms->next->pages > 0 && terms->next->txid > 0);
    assert(terms->whole || terms->next->page_size == c->note->now.page_size);
    assert(!c->old);
    c->next = *terms->next;
    c->whole = terms->whole;
    c->checksum = terms->whole ? 0 : c->note->now.checksum;
    c->written = 0;
    c->next.page1 = c->note->now.page1;
    c->next.cookie_shift = c->note->now.cookie_shift;
    c->raise = terms->raise && RULE(follow_cookie);
    c->old = malloc(PAGE_SIZE_MAX);
    if (!c->old)
        return err_nomem(e, PAGE_SIZE_MAX);
    if (mirror_begin(c->copy, c->next.page_size, e) == 0 && (c->copy->last > 0 || check_file(c->copy, c->note, e) == 0))
        return 0;
    mirror_abandon(c->copy);
    free(c->old);
    c->old = NULL;
    return -1;
}

static uint64_t hash_of(uint32_t pgno, const uint8_t *page, uint32_t page_size)
{
    return pgno == lock_byte_page(page_size) ? 0 : page_hash(pgno, page, page_size);
}

int commit_read_page(struct mirror *copy, const struct note_point *point, uint32_t pgno, uint8_t *page,
                     uint64_t *ret_hash, struct err *e)
{
    if (mirror_read(copy, pgno, page, e))
        return -1;
    if (pgno == 1)
        page1_to_replica(page, &point->page1);
    *ret_hash = hash_of(pgno, page, point->page_size);
    return 0;
}

int commit_read(struct commit *c, uint32_t pgno, uint8_t *page, uint64_t *ret_hash, struct err *e)
{
    return commit_read_page(c->copy, &c->next, pgno, page, ret_hash, e);
}

/* The database has grown over this page, and the file can hold anything there. */
static bool is_new(const struct commit *c, uint32_t pgno)
{
    return c->whole || pgno > c->note->now.pages;
}

int commit_page(struct commit *c, const struct commit_version *v, struct err *e)
{
    uint32_t shift = c->next.cookie_shift;
    if (!c->whole)
        c->checksum ^= v->old_hash;
    c->checksum ^= v->hash;
    if (!is_new(c, v->pgno) && v->hash == v->old_hash && !(v->pgno == 1 && c->raise))
        return 0;
    if (v->pgno == 1) {
        c->next.page1 = page1_keep(v->page);
        shift = page1_shift_above(page1_cookie(&c->note->now.page1) + c->note->now.cookie_shift,
                                  page1_cookie(&c->next.page1), shift, !c->raise);
        c->next.cookie_shift = shift;
        page1_to_copy(v->page, shift);
    }
    c->written++;
    return mirror_write(c->copy, v->pgno, v->page, e);
}

/* The pages that are cut off go out of the checksum. */
static int cut(struct commit *c, struct err *e)
{
    uint64_t hash = 0;
    for (uint32_t pgno = c->next.pages + 1; !c->whole && pgno <= c->note->now.pages; pgno++) {
        if (commit_read(c, pgno, c->old, &hash, e))
            return -1;
        c->checksum ^= hash;
    }
    return 0;
}

/* A new size needs a frame, and so does a cookie that is raised. */
static int add_page1(struct commit *c, struct err *e)
{
    if (mirror_read(c->copy, 1, c->old, e) || mirror_write(c->copy, 1, c->old, e))
        return -1;
    c->written++;
    return 0;
}

static int publish(struct commit *c, struct err *e)
{
    struct note *n = c->note;
    mirror_seal(c->copy, c->next.pages);
    c->next.pos = c->copy->sealed;
    n->next = c->next;
    n->copied = false;
    if (RULE(follow_note) && note_save(c->file, n, e))
        return -1;
    /* without the new shift the pages of the copy are not known again after a power cut */
    if (n->next.cookie_shift != n->now.cookie_shift && note_sync(c->file, e))
        return -1;
    if (mirror_publish(c->copy, e))
        return -1;
    n->now = n->next;
    n->next = (struct note_point){.txid = 0};
    return 0;
}

int commit_end(struct commit *c, struct err *e)
{
    struct note *n = c->note;
    if (cut(c, e))
        return -1;
    if (c->checksum != c->next.checksum)
        return err_set(e, ERR_CORRUPT, 0, "the pages for txid %" PRIu64 " do not give its database checksum",
                       c->next.txid);
    if (c->written == 0 && c->next.pages != n->now.pages && add_page1(c, e))
        return -1;
    if (c->written == 0) { /* nothing changed, so the log has it at the same place */
        c->next.pos = n->now.pos;
        n->now = c->next;
        return note_save(c->file, n, e);
    }
    return publish(c, e);
}

void commit_abandon(struct commit *c)
{
    mirror_abandon(c->copy);
    free(c->old);
    c->old = NULL;
}

int commit_copy_back(struct mirror *mirror, struct note *note, struct note_file *file, struct err *e)
{
    bool all = false;
    struct wal_pos pos = mirror_pos(mirror);
    struct mirror_stamp stamp;
    struct err later;
    if (check_file(mirror, note, e))
        return -1;
    note->checkpointing = true;
    if (note_save(file, note, e))
        return -1;
    int rc = mirror_checkpoint(mirror, mirror_is_long(mirror) ? MIRROR_PATIENT : MIRROR_PASSIVE, &all, e);
    if (rc)
        e = &later;
    if (mirror_stamp(mirror, &stamp, e))
        return -1;
    /* a checkpoint copies all frames, also those that another process wrote meanwhile: then the file is not proven */
    note->stamp = mirror_is_ours(mirror) ? stamp : (struct mirror_stamp){.inode = 0};
    note->checkpointing = false;
    note->copied = rc == 0 && all && wal_pos_equal(&pos, &note->now.pos);
    if (note_save(file, note, e) || note_sync(file, e))
        return -1;
    return rc;
}
