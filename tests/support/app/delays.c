/* delays.c - pauses at random, as an unlucky scheduler makes them, for LD_PRELOAD. DELAY_LOCKS: where SQLite takes and
 * releases locks of the wal-index. DELAY_UNMAP: where SQLite unmaps a page; a checkpoint does so after it has read the
 * header of the wal-index, and before it looks how many frames are copied back.
 *
 * The value of both variables is "CHANCE_IN_1000 MICROSECONDS_AT_MOST". */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { LOCKS_FIRST = 120, LOCKS_END = 128 }; /* bytes of -shm that are locked */

static __thread uint64_t dice;

static unsigned below(unsigned n)
{
    struct timespec now;
    if (dice == 0) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        dice = (uint64_t)now.tv_nsec * 2654435761u + (uint64_t)getpid() * 40503u + 1;
    }
    dice = dice * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(dice >> 33) % n;
}

static void perhaps_wait(const char *variable)
{
    const int before = errno;
    char *rest = NULL;
    const char *text = getenv(variable);
    const unsigned long chance = text ? strtoul(text, &rest, 10) : 0, most_us = rest ? strtoul(rest, NULL, 10) : 0;
    if (chance > 0 && most_us > 0 && below(1000) < chance) {
        struct timespec pause = {0, (long)(1 + below((unsigned)most_us)) * 1000};
        nanosleep(&pause, NULL);
    }
    errno = before;
}

static int call(int fd, int command, void *argument)
{
    const struct flock *lock = argument;
    const int of_the_index =
        (command == F_SETLK || command == F_SETLKW) && lock->l_start >= LOCKS_FIRST && lock->l_start < LOCKS_END;
    if (of_the_index)
        perhaps_wait("DELAY_LOCKS");
    const int result = (int)syscall(SYS_fcntl, fd, command, argument);
    if (of_the_index)
        perhaps_wait("DELAY_LOCKS");
    return result;
}

int fcntl(int fd, int command, ...)
{
    va_list arguments;
    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    return call(fd, command, argument);
}

int fcntl64(int fd, int command, ...)
{
    va_list arguments;
    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    return call(fd, command, argument);
}

int munmap(void *address, size_t bytes)
{
    perhaps_wait("DELAY_UNMAP");
    return (int)syscall(SYS_munmap, address, bytes);
}
