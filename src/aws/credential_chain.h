/* aws/credential_chain.h - looks for credentials in all places, in the order that aws/credentials.h lists. Keeps
 * nothing between two searches. */
#ifndef SEAWALL_AWS_CREDENTIAL_CHAIN_H
#define SEAWALL_AWS_CREDENTIAL_CHAIN_H

#include "aws/credential.h"
#include "aws/service.h"

struct credential_chain {
    struct service_access access;
    const char *profile; /* NULL: chosen by the environment */
    const char *region;  /* for STS, if nothing else names one; NULL: us-east-1 */
};

/* Searches once. origin: see credentials_origin; set on success. Errors are those of credentials_get. */
int credential_chain_walk(const struct credential_chain *chain, struct credentials *ret,
                          char origin[CREDENTIALS_ORIGIN_MAX], struct err *e) MUST_CHECK;

#endif
