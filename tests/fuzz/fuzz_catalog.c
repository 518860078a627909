/* A replica that lies as a whole: each object has valid checksums, and what the objects say fits or does not fit. list, plan, restore,
 * verify and retention end with a result or an error, and the error is text for a terminal.
 *
 * An input is a list of objects, 12 bytes each:
 *   kind and level | min | max | start | flags | first page | last page | pages | time | names | lie | page of the version
 * A number below 240 is itself; above, it is one from the end of a range. `names` says which of the objects before are named by a marker
 * or by a segment in parts. `lie` writes one more number into the trailer, whose checksum is fitted then. */
#include "fuzz.h"

#include "memory_store.h"
#include "replica.h"
#include "replica/inventory.h"
#include "restore/apply.h"
#include "retention/retention.h"
#include "verify/verify.h"

#include <sys/mman.h>
#include <unistd.h>

const struct fuzz_bounds fuzz_bounds = {.inputs = 2000, .megasteps = 10, .megabytes = 16};

enum { OBJECT_FIELDS = 12, OBJECTS_MAX = 40, PAGE_BYTES = 512, PAGES_AT_MOST = 300 };
enum field { KIND, MIN, MAX, START, FLAGS, FIRST, LAST, PAGES, TIME, NAMES, LIE, PAGE };

struct lying {
    struct store *store;
    struct codec *codec;
    struct uid database;
    struct listed listed[OBJECTS_MAX]; /* what was put */
    size_t count;
    struct digest head;
};

static uint64_t number_of(uint8_t byte)
{
    static const uint64_t odd[] = {0,          INT64_MAX,  INT64_MAX - 1, (uint64_t)INT64_MAX + 1,
                                   UINT64_MAX, UINT32_MAX, INT32_MAX,     UINT32_MAX - 1u,
                                   1u << 20,   0x80000000, UINT64_MAX - 1};
    return byte < 240 ? byte : odd[(byte - 240u) % COUNT_OF(odd)];
}

size_t fuzz_seed(unsigned index, uint8_t *out, size_t cap)
{
    struct dice d = dice_of(index);
    size_t objects = 2 + index % 12;
    if (index >= 60 || objects * OBJECT_FIELDS > cap)
        return 0;
    for (size_t i = 0; i < objects; i++) {
        uint8_t *o = out + i * OBJECT_FIELDS;
        bool tidy = index % 3 != 2; /* a history without holes, with levels and bases over it */
        dice_fill(&d, o, OBJECT_FIELDS);
        o[KIND] = (uint8_t)(i < objects / 2 ? 0 : dice_below(&d, 6) | dice_below(&d, 3) << 4);
        o[MIN] = (uint8_t)(i < objects / 2 && tidy ? i + 1 : 1 + dice_below(&d, 6));
        o[MAX] = (uint8_t)(i < objects / 2 && tidy ? i + 1 : o[MIN] + dice_below(&d, 4));
        o[START] = (uint8_t)(1 + dice_below(&d, 6));
        o[FLAGS] = i == 0 ? SEGMENT_FROM_EMPTY : (uint8_t)dice_below(&d, tidy ? 2 : 16);
        o[FIRST] = o[LAST] = o[PAGE] = 1;
        o[PAGES] = (uint8_t)(1 + dice_below(&d, 3));
        o[LIE] = tidy ? 0 : o[LIE];
    }
    return objects * OBJECT_FIELDS;
}

/* ---- one object */

static struct name name_of(const struct segment_info *i)
{
    struct name n = {
        .level = i->level, .min = i->min, .max = i->max, .start = i->start, .run = i->run, .first_page = i->first_page};
    switch (i->kind) {
    case OBJECT_SEGMENT:
        n.kind = i->level ? NAME_LEVEL : NAME_LEVEL0;
        break;
    case OBJECT_PART:
        n.kind = NAME_PART;
        n.number = i->max;
        break;
    case OBJECT_CHUNK:
        n.kind = NAME_CHUNK;
        break;
    default:
        n.kind = NAME_MARKER;
    }
    return n;
}

