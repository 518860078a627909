/* aws/xml.c */
#include "aws/xml.h"

#include <assert.h>
#include <expat.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reading {
    const struct xml_visitor *visitor;
    XML_Parser parser;
    char path[XML_PATH_MAX];
    size_t path_len, depth, text_len;
    bool leaf;   /* no child element so far */
    bool failed; /* `error` is set */
    char text[XML_TEXT_MAX + 1];
    struct err error;
};

static void stop(struct reading *r)
{
    r->failed = true;
    XML_StopParser(r->parser, XML_FALSE);
}

static void on_start(void *context, const XML_Char *name, const XML_Char **attributes)
{
    struct reading *r = context;
    (void)attributes;
    if (r->failed)
        return;
    const char *colon = strrchr(name, ':');
    int n = snprintf(r->path + r->path_len, sizeof r->path - r->path_len, "%s%s", r->depth ? "/" : "",
                     colon ? colon + 1 : name);
    if (++r->depth > XML_DEPTH_MAX || n < 0 || r->path_len + (size_t)n >= sizeof r->path) {
        err_set(&r->error, ERR_REMOTE, 0, "the answer is XML of more than %d levels", XML_DEPTH_MAX);
        stop(r);
        return;
    }
    r->path_len += (size_t)n;
    r->text_len = 0;
    r->leaf = true;
}

static void on_end(void *context, const XML_Char *name)
{
    struct reading *r = context;
    (void)name;
    if (r->failed)
        return;
    r->text[r->text_len] = 0;
    int rc = r->leaf && r->visitor->text ? r->visitor->text(r->visitor->context, r->path, r->text, &r->error) : 0;
    if (rc == 0 && r->visitor->end)
        rc = r->visitor->end(r->visitor->context, r->path, &r->error);
    char *slash = strrchr(r->path, '/');
    r->path_len = slash ? (size_t)(slash - r->path) : 0;
    r->path[r->path_len] = 0;
    r->depth--;
    r->text_len = 0;
    r->leaf = false;
    if (rc)
        stop(r);
}

static void on_text(void *context, const XML_Char *text, int n)
{
    struct reading *r = context;
    if (r->failed)
        return;
    if ((size_t)n > XML_TEXT_MAX - r->text_len) {
        err_set(&r->error, ERR_REMOTE, 0, "the answer is XML with a text of more than %d bytes", XML_TEXT_MAX);
        stop(r);
        return;
    }
    memcpy(r->text + r->text_len, text, (size_t)n);
    r->text_len += (size_t)n;
}

static void on_doctype(void *context, const XML_Char *name, const XML_Char *system, const XML_Char *public,
                       int has_internal)
{
    struct reading *r = context;
    (void)name;
    (void)system;
    (void)public;
    (void)has_internal;
    err_set(&r->error, ERR_REMOTE, 0, "the answer is XML with a document type");
    stop(r);
}

int xml_read(const void *bytes, size_t n, const struct xml_visitor *v, struct err *e)
{
    assert(v->text || v->end);
    static const XML_Memory_Handling_Suite memory = {malloc, realloc, free}; /* ours, so that tests can make it fail */
    struct reading r = {.visitor = v, .parser = XML_ParserCreate_MM(NULL, &memory, NULL)};
    if (!r.parser)
        return err_nomem(e, sizeof r);
    XML_SetUserData(r.parser, &r);
    XML_SetElementHandler(r.parser, on_start, on_end);
    XML_SetCharacterDataHandler(r.parser, on_text);
    XML_SetStartDoctypeDeclHandler(r.parser, on_doctype);
    int rc = 0;
    if (n > INT32_MAX)
        rc = err_set(e, ERR_REMOTE, 0, "the answer is too long");
    else if (XML_Parse(r.parser, bytes, (int)n, 1) != XML_STATUS_OK && !r.failed)
        rc = err_set(e, ERR_REMOTE, 0, "the answer is not well-formed XML: %s",
                     XML_ErrorString(XML_GetErrorCode(r.parser)));
    if (r.failed) {
        *e = r.error;
        rc = -1;
    } else if (XML_GetErrorCode(r.parser) == XML_ERROR_NO_MEMORY) {
        rc = err_nomem(e, n);
    }
    XML_ParserFree(r.parser);
    return rc;
}

struct finding {
    const char *path;
    char *out;
    size_t out_max;
    bool found;
};

static int note(void *context, const char *path, const char *text, struct err *e)
{
    struct finding *f = context;
    (void)e;
    if (!f->found && strcmp(path, f->path) == 0) {
        snprintf(f->out, f->out_max, "%s", text);
        f->found = true;
    }
    return 0;
}

void xml_find(const void *bytes, size_t n, const char *path, char *out, size_t out_max)
{
    struct finding f = {.path = path, .out = out, .out_max = out_max};
    struct err ignored;
    assert(out_max > 0);
    out[0] = 0;
    if (xml_read(bytes, n, &(struct xml_visitor){.text = note, .context = &f}, &ignored) && !f.found)
        out[0] = 0;
}
