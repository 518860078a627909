/* base/json.c - `struct json` is jansson's json_t under a name of ours. Building does not fail call by call: what does not fit into
 * memory is missing from the result, and json_print returns NULL for a NULL document. */
#include "base/json.h"

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

void json_set_text(struct json *object, const char *key, const char *text)
{
    json_object_set_new(of(object), key, json_string(text));
}

void json_set_number(struct json *object, const char *key, int64_t value)
{
    json_object_set_new(of(object), key, json_integer(value));
}

void json_set_flag(struct json *object, const char *key, bool value)
{
    json_object_set_new(of(object), key, json_boolean(value));
}

void json_set(struct json *object, const char *key, struct json *value_taken)
{
    json_object_set_new(of(object), key, of(value_taken));
}

void json_push(struct json *list, struct json *value_taken)
{
    json_array_append_new(of(list), of(value_taken));
}

char *json_print(const struct json *j)
{
    char *text = j ? json_dumps(of(j), JSON_INDENT(2) | JSON_PRESERVE_ORDER) : NULL;
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

int json_parse(const void *bytes, size_t n, struct json **ret_object, struct err *e)
{
    json_error_t error;
    json_t *j = json_loadb(bytes, n, JSON_REJECT_DUPLICATES, &error);
    if (!j || !json_is_object(j)) {
        bool valid = j != NULL;
        json_decref(j);
        return valid ? err_set(e, ERR_CORRUPT, 0, "JSON, but no object")
                     : err_set(e, ERR_CORRUPT, 0, "no JSON: line %d: %s", error.line, error.text);
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
