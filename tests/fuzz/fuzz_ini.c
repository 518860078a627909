/* base/ini.h: any bytes are a file, or an error. Each section, key and value is a part of the file, without blanks
 * around it. */
#include "fuzz.h"

#include "base/ini.h"

#include <stdbool.h>
#include <string.h>

const struct fuzz_bounds fuzz_bounds = {.inputs = 400000, .megasteps = 1, .megabytes = 4};

size_t fuzz_seed(unsigned index, uint8_t *out, size_t cap)
{
    static const char *const texts[] = {
        "# shared\n[default]\naws_access_key_id = "
        "AKIAIOSFODNN7EXAMPLE\naws_secret_access_key=wJalrXUtnFEMI/K7MDENG+bPx==\n",
        "[profile a b]\r\nrole_arn = arn:aws:iam::1:role/x ; comment\r\nsource_profile = \"base\"\r\n\r\n[services "
        "s]\r\ns3 =\r\n"
        "  endpoint_url = http://127.0.0.1:9000#x\r\n  more\r\n",
        "\xef\xbb\xbf"
        "x: y # z\n[0]\n9 = 1\n[12345678901234567890123456789012345678901234567890]\n-=-\n =\n",
        "\xef\xbb\xbf\xef\xbb\xbf = 1\n[a]\nb = c\n"};
    if (index >= COUNT_OF(texts) || strlen(texts[index]) > cap)
        return 0;
    memcpy(out, texts[index], strlen(texts[index]));
    return strlen(texts[index]);
}

struct input {
    const uint8_t *bytes;
    size_t size;
};

static bool is_part(const struct input *in, const char *text)
{
    size_t n = strlen(text);
    return n == 0 || memmem(in->bytes, in->size, text, n);
}

static int check(void *context, const char *section, const char *key, const char *value, struct err *e)
{
    const struct input *in = context;
    const char *dot = strchr(key, '.');
    (void)e;
    FUZZ_CHECK(is_part(in, section) && is_part(in, value));
    FUZZ_CHECK(dot || is_part(in, key));
    FUZZ_CHECK((*key || (*section && !*value)) && strlen(key) < 2 * INI_KEY_MAX);
    FUZZ_CHECK(!strchr(value, '\n') && !strchr(section, '\n') && value[0] != ' ' && value[0] != '\t');
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = {.code = ERR_NONE};
    struct input in = {data, size};
    char *text = malloc(size + 1);
    FUZZ_CHECK(text);
    if (size)
        memcpy(text, data, size);
    FUZZ_CHECK(ini_read_text(text, size, check, &in, &e) == 0 ||
               (e.code == ERR_CONFIG && strncmp(e.msg, "line ", 5) == 0));
    free(text);
    return 0;
}
