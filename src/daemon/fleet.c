/* daemon/fleet.c */
#include "daemon/fleet.h"

#include "base/clock.h"
#include "base/container.h"
#include "base/folder.h"
#include "base/log.h"
#include "base/search.h"
#include "capture/candidate.h"
#include "daemon/reload.h"
#include "daemon/status.h"

#include <assert.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IDLE_MS 60000
#define LINE_MS 5000
#define SETTLING_MAX 64
#define SETTLING_LOOK_MS 20
#define START_SLICE_MS 10
#define CROWD_LOOK_MS 500
#define ABSENT_MS 5000 /* a database that looks have missed for so long is gone */
#define CROWD_PART 32  /* databases that are made to sleep at once */

void fleet_wake(struct fleet *f, struct member *m)
{
    mintree_set(&f->due, m->index, 0);
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

/* A second name of the wal-index or the log of an open database. */
static bool is_beside(const struct awake *a, const struct stat *st)
{
    static const char *const ends[] = {"-shm", "-wal"};
    char path[PATH_TEXT_MAX];
    struct err e;
    for (size_t i = 0; st->st_nlink > 1 && i < sizeof ends / sizeof ends[0]; i++)
        if (path_format(path, &e, "%s%s", a->db.path, ends[i]) == 0 && leads_to(path, st))
            return true;
    return false;
}

static bool is_owner(const struct member *m, const struct stat *st)
{
    if (m->awake)
        return has_file(m->awake, st) || is_beside(m->awake, st);
    const struct sleeper *x = m->sleep.sleeper;
    return x && sleeper_is_file(x, st) && leads_to(sleeper_path(x), st);
}

static const struct member *owner_of(const struct member *m, const struct stat *st)
{
    const struct fleet *f = m->fleet;
    for (size_t i = 0; i < f->count; i++) {
        if (f->list[i] != m && is_owner(f->list[i], st))
            return f->list[i];
    }
    return NULL;
}

/* Each has a turn soon. Precondition: the tree has an element for each member. */
static void number_members(struct fleet *f)
{
    for (size_t i = 0; i < f->count; i++) {
        f->list[i]->index = i;
        mintree_set(&f->due, i, 0);
    }
}

static int make_member(struct fleet *f, const struct replicate_config *config, struct member **ret_member,
                       struct err *e)
{
    struct member *m = calloc(1, sizeof *m);
    if (!m)
        return err_nomem(e, sizeof *m);
    *m = (struct member){.number = ++f->numbers,
                         .shared = &f->shared,
                         .happened = wake,
                         .owner_of = owner_of,
                         .fleet = f,
                         .begun = f->shared.alone};
    if (replicate_config_copy(config, &m->config, e)) {
        free(m);
        return -1;
    }
    *ret_member = m;
    return 0;
}

static void free_member(struct member *m)
{
    member_release(m);
    free(m);
}

int fleet_init(struct fleet *f, const struct replicate_config *configs, size_t count, const struct shared *shared,
               struct err *e)
{
    *f = (struct fleet){.shared = *shared};
    f->shared.crowd = &f->crowd;
    f->list = calloc(count + 1, sizeof(struct member *));
    int rc = f->list ? 0 : err_nomem(e, count * sizeof *f->list);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        assert(i == 0 || strcmp(configs[i - 1].db_path, configs[i].db_path) < 0);
        rc = make_member(f, &configs[i], &f->list[i], e);
        f->count += rc == 0;
    }
    f->at_work = f->count;
    if (rc == 0)
        rc = mintree_init(&f->due, count, e);
    if (rc)
        fleet_release(f);
    else
        number_members(f);
    return rc;
}

static void take_up_again(struct fleet *f, size_t place)
{
    free(f->left_out[place]);
    f->left_out[place] = f->left_out[--f->left_out_count];
}

void fleet_release(struct fleet *f)
{
    assert(f->list || f->count == 0);
    for (size_t i = 0; i < f->count; i++)
        free_member(f->list[i]);
    free(f->list);
    while (f->left_out_count > 0)
        take_up_again(f, 0);
    free(f->left_out);
    mintree_release(&f->due);
    *f = (struct fleet){.count = 0};
}

static void turn_of(struct fleet *f, size_t index, int64_t now_ms)
{
    struct member *m = f->list[index];
    const bool ended = m->ended;
    mintree_set(&f->due, index, (uint64_t)now_ms + IDLE_MS); /* before the turn, which may ask for another one */
    const uint64_t next = (uint64_t)now_ms + (uint64_t)member_turn(m, now_ms);
    if (next < mintree_get(&f->due, index))
        mintree_set(&f->due, index, next);
    f->at_work -= m->ended && !ended;
    f->removable |= m->removed && m->ended && !m->awake;
}

