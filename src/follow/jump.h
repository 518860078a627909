/* follow/jump.h - makes the copy the newest state of the replica in one transaction, by a plan from a base: where no segment
 * continues the copy, because retention removed it, or because another history or page size begins.
 *
 * The pages of the copy are read and compared with what the plan says. Only those that differ are fetched and written. */
#ifndef SEAWALL_FOLLOW_JUMP_H
#define SEAWALL_FOLLOW_JUMP_H

#include "follow/check.h"
#include "follow/commit.h"

struct jump {
    struct catalog *catalog; /* borrowed, all: of a listing of now */
    struct mirror *copy;
    struct note *note;
    struct note_file *file;
    const atomic_bool *cancel;
    unsigned jobs;
    bool take_anything; /* the copy may be any database: what another process wrote to it is lost */
};

/* Jumps. If the newest restorable state is that of the copy or an older one, does nothing. ERR_CONFLICT: the copy is not what
 * the note says. ERR_GONE: an object is gone that was listed: list again. ERR_NOTFOUND: nothing can be restored now. ERR_BUSY:
 * see mirror_begin. Other errors: those of plan.h, apply.h and commit.h. Then the copy is as it was. */
int jump_run(struct jump *j, struct err *e) MUST_CHECK;

#endif
