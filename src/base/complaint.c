/* base/complaint.c */
#include "base/complaint.h"

#include <stdio.h>
#include <string.h>

static void note(struct complaint *c, const struct err *e)
{
    c->code = e->code;
    c->sys = e->sys;
    snprintf(c->text, sizeof c->text, "%s", e->msg);
}

bool complaint_is_news(struct complaint *c, const struct err *e)
{
    if (c->text[0] && c->code == e->code && c->sys == e->sys)
        return false;
    note(c, e);
    return true;
}

bool complaint_text_is_news(struct complaint *c, const struct err *e)
{
    if (strcmp(c->text, e->msg) == 0)
        return false;
    note(c, e);
    return true;
}

bool complaint_is_over(struct complaint *c)
{
    bool was = c->text[0] != 0;
    *c = (struct complaint){.text = ""};
    return was;
}
