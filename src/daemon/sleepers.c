/* daemon/sleepers.c */
#include "daemon/sleepers.h"

#include "base/io.h"
#include "base/log.h"
#include "base/path.h"

#include <assert.h>
#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#define GATHER_MS 20       /* a folder in which much is written wakes the daemon that often */
#define SWEEP_STEP_MS 1000 /* between two parts of the sweep */
#define CHANGES (IN_MODIFY | IN_ATTRIB | IN_CREATE | IN_DELETE | IN_MOVE | IN_DELETE_SELF | IN_MOVE_SELF)

/* A folder with sleepers. */
struct folder_watch {
    int wd;
    size_t users;
    char *path; /* owned; without links */
};

struct sleeper {
    char *path;  /* owned */
    char *given; /* owned; leads to it */
    struct file_stamp stamp;
    void *context;
    struct folder_watch *folder; /* borrowed; NULL: not watched */
    size_t index;                /* in the list */
    bool woken;
};

struct sleepers {
    void (*woken)(void *context);
    int inotify_fd, epoll_fd; /* -1: the kernel gave none */
    void *by_path, *by_wd;    /* trees of sleepers and of folders: tsearch(3) */
    struct sleeper **list;    /* owned */
    size_t count, cap;
    size_t swept;         /* the next of the list that is looked at */
    int64_t sweep_at_ms;  /* the next part of the sweep */
    int64_t listen_at_ms; /* 0: the descriptor is waited for; otherwise from then on */
    bool told;            /* that watches are missing */
};

static int compare_paths(const void *a, const void *b)
{
    return strcmp(((const struct sleeper *)a)->path, ((const struct sleeper *)b)->path);
}

static int compare_watches(const void *a, const void *b)
{
    const int x = ((const struct folder_watch *)a)->wd, y = ((const struct folder_watch *)b)->wd;
    return x < y ? -1 : x > y;
}

/* ---- a sleeper */

bool sleepers_stamp(const char *path, struct file_stamp *ret_stamp)
{
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1)
        return false;
    *ret_stamp = file_stamp_of(&st);
    return true;
}

static bool has_empty_wal(const char *path)
{
    char wal[PATH_TEXT_MAX + 8];
    struct stat st;
    snprintf(wal, sizeof wal, "%s-wal", path);
    return lstat(wal, &st) != 0 ? errno == ENOENT : S_ISREG(st.st_mode) && st.st_size == 0;
}

bool sleeper_is_as_left(const struct sleeper *x)
{
    char leads_to[PATH_TEXT_MAX];
    struct file_stamp now;
    return path_resolve(x->given, leads_to) && strcmp(leads_to, x->path) == 0 && sleepers_stamp(x->path, &now) &&
           file_stamp_equal(&now, &x->stamp) && has_empty_wal(x->path);
}

const char *sleeper_path(const struct sleeper *x)
{
    return x->path;
}

bool sleeper_is_file(const struct sleeper *x, const struct stat *st)
{
    return x->stamp.inode == st->st_ino && x->stamp.device == st->st_dev;
}

static void look_at(struct sleepers *s, struct sleeper *x)
{
    if (x->woken || sleeper_is_as_left(x))
        return;
    x->woken = true;
    s->woken(x->context);
}

/* ---- folders */

/* More watches than a user may have: then the sweep finds what is written. */
static void tell_missing(struct sleepers *s, int error)
{
    if (!s->told)
        log_warn("no inotify for the folders of some databases that sleep (%s): what is written there is noticed "
                 "within %d s" TEXT_HINT
                 "sysctl fs.inotify.max_user_watches=N allows more; one for each folder is needed",
                 strerror(error), SLEEPERS_SWEEP_MS / 1000);
    s->told = true;
}

