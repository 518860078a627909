/* format/names.h: a key that is parsed is written again as the same text. */
#include "fuzz.h"

#include "format/names.h"

#include <string.h>

const struct fuzz_bounds fuzz_bounds = {.inputs = 500000, .megasteps = 1, .megabytes = 4};

size_t fuzz_seed(unsigned index, uint8_t *out, size_t cap)
{
    static const char *const keys[] = {"0/000000000000002a",
                                       "9/0000000000000001-0000000000abcdef",
                                       "base/0000000000000007-00112233445566778899aabbccddeeff/00000801",
                                       "base/0000000000000007-00112233445566778899aabbccddeeff/marker",
                                       "part/00112233445566778899aabbccddeeff-0000000000000003",
                                       "pack/0000000000000002-0000000000000200",
                                       "seawall.json"};
    if (index >= COUNT_OF(keys) || strlen(keys[index]) > cap)
        return 0;
    memcpy(out, keys[index], strlen(keys[index]));
    return strlen(keys[index]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char again[NAME_MAX_BYTES], *key = malloc(size + 1);
    FUZZ_CHECK(key);
    memcpy(key, data, size);
    key[size] = 0;
    struct name name = name_parse(key);
    name_format(&name, again);
    FUZZ_CHECK(strcmp(again, name.kind == NAME_OTHER ? "" : key) == 0);
    free(key);
    return 0;
}
