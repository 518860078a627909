/* aws/xml.h - XML answers of S3 and STS, through expat. The only door to it.
 *
 * An answer is flattened: each element that holds text and no elements becomes a call with its path, "Error/Code", namespaces
 * dropped. Entities beyond the five of XML, documents deeper than 16 and texts longer than 16 KiB are refused. */
#ifndef SEAWALL_AWS_XML_H
#define SEAWALL_AWS_XML_H

#include "base/err.h"

#include <stddef.h>

#define XML_DEPTH_MAX 16
#define XML_TEXT_MAX 16384
#define XML_PATH_MAX 512

struct xml_visitor {
    /* path: of the element from the root on, "ListBucketResult/Contents/Key"; text: what it holds, blanks around it kept. */
    int (*text)(void *context, const char *path, const char *text, struct err *e);
    /* An element ends, after all that is in it. NULL: nobody wants to know. */
    int (*end)(void *context, const char *path, struct err *e);
    void *context;
};

/* ERR_REMOTE: not well-formed, or beyond the limits; or what a callback said. */
int xml_read(const void *bytes, size_t n, const struct xml_visitor *v, struct err *e) MUST_CHECK;

/* Text of the first element with this path, cut to fit; "" when there is none, or the document is no XML. */
void xml_find(const void *bytes, size_t n, const char *path, char *out, size_t out_max);

#endif
