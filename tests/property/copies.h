/* property/copies.h - a copy that `seawall follow` (src/follow) keeps fresh, and stock SQLite readers of it.
 *
 * The follower is a process of its own (sim_child.h), which stops and dies between any two of its system calls. Its files
 * are real. Whenever it does not run, a reader looks at the copy: what it sees is one state of the replica, the one that
 * the note says or the one that the note says comes next. */
#ifndef PROPERTY_COPIES_H
#define PROPERTY_COPIES_H

#include "published.h"

/* The folder of the copy, and the store that it follows. */
void copies_begin(const char *folder, struct sim_store *s);

/* The follower, or a reader of the copy, does something. Does not change the world. */
void copies_step(void);

/* All faults are over: the follower goes on until the copy is current, and ends. The copy is the newest state. */
void copies_settle(void);

/* Ends all processes. */
void copies_end(void);

/* ---- for scenarios */

/* Starts the follower, and lets it go on until the copy is current or it ends. Returns the code of its error. */
enum err_code copies_follow_until_current(bool start_over);

/* Starts the follower, lets it look at the store so often, and kills it. Returns the txid of the copy. */
uint64_t copies_follow_for(unsigned turns);

/* The copy is the newest state of the store. Ends all processes. */
void copies_check_newest(void);

#endif
