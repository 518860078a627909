/* aws/credential.h - an access key with its secret, as a signature needs them. */
#ifndef SEAWALL_AWS_CREDENTIAL_H
#define SEAWALL_AWS_CREDENTIAL_H

#include "http/http.h"

#define CREDENTIALS_KEY_MAX 256
#define CREDENTIALS_TOKEN_MAX 8192
#define CREDENTIALS_ORIGIN_MAX 80

struct credentials {
    char access_key[CREDENTIALS_KEY_MAX], secret_key[CREDENTIALS_KEY_MAX];
    char session_token[CREDENTIALS_TOKEN_MAX]; /* "": none */
    int64_t expires_ms;                        /* wall clock, ms since 1970; 0: never */
    uint64_t serial;                           /* of a credential_source: other credentials have another; 0: none yet */
};

#endif
