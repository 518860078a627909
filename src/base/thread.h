/* base/thread.h - threads of code that also runs inside applications. */
#ifndef SEAWALL_BASE_THREAD_H
#define SEAWALL_BASE_THREAD_H

#include <pthread.h>

/* Does what pthread_create does with default attributes. The thread takes no signal of the process: these are for
 * threads of the application. Signals that a fault of the thread itself raises, such as SIGSEGV, stay as they are.
 * Returns 0 or an errno. */
int thread_start(pthread_t *ret_thread, void *(*run)(void *context), void *context);

/* Starts up to `count` threads that share `context`, as thread_start does. Returns how many could be started;
 * threads_join waits for so many. */
size_t threads_start(pthread_t *ret_threads, size_t count, void *(*run)(void *context), void *context);
void threads_join(const pthread_t *threads, size_t started);

#endif
