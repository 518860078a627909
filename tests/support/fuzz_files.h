/* support/fuzz_files.h - files for fuzzers whose decoder takes a path. They are in memory where the system has
 * /dev/shm. */
#ifndef TESTS_FUZZ_FILES_H
#define TESTS_FUZZ_FILES_H

#include "fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static char fuzz_folder[64];

/* Removes all files in the folder, which has no folders. */
static inline void fuzz_empty_folder(void)
{
    DIR *d = opendir(fuzz_folder);
    for (struct dirent *entry; d && (entry = readdir(d));)
        if (entry->d_name[0] != '.' || strlen(entry->d_name) > 2)
            unlinkat(dirfd(d), entry->d_name, 0);
    if (d)
        closedir(d);
}

static inline void fuzz_remove_folder(void)
{
    fuzz_empty_folder();
    rmdir(fuzz_folder);
}

/* A path in a folder that is removed when the process ends. The text is valid for the next seven calls. */
static inline const char *fuzz_path(const char *name)
{
    static char paths[8][128];
    static unsigned turn;
    if (!fuzz_folder[0]) {
        snprintf(fuzz_folder, sizeof fuzz_folder, "%s/seawall-fuzz-XXXXXX",
                 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
        FUZZ_CHECK(mkdtemp(fuzz_folder));
        FUZZ_CHECK(atexit(fuzz_remove_folder) == 0);
    }
    char *path = paths[turn++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", fuzz_folder, name);
    return path;
}

/* Replaces the file by a new one with these contents. */
static inline void fuzz_write(const char *path, const void *bytes, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FUZZ_CHECK(fd >= 0 && write(fd, bytes, n) == (ssize_t)n);
    close(fd);
}

#endif
