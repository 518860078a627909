/* aws/xml.h - reads XML answers of S3 and STS, through expat. Only xml.c uses expat.
 *
 * Each element without child elements becomes a call with its path, "Error/Code", and its text. Namespaces are dropped.
 * A document is refused if it is deeper than XML_DEPTH_MAX, has a text longer than XML_TEXT_MAX bytes, or has a
 * document type. Without a document type there are no entities but the five of XML. */
#ifndef SEAWALL_AWS_XML_H
#define SEAWALL_AWS_XML_H

#include "base/err.h"

#include <stddef.h>

#define XML_DEPTH_MAX 16
#define XML_TEXT_MAX 16384
#define XML_PATH_MAX 512

struct xml_visitor {
    /* path: of the element from the root on, "ListBucketResult/Contents/Key". text: its content, with the blanks
     * around it. */
    int (*text)(void *context, const char *path, const char *text, struct err *e);
    /* An element ends, after everything inside it. May be NULL. */
    int (*end)(void *context, const char *path, struct err *e);
    void *context;
};

/* Reads a document. ERR_REMOTE: it is not well-formed, or beyond the limits. ERR_NOMEM. An error of a callback
 * ends the reading and is returned. */
int xml_read(const void *bytes, size_t n, const struct xml_visitor *v, struct err *e) MUST_CHECK;

/* Copies the text of the first element with this path, cut to out_max - 1 bytes. Writes "" if no element has this path,
 * or if the document is malformed before it. Precondition: out_max > 0. */
void xml_find(const void *bytes, size_t n, const char *path, char *out, size_t out_max);

#endif
