/* daemon/lanes.c */
#include "daemon/lanes.h"

#include "base/clock.h"
#include "base/invariant.h"
#include "base/log.h"
#include "base/trial.h"
#include "daemon/history.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHIP_SINGLE_MS 2 /* between two objects of one replica, while commits come one by one */
#define SHIP_LIGHT_MS 10 /* while a few commits wait */
#define SHIP_HEAVY_MS 50 /* while many do */
#define HEAVY_COMMITS 40
#define LOOK_FRESH_MS 5000     /* the end of the daemon need not ask again what was answered just before */
#define CLOCKS_DIFFER_MS 60000 /* the log says that two clocks differ by more than this */
#define CLOCKS_AGREE_MS 30000  /* and that they don't any more. Two limits: it must not say so again and again */
#define HTTP_STATUS_LEAST 200  /* in struct err, sys is the number of a system error below this */
#define FIRST_SEGMENT_BYTES                                                                                            \
    SCALE(32u << 20, 5120u) /* a larger database begins with a base, not with one large segment */

static void fail(struct lanes *all, const struct err *e)
{
    if (!all->failed)
        all->error = *e;
    all->failed = true;
}

/* Whether an error came from the store, and not from this machine: its files, its memory, its credentials. */
static bool is_answer(const struct err *e)
{
    switch (e->code) {
    case ERR_CONFIG:
        return e->sys >= HTTP_STATUS_LEAST;
    case ERR_CONFLICT:
    case ERR_NOTFOUND:
    case ERR_EXISTS:
    case ERR_GONE:
    case ERR_CORRUPT:
    case ERR_CLAIM:
        return true;
    default:
        return false;
    }
}

/* What the end of a job says about the store. Returns true if it says, as the first one, that the store is down. */
static bool note_answer(struct lane *l, const struct job *job, int rc, const struct err *e, int64_t now_ms)
{
    if (rc != 0 && lane_is_out_of_reach(e->code))
        return outage_unanswered(&l->outage, job->started_ms, e, now_ms);
    if (rc == 0 || is_answer(e))
        outage_answered(&l->outage, now_ms);
    else
        outage_not_asked(&l->outage, now_ms);
    return false;
}

/* `first`: the first one that says so of a store that is down. The others there are not told of one by one. */
static void complain(struct lane *l, const struct err *e, bool first)
{
    const bool away =
        l->failing_since_ms > 0 && lane_is_out_of_reach(l->complaint.code) && lane_is_out_of_reach(e->code);
    const bool known = outage_is_down(&l->outage) && !first;
    if (l->failing_since_ms == 0)
        l->failing_since_ms = clock_wall_ms();
    if (complaint_is_news(&l->complaint, e) && !away && !known) { /* a store that is away fails now so, now so */
        log_warn("replica '%s': trying again until it works: %s", l->url, e->msg);
        l->told = true;
    }
    if (l->told && lane_fails_for_long(l, clock_wall_ms())) {
        struct err told = *e;
        err_hint(&told, "'seawall doctor' with the database and this URL looks at what is wrong there");
        log_error("replica '%s': it has been failing for %d minutes, and is tried on: %s", l->url, LANE_LONG_MS / 60000,
                  told.msg);
    }
}

/* ---- open and close */

static bool url_is_given_before(const struct lanes *all, const struct lane *l)
{
    for (size_t i = 0; i < all->count; i++)
        if (strcmp(all->list[i].url, l->url) == 0)
            return true;
    return false;
}

static int given_twice(const struct lane *l, struct err *e)
{
    err_set(e, ERR_CONFIG, 0, "the replica '%s' is given twice", l->url);
    return err_hint(e, "give each replica of the database a folder or a prefix of its own, and each one once");
}

static bool owes(const struct lanes *all, const struct lane *l);
static void note_reachable(struct lane *l);

/* The store is up again, or is to be probed. A replica that only probed it, or waited, and owes nothing is well again:
 * no job of its own would say so. */
static void store_changed(void *context)
{
    struct lane *l = context;
    const bool out_of_reach = lane_is_out_of_reach(l->complaint.code);
    if (out_of_reach)
        l->pace.retry_at_ms = 0;
    if (out_of_reach && !outage_is_down(&l->outage) && l->seen.state != DESTINATION_CONFLICT && !lane_is_away(l) &&
        !owes(l->all, l))
        note_reachable(l);
    workers_wake(l->workers);
}

static void got_token(void *context)
{
    const struct lane *l = context;
    workers_wake(l->workers);
}

/* ERR_CONFIG, or any error of an only replica: the start fails. Other replicas may be away. */
static int open_lane(struct lanes *all, struct lane *l, const char *url, struct err *e)
{
    const struct options *o = &all->config->options;
    int64_t now = clock_mono_ms();
    char store[STORE_URL_MAX];
    int rc = lane_open(l, url, e);
    if (!l->home || (rc && (e->code == ERR_CONFIG || all->config->url_count == 1)))
        return -1;
    if (url_is_given_before(all, l))
        return given_twice(l, e);
    if (!l->seen.store)
        log_warn("replica '%s': trying again until it works: %s", l->url, e->msg);
    destination_store_name(&l->home->d, store);
    if (workers_of_store(all->workers, store, &l->workers, e))
        return -1;
    l->all = all;
    l->outage.changed = store_changed;
    l->ration.changed = got_token;
    l->outage.context = l->ration.context = l;
    if (all->commons->outages && strstr(store, "://") && /* a folder is there or not, whatever others on its disk are */
        outage_join(all->commons->outages, store, l->url, &l->outage, e))
        return -1;
    l->base_wanted = all->config->base;
    l->pace.budget = budget_full(o->put_rate, o->put_burst, now);
    prune_init(&l->prune, url, l->url, o, now);
    l->prune.kept = l->kept;
    look_init(&l->look, url, l, now);
    l->prune.traffic = l->look.traffic = &l->beside;
    return 0;
}

