/* storage/store.c - picks the store by URL and puts the key in front of errors. */
#include "storage/store.h"

#include "s3/config.h"
#include "s3/s3.h"
#include "storage/cached.h"
#include "storage/file.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* Of a URL that is no s3:// URL: the folder that it names. */
static int folder_of(const char *url, const char **ret_path, struct err *e)
{
    const char *path = url;
    if (strncmp(url, "file://", 7) == 0) {
        path = url + 7;
        if (path[0] != '/') {
            err_set(e, ERR_CONFIG, 0, "store '%s': no absolute path after file://", url);
            return err_hint(e, "write file:///dir, with three slashes, or a plain path");
        }
    } else if (strstr(url, "://")) {
        err_set(e, ERR_CONFIG, 0, "store '%s': this version has no such kind of store", url);
        return err_hint(e, "use s3://bucket/prefix, file:///dir or the path of a folder");
    }
    if (path[0] == 0)
        return err_set(e, ERR_CONFIG, 0, "store '%s': the path is empty", url);
    *ret_path = path;
    return 0;
}

int store_open(const char *url, enum store_mode mode, struct store **ret_store, struct err *e)
{
    const char *path = NULL;
    if (strncmp(url, "s3://", 5) == 0) {
        struct store *s = NULL;
        if (s3_store_open(url, mode, &s, e))
            return -1;
        if (mode == STORE_READ)
            return cached_store_new(s, ret_store, e);
        *ret_store = s;
        return 0;
    }
    return folder_of(url, &path, e) ? -1 : file_store_open(path, mode, ret_store, e);
}

int store_check(const char *url, char ret_shown[STORE_URL_MAX], struct err *e)
{
    struct s3_config config;
    const char *path = NULL;
    if (strncmp(url, "s3://", 5) == 0) {
        if (s3_config_parse(url, &config, e))
            return -1;
        int rc = s3_config_show(&config, ret_shown, STORE_URL_MAX, e);
        s3_config_release(&config);
        return rc;
    }
    if (folder_of(url, &path, e))
        return -1;
    if (snprintf(ret_shown, STORE_URL_MAX, "%s", path) >= STORE_URL_MAX)
        return err_set(e, ERR_CONFIG, 0, "store '%.60s...': path too long", path);
    return 0;
}

bool store_parameter_known(const char *name)
{
    for (size_t i = 0; i < s3_option_count; i++)
        if (strcmp(s3_options[i].name, name) == 0)
            return true;
    return false;
}

void store_close(struct store *s)
{
    if (s)
        s->ops->close(s);
}

int store_put_new(struct store *s, const char *key, const void *bytes, size_t n, int64_t *ret_time_ms, struct err *e)
{
    int64_t time_ms = 0;
    assert(strlen(key) < STORE_KEY_MAX);
    return s->ops->put_new(s, key, bytes, n, ret_time_ms ? ret_time_ms : &time_ms, e) ? err_wrap(e, "put '%s'", key)
                                                                                      : 0;
}

int store_read(struct store *s, const char *key, uint64_t offset, void *out, size_t n, struct err *e)
{
    return s->ops->read(s, key, offset, out, n, e) ? err_wrap(e, "object '%s'", key) : 0;
}

int store_read_tail(struct store *s, const char *key, size_t n, struct buf *out, uint64_t *ret_size, struct err *e)
{
    return s->ops->read_tail(s, key, n, out, ret_size, e) ? err_wrap(e, "object '%s'", key) : 0;
}

void store_prefetch(struct store *s, const char *const *keys, size_t count)
{
    if (s->ops->prefetch && count)
        s->ops->prefetch(s, keys, count);
}

int store_list(struct store *s, const char *prefix, const char *start_after, store_entry_fn *fn, void *context,
               struct err *e)
{
    return s->ops->list(s, prefix, start_after, fn, context, e) ? err_wrap(e, "list '%s'", *prefix ? prefix : s->url)
                                                                : 0;
}

int store_remove(struct store *s, const char *key, struct err *e)
{
    return s->ops->remove(s, key, e) ? err_wrap(e, "remove '%s'", key) : 0;
}

int store_remove_each(struct store *s, const char *const *keys, size_t count, struct err *e)
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
        return store_remove_each(s, keys, count, e);
    return s->ops->remove_all(s, keys, count, e);
}

int store_probe(struct store *s, const char *key, const void *bytes, size_t n, struct err *e)
{
    if (s->fencing != STORE_FENCING_UNKNOWN || !s->ops->probe)
        return 0;
    return s->ops->probe(s, key, bytes, n, e) ? err_wrap(e, "probe '%s'", key) : 0;
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
