/* support/fuzz.h - between a fuzzer and what drives it: tests/fuzz/driver.c in the test run, libFuzzer when that is left out:
 *
 *   clang -fsanitize=fuzzer,address -Isrc -Iinclude -Itests/support tests/fuzz/fuzz_x.c src/{base,wal,format,...}/X.c -lz ...
 */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define FUZZ_INPUT_MAX 65536 /* bytes */
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Valid inputs, to be mutated: writes the one of this index, returns its size. 0: there are no more. */
size_t fuzz_seed(unsigned index, uint8_t *out, size_t cap);

extern const unsigned fuzz_count; /* of inputs in a test run: about two seconds */

/* What must hold whatever the input. */
#define FUZZ_CHECK(condition)                                                                                          \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);                             \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

/* For the helpers that fuzzers share with unit tests. */
#define fail_msg(...)                                                                                                  \
    do {                                                                                                               \
        fprintf(stderr, __VA_ARGS__);                                                                                  \
        abort();                                                                                                       \
    } while (0)

#endif