/* Members that were stopped because they are gone. */
static void remove_ended(struct fleet *f)
{
    const size_t before = f->count;
    size_t kept = 0;
    f->removable = false;
    for (size_t i = 0; i < f->count; i++) {
        struct member *m = f->list[i];
        if (!(m->removed && m->ended && !m->awake)) {
            f->list[kept++] = m;
            continue;
        }
        log_info("database '%s': let go of", m->config->db_path);
        f->removals++;
        free_member(m);
    }
    f->count = kept;
    f->start_at = 0;
    number_members(f);
    for (size_t i = kept; i < before; i++)
        mintree_set(&f->due, i, MINTREE_NONE);
}

/* ---- who is awake */

/* A database that is opened for the first time takes time and memory, so only a few are opened at once; those that turn
 * out to sleep cost little. Returns in how many ms the next may begin. */
static int start_some(struct fleet *f, int64_t now_ms)
{
    for (; f->start_at < f->count; f->start_at++) {
        struct member *m = f->list[f->start_at];
        if (m->begun)
            continue;
        if (f->crowd.settling >= SETTLING_MAX)
            return SETTLING_LOOK_MS;
        if (clock_mono_ms() - now_ms > START_SLICE_MS)
            return 0;
        member_begin(m, now_ms);
        struct err e;
        int rc = member_is_asleep(m) ? 0 : member_open(m, now_ms, &e);
        (void)rc; /* it is tried again later */
        fleet_wake(f, m);
    }
    return IDLE_MS;
}

static struct member *longest_quiet(const struct fleet *f, int64_t now_ms)
{
    struct member *longest = NULL;
    int64_t most_ms = 0;
    for (size_t i = 0; i < f->count; i++) {
        struct member *m = f->list[i];
        const int64_t quiet_ms = m->tired ? 0 : member_quiet_ms(m, now_ms);
        if (quiet_ms > most_ms) {
            most_ms = quiet_ms;
            longest = m;
        }
    }
    return longest;
}

/* Too many are awake: some have to sleep early. What those had that sleep by now is given back to the system. */
static void thin_crowd(struct fleet *f, int64_t now_ms)
{
    struct member *m = NULL;
    if (f->shared.alone || now_ms < f->crowd_at_ms)
        return;
    f->crowd_at_ms = now_ms + CROWD_LOOK_MS;
    if (f->crowd.awake < f->crowd_before)
        malloc_trim(0);
    f->crowd_before = f->crowd.awake;
    if (f->crowd.awake <= f->shared.awake_max)
        return;
    for (size_t i = 0; i < f->count; i++) /* chosen again: others may have been quiet for longer by now */
        f->list[i]->tired = false;
    size_t too_many = f->crowd.awake - f->shared.awake_max;
    for (size_t i = 0; i < too_many && i < CROWD_PART && (m = longest_quiet(f, now_ms)); i++) {
        m->tired = true;
        fleet_wake(f, m);
    }
}

int fleet_turn(struct fleet *f, int64_t now_ms)
{
    size_t index = 0;
    if (f->removable)
        remove_ended(f);
    const int start_ms = f->stopping ? IDLE_MS : start_some(f, now_ms),
              sweep_ms = sleepers_sweep(f->shared.sleepers, now_ms), own_ms = start_ms < sweep_ms ? start_ms : sweep_ms;
    thin_crowd(f, now_ms);
    for (size_t from = 0; from < f->count && mintree_first(&f->due, from, (uint64_t)now_ms, &index); from = index + 1)
        turn_of(f, index, now_ms);
    if (!mintree_least(&f->due, f->count, &index))
        return own_ms;
    const uint64_t next = mintree_get(&f->due, index);
    const int next_ms = next <= (uint64_t)now_ms ? 0 : (int)(next - (uint64_t)now_ms);
    return next_ms < own_ms ? next_ms : own_ms;
}

struct by_path {
    const struct fleet *fleet;
    const char *path;
};

static bool not_before(const void *context, size_t index)
{
    const struct by_path *by = context;
    return strcmp(by->fleet->list[index]->config->db_path, by->path) >= 0;
}

/* The member with this path as given; NULL: there is none. */
static struct member *find_given(const struct fleet *f, const char *path)
{
    const struct by_path by = {f, path};
    const size_t at = search_first(f->count, not_before, &by);
    return at < f->count && strcmp(f->list[at]->config->db_path, path) == 0 ? f->list[at] : NULL;
}