int lanes_open(struct lanes *all, const struct replicate_config *config, const struct commons *commons,
               struct workers *workers, struct err *e)
{
    size_t opened = 0;
    *all = (struct lanes){.config = config, .commons = commons, .workers = workers};
    all->list = calloc(config->url_count, sizeof *all->list);
    if (!all->list)
        return err_nomem(e, config->url_count * sizeof *all->list);
    if (commons->hoard)
        hoard_join(commons->hoard, &all->hoarder, &all->backlog);
    for (; all->count < config->url_count; all->count++) {
        struct lane *l = &all->list[all->count];
        if (open_lane(all, l, config->urls[all->count], e)) {
            lane_close(l);
            lanes_close(all);
            return -1;
        }
        opened += l->seen.store != NULL;
    }
    if (opened > 0)
        return 0;
    lanes_close(all);
    return -1;
}

void lanes_close(struct lanes *all)
{
    backlog_clear(&all->backlog);
    hoard_leave(&all->hoarder);
    for (size_t i = 0; i < all->count; i++)
        lane_close(&all->list[i]);
    free(all->list);
    all->list = NULL;
    all->count = 0;
}

void lanes_start_over(struct lanes *all)
{
    struct err e;
    backlog_clear(&all->backlog);
    hoard_count(&all->hoarder);
    all->captured = (struct captured_head){0};
    for (size_t i = 0; i < all->count; i++) {
        struct lane *l = &all->list[i];
        if (l->seen.state != DESTINATION_CONFLICT && lane_start_over(l, &e))
            complain(l, &e, true);
    }
}

void lanes_cancel(struct lanes *all, bool cancel)
{
    for (size_t i = 0; i < all->count; i++) {
        atomic_store(&all->list[i].prune.cancel, cancel);
        atomic_store(&all->list[i].look.cancel, cancel);
    }
}

/* A look at all of it costs next to nothing. */
static bool is_watched(const struct lane *l)
{
    return l->seen.store && l->seen.store->folder;
}

void lanes_stop(struct lanes *all, int64_t now_ms)
{
    all->stopping = true;
    all->progress_ms = now_ms;
    for (size_t i = 0; i < all->count; i++)
        if (all->list[i].refused > 0) { /* one more try, at once: a person may have mended it */
            all->list[i].refused = 0;
            all->list[i].pace.retry_at_ms = now_ms;
        }
    for (size_t i = 0; i < all->count && !all->config->once; i++) {
        struct lane *l = &all->list[i];
        atomic_store(&l->prune.cancel, true); /* retention goes on some other time */
        lane_ask(l, LOOK_FRESH_MS, now_ms);
        if (is_watched(l))
            look_ask(&l->look, now_ms);
        else if (l->look.missed == 0)
            atomic_store(&l->look.cancel, true);
    }
}

/* ---- captured commits */

/* Are batches kept for this replica? One in trouble keeps those that continue its head, while there is room. */
static bool keeps_batches(const struct lanes *all, const struct lane *l)
{
    const struct batch *first = all->backlog.first;
    const bool room = all->backlog.bytes < all->config->options.max_pending && !hoard_is_full(&all->hoarder);
    if (lane_is_healthy(l))
        return true;
    if (!l->asked && !lane_hangs(l)) /* its head may be where the WAL goes on */
        return room;
    return l->seen.state == DESTINATION_ATTACHED && room &&
           (first ? first->first <= l->seen.durable + 1 : all->captured.txid == l->seen.durable);
}

bool lanes_any_keeps(const struct lanes *all)
{
    for (size_t i = 0; i < all->count; i++)
        if (keeps_batches(all, &all->list[i]))
            return true;
    return false;
}

/* Every healthy replica has them. The others catch up from the database. */
void lanes_trim_batches(struct lanes *all)
{
    uint64_t low = all->captured.txid;
    for (size_t i = 0; i < all->count; i++)
        if (keeps_batches(all, &all->list[i]) && all->list[i].seen.durable < low)
            low = all->list[i].seen.durable;
    backlog_trim(&all->backlog, low);
    hoard_count(&all->hoarder);
}

void lanes_take_batches(struct lanes *all, struct batch *list_taken)
{
    bool wanted = false;
    while (list_taken) {
        struct batch *b = list_taken;
        list_taken = b->next;
        backlog_add(&all->backlog, b);
    }
    for (size_t i = 0; i < all->count; i++)
        wanted |= keeps_batches(all, &all->list[i]) || !all->list[i].asked;
    /* an outage costs granularity, never data */
    while (all->backlog.first && (!wanted || all->backlog.bytes > 3 * all->config->options.max_pending))
        backlog_drop_first(&all->backlog);
    hoard_count(&all->hoarder);
}

/* Commits that continue the replica, for one object. */
static bool collect_batches(const struct lanes *all, struct lane *l)
{
    struct shipment *s = l->home;
    uint64_t durable = s->d.entry.durable_txid;
    s->batch_count = 0;
    if (durable >= s->d.since || !RULE(splice))
        s->batch_count = backlog_find(&all->backlog, durable + 1, all->captured.page_size, SHIPMENT_BYTES_MAX,
                                      s->batches, SHIPMENT_BATCHES_MAX);
    return s->batch_count > 0;
}

