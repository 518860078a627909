/* extension/request.h: any value of SEAWALL_REPLICA is for another file, is an error whose text is safe for a terminal,
 * or gives options within their limits. Input: the file name, a NUL, the value. */
#include "fuzz.h"

#include "extension/request.h"

#include <string.h>

const struct fuzz_bounds fuzz_bounds = {.inputs = 40000, .megasteps = 2, .megabytes = 1};

enum { INPUT_MAX = 20000 };

size_t fuzz_seed(unsigned index, uint8_t *out, size_t cap)
{
    static const char *const seeds[] = {
        "app.db?replica=s3%3A%2F%2Fbucket%2Fpath%3Fregion%3Deu&follow=1s&cache-dir=/var/cache/x&cache-size=2G",
        "app.db?replica=/folder&txid=12", "/a/app.db?replica=/folder&at=2026-03-01T12:00:00Z",
        "app.db?replica=/folder&at=2%20hours%20ago&vfs=seawall&mode=&"};
    if (index >= sizeof seeds / sizeof seeds[0])
        return 0;
    const size_t n = strlen(seeds[index]) + sizeof "/a/app.db";
    if (n > cap)
        return 0;
    memcpy(out, "/a/app.db", sizeof "/a/app.db");
    memcpy(out + sizeof "/a/app.db", seeds[index], strlen(seeds[index]));
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char text[INPUT_MAX + 1];
    static struct request_text request;
    struct reader_options options;
    struct err e = {.code = ERR_NONE};
    bool asked = false, ours = false;
    if (size > INPUT_MAX)
        return 0;
    memcpy(text, data, size);
    text[size] = 0;
    const size_t name = strlen(text);
    if (name >= size)
        return 0;
    const int failed = request_decode(text + name + 1, text, &request, &ours, &e);
    if (!failed && !ours)
        return 0;
    if (failed || request_read(request_text_get, &request, &options, &asked, &e)) {
        for (const char *p = e.msg; *p; p++)
            FUZZ_CHECK((unsigned char)*p >= 32 || strncmp(p, TEXT_HINT, strlen(TEXT_HINT)) == 0);
        return 0;
    }
    FUZZ_CHECK(asked && *options.url && options.follow_ms >= 0 && options.cache_bytes > 0);
    FUZZ_CHECK(options.moment.kind == MOMENT_NEWEST || options.follow_ms == 0);
    return 0;
}
