/* daemon/sleepers.h - notices when a database that sleeps is written. Nothing of it is open: left are its
 * path and its stamp (state/state.h).
 *
 *   - One inotify watch for each folder with sleepers, however many they are.
 *   - A sweep looks at each sleeper once in SLEEPERS_SWEEP_MS, a part of them each second: it finds what inotify lost,
 *     and what it can't see, such as a folder above that was renamed. If the kernel gives no watch, it is all there is.
 *
 * A sleeper is woken if its file does not have its stamp any more, if its -wal is not empty, or if the path that was
 * given for it leads to another file, which the sweep finds. An application that
 * only reads wakes none. Main thread only. */
#ifndef SEAWALL_DAEMON_SLEEPERS_H
#define SEAWALL_DAEMON_SLEEPERS_H

#include "base/err.h"
#include "capture/watch.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#define SLEEPERS_SWEEP_MS 60000

struct sleepers;
struct sleeper;

/* `woken` is called once for each sleeper that is woken, with its context; it must not remove a sleeper. Without
 * inotify there is only the sweep. ERR_NOMEM. */
int sleepers_open(struct sleepers **ret_sleepers, void (*woken)(void *context), struct err *e) MUST_CHECK;
void sleepers_close(struct sleepers *s); /* before: all sleepers were removed. NULL is fine */

/* The descriptor to wait for; -1: there is none. Under load it is readable only each 20 ms. */
int sleepers_fd(const struct sleepers *s);

struct sleeper_of {
    const char *path;  /* of the database, without links */
    const char *given; /* leads to it, links and all */
    struct file_stamp stamp;
};

/* Adds a database. The caller removes it. ERR_GONE: the given path leads elsewhere, the file does not have the stamp, or
 * its -wal is not empty. ERR_EXISTS: there is a sleeper with this path. ERR_NOMEM. */
int sleepers_add(struct sleepers *s, const struct sleeper_of *of, void *context, struct sleeper **ret_sleeper,
                 struct err *e) MUST_CHECK;
void sleepers_remove(struct sleepers *s, struct sleeper *x); /* NULL is fine */

/* Takes the events of the descriptor. */
void sleepers_take(struct sleepers *s, int64_t now_ms);

/* Looks at each sleeper now. What was written before the call is noticed, whatever inotify tells. */
void sleepers_look(struct sleepers *s);

/* Does what is due. Returns in how many ms it is to be called again. */
int sleepers_sweep(struct sleepers *s, int64_t now_ms);

const char *sleeper_path(const struct sleeper *x);
bool sleeper_is_file(const struct sleeper *x, const struct stat *st); /* this is its file */
/* The given path leads to its file, which has its stamp, and its -wal is empty or missing. */
bool sleeper_is_as_left(const struct sleeper *x);

/* Reads the stamp of the regular file at `path`. False: there is none, or it has several names. */
bool sleepers_stamp(const char *path, struct file_stamp *ret_stamp);

#endif
