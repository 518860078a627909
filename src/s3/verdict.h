/* s3/verdict.h - decides, by status and error code, what to do after a response of an S3 server. AWS documents the
 * codes, and other servers imitate them. Knows no network. */
#ifndef SEAWALL_S3_VERDICT_H
#define SEAWALL_S3_VERDICT_H

#include "base/err.h"

#include <stddef.h>

enum s3_kind { S3_PUT, S3_GET, S3_HEAD, S3_LIST, S3_DELETE };
#define S3_KINDS 5

enum s3_verdict {
    S3_DONE,        /* 2xx */
    S3_MISSING,     /* 404: the object does not exist */
    S3_EXISTS,      /* 412: the key exists */
    S3_RANGE,       /* 416: the range lies beyond the end */
    S3_UNSUPPORTED, /* 501, NotImplemented: the server lacks the feature */
    S3_RETRY,       /* try again */
    S3_THROTTLE,    /* try again later */
    S3_CLOCK,       /* our clock is wrong; the server's Date says by how much */
    S3_REGION,      /* the response can name another region */
    S3_CREDENTIALS, /* expired or unknown; get new ones */
    S3_PERMANENT,   /* a person must act: permissions, names, configuration */
};

/* Judges a response. `code`: of the error document; "": none. */
enum s3_verdict s3_judge(enum s3_kind kind, int status, const char *code);

/* Returns the next step for a person. NULL: there is no advice. */
const char *s3_hint(enum s3_kind kind, int status, const char *code);

#endif
