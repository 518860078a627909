/* cli/flags.h: any command line of any command. The first byte is the command; each argument ends with a newline. */
#include "fuzz_input.h"

#include "cli/cli.h"
#include "cli/commands.h"

const struct fuzz_bounds fuzz_bounds = {.inputs = 300000, .megasteps = 2, .megabytes = 4};

enum { ARGUMENTS_MAX = 100, REQUEST_BYTES = 1 << 16 };

size_t fuzz_seed(unsigned index, uint8_t *out, size_t cap)
{
    static const char *const lines[] = {
        "--txid=7\n-o\nout.db\n--time\n2026-03-01\nurl\n--force\n", "--json\n--metrics\n-c\nseawall.conf\n",
        "app.db\nurl\nurl\n--put-rate=30/m\n--once\n--\n-x\n", "--timeout\nnever\n--help\n", "-o=x\n---a\n-\n--=\n"};
    (void)cap;
    if (index >= command_count * COUNT_OF(lines))
        return 0;
    out[0] = (uint8_t)(index % command_count);
    return 1 + seed_text(out + 1, lines[index / command_count]);
}

static void parse(const struct command *c, int argc, char **argv)
{
    _Alignas(16) static uint8_t request[REQUEST_BYTES];
    struct err e = {.code = ERR_NONE};
    struct options options = options_default();
    memset(request, 0, sizeof request);
    enum flags_outcome outcome = flags_parse(c, argc, argv, request, &e);
    FUZZ_CHECK(outcome != FLAGS_WRONG || e.code == ERR_CONFIG);
    if (outcome == FLAGS_PARSED && c->options != OPTIONS_NONE) {
        const struct given_options *given = (const void *)(request + c->options_offset);
        FUZZ_CHECK(given->count <= GIVEN_OPTIONS_MAX);
        FUZZ_CHECK(given_options_apply(given, &options, &e) == 0 || e.code == ERR_CONFIG);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = {data, size};
    const struct command *c = commands[slice_byte(&in) % command_count];
    char *text = slice_text(in), *argv[ARGUMENTS_MAX + 1], *rest = text;
    int argc = 0;
    for (char *word; argc < ARGUMENTS_MAX && (word = strsep(&rest, "\n")) && rest;)
        argv[argc++] = word;
    argv[argc] = NULL;
    parse(c, argc, argv);
    free(text);
    return 0;
}
