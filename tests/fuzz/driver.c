/* fuzz/driver.c - runs a fuzzer over a fixed number of mutations of its valid inputs: the same ones each time.
 *
 *   fuzz_x [COUNT [FIRST]]     inputs FIRST to FIRST + COUNT - 1; what fails says its number */
#include "fuzz.h"

#include "dice.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

enum { SEEDS_MAX = 64 };

static struct {
    uint8_t *bytes;
    size_t size;
} seeds[SEEDS_MAX];
static unsigned seed_count;
static unsigned long current;

/* The sanitizers call back before they end the process; without them the symbol is not there. */
extern void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static void tell_current(void)
{
    char text[80];
    int n = snprintf(text, sizeof text, "input %lu: run with arguments 1 %lu to see it alone\n", current, current);
    ssize_t written = write(STDERR_FILENO, text, (size_t)n);
    (void)written;
}

static void on_signal(int number)
{
    tell_current();
    signal(number, SIG_DFL);
    raise(number);
}

static void load_seeds(void)
{
    static uint8_t seed[FUZZ_INPUT_MAX];
    size_t n;
    while (seed_count < SEEDS_MAX && (n = fuzz_seed(seed_count, seed, sizeof seed)) > 0) {
        FUZZ_CHECK(n <= sizeof seed);
        seeds[seed_count].bytes = malloc(n);
        FUZZ_CHECK(seeds[seed_count].bytes);
        memcpy(seeds[seed_count].bytes, seed, n);
        seeds[seed_count++].size = n;
    }
    FUZZ_CHECK(seed_count > 0);
}

/* Numbers that decoders stumble over, big-endian, in a width of 1 to 8 bytes. */
static void put_odd_number(struct dice *d, uint8_t *at, size_t left)
{
    static const uint64_t odd[] = {0,      1,       2,          0x7f,       0x80,       0xff,      0x100,
                                   0xffff, 0x10000, 0x7fffffff, 0x80000000, UINT32_MAX, INT64_MAX, UINT64_MAX};
    uint64_t value = odd[dice_below(d, COUNT_OF(odd))] + (dice_below(d, 4) ? 0 : dice_below(d, 5) - 2u);
    size_t width = (size_t)1 << dice_below(d, 4);
    for (size_t i = 0; i < width && i < left; i++)
        at[i] = (uint8_t)(value >> 8 * (width - 1 - i));
}

static size_t mutate_once(struct dice *d, uint8_t *bytes, size_t n)
{
    size_t at = n ? dice_below(d, (uint32_t)n) : 0, run = 1 + dice_below(d, dice_below(d, 4) ? 8 : 300);
    FUZZ_CHECK(at <= n && n <= FUZZ_INPUT_MAX);
    size_t left = n - at;
    switch (dice_below(d, n ? 9 : 1)) {
    case 0: /* insert */
        run = run < FUZZ_INPUT_MAX - n ? run : FUZZ_INPUT_MAX - n;
        memmove(bytes + at + run, bytes + at, left);
        dice_fill(d, bytes + at, run);
        return n + run;
    case 1: /* cut out */
        run = run < left ? run : left;
        memmove(bytes + at, bytes + at + run, left - run);
        return n - run;
    case 2: /* cut off */
        return dice_below(d, 4) ? n : at;
    case 3: /* noise */
        dice_fill(d, bytes + at, run < left ? run : left);
        return n;
    case 4: /* a run of one value */
        memset(bytes + at, dice_below(d, 2) ? 0 : 0xff, run < left ? run : left);
        return n;
    case 5:
        put_odd_number(d, bytes + at, left);
        return n;
    case 6: { /* splice: the rest comes from another seed */
        unsigned other = dice_below(d, seed_count);
        size_t from = dice_below(d, (uint32_t)seeds[other].size), rest = seeds[other].size - from;
        rest = rest < FUZZ_INPUT_MAX - at ? rest : FUZZ_INPUT_MAX - at;
        memcpy(bytes + at, seeds[other].bytes + from, rest);
        return at + rest;
    }
    case 7:
        bytes[at] = (uint8_t)(bytes[at] + 1 - 2 * dice_below(d, 2));
        return n;
    default:
        bytes[at] ^= (uint8_t)(1 << dice_below(d, 8));
        return n;
    }
}

static size_t make_input(unsigned long number, uint8_t *bytes)
{
    struct dice d = dice_of(number);
    unsigned seed = number < seed_count ? (unsigned)number : dice_below(&d, seed_count);
    size_t n = seeds[seed].size;
    memcpy(bytes, seeds[seed].bytes, n);
    if (number < seed_count) /* first each one as it is */
        return n;
    for (uint32_t i = 1 + (dice_below(&d, 2) ? 0 : dice_below(&d, 8)); i > 0; i--)
        n = mutate_once(&d, bytes, n);
    return n;
}

int main(int argc, char **argv)
{
    static uint8_t bytes[FUZZ_INPUT_MAX];
    unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 10) : fuzz_count,
                  first = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
    const char *slash = strrchr(argv[0], '/');
    if (__sanitizer_set_death_callback)
        __sanitizer_set_death_callback(tell_current);
    else
        for (size_t i = 0; i < 4; i++)
            signal((const int[]){SIGSEGV, SIGBUS, SIGFPE, SIGABRT}[i], on_signal);
    load_seeds();
    for (current = first; current < first + count; current++) {
        size_t n = make_input(current, bytes);
        uint8_t *exact = malloc(n ? n : 1); /* so that a read beyond its end shows */
        FUZZ_CHECK(exact);
        memcpy(exact, bytes, n);
        LLVMFuzzerTestOneInput(exact, n);
        free(exact);
    }
    for (unsigned i = 0; i < seed_count; i++)
        free(seeds[i].bytes);
    printf("%s: %lu inputs, ok\n", slash ? slash + 1 : argv[0], count);
    return 0;
}
