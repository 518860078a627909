/* import/tree.h: YAML as a tree, within its bounds. */
#include "unit.h"

#include "failing_alloc.h"
#include "import/tree.h"

static struct tree *tree;
static struct err e;

static const struct tree_node *parse(const char *text)
{
    tree_free(tree);
    tree = NULL;
    assert_ok(tree_parse(text, strlen(text), &tree, &e), &e);
    return tree_root(tree);
}

static void fails(const char *text, const char *message)
{
    struct tree *none = NULL;
    assert_error(tree_parse(text, strlen(text), &none, &e), &e, ERR_CONFIG);
    assert_contains(e.msg, message);
    assert_null(none);
}

static void a_document_has_texts_lists_and_maps(void **state)
{
    (void)state;
    const struct tree_node *root = parse("a: 1\nb:\n  - x\n  - {c: 'two words', d: [y]}\n");
    assert_int_equal(root->kind, TREE_MAP);
    assert_string_equal(tree_get(root, "a")->text, "1");
    const struct tree_node *list = tree_get(root, "b");
    assert_true(list->kind == TREE_LIST && list->count == 2 && list->items[0]->line == 3);
    assert_string_equal(tree_get(list->items[1], "c")->text, "two words");
    assert_int_equal(tree_get(list->items[1], "d")->count, 1);
    assert_null(tree_get(root, "z"));
    assert_null(tree_get(list, "a"));
    assert_null(tree_get(NULL, "a"));
    assert_null(parse(""));
}

static void an_alias_is_the_node_of_its_anchor(void **state)
{
    (void)state;
    const struct tree_node *root = parse("a: &x {k: 1, l: 2}\nb: *x\nc: {<<: *x, l: 3}\n");
    assert_ptr_equal(tree_get(root, "a"), tree_get(root, "b"));
    assert_string_equal(tree_get(tree_get(root, "c"), "k")->text, "1");
    assert_string_equal(tree_get(tree_get(root, "c"), "l")->text, "3");
    fails("a: &x [*x]", "line 1: the alias has no anchor");
}

static void bounds_are_errors(void **state)
{
    char deep[200];
    (void)state;
    memset(deep, '[', 100);
    memset(deep + 100, ']', 99);
    deep[199] = 0;
    fails(deep, "levels");
    char *many = malloc(4 * TREE_NODES_MAX);
    memset(many, 0, 4 * TREE_NODES_MAX);
    many[0] = '[';
    for (size_t i = 0; i <= TREE_NODES_MAX; i++)
        memcpy(many + 1 + 2 * i, "x,", 2);
    fails(many, "nodes");
    char *at = many;
    for (int i = 0; i <= TREE_KEYS_MAX; i++)
        at += sprintf(at, "k%d: x\n", i);
    fails(many, "keys in one map");
    free(many);
    fails("a: [", "not valid YAML");
    fails("? [a]\n: b", "a key must be a text");
    fails("a: \"x\\0y\"", "NUL");
}

static int parse_all(void *context, struct err *error)
{
    struct tree *t = NULL;
    const char *text = context;
    int rc = tree_parse(text, strlen(text), &t, error);
    tree_free(t);
    return rc;
}

static void each_failing_allocation_is_an_error(void **state)
{
    char text[] = "a: &x {k: 1}\nb: [*x, {<<: *x}]\n";
    (void)state;
    assert_each_allocation_fails_once(parse_all, text);
}

static int end(void **state)
{
    (void)state;
    tree_free(tree);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(a_document_has_texts_lists_and_maps),
        UNIT(an_alias_is_the_node_of_its_anchor),
        UNIT(bounds_are_errors),
        UNIT(each_failing_allocation_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, end);
}