/* ---- pace */

/* Commits wait a little for each other, so that a writer at full speed does not make an object of each. */
static int64_t gap_ms(const struct lane *l)
{
    unsigned commits = l->pace.shipped_commits;
    return commits >= HEAVY_COMMITS ? SHIP_HEAVY_MS : commits > 1 ? SHIP_LIGHT_MS : SHIP_SINGLE_MS;
}

/* When the replica's own budget lets its commits leave. *ret_rationed: the one of all replicas counts too. */
static int64_t own_due_ms(const struct lanes *all, const struct lane *l, int64_t now_ms, bool *ret_rationed)
{
    const struct options *o = &all->config->options;
    uint64_t durable = l->home->d.entry.durable_txid;
    int64_t due = l->pace.shipped_at_ms + gap_ms(l);
    bool free = all->stopping || durable < all->urgent_txid || !l->seen.store || !l->seen.store->costs;
    size_t full = o->max_batch < o->max_pending / 2 ? o->max_batch : o->max_pending / 2; /* more is never kept */
    *ret_rationed = false;
    if (free || backlog_bytes_after(&all->backlog, durable) >= full)
        return due;
    int64_t ready = budget_ready_at_ms(&l->pace.budget, now_ms);
    *ret_rationed = all->commons->ration != NULL;
    return due > ready ? due : ready;
}

int64_t lanes_due_ms(const struct lanes *all, const struct lane *l, int64_t now_ms)
{
    bool rationed = false;
    const int64_t due = own_due_ms(all, l, now_ms, &rationed);
    return rationed && !ration_admits(all->commons->ration, &l->ration, now_ms) && l->ration.waits ? INT64_MAX : due;
}

/* May commits leave now? If they wait for a token of all replicas, they are in the queue for it afterwards. */
static bool may_leave(const struct lanes *all, struct lane *l, int64_t now_ms)
{
    bool rationed = false;
    if (now_ms < own_due_ms(all, l, now_ms, &rationed))
        return false;
    if (!rationed || ration_admits(all->commons->ration, &l->ration, now_ms))
        return true;
    ration_wait(all->commons->ration, &l->ration);
    return false;
}

/* An object is put. */
static void pay(const struct lanes *all, struct lane *l, int64_t now_ms)
{
    budget_take(&l->pace.budget, now_ms);
    if (all->commons->ration && l->seen.store && l->seen.store->costs)
        ration_take(all->commons->ration, &l->ration, now_ms);
}

/* ---- starting jobs */

static void ship_done(struct job *job);
static void piece_done(struct job *job);

/* A job of this kind takes the objects, and a piece, of this transfer along; NULL: of none. */
static struct transfer *carried(struct lane *l, enum ship_kind kind)
{
    if (kind == SHIP_CATCH_UP || kind == SHIP_MARKER)
        return &l->copy;
    return kind == SHIP_PART || kind == SHIP_LEVEL ? &l->level : NULL;
}

static void start_ship(struct lanes *all, struct lane *l, enum ship_kind kind)
{
    struct shipment *s = l->home;
    struct transfer *t = carried(l, kind);
    struct pace *p = &l->pace;
    s->kind = l->kind = kind;
    s->author = l->author;
    s->page_size = all->captured.page_size;
    s->record = all->captured.newest;
    if (kind == SHIP_COMMITS)
        backlog_hold(s->batches, s->batch_count);
    else
        s->batch_count = 0;
    if (t)
        transfer_load(t, s);
    p->started_at_ms = clock_mono_ms();
    if (kind == SHIP_ATTACH || (kind == SHIP_LOOK && !l->outage.probes))
        l->check.started++;
    if (kind != SHIP_LOOK && kind != SHIP_ATTACH)
        pay(all, l, p->started_at_ms);
    if (ship_kind_appends(kind))
        p->shipped_at_ms = p->started_at_ms;
    outage_began(&l->outage);
    shipment_send(&l->home, l->workers, ship_done);
}

/* A copy that failed, that is of another page size, or that the replica's position has left behind, is given up when no
 * job has a part of it. Returns true if that has to be waited for. */
static bool abandon_if_useless(const struct lanes *all, struct lane *l)
{
    const struct destination *d = &l->home->d;
    const struct copy_terms *terms = &l->copy.copy.terms;
    bool anew = destination_starts_anew(d, all->captured.page_size);
    bool attached = d->state == DESTINATION_ATTACHED;
    if (!attached || anew)
        copy_release(&l->paused_base);
    if (!transfer_under_way(&l->copy))
        return false;
    bool left_behind = terms->kind == COPY_CATCH_UP && terms->after != d->entry.durable_txid;
    bool useless = l->copy.failed || !attached || left_behind || terms->page_size != all->captured.page_size ||
                   (terms->kind == COPY_BASE && anew);
    if (!useless)
        return false;
    if (transfer_is_lent(&l->copy))
        return true;
    transfer_abandon(&l->copy);
    return false;
}

/* In order; nothing is put with a txid that the level-0 objects have not reached. */
static void start_pieces(struct lane *l)
{
    const struct destination_place place = destination_place(&l->home->d);
    const struct piece *p = NULL;
    bool is_base = transfer_is(&l->copy, COPY_BASE);
    while ((p = transfer_next(&l->copy))) {
        if (is_base && l->home->d.entry.durable_txid < p->record.txid && RULE(durable_first))
            return;
        if (!transfer_start_piece(&l->copy, &place, &l->author, l, l->workers, piece_done))
            return;
        outage_began(&l->outage);
        pay(l->all, l, clock_mono_ms());
    }
}

