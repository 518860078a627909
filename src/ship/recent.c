/* ship/recent.c */
#include "ship/recent.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Without the quotes. */
static void copy_tag(char out[RECENT_ETAG_MAX], const char *etag)
{
    etag += *etag == '"';
    snprintf(out, RECENT_ETAG_MAX, "%.*s", (int)strcspn(etag, "\""), etag);
}

void recent_add(struct recent *r, uint64_t min, const struct digest *digest, const void *bytes, size_t n)
{
    uint8_t md5[MD5_BYTES];
    struct err ignored; /* a library without MD5: the tag is learned from the first listing */
    assert(r->count == 0 || r->objects[r->count - 1].min < min);
    if (r->count == RECENT_MAX) {
        memmove(r->objects, r->objects + 1, (RECENT_MAX - 1) * sizeof r->objects[0]);
        r->count--;
    }
    struct recent_object *o = &r->objects[r->count++];
    *o = (struct recent_object){.min = min, .size = n, .digest = *digest};
    if (md5_of(bytes, n, md5, &ignored) == 0)
        hex_encode(md5, sizeof md5, o->etag);
}

struct recent_object *recent_find(struct recent *r, uint64_t min)
{
    for (size_t i = 0; i < r->count; i++)
        if (r->objects[i].min == min)
            return &r->objects[i];
    return NULL;
}

bool recent_forget_unlisted(struct recent *r, const bool listed[RECENT_MAX])
{
    size_t kept = 0;
    for (size_t i = 0; i < r->count; i++)
        if (listed[i])
            r->objects[kept++] = r->objects[i];
    const bool any = kept < r->count;
    r->count = kept;
    return any;
}

bool recent_fits(const struct recent_object *o, const struct store_entry *entry)
{
    char tag[RECENT_ETAG_MAX];
    if (entry->size != o->size)
        return false;
    if (!entry->etag)
        return true;
    copy_tag(tag, entry->etag);
    return strcasecmp(tag, o->etag) == 0;
}

void recent_learn(struct recent_object *o, const char *etag)
{
    if (etag)
        copy_tag(o->etag, etag);
}
