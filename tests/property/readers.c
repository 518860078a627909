/* property/readers.c */
#include "readers.h"

#include "world.h"

#include "base/clock.h"
#include "base/page.h"

#include <inttypes.h>
#include <string.h>

enum { LOOK_MS = 200000 }; /* after this time each look is a thorough one */

static struct slot {
    struct reader *reader; /* NULL: not open */
    struct sim_store *store;
    bool follows, in_transaction;
    uint64_t txid;
    uint64_t checksum;
    size_t serial; /* of the state; 0: not known yet */
    uint32_t history;
} slots[READERS];

/* The newest state of a store, as its readers saw it last. They share what they know. */
static struct seen {
    uint64_t txid;
    uint32_t history;
    bool refused; /* a page of it could not be read */
} newest_seen[STORES];

static struct seen *seen_of(const struct sim_store *s)
{
    return &newest_seen[s - stores];
}

/* ---- what is excused */

static bool ails(const struct slot *l)
{
    return published_of(l->store)->loses > 0;
}

static bool answers(const struct sim_store *s)
{
    return !s->down && s->loss == 0 && true_ms >= s->blind_until;
}

/* A failure is excused if the store does not answer, has lost objects, or retention may have taken the state. */
static void excuse(const struct slot *l, bool promised, const char *what, const struct err *e)
{
    if (ails(l))
        return;
    if (e->code == ERR_REMOTE) {
        NEED(!answers(l->store), "a reader of %s can't %s, and the store answers: %s", l->store->url, what, e->msg);
        return;
    }
    NEED(e->code == ERR_GONE || e->code == ERR_NOTFOUND, "a reader of %s can't %s: %s", l->store->url, what, e->msg);
    NEED(!promised, "P3: a reader of %s can't %s, which is promised: %s", l->store->url, what, e->msg);
}

/* ---- what must be true of a state */

static void check_record(struct slot *l)
{
    struct published *p = published_of(l->store);
    const struct commit_record *r = reader_record(l->reader);
    const struct point *point = published_point(p, r->txid);
    NEED(point->is, "a reader of %s sees txid %" PRIu64 ", which is not there", l->store->url, r->txid);
    NEED(point->checksum == r->checksum && point->time_ms == r->time_ms,
         "a reader of %s says another state or time of txid %" PRIu64, l->store->url, r->txid);
    l->txid = r->txid;
    l->checksum = point->checksum;
    l->serial = point->serial;
    l->history = reader_history(l->reader);
}

/* That the state was the newest one so long ago is said. */
static void check_age(const struct slot *l)
{
    const int64_t known_ms = reader_known_ms(l->reader);
    NEED(l->follows == (known_ms >= 0), "an age of a reader that does not follow");
    if (!l->follows || ails(l))
        return;
    const uint64_t newest = published_newest_before(published_of(l->store), true_ms - known_ms);
    NEED(l->txid >= newest,
         "a reader of %s has txid %" PRIu64 ", and says that it was the newest %" PRId64 " ms ago: that was %" PRIu64,
         l->store->url, l->txid, known_ms, newest);
}

/* Whether level 0 has more after this txid, which is not restorable yet. Otherwise the replica has lost it. */
static bool goes_on_after(const struct sim_store *s, uint64_t txid)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct name name = name_parse(s->objects[i].key);
        if (name.kind == NAME_LEVEL0 && name.min > txid)
            return true;
    }
    return false;
}

/* Time never runs backwards. */
static void check_on(const struct slot *l)
{
    struct seen *last = seen_of(l->store);
    NEED(l->txid >= last->txid || l->history != last->history || last->refused || !goes_on_after(l->store, last->txid),
         "a reader of %s went back from txid %" PRIu64 " to %" PRIu64, l->store->url, last->txid, l->txid);
    *last = (struct seen){.txid = l->txid, .history = l->history};
}

/* ---- deeds */

static void close_slot(struct slot *l)
{
    struct sim_store *s = l->store;
    bool open = false;
    reader_close(l->reader);
    *l = (struct slot){.reader = NULL};
    for (unsigned i = 0; i < READERS; i++)
        open |= slots[i].reader && slots[i].store == s;
    if (s && !open)
        *seen_of(s) = (struct seen){.txid = 0};
}

static bool is_promised(const struct published *p, const struct moment *m)
{
    if (m->kind == MOMENT_TXID)
        return published_promises(p, m->txid);
    return m->kind == MOMENT_NEWEST && published_promises(p, p->head);
}

static void check_moment(const struct slot *l, const struct moment *m)
{
    const struct published *p = published_of(l->store);
    const struct commit_record *r = reader_record(l->reader);
    NEED(m->kind != MOMENT_TXID || r->txid == m->txid, "a reader was opened at another txid");
    NEED(m->kind != MOMENT_TIME || r->time_ms <= m->time_ms, "a reader was opened at a later time");
    for (uint64_t t = r->txid + 1; m->kind == MOMENT_TIME && t <= p->head; t++)
        NEED(!published_promises(p, t) || p->points[t].time_ms > m->time_ms || ails(l),
             "a reader of %s was opened at txid %" PRIu64 ", and %" PRIu64 " was the last one at that time",
             l->store->url, r->txid, t);
}

bool reader_slot_open(unsigned slot, struct sim_store *s, const struct moment *moment, bool follows)
{
    struct slot *l = &slots[slot];
    const struct reader_options o = {.url = s->url, .moment = *moment, .follow_ms = follows ? 100 : 0};
    struct err e;
    close_slot(l);
    *l = (struct slot){.store = s, .follows = follows};
    if (reader_open(&o, &l->reader, &e)) {
        l->reader = NULL;
        excuse(l, is_promised(published_of(s), moment), "open a state", &e);
        return false;
    }
    check_record(l);
    check_moment(l, moment);
    check_age(l);
    if (moment->kind == MOMENT_NEWEST)
        check_on(l);
    trace("  reader %u: opens txid %" PRIu64 " of %s", slot, l->txid, s->url);
    return true;
}

