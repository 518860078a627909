/* web/host.h - whether a request was meant for this machine.
 *
 * A page of a stranger can make a browser ask the address 127.0.0.1 under a name of the stranger, and then read the
 * answer (DNS rebinding). The header Host of the request then has the name of the stranger. */
#ifndef SEAWALL_WEB_HOST_H
#define SEAWALL_WEB_HOST_H

#include <stdbool.h>

/* Whether a request to a loopback address may have this header Host: localhost, a name below localhost, or an address
 * in numbers, each with or without a port. NULL: the request has none, so a browser did not send it. */
bool host_is_local(const char *host);

#endif
