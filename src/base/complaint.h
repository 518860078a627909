/* base/complaint.h - logs an error that repeats only once. */
#ifndef SEAWALL_BASE_COMPLAINT_H
#define SEAWALL_BASE_COMPLAINT_H

#include "base/err.h"

#include <stdbool.h>

/* The error that was logged last. All zero: none. */
struct complaint {
    char text[ERR_MSG_MAX];
    enum err_code code;
    int sys;
};

/* Notes an error. True: it is new, and must be logged. Errors with the same code and system code are the same error,
 * even if their texts differ: texts have times and request ids. */
bool complaint_is_news(struct complaint *c, const struct err *e);

/* Notes an error. True: it is new, and must be logged. Errors with the same text are the same error. */
bool complaint_text_is_news(struct complaint *c, const struct err *e);

/* Notes a success. True: an error was logged before. */
bool complaint_is_over(struct complaint *c);

#endif
