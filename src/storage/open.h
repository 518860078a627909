/* storage/open.h - opens the store that a URL names. storage/store.h has the calls of an open store. */
#ifndef SEAWALL_STORAGE_OPEN_H
#define SEAWALL_STORAGE_OPEN_H

#include "storage/store.h"

/* Opens the store at `url`: s3://bucket/prefix?..., file:///dir or the path of a folder. Contacts no server.
 * The caller closes *ret_store with store_close.
 * ERR_CONFIG: the URL is wrong or of an unknown kind. ERR_NOTFOUND: with STORE_READ, the folder does not exist. */
int store_open(const char *url, enum store_mode mode, struct store **ret_store, struct err *e) MUST_CHECK;

/* Checks `url` without contacting the store. ret_shown: the URL without secrets. ERR_CONFIG: the URL is wrong. */
int store_check(const char *url, char ret_shown[STORE_URL_MAX], struct err *e) MUST_CHECK;

/* Whether `url` may have the option `name` in its query. `url` NULL: whether the URLs of any kind may. */
bool store_parameter_known(const char *url, const char *name);

/* The kind of store at `index` of the table. NULL: there are no more. The first kind also takes paths. */
const struct store_kind *store_kind_at(size_t index);

#endif
