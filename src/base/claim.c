/* base/claim.c */
#include "base/claim.h"

#include <assert.h>
#include <stdatomic.h>

static atomic_size_t claim_limit = CLAIM_LIMIT_DEFAULT;
static atomic_size_t claim_taken;

static unsigned long long mib_up(size_t bytes)
{
    return (bytes + ((1u << 20) - 1)) >> 20;
}

void claim_set_limit(size_t bytes)
{
    atomic_store(&claim_limit, bytes);
}

int claim_take(size_t bytes, struct err *e)
{
    const size_t limit = atomic_load(&claim_limit);
    size_t taken = atomic_load(&claim_taken);
    while (taken <= limit && bytes <= limit - taken)
        if (atomic_compare_exchange_weak(&claim_taken, &taken, taken + bytes))
            return 0;
    err_set(e, ERR_CLAIM, 0, "needs %llu MiB of memory, and %llu of %llu MiB are left for what is read from replicas",
            mib_up(bytes), taken < limit ? (unsigned long long)(limit - taken) >> 20 : 0ull,
            (unsigned long long)limit >> 20);
    return err_hint(e, "a damaged or forged object can claim anything. If you trust this replica, raise --memory");
}

void claim_give(size_t bytes)
{
    const size_t before = atomic_fetch_sub(&claim_taken, bytes);
    assert(before >= bytes);
    (void)before;
}

bool claim_is_tight(void)
{
    return atomic_load(&claim_taken) > atomic_load(&claim_limit) / 2;
}
