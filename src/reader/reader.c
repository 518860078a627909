/* reader/reader.c */
#include "reader/reader.h"

#include "base/clock.h"
#include "base/endian.h"
#include "base/trial.h"
#include "reader/feed.h"
#include "reader/fork.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_STEP_MS 10
#define WAIT_STEP_MAX_MS 250
#define REPLANS_MAX 3 /* of one read */

struct reader {
    struct feed *feed;
    struct snapshot *snapshot;
    struct moment moment;
    int64_t follow_ms;
    unsigned process; /* fork_generation of the process that opened it */
    struct read_ahead ahead;
    uint8_t *page;    /* owned: the page that is read in parts */
    uint32_t page_no; /* 0: none */
    uint64_t page_txid;
    int64_t known_at_ms; /* clock_boot_ms: the store had nothing newer than `snapshot` */
    struct err trouble;
};

static int check_process(const struct reader *r, struct err *e)
{
    if (r->process == fork_generation())
        return 0;
    return err_set(e, ERR_IO, 0,
                   "this connection belongs to the parent of this process: open another one after fork()");
}

bool reader_follows(const struct reader *r)
{
    return r->follow_ms > 0;
}

static void note_known(struct reader *r)
{
    const int64_t known = feed_known_at_ms(r->feed, r->snapshot);
    if (known >= 0)
        r->known_at_ms = known;
}

static int first_state(struct reader *r, struct err *e)
{
    bool trouble = false;
    if (r->moment.kind != MOMENT_NEWEST)
        return feed_at(r->feed, &r->moment, &r->snapshot, e);
    if (feed_newest(r->feed, FEED_SURELY, false, &r->snapshot, &trouble, e))
        return -1;
    note_known(r);
    if (!trouble)
        return 0;
    snapshot_release(r->snapshot); /* it may be old: nobody who opens a replica expects that */
    r->snapshot = NULL;
    return -1;
}

int reader_open(const struct reader_options *options, struct reader **ret_reader, struct err *e)
{
    struct reader *r = calloc(1, sizeof *r);
    if (!r)
        return err_nomem(e, sizeof *r);
    r->moment = options->moment;
    r->follow_ms = options->moment.kind == MOMENT_NEWEST ? options->follow_ms : 0;
    r->process = fork_generation();
    int rc = feed_open(options->url, options->cache, options->cache_bytes, &r->feed, e);
    if (rc == 0)
        rc = first_state(r, e);
    if (rc == 0 && !(r->page = malloc(r->snapshot->page_size)))
        rc = err_nomem(e, r->snapshot->page_size);
    if (rc) {
        reader_close(r);
        return -1;
    }
    *ret_reader = r;
    return 0;
}

void reader_close(struct reader *r)
{
    if (!r)
        return;
    if (r->process == fork_generation()) { /* otherwise locks and threads of the parent are behind these */
        snapshot_release(r->snapshot);
        feed_close(r->feed);
    }
    free(r->page);
    free(r);
}

/* Takes another state. `s`: one use, which is taken over. */
static int take(struct reader *r, struct snapshot *s, struct err *e)
{
    if (s->page_size != r->snapshot->page_size) {
        uint8_t *page = malloc(s->page_size);
        if (!page) {
            snapshot_release(s);
            return err_nomem(e, s->page_size);
        }
        free(r->page);
        r->page = page;
    }
    if (s->record.txid != r->snapshot->record.txid || s->page_size != r->snapshot->page_size ||
        !uid_equal(&s->database, &r->snapshot->database))
        r->page_no = 0;
    snapshot_release(r->snapshot);
    r->snapshot = s;
    return 0;
}

int reader_begin(struct reader *r, struct err *e)
{
    struct snapshot *s = NULL;
    bool trouble = false;
    if (check_process(r, e))
        return -1;
    r->trouble.code = ERR_NONE;
    if (!reader_follows(r))
        return 0;
    if (feed_newest(r->feed, r->follow_ms, true, &s, &trouble, e))
        return -1;
    if (trouble)
        r->trouble = *e;
    if (take(r, s, e))
        return -1;
    note_known(r);
    return 0;
}

/* An object is gone: looks for other objects that give the same state. */
static int plan_same(struct reader *r, struct err *e)
{
    const struct moment same = {.kind = RULE(reader_pinned) ? MOMENT_TXID : MOMENT_NEWEST,
                                .txid = r->snapshot->record.txid};
    const struct commit_record before = r->snapshot->record;
    struct snapshot *s = NULL;
    feed_distrust(r->feed, NULL);
    if (feed_at(r->feed, &same, &s, e))
        return err_wrap(e, "an object of txid %" PRIu64 " is gone", same.txid);
    bool is_other = s->record.checksum != before.checksum || s->page_size != r->snapshot->page_size;
    is_other = is_other && RULE(reader_pinned);
    is_other = is_other && RULE(reader_same);
    if (is_other) {
        snapshot_release(s);
        return err_set(e, ERR_GONE, 0, "the replica has another txid %" PRIu64 " now: its history was begun again",
                       same.txid);
    }
    return take(r, s, e);
}

