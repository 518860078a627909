/* s3/verdict.h - what an answer of an S3 server means for what we do next. By status and error code, as AWS documents them
 * and other servers imitate them. Knows no network. */
#ifndef SEAWALL_S3_VERDICT_H
#define SEAWALL_S3_VERDICT_H

#include "base/err.h"

#include <stddef.h>

enum s3_kind { S3_PUT, S3_GET, S3_HEAD, S3_LIST, S3_DELETE };
#define S3_KINDS 5

enum s3_verdict {
    S3_DONE,        /* 2xx */
    S3_MISSING,     /* 404 of an object */
    S3_EXISTS,      /* 412: the key is taken */
    S3_RANGE,       /* 416: nothing there */
    S3_UNSUPPORTED, /* 501, NotImplemented: the server lacks what was asked for */
    S3_RETRY,       /* worth another try */
    S3_THROTTLE,    /* worth one later */
    S3_CLOCK,       /* our clock is wrong: the server's Date says how much */
    S3_REGION,      /* the answer may name another region */
    S3_CREDENTIALS, /* expired or unknown: fetch anew */
    S3_PERMANENT,   /* nothing helps but a person: permissions, names, configuration */
};

/* `code`: of the error document, "" if there was none. */
enum s3_verdict s3_judge(enum s3_kind kind, int status, const char *code);

/* What a person can do about it, or NULL. */
const char *s3_hint(enum s3_kind kind, int status, const char *code);

#endif
