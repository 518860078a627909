/* base/json.c - `struct json` is jansson's json_t under another name.
 *
 * jansson reports a failed allocation as any other error ("string or '}' expected"), and a document can't be marked as
 * incomplete without memory. So jansson allocates here, and the thread notes what failed.
 *
 * The parser of jansson 2.14 goes on after a failed allocation, with a text that lacks its last characters, and writes
 * behind the end of its memory. So it never sees one fail: json_parse leaves it at once, by longjmp, and frees what it
 * had allocated. It has no other state. */
#include "base/json.h"

#include <assert.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local bool lacked; /* an allocation failed: a document of this thread may be incomplete */

struct parse {
    jmp_buf end;
    void **blocks; /* what the parser has allocated and not freed */
    size_t count, cap;
};
static _Thread_local struct parse *parsing;

static bool note_block(struct parse *p, void *block)
{
    if (p->count == p->cap) {
        const size_t cap = p->cap ? 2 * p->cap : 64;
        void **more = realloc(p->blocks, cap * sizeof *more);
        if (!more)
            return false;
        p->blocks = more;
        p->cap = cap;
    }
    p->blocks[p->count++] = block;
    return true;
}

/* What it returns can be freed by free(): in an application that has loaded the extension, jansson may be shared. */
static void *allocate(size_t n)
{
    void *block = malloc(n);
    if (block && parsing && !note_block(parsing, block)) {
        free(block);
        block = NULL;
    }
    lacked = lacked || !block;
    if (!block && parsing)
        longjmp(parsing->end, 1);
    return block;
}

static void release(void *block)
{
    struct parse *p = parsing;
    for (size_t i = p && block ? p->count : 0; i-- > 0;) /* most were allocated a short time ago */
        if (p->blocks[i] == block) {
            p->blocks[i] = p->blocks[--p->count];
            break;
        }
    free(block);
}

/* Before main(), because jansson wants it before its first use, in any thread. */
__attribute__((constructor)) static void allocate_here(void)
{
    json_set_alloc_funcs(allocate, release);
}

static json_t *of(const struct json *j)
{
    return (json_t *)(uintptr_t)j;
}

struct json *json_object_new(void)
{
    return (struct json *)json_object();
}

struct json *json_list_new(void)
{
    return (struct json *)json_array();
}

void json_free(struct json *j)
{
    json_decref(of(j));
}

static json_t *repaired(const char *text)
{
    char *copy = strdup(text);
    lacked = lacked || !copy;
    for (char *p = copy; p && *p;) {
        uint32_t point = 0;
        size_t n = text_decode(p, strlen(p), &point);
        if (n == 0)
            *p = '?';
        p += n ? n : 1;
    }
    json_t *j = copy ? json_string(copy) : NULL;
    free(copy);
    return j;
}

void json_set_text(struct json *object, const char *key, const char *text)
{
    json_t *j = json_string(text);
    json_object_set_new(of(object), key, j || !text ? j : repaired(text));
}

void json_set_number(struct json *object, const char *key, int64_t value)
{
    json_object_set_new(of(object), key, json_integer(value));
}

void json_set_flag(struct json *object, const char *key, bool value)
{
    json_object_set_new(of(object), key, json_boolean(value));
}

void json_set_null(struct json *object, const char *key)
{
    json_object_set_new(of(object), key, json_null());
}

void json_set(struct json *object, const char *key, struct json *value_taken)
{
    json_object_set_new(of(object), key, of(value_taken));
}

void json_push(struct json *list, struct json *value_taken)
{
    json_array_append_new(of(list), of(value_taken));
}

/* jansson escapes C0 controls, but not the other characters that may not reach a terminal (text.h). They occur only in
 * strings, and become \u202E here. Writes to `out`, unless it is NULL. Returns the length. */
