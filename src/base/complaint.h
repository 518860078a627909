/* base/complaint.h - an error that repeats is said once. */
#ifndef SEAWALL_BASE_COMPLAINT_H
#define SEAWALL_BASE_COMPLAINT_H

#include "base/err.h"

#include <stdbool.h>

/* The error that was said last. All zero: none. */
struct complaint {
    char text[ERR_MSG_MAX];
    enum err_code code;
    int sys;
};

/* Notes an error. True: it is news, say it. Two errors of one code and system code are the same, whatever their texts
 * say: times and request ids differ. */
bool complaint_is_news(struct complaint *c, const struct err *e);

/* The same, but an error with another text is news. */
bool complaint_text_is_news(struct complaint *c, const struct err *e);

/* It works again. True: there was a complaint. */
bool complaint_is_over(struct complaint *c);

#endif
