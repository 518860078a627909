/* property/copies.c */
#include "copies.h"

#include "sim_child.h"
#include "world.h"

#include "base/endian.h"
#include "base/page.h"
#include "follow/follow.h"
#include "follow/page1.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    READERS_OF_COPY = 2,
    TURN_MS = 50, /* the pause of the follower while something comes */
    TURN_MAX_MS = 3000,
    SETTLE_TURNS = 4000,
};

/* What the test tells a follower, and a reader. */
enum { TELL_GO_ON, TELL_END };
enum { TELL_BEGIN = 1, TELL_READ, TELL_FINISH };

static struct {
    char path[300];
    struct sim_store *store;
    struct child follower;
    bool start_over; /* the next follower makes it a copy again, whatever it is */
    struct child readers[READERS_OF_COPY];
    /* What a new transaction saw last. */
    uint64_t txid;
    size_t serial;
    uint32_t cookie; /* of the schema */
} copy;

/* The read transaction of a reader. */
static struct transaction {
    bool is;
    size_t size;
    uint8_t *bytes; /* as they were at its begin */
} transactions[READERS_OF_COPY];

static bool is_there(void)
{
    return access(copy.path, F_OK) == 0;
}

static bool ails(void)
{
    return published_of(copy.store)->loses > 0;
}

/* ---- the follower */

struct session {
    const char *path, *url;
    bool start_over;
    struct child_page *page;
    struct follow follow;
};

static int say_turn(void *context, bool current)
{
    struct session *s = context;
    s->page->numbers[0] = s->follow.note.now.txid;
    s->page->numbers[1] = current;
    s->page->numbers[2] = (uint64_t)s->follow.note.current_ms;
    return child_say() == TELL_END;
}

static void follower_main(struct child_page *page, void *context)
{
    struct session *s = context;
    const struct follow_options o = {.url = s->url,
                                     .path = s->path,
                                     .interval_ms = TURN_MS,
                                     .interval_max_ms = TURN_MAX_MS,
                                     .flags = s->start_over ? FOLLOW_START_OVER : 0,
                                     .jobs = 1,
                                     .wake_fd = -1,
                                     .turn = say_turn,
                                     .context = s};
    struct err e = {.code = ERR_NONE};
    s->page = page;
    child_use_points_in_sqlite();
    const int rc = follow_open(&s->follow, &o, &e) || follow_run(&s->follow, &e) ? -1 : 0;
    const bool written = s->follow.written;
    follow_close(&s->follow);
    page->rc = rc;
    page->error = e;
    page->numbers[3] = written;
}

static void start_follower(bool start_over)
{
    static struct session s;
    s = (struct session){.path = copy.path, .url = copy.store->url, .start_over = start_over};
    child_start(&copy.follower, follower_main, &s);
    copy.follower.page->store = (unsigned)(copy.store - stores);
    trace("  copy: a follower starts%s", start_over ? " over" : "");
}

/* Whether the failure of a follower is one that the world explains. */
static void excuse(const struct child_page *page)
{
    const struct err *e = &page->error;
    NEED(!page->numbers[3] || ails(), "the follower takes its copy for one that another process wrote: %s", e->msg);
    NEED(e->code == ERR_NOTFOUND || e->code == ERR_REMOTE || e->code == ERR_GONE || ails(), "the follower ended: %s",
         e->msg);
}

static void follower_ended(void)
{
    const struct child_page *page = copy.follower.page;
    trace("  copy: the follower ended%s%s", page->rc ? ": " : "", page->rc ? page->error.msg : "");
    if (page->rc)
        excuse(page);
    copy.start_over = page->rc && page->error.code == ERR_CONFLICT;
}

/* The copy is called current: it was the newest state when the store was asked. */
static void check_current(const struct child_page *page)
{
    const int64_t asked_ms = (int64_t)page->numbers[2];
    const uint64_t newest = published_newest_before(published_of(copy.store), asked_ms);
    NEED(page->numbers[0] >= newest || ails(),
         "the copy has txid %" PRIu64 ", and is called the newest of %s, which had %" PRIu64, page->numbers[0],
         copy.store->url, newest);
}

