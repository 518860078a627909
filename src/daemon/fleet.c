/* daemon/fleet.c */
#include "daemon/fleet.h"

#include "base/container.h"
#include "base/log.h"
#include "base/search.h"
#include "daemon/reload.h"
#include "daemon/status.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define IDLE_MS 60000
#define LINE_MS 5000
#define EVENTS_MAX 64 /* in one turn: the others come in the next */

void fleet_wake(struct fleet *f, struct member *m)
{
    mintree_set(&f->due, (size_t)(m - f->list), 0);
}

static void wake(struct member *m)
{
    fleet_wake(m->fleet, m);
}

static bool leads_to(const char *path, const struct stat *st)
{
    struct stat now;
    return stat(path, &now) == 0 && now.st_ino == st->st_ino && now.st_dev == st->st_dev;
}

/* Whether this file is open, or is about to be. The number of a file that was removed and is not open can be that of
 * another file now; and what the local job has just opened is noted only when the job has ended. */
static bool has_file(const struct awake *a, const struct stat *st)
{
    const struct database *db = &a->db;
    if (a->alarms.inode == st->st_ino && a->alarms.device == st->st_dev)
        return !database_is_closed(db) || leads_to(db->config->db_path, st);
    return db->state && db->figures.at == LOCAL_CLOSED && leads_to(db->path, st);
}

static const struct member *owner_of(const struct member *m, const struct stat *st)
{
    const struct fleet *f = m->fleet;
    for (size_t i = 0; i < f->count; i++) {
        const struct awake *a = f->list[i].awake;
        if (&f->list[i] != m && a && has_file(a, st))
            return &f->list[i];
    }
    return NULL;
}

int fleet_init(struct fleet *f, struct replicate_config *configs, size_t count, const struct shared *shared,
               struct err *e)
{
    assert(count > 0);
    *f = (struct fleet){.count = count, .at_work = count, .shared = *shared};
    f->list = calloc(count, sizeof *f->list);
    if (!f->list)
        return err_nomem(e, count * sizeof *f->list);
    if (mintree_init(&f->due, count, e)) {
        free(f->list);
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        f->list[i] = (struct member){
            .config = &configs[i], .shared = &f->shared, .happened = wake, .owner_of = owner_of, .fleet = f};
        mintree_set(&f->due, i, 0);
    }
    return 0;
}

void fleet_release(struct fleet *f)
{
    for (size_t i = 0; i < f->count; i++)
        member_release(&f->list[i]);
    free(f->list);
    mintree_release(&f->due);
    *f = (struct fleet){.count = 0};
}

static void turn_of(struct fleet *f, size_t index, int64_t now_ms)
{
    struct member *m = &f->list[index];
    const bool ended = m->ended;
    mintree_set(&f->due, index, (uint64_t)now_ms + IDLE_MS); /* before the turn, which may ask for another one */
    const uint64_t next = (uint64_t)now_ms + (uint64_t)member_turn(m, now_ms);
    if (next < mintree_get(&f->due, index))
        mintree_set(&f->due, index, next);
    f->at_work -= m->ended && !ended;
}

int fleet_turn(struct fleet *f, int64_t now_ms)
{
    size_t index = 0;
    for (size_t from = 0; from < f->count && mintree_first(&f->due, from, (uint64_t)now_ms, &index); from = index + 1)
        turn_of(f, index, now_ms);
    if (!mintree_least(&f->due, f->count, &index))
        return IDLE_MS;
    const uint64_t next = mintree_get(&f->due, index);
    return next <= (uint64_t)now_ms ? 0 : (int)(next - (uint64_t)now_ms);
}

struct by_path {
    const struct fleet *fleet;
    const char *path;
};

static bool not_before(const void *context, size_t index)
{
    const struct by_path *by = context;
    return strcmp(by->fleet->list[index].config->db_path, by->path) >= 0;
}

/* The member with this path as given; NULL: there is none. */
static struct member *find_given(const struct fleet *f, const char *path)
{
    const struct by_path by = {f, path};
    const size_t at = search_first(f->count, not_before, &by);
    return at < f->count && strcmp(f->list[at].config->db_path, path) == 0 ? &f->list[at] : NULL;
}