static void start_catch_up(const struct lanes *all, struct lane *l)
{
    const struct captured_head *now = &all->captured;
    uint64_t durable = l->home->d.entry.durable_txid;
    const struct copy_terms terms = {.kind = COPY_CATCH_UP, .after = durable, .page_size = now->page_size};
    const struct copy copy = copy_begin(&terms);
    transfer_begin(&l->copy, &copy);
    if (durable > 0 && now->newest.txid > durable + 1)
        log_info("replica '%s': txid %" PRIu64 " to %" PRIu64
                 " become one restore point: they could not be shipped one by one",
                 l->url, durable + 1, now->newest.txid);
}

/* A large database begins with a base, and so does one whose replica was lost: its pages keep their txids, so that
 * other replicas don't get them again. */
static bool begins_with_base(const struct lane *l, const struct captured_head *now)
{
    return now->newest.pages > 0 &&
           (l->home->d.lost || (uint64_t)now->newest.pages * now->page_size > FIRST_SEGMENT_BYTES);
}

/* Level 0 goes on, by commits or by a catch-up. */
static void ship_newest(struct lanes *all, struct lane *l, int64_t now_ms)
{
    const struct captured_head *now = &all->captured;
    bool anew = destination_starts_anew(&l->home->d, now->page_size);
    if (!all->stopping && !may_leave(all, l, now_ms))
        return;
    if (collect_batches(all, l) && !(anew && l->home->d.entry.durable_txid > 0)) {
        l->home->upto = history_cut(l);
        start_ship(all, l, SHIP_COMMITS);
    } else if (anew && begins_with_base(l, now)) {
        start_ship(all, l, SHIP_ANCHOR);
    } else if (!transfer_is_lent(&l->copy)) {
        if (transfer_under_way(&l->copy)) /* a base: it goes on afterwards */
            lane_pause_base(l);
        start_catch_up(all, l);
    }
}

/* A base, when level 0 has nothing to do. */
static void go_on_with_base(struct lanes *all, struct lane *l)
{
    const struct destination *d = &l->home->d;
    if (transfer_under_way(&l->copy) || d->entry.durable_txid == 0 ||
        destination_starts_anew(d, all->captured.page_size))
        return;
    if (l->paused_base.terms.kind != COPY_NONE)
        lane_resume_base(l);
    else if (history_base_due(all, l))
        history_start_base(all, l);
}

/* ---- is what was put still there? */

static void look_done(struct job *job)
{
    struct look *k = look_of_job(job);
    struct lane *l = k->owner;
    int64_t now = clock_mono_ms();
    l->all->jobs_ended++;
    note_answer(l, job, k->rc, &k->err, now);
    enum look_end end = look_ended(k, look_confirm_ms(l->seen.store), now);
    if (k->rc != 0 && k->err.code != ERR_CANCELED && k->err.code != ERR_GONE)
        lane_ask(l, LANE_ASK_AGAIN, now); /* that says what is wrong with the store, if anything is */
    if (end != LOOK_MISSING)
        return;
    lane_ask(l, LANE_ASK_AGAIN, now);
    l->check.history = HISTORY_MISSED;
    snprintf(l->loss.text, sizeof l->loss.text, "%s", k->found.missing);
}

/* Looks at all that a restore needs, beside what is put. At the end of the daemon only what is suspected, or cheap. */
static void look_at_all(struct lanes *all, struct lane *l, int64_t now_ms)
{
    const struct destination *d = &l->home->d;
    bool wanted = !all->config->once && (!all->stopping || l->look.missed > 0 || is_watched(l));
    uint64_t objects = l->appended + l->pieces;
    if (wanted && !l->prune.busy && d->entry.durable_txid > 0 && d->entry.base_owed == 0 && !d->from_empty &&
        look_due(&l->look, objects, now_ms))
        look_start(&l->look, d->entry.durable_txid, objects, l->workers, look_done);
}

/* The question waits until everything that it is about was put. */
static bool check_is_due(const struct lanes *all, const struct lane *l)
{
    const struct destination *d = &l->home->d;
    uint64_t first = all->stopping ? all->captured.txid : all->urgent_txid;
    return l->check.asked > l->check.done && d->entry.durable_txid > 0 && !d->from_empty &&
           (l->check.history == HISTORY_MISSED || d->entry.durable_txid >= first);
}

/* While the store fails, a folder may be away, and what was missed in it is no loss. The next look decides. */
static void doubt_misses(struct lane *l, int64_t now_ms)
{
    if (l->check.history != HISTORY_MISSED || l->pace.backoff_ms == 0)
        return;
    l->check.history = HISTORY_BELIEVED;
    look_doubt(&l->look, now_ms);
}

