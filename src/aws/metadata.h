/* aws/metadata.h - credentials of the role of an EC2 instance, from its metadata service, version 2. Version 1 is
 * not used: it answers anyone who can make this program send a GET. */
#ifndef SEAWALL_AWS_METADATA_H
#define SEAWALL_AWS_METADATA_H

#include "aws/credential.h"
#include "aws/service.h"

/* Gets the credentials. ERR_NOTFOUND: there is no such service. ERR_CONFIG: the instance has no role, or the
 * service is switched off. ERR_REMOTE: the service failed. */
int metadata_credentials(const struct service_access *a, struct credentials *ret, struct err *e) MUST_CHECK;

#endif
