/* daemon/alarms.c */
#include "daemon/alarms.h"

#include "base/io.h"
#include "base/log.h"
#include "base/path.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHAINS_MIN 64u

/* Two databases may want to know of one watch: of a folder that both paths go through. */
struct watched {
    int wd;
    struct alarm_user *user; /* borrowed */
    struct watched *next;    /* in the chain */
};

/* An inotify instance, and who wants to know of which watch. */
struct instance {
    int fd; /* -1: the kernel gave none */
    struct watched **chains;
    size_t chain_count, count;
};

enum { WAL, FILES, PATHS }; /* instances: a watch has one mask in each */

struct alarms {
    struct instance instances[ALARMS_FDS];
};

/* ---- the table of an instance */

static struct watched **chain_of(const struct instance *in, int wd)
{
    return &in->chains[(unsigned)wd % in->chain_count];
}

static void grow(struct instance *in)
{
    const size_t more = in->chain_count ? 2 * in->chain_count : CHAINS_MIN;
    struct watched **chains = calloc(more, sizeof(struct watched *));
    if (!chains)
        return; /* longer chains */
    struct instance grown = {.fd = in->fd, .chains = chains, .chain_count = more, .count = in->count};
    for (size_t i = 0; i < in->chain_count; i++)
        for (struct watched *w = in->chains[i], *next = NULL; w; w = next) {
            struct watched **chain = chain_of(&grown, w->wd);
            next = w->next;
            w->next = *chain;
            *chain = w;
        }
    free(in->chains);
    *in = grown;
}

static bool is_noted(const struct instance *in, int wd, const struct alarm_user *u)
{
    for (const struct watched *w = *chain_of(in, wd); w; w = w->next)
        if (w->wd == wd && w->user == u)
            return true;
    return false;
}

/* Returns the watch descriptor, or -1 if there is none. */
static int watch(struct instance *in, const char *path, uint32_t mask, struct alarm_user *u)
{
    int wd = in->fd >= 0 ? inotify_add_watch(in->fd, path, mask) : -1;
    if (wd < 0)
        return -1;
    if (in->count >= in->chain_count)
        grow(in);
    if (in->chain_count == 0)
        return -1;
    if (is_noted(in, wd, u))
        return wd;
    struct watched *w = malloc(sizeof *w);
    if (!w)
        return -1;
    struct watched **chain = chain_of(in, wd);
    *w = (struct watched){.wd = wd, .user = u, .next = *chain};
    *chain = w;
    in->count++;
    return wd;
}

/* Whether anybody else wants to know of the watch. */
static bool is_wanted(const struct instance *in, int wd)
{
    for (const struct watched *w = *chain_of(in, wd); w; w = w->next)
        if (w->wd == wd)
            return true;
    return false;
}

/* Forgets what `u`, or everybody if it is NULL, wants to know of `wd`, or of all watches if it is -1. */
static void forget(struct instance *in, int wd, const struct alarm_user *u)
{
    for (size_t i = 0; i < in->chain_count; i++) {
        if (wd >= 0 && i != (unsigned)wd % in->chain_count)
            continue;
        for (struct watched **at = &in->chains[i]; *at;) {
            struct watched *w = *at;
            if ((wd >= 0 && w->wd != wd) || (u && w->user != u)) {
                at = &w->next;
                continue;
            }
            const int gone = w->wd;
            *at = w->next;
            free(w);
            in->count--;
            if (u && !is_wanted(in, gone))
                inotify_rm_watch(in->fd, gone);
        }
    }
}

/* ---- what a database asks for */

static void ask_commit(void *context, const char *wal_path)
{
    struct alarm_user *u = context;
    if (!u->wal_armed)
        u->wal_armed = watch(&u->alarms->instances[WAL], wal_path, IN_MODIFY | IN_ONESHOT, u) >= 0;
}

/* When another file is put in the place of the database, the database has to be let go at once: as long as the
 * wal-index of the old file is kept alive, an application that opens the new file believes the old number of pages. */
static void ask_files(void *context, const char *path, const char *wal_path)
{
    struct alarm_user *u = context;
    struct instance *in = &u->alarms->instances[FILES];
    struct stat st;
    if (stat(path, &st) == 0) { /* it may be another file than before */
        u->device = st.st_dev;
        u->inode = st.st_ino;
    }
    u->wal_armed = false;
    forget(in, -1, u);
    watch(in, wal_path, IN_CLOSE_WRITE, u);
    u->file_wd = watch(in, path, IN_CLOSE_WRITE | IN_ATTRIB | IN_MOVE_SELF, u);
}

