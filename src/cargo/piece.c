/* cargo/piece.c */
#include "cargo/piece.h"

#include <stdlib.h>

void piece_free(struct piece *p)
{
    if (!p)
        return;
    free(p->versions);
    buf_release(&p->payload);
    free(p);
}
