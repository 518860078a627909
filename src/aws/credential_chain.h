/* aws/credential_chain.h - who is asked for credentials, and in which order (credentials.h has it). One walk, from the top: nothing
 * is remembered from the one before. */
#ifndef SEAWALL_AWS_CREDENTIAL_CHAIN_H
#define SEAWALL_AWS_CREDENTIAL_CHAIN_H

#include "aws/credential.h"
#include "aws/service.h"

struct credential_chain {
    struct service_access access;
    const char *profile; /* NULL: by the environment */
    const char *region;  /* for STS, when nothing else says; NULL: us-east-1 */
};

/* Errors as credentials_get has them. `origin` is set on success. */
int credential_chain_walk(const struct credential_chain *chain, struct credentials *ret,
                          char origin[CREDENTIALS_ORIGIN_MAX], struct err *e) MUST_CHECK;

#endif
