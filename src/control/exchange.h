/* control/exchange.h - one request to a daemon over its control socket, and the answer: a JSON object on a line each.
 * daemon/control.h has the requests, control/place.h finds the socket. */
#ifndef SEAWALL_CONTROL_EXCHANGE_H
#define SEAWALL_CONTROL_EXCHANGE_H

#include "base/json.h"

#include <signal.h>
#include <stdint.h>

#define EXCHANGE_NEVER INT64_MAX         /* no time limit */
#define EXCHANGE_ANSWER_MAX (256u << 10) /* bytes of an answer that are taken; a daemon sends half as many */

struct exchange {
    int fd;           /* of control_place_connect; the caller closes it */
    int64_t until_ms; /* of clock_mono_ms, or EXCHANGE_NEVER */
    /* For a command that a signal ends. The signals are blocked except during a wait, which has the mask `waiting`: so
     * none is lost between a look at *interrupted and the next wait. NULL: a signal ends nothing. */
    const volatile sig_atomic_t *interrupted;
    const sigset_t *waiting;
};

/* Sends the request and waits for the answer, which the caller frees with json_free. ERR_TIMEOUT; ERR_CANCELED: a
 * signal came; ERR_IO: the daemon ended; ERR_REMOTE: the daemon refused, and its reason with its hint is the message;
 * ERR_CORRUPT: the answer is not JSON; ERR_NOMEM. */
int exchange_run(const struct exchange *x, const struct json *request, struct json **ret_answer,
                 struct err *e) MUST_CHECK;

#endif
