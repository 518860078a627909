/* web/host.c */
#include "web/host.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#define HOST_MAX 256 /* bytes; a name of DNS is shorter */

static bool is_port(const char *text)
{
    const size_t n = strlen(text);
    return n <= 5 && strspn(text, "0123456789") == n;
}

static bool is_localhost(const char *name)
{
    static const char localhost[] = "localhost";
    const size_t n = strlen(name), size = sizeof localhost - 1;
    return n >= size && strcasecmp(name + n - size, localhost) == 0 && (n == size || name[n - size - 1] == '.');
}

static bool is_six(char *text)
{
    struct in6_addr six;
    char *end = strchr(text, ']');
    if (!end || (end[1] && (end[1] != ':' || !is_port(end + 2))))
        return false;
    *end = 0;
    return inet_pton(AF_INET6, text + 1, &six) == 1;
}

bool host_is_local(const char *host)
{
    char name[HOST_MAX];
    struct in_addr four;
    if (!host)
        return true;
    const size_t n = strlen(host);
    if (n == 0 || n >= sizeof name)
        return false;
    memcpy(name, host, n + 1);
    if (name[0] == '[')
        return is_six(name);
    char *colon = strchr(name, ':');
    if (colon && !is_port(colon + 1))
        return false;
    if (colon)
        *colon = 0;
    const size_t left = strlen(name);
    if (left > 0 && name[left - 1] == '.')
        name[left - 1] = 0;
    return is_localhost(name) || inet_pton(AF_INET, name, &four) == 1;
}
