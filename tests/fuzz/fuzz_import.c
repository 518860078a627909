/* import/: any bytes as litestream.yml are an error, or give a configuration whose lines Seawall can read. */
#include "fuzz.h"

#include "base/ini.h"
#include "fuzz_input.h"
#include "import/litestream.h"

const struct fuzz_bounds fuzz_bounds = {.inputs = 4000, .megasteps = 20, .megabytes = 16};

size_t fuzz_seed(unsigned index, uint8_t *out, size_t cap)
{
    static const char *const seeds[] = {
        "dbs:\n  - path: /a.db\n    replica: {path: /b}\n",
        "dbs:\n  - path: /a.db\n    replicas:\n      - url: s3://u:p@bucket.s3.r.amazonaws.com/a?region=x&endpoint=h\n",
        "x: &x {type: s3, bucket: b}\ndbs:\n  - dir: /a*\n    pattern: '[^a]*'\n    recursive: true\n    replica: {<<: "
        "*x, path: p}\n",
        "snapshot: {interval: 1h30m, retention: 24h}\nsync-interval: 10s\nretention: {enabled: false}\ndbs:\n"
        "  - path: ~/a.db\n    min-checkpoint-page-count: 100\n    replica: {url: 'sftp://h/p', age: {}}\n",
        "dbs:\n  - path: \"/a # ; b\"\n    unknown: |\n      text\n    replica: {path: ' /b', name: '{x'}\n",
        "levels: [[], {}]\ndbs: [{path: sqlite:///a, replica: {url: gs://b/c}}, {path: '$HOME/a', replica: {}}]\n",
    };
    return index < COUNT_OF(seeds) && strlen(seeds[index]) <= cap ? seed_text(out, seeds[index]) : 0;
}

static int ignore(void *context, const char *section, const char *key, const char *value, struct err *e)
{
    (void)context;
    (void)section;
    (void)key;
    (void)value;
    (void)e;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct import_options options = {.name = "x.yml", .expand = size % 2 == 0};
    struct import_result result;
    struct tree *tree = NULL;
    struct err e = {.code = ERR_NONE};
    char *text = NULL;
    size_t n = 0;
    if (tree_parse(data, size, &tree, &e)) {
        FUZZ_CHECK(e.code == ERR_CONFIG);
        return 0;
    }
    FILE *out = open_memstream(&text, &n);
    FUZZ_CHECK(out);
    int rc = import_litestream(tree_root(tree), &options, out, &result, &e);
    FUZZ_CHECK(fclose(out) == 0);
    FUZZ_CHECK(rc == 0 || e.code == ERR_CONFIG);
    if (rc == 0 && n <= INI_FILE_MAX)
        FUZZ_CHECK(ini_read_text(text, n, ignore, NULL, &e) == 0);
    free(text);
    tree_free(tree);
    return 0;
}
