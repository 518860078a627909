/* s3/rules.h - what a bucket does with objects by itself: versions, object lock, lifecycle rules. */
#ifndef SEAWALL_S3_RULES_H
#define SEAWALL_S3_RULES_H

#include "s3/client.h"

/* Asks the bucket, with three requests. What the server or the permissions do not let us know is STORE_UNKNOWN.
 * `cancel`: see struct s3_op. Errors: ERR_CANCELED, ERR_NOMEM. */
int s3_rules(struct s3_client *c, const atomic_bool *cancel, struct store_rules *ret_rules, struct err *e) MUST_CHECK;

/* Each reads one answer of the bucket, and sets what it says. `prefix`: of the replica, "" or with '/' at its end.
 * ERR_REMOTE: it is not an answer to this question. ERR_NOMEM. */
int s3_rules_read_versioning(const void *xml, size_t n, struct store_rules *rules, struct err *e) MUST_CHECK;
int s3_rules_read_lock(const void *xml, size_t n, struct store_rules *rules, struct err *e) MUST_CHECK;
int s3_rules_read_lifecycle(const void *xml, size_t n, const char *prefix, struct store_rules *rules,
                            struct err *e) MUST_CHECK;

#endif
