/* support/fuzz.h - the contract of a fuzzer and its driver. The driver is tests/fuzz/driver.c in the test run,
 * libFuzzer in `make fuzz`. */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define FUZZ_INPUT_MAX 65536 /* bytes */
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A fuzzer defines this. It writes the valid input number `index`, which the driver mutates, and returns its size. 0:
 * there are no more. */
size_t fuzz_seed(unsigned index, uint8_t *out, size_t cap);

/* A fuzzer defines these: how many inputs a test run has, and what one input may cost. The driver prints the highest
 * cost that it saw. A limit is several times that. */
struct fuzz_bounds {
    unsigned inputs;    /* in a test run: a few seconds */
    unsigned megasteps; /* basic blocks of src/ that one input may run through, in millions */
    unsigned megabytes; /* that one input may have allocated at any moment */
};
extern const struct fuzz_bounds fuzz_bounds;

/* The cost since the last call, or since the input began. Only the driver of the test run counts it: in `make fuzz` the
 * function is NULL. */
struct fuzz_cost {
    uint64_t steps, bytes; /* the most that was allocated at any moment, above what there was at the last call */
};
struct fuzz_cost fuzz_cost(void) __attribute__((weak));

/* The linker sends pauses and lines of the log here, and they do nothing. */
#ifndef FUZZ_OWN_CLOCK
__attribute__((weak)) void __wrap_clock_sleep_us(int64_t us)
{
    (void)us;
}
#endif
__attribute__((weak)) void __wrap_log_warn(const char *fmt, ...)
{
    (void)fmt;
}
__attribute__((weak)) void __wrap_log_info(const char *fmt, ...)
{
    (void)fmt;
}

/* Aborts if `condition` is false. It must be true for every input. */
#define FUZZ_CHECK(condition)                                                                                          \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            dprintf(2, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);                                  \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

/* For the helpers that fuzzers share with unit tests. */
#define fail_msg(...)                                                                                                  \
    do {                                                                                                               \
        dprintf(2, __VA_ARGS__);                                                                                       \
        abort();                                                                                                       \
    } while (0)

#endif
