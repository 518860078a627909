/* aws/service_url.h - takes the URL of a service apart, and finds out whether it names this machine. */
#ifndef SEAWALL_AWS_SERVICE_URL_H
#define SEAWALL_AWS_SERVICE_URL_H

#include "base/err.h"

#include <stdbool.h>

#define SERVICE_URL_MAX 2048
#define SERVICE_HOST_MAX 256

enum service_place {
    SERVICE_ELSEWHERE,
    SERVICE_LOOPBACK,   /* localhost, 127.0.0.0/8, ::1 */
    SERVICE_CONTAINER,  /* 169.254.170.2, 169.254.170.23, fd00:ec2::23: credentials of a container */
    SERVICE_LINK_LOCAL, /* 169.254.0.0/16, fd00:ec2::/32: other services of a cloud for its own machine */
};

struct service_url {
    bool https;
    char host[SERVICE_HOST_MAX]; /* as the Host header has it: without the usual port of the scheme */
    enum service_place place;
    const char *path; /* path and query, points into the URL; "": none */
};

/* ERR_CONFIG: `url` is not an http or https URL with a host, or it has a user, a fragment, a blank or a control
 * character. */
int service_url_parse(const char *url, struct service_url *ret_url, struct err *e) MUST_CHECK;

#endif