/* Lets the follower run for so many points, until it sleeps longer than `slack_ms`. Returns where it is. */
static enum child_stop let_follow(int points, bool ask_to_end)
{
    struct child *c = &copy.follower;
    if (c->stop == CHILD_SLEEPS && c->page->wake_ms > true_ms)
        return c->stop;
    c->page->command = ask_to_end ? TELL_END : TELL_GO_ON;
    child_go_on(c, points);
    while (c->pid && c->stop == CHILD_SAYS) {
        world_figures.turns++;
        if (c->page->numbers[1])
            check_current(c->page);
        c->page->command = ask_to_end ? TELL_END : TELL_GO_ON;
        child_go_on(c, c->page->points > 0 ? c->page->points : 1);
    }
    if (c->pid == 0)
        follower_ended();
    return c->stop;
}

/* ---- readers with stock SQLite */

static int read_state(sqlite3 *db, struct child_page *page)
{
    sqlite3_int64 size = 0;
    unsigned char *bytes = sqlite3_serialize(db, "main", &size, 0);
    page->size = 0;
    if (!bytes || (size_t)size > sizeof page->bytes)
        return SQLITE_ERROR;
    memcpy(page->bytes, bytes, (size_t)size);
    page->size = (size_t)size;
    sqlite3_free(bytes);
    return SQLITE_OK;
}

