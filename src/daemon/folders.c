/* daemon/folders.c */
#include "daemon/folders.h"

#include "base/io.h"
#include "base/log.h"
#include "base/path.h"

#include <dirent.h>
#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define GATHER_MS 200 /* from an event to the look: a removal of many files is one loss */
#define DEPTH_MAX 2   /* <root>/base/<start>-<run>/ */
#define GONE (IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF | IN_MOVE_SELF)

/* Which database has a watch. */
struct owner {
    int wd;
    struct folders *folders;
};

struct vanishing {
    int fd;       /* inotify; -1: the kernel gave none */
    void *owners; /* tree by wd: tsearch(3) */
    struct folders *first;
    bool told; /* that watches are missing */
};

static int compare(const void *a, const void *b)
{
    const int x = ((const struct owner *)a)->wd, y = ((const struct owner *)b)->wd;
    return x < y ? -1 : x > y;
}

static struct owner *find(const struct vanishing *v, int wd)
{
    const struct owner key = {.wd = wd};
    struct owner **found = tfind(&key, &v->owners, compare);
    return found ? *found : NULL;
}

static void disown(struct vanishing *v, int wd)
{
    struct owner *o = find(v, wd);
    if (!o)
        return;
    tdelete(o, &v->owners, compare);
    free(o);
}

/* False: the watch belongs to another database, or there is no memory. */
static bool own(struct folders *f, int wd)
{
    struct owner *o = find(f->of, wd);
    if (o)
        return o->folders == f;
    o = malloc(sizeof *o);
    if (!o)
        return false;
    *o = (struct owner){.wd = wd, .folders = f};
    if (tsearch(o, &f->of->owners, compare))
        return true;
    free(o);
    return false;
}

static bool is_watched(const struct folders *f, int wd)
{
    for (size_t i = 0; i < f->count; i++)
        if (f->list[i].wd == wd)
            return true;
    return false;
}

/* A daemon of many databases can need more watches than a user may have. */
static void tell_missing(struct vanishing *v, int error)
{
    if (!v->told && error != ENOENT && error != ENOTDIR)
        log_warn(
            "no inotify for some replicas (%s): what vanishes from their folders is noticed within the hour" TEXT_HINT
            "sysctl fs.inotify.max_user_watches=N allows more",
            strerror(error));
    v->told |= error != ENOENT && error != ENOTDIR;
}

/* Watches a folder and the folders in it. If one is removed meanwhile, the folder above it has an event. */
static void watch_below(struct folders *f, size_t lane, const char *path, unsigned depth)
{
    char below[PATH_TEXT_MAX];
    struct err e;
    struct dirent *d = NULL;
    if (f->count == FOLDERS_MAX)
        return;
    int wd =
        inotify_add_watch(f->of->fd, path, GONE | (depth < DEPTH_MAX ? IN_CREATE : 0) | IN_ONLYDIR | IN_DONT_FOLLOW);
    if (wd < 0)
        tell_missing(f->of, errno);
    if (wd < 0 || !own(f, wd))
        return;
    if (!is_watched(f, wd))
        f->list[f->count++] = (struct watched_folder){.wd = wd, .lane = lane, .depth = depth};
    DIR *dir = depth < DEPTH_MAX ? opendir(path) : NULL;
    while (dir && (d = readdir(dir)))
        if (d->d_name[0] != '.' && (d->d_type == DT_DIR || d->d_type == DT_UNKNOWN) &&
            path_format(below, &e, "%s/%s", path, d->d_name) == 0)
            watch_below(f, lane, below, depth + 1);
    if (dir)
        closedir(dir);
}

void folders_watch(struct folders *f)
{
    for (size_t i = 0; f->of && i < f->all->count; i++) {
        struct lane *l = &f->all->list[i];
        if (l->seen.state != DESTINATION_ATTACHED || !l->seen.store->folder || l->watched)
            continue;
        l->watched = true;
        if (f->of->fd >= 0)
            watch_below(f, i, l->seen.store->folder, 0);
    }
}

static void take_event(struct folders *f, const struct inotify_event *event, int64_t now_ms)
{
    for (size_t i = 0; i < f->count; i++) {
        if (f->list[i].wd != event->wd)
            continue;
        struct lane *l = &f->all->list[f->list[i].lane];
        bool hidden = event->len > 0 && event->name[0] == '.'; /* a file that is being written */
        if ((event->mask & GONE) && !hidden)
            look_ask(&l->look, now_ms + GATHER_MS);
        if ((event->mask & IN_CREATE) && (event->mask & IN_ISDIR))
            l->watched = false; /* folders_watch finds the new folder */
        if ((event->mask & IN_IGNORED) && f->list[i].depth == 0)
            l->watched = false; /* attach finds out what is at the path now */
        if (event->mask & IN_IGNORED)
            f->list[i] = f->list[--f->count];
        f->happened(f->context);
        return;
    }
}

static void look_everywhere(const struct vanishing *v, int64_t now_ms)
{
    for (struct folders *f = v->first; f; f = f->next) {
        for (size_t i = 0; i < f->all->count; i++)
            look_ask(&f->all->list[i].look, now_ms + GATHER_MS);
        f->happened(f->context);
    }
}

void vanishing_take(struct vanishing *v, int64_t now_ms)
{
    char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    ssize_t n;
    while ((n = read(v->fd, buffer, sizeof buffer)) > 0)
        for (char *p = buffer; p < buffer + n;) {
            const struct inotify_event *event = (const struct inotify_event *)(const void *)p;
            p += sizeof *event + event->len;
            const struct owner *o = event->wd >= 0 ? find(v, event->wd) : NULL;
            if (event->mask & IN_Q_OVERFLOW)
                look_everywhere(v, now_ms);
            else if (o)
                take_event(o->folders, event, now_ms);
            if (event->mask & IN_IGNORED)
                disown(v, event->wd);
        }
}

/* ---- start and end */

void folders_serve(struct folders *f, struct vanishing *of, struct lanes *all, void (*happened)(void *context),
                   void *context)
{
    f->of = of;
    f->all = all;
    f->happened = happened;
    f->context = context;
    f->count = 0;
    f->next = of->first;
    f->link = &of->first;
    if (f->next)
        f->next->link = &f->next;
    of->first = f;
}

void folders_close(struct folders *f)
{
    if (!f->of)
        return;
    for (size_t i = 0; i < f->count; i++) {
        disown(f->of, f->list[i].wd);
        inotify_rm_watch(f->of->fd, f->list[i].wd);
    }
    *f->link = f->next;
    if (f->next)
        f->next->link = f->link;
    f->of = NULL;
}

int vanishing_open(struct vanishing **ret_vanishing, struct err *e)
{
    struct vanishing *v = calloc(1, sizeof *v);
    if (!v)
        return err_nomem(e, sizeof *v);
    v->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (v->fd < 0)
        log_warn("no inotify for replicas (%s): what vanishes from their folders is noticed within the hour",
                 strerror(errno));
    *ret_vanishing = v;
    return 0;
}

void vanishing_close(struct vanishing *v)
{
    if (v)
        io_close(&v->fd);
    free(v);
}

int vanishing_fd(const struct vanishing *v)
{
    return v->fd;
}
