/* aws/sts.h - credentials of a role, from the Security Token Service at AWS_ENDPOINT_URL_STS, or at AWS in the
 * role's region. */
#ifndef SEAWALL_AWS_STS_H
#define SEAWALL_AWS_STS_H

#include "aws/credential.h"
#include "aws/service.h"

struct sts_role {
    const char *arn;
    const char *session_name; /* NULL or "": "seawall" */
    const char *external_id;  /* NULL or "": none */
    const char *duration_s;   /* decimal; NULL or "": 3600 */
    const char *region;
};

/* Calls AssumeRole, signed with `by`. ERR_CONFIG: STS refuses the call, or AWS_ENDPOINT_URL_STS is malformed.
 * ERR_REMOTE, ERR_TIMEOUT: a later call may succeed. ERR_LIMIT, ERR_CANCELED, ERR_NOMEM. */
int sts_assume_role(const struct service_access *a, const struct sts_role *role, const struct credentials *by,
                    struct credentials *ret, struct err *e) MUST_CHECK;

/* Calls AssumeRoleWithWebIdentity. The call is not signed: the token in the file proves the identity. Reads the file
 * each time. Errors: the same, and ERR_CONFIG or ERR_IO if the file can't be read. */
int sts_assume_role_with_web_identity(const struct service_access *a, const struct sts_role *role,
                                      const char *token_file, struct credentials *ret, struct err *e) MUST_CHECK;

#endif
