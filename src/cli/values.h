/* cli/values.h - values of SQLite as text on stdout, for the commands that show rows. */
#ifndef SEAWALL_CLI_VALUES_H
#define SEAWALL_CLI_VALUES_H

#include <sqlite3.h>

#include <stdbool.h>
#include <stddef.h>

/* Prints `n` bytes of text, escaped as text_print does it. A NUL is \x00. */
void value_print_text(const char *bytes, size_t n);

/* Prints a JSON string. Bytes that are not UTF-8 become U+FFFD. */
void value_print_json_text(const char *bytes, size_t n);

/* Prints the value of a column of the current row as a SQL literal. Infinity is 9e999. */
void value_print_literal(sqlite3_stmt *row, int column);

/* Prints it as JSON. A BLOB is a string X'...'; a text that is not UTF-8 is a string CAST(X'...' AS TEXT). */
void value_print_json(sqlite3_stmt *row, int column);

/* Whether two columns of a row have the same type and the same bytes. */
bool value_same(sqlite3_stmt *row, int one, int other);

#endif
