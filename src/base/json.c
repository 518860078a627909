/* base/json.c - `struct json` is jansson's json_t under another name. The functions that build return no errors: a
 * value that does not fit into memory is missing in the document. json_print returns NULL for a document that is NULL.
 */
#include "base/json.h"

#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

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

/* The number of bytes of `p` that are one character of valid UTF-8, as jansson sees it. 0: none. */
static size_t utf8_length(const char *p)
{
    for (size_t n = 1; n <= 4 && p[n - 1]; n++) {
        json_t *j = json_stringn(p, n);
        json_decref(j);
        if (j)
            return n;
    }
    return 0;
}

static json_t *repaired(const char *text)
{
    char *copy = strdup(text);
    for (char *p = copy; p && *p;) {
        size_t n = utf8_length(p);
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

static char *print(const struct json *j, size_t flags)
{
    char *text = j ? json_dumps(of(j), flags | JSON_PRESERVE_ORDER) : NULL;
    if (!text)
        return NULL;
    size_t n = strlen(text);
    char *line = realloc(text, n + 2);
    if (!line) {
        free(text);
        return NULL;
    }
    memcpy(line + n, "\n", 2);
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

int json_parse(const void *bytes, size_t n, struct json **ret_object, struct err *e)
{
    assert(bytes || n == 0);
    json_error_t error;
    json_t *j = json_loadb(bytes, n, JSON_REJECT_DUPLICATES, &error);
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
