/* reader/trees.h - compares the b-trees of a database at two moments by their pages: which rows can differ.
 *
 * The indexes of a replica say which pages differ, without reading one. A table has its rows in the leaves of a b-tree;
 * only pages above the leaves are read, to find them. A leaf that is the same page with the same bytes in both states
 * has the same rows, unless an overflow page of it was written in place. Nothing but its leaf names an overflow page. So
 * each page that differs must be accounted for: it is a page of a b-tree, or free, in one of the states. While one is
 * not, any row can differ.
 *
 * Memory: three bits for each page of the database. Source: SQLite "Database File Format", sections 1.5 and 1.6. */
#ifndef SEAWALL_READER_TREES_H
#define SEAWALL_READER_TREES_H

#include "reader/reader.h"

#define ROW_RANGES_MAX 256

/* Rows that can differ. */
struct row_ranges {
    bool all;     /* any row */
    size_t count; /* of the list; if it is 0 and not `all`, no row differs */
    struct row_range {
        int64_t low, high;  /* rowids, both included */
    } list[ROW_RANGES_MAX]; /* ascending, apart from each other */
};

struct trees;

/* Finds the pages that differ. Both readers are borrowed until trees_close, and must stay at their states. NULL in
 * *ret_trees: the states have pages of different sizes, so nothing can be said. Errors: those of reader_read. */
int trees_open(struct reader *a, struct reader *b, struct trees **ret_trees, struct err *e) MUST_CHECK;
void trees_close(struct trees *t); /* NULL does nothing */

/* Whether a page that differs is not accounted for. */
bool trees_wants_more(const struct trees *t);

/* Accounts for the pages of a b-tree of the older state (0) or the later one (1). Errors: those of reader_read. A tree that is
 * damaged accounts for nothing. */
int trees_account(struct trees *t, int side, uint32_t root, struct err *e) MUST_CHECK;

/* Compares a table whose b-trees have these roots, which the caller found in the schemas. For a table without rowids, and
 * while trees_wants_more, the answer is that any row can differ, or none. Errors: those of reader_read. */
int trees_compare(struct trees *t, const uint32_t roots[2], struct row_ranges *ret_ranges, struct err *e) MUST_CHECK;

#endif
