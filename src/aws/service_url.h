/* aws/service_url.h - where a service is asked, and whether that is this machine. */
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
    SERVICE_LINK_LOCAL, /* 169.254.0.0/16, fd00:ec2::/32: what else a machine in the cloud offers to itself */
};

struct service_url {
    bool https;
    char host[SERVICE_HOST_MAX]; /* as the Host header has it: the port only if it is not the scheme's */
    enum service_place place;
    const char *path; /* path and query, in the URL; "" when there is none */
};

/* ERR_CONFIG: no http or https URL with a host, or one with a user, a fragment, a blank or a control character. */
int service_url_parse(const char *url, struct service_url *ret_url, struct err *e) MUST_CHECK;

#endif