/* Returns the watch of a folder; NULL: there is none. */
static struct folder_watch *watch_folder(struct sleepers *s, const char *path)
{
    struct folder_watch key = {.wd = -1}, *f = NULL;
    if (s->inotify_fd < 0)
        return NULL;
    key.wd = inotify_add_watch(s->inotify_fd, path, CHANGES | IN_ONLYDIR);
    if (key.wd < 0) {
        tell_missing(s, errno);
        return NULL;
    }
    struct folder_watch **found = tfind(&key, &s->by_wd, compare_watches);
    if (found) /* two mounts of one folder have one watch, and events do not say which path is meant */
        return strcmp((*found)->path, path) == 0 ? *found : NULL;
    f = calloc(1, sizeof *f);
    if (f)
        *f = (struct folder_watch){.wd = key.wd, .path = strdup(path)};
    if (f && f->path && tsearch(f, &s->by_wd, compare_watches))
        return f;
    if (f)
        free(f->path);
    free(f);
    inotify_rm_watch(s->inotify_fd, key.wd);
    return NULL;
}

static void let_folder_go(struct sleepers *s, struct folder_watch *f)
{
    if (!f || --f->users > 0)
        return;
    if (f->wd >= 0) {
        tdelete(f, &s->by_wd, compare_watches);
        inotify_rm_watch(s->inotify_fd, f->wd);
    }
    free(f->path);
    free(f);
}

/* ---- add and remove */

static int make_room(struct sleepers *s, struct err *e)
{
    if (s->count < s->cap)
        return 0;
    const size_t more = s->cap ? 2 * s->cap : 64;
    struct sleeper **list = realloc(s->list, more * sizeof(struct sleeper *));
    if (!list)
        return err_nomem(e, more * sizeof(struct sleeper *));
    s->list = list;
    s->cap = more;
    return 0;
}

static void free_sleeper(struct sleeper *x)
{
    free(x->path);
    free(x->given);
    free(x);
}

static int note(struct sleepers *s, struct sleeper *x, struct err *e)
{
    struct sleeper **found = tsearch(x, &s->by_path, compare_paths);
    if (!found)
        return err_nomem(e, sizeof *x);
    if (*found != x)
        return err_set(e, ERR_EXISTS, 0, "'%s' sleeps already", x->path);
    x->index = s->count;
    s->list[s->count++] = x;
    return 0;
}

int sleepers_add(struct sleepers *s, const struct sleeper_of *of, void *context, struct sleeper **ret_sleeper,
                 struct err *e)
{
    char folder[PATH_TEXT_MAX];
    if (make_room(s, e) || path_parent(of->path, folder, e))
        return -1;
    struct sleeper *x = calloc(1, sizeof *x);
    if (!x)
        return err_nomem(e, sizeof *x);
    *x = (struct sleeper){.path = strdup(of->path), .given = strdup(of->given), .stamp = of->stamp, .context = context};
    if (!x->path || !x->given || note(s, x, e)) {
        int rc = x->path && x->given ? -1 : err_nomem(e, strlen(of->path));
        free_sleeper(x);
        return rc;
    }
    x->folder = watch_folder(s, folder); /* before the look: what is written after it is an event */
    if (x->folder)
        x->folder->users++;
    if (!sleeper_is_as_left(x)) {
        sleepers_remove(s, x);
        return err_set(e, ERR_GONE, 0, "'%s' is not as it was left", of->path);
    }
    *ret_sleeper = x;
    return 0;
}

void sleepers_remove(struct sleepers *s, struct sleeper *x)
{
    if (!x)
        return;
    tdelete(x, &s->by_path, compare_paths);
    s->list[x->index] = s->list[--s->count];
    s->list[x->index]->index = x->index;
    let_folder_go(s, x->folder);
    free_sleeper(x);
}

/* ---- events */

void sleepers_look(struct sleepers *s)
{
    for (size_t i = 0; i < s->count; i++)
        look_at(s, s->list[i]);
}

/* The folder is gone, or another one is at its path: its sleepers are not watched any more. */
static void forget_folder(struct sleepers *s, struct folder_watch *f)
{
    tdelete(f, &s->by_wd, compare_watches);
    inotify_rm_watch(s->inotify_fd, f->wd); /* fails if the kernel has ended it */
    f->wd = -1;
    for (size_t i = 0; i < s->count; i++)
        if (s->list[i]->folder == f)
            look_at(s, s->list[i]);
}

