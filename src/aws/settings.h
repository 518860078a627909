/* aws/settings.h - the region and endpoint that the environment or a profile sets. */
#ifndef SEAWALL_AWS_SETTINGS_H
#define SEAWALL_AWS_SETTINGS_H

#include "base/err.h"

#include <stddef.h>

/* Finds the region: AWS_REGION, else AWS_DEFAULT_REGION, else that of the profile. Writes "" if none of them is set. If
 * `profile` is NULL, the environment chooses it. ERR_CONFIG: the profile does not exist, or the value is malformed or
 * longer than out_max - 1 bytes. ERR_IO, ERR_NOMEM. */
int settings_region(const char *profile, char *out, size_t out_max, struct err *e) MUST_CHECK;

/* Finds the S3 endpoint: AWS_ENDPOINT_URL_S3, else AWS_ENDPOINT_URL, else the s3 endpoint_url in the services section
 * of the profile, else the endpoint_url of the profile. `profile`, "" and errors: as settings_region. */
int settings_endpoint(const char *profile, char *out, size_t out_max, struct err *e) MUST_CHECK;

#endif
