/* base/json.h and seawall.json (replica/identity.h): any text is a document, or an error. */
#include "fuzz.h"

#include "base/json.h"
#include "memory_store.h"
#include "replica/catalog.h"

const struct fuzz_bounds fuzz_bounds = {.inputs = 80000, .megasteps = 2, .megabytes = 4};

size_t fuzz_seed(unsigned index, uint8_t *out, size_t cap)
{
    static const char *const texts[] = {
        "{\n  \"format\": 1,\n  \"database\": \"00112233445566778899aabbccddeeff\",\n  "
        "\"encryption\": \"none\",\n  \"created\": 1767225600000\n}\n",
        "{\"format\":1,\"database\":\"00112233445566778899aabbccddeeff\",\"encryption\":\"none\",\"created\":1,"
        "\"writer\":\"ffeeddccbbaa99887766554433221100\",\"host\":\"h\",\"path\":\"/a/b\",\"since\":2}",
        "{\"format\":1,\"database\":\"00112233445566778899aabbccddeeff\",\"encryption\":\"none\","
        "\"list\":[1,-2.5e3,true,null,{\"a\":\"\\u00e4\\n\"}]}",
        "{\"a\":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]],\"b\":{\"c\":{\"d\":{}}}}"};
    if (index >= COUNT_OF(texts) || strlen(texts[index]) > cap)
        return 0;
    memcpy(out, texts[index], strlen(texts[index]));
    return strlen(texts[index]);
}

static void print_again(const struct json *j)
{
    struct json *again = NULL;
    struct err e;
    char *text = json_print(j);
    FUZZ_CHECK(text);
    FUZZ_CHECK(json_parse(text, strlen(text), &again, &e) == 0);
    json_free(again);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = {.code = ERR_NONE};
    struct json *j = NULL;
    struct replica_identity id;
    int64_t number = 0;
    bool parsed = json_parse(data, size, &j, &e) == 0;
    FUZZ_CHECK(parsed || e.code == ERR_CORRUPT);
    if (parsed) {
        json_get_text(j, "database");
        json_get_number(j, "created", &number);
        print_again(j);
        json_free(j);
    }
    struct store *s = memory_store_new();
    FUZZ_CHECK(s && store_put_new(s, NAME_IDENTITY, data, size, NULL, &e) == 0);
    bool ours = replica_identity_read(s, &id, &e) == 0;
    FUZZ_CHECK(ours ? parsed || size > 4096 : e.code == ERR_CORRUPT);
    const struct uid writer = {
        {0xff, 0xee, 0xdd, 0xcc, 0xbb, 0xaa, 0x99, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0}};
    struct writer_note note;
    char text[WRITER_TEXT_BYTES];
    if (writer_note_find(s, &writer, &note))
        FUZZ_CHECK(strlen(writer_note_text(&note, text)) < WRITER_TEXT_BYTES && uid_equal(&note.writer, &writer));
    store_close(s);
    return 0;
}
