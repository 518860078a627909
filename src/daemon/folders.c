/* daemon/folders.c */
#include "daemon/folders.h"

#include "base/log.h"
#include "base/path.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define GATHER_MS 200 /* from an event to the look: a removal of many files is one loss */
#define DEPTH_MAX 2   /* <root>/base/<start>-<run>/ */
#define GONE (IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF | IN_MOVE_SELF)

static bool is_watched(const struct folders *f, int wd)
{
    for (size_t i = 0; i < f->count; i++)
        if (f->list[i].wd == wd)
            return true;
    return false;
}

/* Watches a folder and the folders in it. If one is removed meanwhile, the folder above it has an event. */
static void watch_below(struct folders *f, size_t lane, const char *path, unsigned depth)
{
    char below[PATH_TEXT_MAX];
    struct err e;
    struct dirent *d = NULL;
    if (f->count == FOLDERS_MAX)
        return;
    int wd = inotify_add_watch(f->fd, path, GONE | (depth < DEPTH_MAX ? IN_CREATE : 0) | IN_ONLYDIR | IN_DONT_FOLLOW);
    if (wd < 0)
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

/* A daemon of many databases can need more inotify instances than a user may have. */
static void tell_once(int sys)
{
    static bool told;
    if (!told)
        log_warn(
            "no inotify for some replicas (%s): what vanishes from their folders is noticed within the hour" TEXT_HINT
            "sysctl fs.inotify.max_user_instances=N allows more",
            strerror(sys));
    told = true;
}

bool folders_watch(struct folders *f, struct lanes *all)
{
    bool opened = false;
    for (size_t i = 0; i < all->count; i++) {
        struct lane *l = &all->list[i];
        if (l->seen.state != DESTINATION_ATTACHED || !l->seen.store->folder || l->watched)
            continue;
        if (!f->tried) {
            f->tried = true;
            f->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
            opened = f->fd >= 0;
            if (f->fd < 0)
                tell_once(errno);
        }
        l->watched = true;
        if (f->fd >= 0)
            watch_below(f, i, l->seen.store->folder, 0);
    }
    return opened;
}

static void forget(struct folders *f, size_t at)
{
    f->list[at] = f->list[--f->count];
}

static void take_event(struct folders *f, struct lanes *all, const struct inotify_event *event, int64_t now_ms)
{
    for (size_t i = 0; i < f->count; i++) {
        if (f->list[i].wd != event->wd)
            continue;
        struct lane *l = &all->list[f->list[i].lane];
        bool hidden = event->len > 0 && event->name[0] == '.'; /* a file that is being written */
        if ((event->mask & GONE) && !hidden)
            look_ask(&l->look, now_ms + GATHER_MS);
        if ((event->mask & IN_CREATE) && (event->mask & IN_ISDIR))
            l->watched = false; /* folders_watch finds the new folder */
        if ((event->mask & IN_IGNORED) && f->list[i].depth == 0)
            l->watched = false; /* attach finds out what is at the path now */
        if (event->mask & IN_IGNORED)
            forget(f, i);
        return;
    }
}

void folders_take_events(struct folders *f, struct lanes *all, int64_t now_ms)
{
    char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    ssize_t n;
    while ((n = read(f->fd, buffer, sizeof buffer)) > 0)
        for (char *p = buffer; p < buffer + n;) {
            const struct inotify_event *event = (const struct inotify_event *)(const void *)p;
            p += sizeof *event + event->len;
            if (event->mask & IN_Q_OVERFLOW)
                for (size_t i = 0; i < all->count; i++)
                    look_ask(&all->list[i].look, now_ms + GATHER_MS);
            else
                take_event(f, all, event, now_ms);
        }
}

void folders_stop(struct folders *f)
{
    folders_close(f);
    f->tried = true;
}

void folders_close(struct folders *f)
{
    if (f->fd >= 0)
        close(f->fd);
    *f = FOLDERS_NONE;
}
