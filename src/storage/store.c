/* storage/store.c - passes each call to the kind of the store, and adds the key to its errors. */
#include "storage/store.h"

#include <assert.h>
#include <string.h>

/* Only put_new asks for this: the key of a read or a removal may come from a listing, which can hold objects of
 * others. */
static bool is_key(const char *key)
{
    size_t n = strlen(key);
    return n > 0 && n < STORE_KEY_MAX && strspn(key, "0123456789abcdefghijklmnopqrstuvwxyz.-/") == n;
}

void store_close(struct store *s)
{
    if (s)
        s->ops->close(s);
}

int store_put_new(struct store *s, const char *key, const void *bytes, size_t n, int64_t *ret_time_ms, struct err *e)
{
    int64_t time_ms = 0;
    assert(is_key(key));
    return s->ops->put_new(s, key, bytes, n, ret_time_ms ? ret_time_ms : &time_ms, e) ? err_wrap(e, "put '%s'", key)
                                                                                      : 0;
}

int store_read(struct store *s, const char *key, uint64_t offset, void *out, size_t n, struct err *e)
{
    assert(strlen(key) < STORE_KEY_MAX);
    return s->ops->read(s, key, offset, out, n, e) ? err_wrap(e, "object '%s'", key) : 0;
}

int store_try_read(struct store *s, const char *key, void *out, size_t n, const atomic_bool *cancel, struct err *e)
{
    assert(strlen(key) < STORE_KEY_MAX);
    int rc = s->ops->try_read ? s->ops->try_read(s, key, out, n, cancel, e) : s->ops->read(s, key, 0, out, n, e);
    return rc ? err_wrap(e, "object '%s'", key) : 0;
}

int store_read_tail(struct store *s, const char *key, size_t n, struct buf *out, uint64_t *ret_size, struct err *e)
{
    assert(strlen(key) < STORE_KEY_MAX);
    return s->ops->read_tail(s, key, n, out, ret_size, e) ? err_wrap(e, "object '%s'", key) : 0;
}

void store_hold(struct store *s, const char *const *keys, size_t count)
{
    if (s->ops->hold)
        s->ops->hold(s, keys, count);
}

void store_prefetch(struct store *s, const struct store_end *ends, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert(strlen(ends[i].key) < STORE_KEY_MAX);
    if (s->ops->prefetch && count)
        s->ops->prefetch(s, ends, count);
}

int store_list(struct store *s, const char *prefix, const char *start_after, store_entry_fn *fn, void *context,
               struct err *e)
{
    return s->ops->list(s, prefix, start_after, fn, context, e) ? err_wrap(e, "list '%s'", *prefix ? prefix : s->url)
                                                                : 0;
}

int store_folders(struct store *s, store_folder_fn *fn, void *context, struct err *e)
{
    return s->ops->folders(s, fn, context, e) ? err_wrap(e, "list the folders of '%s'", s->url) : 0;
}

int store_remove(struct store *s, const char *key, struct err *e)
{
    assert(strlen(key) < STORE_KEY_MAX);
    return s->ops->remove(s, key, e) ? err_wrap(e, "remove '%s'", key) : 0;
}

static int remove_each(struct store *s, const char *const *keys, size_t count, struct err *e)
{
    struct err later;
    int rc = 0;
    for (size_t i = 0; i < count; i++)
        if (store_remove(s, keys[i], rc ? &later : e))
            rc = -1;
    return rc;
}

int store_remove_all(struct store *s, const char *const *keys, size_t count, struct err *e)
{
    assert(count <= STORE_REMOVE_MAX);
    if (count < 2 || !s->ops->remove_all)
        return remove_each(s, keys, count, e);
    return s->ops->remove_all(s, keys, count, e);
}

int store_probe(struct store *s, const char *key, const void *bytes, size_t n, struct err *e)
{
    assert(strlen(key) < STORE_KEY_MAX);
    if (s->fencing != STORE_FENCING_UNKNOWN || !s->ops->probe)
        return 0;
    return s->ops->probe(s, key, bytes, n, e) ? err_wrap(e, "probe '%s'", key) : 0;
}

int store_race(struct store *s, unsigned racers, struct err *e)
{
    assert(racers >= 2 && racers <= STORE_RACERS_MAX);
    if (s->fencing != STORE_FENCING_UNKNOWN || !s->ops->race)
        return 0;
    return s->ops->race(s, racers, e) ? err_wrap(e, "find out whether PUT is exclusive") : 0;
}

int store_rules(struct store *s, struct store_rules *ret_rules, struct err *e)
{
    *ret_rules = (struct store_rules){.keeps_versions = STORE_NO,
                                      .locks = STORE_NO,
                                      .locks_all = STORE_NO,
                                      .removes = STORE_NO,
                                      .archives = STORE_NO,
                                      .removes_old = STORE_NO};
    return s->ops->rules ? s->ops->rules(s, ret_rules, e) : 0;
}

void store_distrust(struct store *s)
{
    if (s->ops->probe)
        s->fencing = STORE_FENCING_WEAK;
}

int store_confirm(struct store *s, const char *key, struct err *e)
{
    assert(strlen(key) < STORE_KEY_MAX);
    return s->ops->confirm && s->ops->confirm(s, key, e) ? err_wrap(e, "object '%s'", key) : 0;
}

void store_describe(const struct store *s, char out[STORE_DESCRIPTION_MAX])
{
    out[0] = 0;
    if (s->ops->describe)
        s->ops->describe(s, out);
}

int store_time(struct store *s, int64_t *ret_time_ms, struct err *e)
{
    return s->ops->time(s, ret_time_ms, e) ? err_wrap(e, "clock of '%s'", s->url) : 0;
}