struct member *fleet_find(struct fleet *f, const char *path)
{
    if (!path)
        return f->shared.alone ? f->list[0] : NULL;
    struct member *given = find_given(f, path);
    for (size_t i = 0; !given && i < f->count; i++) {
        struct member *m = f->list[i];
        if ((m->awake && strcmp(m->awake->db.path, path) == 0) ||
            (member_is_asleep(m) && strcmp(sleeper_path(m->sleep.sleeper), path) == 0))
            return m;
    }
    return given;
}

bool fleet_holds(const struct fleet *f, const struct member *m, uint64_t number)
{
    for (size_t i = 0; i < f->count; i++)
        if (f->list[i] == m)
            return m->number == number; /* another one may have its memory */
    return false;
}

bool fleet_has(void *fleet, const char *path, const struct stat *st)
{
    struct fleet *f = fleet;
    const struct member nobody = {.fleet = f};
    return find_given(f, path) || owner_of(&nobody, st);
}

void fleet_wake_written(struct fleet *f, int64_t now_ms)
{
    struct err e;
    if (f->shared.alone)
        return;
    sleepers_look(f->shared.sleepers);
    for (size_t i = 0; i < f->count; i++) {
        int rc = f->list[i]->woken ? member_wake(f->list[i], now_ms, &e) : 0;
        (void)rc; /* the status of the database says it */
    }
}

void fleet_take_verifier(struct fleet *f)
{
    struct verification *user = f->shared.verifier->user;
    if (user)
        fleet_wake(f, CONTAINER_OF(user, struct awake, verification)->member);
}

/* ---- a configuration that was read again */

/* Stops the members that `next` does not have. A file that is being replaced is missing for a moment, so looks have to
 * miss it for a while. */
static void stop_absent(struct fleet *f, const struct daemon_config *next, enum fleet_update what)
{
    const int64_t now_ms = clock_mono_ms();
    for (size_t i = 0, k = 0; i < f->count; i++) { /* both lists ascend by path */
        struct member *m = f->list[i];
        while (k < next->count && strcmp(next->databases[k].db_path, m->config->db_path) < 0)
            k++;
        const bool there = k < next->count && strcmp(next->databases[k].db_path, m->config->db_path) == 0;
        if (there || m->absent_ms == 0)
            m->absent_ms = there ? 0 : now_ms;
        if (there || m->removed || m->by_hand || (what == FLEET_LOOK && now_ms - m->absent_ms < ABSENT_MS))
            continue;
        log_warn("database '%s': it is %s: letting go of it when everything captured is shipped; its replicas stay",
                 m->config->db_path, what == FLEET_LOOK ? "gone" : "not in the configuration any more");
        m->removed = true;
        member_stop(m);
    }
}

/* `list` gets room for `more` members. */
static int make_room(struct fleet *f, size_t more, struct err *e)
{
    struct member **list = realloc(f->list, (f->count + more + 1) * sizeof(struct member *));
    if (!list)
        return err_nomem(e, (f->count + more) * sizeof(struct member *));
    f->list = list;
    return 0;
}

static int by_path_order(const void *a, const void *b)
{
    const struct member *const *x = a, *const *y = b;
    return strcmp((*x)->config->db_path, (*y)->config->db_path);
}

static size_t place_left_out(const struct fleet *f, const char *path)
{
    size_t i = 0;
    while (i < f->left_out_count && strcmp(f->left_out[i], path) != 0)
        i++;
    return i;
}

/* A database that is to be taken up. */
static bool is_new(const struct fleet *f, const char *path)
{
    return !find_given(f, path) && place_left_out(f, path) == f->left_out_count;
}

static size_t count_new(const struct fleet *f, const struct daemon_config *next)
{
    size_t n = 0;
    for (size_t i = 0; i < next->count; i++)
        n += is_new(f, next->databases[i].db_path);
    return n;
}

static int add_new(struct fleet *f, const struct daemon_config *next, struct err *e)
{
    const size_t before = f->count, more = count_new(f, next);
    struct mintree due;
    if (more == 0)
        return 0;
    if (make_room(f, more, e) || mintree_init(&due, before + more, e))
        return -1;
    mintree_release(&f->due);
    f->due = due;
    int rc = 0;
    size_t count = before;
    for (size_t i = 0; rc == 0 && i < next->count; i++) {
        if (!is_new(f, next->databases[i].db_path))
            continue;
        rc = make_member(f, &next->databases[i], &f->list[count], e);
        if (rc == 0)
            log_info("database '%s': it is new here", f->list[count++]->config->db_path);
    }
    f->count = count;
    f->at_work += count - before;
    f->start_at = 0;
    qsort(f->list, f->count, sizeof(struct member *), by_path_order);
    number_members(f);
    return rc;
}

