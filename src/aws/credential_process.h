/* aws/credential_process.h - a helper program that prints credentials, as a profile's credential_process names it. */
#ifndef SEAWALL_AWS_CREDENTIAL_PROCESS_H
#define SEAWALL_AWS_CREDENTIAL_PROCESS_H

#include "base/buf.h"

#include <stdatomic.h>

#define CREDENTIAL_PROCESS_OUTPUT_MAX (64u << 10) /* bytes; more is an error */
#define CREDENTIAL_PROCESS_TIMEOUT_MS 60000

/* What `command` prints, run by /bin/sh in a process group of its own, with nothing of ours open but stderr. `ret_output` has
 * CREDENTIAL_PROCESS_OUTPUT_MAX as its ceiling; the caller wipes and releases it in every case. ERR_CONFIG: there is no such
 * program. ERR_REMOTE: it failed. ERR_TIMEOUT: it was killed, with its group. ERR_LIMIT, ERR_CANCELED: the same. */
int credential_process_run(const char *command, int64_t timeout_ms, const atomic_bool *cancel, struct buf *ret_output,
                           struct err *e) MUST_CHECK;

#endif