void reader_slot_begin(unsigned slot)
{
    struct slot *l = &slots[slot];
    const struct slot before = *l;
    struct err e;
    l->in_transaction = true;
    if (reader_begin(l->reader, &e)) {
        excuse(l, false, "begin", &e);
        close_slot(l);
        return;
    }
    check_record(l);
    check_age(l);
    NEED(l->follows || l->txid == before.txid, "a reader that does not follow went to another txid");
    if (l->follows)
        check_on(l);
}

static void compare(struct slot *l, uint32_t pgno, const uint8_t *page)
{
    const uint32_t page_size = reader_page_size(l->reader);
    if (l->serial == 0 && pgno == 1)
        l->serial = published_serial(published_of(l->store), l->txid, page, page_size);
    NEED(l->serial > 0 || pgno != 1, "a reader sees a page 1 that no commit had");
    if (l->serial == 0)
        return;
    const struct truth *t = &truths[l->serial];
    NEED(t->page_size == page_size && t->pages == reader_record(l->reader)->pages,
         "a reader of %s sees another size of txid %" PRIu64, l->store->url, l->txid);
    NEED(t->wild[pgno] || pgno == lock_byte_page(page_size) ||
             memcmp(page, t->bytes + (size_t)(pgno - 1) * page_size, page_size) == 0,
         "a reader of %s sees two states mixed: page %u is not of txid %" PRIu64, l->store->url, pgno, l->txid);
}

/* A history that was begun again has another state with the same txid. */
static bool is_promised_still(const struct slot *l)
{
    struct published *p = published_of(l->store);
    return published_promises(p, l->txid) && p->points[l->txid].checksum == l->checksum;
}

bool reader_slot_read(unsigned slot, uint32_t pgno)
{
    static uint8_t page[PAGE_BYTES_MAX];
    struct slot *l = &slots[slot];
    const uint32_t page_size = reader_page_size(l->reader);
    struct err e;
    if (reader_read(l->reader, (uint64_t)(pgno - 1) * page_size, page, page_size, &e)) {
        excuse(l, is_promised_still(l), "read a page", &e);
        seen_of(l->store)->refused = true;
        return false;
    }
    world_figures.pages_read++;
    compare(l, pgno, page);
    return true;
}

void reader_slot_end(unsigned slot)
{
    check_age(&slots[slot]);
    slots[slot].in_transaction = false;
}

uint64_t reader_slot_txid(unsigned slot)
{
    return slots[slot].reader ? slots[slot].txid : 0;
}

uint32_t reader_slot_pages(unsigned slot)
{
    return reader_record(slots[slot].reader)->pages;
}

uint32_t reader_slot_history(unsigned slot)
{
    return slots[slot].history;
}

/* ---- random steps */

static void open_any(unsigned slot)
{
    struct sim_store *s = &stores[dice_below(&luck, STORES)];
    const struct published *p = published_of(s);
    struct moment m = {.kind = MOMENT_NEWEST};
    if (p->head > 0 && chance(25))
        m = (struct moment){.kind = MOMENT_TXID, .txid = 1 + dice_below(&luck, (uint32_t)p->head)};
    else if (p->head > 0 && chance(15))
        m = (struct moment){.kind = MOMENT_TIME,
                            .time_ms = p->points[1 + dice_below(&luck, (uint32_t)p->head)].time_ms + 1};
    reader_slot_open(slot, s, &m, m.kind == MOMENT_NEWEST && chance(85));
}

static void read_some(unsigned slot)
{
    const uint32_t pages = reader_record(slots[slot].reader)->pages;
    for (unsigned n = dice_between(&luck, 1, 4); n > 0; n--)
        if (!reader_slot_read(slot, 1 + dice_below(&luck, pages)))
            break;
    check_age(&slots[slot]);
}

void readers_step(void)
{
    const unsigned slot = dice_below(&luck, READERS);
    const struct slot *l = &slots[slot];
    if (!l->reader)
        open_any(slot);
    else if (!l->in_transaction && chance(8))
        close_slot(&slots[slot]);
    else if (!l->in_transaction)
        reader_slot_begin(slot);
    else if (chance(75))
        read_some(slot);
    else
        reader_slot_end(slot);
}

static void read_all(unsigned slot)
{
    const uint32_t pages = reader_record(slots[slot].reader)->pages;
    for (uint32_t pgno = 1; pgno <= pages; pgno++)
        if (!reader_slot_read(slot, pgno))
            NEED(ails(&slots[slot]), "a reader can't read page %u of the newest state", pgno);
}

void readers_settle(void)
{
    const struct moment newest = {.kind = MOMENT_NEWEST};
    true_ms += LOOK_MS;
    for (unsigned slot = 0; slot < READERS; slot++) {
        struct slot *l = &slots[slot];
        if (!l->reader && !reader_slot_open(slot, &stores[slot % STORES], &newest, true))
            broken("the newest state of %s can't be opened", stores[slot % STORES].url);
        reader_slot_begin(slot);
        NEED(*reader_trouble(l->reader) == 0, "a reader of %s has trouble with a store that answers: %s", l->store->url,
             reader_trouble(l->reader));
        NEED(!l->follows || l->txid == published_of(l->store)->head,
             "a reader of %s stays at txid %" PRIu64 ", the newest is %" PRIu64, l->store->url, l->txid,
             published_of(l->store)->head);
        if (l->follows)
            read_all(slot);
        close_slot(l);
    }
}
