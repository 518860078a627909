/* reader/fork.c */
#include "reader/fork.h"

#include <pthread.h>
#include <stdatomic.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static atomic_uint generation;

static void in_child(void)
{
    atomic_fetch_add(&generation, 1);
}

static void watch_forks(void)
{
    /* Without memory for it, a child takes itself for its parent: then the check of each request (http/http.h) is
     * left. */
    int rc = pthread_atfork(NULL, NULL, in_child);
    (void)rc;
}

unsigned fork_generation(void)
{
    pthread_once(&once, watch_forks);
    return atomic_load(&generation);
}

int fork_forgets(void (*forget)(void))
{
    return pthread_atfork(NULL, NULL, forget) == 0 ? 0 : -1;
}
