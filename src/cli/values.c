/* cli/values.c */
#include "cli/values.h"

#include "base/text.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void value_print_text(const char *bytes, size_t n)
{
    while (n > 0) {
        const size_t part = strnlen(bytes, n);
        text_print("%.*s", (int)part, bytes);
        if (part == n)
            return;
        text_put(stdout, "\\x00");
        bytes += part + 1;
        n -= part + 1;
    }
}

static void print_hex(const char *bytes, size_t n)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < n; i++) {
        const char two[] = {digits[(unsigned char)bytes[i] >> 4], digits[bytes[i] & 15], 0};
        text_put(stdout, two);
    }
}

static const char *text_of(sqlite3_stmt *row, int column, size_t *ret_n)
{
    const char *text = (const char *)sqlite3_column_text(row, column);
    *ret_n = text ? (size_t)sqlite3_column_bytes(row, column) : 0;
    return text ? text : "";
}

static const char *blob_of(sqlite3_stmt *row, int column, size_t *ret_n)
{
    const char *blob = sqlite3_column_blob(row, column);
    *ret_n = blob ? (size_t)sqlite3_column_bytes(row, column) : 0;
    return blob ? blob : "";
}

static void print_blob(sqlite3_stmt *row, int column)
{
    size_t n = 0;
    const char *blob = blob_of(row, column, &n);
    text_put(stdout, "X'");
    print_hex(blob, n);
    text_put(stdout, "'");
}

/* ---- numbers */

/* The shortest text that gives the same number, with a point or an exponent, so that it stays a real. A real of SQLite
 * is never a NaN. */
static void print_real(double value)
{
    char text[40];
    if (value > DBL_MAX || value < -DBL_MAX) {
        text_put(stdout, value > 0 ? "9e999" : "-9e999");
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    text_put(stdout, text);
    if (!strpbrk(text, ".e"))
        text_put(stdout, ".0");
}

/* NULL, and numbers. False: the value is a text or a BLOB. */
static bool print_simple(sqlite3_stmt *row, int column, const char *null)
{
    switch (sqlite3_column_type(row, column)) {
    case SQLITE_NULL:
        text_put(stdout, null);
        return true;
    case SQLITE_INTEGER:
        text_print("%" PRId64, (int64_t)sqlite3_column_int64(row, column));
        return true;
    case SQLITE_FLOAT:
        print_real(sqlite3_column_double(row, column));
        return true;
    default:
        return false;
    }
}

/* ---- texts */

void value_print_literal(sqlite3_stmt *row, int column)
{
    size_t n = 0;
    if (print_simple(row, column, "NULL"))
        return;
    if (sqlite3_column_type(row, column) == SQLITE_BLOB) {
        print_blob(row, column);
        return;
    }
    const char *text = text_of(row, column, &n), *quote = NULL;
    text_put(stdout, "'");
    while (n > 0 && (quote = memchr(text, '\'', n))) {
        value_print_text(text, (size_t)(quote - text));
        text_put(stdout, "''");
        n -= (size_t)(quote - text) + 1;
        text = quote + 1;
    }
    value_print_text(text, n);
    text_put(stdout, "'");
}

static void print_json_character(const char *bytes, size_t len, uint32_t point)
{
    if (point == '"' || point == '\\')
        text_put(stdout, point == '"' ? "\\\"" : "\\\\");
    else if (text_is_plain(point))
        text_print("%.*s", (int)len, bytes);
    else if (point <= 0xffff)
        text_print("\\u%04" PRIx32, point);
    else
        text_print("\\u%04" PRIx32 "\\u%04" PRIx32, 0xd800 + ((point - 0x10000) >> 10), 0xdc00 + (point & 0x3ff));
}

void value_print_json_text(const char *bytes, size_t n)
{
    text_put(stdout, "\"");
    while (n > 0) {
        size_t plain = 0;
        while (plain < n && bytes[plain] >= ' ' && bytes[plain] < 0x7f && bytes[plain] != '"' && bytes[plain] != '\\')
            plain++;
        text_print("%.*s", (int)plain, bytes); /* a value of SQLite has less than 2 GiB */
        bytes += plain;
        n -= plain;
        if (n == 0)
            break;
        uint32_t point = 0;
        size_t len = text_decode(bytes, n, &point);
        if (len == 0)
            point = 0xfffd;
        print_json_character(len ? bytes : "\xef\xbf\xbd", len ? len : 3, point);
        bytes += len ? len : 1;
        n -= len ? len : 1;
    }
    text_put(stdout, "\"");
}

static bool is_utf8(const char *bytes, size_t n)
{
    uint32_t point = 0;
    while (n > 0) {
        const size_t len = text_decode(bytes, n, &point);
        if (len == 0)
            return false;
        bytes += len;
        n -= len;
    }
    return true;
}

void value_print_json(sqlite3_stmt *row, int column)
{
    size_t n = 0;
    if (print_simple(row, column, "null"))
        return;
    if (sqlite3_column_type(row, column) == SQLITE_BLOB) {
        text_put(stdout, "\"");
        print_blob(row, column);
        text_put(stdout, "\"");
        return;
    }
    const char *text = text_of(row, column, &n);
    if (is_utf8(text, n)) {
        value_print_json_text(text, n);
        return;
    }
    text_put(stdout, "\"CAST(X'");
    print_hex(text, n);
    text_put(stdout, "' AS TEXT)\"");
}

/* ---- comparing */

bool value_same(sqlite3_stmt *row, int one, int other)
{
    const int type = sqlite3_column_type(row, one);
    size_t n = 0, m = 0;
    if (type != sqlite3_column_type(row, other))
        return false;
    if (type == SQLITE_INTEGER)
        return sqlite3_column_int64(row, one) == sqlite3_column_int64(row, other);
    if (type == SQLITE_FLOAT) { /* 0.0 is not -0.0 */
        const double x = sqlite3_column_double(row, one), y = sqlite3_column_double(row, other);
        return x == y && signbit(x) == signbit(y); /* SQLite has no NaN */
    }
    if (type == SQLITE_NULL)
        return true;
    const bool text = type == SQLITE_TEXT;
    const char *first = text ? text_of(row, one, &n) : blob_of(row, one, &n);
    const char *second = text ? text_of(row, other, &m) : blob_of(row, other, &m);
    return n == m && memcmp(first, second, n) == 0;
}
