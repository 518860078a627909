/* reader/interior_pages.c
 *
 * An entry of the memory has the txid of a page and the page. Its id is the beginning of the digest that the marker
 * names: it binds the pages to what the writer of the base put. Another entry says that all pages of a
 * base were put into memory, where each may have been replaced meanwhile.
 *
 * An empty file in the folder of the cache says that the object of this base is of no use. */
#include "reader/interior_pages.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/thread.h"
#include "reader/blocks.h"
#include "reader/fork.h"
#include "reader/pages.h"
#include "replica/object.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TXID_BYTES sizeof(uint64_t)
#define ASKED_MAX 64 /* bases that are remembered; the oldest is forgotten first */

static struct block_key key_of(const uint8_t *id, uint32_t pgno)
{
    struct block_key k = {.number = pgno, .kind = BLOCKS_INTERIOR};
    memcpy(k.id, id, UID_BYTES);
    return k;
}

bool interior_page(const uint8_t id[UID_BYTES], uint32_t pgno, uint32_t page_size, uint8_t *out, uint64_t *ret_txid)
{
    const struct block_key key = key_of(id, pgno);
    return blocks_get(&key, 0, ret_txid, TXID_BYTES) && blocks_get(&key, TXID_BYTES, out, page_size);
}

bool interior_id(const struct segment *marker, uint8_t ret_id[UID_BYTES])
{
    if (digest_is_zero(&marker->trailer.info.digest_before))
        return false;
    memcpy(ret_id, marker->trailer.info.digest_before.bytes, UID_BYTES);
    return true;
}

/* ---- bases whose pages were asked for, and are not in memory */

