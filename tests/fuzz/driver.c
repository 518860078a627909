/* fuzz/driver.c - runs a fuzzer over a fixed number of inputs, the same ones each time: its seeds, its corpus, and
 * mutations of both.
 *
 *   fuzz_x [COUNT [FIRST]]     runs inputs FIRST to FIRST + COUNT - 1; prints the number of an input that fails
 *   fuzz_x --file FILE         runs one input
 *   fuzz_x --write FOLDER      runs no input; writes seeds and corpus into a folder, a file for each
 *
 * The corpus is tests/fuzz/corpus/x: an input on each line, in base64. `make fuzz-keep` writes it.
 *
 * An input that takes too many steps or too much memory fails. A step is a basic block of src/: the compiler adds a
 * call of this file to each. So the count is the same on each machine, and an endless loop ends. */
#include "fuzz.h"

#include "dice.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

enum { INPUTS_MAX = 4096, PATH_MAX_BYTES = 4096, NOTHING = 255 };

static struct {
    uint8_t *bytes;
    size_t size;
} seeds[INPUTS_MAX];
static unsigned seed_count, given_count; /* seeds and corpus together; seeds alone */
static unsigned long current;
static const char *name; /* of the fuzzer, without "fuzz_" */

/* The sanitizers call these functions. Without sanitizers their own symbols are missing. */
extern void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));
extern int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void *, size_t),
                                                     void (*on_free)(const volatile void *)) __attribute__((weak));
extern size_t __sanitizer_get_allocated_size(const volatile void *p) __attribute__((weak));
void __sanitizer_cov_trace_pc(void);

static void tell_current(void)
{
    dprintf(2, "fuzz_%s: input %lu: run with arguments 1 %lu to see it alone\n", name, current, current);
}

static void on_signal(int number)
{
    tell_current();
    signal(number, SIG_DFL);
    raise(number);
}

/* ---- the cost of an input */

static struct {
    bool counted; /* an input runs: only then steps and bytes count */
    uint64_t steps, steps_max, most_steps, steps_before;
    int64_t bytes, bytes_max, most_bytes, peak_bytes, bytes_before;
} cost; /* threads count without a lock, so a step or an allocation may be missed */

static void too_much(const char *what)
{
    if (!cost.counted)
        return;
    cost.counted = false; /* printing allocates, and has steps */
    dprintf(2, "fuzz_%s: an input takes too %s\n", name, what);
    abort();
}

__attribute__((no_sanitize("address", "undefined"))) void __sanitizer_cov_trace_pc(void)
{
    if (++cost.steps > cost.steps_max)
        too_much("many steps");
}

static void on_malloc(const volatile void *p, size_t size)
{
    (void)p;
    cost.bytes += (int64_t)size;
    if (cost.bytes > cost.peak_bytes)
        cost.peak_bytes = cost.bytes;
    if (cost.bytes > cost.bytes_max)
        too_much("much memory");
}

static void on_free(const volatile void *p)
{
    if (p)
        cost.bytes -= (int64_t)__sanitizer_get_allocated_size(p);
}

static void note_most(void)
{
    if (cost.steps > cost.most_steps)
        cost.most_steps = cost.steps;
    if (cost.peak_bytes > cost.most_bytes)
        cost.most_bytes = cost.peak_bytes;
}

struct fuzz_cost fuzz_cost(void)
{
    const struct fuzz_cost c = {cost.steps - cost.steps_before, (uint64_t)(cost.peak_bytes - cost.bytes_before)};
    note_most();
    cost.steps_before = cost.steps;
    cost.peak_bytes = cost.bytes_before = cost.bytes;
    return c;
}

static void run(const uint8_t *bytes, size_t n)
{
    uint8_t *exact = malloc(n ? n : 1); /* of exactly this size, so that the sanitizer sees a read beyond the end */
    FUZZ_CHECK(exact);
    memcpy(exact, bytes, n);
    cost.steps = cost.steps_before = 0;
    cost.bytes = cost.peak_bytes = cost.bytes_before = 0;
    cost.steps_max = UINT64_C(1000000) * fuzz_bounds.megasteps;
    cost.bytes_max = INT64_C(1000000) * fuzz_bounds.megabytes;
    cost.counted = true;
    LLVMFuzzerTestOneInput(exact, n);
    cost.counted = false;
    note_most();
    free(exact);
}

/* ---- inputs */

static void keep(const uint8_t *bytes, size_t n)
{
    FUZZ_CHECK(seed_count < INPUTS_MAX && n <= FUZZ_INPUT_MAX);
    seeds[seed_count].bytes = malloc(n ? n : 1);
    FUZZ_CHECK(seeds[seed_count].bytes);
    memcpy(seeds[seed_count].bytes, bytes, n);
    seeds[seed_count++].size = n;
}

static uint8_t digit_of(int c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (uint8_t)(at - digits) : NOTHING;
}

