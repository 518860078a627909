/* base/thread.h: a thread that takes no signal of the process. */
#include "unit.h"

#include "base/thread.h"

#include <signal.h>

static void *look(void *context)
{
    pthread_sigmask(SIG_BLOCK, NULL, context);
    return NULL;
}

static void the_signals_of_the_process_are_for_others(void **state)
{
    sigset_t there, before, after;
    pthread_t thread;
    (void)state;
    pthread_sigmask(SIG_BLOCK, NULL, &before);
    assert_int_equal(thread_start(&thread, look, &there), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    static const int taken[] = {SIGTERM, SIGINT, SIGHUP, SIGALRM, SIGCHLD, SIGUSR1, SIGPIPE, SIGPROF};
    for (size_t i = 0; i < COUNT_OF(taken); i++)
        assert_true(sigismember(&there, taken[i]));
    assert_false(sigismember(&there, SIGSEGV) || sigismember(&there, SIGBUS));
    pthread_sigmask(SIG_BLOCK, NULL, &after);
    for (int i = 1; i < 32; i++)
        assert_int_equal(sigismember(&before, i), sigismember(&after, i));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_signals_of_the_process_are_for_others)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
