/* storage/store.h - the calls of an open store. base/store.h has the contract, storage/open.h opens a store.
 *
 * Messages of errors name the key. Besides the errors below, each call can return ERR_REMOTE and ERR_TIMEOUT (the store
 * failed, and the call may succeed later), ERR_CONFIG (it will fail until a person acts), ERR_CANCELED, ERR_IO,
 * ERR_LIMIT and ERR_NOMEM. */
#ifndef SEAWALL_STORAGE_STORE_H
#define SEAWALL_STORAGE_STORE_H

#include "base/store.h"

void store_close(struct store *s); /* NULL is allowed */

/* Puts an object of `n` bytes. ret_time_ms: the store's clock at its answer, after success and ERR_EXISTS; may be NULL.
 * ERR_EXISTS: an object with this key exists. Any other error: the outcome is unknown. */
int store_put_new(struct store *s, const char *key, const void *bytes, size_t n, int64_t *ret_time_ms,
                  struct err *e) MUST_CHECK;

/* Reads exactly `n` bytes at `offset`. ERR_NOTFOUND: the object does not exist. ERR_CORRUPT: it ends earlier. */
int store_read(struct store *s, const char *key, uint64_t offset, void *out, size_t n, struct err *e) MUST_CHECK;

/* For a failed read of an object that a listing has: ERR_NOTFOUND becomes ERR_GONE, because retention may have deleted the
 * object, or put it into a pack, since. Returns -1. */
static inline int store_listed_is_gone(struct err *e)
{
    if (e->code == ERR_NOTFOUND)
        e->code = ERR_GONE;
    return -1;
}

/* Reads exactly the first `n` bytes of an object that nothing depends on. Asks once: what would be repeated is an error,
 * and no other request is held back because of it. Ends soon after *cancel has become true, with ERR_CANCELED. Otherwise
 * as store_read. */
int store_try_read(struct store *s, const char *key, void *out, size_t n, const atomic_bool *cancel,
                   struct err *e) MUST_CHECK;

/* Appends the last `n` bytes of an object to `out`, or the whole object if it is shorter. ret_size: its size in bytes.
 * ERR_NOTFOUND: the object does not exist. ERR_LIMIT: the bytes do not fit below the ceiling of `out`. */
int store_read_tail(struct store *s, const char *key, size_t n, struct buf *out, uint64_t *ret_size,
                    struct err *e) MUST_CHECK;

/* Announces that these ends of objects will be read soon. A slow store reads many at a time, and keeps as many as fit into
 * its cache. It may keep more or less of each. */
void store_prefetch(struct store *s, const struct store_end *ends, size_t count);

/* Keeps these objects readable through this handle, also when another process removes them. The call before it ends. Only
 * a folder that is open for reading can do it, and only as far as the process may have files open: the first keys
 * count most. Where descriptors run out, all handles stop to keep theirs. No other call may run meanwhile. */
void store_hold(struct store *s, const char *const *keys, size_t count);

/* Calls `fn` for each key that begins with `prefix` and is greater than `start_after` ("" for all), in ascending
 * order: by bytes or, as some S3 servers list, by the parts of the path. Names of a replica have one order by both. */
int store_list(struct store *s, const char *prefix, const char *start_after, store_entry_fn *fn, void *context,
               struct err *e) MUST_CHECK;

/* Calls `fn` for each folder at the root of the store, in any order: for each first part of the keys that have another
 * part. Names are those of others, who may be hostile: any bytes but '/' and NUL, "." and ".." too, also twice. After
 * them one call with "" for each other thing there: an object, a name of STORE_FOLDER_MAX bytes or more. Does not read
 * what is in the folders. ERR_NOTFOUND: the place does not exist, of a folder. ERR_LIMIT: more than STORE_LIST_MAX. */
int store_folders(struct store *s, store_folder_fn *fn, void *context, struct err *e) MUST_CHECK;

/* If it is unknown whether put_new is exclusive, finds out: puts `bytes`, which the object at `key` already has, once
 * more. Sets s->fencing. */
int store_probe(struct store *s, const char *key, const void *bytes, size_t n, struct err *e) MUST_CHECK;

/* As store_probe, without an object: puts one object `racers` times at the same moment, and removes it. A server that
 * looks for the key and then stores in two steps lets several of these PUTs win. One that does so only now and then can
 * pass. Three times `racers` requests. Precondition: `racers` is 2 to STORE_RACERS_MAX. */
int store_race(struct store *s, unsigned racers, struct err *e) MUST_CHECK;

/* It was seen that put_new is not exclusive, whatever its answers say: the store is weak from now on. Only for a store
 * that had to find out whether it is (store_probe). */
void store_distrust(struct store *s);

/* Checks that an object of ours has everything that the URL asks for: retention, encryption. Before it counts
 * as put although its PUT was not acknowledged, this must return 0: a server can refuse the PUT and store the object
 * all the same. Sends a request only if the URL asks for something. ERR_CONFIG: the object lacks it.
 * ERR_NOTFOUND: the object does not exist. */
int store_confirm(struct store *s, const char *key, struct err *e) MUST_CHECK;

/* Asks which rules of the place touch objects. What can't be found out is STORE_UNKNOWN. Errors:
 * ERR_CANCELED, ERR_NOMEM. */
int store_rules(struct store *s, struct store_rules *ret_rules, struct err *e) MUST_CHECK;

/* Removes an object. An object that does not exist counts as removed. */
int store_remove(struct store *s, const char *key, struct err *e) MUST_CHECK;

/* Removes up to STORE_REMOVE_MAX objects, with as few requests as possible. After an error it still tries the others,
 * and returns the first error. */
int store_remove_all(struct store *s, const char *const *keys, size_t count, struct err *e) MUST_CHECK;

/* Writes a line for the log: server, region, origin of the credentials. "": the URL says everything. */
void store_describe(const struct store *s, char out[STORE_DESCRIPTION_MAX]);

/* Reads the store's clock, in ms since 1970. Ages of objects are counted by this clock. */
int store_time(struct store *s, int64_t *ret_time_ms, struct err *e) MUST_CHECK;

#endif
