/* base/json.h - reads and builds JSON documents. Only json.c uses jansson.
 *
 * The caller bounds the size of a text that is parsed. Values that the json_get functions return belong to the
 * document. */
#ifndef SEAWALL_BASE_JSON_H
#define SEAWALL_BASE_JSON_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

struct json; /* an object or a list */

/* ---- building
 *
 * Out of memory: functions that return a document return NULL, which the others take as a document; they leave the
 * value out. The thread remembers that: the next document that it prints is NULL. So what is printed is never
 * incomplete. */

struct json *json_object_new(void);
struct json *json_list_new(void);
void json_free(struct json *j); /* NULL does nothing */

/* Sets a text. Bytes that are not UTF-8 (in a path) become '?'. If `text` is NULL, the key is left out. */
void json_set_text(struct json *object, const char *key, const char *text);
void json_set_number(struct json *object, const char *key, int64_t value);
void json_set_flag(struct json *object, const char *key, bool value);
void json_set_null(struct json *object, const char *key);

/* Add a value, and take ownership of it. */
void json_set(struct json *object, const char *key, struct json *value_taken);
void json_push(struct json *list, struct json *value_taken);

/* Writes the document, with a newline at its end. Characters that may not reach a terminal (text.h) are escaped. The
 * caller frees it. NULL: out of memory, here or since this thread last printed a document. */
char *json_print(const struct json *j);
char *json_print_line(const struct json *j); /* on one line */

/* ---- reading */

/* Parses an object. The caller frees *ret_object. ERR_CORRUPT: not a JSON object, or a key occurs twice. The message
 * can quote the text. ERR_NOMEM. */
int json_parse(const void *bytes, size_t n, struct json **ret_object, struct err *e) MUST_CHECK;

const char *json_get_text(const struct json *object, const char *key);                /* NULL: not there */
bool json_get_number(const struct json *object, const char *key, int64_t *ret_value); /* false: not there */
bool json_get_flag(const struct json *object, const char *key);                       /* false also if not there */
bool json_has(const struct json *object, const char *key);                            /* there, and not null */
const struct json *json_get(const struct json *object, const char *key); /* object or list; NULL: neither is there */
size_t json_count(const struct json *list);                              /* 0 for NULL */
const struct json *json_at(const struct json *list, size_t index);

/* The same document for a second owner; to be freed too. */
struct json *json_share(const struct json *j);

#endif
