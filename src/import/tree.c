/* import/tree.c */
#include "import/tree.h"

#include "base/array.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

struct anchor {
    char *name;
    struct tree_node *node;
};

struct tree {
    struct tree_node *root;
    struct tree_node **all; /* every node once */
    size_t count, cap;
    struct anchor *anchors;
    size_t anchor_count, anchor_cap;
    size_t links; /* items of all lists and maps: aliases make more of them than nodes */
    yaml_parser_t parser;
};

static int read_node(struct tree *t, const yaml_event_t *first, unsigned depth, struct tree_node **ret, struct err *e);

static int at_line(struct err *e, unsigned line)
{
    return err_wrap(e, "line %u", line);
}

static int too_large(struct err *e, unsigned line)
{
    err_set(e, ERR_CONFIG, 0, "the document has over %d nodes, %d levels, or %d keys in one map", TREE_NODES_MAX,
            TREE_DEPTH_MAX, TREE_KEYS_MAX);
    return at_line(e, line);
}

static int next_event(struct tree *t, yaml_event_t *ret, struct err *e)
{
    if (yaml_parser_parse(&t->parser, ret))
        return 0;
    if (t->parser.error == YAML_MEMORY_ERROR)
        return err_nomem(e, 0);
    err_set(e, ERR_CONFIG, 0, "not valid YAML: %s", t->parser.problem ? t->parser.problem : "unknown");
    return at_line(e, (unsigned)t->parser.problem_mark.line + 1);
}

static int new_node(struct tree *t, enum tree_kind kind, unsigned line, struct tree_node **ret, struct err *e)
{
    if (t->count == TREE_NODES_MAX)
        return too_large(e, line);
    if (array_reserve(&t->all, &t->cap, t->count + 1, sizeof *t->all, e))
        return -1;
    struct tree_node *n = calloc(1, sizeof *n);
    if (!n)
        return err_nomem(e, sizeof *n);
    *n = (struct tree_node){.kind = kind, .line = line};
    t->all[t->count++] = n;
    *ret = n;
    return 0;
}

static int add_item(struct tree *t, struct tree_node *to, struct tree_node *item, struct err *e)
{
    if (++t->links > TREE_NODES_MAX || (to->kind == TREE_MAP && to->count >= 2 * TREE_KEYS_MAX))
        return too_large(e, item->line);
    if (array_reserve(&to->items, &to->cap, to->count + 1, sizeof *to->items, e))
        return -1;
    to->items[to->count++] = item;
    return 0;
}

static int set_anchor(struct tree *t, const yaml_char_t *name, struct tree_node *node, struct err *e)
{
    if (!name)
        return 0;
    if (array_reserve(&t->anchors, &t->anchor_cap, t->anchor_count + 1, sizeof *t->anchors, e))
        return -1;
    char *copy = strdup((const char *)name);
    if (!copy)
        return err_nomem(e, 0);
    t->anchors[t->anchor_count++] = (struct anchor){.name = copy, .node = node};
    return 0;
}

/* An anchor counts from the end of its node on, so no node can have itself in it. */
static int follow_alias(const struct tree *t, const yaml_event_t *alias, struct tree_node **ret, struct err *e)
{
    for (size_t i = t->anchor_count; i-- > 0;)
        if (strcmp(t->anchors[i].name, (const char *)alias->data.alias.anchor) == 0) {
            *ret = t->anchors[i].node;
            return 0;
        }
    err_set(e, ERR_CONFIG, 0, "the alias has no anchor before it");
    return at_line(e, (unsigned)alias->start_mark.line + 1);
}

/* Reads the items of a list or map up to its end. */
static int read_items(struct tree *t, struct tree_node *into, yaml_event_type_t end, unsigned depth, struct err *e)
{
    for (;;) {
        yaml_event_t event;
        struct tree_node *item = NULL;
        if (next_event(t, &event, e))
            return -1;
        const bool ends = event.type == end;
        int rc = ends ? 0 : read_node(t, &event, depth + 1, &item, e);
        yaml_event_delete(&event);
        if (rc || ends)
            return rc;
        const bool key = into->kind == TREE_MAP && into->count % 2 == 0;
        if (key && item->kind != TREE_TEXT) {
            err_set(e, ERR_CONFIG, 0, "a key must be a text");
            return at_line(e, item->line);
        }
        if (add_item(t, into, item, e))
            return -1;
    }
}

