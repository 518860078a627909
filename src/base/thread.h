/* base/thread.h - threads of code that also runs inside applications. */
#ifndef SEAWALL_BASE_THREAD_H
#define SEAWALL_BASE_THREAD_H

#include <pthread.h>

/* Does what pthread_create does with default attributes. The thread takes no signal of the process: these are for
 * threads of the application. Signals that a fault of the thread itself raises, such as SIGSEGV, stay as they are.
 * Returns 0 or an errno. */
int thread_start(pthread_t *ret_thread, void *(*run)(void *context), void *context);

#endif
