/* base/text.h - text that a person reads. What comes from outside (names in a replica, messages of a server, paths,
 * values of a configuration, the answer of a daemon) can hold bytes that a terminal obeys, or a line break that forges
 * a line of the log. So each %s and %c is escaped here, and every error, line of the log and line of output is made
 * here.
 *
 * Escaped are control characters and bytes that are not UTF-8, as \x1b; and as \u202e the characters that control a
 * terminal, change the direction of a line, or have no width. A backslash stays as it is: text that was escaped is not
 * changed by a second time. */
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
    TEXT_ESCAPED,    /* they are escaped */
    TEXT_HINT_STAYS, /* the one of TEXT_HINT stays: an argument can be the message of a struct err */
};

/* Like snprintf, with each %s and %c escaped. Returns the length of the whole text, even if it was cut to fit.
 * Conversions: d i u x X o c s p e f g and %, with flags, width, precision, and the lengths hh h l ll j z t. */
size_t text_format(char *out, size_t size, const char *fmt, ...) PRINTF_LIKE(3, 4);
size_t text_vformat(char *out, size_t size, enum text_breaks breaks, const char *fmt, va_list args);

/* Prints to stdout or to `out`, with TEXT_HINT_STAYS. An error of the stream stays in ferror(). */
void text_print(const char *fmt, ...) PRINTF_LIKE(1, 2);
void text_print_to(FILE *out, const char *fmt, ...) PRINTF_LIKE(2, 3);
void text_vprint_to(FILE *out, const char *fmt, va_list args);

/* Prints as it is a text that the program wrote itself, or JSON, which has escapes of its own. */
void text_put(FILE *out, const char *safe);

/* The length of the UTF-8 character at the front of `n` bytes, and its code point. 0: the bytes are not UTF-8. */
size_t text_decode(const char *bytes, size_t n, uint32_t *ret_point);

/* Whether a character may reach a terminal as it is. */
int text_is_plain(uint32_t point);

#endif
