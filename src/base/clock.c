/* base/clock.c */
#include "base/clock.h"

#include "base/hash.h"

#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t clock_wall_ms(void)
{
    return read_clock(CLOCK_REALTIME) / 1000000;
}

int64_t clock_mono_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t clock_boot_ms(void)
{
    return read_clock(CLOCK_BOOTTIME) / 1000000;
}

static uint64_t read_boot_id(void)
{
    char text[64] = "";
    const int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    const ssize_t n = fd >= 0 ? read(fd, text, sizeof text) : -1;
    if (fd >= 0)
        close(fd);
    return n >= 36 ? hash64(text, 36) : 0; /* the length of a UUID */
}

uint64_t clock_boot_id(void)
{
    static _Atomic uint64_t known; /* a start asks for each database */
    if (known == 0)
        known = read_boot_id();
    return known;
}

void clock_sleep_us(int64_t us)
{
    struct timespec t = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    nanosleep(&t, NULL);
}

void clock_format(int64_t wall_ms, char out[CLOCK_TEXT_MAX])
{
    int64_t ms = wall_ms % 1000;
    time_t seconds = (time_t)(wall_ms / 1000 - (ms < 0));
    struct tm tm = {0};
    gmtime_r(&seconds, &tm); /* can't fail: the year fits into an int */
    /* the remainders show the compiler how long each number is */
    snprintf(out, CLOCK_TEXT_MAX, "%04lld-%02u-%02uT%02u:%02u:%02u.%03uZ", 1900LL + tm.tm_year,
             (unsigned)(tm.tm_mon + 1) % 100, (unsigned)tm.tm_mday % 100, (unsigned)tm.tm_hour % 100,
             (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100, (unsigned)(ms < 0 ? ms + 1000 : ms) % 1000);
}
