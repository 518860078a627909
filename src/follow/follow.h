/* follow/follow.h - `seawall follow`: keeps a copy of a database fresh from a replica.
 *
 *   first        restore the newest state (restore.h)
 *   then         each segment of level 0 that follows becomes a transaction of the copy (step.h)
 *   far behind   a compacted segment or a pack, if one continues the copy; else a jump (jump.h)
 *
 * The key of the next object of level 0 is known, so a poll is one GET. Level 0 is listed only when nothing came for a while:
 * retention may have removed the next object. */
#ifndef SEAWALL_FOLLOW_FOLLOW_H
#define SEAWALL_FOLLOW_FOLLOW_H

#include "follow/session.h"

/* Opens the copy, or makes it. The caller closes `f`, also after an error. ERR_EXISTS: a database is there that is not a copy.
 * ERR_CONFLICT: it is a copy of another replica, or (f->written) another process wrote to it. ERR_BUSY: another follower has
 * it. ERR_NOTFOUND: there is no replica. Other errors: those of restore_run, mirror.h and the store. */
int follow_open(struct follow *f, const struct follow_options *options, struct err *e) MUST_CHECK;

/* Follows until an option, the callback or `cancel` ends it. A store that fails is logged, and tried again.
 * ERR_CONFLICT: as above. ERR_CONFIG: an object was made by a newer version. ERR_CANCELED, ERR_IO, ERR_SQLITE. */
int follow_run(struct follow *f, struct err *e) MUST_CHECK;

/* Ends following: takes the replica over from its writer, and makes the copy an ordinary database, with a state file with which
 * `seawall replicate` continues the replica. Then f->copy and the note are closed. After an error the copy is a copy still.
 * Preconditions: the option FOLLOW_UNTIL_CURRENT; follow_run ended because the copy is current. ERR_CONFLICT: the pages of the
 * copy are not those of the replica. ERR_BUSY: the writer was faster each time. Other errors: those of follow_run, of the store,
 * plan.h, state.h and mirror.h. */
int follow_promote(struct follow *f, struct err *e) MUST_CHECK;

void follow_close(struct follow *f);

/* How old a copy is, for people and programs. */
struct follow_status {
    struct note note;
    bool running;
    /* The note is of this boot of the machine. Otherwise a power cut may have taken back the newest transactions of the copy,
     * and not the note: until a follower has looked, the copy can be older than note.now. */
    bool proven;
};
int follow_status(const char *path, struct follow_status *ret_status, struct err *e) MUST_CHECK;

#endif
