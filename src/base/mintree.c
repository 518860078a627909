/* base/mintree.c */
#include "base/mintree.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int mintree_init(struct mintree *t, size_t count, struct err *e)
{
    size_t leaves = 1;
    while (leaves <= count)
        leaves *= 2;
    *t = (struct mintree){.nodes = malloc(2 * leaves * sizeof *t->nodes), .leaves = leaves};
    if (!t->nodes)
        return err_nomem(e, 2 * leaves * sizeof *t->nodes);
    memset(t->nodes, 0xff, 2 * leaves * sizeof *t->nodes);
    return 0;
}

void mintree_release(struct mintree *t)
{
    free(t->nodes);
    *t = (struct mintree){0};
}

void mintree_set(struct mintree *t, size_t index, uint64_t value)
{
    assert(index < t->leaves);
    size_t at = t->leaves + index;
    t->nodes[at] = value;
    for (at /= 2; at > 0; at /= 2) {
        uint64_t left = t->nodes[2 * at], right = t->nodes[2 * at + 1];
        t->nodes[at] = left < right ? left : right;
    }
}

uint64_t mintree_get(const struct mintree *t, size_t index)
{
    assert(index < t->leaves);
    return t->nodes[t->leaves + index];
}

bool mintree_last(const struct mintree *t, size_t below, uint64_t upto, size_t *ret_index)
{
    assert(below < t->leaves && upto < MINTREE_NONE);
    size_t at = t->leaves + below;
    while (at > 1 && !(at % 2 == 1 && t->nodes[at - 1] <= upto))
        at /= 2;
    if (at <= 1)
        return false;
    for (at--; at < t->leaves;)
        at = t->nodes[2 * at + 1] <= upto ? 2 * at + 1 : 2 * at;
    *ret_index = at - t->leaves;
    return true;
}

bool mintree_least(const struct mintree *t, size_t below, size_t *ret_index)
{
    assert(below < t->leaves);
    uint64_t least = MINTREE_NONE;
    size_t at = 0;
    for (size_t i = t->leaves + below; i > 1; i /= 2) /* the parts before `below`, the last one first */
        if (i % 2 == 1 && t->nodes[i - 1] != MINTREE_NONE && t->nodes[i - 1] <= least) {
            at = i - 1;
            least = t->nodes[at];
        }
    if (at == 0)
        return false;
    while (at < t->leaves)
        at = t->nodes[2 * at] == least ? 2 * at : 2 * at + 1;
    *ret_index = at - t->leaves;
    return true;
}

bool mintree_first(const struct mintree *t, size_t from, uint64_t upto, size_t *ret_index)
{
    assert(from < t->leaves && upto < MINTREE_NONE);
    size_t at = t->leaves + from;
    if (t->nodes[at] > upto) {
        while (at > 1 && !(at % 2 == 0 && t->nodes[at + 1] <= upto))
            at /= 2;
        if (at <= 1)
            return false;
        at++;
    }
    while (at < t->leaves)
        at = t->nodes[2 * at] <= upto ? 2 * at : 2 * at + 1;
    *ret_index = at - t->leaves;
    return true;
}
