/* daemon/replication.c */
#include "daemon/replication.h"

#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

static size_t bytes_of(const char *text)
{
    return text ? strlen(text) + 1 : 0;
}

/* Copies a text to *at, and moves *at behind it. */
static const char *put(char **at, const char *text)
{
    const size_t n = bytes_of(text);
    char *copy = *at;
    if (n == 0)
        return NULL;
    memcpy(copy, text, n);
    *at += n;
    return copy;
}

/* Of a copy with its texts. */
static size_t size_of(const struct replicate_config *c)
{
    size_t n = sizeof *c + c->url_count * sizeof(const char *) + bytes_of(c->db_path) + bytes_of(c->control);
    for (size_t i = 0; i < c->url_count; i++)
        n += bytes_of(c->urls[i]);
    return n;
}

int replicate_config_copy(const struct replicate_config *c, struct replicate_config **ret_copy, struct err *e)
{
    struct replicate_config *copy = malloc(size_of(c));
    if (!copy)
        return err_nomem(e, size_of(c));
    const char **urls = (const char **)(void *)(copy + 1);
    char *at = (char *)(urls + c->url_count);
    *copy = *c;
    copy->urls = urls;
    copy->db_path = put(&at, c->db_path);
    copy->control = put(&at, c->control);
    for (size_t i = 0; i < c->url_count; i++)
        urls[i] = put(&at, c->urls[i]);
    *ret_copy = copy;
    return 0;
}

void replicate_config_free(struct replicate_config *copy)
{
    if (copy)
        wipe(copy, size_of(copy)); /* headers in URLs can hold secrets */
    free(copy);
}