static void schedule_attached(struct lanes *all, struct lane *l, int64_t now_ms)
{
    enum ship_kind kind;
    uint64_t durable = l->home->d.entry.durable_txid;
    INVARIANT(durable <= all->captured.txid, "replica '%s': durable at txid %" PRIu64 ", captured %" PRIu64, l->url,
              durable, all->captured.txid);
    if (durable == 0 && all->captured.txid == 0)
        l->check.done = l->check.asked; /* nothing was put */
    doubt_misses(l, now_ms);
    if (check_is_due(all, l)) {
        l->home->history = l->check.history;
        start_ship(all, l, SHIP_LOOK);
        return;
    }
    look_at_all(all, l, now_ms);
    if (transfer_under_way(&l->copy))
        start_pieces(l);
    if (transfer_is(&l->copy, COPY_CATCH_UP)) {
        if (l->copy.last && transfer_all_put(&l->copy))
            start_ship(all, l, SHIP_CATCH_UP);
        return;
    }
    assert(!transfer_all_put(&l->copy) ||
           l->copy.copy.objects.put <= l->copy.copy.cursor.pieces); /* each counts once */
    if (transfer_all_put(&l->copy) && l->copy.copy.objects.put == l->copy.copy.cursor.pieces) {
        start_ship(all, l, SHIP_MARKER);
        return;
    }
    history_prune(all, l, now_ms);
    history_begin_level(all, l);
    if (history_level_ready(l, &kind)) {
        start_ship(all, l, kind);
        return;
    }
    if (durable < all->captured.txid)
        ship_newest(all, l, now_ms);
    if (!lane_is_away(l))
        go_on_with_base(all, l);
}

static void start_next(struct lanes *all, struct lane *l, int64_t now_ms)
{
    const struct destination *d = &l->home->d;
    if (d->state == DESTINATION_CONFLICT || d->state == DESTINATION_RESYNC)
        return;
    if (d->state == DESTINATION_ATTACHED && d->outgoing.bytes.len > 0) {
        start_ship(all, l, SHIP_AGAIN);
        return;
    }
    if (abandon_if_useless(all, l) || history_abandon_level(l, &all->captured))
        return;
    if (d->state == DESTINATION_DETACHED)
        start_ship(all, l, SHIP_ATTACH);
    else if (all->captured.proven && all->captured.page_size > 0)
        schedule_attached(all, l, now_ms);
}

/* Something has to be put into the replica, or asked of it. */
static bool owes(const struct lanes *all, const struct lane *l)
{
    const struct destination *d = &l->home->d;
    return d->state == DESTINATION_DETACHED || l->check.asked > l->check.done || transfer_under_way(&l->copy) ||
           (d->state == DESTINATION_ATTACHED && d->entry.durable_txid < all->captured.txid);
}

/* Its store is down, and others probe it: it fails like them. */
static void wait_for_store(const struct lanes *all, struct lane *l)
{
    if (l->failing_since_ms > 0 || !owes(all, l))
        return;
    l->failing_since_ms = outage_since_ms(&l->outage);
    const bool news = complaint_is_news(&l->complaint, outage_why(&l->outage));
    (void)news; /* the log has named the store */
}

/* A small request is enough, whatever waits. */
static void probe_store(struct lanes *all, struct lane *l, int64_t now_ms)
{
    const struct destination *d = &l->home->d;
    if (now_ms < l->pace.retry_at_ms) { /* for a reason of its own */
        outage_not_asked(&l->outage, now_ms);
        return;
    }
    if (d->state == DESTINATION_ATTACHED && d->outgoing.bytes.len == 0 && d->entry.durable_txid > 0 && !d->from_empty) {
        l->home->history = l->check.history;
        start_ship(all, l, SHIP_LOOK);
        return;
    }
    start_next(all, l, now_ms);
    if (!lane_is_away(l) && !transfer_pieces_busy(&l->copy))
        outage_passed(&l->outage, now_ms);
}

static void schedule(struct lanes *all, struct lane *l, int64_t now_ms)
{
    if (lane_is_away(l))
        return;
    if (!outage_admits(&l->outage))
        wait_for_store(all, l);
    else if (l->outage.probes)
        probe_store(all, l, now_ms);
    else if (now_ms >= l->pace.retry_at_ms)
        start_next(all, l, now_ms);
}

void lanes_schedule(struct lanes *all, int64_t now_ms)
{
    for (size_t i = 0; i < all->count; i++) {
        schedule(all, &all->list[i], now_ms);
        lane_show_progress(&all->list[i]);
    }
}

/* ---- when a ship job has ended */

/* The log names the store, once that is known. */
static void introduce(struct lane *l)
{
    struct store *s = l->seen.store;
    char text[STORE_DESCRIPTION_MAX];
    if (l->introduced || !s)
        return;
    l->introduced = true;
    if (s->note[0])
        log_warn("replica '%s': %s", l->url, s->note);
    store_describe(s, text);
    if (!text[0])
        return;
    log_info("replica '%s': %s; PUT is %s", l->url, text,
             s->fencing == STORE_FENCING_STRONG ? "exclusive" : "not exclusive");
    if (s->fencing == STORE_FENCING_WEAK)
        log_warn(
            "replica '%s': without exclusive PUT a second writer is noticed only afterwards, and each object costs "
            "five requests more. Make sure that there is none",
            l->url);
}

