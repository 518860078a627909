/* s3/deletion.h - the documents of DeleteObjects, which removes many objects with one request. Knows no network. */
#ifndef SEAWALL_S3_DELETION_H
#define SEAWALL_S3_DELETION_H

#include "base/store.h"
#include "http/message.h"
#include "s3/config.h"

#define S3_DELETION_BYTES_MAX (1u << 20) /* of either document */

struct s3_deletion {
    char first[ERR_MSG_MAX / 2]; /* the first error: key, code and message */
    size_t failed;               /* keys that were not removed; a key that did not exist is not among them */
    bool understood;             /* the response is a DeleteResult */
    char key[STORE_KEY_MAX + S3_PREFIX_MAX], code[64], message[160]; /* of the error that is being read */
};

/* Appends the request body for `count` keys, at most STORE_REMOVE_MAX, below `prefix`. */
int s3_deletion_format(const char *prefix, const char *const *keys, size_t count, struct buf *out,
                       struct err *e) MUST_CHECK;

/* Reads a response 2xx into `context`, a struct s3_deletion, in place of what it held. ERR_REMOTE: not a whole
 * DeleteResult. */
int s3_deletion_read(void *context, const struct http_response *r, struct err *e) MUST_CHECK;

#endif
