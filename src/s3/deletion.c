/* s3/deletion.c */
#include "s3/deletion.h"

#include "aws/xml.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* ---- request */

static int append_text(struct buf *b, const char *text, struct err *e)
{
    return buf_append(b, text, strlen(text), e);
}

static int append_escaped(struct buf *b, const char *text, struct err *e)
{
    for (; *text; text++) {
        const char *entity = *text == '&' ? "&amp;" : *text == '<' ? "&lt;" : *text == '>' ? "&gt;" : NULL;
        if (entity ? append_text(b, entity, e) : buf_append(b, text, 1, e))
            return -1;
    }
    return 0;
}

int s3_deletion_format(const char *prefix, const char *const *keys, size_t count, struct buf *out, struct err *e)
{
    assert(count <= STORE_REMOVE_MAX);
    if (append_text(out, "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet>", e))
        return -1;
    for (size_t i = 0; i < count; i++)
        if (append_text(out, "<Object><Key>", e) || append_escaped(out, prefix, e) || append_escaped(out, keys[i], e) ||
            append_text(out, "</Key></Object>", e))
            return -1;
    return append_text(out, "</Delete>", e);
}

/* ---- response */

static int read_text(void *context, const char *path, const char *text, struct err *e)
{
    struct s3_deletion *d = context;
    (void)e;
    if (strcmp(path, "DeleteResult/Error/Key") == 0)
        snprintf(d->key, sizeof d->key, "%s", text);
    else if (strcmp(path, "DeleteResult/Error/Code") == 0)
        snprintf(d->code, sizeof d->code, "%s", text);
    else if (strcmp(path, "DeleteResult/Error/Message") == 0)
        snprintf(d->message, sizeof d->message, "%s", text);
    return 0;
}

static int read_end(void *context, const char *path, struct err *e)
{
    struct s3_deletion *d = context;
    (void)e;
    d->understood |= strcmp(path, "DeleteResult") == 0;
    if (strcmp(path, "DeleteResult/Error") != 0 || strcmp(d->code, "NoSuchKey") == 0)
        return 0;
    if (d->failed++ == 0)
        snprintf(d->first, sizeof d->first, "object '%.100s': %s%s%.100s", d->key, d->code, d->message[0] ? ": " : "",
                 d->message);
    return 0;
}

int s3_deletion_read(void *context, const struct http_response *r, struct err *e)
{
    struct s3_deletion *d = context;
    *d = (struct s3_deletion){.failed = 0};
    struct xml_visitor v = {.text = read_text, .end = read_end, .context = d};
    if (xml_read(r->body.data, r->body.len, &v, e))
        return -1;
    return d->understood ? 0 : err_set(e, ERR_REMOTE, r->status, "HTTP %d without a DeleteResult", r->status);
}