struct asked {
    struct uid run;
    uint64_t start;
    bool used;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t asked_lock = PTHREAD_MUTEX_INITIALIZER; /* guards the two below */
static struct asked asked[ASKED_MAX];
static size_t asked_next;

/* Another thread of the parent may have held the lock. */
static void forget(void)
{
    pthread_mutex_init(&asked_lock, NULL);
    memset(asked, 0, sizeof asked);
}

static void watch_forks(void)
{
    int rc = fork_forgets(forget);
    (void)rc;
}

static void enter(void)
{
    pthread_once(&once, watch_forks);
    pthread_mutex_lock(&asked_lock);
}

void interior_forget(void)
{
    enter();
    memset(asked, 0, sizeof asked);
    pthread_mutex_unlock(&asked_lock);
}

static struct asked *find_asked(const struct name *base)
{
    for (size_t i = 0; i < ASKED_MAX; i++)
        if (asked[i].used && asked[i].start == base->start && uid_equal(&asked[i].run, &base->run))
            return &asked[i];
    return NULL;
}

/* Notes that a base is asked for. False: it was before. */
static bool ask(const struct name *base)
{
    enter();
    const bool first = !find_asked(base);
    if (first)
        asked[asked_next++ % ASKED_MAX] = (struct asked){.run = base->run, .start = base->start, .used = true};
    pthread_mutex_unlock(&asked_lock);
    return first;
}

static void may_ask_again(const struct name *base)
{
    enter();
    struct asked *a = find_asked(base);
    if (a)
        a->used = false;
    pthread_mutex_unlock(&asked_lock);
}

/* ---- fetching */

/* Says that the pages of this base were put into memory, before its marker is known. */
static struct block_key key_of_base(const struct uid *run, uint64_t start)
{
    return key_of(run->bytes, (uint32_t)start);
}

static void name_on_disk(const struct interior_fetch *f, char out[DISK_NAME_MAX])
{
    char hex[2 * UID_BYTES + 1];
    hex_encode(f->name.run.bytes, UID_BYTES, hex);
    snprintf(out, DISK_NAME_MAX, "%s-need-%" PRIx64, hex, f->name.start); /* the letters of other names there */
}

static void fetch(struct interior_fetch *f)
{
    char key[NAME_MAX_BYTES], name[DISK_NAME_MAX];
    struct err ignored; /* the pages are read from the base, and 'seawall verify' names a damaged object */
    name_on_disk(f, name);
    f->on_disk = disk_get(f->origin->disk, name, &f->bytes);
    if (f->on_disk)
        return;
    name_format(&f->name, key);
    atomic_fetch_add(&f->origin->requests, 1);
    if (buf_reserve(&f->bytes, f->size, &ignored) ||
        store_try_read(f->origin->store, key, f->bytes.data, f->size, &f->given_up, &ignored))
        return;
    f->bytes.len = f->size;
    atomic_fetch_add(&f->origin->bytes, f->size);
}

static void *fetch_thread(void *context)
{
    struct interior_fetch *f = context;
    fetch(f);
    pthread_mutex_lock(&f->lock);
    f->done = true;
    pthread_cond_signal(&f->changed);
    pthread_mutex_unlock(&f->lock);
    return NULL;
}

static void end_thread(struct interior_fetch *f)
{
    pthread_cond_destroy(&f->changed);
    pthread_mutex_destroy(&f->lock);
    f->running = false;
}

static void begin_thread(struct interior_fetch *f)
{
    pthread_condattr_t attributes;
    pthread_mutex_init(&f->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&f->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    f->running = thread_start(&f->thread, fetch_thread, f) == 0;
    if (!f->running)
        end_thread(f);
}

void interior_fetch_begin(struct interior_fetch *f, struct origin *o, const struct catalog *c,
                          const struct catalog_object *base)
{
    const struct name name = {.kind = NAME_INTERIOR, .start = base->name.start, .run = base->name.run};
    const struct catalog_object *object = catalog_find(c, &name);
    const struct block_key of_base = key_of_base(&name.run, name.start);
    *f = (struct interior_fetch){.name = name, .bytes = BUF_INIT(INTERIOR_OBJECT_MAX)};
    const bool named = !base->segment || !digest_is_zero(&base->segment->trailer.info.digest_before);
    if (!object || !named || object->size > INTERIOR_OBJECT_MAX || blocks_has(&of_base) || !ask(&name))
        return;
    f->origin = o;
    f->size = (size_t)object->size;
    f->begun_ms = clock_mono_ms();
    if (o->store->slow)
        begin_thread(f);
}

/* Waits until the thread is done, as long as it may take. */
static void wait_for_thread(struct interior_fetch *f)
{
    const int64_t took = clock_mono_ms() - f->begun_ms;
    const int64_t wait = took < INTERIOR_WAIT_MIN_MS   ? INTERIOR_WAIT_MIN_MS
                         : took < INTERIOR_WAIT_MAX_MS ? took
                                                       : INTERIOR_WAIT_MAX_MS;
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += wait % 1000 * 1000000;
    until.tv_sec += wait / 1000 + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&f->lock);
    while (!f->done && pthread_cond_timedwait(&f->changed, &f->lock, &until) == 0)
        ;
    pthread_mutex_unlock(&f->lock);
}

/* Ends the fetch. `wanted`: its bytes are. */
static void finish(struct interior_fetch *f, bool wanted)
{
    if (f->running) {
        if (wanted)
            wait_for_thread(f);
        atomic_store(&f->given_up, true);
        pthread_join(f->thread, NULL);
        end_thread(f);
    } else if (wanted && !f->origin->store->slow) { /* without a thread a slow store would be waited for */
        fetch(f);
    }
}

/* ---- keeping */

static int check(const struct interior_fetch *f, const struct segment *s, const struct segment_info *marker,
                 struct err *e)
{
    const struct segment_info *i = &s->trailer.info;
    struct digest digest;
    if (digest_of(f->bytes.data, f->bytes.len, &digest, e))
        return -1;
    if (!digest_equal(&digest, &marker->digest_before))
        return err_set(e, ERR_CORRUPT, 0, "it is not the object that its base names");
    if (!object_fits_name(&f->name, i) || i->page_size != marker->page_size || i->max > marker->max ||
        !uid_equal(&i->database, &marker->database) || i->last_page > marker->last_page)
        return err_set(e, ERR_CORRUPT, 0, "it does not fit its base");
    return (uint64_t)s->trailer.version_count * i->page_size <= INTERIOR_OBJECT_MAX
               ? 0
               : err_set(e, ERR_LIMIT, 0, "it has %u pages", s->trailer.version_count);
}

static void keep_page(const uint8_t *id, const struct version *v, const uint8_t *page, uint32_t page_size,
                      uint8_t *entry)
{
    const struct block_key key = key_of(id, v->pgno);
    memcpy(entry, &v->txid, TXID_BYTES);
    memcpy(entry + TXID_BYTES, page, page_size);
    blocks_put(&key, entry, TXID_BYTES + page_size);
}

static int keep_block(const struct segment *s, const struct segment_block *b, const uint8_t *id, const uint8_t *raw,
                      struct err *e)
{
    const uint32_t page_size = s->trailer.info.page_size;
    uint8_t *entry = malloc(TXID_BYTES + page_size);
    int rc = entry ? 0 : err_nomem(e, page_size);
    for (uint32_t i = 0; rc == 0 && entry && i < b->versions; i++) {
        const struct version *v = &s->versions[b->first_version + i];
        if (page_hash(v->pgno, raw + (size_t)i * page_size, page_size) != v->hash)
            rc = err_set(e, ERR_CORRUPT, 0, "page %u has the wrong hash", v->pgno);
        else
            keep_page(id, v, raw + (size_t)i * page_size, page_size, entry);
    }
    free(entry);
    return rc;
}

static int keep_pages(const struct interior_fetch *f, const struct segment *s, const uint8_t *id, struct codec *codec,
                      struct err *e)
{
    uint8_t *raw = malloc(SEGMENT_BLOCK_BYTES);
    int rc = raw ? 0 : err_nomem(e, SEGMENT_BLOCK_BYTES);
    for (uint32_t b = 0; rc == 0 && b < s->trailer.block_count; b++) {
        rc = segment_block_inflate(&s->blocks[b], f->bytes.data + s->blocks[b].offset, codec, raw, e);
        if (rc == 0)
            rc = keep_block(s, &s->blocks[b], id, raw, e);
    }
    free(raw);
    return rc;
}

/* Keeps the pages of the object, if it is the one that the marker names. */
static int keep(struct interior_fetch *f, const struct segment_info *marker, const uint8_t *id, struct err *e)
{
    struct segment s = {0};
    char key[NAME_MAX_BYTES];
    struct codec *codec = origin_take_codec(f->origin);
    struct object_reader r = {.store = f->origin->store, .codec = codec, .key = key, .tail = &f->bytes};
    name_format(&f->name, key);
    int rc = codec ? object_decode_whole(&r, SEGMENT_WANT_ALL, &s, e) : err_nomem(e, 0);
    if (rc == 0)
        rc = check(f, &s, marker, e);
    if (rc == 0)
        rc = keep_pages(f, &s, id, codec, e);
    segment_release(&s);
    if (codec)
        origin_give_codec(f->origin, codec);
    return rc;
}

/* The object is of no use, now and later. */
static void note_useless(const struct interior_fetch *f, const char *name)
{
    if (!f->on_disk)
        disk_put(f->origin->disk, name, "", 0);
    else if (f->bytes.len > 0)
        disk_drop(f->origin->disk, name); /* the file is wrong: the object may be right */
}

static void judge(struct interior_fetch *f, const struct segment *marker)
{
    uint8_t id[UID_BYTES];
    char name[DISK_NAME_MAX];
    struct err e = {.code = ERR_CORRUPT};
    const bool named = interior_id(marker, id);
    name_on_disk(f, name);
    if (named && f->bytes.len == 0) /* it did not come, or is known to be of no use */
        return;
    if (!named || keep(f, &marker->trailer.info, id, &e)) {
        if (e.code == ERR_CORRUPT || e.code == ERR_LIMIT)
            note_useless(f, name);
        return;
    }
    if (!f->on_disk)
        disk_put(f->origin->disk, name, f->bytes.data, f->bytes.len);
    const struct block_key of_base = key_of_base(&f->name.run, f->name.start);
    blocks_put(&of_base, "", 1);
    may_ask_again(&f->name); /* once memory has lost them */
}

void interior_fetch_end(struct interior_fetch *f, const struct segment *marker)
{
    if (f->origin) {
        finish(f, marker && !digest_is_zero(&marker->trailer.info.digest_before));
        if (marker)
            judge(f, marker);
        else
            may_ask_again(&f->name);
    }
    buf_release(&f->bytes);
    *f = (struct interior_fetch){.origin = NULL};
}
