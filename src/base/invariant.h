/* base/invariant.h - conditions that must hold whatever happens outside the program. If one does not, the next backup
 * would be wrong. So the process logs the condition and aborts before anything leaves the machine. Bad input, full
 * disks and stores that fail are errors, never broken invariants. */
#ifndef SEAWALL_BASE_INVARIANT_H
#define SEAWALL_BASE_INVARIANT_H

#include "base/err.h"

#define INVARIANT(condition, ...)                                                                                      \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            invariant_broken(__FILE__, __LINE__, __VA_ARGS__);                                                         \
    } while (0)

/* Logs the message with file and line, and aborts. */
_Noreturn void invariant_broken(const char *file, int line, const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif
