/* s3/request.h - from an operation to the HTTP request that carries it: address and headers. Knows no network. */
#ifndef SEAWALL_S3_REQUEST_H
#define SEAWALL_S3_REQUEST_H

#include "aws/credential.h"
#include "aws/sigv4.h"
#include "s3/config.h"
#include "s3/verdict.h"

#define S3_ADDRESS_MAX 4096 /* bytes of a path; a URL can have twice that */

enum s3_op_flags {
    S3_OP_NEW_OBJECT = 1,    /* send the headers of a stored object: class, encryption, retention */
    S3_OP_SSE_C = 2,         /* send the key of SSE-C */
    S3_OP_IF_NONE_MATCH = 4, /* send If-None-Match: * */
    S3_OP_UNLOCKED = 16,     /* with S3_OP_NEW_OBJECT: an object that is removed again, so without retention */
    S3_OP_MD5 = 8,           /* send Content-MD5 of the body */
};

struct s3_op {
    enum s3_kind kind;
    const char *method;
    const char *key;   /* below the prefix; NULL: the bucket itself */
    const char *query; /* encoded; NULL: none */
    const char *range; /* "bytes=0-9"; NULL: none */
    const void *body;
    size_t body_len;
    unsigned flags;  /* enum s3_op_flags */
    void *into;      /* see struct http_request */
    size_t into_max; /* bytes */
    size_t body_max; /* bytes */
    /* Checks a response 2xx. An error causes another attempt. NULL: any response is right. */
    int (*check)(void *context, const struct http_response *r, struct err *e);
    void *context;
    bool once;                             /* not repeated after a pause; its answer holds no other operation back */
    const atomic_bool *cancel;             /* ends the operation with ERR_CANCELED; NULL: never */
    void (*retrying)(const struct err *e); /* called when the second attempt failed too; may be NULL */
};

struct s3_address {
    char host[S3_ENDPOINT_MAX + S3_BUCKET_MAX]; /* as the Host header has it: without the usual port of the scheme */
    char path[S3_ADDRESS_MAX];                  /* encoded */
    char url[2 * S3_ADDRESS_MAX];
};

/* Whether the bucket is part of the host name. */
bool s3_uses_vhost(const struct s3_config *c);

/* Finds where an operation goes. ERR_LIMIT: the URL is too long. ERR_NOMEM. */
int s3_address_of(const struct s3_config *c, const struct s3_op *op, const char *region, struct s3_address *ret_address,
                  struct err *e) MUST_CHECK;

/* What the headers need besides the operation. */
struct s3_sender {
    const char *host;             /* see struct s3_address */
    const char *sha256;           /* of the body, in hex, or SIGV4_UNSIGNED */
    const struct credentials *by; /* for the session token */
    int64_t wall_ms;              /* the server's clock */
};

/* Adds all headers but those of the signature to `h`. ERR_CONFIG, ERR_LIMIT: too many, or too long. ERR_NOMEM. */
int s3_headers_of(const struct s3_config *c, const struct s3_op *op, const struct s3_sender *sender,
                  struct http_headers *h, struct err *e) MUST_CHECK;

#endif
