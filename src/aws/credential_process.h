/* aws/credential_process.h - runs the helper program of a profile's credential_process, which prints credentials. */
#ifndef SEAWALL_AWS_CREDENTIAL_PROCESS_H
#define SEAWALL_AWS_CREDENTIAL_PROCESS_H

#include "base/buf.h"

#include <stdatomic.h>

#define CREDENTIAL_PROCESS_OUTPUT_MAX (64u << 10) /* bytes; more is an error */
#define CREDENTIAL_PROCESS_TIMEOUT_MS 60000

/* Runs `command` with /bin/sh, in a process group of its own. It reads from /dev/null and shares stderr with this
 * process. ret_output: what it printed, at most CREDENTIAL_PROCESS_OUTPUT_MAX bytes; the caller wipes and releases it
 * in every case. `cancel`: ends the wait when it becomes true; NULL: never. Preconditions: `command` is not empty;
 * timeout_ms > 0. ERR_CONFIG: the program does not exist or may not be executed. ERR_REMOTE: it failed. ERR_TIMEOUT,
 * ERR_LIMIT, ERR_CANCELED: it was killed with its process group. ERR_IO, ERR_NOMEM. */
int credential_process_run(const char *command, int64_t timeout_ms, const atomic_bool *cancel, struct buf *ret_output,
                           struct err *e) MUST_CHECK;

#endif
