/* s3/properties.h - checks whether an object has the properties that the URL asks for: retention and encryption.
 *
 * An object has them if its PUT was acknowledged. If the outcome of the PUT is unknown, or the PUT was refused, the
 * object can exist without them: the Versity gateway 1.8.0 refuses object lock in a bucket without it, but stores the
 * object. Knows no network. */
#ifndef SEAWALL_S3_PROPERTIES_H
#define SEAWALL_S3_PROPERTIES_H

#include "s3/config.h"

#include <stdbool.h>

/* Whether the URL asks for properties at all. */
bool s3_properties_asked(const struct s3_config *c);

/* Checks the response to a HEAD with status 200 (with the key of SSE-C, if the URL has one). ERR_CONFIG: the object
 * lacks a property, and the error says which. */
int s3_properties_check(const struct s3_config *c, const struct http_response *r, struct err *e) MUST_CHECK;

#endif
