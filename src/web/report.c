/* web/report.c */
#include "web/report.h"

#include <stdlib.h>

void report_free(struct report *r)
{
    if (!r)
        return;
    json_free(r->databases);
    json_free(r->sleepers);
    free(r->all);
    free(r);
}