static struct segment_info info_of(const struct lying *l, const uint8_t *o)
{
    static const enum object_kind kinds[] = {OBJECT_SEGMENT, OBJECT_SEGMENT, OBJECT_PART,
                                             OBJECT_CHUNK,   OBJECT_MARKER,  OBJECT_MARKER};
    struct segment_info i = {.kind = kinds[(o[KIND] & 15) % COUNT_OF(kinds)],
                             .flags = o[FLAGS] & SEGMENT_FLAGS_KNOWN,
                             .min = number_of(o[MIN]),
                             .max = number_of(o[MAX]),
                             .start = number_of(o[START]),
                             .page_size = PAGE_BYTES,
                             .first_page = (uint32_t)number_of(o[FIRST]),
                             .last_page = (uint32_t)number_of(o[LAST]),
                             .time_ms = (int64_t)(number_of(o[TIME]) & INT64_MAX),
                             .database = l->database,
                             .run = {{0x52, o[KIND] >> 6}},
                             .digest_before = l->head};
    if (i.kind == OBJECT_SEGMENT && (o[KIND] & 15) % COUNT_OF(kinds) == 1)
        i.level = 1 + (o[KIND] >> 4) % SEGMENT_LEVEL_MAX;
    if (i.kind == OBJECT_CHUNK || i.kind == OBJECT_MARKER)
        i.min = 0;
    else
        i.start = 0;
    return i;
}

static void lie(struct buf *object, uint8_t byte)
{
    uint8_t *trailer = object->data + object->len - SEGMENT_TRAILER_BYTES;
    if (byte < 200) /* most objects say what they hold */
        return;
    put_be64(trailer + (byte - 200u) * 8 % (TRAILER_CHECKSUM - 8), number_of(byte));
    object_seal(object->data, object->len);
}

/* What the object names: the objects before it from one on, the first perhaps twice, perhaps with a size that is wrong. */
static size_t names_of(const struct lying *l, uint8_t byte, struct listed out[OBJECTS_MAX + 1])
{
    size_t n = 0;
    for (size_t i = byte % 8; i < l->count && n < OBJECTS_MAX; i++)
        out[n++] = l->listed[i];
    if (n > 0 && byte & 64) {
        out[n] = out[0];
        n++;
    }
    if (n > 0 && byte & 128)
        out[0].size = number_of(byte);
    return n;
}

static void put_object(struct lying *l, const uint8_t *o)
{
    static uint8_t page[PAGE_BYTES];
    static struct commit_record records[256];
    static struct listed list[OBJECTS_MAX + 1];
    struct object_parts p = {.info = info_of(l, o), .records = records, .list = list, .payload = page};
    struct segment_info *i = &p.info;
    struct version v = {.pgno = 1 + o[PAGE] % PAGES_AT_MOST, .kind = VERSION_IMAGE, .txid = i->max};
    struct digest digest;
    struct buf object = {0};
    struct err e;
    memset(page, 'a' + o[PAGE] % 3, sizeof page);
    v.hash = page_hash(v.pgno, page, sizeof page);
    bool full = i->kind == OBJECT_SEGMENT && i->level == 0 && !(i->flags & SEGMENT_LAST_ONLY) && i->min <= i->max &&
                i->max - i->min < 256;
    p.record_count = i->kind != OBJECT_SEGMENT ? 0 : full ? (size_t)(i->max - i->min + 1) : 1;
    for (size_t k = 0; k < p.record_count; k++)
        records[k] = (struct commit_record){.txid = full ? i->min + k : i->max,
                                            .time_ms = i->time_ms,
                                            .pages = (uint32_t)(number_of(o[PAGES]) % PAGES_AT_MOST),
                                            .checksum = v.hash};
    if (i->kind != OBJECT_MARKER && !(i->flags & SEGMENT_BASE_ONLY)) {
        p.versions = &v;
        p.version_count = 1;
    }
    if (i->kind == OBJECT_MARKER || i->flags & SEGMENT_IN_PARTS)
        p.list_count = names_of(l, o[NAMES], list);
    const struct name name = name_of(i);
    struct listed *made = &l->listed[l->count];
    *made = (struct listed){.first_page = i->first_page, .last_page = i->last_page, .max = i->max};
    name_format(&name, made->name);
    if (object_make(l->codec, &p, &object, &digest, &e) == 0) {
        lie(&object, o[LIE]);
        made->size = object.len;
        FUZZ_CHECK(digest_of(object.data, object.len, &made->digest, &e) == 0);
        if (store_put_new(l->store, made->name, object.data, object.len, NULL, &e) == 0)
            l->count++;
        if (name.kind == NAME_LEVEL0)
            l->head = made->digest;
    }
    buf_release(&object);
}