/* Reads a line of base64. False: the end of the file. */
static bool read_line(FILE *f, uint8_t *out, size_t *ret_size)
{
    uint32_t bits = 0, count = 0;
    int c;
    *ret_size = 0;
    while ((c = getc(f)) != EOF && c != '\n') {
        uint8_t digit = digit_of(c);
        if (digit == NOTHING)
            continue;
        bits = bits << 6 | digit;
        if (++count % 4 == 1)
            continue;
        FUZZ_CHECK(*ret_size < FUZZ_INPUT_MAX);
        out[(*ret_size)++] = (uint8_t)(bits >> (6 - 2 * ((count - 1) % 4)));
    }
    return c != EOF;
}

static void load_seeds(void)
{
    static uint8_t seed[FUZZ_INPUT_MAX];
    char path[PATH_MAX_BYTES];
    size_t n;
    while ((n = fuzz_seed(seed_count, seed, sizeof seed)) > 0)
        keep(seed, n);
    FUZZ_CHECK(seed_count > 0);
    given_count = seed_count;
    snprintf(path, sizeof path, "tests/fuzz/corpus/%s", name);
    FILE *f = fopen(path, "re");
    if (!f && access("tests/fuzz", F_OK) != 0) {
        fprintf(stderr, "fuzz_%s: run it where the folder tests/ is: it reads %s\n", name, path);
        exit(2);
    }
    while (f && read_line(f, seed, &n))
        keep(seed, n);
    if (f)
        fclose(f);
}

static int write_seeds(const char *folder)
{
    for (unsigned i = 0; i < seed_count; i++) {
        char path[PATH_MAX_BYTES];
        snprintf(path, sizeof path, "%s/%s-%04u", folder, i < given_count ? "seed" : "corpus", i);
        FILE *f = fopen(path, "we");
        if (!f || fwrite(seeds[i].bytes, 1, seeds[i].size, f) != seeds[i].size || fclose(f)) {
            fprintf(stderr, "fuzz_%s: %s: %s\n", name, path, strerror(errno));
            return 1;
        }
    }
    return 0;
}

static void tell_cost(int fd, unsigned long count)
{
    dprintf(fd, "fuzz_%s: %lu inputs (%u seeds, %u of the corpus), ok; ", name, count, given_count,
            seed_count - given_count);
    dprintf(fd, "at most %.2f of %u million steps, %.2f of %u MB\n", (double)cost.most_steps / 1e6,
            fuzz_bounds.megasteps, (double)cost.most_bytes / 1e6, fuzz_bounds.megabytes);
}

static int run_file(const char *path)
{
    static uint8_t bytes[FUZZ_INPUT_MAX];
    FILE *f = fopen(path, "re");
    if (!f) {
        fprintf(stderr, "fuzz_%s: %s: %s\n", name, path, strerror(errno));
        return 1;
    }
    size_t n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    run(bytes, n);
    tell_cost(STDERR_FILENO, 1);
    return 0;
}

/* Writes a number at the end of a range, which decoders often handle wrongly: big-endian, 1 to 8 bytes. */
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
    case 3: /* random bytes */
        dice_fill(d, bytes + at, run < left ? run : left);
        return n;
    case 4: /* a run of one value */
        memset(bytes + at, dice_below(d, 2) ? 0 : 0xff, run < left ? run : left);
        return n;
    case 5:
        put_odd_number(d, bytes + at, left);
        return n;
    case 6: { /* take the rest from another seed */
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
    if (number < seed_count) /* the first inputs are the seeds and the corpus as they are */
        return n;
    for (uint32_t i = 1 + (dice_below(&d, 2) ? 0 : dice_below(&d, 8)); i > 0; i--)
        n = mutate_once(&d, bytes, n);
    return n;
}

static void watch_for_crashes(void)
{
    static const int signals[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE}; /* sanitizers handle all but the first */
    if (__sanitizer_set_death_callback)
        __sanitizer_set_death_callback(tell_current);
    for (size_t i = 0; i < (__sanitizer_set_death_callback ? 1 : COUNT_OF(signals)); i++)
        signal(signals[i], on_signal);
    if (__sanitizer_install_malloc_and_free_hooks && __sanitizer_get_allocated_size)
        __sanitizer_install_malloc_and_free_hooks(on_malloc, on_free);
}

int main(int argc, char **argv)
{
    static uint8_t bytes[FUZZ_INPUT_MAX];
    const char *slash = strrchr(argv[0], '/'), *file = slash ? slash + 1 : argv[0];
    bool option = argc == 3 && argv[1][0] == '-';
    name = file + (strncmp(file, "fuzz_", 5) == 0 ? 5 : 0);
    int told = dup(STDOUT_FILENO); /* some fuzzers run commands, which print */
    FUZZ_CHECK(told >= 0);
    load_seeds();
    watch_for_crashes();
    if (option && strcmp(argv[1], "--write") == 0)
        return write_seeds(argv[2]);
    if (option && strcmp(argv[1], "--file") == 0)
        return run_file(argv[2]);
    unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 10) : fuzz_bounds.inputs,
                  first = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
    if (argc <= 1 && count < seed_count)
        count = seed_count;
    for (current = first; current < first + count; current++)
        run(bytes, make_input(current, bytes));
    tell_cost(told, count);
    for (unsigned i = 0; i < seed_count; i++)
        free(seeds[i].bytes);
    return 0;
}
