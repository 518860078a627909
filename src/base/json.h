/* base/json.h - JSON documents, through jansson. The only door to it.
 *
 * Reading is bounded by the caller (it passes the bytes). What the json_get functions return belongs to the document. */
#ifndef SEAWALL_BASE_JSON_H
#define SEAWALL_BASE_JSON_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

struct json; /* an object or an array being read or built */

struct json *json_object_new(void); /* NULL: out of memory */
struct json *json_list_new(void);
void json_free(struct json *j); /* NULL is fine */

void json_set_text(struct json *object, const char *key,
                   const char *text); /* bytes that are no UTF-8 (paths!) become '?' */
void json_set_number(struct json *object, const char *key, int64_t value);
void json_set_flag(struct json *object, const char *key, bool value);
void json_set_null(struct json *object, const char *key);
void json_set(struct json *object, const char *key, struct json *value_taken);
void json_push(struct json *list, struct json *value_taken);

/* The text and a newline; the caller frees. NULL: out of memory. */
char *json_print(const struct json *j);
char *json_print_line(const struct json *j); /* the same on one line */

int json_parse(const void *bytes, size_t n, struct json **ret_object, struct err *e) MUST_CHECK; /* ERR_CORRUPT */
const char *json_get_text(const struct json *object, const char *key);                           /* NULL: not there */
bool json_get_number(const struct json *object, const char *key, int64_t *ret_value);
bool json_get_flag(const struct json *object, const char *key); /* false: false, or not there */
bool json_has(const struct json *object, const char *key);      /* and it is not null */
const struct json *json_get(const struct json *object,
                            const char *key); /* an object or a list; NULL: not there, null, or neither */
size_t json_count(const struct json *list);   /* NULL has none */
const struct json *json_at(const struct json *list, size_t index);

#endif
