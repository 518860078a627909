/* base/privacy.c */
#include "base/privacy.h"

static _Thread_local mode_t taken;

mode_t privacy_of(mode_t like)
{
    mode_t bits = 0;
    for (unsigned shift = 0; shift <= 3; shift += 3) {
        mode_t may = like >> shift & 7;
        bits |= (mode_t)(!(may & 4) ? 7 : !(may & 2) ? 2 : 0) << shift;
    }
    return bits;
}

void privacy_set(mode_t bits)
{
    taken = bits;
}

mode_t privacy(void)
{
    return taken;
}
