/* follow/step.h - fetches a segment and makes it one transaction of the copy.
 *
 * Any segment continues the copy that begins at or before the next txid and ends after it: of level 0, a pack, or of a higher
 * level. Its patches apply to every version of a page since the begin of the segment (format/patch.h). */
#ifndef SEAWALL_FOLLOW_STEP_H
#define SEAWALL_FOLLOW_STEP_H

#include "follow/commit.h"
#include "replica/object.h"

enum step_end {
    STEP_APPLIED,
    STEP_NO_WAY, /* it does not continue the copy: it begins a history, has another page size, has no pages, or follows
                    another state than that of the copy. ret_why says which */
};

struct step {
    struct store *store; /* borrowed, all five */
    struct codec *codec;
    struct mirror *copy;
    struct note *note;
    struct note_file *file;
    char why[120]; /* after STEP_NO_WAY */
    bool newer;    /* ERR_CONFIG came from the version of the format, and not from the store */
};

/* Applies the object at `key`. ERR_NOTFOUND: the object does not exist, or one of its parts is gone. ERR_CONFLICT: it belongs to
 * another replica; or another process wrote to the copy. ERR_CORRUPT: it is damaged, or its pages do not give the state that it
 * records. Then the copy is as it was. ERR_CONFIG: a newer version of the format. Other errors: those of the store, of
 * commit.h, and ERR_CLAIM. */
int step_run(struct step *s, const char *key, enum step_end *ret_end, struct err *e) MUST_CHECK;

/* For an object that was found damaged: if a newer version made it, `e` becomes ERR_CONFIG, and s->newer true. */
void step_look_for_newer(struct step *s, const char *key, struct err *e);

#endif