static void log_success(struct lane *l, const struct shipment *s, bool base_was_owed)
{
    if (s->kind == SHIP_ATTACH)
        introduce(l);
    if (s->kind == SHIP_ATTACH && s->d.lost)
        log_error("replica '%s': %s", l->url, s->d.found);
    else if (s->kind == SHIP_ATTACH && s->d.identity_put)
        log_warn("replica '%s': %s", l->url, s->d.found);
    else if (s->kind == SHIP_ATTACH && s->d.state != DESTINATION_CONFLICT)
        log_info("replica '%s': %s", l->url, s->d.found);
    if (s->kind == SHIP_CATCH_UP && s->d.state == DESTINATION_ATTACHED && s->d.entry.base_owed > 0)
        log_info("replica '%s': txid %" PRIu64 " is on its way: it can be restored when the base is complete", l->url,
                 s->d.entry.durable_txid);
    else if (s->kind == SHIP_CATCH_UP && s->d.state == DESTINATION_ATTACHED)
        log_info("replica '%s': up to date at txid %" PRIu64, l->url, s->d.entry.durable_txid);
    if (s->kind == SHIP_MARKER && base_was_owed)
        log_info("replica '%s': the base is complete: up to date at txid %" PRIu64, l->url, s->d.entry.durable_txid);
    if (s->kind == SHIP_MARKER && s->d.lost_first > 0)
        log_warn("replica '%s': it lost the restore points from txid %" PRIu64 " to %" PRIu64
                 ": they can't be restored any more",
                 l->url, s->d.lost_first, s->d.lost_last);
}

static void enter_conflict(struct lanes *all, struct lane *l, const struct err *e)
{
    size_t left = 0;
    l->failing_since_ms = clock_wall_ms();
    l->conflict = *e;
    l->rival = l->home->d.rival;
    for (size_t i = 0; i < all->count; i++)
        left += all->list[i].seen.state != DESTINATION_CONFLICT;
    if (left == 0 || e->sys == CONFLICT_NEWCOMER)
        fail(all, e); /* said at the end */
    else
        log_error("replica '%s': given up, the others go on: %s", l->url, e->msg);
}

/* A replica that was away at the start may turn out to be another one of the list. */
static bool is_given_twice(const struct lanes *all, const struct lane *l)
{
    for (size_t i = 0; i < all->count; i++) {
        const struct sighting *other = &all->list[i].seen;
        if (&all->list[i] != l && other->known && l->seen.known && other->index == l->seen.index)
            return true;
    }
    return false;
}

/* `first`: as complain has it. */
static void ship_failed(struct lanes *all, struct lane *l, bool first, int64_t now_ms)
{
    const struct shipment *s = l->home;
    bool conflict = s->err.code == ERR_CONFLICT;
    if (conflict && !ship_kind_puts_beside(s->kind)) {
        enter_conflict(all, l, &s->err);
        return;
    }
    if (all->config->once && lane_needs_a_person(&s->err) && all->count == 1) {
        fail(all, &s->err); /* a command waits for the answer */
        return;
    }
    complain(l, &s->err, first);
    if (s->kind == SHIP_MARKER && conflict) {
        history_forget_base(l);
        transfer_abandon(&l->copy);
    }
    if (s->kind == SHIP_PART || s->kind == SHIP_LEVEL) /* it can be read again at any time */
        transfer_abandon(&l->level);
    lane_failed(l, &s->err, now_ms);
}

/* What was put is not there any more. The base that is under way may lack chunks too. */
static void note_loss(struct lane *l, const char *text)
{
    if (l->loss.since_ms == 0)
        l->loss.since_ms = clock_wall_ms();
    if (text != l->loss.text)
        snprintf(l->loss.text, sizeof l->loss.text, "%s", text);
    l->level.failed |= transfer_under_way(&l->level);
    l->copy.failed |= transfer_is(&l->copy, COPY_BASE);
    copy_release(&l->paused_base);
    history_forget_base(l);
}

/* Something before the head is gone. At the end of the daemon looks have been canceled, and there is no time for two. */
static void look_for_unlisted(struct lane *l, int64_t now_ms)
{
    if (!l->all->stopping) {
        look_ask(&l->look, now_ms);
    } else if (!l->look.busy) {
        atomic_store(&l->look.cancel, false);
        look_doubt(&l->look, now_ms);
    }
}

/* Takes the answer of a look at the head, or of attach, which looks too. */
static void note_check(struct lane *l, const struct shipment *s, int64_t now_ms)
{
    struct check *c = &l->check;
    bool missed = s->kind == SHIP_LOOK && s->history == HISTORY_MISSED;
    c->done = c->started;
    c->done_ms = now_ms;
    c->history = HISTORY_BELIEVED;
    if (!missed && (l->look.missed > 0 || l->look.failures > 0)) /* the store answers again */
        look_ask(&l->look, now_ms);
    if (missed &&
        s->d.state == DESTINATION_DETACHED) /* attach looks at the head alone: what was missed is still open */
        look_doubt(&l->look, now_ms);
    if (s->kind == SHIP_LOOK && s->d.unlisted && !is_watched(l))
        look_for_unlisted(l, now_ms);
    if (s->kind == SHIP_ATTACH && s->d.lost) {
        note_loss(l, s->d.found);
    } else if (missed && s->d.state == DESTINATION_ATTACHED && s->d.entry.base_owed > 0) {
        note_loss(l, l->loss.text);
        log_error(
            "replica '%s': it lost objects: %s. Nothing in it can be restored before a new base is complete, which "
            "begins now",
            l->url, l->loss.text);
    }
}

static void note_whole(struct lane *l)
{
    if (l->loss.since_ms == 0 || l->seen.state != DESTINATION_ATTACHED || lane_restorable_txid(l) == 0)
        return;
    log_warn("replica '%s': it is whole again after the loss of objects; restore points from before may be missing",
             l->url);
    l->loss = (struct loss){.since_ms = 0};
}

static void note_reachable(struct lane *l)
{
    if (complaint_is_over(&l->complaint) && l->told)
        log_info("replica '%s': reachable again", l->url);
    lane_succeeded(l);
}