/* ---- what commands do with it */

static void assert_message(int rc, const struct err *e)
{
    if (rc == 0)
        return;
    FUZZ_CHECK(e->code != ERR_NONE && e->msg[0]);
    for (const char *p = e->msg; *p; p++)
        FUZZ_CHECK((unsigned char)*p >= 32 || strncmp(p, TEXT_HINT, strlen(TEXT_HINT)) == 0);
}

static int any_point(void *context, const struct commit_record *r)
{
    *(uint64_t *)context = r->txid;
    return 0;
}

static int any_range(void *context, const struct point_range *r)
{
    (void)context;
    FUZZ_CHECK(r->first_txid <= r->first_point && r->first_point <= r->last_txid);
    return 0;
}

static int any_object(void *context, const struct inventory_object *o)
{
    (void)context;
    return o->key[0] == 0;
}

static void list(struct lying *l, uint64_t *ret_newest)
{
    struct catalog c = {0};
    struct inventory v = {0};
    struct err e = {.code = ERR_NONE};
    int rc = catalog_open(&c, l->store, l->codec, &e);
    if (rc == 0)
        rc = points_each(&c, any_point, ret_newest, &e);
    if (rc == 0)
        rc = points_ranges(&c, any_range, NULL, &e);
    if (rc == 0)
        rc = inventory_take(&v, &c, &e);
    if (rc == 0)
        rc = inventory_objects(&v, any_object, NULL, &e);
    assert_message(rc, &e);
    inventory_release(&v);
    catalog_release(&c);
}

static void restore(struct lying *l, uint64_t txid)
{
    static atomic_bool cancel;
    struct apply_options options = {.jobs = 1, .cancel = &cancel};
    struct catalog c = {0};
    struct plan p = {0};
    struct map map;
    struct err e = {.code = ERR_NONE};
    options.fd = memfd_create("fuzz", MFD_CLOEXEC);
    FUZZ_CHECK(options.fd >= 0);
    int rc = catalog_open(&c, l->store, l->codec, &e);
    if (rc == 0)
        rc = plan_make(&c, txid, &p, &e);
    if (rc == 0)
        rc = apply_plan(&c, &p, &options, &map, &e);
    assert_message(rc, &e);
    if (rc == 0)
        map_release(&map);
    plan_release(&p);
    catalog_release(&c);
    close(options.fd);
}

static void verify(struct lying *l)
{
    const struct verify_options options = {.flags = VERIFY_FULL};
    struct replica_handle r = replica_handle_borrow(l->store, l->codec);
    struct verify_result found = {0};
    struct err e = {.code = ERR_NONE};
    assert_message(verify_run(&r, &options, &found, &e), &e);
    verify_result_release(&found);
    replica_handle_close(&r);
}

static void prune(struct lying *l, int64_t now_ms)
{
    const struct retention_policy policy = {.grace_ms = 1, .keep_all_ms = 10, .keep_levels_ms = 50, .keep_daily = 2};
    struct catalog c = {0};
    struct retention_plan p = {0};
    struct err e = {.code = ERR_NONE};
    int rc = catalog_open(&c, l->store, l->codec, &e);
    if (rc == 0)
        rc = retention_decide(&c, &policy, now_ms, &p, &e);
    assert_message(rc, &e);
    if (rc == 0)
        retention_plan_release(&p);
    catalog_release(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct codec *codec;
    static struct lying l;
    struct replica_identity id;
    struct err e;
    uint64_t newest = 0;
    if (!codec)
        codec = codec_new();
    l = (struct lying){.store = memory_store_new(), .codec = codec};
    FUZZ_CHECK(codec && l.store && replica_identity_obtain(l.store, &id, &e) == 0);
    l.database = id.database;
    for (size_t i = 0; i + OBJECT_FIELDS <= size && l.count < OBJECTS_MAX - 1; i += OBJECT_FIELDS)
        put_object(&l, data + i);
    list(&l, &newest);
    restore(&l, newest);
    restore(&l, size ? number_of(data[size - 1]) : 1);
    verify(&l);
    prune(&l, size > 1 ? (int64_t)(number_of(data[size - 2]) & INT64_MAX) : 1000);
    store_close(l.store);
    return 0;
}
