/* daemon/notify.h - tells the service manager how the daemon is: that it has started, reloads and stops, that it lives,
 * and its condition in words.
 *
 * The protocol is that of sd_notify(3): a datagram of KEY=VALUE lines to the socket named by NOTIFY_SOCKET. That page
 * says that the protocol is stable and asks programs that need no more than this to send the datagram themselves:
 * libsystemd would bring three compressors and a cryptographic library into the daemon. Systemd 252 and later
 * understand all lines.
 *
 * A sign of life is sent only if the caller says that work makes progress. So a main loop that hangs and a job that
 * hangs both end the process. Main thread only. No call blocks. */
#ifndef SEAWALL_DAEMON_NOTIFY_H
#define SEAWALL_DAEMON_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

#define NOTIFY_STATUS_MAX 256 /* bytes of a status, with terminator; more is cut */

struct notify {
    int fd;                          /* -1: no service manager listens */
    int64_t watchdog_ms;             /* the process is killed if it shows no life for so long; 0: it is not watched */
    bool ready, stopping, reloading; /* the manager knows */
    int64_t alive_at_ms;             /* when the next sign of life, or request for time, is due */
    int64_t status_at_ms;            /* when the next status may be sent */
    char status[NOTIFY_STATUS_MAX];  /* the last that was sent */
};
#define NOTIFY_NONE ((struct notify){.fd = -1})

/* How the daemon is, as of this turn of the main loop. */
struct notify_state {
    bool up; /* it follows the database, or waits for it to appear */
    bool stopping;
    bool alive;         /* no job is stuck */
    const char *status; /* one line for people */
};

/* Takes NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID out of the environment: a program that this process starts must
 * not speak for it. Without NOTIFY_SOCKET nothing is ever sent. Precondition: no thread has started. */
void notify_open(struct notify *n);
void notify_close(struct notify *n); /* NOTIFY_NONE: nothing to do */

/* How long a job may go without progress before the daemon no longer counts as alive. INT64_MAX: the process is not
 * watched. */
int64_t notify_patience_ms(const struct notify *n);

/* Sends what is news and what is due. As long as it starts or stops and is alive, it asks for more time: a daemon that
 * ships what is left ends by --stop-timeout, not by the manager's patience. `now_ms`: monotonic. */
void notify_run(struct notify *n, const struct notify_state *s, int64_t now_ms);

/* The configuration is read again. The next notify_run says that this is done. */
void notify_reloading(struct notify *n);

#endif
