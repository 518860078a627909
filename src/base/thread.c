/* base/thread.c */
#include "base/thread.h"

#include <signal.h>

int thread_start(pthread_t *ret_thread, void *(*run)(void *context), void *context)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT};
    sigset_t taken, before;
    sigfillset(&taken);
    for (unsigned i = 0; i < sizeof faults / sizeof faults[0]; i++)
        sigdelset(&taken, faults[i]);
    pthread_sigmask(SIG_BLOCK, &taken, &before);
    const int rc = pthread_create(ret_thread, NULL, run, context);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

size_t threads_start(pthread_t *ret_threads, size_t count, void *(*run)(void *context), void *context)
{
    size_t started = 0;
    while (started < count && thread_start(&ret_threads[started], run, context) == 0)
        started++;
    return started;
}

void threads_join(const pthread_t *threads, size_t started)
{
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
}