static void ship_succeeded(struct lanes *all, struct lane *l, unsigned piece_index, bool base_was_owed, int64_t now_ms)
{
    const struct shipment *s = l->home;
    enum ship_kind kind = s->kind;
    all->progress_ms = now_ms;
    if (kind == SHIP_LOOK && l->pace.backoff_ms > 0 && owes(all, l)) /* what failed is still to be tried */
        l->pace.retry_at_ms = 0;
    else
        note_reachable(l);
    if (s->d.state == DESTINATION_DETACHED)
        lane_detoured(l, now_ms);
    else if (kind != SHIP_ATTACH && kind != SHIP_LOOK)
        l->pace.detours = 0;
    if (kind == SHIP_ATTACH || kind == SHIP_LOOK)
        note_check(l, s, now_ms);
    if (s->d.state == DESTINATION_RESYNC) /* its range of pages may come from commits that the comparison passes over */
        history_forget_base(l);
    if (ship_kind_appends(kind))
        l->pace.shipped_commits = s->d.outgoing.commits;
    if (kind == SHIP_MARKER) {
        history_forget_base(l);
        l->base_wanted = false;
        look_ask(&l->look, now_ms);
    }
    l->prune_owed |=
        (kind == SHIP_MARKER || kind == SHIP_LEVEL) && all->config->options.prune_interval_ms != OPTION_NEVER;
    if (kind == SHIP_CATCH_UP || kind == SHIP_MARKER)
        transfer_abandon(&l->copy);
    if (kind == SHIP_PART || kind == SHIP_LEVEL)
        history_level_done(l, kind, piece_index, &s->listed);
    log_success(l, s, base_was_owed);
    note_whole(l);
}

/* The last piece of a catch-up may be needed again; a piece of a level is in the replica, or is read again. */
static void unload(struct transfer *t, struct shipment *s)
{
    transfer_unload(t, s);
    if (s->kind == SHIP_CATCH_UP)
        t->last = s->piece;
    else
        piece_free(s->piece);
    s->piece = NULL;
}

/* Times of restore points come from the clock of this machine, the ages of objects from that of the store. */
static void note_clocks(struct lane *l)
{
    const int64_t ahead = l->home->d.clock_ahead_ms, off = ahead < 0 ? -ahead : ahead;
    if (off <= (l->clocks_differ ? CLOCKS_AGREE_MS : CLOCKS_DIFFER_MS)) {
        if (l->clocks_differ)
            log_info("replica '%s': the clock of this machine agrees with the store's again", l->url);
        l->clocks_differ = false;
        return;
    }
    if (!l->clocks_differ)
        log_warn(
            "replica '%s': the clock of this machine is %" PRId64 " s %s the store's, so the times of restore points "
            "may be wrong" TEXT_HINT "look at both with 'date' and set the wrong one, for example by NTP; 'seawall "
            "list --points' shows the times",
            l->url, (off + 500) / 1000, ahead > 0 ? "ahead of" : "behind");
    l->clocks_differ = true;
}

static void ship_done(struct job *job)
{
    struct shipment *s = shipment_of_job(job);
    struct lane *l = s->owner;
    struct lanes *all = l->all;
    struct transfer *t = carried(l, s->kind);
    unsigned piece_index = s->piece ? s->piece->index : 0;
    bool base_was_owed = l->seen.base_owed;
    int64_t now = clock_mono_ms();
    l->home = s;
    all->jobs_ended++;
    lane_look(l);
    backlog_let_go(s->batches, s->batch_count);
    s->batch_count = 0;
    if (t)
        unload(t, s);
    if (s->kind == SHIP_ATTACH) {
        l->asked = true;
        if (is_given_twice(all, l)) {
            (void)given_twice(l, &s->err);
            fail(all, &s->err);
            return;
        }
    }
    note_clocks(l);
    const bool first = note_answer(l, &s->job, s->rc, &s->err, now);
    if (s->rc)
        ship_failed(all, l, first, now);
    else
        ship_succeeded(all, l, piece_index, base_was_owed, now);
}

/* ---- when a piece job has ended */

static void piece_done(struct job *job)
{
    struct piece_job *pj = piece_job_of(job);
    struct lane *l = pj->owner;
    struct piece *piece = pj->piece;
    int64_t now = clock_mono_ms();
    pj->busy = false;
    pj->piece = NULL;
    l->all->jobs_ended++;
    const bool first = note_answer(l, job, pj->rc, &pj->err, now);
    if (pj->rc && pj->err.code != ERR_CONFLICT) {
        complain(l, &pj->err, first);
        lane_failed(l, &pj->err, now);
        transfer_put_back(&l->copy, piece);
        return;
    }
    if (pj->rc) { /* its key is taken by another piece of this base: begin a new one */
        history_forget_base(l);
        piece_free(piece);
        l->copy.failed = true;
        return;
    }
    if (transfer_is(&l->copy, COPY_BASE)) {
        history_note_chunk(l, piece->index, &pj->listed);
        if (pj->listed.max == piece->record.txid) /* otherwise the chunk is one of an earlier run, with other pages */
            interior_take(&l->copy.copy.objects.interior, piece);
    }
    if (copy_note(&l->copy.copy.objects, piece->index, &pj->listed, &pj->err)) {
        complain(l, &pj->err, true);
        l->copy.failed = true;
    }
    piece_free(piece);
    l->pieces++;
    l->piece_bytes += pj->listed.size;
    l->all->progress_ms = now;
    l->pace.backoff_ms = 0;
    l->refused = 0;
}

