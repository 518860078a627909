/* The store in memory, which other tests use, keeps the contract of base/store.h too. */
#include "memory_store.h"
#include "store_contract.h"

static struct store *place;
static struct store_ops shared_ops; /* every handle is the place itself, so closing one does nothing */

static void close_handle(struct store *s)
{
    (void)s;
}

static int clear(void **state)
{
    (void)state;
    place = memory_store_new();
    if (!place)
        return -1;
    shared_ops = *place->ops;
    shared_ops.close = close_handle;
    place->ops = &shared_ops;
    return 0;
}

static int forget(void **state)
{
    (void)state;
    memory_store_close(place);
    return 0;
}

static struct store *open_handle(void)
{
    return place;
}

static struct store_under_test memory = {.open = open_handle, .clear = clear, .forget = forget, .one_process = true};

int main(void)
{
    struct CMUnitTest tests[STORE_CONTRACT_MAX];
    return store_run_tests(tests, store_contract_tests("memory", &memory, tests));
}