static int reload_members(struct fleet *f, const struct daemon_config *next, struct err *e)
{
    for (size_t i = 0; i < next->count; i++)
        if (reload_check(&next->databases[i].options, e))
            return err_wrap(e, "database '%s'", next->databases[i].db_path);
    for (size_t i = 0; i < next->count; i++) {
        struct member *m = find_given(f, next->databases[i].db_path);
        if (m && !m->removed && member_reload(m, &next->databases[i], e))
            return -1;
    }
    return 0;
}

int fleet_update(struct fleet *f, const struct daemon_config *next, enum fleet_update what, struct err *e)
{
    if (what == FLEET_RELOAD && reload_members(f, next, e))
        return -1;
    if (f->shared.alone || f->stopping)
        return 0;
    while (what == FLEET_RELOAD && f->left_out_count > 0)
        take_up_again(f, 0);
    if (!next->incomplete)
        stop_absent(f, next, what);
    return add_new(f, next, e);
}

/* ---- databases that are added and removed at run time */

/* Whether the file can be replicated, or is still missing. A file that is open already is not opened. */
static int check_file(struct fleet *f, const char *path, struct err *e)
{
    const struct member nobody = {.fleet = f};
    struct stat st;
    const struct member *owner = stat(path, &st) == 0 ? owner_of(&nobody, &st) : NULL;
    if (owner)
        return err_set(e, ERR_CONFIG, 0, "it is the same file as '%.200s'", owner->config->db_path);
    return candidate_check(path, &st, e) || folder_check_one_name(path, e) ? -1 : 0;
}

int fleet_add(struct fleet *f, const struct daemon_config *next, struct err *e)
{
    const char *path = next->databases[0].db_path;
    const size_t place = place_left_out(f, path);
    assert(next->count == 1 && !f->shared.alone);
    if (f->stopping)
        return err_set(e, ERR_BUSY, 0, "the daemon ends");
    if (find_given(f, path))
        return err_set(e, ERR_EXISTS, 0, "it is replicated already");
    if (reload_check(&next->databases[0].options, e) || check_file(f, path, e))
        return -1;
    if (place < f->left_out_count)
        take_up_again(f, place);
    if (add_new(f, next, e))
        return -1;
    struct member *m = find_given(f, path);
    const int64_t now_ms = clock_mono_ms();
    m->by_hand = true;
    member_begin(m, now_ms);
    int rc = member_is_asleep(m) ? 0 : member_open(m, now_ms, e);
    fleet_wake(f, m);
    if (rc == 0 || e->code != ERR_CONFIG)
        return 0;
    m->removed = true;
    member_stop(m);
    return -1;
}

int fleet_remove(struct fleet *f, struct member *m, struct err *e)
{
    char **list = realloc(f->left_out, (f->left_out_count + 1) * sizeof *list);
    char *path = list ? strdup(m->config->db_path) : NULL;
    f->left_out = list ? list : f->left_out;
    if (!path)
        return err_nomem(e, sizeof *list);
    f->left_out[f->left_out_count++] = path;
    log_info("database '%s': to be removed: letting go of it when everything captured is shipped; its replicas stay",
             path);
    m->removed = true;
    member_stop(m);
    return 0;
}

/* ---- how it is */

bool fleet_is_up(struct fleet *f)
{
    for (size_t i = 0; i < f->count && !f->up; i++)
        if (!member_is_up(f->list[i]))
            return false;
    f->up = true;
    return true;
}

bool fleet_is_guarded(const struct fleet *f)
{
    for (size_t i = 0; i < f->count; i++)
        if (f->list[i]->awake && database_is_guarded(&f->list[i]->awake->db))
            return true;
    return false;
}

static void make_line(struct fleet *f)
{
    size_t well = 0;
    const struct member *worst = NULL;
    if (f->shared.alone && f->list[0]->awake) {
        status_line(&f->list[0]->awake->db, &f->list[0]->awake->verification, f->line, sizeof f->line);
        return;
    }
    for (size_t i = 0; i < f->count; i++) {
        bool is_well = member_is_well(f->list[i]);
        well += is_well;
        worst = is_well || worst ? worst : f->list[i];
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
        struct member *m = f->list[i];
        m->retry_at_ms = 0;
        if (m->awake) {
            m->awake->db.pace.open_at_ms = 0;
            m->awake->db.expected = m->awake->db.runs == 0; /* never seen */
        }
        fleet_wake(f, m);
    }
}

void fleet_abandon(struct fleet *f)
{
    for (size_t i = 0; i < f->count; i++)
        if (f->list[i]->awake)
            member_abandon(f->list[i]);
}

void fleet_stop(struct fleet *f)
{
    f->stopping = true;
    for (size_t i = 0; i < f->count; i++)
        member_stop(f->list[i]);
}
