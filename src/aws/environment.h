/* aws/environment.h - environment variables. An empty variable counts as unset. */
#ifndef SEAWALL_AWS_ENVIRONMENT_H
#define SEAWALL_AWS_ENVIRONMENT_H

#include <stdlib.h>

static inline const char *environment(const char *name) /* NULL: unset */
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

#endif
