/* base/text.h - text that a person reads. Text from outside (names in a replica, messages of a server, paths, values of
 * a configuration, the answer of a daemon) can have bytes that control a terminal, or a line break that forges a line
 * of the log. So every error, line of the log and line of output is made here, with each %s and %c escaped.
 *
 * ASCII control characters and bytes that are not UTF-8 are written as \x1b. Other characters that control a terminal,
 * change the direction of a line, or have no width are written as \u202e. A backslash stays as it is, so escaping a
 * text a second time changes nothing. */
#ifndef SEAWALL_BASE_TEXT_H
#define SEAWALL_BASE_TEXT_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

#define TEXT_HINT "\n  HINT: " /* between a message and its hint */

/* What becomes of line breaks in an argument. Line breaks of `fmt` itself always stay. */
enum text_breaks {
    TEXT_ESCAPED, /* they are escaped */
    /* One TEXT_HINT stays: that of an argument that can be the message of a struct err. That argument ends `fmt`, or
     * only a line break is behind it; `fmt` has no hint itself, and does not begin with a blank, as rows of a list do.
     * All other arguments can be names, in which it is escaped. So a name between quotes can't forge a hint. */
    TEXT_HINT_STAYS,
};

/* The length of a message without its hint, for "%.*s": a message can't be in the middle of another one with it. */
int text_front(const char *message);

/* The hint of a message, or NULL. */
const char *text_hint(const char *message);

/* Like snprintf, with each %s and %c escaped. Returns the length of the whole text, even if `out` was too small for it.
 * Conversions: d i u x X o c s p e f g and %, with flags, width, precision, and the lengths hh h l ll j z t. */
size_t text_format(char *out, size_t size, const char *fmt, ...) PRINTF_LIKE(3, 4);
size_t text_vformat(char *out, size_t size, enum text_breaks breaks, const char *fmt, va_list args);

/* Prints to stdout or to `out`, with TEXT_HINT_STAYS. An error of the stream stays in ferror(). */
void text_print(const char *fmt, ...) PRINTF_LIKE(1, 2);
void text_print_to(FILE *out, const char *fmt, ...) PRINTF_LIKE(2, 3);
void text_vprint_to(FILE *out, const char *fmt, va_list args);

/* Prints a text unchanged: one that is part of the program, or JSON, which has escapes of its own. */
void text_put(FILE *out, const char *safe);

/* The length of the UTF-8 character at the front of `n` bytes, and its code point. 0: the bytes are not UTF-8. */
size_t text_decode(const char *bytes, size_t n, uint32_t *ret_point);

/* Whether a character may reach a terminal as it is. */
int text_is_plain(uint32_t point);

#endif
