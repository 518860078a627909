/* s3/client.h - sends an operation to an S3 server: signs it, judges the response, and repeats it until the outcome
 * is definite or the deadline has passed.
 *
 *   transient error      after a pause that doubles from 100 ms on, with jitter, on a new connection
 *   throttling           after a pause that doubles from 500 ms on; Retry-After holds back all requests of the store
 *   wrong clock          at once, signed with the server's clock
 *   another region       at once, signed for that region
 *   expired credentials  at once, with new credentials
 *   permanent error      not repeated: ERR_CONFIG
 *
 * An operation with `once` is repeated only where that happens at once.
 *
 * Each attempt is signed again. There is no common budget of retries that could run out. */
#ifndef SEAWALL_S3_CLIENT_H
#define SEAWALL_S3_CLIENT_H

#include "base/store.h"
#include "s3/config.h"
#include "s3/request.h"
#include "s3/verdict.h"

#define S3_ERROR_BYTES_MAX (64u << 10) /* of an error document */

struct s3_client;

/* Makes a client. Takes over `config`: it is released with the client, or at once if this call fails. `attempts`: the
 * most attempts for one operation, at least 1. `traffic`: counts the requests; must outlive the client. Errors: those
 * of http_acquire. */
int s3_client_new(struct s3_config *config, unsigned attempts, struct store_traffic *traffic,
                  struct s3_client **ret_client, struct err *e) MUST_CHECK;
void s3_client_free(struct s3_client *c); /* NULL is allowed */

/* Writes a line for the log: endpoint, region, addressing, origin of the credentials. */
void s3_client_describe(struct s3_client *c, char out[STORE_DESCRIPTION_MAX]);
const struct s3_config *s3_client_config(const struct s3_client *c);

struct s3_outcome {
    enum s3_verdict verdict; /* S3_DONE, S3_MISSING, S3_EXISTS, S3_RANGE or S3_UNSUPPORTED */
    struct http_response response;
    bool repeated;   /* the server may have carried out an earlier attempt */
    int64_t time_ms; /* the server's clock when it answered */
};

/* Sends an operation. Returns 0 when the outcome is definite. The caller releases ret_outcome in every case. Several
 * threads may call this. ERR_CONFIG: a person must act. ERR_REMOTE, ERR_TIMEOUT: the outcome is unknown. ERR_LIMIT,
 * ERR_CANCELED, ERR_NOMEM. */
int s3_perform(struct s3_client *c, const struct s3_op *op, struct s3_outcome *ret_outcome, struct err *e) MUST_CHECK;
void s3_outcome_release(struct s3_outcome *o);

#endif
