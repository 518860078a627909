/* config/listen.h - where the status page is served: the value of the key "listen", and of --listen.
 *
 *   9099, :9099, localhost:9099    127.0.0.1, which only this machine can reach
 *   127.0.0.1:9099, [::1]:9099     this address; 0.0.0.0 and [::] are all addresses of the machine
 *   unix:/run/seawall/http         a Unix socket
 *
 * A name other than localhost is refused: what it leads to can change. */
#ifndef SEAWALL_CONFIG_LISTEN_H
#define SEAWALL_CONFIG_LISTEN_H

#include "base/path.h"

#include <stdbool.h>
#include <stdint.h>

#define LISTEN_ADDRESS_MAX 46 /* of IPv6, with NUL */

struct listen_place {
    char path[PATH_TEXT_MAX];         /* of a Unix socket; "": TCP */
    char address[LISTEN_ADDRESS_MAX]; /* of TCP: IPv4 or IPv6, as inet_ntop writes it */
    uint16_t port;
    bool loopback; /* TCP that only this machine can reach */
};

/* Reads the value. ERR_CONFIG: it is not of this form; the hint says what to write. */
int listen_parse(const char *text, struct listen_place *ret_place, struct err *e) MUST_CHECK;

bool listen_equal(const struct listen_place *a, const struct listen_place *b);

/* Writes the place as a person types it: "http://127.0.0.1:9099/", "unix:/run/seawall/http". */
#define LISTEN_SHOWN_MAX (PATH_TEXT_MAX + 8)
void listen_show(const struct listen_place *place, char out[LISTEN_SHOWN_MAX]);

#endif
