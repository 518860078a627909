/* reader/fork.h - what a forked child must know: that it is one.
 *
 * A child has one thread, and a copy of memory that the other threads of its parent may have been changing. So it uses
 * no reader of its parent, and what the readers of a process share begins empty in the child. */
#ifndef SEAWALL_READER_FORK_H
#define SEAWALL_READER_FORK_H

/* A number that is the same for as long as the process has not forked, and another one in its child. */
unsigned fork_generation(void);

/* Calls `forget` in each child, before fork() returns there. To be called once for each function. Returns 0; -1: out of
 * memory. */
int fork_forgets(void (*forget)(void));

#endif
