/* config/listen.c */
#include "config/listen.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNIX_PREFIX "unix:"
#define LOOPBACK "127.0.0.1"

static int refuse(const char *text, const char *why, struct err *e)
{
    err_set(e, ERR_CONFIG, 0, "invalid value '%.80s': %s", text, why);
    return err_hint(e, "write a port, ADDRESS:PORT or unix:PATH, as in 127.0.0.1:9099");
}

static bool parse_port(const char *text, uint16_t *ret_port)
{
    const size_t n = strlen(text);
    if (n == 0 || n > 5 || strspn(text, "0123456789") != n)
        return false;
    const long port = strtol(text, NULL, 10);
    *ret_port = (uint16_t)port;
    return port >= 1 && port <= UINT16_MAX;
}

/* Takes an address in numbers, as it is written in the library's own form. */
static bool take_address(struct listen_place *p, const char *text)
{
    struct in_addr four;
    struct in6_addr six;
    if (inet_pton(AF_INET, text, &four) == 1) {
        p->loopback = ntohl(four.s_addr) >> 24 == 127;
        return inet_ntop(AF_INET, &four, p->address, sizeof p->address) != NULL;
    }
    if (inet_pton(AF_INET6, text, &six) != 1)
        return false;
    p->loopback = IN6_IS_ADDR_LOOPBACK(&six);
    return inet_ntop(AF_INET6, &six, p->address, sizeof p->address) != NULL;
}

static int parse_unix(const char *text, const char *path, struct listen_place *ret_place, struct err *e)
{
    if (path[0] != '/')
        return refuse(text, "the path of a socket begins with a slash", e);
    if (path_check_given(path, e))
        return -1;
    if (path[strlen(path) - 1] == '/')
        return refuse(text, "the path of a socket does not end with a slash", e);
    return path_format(ret_place->path, e, "%s", path);
}

int listen_parse(const char *text, struct listen_place *ret_place, struct err *e)
{
    const size_t prefix = strlen(UNIX_PREFIX);
    char host[64];
    *ret_place = (struct listen_place){.port = 0};
    if (strncmp(text, UNIX_PREFIX, prefix) == 0)
        return parse_unix(text, text + prefix, ret_place, e);
    const char *colon = strrchr(text, ':'), *port = colon ? colon + 1 : text;
    size_t n = colon ? (size_t)(colon - text) : 0;
    if (!parse_port(port, &ret_place->port))
        return refuse(text, "a port is a number from 1 to 65535", e);
    const bool brackets = n >= 2 && text[0] == '[' && text[n - 1] == ']';
    if (brackets) {
        text++;
        n -= 2;
    }
    if (n >= sizeof host)
        return refuse(text, "this is not an address", e);
    memcpy(host, text, n);
    host[n] = 0;
    if (n == 0 || (!brackets && strcmp(host, "localhost") == 0))
        snprintf(host, sizeof host, LOOPBACK);
    else if (!brackets && strchr(host, ':'))
        return refuse(text, "an IPv6 address is written in brackets, as in [::1]:9099", e);
    if (!take_address(ret_place, host) || brackets != (strchr(ret_place->address, ':') != NULL))
        return refuse(text, "this is not an address in numbers; localhost is the only name", e);
    return 0;
}

bool listen_equal(const struct listen_place *a, const struct listen_place *b)
{
    return a->port == b->port && strcmp(a->address, b->address) == 0 && strcmp(a->path, b->path) == 0;
}

void listen_show(const struct listen_place *p, char out[LISTEN_SHOWN_MAX])
{
    const bool six = strchr(p->address, ':') != NULL;
    if (p->path[0])
        snprintf(out, LISTEN_SHOWN_MAX, UNIX_PREFIX "%s", p->path);
    else
        snprintf(out, LISTEN_SHOWN_MAX, "http://%s%s%s:%u/", six ? "[" : "", p->address, six ? "]" : "", p->port);
}
