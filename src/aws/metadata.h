/* aws/metadata.h - credentials of the role of an EC2 instance, from its metadata service, version 2. Version 1 is
 * not used: it needs no token, so one forged GET request could read the credentials. */
#ifndef SEAWALL_AWS_METADATA_H
#define SEAWALL_AWS_METADATA_H

#include "aws/credential.h"
#include "aws/service.h"

/* Gets the credentials. ERR_NOTFOUND: the service does not answer, as outside EC2. ERR_CONFIG: the instance has no
 * role, or version 2 is switched off. ERR_REMOTE, ERR_TIMEOUT: the service failed. */
int metadata_credentials(const struct service_access *a, struct credentials *ret, struct err *e) MUST_CHECK;

#endif
