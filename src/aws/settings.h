/* aws/settings.h - the region and endpoint that the environment or a profile sets. */
#ifndef SEAWALL_AWS_SETTINGS_H
#define SEAWALL_AWS_SETTINGS_H

#include "base/err.h"

#include <stddef.h>

/* Finds the region: AWS_REGION, AWS_DEFAULT_REGION, the profile. "": not set anywhere. `profile`: NULL: chosen by
 * the environment. ERR_CONFIG: the profile does not exist, or the value is malformed or longer than out_max - 1.
 * ERR_IO, ERR_NOMEM. */
int settings_region(const char *profile, char *out, size_t out_max, struct err *e) MUST_CHECK;

/* Finds the S3 endpoint: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, the s3 endpoint_url in the profile's services
 * section, the profile's endpoint_url. The rest as above. */
int settings_endpoint(const char *profile, char *out, size_t out_max, struct err *e) MUST_CHECK;

#endif
