/* extension/trouble.c */
#include "extension/trouble.h"

static _Thread_local struct err last;

int trouble_note(const struct host *host, int code, const struct err *e)
{
    last = *e;
    host->log(code, "seawall: %s", e->msg);
    return code;
}

const struct err *trouble_last(void)
{
    return &last;
}

void trouble_forget(void)
{
    last = (struct err){.code = ERR_NONE};
}
