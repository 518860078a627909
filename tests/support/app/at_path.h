/* at_path.h - the path that a call with a descriptor of a folder means, for the libraries of LD_PRELOAD. */
#ifndef SEAWALL_TESTS_AT_PATH_H
#define SEAWALL_TESTS_AT_PATH_H

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Whether open() with these flags makes a file, and so has a third argument. */
static bool at_creates(int flags)
{
    return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
}

/* Writes the path of `name` in the folder `dir` to `out`. errno stays what it is. */
static void at_path(int dir, const char *name, char out[PATH_MAX])
{
    char link[64], folder[PATH_MAX];
    int before = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
    ssize_t n = dir == AT_FDCWD || name[0] == '/' ? -1 : readlink(link, folder, sizeof folder - 1);
    errno = before;
    if (n < 0) {
        snprintf(out, PATH_MAX, "%s", name);
        return;
    }
    size_t length = strlen(name);
    memcpy(out, folder, (size_t)n);
    if (strcmp(name, ".") == 0 || (size_t)n + 1 + length >= PATH_MAX) {
        out[n] = 0;
        return;
    }
    out[n] = '/';
    memcpy(out + n + 1, name, length + 1);
}

#endif
