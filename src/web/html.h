/* web/html.h - text in a page of HTML. */
#ifndef SEAWALL_WEB_HTML_H
#define SEAWALL_WEB_HTML_H

#include <stdint.h>
#include <stdio.h>

/* Prints a text from outside: characters of HTML are escaped, and what a terminal must not get is written as in
 * base/text.h. It is safe between tags, and between double quotes in an attribute. NULL prints nothing. */
void html_text(FILE *out, const char *text);

/* Prints a time span in its largest unit: "250 ms", "12 s", "5 min", "3 h", "9 days". */
void html_span(FILE *out, int64_t ms);

/* Prints a moment, wall clock, in UTC: "2026-03-01 12:00:00 UTC". */
void html_moment(FILE *out, int64_t ms);

/* Prints a size, as in "1.2 MB". */
void html_size(FILE *out, uint64_t bytes);

/* Prints a number with separators: "12,345". */
void html_number(FILE *out, uint64_t n);

#endif
