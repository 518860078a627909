/* aws/settings.h - what the environment and a profile say besides keys: region and endpoint. */
#ifndef SEAWALL_AWS_SETTINGS_H
#define SEAWALL_AWS_SETTINGS_H

#include "base/err.h"

#include <stddef.h>

/* Region by AWS_REGION, AWS_DEFAULT_REGION or the profile; "" when none says. Endpoint by AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL,
 * the s3 endpoint_url of the profile's services section, or the profile's endpoint_url; "" when none says. `profile`: NULL: by the environment. ERR_CONFIG: also when it does not fit. */
int settings_region(const char *profile, char *out, size_t out_max, struct err *e) MUST_CHECK;
int settings_endpoint(const char *profile, char *out, size_t out_max, struct err *e) MUST_CHECK;

#endif