static size_t escape(const char *from, char *out)
{
    size_t n = 0;
    uint32_t point = 0;
    for (size_t left = strlen(from), len; left > 0 && (len = text_decode(from, left, &point)) > 0; left -= len) {
        char code[16];
        bool plain = text_is_plain(point) || *from == '\n';
        size_t size = plain ? len
                      : point > 0xffff
                          ? (size_t)snprintf(code, sizeof code, "\\u%04X\\u%04X", 0xd7c0 + (unsigned)(point >> 10),
                                             0xdc00 + (unsigned)(point & 0x3ff))
                          : (size_t)snprintf(code, sizeof code, "\\u%04X", (unsigned)point);
        if (out)
            memcpy(out + n, plain ? from : code, size);
        n += size;
        from += len;
    }
    return n;
}

static char *print(const struct json *j, size_t flags)
{
    char *text = j ? json_dumps(of(j), flags | JSON_PRESERVE_ORDER) : NULL;
    char *line = text && !lacked ? malloc(escape(text, NULL) + 2) : NULL;
    lacked = false;
    if (line)
        memcpy(line + escape(text, line), "\n", 2);
    free(text);
    return line;
}

char *json_print(const struct json *j)
{
    return print(j, JSON_INDENT(2));
}

char *json_print_line(const struct json *j)
{
    return print(j, JSON_COMPACT);
}

/* `p` belongs to the caller, because longjmp may lose what changes in this function. */
static json_t *parse_into(struct parse *p, const void *bytes, size_t n, json_error_t *ret_error)
{
    json_t *volatile j = NULL;
    parsing = p;
    if (setjmp(p->end) == 0)
        j = json_loadb(bytes, n, JSON_REJECT_DUPLICATES, ret_error);
    parsing = NULL;
    return j;
}

/* NULL: `lacked` says whether for lack of memory. */
static json_t *parse(const void *bytes, size_t n, json_error_t *ret_error)
{
    struct parse p = {.blocks = NULL};
    json_t *j = parse_into(&p, bytes, n, ret_error);
    for (size_t i = 0; !j && i < p.count; i++)
        free(p.blocks[i]);
    free(p.blocks);
    return j;
}

int json_parse(const void *bytes, size_t n, struct json **ret_object, struct err *e)
{
    assert(bytes || n == 0);
    json_error_t error;
    const bool lacked_before = lacked;
    lacked = false;
    json_t *j = parse(bytes, n, &error);
    const bool lacks = lacked;
    lacked = lacked_before;
    if (lacks) {
        json_decref(j);
        return err_nomem(e, n);
    }
    if (!j || !json_is_object(j)) {
        bool valid = j != NULL;
        json_decref(j);
        return valid ? err_set(e, ERR_CORRUPT, 0, "the JSON is not an object")
                     : err_set(e, ERR_CORRUPT, 0, "not JSON: line %d: %s", error.line, error.text);
    }
    *ret_object = (struct json *)j;
    return 0;
}

const char *json_get_text(const struct json *object, const char *key)
{
    return json_string_value(json_object_get(of(object), key));
}

bool json_get_number(const struct json *object, const char *key, int64_t *ret_value)
{
    const json_t *v = json_object_get(of(object), key);
    if (!json_is_integer(v))
        return false;
    *ret_value = json_integer_value(v);
    return true;
}

bool json_get_flag(const struct json *object, const char *key)
{
    return json_is_true(json_object_get(of(object), key));
}

bool json_has(const struct json *object, const char *key)
{
    const json_t *v = json_object_get(of(object), key);
    return v && !json_is_null(v);
}

const struct json *json_get(const struct json *object, const char *key)
{
    const json_t *v = json_object_get(of(object), key);
    return json_is_object(v) || json_is_array(v) ? (const struct json *)(const void *)v : NULL;
}

size_t json_count(const struct json *list)
{
    return json_array_size(of(list));
}

const struct json *json_at(const struct json *list, size_t index)
{
    return (const struct json *)(const void *)json_array_get(of(list), index);
}

struct json *json_share(const struct json *j)
{
    return (struct json *)json_incref(of(j));
}
