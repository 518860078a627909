/* aws/service_url.c
 *
 * Refuses URLs that another program could understand differently. Does not resolve names: only addresses and
 * "localhost" count as this machine. */
#include "aws/service_url.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool has_odd_character(const char *url)
{
    for (const unsigned char *p = (const unsigned char *)url; *p; p++)
        if (*p <= ' ' || *p >= 0x7f || *p == '\\' || *p == '#')
            return true;
    return false;
}

static enum service_place place_of_v4(const uint8_t a[4])
{
    if (a[0] == 127)
        return SERVICE_LOOPBACK;
    if (a[0] != 169 || a[1] != 254)
        return SERVICE_ELSEWHERE;
    return a[2] == 170 && (a[3] == 2 || a[3] == 23) ? SERVICE_CONTAINER : SERVICE_LINK_LOCAL;
}

static enum service_place place_of_v6(const uint8_t a[16])
{
    static const uint8_t loopback[16] = {[15] = 1}, container[16] = {0xfd, 0, 0x0e, 0xc2, [15] = 0x23};
    if (memcmp(a, loopback, 16) == 0)
        return SERVICE_LOOPBACK;
    if (memcmp(a, container, 16) == 0)
        return SERVICE_CONTAINER;
    return memcmp(a, container, 4) == 0 ? SERVICE_LINK_LOCAL : SERVICE_ELSEWHERE;
}

/* `name`: without the port; an IPv6 address is in brackets. */
static enum service_place place_of(const char *name)
{
    char plain[SERVICE_HOST_MAX];
    uint8_t address[16];
    size_t n = strlen(name);
    if (strcasecmp(name, "localhost") == 0)
        return SERVICE_LOOPBACK;
    if (inet_pton(AF_INET, name, address) == 1)
        return place_of_v4(address);
    if (n < 3 || name[0] != '[' || name[n - 1] != ']')
        return SERVICE_ELSEWHERE;
    snprintf(plain, sizeof plain, "%.*s", (int)(n - 2), name + 1);
    return inet_pton(AF_INET6, plain, address) == 1 ? place_of_v6(address) : SERVICE_ELSEWHERE;
}

int service_url_parse(const char *url, struct service_url *ret_url, struct err *e)
{
    struct service_url u = {.https = strncasecmp(url, "https://", 8) == 0};
    bool http = strncasecmp(url, "http://", 7) == 0;
    const char *authority = url + (u.https ? 8 : 7);
    if (!http && !u.https)
        return err_set(e, ERR_CONFIG, 0, "the URL does not begin with http:// or https://");
    size_t n = strcspn(authority, "/?");
    u.path = authority + n;
    if (strlen(url) >= SERVICE_URL_MAX || has_odd_character(url) || n == 0 || n >= sizeof u.host ||
        memchr(authority, '@', n))
        return err_set(e, ERR_CONFIG, 0,
                       "the URL has no host, has a user or a fragment, is too long, or has a character in it "
                       "that must be encoded");
    char name[SERVICE_HOST_MAX];
    snprintf(name, sizeof name, "%.*s", (int)n, authority);
    memcpy(u.host, name, n + 1);
    char *bracket = strchr(name, ']'), *colon = strchr(bracket ? bracket : name, ':');
    if (colon) {
        *colon = 0;
        if (strcmp(colon + 1, u.https ? "443" : "80") == 0 || !colon[1])
            u.host[colon - name] = 0;
    }
    if (!*name)
        return err_set(e, ERR_CONFIG, 0, "the URL has no host");
    u.place = place_of(name);
    *ret_url = u;
    return 0;
}