static int begin(sqlite3 **db, const char *path, struct child_page *page)
{
    char uri[320];
    int rc = SQLITE_OK;
    snprintf(uri, sizeof uri, "file:%s?mode=ro", path);
    if (!*db)
        rc = sqlite3_open_v2(uri, db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(*db, "PRAGMA cache_size=1; BEGIN; PRAGMA schema_version", NULL, NULL, NULL);
    return rc == SQLITE_OK ? read_state(*db, page) : rc;
}

static void reader_main(struct child_page *page, void *context)
{
    sqlite3 *db = NULL;
    child_use_points_in_sqlite();
    page->points = CHILD_POINTS_ALL;
    for (;;) {
        const uint32_t command = child_say();
        if (command == TELL_BEGIN)
            page->rc = begin(&db, context, page);
        else if (command == TELL_READ)
            page->rc = read_state(db, page);
        else
            page->rc = sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
        if (page->rc == SQLITE_OK)
            continue;
        snprintf(page->error.msg, sizeof page->error.msg, "%s", db ? sqlite3_errmsg(db) : "not open");
        sqlite3_close_v2(db);
        db = NULL;
    }
}

static int tell(struct child *c, uint32_t command)
{
    c->page->command = command;
    c->page->rc = -1;
    child_go_on(c, CHILD_POINTS_ALL);
    return c->page->rc;
}

/* ---- what a reader sees */

/* Compares with a state that the application committed, except the bytes that belong to the copy. */
static bool is_state(size_t serial, const uint8_t *bytes, size_t size)
{
    static uint8_t like[PAGES_MAX * PAGE_BYTES_MAX];
    const struct truth *t = &truths[serial];
    if (serial == 0 || size != (size_t)t->pages * t->page_size)
        return false;
    memcpy(like, bytes, size);
    memcpy(like + PAGE1_VERSIONS, t->bytes + PAGE1_VERSIONS, 2);
    memcpy(like + COOKIE_AT, t->bytes + COOKIE_AT, 4);
    return truth_equal(t, like, t->pages, t->page_size);
}

/* The state with the serial number that is in page 1. */
static size_t serial_of(const uint8_t *bytes, size_t size)
{
    const size_t serial = size >= PAGE_BYTES_MAX / 2 ? (size_t)get_be64(bytes + SERIAL_AT) : 0;
    return serial <= truth_count ? serial : 0;
}

/* Whether a point of the note is the state; *ret_txid is that of the point. */
static bool is_point(const struct note_point *point, size_t serial, uint64_t *ret_txid)
{
    struct published *p = published_of(copy.store);
    const size_t known =
        point->txid ? published_serial(p, point->txid, truths[serial].bytes, truths[serial].page_size) : 0;
    if (known != serial)
        return false;
    *ret_txid = point->txid;
    return true;
}

/* The state from which a database came: one with the same schema has the same. */
static size_t origin_of(size_t serial)
{
    while (!truths[serial].alone)
        serial = truths[serial].before;
    return serial;
}

/* A program keeps the schema that it read while the cookie is the same. */
static void check_order(uint64_t txid, size_t serial, const uint8_t *bytes)
{
    const uint32_t cookie = get_be32(bytes + COOKIE_AT);
    NEED(txid >= copy.txid || ails(), "the copy went back from txid %" PRIu64 " to %" PRIu64, copy.txid, txid);
    NEED(copy.serial == 0 || (int32_t)(cookie - copy.cookie) >= 0, "the schema cookie of the copy fell from %u to %u",
         copy.cookie, cookie);
    NEED(copy.serial == 0 || cookie != copy.cookie || origin_of(serial) == origin_of(copy.serial),
         "the copy became another database, and has the schema cookie %u as before", cookie);
    copy.cookie = cookie;
    copy.serial = serial;
    copy.txid = txid;
}

/* A new transaction sees what the note says. */
static void check_seen(const uint8_t *bytes, size_t size)
{
    const size_t serial = serial_of(bytes, size);
    struct note note;
    struct err e;
    bool runs;
    uint64_t txid = 0;
    NEED(is_state(serial, bytes, size), "a reader of the copy sees no state: page 1 is of state %zu", serial);
    if (note_peek(copy.path, &note, &runs, &e) || note.now.txid == 0)
        return; /* the first copy is being made */
    NEED(is_point(&note.now, serial, &txid) || is_point(&note.next, serial, &txid) || ails(),
         "the note says txid %" PRIu64 " and %" PRIu64 " next, and the copy is state %zu, not %zu", note.now.txid,
         note.next.txid, serial, published_point(published_of(copy.store), note.now.txid)->serial);
    if (txid > 0)
        check_order(txid, serial, bytes);
    world_figures.looks++;
}

/* While a follower is stopped with a lock in its hand, a reader may have to wait. */
static bool may_wait(int rc)
{
    return copy.follower.pid && ((rc & 0xff) == SQLITE_BUSY || (rc & 0xff) == SQLITE_PROTOCOL);
}

static void begin_reading(unsigned i)
{
    struct child *c = &copy.readers[i];
    struct transaction *t = &transactions[i];
    const int rc = tell(c, TELL_BEGIN);
    if (rc == SQLITE_OK) {
        check_seen(c->page->bytes, c->page->size);
        free(t->bytes);
        t->bytes = malloc(c->page->size);
        if (!t->bytes)
            abort();
        memcpy(t->bytes, c->page->bytes, c->page->size);
        t->size = c->page->size;
    } else {
        NEED(may_wait(rc), "the copy can't be read: %d, %s", rc, c->page->error.msg);
    }
    t->is = rc == SQLITE_OK;
}

static void read_on(unsigned i)
{
    const struct transaction *t = &transactions[i];
    const struct child_page *page = copy.readers[i].page;
    const int rc = tell(&copy.readers[i], TELL_READ);
    NEED(rc == SQLITE_OK, "a read transaction of the copy can't go on: %d, %s", rc, page->error.msg);
    NEED(page->size == t->size && memcmp(page->bytes, t->bytes, t->size) == 0,
         "the copy changed within a read transaction");
}

static void reader_step(unsigned i)
{
    struct child *c = &copy.readers[i];
    if (!c->pid) {
        child_start(c, reader_main, copy.path);
        child_go_on(c, CHILD_POINTS_ALL);
        transactions[i].is = false;
    }
    if (!transactions[i].is) {
        begin_reading(i);
    } else if (chance(50)) {
        read_on(i);
    } else if (chance(60)) {
        transactions[i].is = false;
        NEED(tell(c, TELL_FINISH) == SQLITE_OK, "a read transaction of the copy can't end: %s", c->page->error.msg);
    } else {
        transactions[i].is = false;
        child_kill(c);
    }
}

/* ---- steps */

void copies_begin(const char *folder, struct sim_store *s)
{
    snprintf(copy.path, sizeof copy.path, "%s/copy.db", folder);
    copy.store = s;
}

static void follower_step(void)
{
    static const int points[] = {1, 3, 10, 40, 400};
    if (!copy.follower.pid) {
        if (published_of(copy.store)->head > 0)
            start_follower(copy.start_over);
        return;
    }
    if (chance(12)) {
        trace("  copy: kill -9");
        child_kill(&copy.follower);
        world_figures.follower_kills++;
        return;
    }
    let_follow(points[dice_below(&luck, 5)], chance(5));
}

void copies_step(void)
{
    if (chance(55))
        follower_step();
    else if (is_there())
        reader_step(dice_below(&luck, READERS_OF_COPY));
}

/* Time passes until the follower goes on. */
static void let_it_wake(const struct child *c)
{
    if (c->stop == CHILD_SLEEPS && c->page->wake_ms > true_ms)
        true_ms = c->page->wake_ms;
}

enum err_code copies_follow_until_current(bool start_over)
{
    child_kill(&copy.follower);
    start_follower(start_over);
    if (start_over)
        copy.txid = 0; /* of another history */
    struct child *c = &copy.follower;
    for (int i = 0; i < SETTLE_TURNS && c->pid; i++) {
        let_it_wake(c);
        c->page->command = TELL_GO_ON;
        child_go_on(c, CHILD_POINTS_ALL);
        while (c->pid && c->stop == CHILD_SAYS) {
            c->page->command = c->page->numbers[1] ? TELL_END : TELL_GO_ON;
            child_go_on(c, CHILD_POINTS_ALL);
        }
    }
    NEED(!c->pid, "the follower never says that the copy is current");
    return c->page->rc ? c->page->error.code : ERR_NONE;
}

uint64_t copies_follow_for(unsigned turns)
{
    struct child *c = &copy.follower;
    struct note note;
    struct err e;
    bool runs;
    child_kill(c);
    start_follower(false);
    for (unsigned i = 0; i < turns && c->pid; i++) {
        let_it_wake(c);
        let_follow(CHILD_POINTS_ALL, false);
    }
    child_kill(c);
    NEED(note_peek(copy.path, &note, &runs, &e) == 0, "the copy has no note: %s", e.msg);
    return note.now.txid;
}

void copies_check_newest(void)
{
    struct published *p = published_of(copy.store);
    reader_step(0);
    const size_t serial = serial_of(transactions[0].bytes, transactions[0].size);
    NEED(serial == p->points[p->head].serial, "the copy ends with state %zu, %s with %zu", serial, copy.store->url,
         p->points[p->head].serial);
    copies_end();
}

void copies_settle(void)
{
    for (unsigned i = 0; i < READERS_OF_COPY; i++) {
        child_kill(&copy.readers[i]);
        transactions[i].is = false;
    }
    enum err_code code = copies_follow_until_current(copy.start_over);
    if (code == ERR_CONFLICT && ails())
        code = copies_follow_until_current(true);
    NEED(code == ERR_NONE, "the follower fails after all faults ended: %s", copy.follower.page->error.msg);
    copies_check_newest();
}

void copies_end(void)
{
    child_kill(&copy.follower);
    for (unsigned i = 0; i < READERS_OF_COPY; i++)
        child_kill(&copy.readers[i]);
}
