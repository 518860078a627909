/* daemon/verdict.h: any output of a verifier. daemon/verification_record.h: any bytes as the file of records.
 *
 * An input: the exit status | a byte of flags | pieces: standard output | standard error | the file. */
#include "fuzz_files.h"
#include "fuzz_input.h"

#include "daemon/verdict.h"

const struct fuzz_bounds fuzz_bounds = {.inputs = 40000, .megasteps = 2, .megabytes = 4};

size_t fuzz_seed(unsigned index, uint8_t *out, size_t cap)
{
    static const uint8_t codes[] = {0, 5, 10, 1, 4, 137};
    static const char
        said[] = "{\"ok\":true,\"restored_txid\":7,\"database_problem\":\"NULL value\"}",
        found[] = "{\"ok\":false,\"problem_count\":2,\"problems\":[{\"object\":\"0/1\",\"problem\":\"damaged\"}]}",
        complaint[] = "seawall: trying again in 3 s\nseawall: no\n  HINT: yes\n",
        file[] =
            "{\"format\":1,\"replicas\":[{\"url\":\"/replica\",\"verified\":\"2026-03-01T12:00:00.250Z\",\"ok\":false,"
            "\"problems\":3,\"problem\":\"p\",\"proven\":\"2026-03-01T12:00:00.250Z\",\"proven_txid\":5,\"database_"
            "problem\":\"d\"}]}";
    (void)cap;
    if (index >= COUNT_OF(codes))
        return 0;
    out[0] = codes[index];
    out[1] = (uint8_t)index;
    size_t n = slice_put(out, 2, index % 2 ? found : said, index % 2 ? sizeof found - 1 : sizeof said - 1);
    n = slice_put(out, n, complaint, sizeof complaint - 1);
    return slice_put(out, n, file, sizeof file - 1);
}

static void check_record(const struct verification_record *r)
{
    FUZZ_CHECK(memchr(r->text, 0, sizeof r->text) && memchr(r->content, 0, sizeof r->content) &&
               memchr(r->error, 0, sizeof r->error));
}

static void judge(int status, uint8_t flags, struct slice out, struct slice err)
{
    struct verification_record r = {.verified_ms = 1000, .proven_ms = 900, .proven_txid = 4};
    const struct verifier_end end = {.status = status << 8 | (flags & 4 ? 9 : 0),
                                     .over_deadline = flags & 2,
                                     .out = flags & 1 ? NULL : (const char *)out.bytes,
                                     .out_len = flags & 1 ? 0 : out.size,
                                     .err = (const char *)err.bytes,
                                     .err_len = err.size};
    uint64_t requests[REQUEST_FIGURES] = {0};
    enum verdict verdict = verdict_take(&end, 5000, &r, requests);
    FUZZ_CHECK(verdict == VERDICT_NO_RESULT ? r.verified_ms == 1000
                                            : r.verified_ms == 5000 && r.ok == (verdict == VERDICT_SOUND));
    FUZZ_CHECK(r.problems > 0 || verdict != VERDICT_DAMAGED);
    check_record(&r);
}

static void load(struct slice file)
{
    const char *path = fuzz_path("app.db" VERIFICATION_SUFFIX);
    struct verification_records r;
    struct err e;
    FUZZ_CHECK(verification_records_init(&r, 1, &e) == 0);
    r.urls[0] = "/replica";
    fuzz_write(path, file.bytes, file.size);
    verification_records_load(&r, path, "app.db");
    check_record(&r.list[0]);
    char *text = verification_records_print(&r);
    FUZZ_CHECK(text);
    free(text);
    verification_records_release(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = {data, size};
    uint8_t status = slice_byte(&in), flags = slice_byte(&in);
    struct slice out = slice_take(&in), err = slice_take(&in);
    judge(status, flags, out, err);
    load(slice_take(&in));
    return 0;
}