/* ---- what the local job is asked for */

/* A replica that hangs is compared when it answers: its turn comes. */
bool lanes_all_asked(const struct lanes *all)
{
    for (size_t i = 0; i < all->count; i++) {
        const struct lane *l = &all->list[i];
        if (!lane_hangs(l) && (!l->asked || (lane_is_away(l) && l->kind == SHIP_ATTACH)))
            return false;
    }
    return true;
}

bool lanes_want_resync(const struct lanes *all)
{
    for (size_t i = 0; i < all->count; i++)
        if (all->list[i].home && all->list[i].home->d.state == DESTINATION_RESYNC)
            return true;
    return false;
}

/* A replica that attached while the pages were compared with the others waits for its turn. */
void lanes_compared(struct lanes *all)
{
    for (size_t i = 0; i < all->count; i++) {
        struct lane *l = &all->list[i];
        if (!l->compared)
            continue;
        l->compared = false;
        destination_compared(&l->home->d, &l->author, all->captured.newest.txid, all->captured.page_size);
        lane_look(l);
    }
}

struct transfer *lanes_wanting_piece(struct lanes *all)
{
    struct transfer *level = NULL, *base = NULL;
    for (size_t i = 0; i < all->count; i++) {
        struct lane *l = &all->list[i];
        if (transfer_is(&l->copy, COPY_CATCH_UP) && transfer_wants_piece(&l->copy))
            return &l->copy;
        if (!level && transfer_wants_piece(&l->level))
            level = &l->level;
        if (!base && transfer_wants_piece(&l->copy))
            base = &l->copy;
    }
    return level ? level : base;
}

bool lanes_catch_up(const struct lanes *all)
{
    bool one_does = false;
    for (size_t i = 0; i < all->count; i++) {
        const struct lane *l = &all->list[i];
        if (!lane_is_healthy(l))
            continue;
        if (!transfer_is(&l->copy, COPY_CATCH_UP))
            return false; /* its commits must not wait for a slower replica */
        one_does = true;
    }
    return one_does;
}

static uint64_t needs_after(const struct lanes *all, const struct lane *l)
{
    uint64_t after = l->seen.durable, history = history_needs_after(all, l);
    if (transfer_under_way(&l->copy))
        after = l->copy.copy.terms.after;
    else if (l->home && l->home->d.from_empty)
        after = 0;
    if (l->base_wanted || l->paused_base.terms.kind != COPY_NONE || (l->home && l->home->d.entry.base_owed > 0))
        after = 0;
    return history < after ? history : after;
}

uint64_t lanes_need_after(const struct lanes *all)
{
    uint64_t low = UINT64_MAX;
    for (size_t i = 0; i < all->count; i++) {
        const struct lane *l = &all->list[i];
        if (l->seen.state != DESTINATION_ATTACHED && l->seen.state != DESTINATION_RESYNC)
            continue;
        uint64_t after = needs_after(all, l);
        low = after < low ? after : low;
    }
    return low;
}

/* ---- at the end */

/* The process must not end before the store was asked whether all of it is there. */
static bool looks_owed(const struct lanes *all, const struct lane *l)
{
    bool suspected = l->look.missed > 0 || (is_watched(l) && (l->look.busy || l->look.due_ms != INT64_MAX));
    return !all->config->once && l->seen.durable > 0 && (l->check.asked > l->check.done || suspected);
}

/* Everything is in the replica, or nothing more can be put there. */
static bool is_durable(const struct lanes *all, const struct lane *l)
{
    return l->seen.state == DESTINATION_CONFLICT ||
           (!lane_is_away(l) && l->home->d.state == DESTINATION_ATTACHED &&
            l->home->d.entry.durable_txid == all->captured.txid && !history_owes(all, l) && !looks_owed(all, l));
}

bool lanes_all_durable(const struct lanes *all)
{
    for (size_t i = 0; i < all->count; i++)
        if (!is_durable(all, &all->list[i]))
            return false;
    return true;
}

bool lanes_only_unanswered(const struct lanes *all)
{
    for (size_t i = 0; i < all->count; i++) {
        const struct lane *l = &all->list[i];
        const bool silent = l->failing_since_ms > 0 || l->look.failures > 0 || lane_hangs(l),
                   suspected = l->seen.missed || l->look.missed > 0 || l->check.history == HISTORY_MISSED;
        if (is_durable(all, l))
            continue;
        if (!silent || suspected || all->config->once || l->loss.since_ms > 0 || l->base_wanted ||
            lane_restorable_txid(l) != all->captured.txid)
            return false;
    }
    return true;
}

const struct lane *lanes_owing(const struct lanes *all)
{
    for (size_t i = 0; i < all->count; i++)
        if (!is_durable(all, &all->list[i]))
            return &all->list[i];
    return NULL;
}

bool lanes_hopeless(const struct lanes *all)
{
    const unsigned enough = all->config->once ? 2 : 1; /* a daemon that stops tried before */
    for (size_t i = 0; i < all->count; i++) {
        const struct lane *l = &all->list[i];
        if (!is_durable(all, l) && (l->refused < enough || lane_is_away(l)))
            return false;
    }
    return lanes_owing(all) != NULL;
}

bool lanes_running(const struct lanes *all)
{
    for (size_t i = 0; i < all->count; i++) {
        const struct lane *l = &all->list[i];
        if (lane_is_away(l) || l->prune.busy || l->look.busy || transfer_pieces_busy(&l->copy))
            return true;
    }
    return false;
}
