/* follow/step.c */
#include "follow/step.h"

#include "base/page.h"
#include "format/patch.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An object, read whole. */
struct fetched {
    struct buf bytes;
    struct segment segment;
};

static void fetched_release(struct fetched *f)
{
    segment_release(&f->segment);
    buf_release(&f->bytes);
}

static void refuse_newer(struct step *s, const char *key, struct err *e)
{
    err_set(e, ERR_CONFIG, 0, "object '%s' has a newer format than this program knows", key);
    err_hint(e, "use the version of seawall that wrote it, or a newer one");
    s->newer = true;
}

void step_look_for_newer(struct step *s, const char *key, struct err *e)
{
    struct buf tail = BUF_INIT(SEGMENT_TRAILER_BYTES);
    uint64_t size = 0;
    struct err ignored;
    if (store_read_tail(s->store, key, SEGMENT_TRAILER_BYTES, &tail, &size, &ignored) == 0 &&
        tail.len == SEGMENT_TRAILER_BYTES && segment_trailer_is_newer(tail.data))
        refuse_newer(s, key, e);
    buf_release(&tail);
}

static int fetch(struct step *s, const char *key, struct fetched *ret, struct err *e)
{
    *ret = (struct fetched){.bytes = BUF_INIT(SEGMENT_BYTES_MAX)};
    struct object_reader r = {.store = s->store, .codec = s->codec, .key = key, .tail = &ret->bytes};
    s->note->requests++;
    if (object_read(&r, SEGMENT_BYTES_MAX, SEGMENT_WANT_ALL, &ret->segment, e) == 0) {
        if (ret->bytes.len == r.size)
            return 0;
        segment_release(&ret->segment);
        err_set(e, ERR_CORRUPT, 0, "object '%s': %zu of %" PRIu64 " bytes were read", key, ret->bytes.len, r.size);
    } else if (e->code == ERR_CORRUPT && ret->bytes.len >= SEGMENT_TRAILER_BYTES &&
               segment_trailer_is_newer(ret->bytes.data + ret->bytes.len - SEGMENT_TRAILER_BYTES)) {
        refuse_newer(s, key, e);
    }
    buf_release(&ret->bytes);
    return -1;
}

/* ---- pages */

/* The page that versions are applied to. */
struct page {
    struct commit *commit;
    const char *key;
    uint64_t after, upto; /* versions with after < txid <= upto count */
    uint32_t pgno;        /* 0: none */
    uint64_t hash, old_hash;
    uint8_t bytes[PAGE_SIZE_MAX];
};

static int finish_page(struct page *p, struct err *e)
{
    uint32_t page_size = p->commit->next.page_size;
    if (p->pgno == 0)
        return 0;
    uint64_t hash = page_hash(p->pgno, p->bytes, page_size);
    if (hash != p->hash)
        return err_set(e, ERR_CORRUPT, 0, "object '%s': page %u has the wrong hash", p->key, p->pgno);
    const struct commit_version v = {.pgno = p->pgno, .hash = hash, .old_hash = p->old_hash, .page = p->bytes};
    p->pgno = 0;
    return commit_page(p->commit, &v, e);
}

static int apply_version(struct page *p, const struct version *v, const uint8_t *bytes, struct err *e)
{
    uint32_t page_size = p->commit->next.page_size;
    if (v->pgno > p->commit->next.pages || v->txid <= p->after || v->txid > p->upto ||
        v->pgno == lock_byte_page(page_size))
        return 0;
    if (v->pgno != p->pgno) {
        if (finish_page(p, e) || commit_read(p->commit, v->pgno, p->bytes, &p->old_hash, e))
            return -1;
        p->pgno = v->pgno;
    }
    if (v->kind == VERSION_ZERO)
        memset(p->bytes, 0, page_size);
    else if (v->kind == VERSION_IMAGE)
        memcpy(p->bytes, bytes, page_size);
    else
        patch_apply(v->mask, bytes, page_size, p->bytes);
    p->hash = v->hash;
    return 0;
}

static int apply_object(const struct step *s, struct page *p, const struct fetched *f, struct err *e)
{
    uint8_t *raw = malloc(SEGMENT_BLOCK_BYTES);
    int rc = raw ? 0 : err_nomem(e, SEGMENT_BLOCK_BYTES);
    for (uint32_t i = 0; rc == 0 && i < f->segment.trailer.block_count; i++) {
        const struct segment_block *b = &f->segment.blocks[i];
        size_t at = 0;
        rc = segment_block_inflate(b, f->bytes.data + b->offset, s->codec, raw, e);
        if (rc)
            err_wrap(e, "object '%s'", p->key);
        for (uint32_t k = 0; rc == 0 && k < b->versions; k++) {
            const struct version *v = &f->segment.versions[b->first_version + k];
            rc = apply_version(p, v, raw + at, e);
            at += version_size(v, p->commit->next.page_size);
        }
    }
    if (rc == 0)
        rc = finish_page(p, e);
    free(raw);
    return rc;
}

