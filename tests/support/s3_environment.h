/* support/s3_environment.h - the variables that S3 URLs are completed with, for unit tests. */
#ifndef TESTS_S3_ENVIRONMENT_H
#define TESTS_S3_ENVIRONMENT_H

#include "unit.h"

/* Takes the user's endpoint, region, profile and AWS files out of the environment. */
static inline void forget_s3_environment(void)
{
    static const char *const variables[] = {"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_REGION",
                                            "AWS_DEFAULT_REGION", "AWS_PROFILE"};
    for (size_t i = 0; i < COUNT_OF(variables); i++)
        unsetenv(variables[i]);
    setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent", 1);
    setenv("AWS_CONFIG_FILE", "/nonexistent", 1);
}

#endif