struct member *fleet_find(struct fleet *f, const char *path)
{
    if (!path)
        return f->count == 1 ? &f->list[0] : NULL;
    struct member *given = find_given(f, path);
    for (size_t i = 0; !given && i < f->count; i++) {
        struct member *m = &f->list[i];
        if (m->awake && strcmp(m->awake->db.path, path) == 0)
            return m;
    }
    return given;
}

bool fleet_has(void *fleet, const char *path, const struct stat *st)
{
    struct fleet *f = fleet;
    const struct member nobody = {.fleet = f};
    return find_given(f, path) || owner_of(&nobody, st);
}

void fleet_take_folders(struct fleet *f, int64_t now_ms)
{
    struct epoll_event events[EVENTS_MAX];
    int n = epoll_wait(f->shared.folders_fd, events, EVENTS_MAX, 0);
    for (int i = 0; i < n; i++)
        member_take_folders(events[i].data.ptr, now_ms);
}

void fleet_take_verifier(struct fleet *f)
{
    struct verification *user = f->shared.verifier->user;
    if (user)
        fleet_wake(f, CONTAINER_OF(user, struct awake, verification)->member);
}

/* ---- a configuration that was read again */

/* `next` has no member of this path any more. */
static void tell_gone(const struct fleet *f, const bool *is_there)
{
    for (size_t i = 0; i < f->count; i++)
        if (!is_there[i])
            log_warn("database '%s': SIGHUP: it is replicated until the next start", f->list[i].config->db_path);
}

static int take_next(struct fleet *f, const struct replicate_config *next, bool *is_there, struct err *e)
{
    struct member *m = find_given(f, next->db_path);
    if (!m) {
        log_warn("database '%s': SIGHUP: it is replicated from the next start on", next->db_path);
        return 0;
    }
    is_there[m - f->list] = true;
    return member_reload(m, next, e);
}

int fleet_reload(struct fleet *f, const struct replicate_config *next, size_t count, struct err *e)
{
    for (size_t i = 0; i < count; i++)
        if (reload_check(&next[i].options, e))
            return err_wrap(e, "database '%s'", next[i].db_path);
    bool *is_there = calloc(f->count, sizeof *is_there);
    int rc = is_there ? 0 : err_nomem(e, f->count);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = take_next(f, &next[i], is_there, e);
    if (rc == 0)
        tell_gone(f, is_there);
    free(is_there);
    return rc;
}

/* ---- how it is */

bool fleet_is_up(struct fleet *f)
{
    for (size_t i = 0; i < f->count && !f->up; i++)
        if (!member_is_up(&f->list[i]))
            return false;
    f->up = true;
    return true;
}

static void make_line(struct fleet *f)
{
    size_t well = 0;
    const struct member *worst = NULL;
    if (f->shared.alone && f->list[0].awake) {
        status_line(&f->list[0].awake->db, &f->list[0].awake->verification, f->line, sizeof f->line);
        return;
    }
    for (size_t i = 0; i < f->count; i++) {
        bool is_well = !f->list[i].error && member_is_well(&f->list[i]);
        well += is_well;
        worst = is_well || worst ? worst : &f->list[i];
    }
    int n = snprintf(f->line, sizeof f->line, "%zu of %zu databases are well", well, f->count);
    if (worst)
        snprintf(f->line + n, sizeof f->line - (size_t)n, "; '%s' is not", worst->config->db_path);
}

void fleet_line(struct fleet *f, int64_t now_ms, char *out, size_t out_max)
{
    const int64_t every_ms = f->count > 1 ? LINE_MS : 0;
    if (!f->line[0] || now_ms - f->line_at_ms >= every_ms) {
        f->line_at_ms = now_ms;
        make_line(f);
    }
    snprintf(out, out_max, "%s", f->line);
}

/* ---- the end */

void fleet_open_now(struct fleet *f)
{
    for (size_t i = 0; i < f->count; i++) {
        struct member *m = &f->list[i];
        m->retry_at_ms = 0;
        if (m->awake)
            m->awake->db.pace.open_at_ms = 0;
        fleet_wake(f, m);
    }
}

void fleet_abandon(struct fleet *f)
{
    for (size_t i = 0; i < f->count; i++)
        if (f->list[i].awake)
            member_abandon(&f->list[i]);
}

void fleet_stop(struct fleet *f)
{
    f->stopping = true;
    for (size_t i = 0; i < f->count; i++)
        member_stop(&f->list[i]);
}