static int apply_parts(struct step *s, struct page *p, const struct segment *segment, struct err *e)
{
    for (uint32_t i = 0; i < segment->trailer.list_count; i++) {
        const struct listed *l = &segment->list[i];
        struct fetched part;
        struct digest digest;
        if (fetch(s, l->name, &part, e))
            return -1;
        p->key = l->name;
        const struct segment_info *info = &part.segment.trailer.info;
        int rc = digest_of(part.bytes.data, part.bytes.len, &digest, e);
        if (rc == 0 && (!digest_equal(&digest, &l->digest) || info->kind != OBJECT_PART ||
                        info->page_size != p->commit->next.page_size))
            rc = err_set(e, ERR_CORRUPT, 0, "object '%s' is not the part that its segment names", l->name);
        if (rc == 0)
            rc = apply_object(s, p, &part, e);
        fetched_release(&part);
        if (rc)
            return -1;
    }
    return 0;
}

/* ---- the segment */

static bool no_way(struct step *s, const char *why)
{
    snprintf(s->why, sizeof s->why, "%s", why);
    return false;
}

/* Whether the segment continues what the copy has. */
static bool continues(struct step *s, const struct segment *segment)
{
    const struct segment_info *i = &segment->trailer.info;
    const struct note_point *now = &s->note->now;
    static const struct digest none;
    if (i->flags & SEGMENT_FROM_EMPTY)
        return no_way(s, "a new history begins there");
    if (i->flags & SEGMENT_BASE_ONLY)
        return no_way(s, "its pages are in a base");
    if (i->page_size != now->page_size)
        return no_way(s, "the page size changed");
    if (i->min > now->txid + 1 || i->max <= now->txid)
        return no_way(s, "it is of other transactions");
    if (i->min == now->txid + 1 && i->checksum_before != now->checksum)
        return no_way(s, "it follows another state");
    if (i->min == now->txid + 1 && !digest_equal(&i->digest_before, &none) && !digest_equal(&now->head, &none) &&
        !digest_equal(&i->digest_before, &now->head))
        return no_way(s, "it follows another object");
    return true;
}

/* A segment that has each commit has each change of the cookie. In any other, another database can have come. */
static bool has_each_commit(const struct segment_info *i)
{
    return i->level == 0 && !(i->flags & SEGMENT_LAST_ONLY);
}

static int apply(struct step *s, const char *key, const struct fetched *f, const struct note_point *next, struct err *e)
{
    struct commit commit = {.copy = s->copy, .note = s->note, .file = s->file};
    struct page *p = calloc(1, sizeof *p);
    if (!p)
        return err_nomem(e, sizeof *p);
    const struct commit_terms terms = {.next = next, .raise = !has_each_commit(&f->segment.trailer.info)};
    int rc = commit_begin(&commit, &terms, e);
    if (rc == 0) {
        *p = (struct page){.commit = &commit, .after = s->note->now.txid, .upto = next->txid};
        rc = apply_parts(s, p, &f->segment, e);
        p->key = key;
        if (rc == 0)
            rc = apply_object(s, p, f, e);
        if (rc == 0)
            rc = commit_end(&commit, e);
        commit_abandon(&commit);
    }
    free(p);
    return rc;
}

static int run_fetched(struct step *s, const char *key, const struct fetched *f, enum step_end *ret_end, struct err *e)
{
    const struct segment *segment = &f->segment;
    const struct segment_info *i = &segment->trailer.info;
    const struct name name = name_parse(key);
    if (!object_fits_name(&name, i) || segment->trailer.record_count == 0)
        return err_set(e, ERR_CORRUPT, 0, "object '%s' is of another kind than its key says", key);
    if (!uid_equal(&i->database, &s->note->database))
        return err_set(e, ERR_CONFLICT, 0, "object '%s' belongs to another history than the copy", key);
    if (!continues(s, segment)) {
        *ret_end = STEP_NO_WAY;
        return 0;
    }
    const struct commit_record *record = &segment->records[segment->trailer.record_count - 1];
    struct note_point next = {.txid = record->txid,
                              .time_ms = record->time_ms,
                              .checksum = record->checksum,
                              .pages = record->pages,
                              .page_size = i->page_size};
    if (record->txid != i->max || record->pages == 0)
        return err_set(e, ERR_CORRUPT, 0, "object '%s' has no usable record of its last transaction", key);
    if (name.kind == NAME_LEVEL0 && digest_of(f->bytes.data, f->bytes.len, &next.head, e))
        return -1;
    *ret_end = STEP_APPLIED;
    return apply(s, key, f, &next, e);
}

int step_run(struct step *s, const char *key, enum step_end *ret_end, struct err *e)
{
    struct fetched f;
    if (fetch(s, key, &f, e))
        return -1;
    int rc = run_fetched(s, key, &f, ret_end, e);
    fetched_release(&f);
    return rc;
}
