/* daemon/newcomers.c */
#include "daemon/newcomers.h"

#include "base/io.h"
#include "base/log.h"
#include "config/members.h"

#include <errno.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define CHANGES (IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_MOVED_FROM)

void newcomers_open(struct newcomers *n)
{
    *n = (struct newcomers){.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC)};
    if (n->fd < 0)
        log_warn("no inotify for the folders of patterns (%s): databases that are new are found within ten seconds",
                 strerror(errno));
}

void newcomers_close(struct newcomers *n)
{
    io_close(&n->fd);
}

void newcomers_watch(struct newcomers *n, const char *folder)
{
    if (n->fd < 0 || n->count >= NEWCOMERS_MAX)
        return;
    const int wd = inotify_add_watch(n->fd, folder[0] ? folder : "/", CHANGES | IN_ONLYDIR);
    if (wd > n->last_wd) { /* the numbers ascend; a folder that is watched keeps its number */
        n->last_wd = wd;
        n->count++;
    }
    if (wd >= 0 || n->told || errno == ENOENT || errno == ENOTDIR || errno == EACCES)
        return;
    n->told = true;
    log_warn("no inotify for some folders of patterns (%s): databases that are new there are found within ten "
             "seconds" TEXT_HINT "sysctl fs.inotify.max_user_watches=N allows more",
             strerror(errno));
}

bool newcomers_take(struct newcomers *n)
{
    char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    bool news = false;
    ssize_t bytes;
    while ((bytes = read(n->fd, buffer, sizeof buffer)) > 0)
        for (char *p = buffer; p < buffer + bytes;) {
            const struct inotify_event *event = (const struct inotify_event *)(const void *)p;
            p += sizeof *event + event->len;
            if (event->mask & IN_IGNORED)
                n->count--;
            /* companions come and go all the time */
            news |= (event->mask & IN_Q_OVERFLOW) || (event->len > 0 && !config_is_companion(event->name));
        }
    return news;
}
