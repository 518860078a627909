/* import/tree.h - a YAML document as a tree of texts, lists and maps. Only tree.c uses libyaml.
 *
 * Input is bounded: TREE_BYTES_MAX bytes, TREE_DEPTH_MAX levels, TREE_NODES_MAX nodes, TREE_KEYS_MAX keys
 * in one map. An alias is the node of its
 * anchor. The merge key "<<" adds the keys of a map that the map itself does not have. */
#ifndef SEAWALL_IMPORT_TREE_H
#define SEAWALL_IMPORT_TREE_H

#include "base/err.h"

#include <stddef.h>

#define TREE_BYTES_MAX (1u << 20)
#define TREE_DEPTH_MAX 24
#define TREE_NODES_MAX 100000
#define TREE_KEYS_MAX 1000

struct tree_node {
    enum tree_kind { TREE_TEXT, TREE_LIST, TREE_MAP } kind;
    unsigned line;            /* from 1 */
    char *text;               /* TREE_TEXT; owned by the tree, as all that follows */
    struct tree_node **items; /* TREE_LIST: the items; TREE_MAP: key, value, key, value ...; the keys are texts */
    size_t count, cap;        /* of items */
};

struct tree;

/* Parses a document. `n`: at most TREE_BYTES_MAX. The caller frees *ret_tree. ERR_CONFIG: it is not YAML, or exceeds a
 * bound; the message has the line. ERR_NOMEM. */
int tree_parse(const void *bytes, size_t n, struct tree **ret_tree, struct err *e) MUST_CHECK;
void tree_free(struct tree *t); /* NULL is allowed */

/* NULL: the document is empty. */
const struct tree_node *tree_root(const struct tree *t);

/* The value of a key. NULL: it is not there, or `map` is NULL or not a map. */
const struct tree_node *tree_get(const struct tree_node *map, const char *key);

#endif
