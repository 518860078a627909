/* aws/container.h - credentials of a container, from the URL in its environment: ECS, EKS Pod Identity, Greengrass. */
#ifndef SEAWALL_AWS_CONTAINER_H
#define SEAWALL_AWS_CONTAINER_H

#include "aws/credential.h"
#include "aws/service.h"

/* Whether the environment has the URL of a container's credentials. */
bool container_is_there(void);

/* Gets the credentials. ERR_CONFIG: the URL is not allowed, or the authorization cannot be a header. ERR_REMOTE,
 * ERR_TIMEOUT: the service failed. */
int container_credentials(const struct service_access *a, struct credentials *ret, struct err *e) MUST_CHECK;

#endif