static void take_name(struct sleepers *s, const struct folder_watch *f, const char *name)
{
    static const char *const suffixes[] = {"", "-wal", "-journal"};
    char path[PATH_TEXT_MAX];
    const size_t length = strlen(name);
    const bool in_root = strcmp(f->path, "/") == 0;
    struct err e;
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        const size_t n = strlen(suffixes[i]);
        if (length <= n || strcmp(name + length - n, suffixes[i]) != 0 ||
            path_format(path, &e, "%s/%.*s", in_root ? "" : f->path, (int)(length - n), name))
            continue;
        const struct sleeper key = {.path = path};
        struct sleeper **found = tfind(&key, &s->by_path, compare_paths);
        if (found)
            look_at(s, *found);
    }
}

static void take_event(struct sleepers *s, const struct inotify_event *event)
{
    const struct folder_watch key = {.wd = event->wd};
    struct folder_watch **found = event->wd >= 0 ? tfind(&key, &s->by_wd, compare_watches) : NULL;
    if (event->mask & IN_Q_OVERFLOW)
        sleepers_look(s);
    else if (found && (event->mask & (IN_IGNORED | IN_MOVE_SELF)))
        forget_folder(s, *found);
    else if (found && event->len > 0)
        take_name(s, *found, event->name);
}

void sleepers_take(struct sleepers *s, int64_t now_ms)
{
    char buffer[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
    struct epoll_event once;
    ssize_t n;
    (void)epoll_wait(s->epoll_fd, &once, 1, 0); /* that, and not read(), ends the readiness of the descriptor */
    s->listen_at_ms = now_ms + GATHER_MS;
    while ((n = read(s->inotify_fd, buffer, sizeof buffer)) > 0)
        for (char *p = buffer; p < buffer + n;) {
            const struct inotify_event *event = (const struct inotify_event *)(const void *)p;
            p += sizeof *event + event->len;
            take_event(s, event);
        }
}

/* ---- the sweep */

static void listen_again(struct sleepers *s)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT};
    s->listen_at_ms = 0;
    if (epoll_ctl(s->epoll_fd, EPOLL_CTL_MOD, s->inotify_fd, &event) != 0)
        log_warn("databases that sleep are looked at once in %d s: epoll_ctl: %s", SLEEPERS_SWEEP_MS / 1000,
                 strerror(errno));
}

int sleepers_sweep(struct sleepers *s, int64_t now_ms)
{
    if (s->listen_at_ms > 0 && now_ms >= s->listen_at_ms)
        listen_again(s);
    if (now_ms >= s->sweep_at_ms) {
        s->sweep_at_ms = now_ms + SWEEP_STEP_MS;
        const size_t part = (s->count + SLEEPERS_SWEEP_MS / SWEEP_STEP_MS - 1) / (SLEEPERS_SWEEP_MS / SWEEP_STEP_MS);
        for (size_t i = 0; i < part; i++) {
            s->swept = s->swept + 1 < s->count ? s->swept + 1 : 0;
            look_at(s, s->list[s->swept]);
        }
    }
    if (s->listen_at_ms > 0 && s->listen_at_ms < s->sweep_at_ms)
        return (int)(s->listen_at_ms - now_ms);
    return s->count > 0 ? (int)(s->sweep_at_ms - now_ms) : SLEEPERS_SWEEP_MS;
}

/* ---- start and end */

int sleepers_open(struct sleepers **ret_sleepers, void (*woken)(void *context), struct err *e)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT};
    struct sleepers *s = calloc(1, sizeof *s);
    if (!s)
        return err_nomem(e, sizeof *s);
    *s = (struct sleepers){.woken = woken, .inotify_fd = -1, .epoll_fd = -1};
    s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (s->epoll_fd >= 0)
        s->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (s->inotify_fd < 0 || epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, s->inotify_fd, &event) != 0) {
        log_warn("no inotify for databases that sleep (%s): what is written is noticed within %d s", strerror(errno),
                 SLEEPERS_SWEEP_MS / 1000);
        io_close(&s->inotify_fd);
        io_close(&s->epoll_fd);
    }
    *ret_sleepers = s;
    return 0;
}

void sleepers_close(struct sleepers *s)
{
    if (!s)
        return;
    assert(s->count == 0);
    io_close(&s->inotify_fd);
    io_close(&s->epoll_fd);
    free(s->list);
    free(s);
}

int sleepers_fd(const struct sleepers *s)
{
    return s->epoll_fd;
}
