/* property/sim_store.c - stores that lose requests and answers, carry a PUT out late, and answer a request that was
 * sent twice. */
#include "sim.h"
#include "sim_child.h"
#include "world.h"

#include <stdlib.h>
#include <string.h>

struct sim_store stores[STORES] = {{.url = "sim:east", .requests_left = -1}, {.url = "sim:west", .requests_left = -1}};

struct handle { /* an open store, as the daemon has it */
    struct store base;
    struct sim_store *store;
};

static struct sim_store *of(struct store *s)
{
    return ((struct handle *)s)->store;
}

static size_t place(const struct sim_store *s, const char *key)
{
    size_t low = 0, high = s->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (strcmp(s->objects[mid].key, key) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

const struct sim_object *sim_store_get(const struct sim_store *s, const char *key)
{
    size_t i = place(s, key);
    return i < s->count && strcmp(s->objects[i].key, key) == 0 ? &s->objects[i] : NULL;
}

static bool land(struct sim_store *s, const struct sim_object *o)
{
    if (sim_store_get(s, o->key))
        return false;
    if (s->count == s->cap) {
        s->cap = s->cap ? 2 * s->cap : 64;
        s->objects = realloc(s->objects, s->cap * sizeof *s->objects);
        if (!s->objects)
            abort();
    }
    size_t i = place(s, o->key);
    memmove(s->objects + i + 1, s->objects + i, (s->count - i) * sizeof *s->objects);
    s->objects[i] = *o;
    s->objects[i].born_ms = s->objects[i].listed_ms = true_ms;
    s->count++;
    world_landed(s, &s->objects[i]);
    return true;
}

void sim_store_delete(struct sim_store *s, const char *key)
{
    size_t i = place(s, key);
    if (i >= s->count || strcmp(s->objects[i].key, key) != 0)
        return;
    memmove(s->objects + i, s->objects + i + 1, (s->count - i - 1) * sizeof *s->objects);
    s->count--;
}

void sim_store_tick(struct sim_store *s)
{
    for (size_t i = 0; i < s->flying_count;)
        if (s->flying[i].at_ms <= true_ms) {
            struct sim_object o = s->flying[i].object;
            s->flying[i] = s->flying[--s->flying_count];
            land(s, &o);
        } else {
            i++;
        }
}

/* ---- requests */

static int fails(struct sim_store *s, struct err *e)
{
    sim_point();
    if (s->requests_left > 0)
        s->requests_left--;
    if (s->requests_left == 0 || s->down || chance(s->loss))
        return err_set(e, ERR_REMOTE, 0, "no answer");
    return 0;
}

static int put_new(struct store *handle, const char *key, const void *bytes, size_t n, int64_t *ret_time_ms,
                   struct err *e)
{
    struct sim_store *s = of(handle);
    struct sim_object o = {.bytes = malloc(n + 1), .size = n};
    if (!o.bytes)
        abort();
    memcpy(o.bytes, bytes, n);
    snprintf(o.key, sizeof o.key, "%s", key);
    sim_point();
    if (s->before_put) {
        void (*slept)(void) = s->before_put;
        s->before_put = NULL;
        slept();
    }
    unsigned luckless = s->down ? 0 : dice_below(&luck, 100);
    if (s->down)
        return err_set(e, ERR_REMOTE, 0, "no answer");
    if (luckless < s->loss / 2 && s->flying_count < 64) { /* it is carried out later, or never */
        if (chance(60))
            s->flying[s->flying_count++] =
                (struct flying){.at_ms = true_ms + dice_between(&luck, 1, LATE_MS), .object = o};
        return err_set(e, ERR_REMOTE, 0, "no answer");
    }
    bool landed = land(s, &o);
    sim_point();
    if (landed && s->after_put && strncmp(key, "0/", 2) == 0) {
        void (*slept)(void) = s->after_put;
        s->after_put = NULL;
        slept();
    }
    *ret_time_ms = true_ms + s->clock_offset_ms;
    if (luckless < s->loss) /* it was carried out; the answer is lost, or it is the answer to a repeated request */
        return chance(50) ? err_set(e, ERR_REMOTE, 0, "no answer") : err_set(e, ERR_EXISTS, 0, "it exists");
    return landed ? 0 : err_set(e, ERR_EXISTS, 0, "it exists");
}

static bool is_blind(const struct sim_store *s)
{
    return true_ms < s->blind_until;
}

static int find(struct sim_store *s, const char *key, const struct sim_object **ret_object, struct err *e)
{
    if (fails(s, e))
        return -1;
    *ret_object = is_blind(s) ? NULL : sim_store_get(s, key);
    return *ret_object ? 0 : err_set(e, ERR_NOTFOUND, 0, "no such object");
}

static int read_range(struct store *handle, const char *key, uint64_t offset, void *out, size_t n, struct err *e)
{
    const struct sim_object *o = NULL;
    if (find(of(handle), key, &o, e))
        return -1;
    if (offset > o->size || n > o->size - offset)
        return err_set(e, ERR_CORRUPT, 0, "it ends at %zu", o->size);
    memcpy(out, o->bytes + offset, n);
    return 0;
}

static int read_tail(struct store *handle, const char *key, size_t n, struct buf *out, uint64_t *ret_size,
                     struct err *e)
{
    const struct sim_object *o = NULL;
    if (find(of(handle), key, &o, e))
        return -1;
    size_t want = o->size < n ? o->size : n;
    *ret_size = o->size;
    return buf_append(out, o->bytes + o->size - want, want, e);
}

static int list(struct store *handle, const char *prefix, const char *start_after, store_entry_fn *fn, void *context,
                struct err *e)
{
    struct sim_store *s = of(handle);
    if (fails(s, e))
        return -1;
    if (is_blind(s))
        return 0;
    for (size_t i = place(s, prefix); i < s->count && strncmp(s->objects[i].key, prefix, strlen(prefix)) == 0; i++) {
        struct store_entry entry = {.key = s->objects[i].key,
                                    .size = s->objects[i].size,
                                    .time_ms = s->objects[i].listed_ms + s->clock_offset_ms};
        if (strcmp(entry.key, start_after) > 0 && fn(context, &entry))
            break;
    }
    return 0;
}

static int remove_object(struct store *handle, const char *key, struct err *e)
{
    if (fails(of(handle), e))
        return -1;
    sim_store_delete(of(handle), key);
    trace("      %s deletes %s", of(handle)->url, key);
    world_figures.deleted++;
    return 0;
}

static int clock_of(struct store *handle, int64_t *ret_time_ms, struct err *e)
{
    if (fails(of(handle), e))
        return -1;
    *ret_time_ms = true_ms + of(handle)->clock_offset_ms;
    return 0;
}

static void close_handle(struct store *handle)
{
    free(handle);
}

static const struct store_ops ops = {.put_new = put_new,
                                     .read = read_range,
                                     .read_tail = read_tail,
                                     .list = list,
                                     .remove = remove_object,
                                     .time = clock_of,
                                     .close = close_handle};

/* In place of store_open of storage/open.c. */
int __wrap_store_open(const char *url, enum store_mode mode, struct store **ret_store, struct err *e);
int __wrap_store_open(const char *url, enum store_mode mode, struct store **ret_store, struct err *e)
{
    (void)mode;
    if (child_is_one())
        return child_open_store(url, ret_store, e);
    for (size_t i = 0; i < STORES; i++)
        if (strcmp(stores[i].url, url) == 0) {
            struct handle *h = calloc(1, sizeof *h);
            if (!h)
                abort();
            h->base.ops = &ops;
            h->base.fencing = STORE_FENCING_STRONG;
            h->base.costs = stores[i].costs;
            snprintf(h->base.url, sizeof h->base.url, "%s", url);
            h->store = &stores[i];
            *ret_store = &h->base;
            return 0;
        }
    return err_set(e, ERR_CONFIG, 0, "no store '%s'", url);
}