/* Adds the keys of the maps that "<<" names. */
static int merge(struct tree *t, struct tree_node *map, struct err *e)
{
    const struct tree_node *from = tree_get(map, "<<");
    for (size_t i = 0; from && from->kind == TREE_MAP && i < from->count; i += 2)
        if (!tree_get(map, from->items[i]->text) &&
            (add_item(t, map, from->items[i], e) || add_item(t, map, from->items[i + 1], e)))
            return -1;
    return 0;
}

static int read_text(struct tree *t, const yaml_event_t *event, struct tree_node **ret, struct err *e)
{
    if (new_node(t, TREE_TEXT, (unsigned)event->start_mark.line + 1, ret, e))
        return -1;
    if (strlen((const char *)event->data.scalar.value) != event->data.scalar.length) {
        err_set(e, ERR_CONFIG, 0, "a text has a NUL byte");
        return at_line(e, (*ret)->line);
    }
    (*ret)->text = strdup((const char *)event->data.scalar.value);
    return (*ret)->text ? set_anchor(t, event->data.scalar.anchor, *ret, e) : err_nomem(e, 0);
}

static int read_node(struct tree *t, const yaml_event_t *first, unsigned depth, struct tree_node **ret, struct err *e)
{
    const unsigned line = (unsigned)first->start_mark.line + 1;
    if (depth > TREE_DEPTH_MAX)
        return too_large(e, line);
    switch (first->type) {
    case YAML_SCALAR_EVENT:
        return read_text(t, first, ret, e);
    case YAML_ALIAS_EVENT:
        return follow_alias(t, first, ret, e);
    case YAML_SEQUENCE_START_EVENT:
        return new_node(t, TREE_LIST, line, ret, e) || read_items(t, *ret, YAML_SEQUENCE_END_EVENT, depth, e) ||
                       set_anchor(t, first->data.sequence_start.anchor, *ret, e)
                   ? -1
                   : 0;
    case YAML_MAPPING_START_EVENT:
        return new_node(t, TREE_MAP, line, ret, e) || read_items(t, *ret, YAML_MAPPING_END_EVENT, depth, e) ||
                       merge(t, *ret, e) || set_anchor(t, first->data.mapping_start.anchor, *ret, e)
                   ? -1
                   : 0;
    default:
        err_set(e, ERR_CONFIG, 0, "malformed YAML");
        return at_line(e, line);
    }
}

/* Reads events up to the end of the first document. */
static int read_document(struct tree *t, struct err *e)
{
    for (;;) {
        yaml_event_t event;
        int rc = 0;
        if (next_event(t, &event, e))
            return -1;
        const bool ends = event.type == YAML_DOCUMENT_END_EVENT || event.type == YAML_STREAM_END_EVENT;
        if (event.type != YAML_STREAM_START_EVENT && event.type != YAML_DOCUMENT_START_EVENT && !ends)
            rc = read_node(t, &event, 0, &t->root, e);
        yaml_event_delete(&event);
        if (rc || ends)
            return rc;
    }
}

int tree_parse(const void *bytes, size_t n, struct tree **ret_tree, struct err *e)
{
    assert(n <= TREE_BYTES_MAX);
    struct tree *t = calloc(1, sizeof *t);
    *ret_tree = NULL;
    if (!t)
        return err_nomem(e, sizeof *t);
    if (!yaml_parser_initialize(&t->parser)) {
        free(t);
        return err_nomem(e, 0);
    }
    yaml_parser_set_input_string(&t->parser, bytes, n);
    int rc = read_document(t, e);
    yaml_parser_delete(&t->parser);
    if (rc)
        tree_free(t);
    else
        *ret_tree = t;
    return rc;
}

void tree_free(struct tree *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->count; i++) {
        free(t->all[i]->text);
        free(t->all[i]->items);
        free(t->all[i]);
    }
    for (size_t i = 0; i < t->anchor_count; i++)
        free(t->anchors[i].name);
    free(t->all);
    free(t->anchors);
    free(t);
}

const struct tree_node *tree_root(const struct tree *t)
{
    return t->root;
}

const struct tree_node *tree_get(const struct tree_node *map, const char *key)
{
    for (size_t i = 0; map && map->kind == TREE_MAP && i + 1 < map->count; i += 2)
        if (strcmp(map->items[i]->text, key) == 0)
            return map->items[i + 1];
    return NULL;
}