static int read_page(struct reader *r, uint32_t pgno, uint8_t *out, struct err *e)
{
    int rc = snapshot_read(r->snapshot, pgno, &r->ahead, out, e);
    for (int i = 0; rc != 0 && e->code == ERR_GONE && i < REPLANS_MAX; i++) {
        rc = plan_same(r, e);
        if (rc != 0)
            break;
        rc = snapshot_read(r->snapshot, pgno, &r->ahead, out, e);
    }
    if (rc != 0 && (e->code == ERR_GONE || e->code == ERR_NOTFOUND))
        feed_distrust(r->feed, r->snapshot);
    return rc;
}

int reader_read(struct reader *r, uint64_t offset, uint8_t *out, size_t n, struct err *e)
{
    const uint32_t page_size = r->snapshot->page_size;
    if (check_process(r, e))
        return -1;
    while (n > 0) {
        const uint32_t pgno = (uint32_t)(offset / page_size) + 1;
        const size_t at = (size_t)(offset % page_size), piece = n < page_size - at ? n : page_size - at;
        assert(pgno <= r->snapshot->record.pages);
        if (piece == page_size) {
            if (read_page(r, pgno, out, e))
                return -1;
        } else {
            if (r->page_no != pgno) {
                r->page_no = 0;
                if (read_page(r, pgno, r->page, e))
                    return -1;
                r->page_no = pgno;
            }
            memcpy(out, r->page + at, piece);
        }
        offset += piece;
        out += piece;
        n -= piece;
    }
    return 0;
}

int reader_same_page(struct reader *a, struct reader *b, uint32_t pgno, bool *ret_same, struct err *e)
{
    if (check_process(a, e) || check_process(b, e))
        return -1;
    int rc = snapshot_same_page(a->snapshot, b->snapshot, pgno, ret_same, e);
    for (int i = 0; rc != 0 && e->code == ERR_GONE && i < REPLANS_MAX; i++) {
        rc = plan_same(a, e) || plan_same(b, e) ? -1 : 0;
        if (rc != 0)
            break;
        rc = snapshot_same_page(a->snapshot, b->snapshot, pgno, ret_same, e);
    }
    return rc;
}

int reader_wait(struct reader *r, uint64_t txid, int64_t timeout_ms, bool *ret_there, struct err *e)
{
    const int64_t until = clock_mono_ms() + timeout_ms;
    int64_t step = WAIT_STEP_MS;
    if (check_process(r, e))
        return -1;
    *ret_there = r->snapshot->record.txid >= txid;
    if (*ret_there)
        return 0;
    if (!reader_follows(r))
        return err_set(e, ERR_CONFIG, 0, "this connection stays at txid %" PRIu64 ": it was opened without follow",
                       r->snapshot->record.txid);
    for (;;) {
        struct snapshot *s = NULL;
        bool trouble = false;
        if (feed_newest(r->feed, 0, false, &s, &trouble, e))
            return -1;
        *ret_there = s->record.txid >= txid;
        snapshot_release(s);
        const int64_t left = until - clock_mono_ms();
        if (*ret_there || left <= 0)
            return trouble && !*ret_there ? -1 : 0;
        clock_sleep_us(1000 * (step < left ? step : left));
        step = 2 * step < WAIT_STEP_MAX_MS ? 2 * step : WAIT_STEP_MAX_MS;
    }
}

const struct commit_record *reader_record(const struct reader *r)
{
    return &r->snapshot->record;
}

uint32_t reader_page_size(const struct reader *r)
{
    return r->snapshot->page_size;
}

uint32_t reader_history(const struct reader *r)
{
    return get_be32(r->snapshot->database.bytes);
}

int64_t reader_known_ms(struct reader *r)
{
    if (!reader_follows(r))
        return -1;
    note_known(r); /* before the clock is read: it may wait */
    const int64_t now = clock_boot_ms();
    return now > r->known_at_ms ? now - r->known_at_ms : 0;
}

const char *reader_trouble(struct reader *r)
{
    return r->trouble.code == ERR_NONE ? "" : r->trouble.msg;
}

void reader_traffic(const struct reader *r, uint64_t *ret_requests, uint64_t *ret_bytes)
{
    feed_traffic(r->feed, ret_requests, ret_bytes);
}
