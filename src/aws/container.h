/* aws/container.h - credentials of a container, by an address in its environment: ECS, EKS Pod Identity, Greengrass. */
#ifndef SEAWALL_AWS_CONTAINER_H
#define SEAWALL_AWS_CONTAINER_H

#include "aws/credential.h"
#include "aws/service.h"

bool container_is_there(void); /* the environment has such an address */

/* ERR_CONFIG: the address is none that may be asked, or the authorization is no header. ERR_REMOTE, ERR_TIMEOUT. */
int container_credentials(const struct service_access *a, struct credentials *ret, struct err *e) MUST_CHECK;

#endif
