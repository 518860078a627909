/* base/invariant.h - what must be true whatever happens outside. A state that breaks one of these would end as a wrong backup: so
 * it is said in the log, and the process aborts before anything of it leaves the machine. Bad input, full disks and stores that
 * fail are errors, never invariants. */
#ifndef SEAWALL_BASE_INVARIANT_H
#define SEAWALL_BASE_INVARIANT_H

#include "base/err.h"

#define INVARIANT(condition, ...)                                                                                      \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            invariant_broken(__FILE__, __LINE__, __VA_ARGS__);                                                         \
    } while (0)

_Noreturn void invariant_broken(const char *file, int line, const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif
