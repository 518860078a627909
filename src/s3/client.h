/* s3/client.h - one operation against an S3 server: signed, sent, judged, and tried again until the outcome is definite or
 * its deadline has passed.
 *
 *   transient errors     again after 100 ms, 200 ms, ... each with full jitter, on a new connection
 *   throttling           the same from 500 ms on; Retry-After holds for the whole store
 *   wrong clock          again at once, signed with the server's clock
 *   another region       again at once, signed for it
 *   expired credentials  again at once with new ones
 *   anything permanent   ERR_CONFIG at once
 *
 * Each attempt is signed afresh. There is no budget of retries that could run dry: a caller that has a place to wait comes again.
 */
#ifndef SEAWALL_S3_CLIENT_H
#define SEAWALL_S3_CLIENT_H

#include "base/store.h"
#include "s3/config.h"
#include "s3/verdict.h"

#define S3_ERROR_BYTES_MAX (64u << 10) /* of an error document */

struct s3_client;

/* Takes over `config`, which is released with the client. `traffic` is counted in. `attempts`: per operation. */
int s3_client_new(struct s3_config *config, unsigned attempts, struct store_traffic *traffic,
                  struct s3_client **ret_client, struct err *e) MUST_CHECK;
void s3_client_free(struct s3_client *c); /* NULL is fine */
void s3_client_describe(struct s3_client *c, char out[STORE_DESCRIPTION_MAX]);
const struct s3_config *s3_client_config(const struct s3_client *c);

enum s3_op_flags {
    S3_OP_NEW_OBJECT = 1, /* headers of an object that is stored: class, encryption, retention */
    S3_OP_SSE_C = 2,      /* the key of SSE-C goes along */
    S3_OP_IF_NONE_MATCH = 4,
    S3_OP_MD5 = 8, /* Content-MD5 of the body */
};

struct s3_op {
    enum s3_kind kind;
    const char *method;
    const char *key;   /* below the prefix; NULL: the bucket itself */
    const char *query; /* encoded; NULL: none */
    const char *range; /* "bytes=0-9"; NULL: none */
    const void *body;
    size_t body_len;
    unsigned flags; /* enum s3_op_flags */
    void *into;     /* see struct http_request */
    size_t into_max, body_max;
    /* Looks at an answer 2xx; an error makes it another try. NULL: any is right. */
    int (*check)(void *context, const struct http_response *r, struct err *e);
    void *context;
    const atomic_bool *cancel;
    void (*retrying)(const struct err *e); /* the second attempt failed too; NULL: nobody wants to know */
};

struct s3_outcome {
    enum s3_verdict verdict; /* S3_DONE, S3_MISSING, S3_EXISTS, S3_RANGE or S3_UNSUPPORTED */
    struct http_response response;
    bool repeated;   /* an earlier attempt may have been carried out */
    int64_t time_ms; /* the server's clock when it answered */
};

/* 0: the outcome is definite. Release it in every case. ERR_CONFIG: permanent. ERR_REMOTE, ERR_TIMEOUT: of a PUT nothing is known.
 * ERR_LIMIT, ERR_CANCELED, ERR_NOMEM. */
int s3_perform(struct s3_client *c, const struct s3_op *op, struct s3_outcome *ret_outcome, struct err *e) MUST_CHECK;
void s3_outcome_release(struct s3_outcome *o);

#endif
