/* support/unit.h - cmocka, and the helpers of every unit test: assertions that print the message of an error, a
 * temporary folder, files. */
#ifndef TESTS_UNIT_H
#define TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after the four above */
#include <cmocka.h>

#include "base/err.h"
#include "dice.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* The call must succeed. If it does not, the test fails with the message of the error. */
#define assert_ok(call, e)                                                                                             \
    do {                                                                                                               \
        if (call)                                                                                                      \
            fail_msg("%s", (e)->msg);                                                                                  \
    } while (0)

/* The call must fail with this code. */
#define assert_error(call, e, wanted)                                                                                  \
    do {                                                                                                               \
        (e)->code = ERR_NONE;                                                                                          \
        (e)->msg[0] = 0;                                                                                               \
        if ((call) == 0)                                                                                               \
            fail_msg("succeeded, but should have failed: %s", #call);                                                  \
        if ((e)->code != (wanted))                                                                                     \
            fail_msg("failed with code %d instead of %d (%s): %s", (int)(e)->code, (int)(wanted), #wanted, (e)->msg);  \
    } while (0)

#define assert_contains(text, part)                                                                                    \
    do {                                                                                                               \
        if (!strstr((text), (part)))                                                                                   \
            fail_msg("'%s' does not contain '%s'", (text), (part));                                                    \
    } while (0)

/* ---- a folder for each test */

static char temp_dir[512];

static inline int temp_setup(void **state)
{
    const char *parent = getenv("TMPDIR");
    (void)state;
    snprintf(temp_dir, sizeof temp_dir, "%s/seawall-test-XXXXXX", parent ? parent : "/tmp");
    return mkdtemp(temp_dir) ? 0 : -1;
}

static inline int temp_remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static inline int temp_teardown(void **state)
{
    (void)state;
    return nftw(temp_dir, temp_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* A path in that folder. The text is valid for the next 31 calls. */
static inline const char *temp_path(const char *name)
{
    static char paths[32][1024];
    static unsigned next;
    char *path = paths[next++ % 32];
    snprintf(path, sizeof paths[0], "%s/%s", temp_dir, name);
    return path;
}

#define UNIT(test) cmocka_unit_test(test)
#define UNIT_IN_TEMP(test) cmocka_unit_test_setup_teardown(test, temp_setup, temp_teardown)

/* ---- whole files */

/* How many names a folder has. */
static inline unsigned names_in(const char *path)
{
    unsigned n = 0;
    DIR *dir = opendir(path);
    for (struct dirent *d; dir && (d = readdir(dir));)
        n += strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0;
    closedir(dir);
    return n;
}

static inline uint8_t *file_bytes(const char *path, size_t *ret_size) /* the caller frees; NULL: can't be read */
{
    FILE *f = fopen(path, "rbe");
    if (!f)
        return NULL;
    fseek(f, 0, SEEK_END);
    long size = ftell(f);
    uint8_t *bytes = malloc((size_t)size + 1);
    rewind(f);
    if (!bytes || fread(bytes, 1, (size_t)size, f) != (size_t)size) {
        fclose(f);
        free(bytes);
        return NULL;
    }
    fclose(f);
    bytes[size] = 0;
    *ret_size = (size_t)size;
    return bytes;
}

static inline int file_write(const char *path, const void *bytes, size_t n)
{
    FILE *f = fopen(path, "wbe");
    if (!f)
        return -1;
    size_t done = fwrite(bytes, 1, n, f);
    return fclose(f) == 0 && done == n ? 0 : -1;
}

/* Copies a file in a child process: closing a descriptor here would drop the POSIX locks that SQLite holds in this
 * process. */
static inline int file_copy_apart(const char *from, const char *to)
{
    pid_t child = fork();
    if (child == 0) {
        size_t n = 0;
        uint8_t *bytes = file_bytes(from, &n);
        _exit(bytes && file_write(to, bytes, n) == 0 ? 0 : 1);
    }
    int status = 1;
    return child > 0 && waitpid(child, &status, 0) == child && status == 0 ? 0 : -1;
}

static inline uint8_t *file_bytes_apart(const char *path, size_t *ret_size)
{
    const char *copy = temp_path("copied-apart");
    return file_copy_apart(path, copy) ? NULL : file_bytes(copy, ret_size);
}

/* ---- a process of its own, for what may crash */

/* Returns what `fn` returned in a child process, 0 to 127, or minus the number of the signal that ended the process. */
static inline int in_child(int (*fn)(void))
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        static const int caught[] = {SIGFPE, SIGSEGV, SIGBUS, SIGABRT, SIGILL};
        for (size_t i = 0; i < COUNT_OF(caught); i++)
            signal(caught[i], SIG_DFL); /* with the handler of cmocka the child would run the next test */
        close(STDERR_FILENO);
        _exit(fn());
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        fail_msg("no child process");
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

#endif
