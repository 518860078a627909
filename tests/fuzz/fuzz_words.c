/* Words of users: moments (--time), sizes, times and rates with units, options, URLs of services. Any text is a value
 * in its range, or an error; a value that is printed is read as the same value. base/text.h: any text is escaped so
 * that it is safe for a terminal. */
#include "fuzz_input.h"

#include "aws/credential_answer.h"
#include "aws/service_url.h"
#include "base/clock.h"
#include "base/text.h"
#include "base/units.h"
#include "base/when.h"
#include "config/options.h"

const struct fuzz_bounds fuzz_bounds = {.inputs = 25000, .megasteps = 4, .megabytes = 4};

#define NOW_MS INT64_C(1790000000123)
static const char a_moment[] = "2026-03-01T12:00:00.250Z";

size_t fuzz_seed(unsigned index, uint8_t *out, size_t cap)
{
    static const char *const texts[] = {"2026-03-01T12:00:00.250Z",
                                        "2026-03-01 14:00:00+02:00",
                                        "2024-02-29",
                                        "now",
                                        "90 minutes ago",
                                        "1 day ago",
                                        "2 w ago",
                                        "500ms",
                                        "2s",
                                        "36500d",
                                        "64K",
                                        "256M",
                                        "1G",
                                        "30/m",
                                        "1/s",
                                        "600/h",
                                        "never",
                                        "yes",
                                        "18446744073709551615",
                                        "https://h.example:443/p?q",
                                        "http://127.0.0.1:8000/a",
                                        "http://[fd00:ec2::23]/x",
                                        "http://169.254.170.2",
                                        "\x1b[31m\xe2\x80\xae\xc3\xa4\n  HINT: x\xff",
                                        "0000-01-01T00:00:00Z",
                                        "9999-12-31T23:59:59.999-14:00"};
    (void)cap;
    return index < COUNT_OF(texts) ? seed_text(out, texts[index]) : 0;
}

static void as_moment(const char *text)
{
    char shown[CLOCK_TEXT_MAX];
    int64_t ms = -1, again = 0;
    if (when_parse(text, NOW_MS, &ms)) {
        memset(shown, 'x', sizeof shown);
        clock_format(ms, shown);
        FUZZ_CHECK(memchr(shown, 0, sizeof shown));
        if (ms >= 0 && strlen(shown) == strlen(a_moment)) /* only years of four digits can be read */
            FUZZ_CHECK(when_parse(shown, NOW_MS, &again) && again == ms);
    }
    if (credentials_parse_time(text, &ms)) {
        clock_format(ms, shown);
        FUZZ_CHECK(strlen(shown) != strlen(a_moment) || (credentials_parse_time(shown, &again) && again == ms));
    }
}

static void as_number(const char *text)
{
    for (int units = UNITS_NONE; units <= UNITS_RATE; units++) {
        char shown[32];
        uint64_t value = 0, again = 0;
        if (!units_parse(text, (enum units)units, &value))
            continue;
        memset(shown, 'x', sizeof shown);
        units_format(value, (enum units)units, shown);
        FUZZ_CHECK(memchr(shown, 0, sizeof shown));
        FUZZ_CHECK(units_parse(shown, (enum units)units, &again) && again == value);
        units_format_size(value, shown);
    }
}

static void as_option(const char *text)
{
    for (size_t i = 0; i < option_count; i++) {
        struct options o = options_default(), again = options_default();
        char shown[OPTION_TEXT_MAX];
        struct err e = {.code = ERR_NONE};
        if (options_set(&o, option_table[i].name, text, &e)) {
            FUZZ_CHECK(e.code == ERR_CONFIG);
            continue;
        }
        option_format(&o, &option_table[i], shown);
        FUZZ_CHECK(options_set(&again, option_table[i].name, shown, &e) == 0 && memcmp(&o, &again, sizeof o) == 0);
    }
}

static void as_url(const char *text)
{
    struct service_url u;
    struct err e = {.code = ERR_NONE};
    if (service_url_parse(text, &u, &e))
        FUZZ_CHECK(e.code == ERR_CONFIG);
    else
        FUZZ_CHECK(strlen(u.host) > 0 && strlen(u.host) < sizeof u.host && u.path >= text &&
                   u.path <= text + strlen(text));
}

/* A text that is escaped stays the same when it is escaped again. */
static void as_output(const char *text)
{
    static char out[6 * FUZZ_INPUT_MAX], again[6 * FUZZ_INPUT_MAX];
    size_t n = text_format(out, sizeof out, "%s", text);
    size_t shown = strlen(out);
    for (size_t at = 0; at < shown;) {
        uint32_t point = 0;
        size_t step = text_decode(out + at, shown - at, &point);
        FUZZ_CHECK(step > 0 && text_is_plain(point));
        at += step;
    }
    FUZZ_CHECK(n >= strlen(text));
    text_format(again, sizeof again, "%s", out);
    FUZZ_CHECK(strcmp(out, again) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = slice_text((struct slice){data, size});
    as_moment(text);
    as_number(text);
    as_option(text);
    as_url(text);
    as_output(text);
    free(text);
    return 0;
}
