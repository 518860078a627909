/* storage/store.h - opens the store that a URL names, and calls it. The contract is in base/store.h. */
#ifndef SEAWALL_STORAGE_STORE_H
#define SEAWALL_STORAGE_STORE_H

#include "base/store.h"

/* `url`: file:///dir or a path of a folder; s3://bucket/prefix?... Of a remote store nothing is asked yet. ERR_CONFIG: no store of
 * this kind, or something wrong in the URL. */
int store_open(const char *url, enum store_mode mode, struct store **ret_store, struct err *e) MUST_CHECK;
void store_close(struct store *s); /* NULL is fine */

/* Would store_open take this URL, as far as that can be said without the place? ret_shown: the URL as it may be shown. ERR_CONFIG.
 */
int store_check(const char *url, char ret_shown[STORE_URL_MAX], struct err *e) MUST_CHECK;

/* May the query of an s3:// URL say this? */
bool store_parameter_known(const char *name);

/* ret_time_ms: the store's clock when it answered; NULL if nobody wants to know. */
int store_put_new(struct store *s, const char *key, const void *bytes, size_t n, int64_t *ret_time_ms,
                  struct err *e) MUST_CHECK;

/* Exactly n bytes at offset. ERR_NOTFOUND: no such object. ERR_CORRUPT: it ends before. */
int store_read(struct store *s, const char *key, uint64_t offset, void *out, size_t n, struct err *e) MUST_CHECK;

/* The last n bytes, or all if there are fewer; appended to `out`. ret_size: size of the whole object. */
int store_read_tail(struct store *s, const char *key, size_t n, struct buf *out, uint64_t *ret_size,
                    struct err *e) MUST_CHECK;

/* These will be read by their tails soon. A hint: of a remote store many are read at a time, as far as there is room to keep them.
 */
void store_prefetch(struct store *s, const char *const *keys, size_t count);

/* Keys that begin with `prefix` and come after `start_after` ("" for all), in ascending byte order. */
int store_list(struct store *s, const char *prefix, const char *start_after, store_entry_fn *fn, void *context,
               struct err *e) MUST_CHECK;

/* Finds out whether put_new is exclusive, if that is not known, by putting `bytes`, which are those of the object `key`, once more.
 */
int store_probe(struct store *s, const char *key, const void *bytes, size_t n, struct err *e) MUST_CHECK;

/* An object that is not there counts as removed. Of several, all are tried; the first error is told. */
int store_remove_all(struct store *s, const char *const *keys, size_t count, struct err *e) MUST_CHECK;
int store_remove_each(struct store *s, const char *const *keys, size_t count,
                      struct err *e) MUST_CHECK; /* one by one */
int store_remove(struct store *s, const char *key, struct err *e) MUST_CHECK;

/* For the log: which server, region, whose credentials. */
void store_describe(const struct store *s, char out[STORE_DESCRIPTION_MAX]);

/* The clock of the store, which decides how old an object is. */
int store_time(struct store *s, int64_t *ret_time_ms, struct err *e) MUST_CHECK;

#endif