/* Watches each folder of the path, links followed. */
static void watch_folders(struct alarm_user *u, const char *path)
{
    const uint32_t changes = IN_CREATE | IN_DELETE | IN_MOVE | IN_DELETE_SELF | IN_MOVE_SELF;
    char folder[PATH_TEXT_MAX];
    struct err e;
    int rc = path_parent(path, folder, &e);
    for (size_t n = rc == 0 ? strlen(folder) : 0; n > 0;) {
        watch(&u->alarms->instances[PATHS], folder, changes | IN_ONLYDIR | IN_ONESHOT, u);
        while (n > 0 && folder[n - 1] != '/')
            n--;
        while (n > 1 && folder[n - 1] == '/')
            n--;
        if (n == 1 && folder[0] == '/' && folder[1] == 0)
            break;
        folder[n] = 0;
    }
}

/* A folder in which much happens wakes the daemon once between two looks. What is missed, the next look finds. */
static void ask_path(void *context, const char *given, const char *path)
{
    struct alarm_user *u = context;
    if (u->path_armed || u->alarms->instances[PATHS].fd < 0)
        return;
    u->path_armed = true;
    watch_folders(u, given);
    watch_folders(u, path);
}

/* ---- what the kernel tells */

static void disarm(const struct instance *in, const struct alarms *a, struct alarm_user *u)
{
    if (in == &a->instances[WAL])
        u->wal_armed = false;
    if (in == &a->instances[PATHS])
        u->path_armed = false;
}

static void mark(const struct instance *in, const struct alarms *a, const struct inotify_event *event,
                 struct alarm_user *u)
{
    disarm(in, a, u); /* those are one-shots */
    if (in == &a->instances[PATHS]) {
        database_path_changed(u->db);
    } else if (in == &a->instances[FILES] && event->wd == u->file_wd) {
        database_touched(u->db);
    } else if (event->mask & IN_CLOSE_WRITE) {
        database_closed(u->db);
    }
    if (event->mask & IN_MODIFY)
        database_woken(u->db);
    u->happened(u->context);
}

/* Events were lost: nobody's watch can be relied on. */
static void rearm_all(struct instance *in, const struct alarms *a)
{
    const struct inotify_event lost = {.wd = -2, .mask = IN_MODIFY};
    for (size_t i = 0; i < in->chain_count; i++)
        for (const struct watched *w = in->chains[i]; w; w = w->next)
            mark(in, a, &lost, w->user);
    if (in != &a->instances[FILES]) /* those are no one-shots */
        forget(in, -1, NULL);
}

static void take_event(struct instance *in, const struct alarms *a, const struct inotify_event *event)
{
    if (event->mask & IN_Q_OVERFLOW) {
        rearm_all(in, a);
        return;
    }
    if (in->chain_count == 0)
        return;
    for (const struct watched *w = *chain_of(in, event->wd), *next = NULL; w; w = next) {
        next = w->next;
        if (w->wd == event->wd && (event->mask & IN_IGNORED))
            disarm(in, a, w->user);
        else if (w->wd == event->wd)
            mark(in, a, event, w->user);
    }
    if (event->mask & IN_IGNORED) /* the kernel has ended the watch */
        forget(in, event->wd, NULL);
}

void alarms_take(struct alarms *a, int fd)
{
    char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    ssize_t n;
    for (size_t i = 0; i < ALARMS_FDS; i++) {
        struct instance *in = &a->instances[i];
        while (in->fd == fd && (n = read(fd, buffer, sizeof buffer)) > 0)
            for (char *p = buffer; p < buffer + n;) {
                const struct inotify_event *event = (const struct inotify_event *)(const void *)p;
                p += sizeof *event + event->len;
                take_event(in, a, event);
            }
    }
}

/* ---- start and end */

int alarms_open(struct alarms **ret_alarms, struct err *e)
{
    struct alarms *a = calloc(1, sizeof *a);
    if (!a)
        return err_nomem(e, sizeof *a);
    for (size_t i = 0; i < ALARMS_FDS; i++) {
        a->instances[i].fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        if (a->instances[i].fd < 0 && i != PATHS)
            log_warn("no inotify (%s): commits are seen once a second", strerror(errno));
    }
    *ret_alarms = a;
    return 0;
}

void alarms_close(struct alarms *a)
{
    if (!a)
        return;
    for (size_t i = 0; i < ALARMS_FDS; i++) {
        forget(&a->instances[i], -1, NULL);
        free(a->instances[i].chains);
        io_close(&a->instances[i].fd);
    }
    free(a);
}

void alarms_fds(const struct alarms *a, int ret_fds[ALARMS_FDS])
{
    for (size_t i = 0; i < ALARMS_FDS; i++)
        ret_fds[i] = a->instances[i].fd;
}

void alarms_serve(struct alarms *a, struct alarm_user *u, struct database *db, void (*happened)(void *context),
                  void *context)
{
    *u = (struct alarm_user){.alarms = a, .db = db, .happened = happened, .context = context, .file_wd = -1};
    db->alarm = (struct alarm){.commit = ask_commit, .opened = ask_files, .path = ask_path, .context = u};
}

void alarms_forget(struct alarm_user *u)
{
    for (size_t i = 0; u->alarms && i < ALARMS_FDS; i++)
        forget(&u->alarms->instances[i], -1, u);
    u->alarms = NULL;
}
