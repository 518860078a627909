/* bench/objects.c - makes a large replica in a folder: sound objects of every kind except parts, each of a few hundred
 * bytes.
 *
 *   objects DIR COUNT NEWEST_MS
 *
 * Makes COUNT objects, or a few more or less. The database has four pages. Each commit changes one page and is an
 * object of level 0. 64 objects of level 0 become one of level 1, and 64 of these one of level 2; then a base follows.
 * The history takes ten days and ends at NEWEST_MS, by the times in the objects and those of the files. Nothing is
 * synced. */
#include "../support/object.h"

#include "base/page.h"
#include "format/names.h"
#include "replica/identity.h"
#include "storage/open.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGES 4
#define PAGE_BYTES 512
#define FANOUT 64
#define HISTORY_MS (INT64_C(10) * 86400000)

struct maker {
    const char *dir;
    struct codec *codec;
    struct uid database;
    uint64_t commits; /* in all */
    int64_t newest_ms;
    struct digest head;
};

static void check(int rc, const struct err *e)
{
    if (rc == 0)
        return;
    fprintf(stderr, "objects: %s\n", e->msg);
    exit(1);
}

/* ---- the database */

/* The last commit up to `txid` that changed the page. The first commit writes all pages. */
static uint64_t changed_at(uint32_t pgno, uint64_t txid)
{
    uint64_t back = (txid + PAGES - pgno % PAGES) % PAGES;
    return txid > back && txid - back > 1 ? txid - back : 1;
}

static void page_at(uint32_t pgno, uint64_t changed, uint8_t out[PAGE_BYTES])
{
    memset(out, 0, PAGE_BYTES);
    put_be64(out, changed);
    put_be64(out + 8, pgno);
}

static uint64_t hash_at(uint32_t pgno, uint64_t changed)
{
    uint8_t page[PAGE_BYTES];
    page_at(pgno, changed, page);
    return page_hash(pgno, page, PAGE_BYTES);
}

static uint64_t checksum_at(uint64_t txid)
{
    uint64_t sum = 0;
    for (uint32_t pgno = 1; txid > 0 && pgno <= PAGES; pgno++)
        sum ^= hash_at(pgno, changed_at(pgno, txid));
    return sum;
}

static int64_t time_at(const struct maker *m, uint64_t txid)
{
    return m->newest_ms - (int64_t)((m->commits - txid) * (uint64_t)HISTORY_MS / m->commits);
}

/* ---- objects */

static void write_file(const struct maker *m, const char *key, const struct buf *object, int64_t time_ms)
{
    char path[4096];
    const struct timespec when[2] = {{.tv_sec = time_ms / 1000}, {.tv_sec = time_ms / 1000}};
    snprintf(path, sizeof path, "%s/%s", m->dir, key);
    for (char *slash = path + strlen(m->dir) + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
        *slash = 0;
        mkdir(path, 0777);
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0 || write(fd, object->data, object->len) != (ssize_t)object->len || futimens(fd, when) || close(fd)) {
        perror(path);
        exit(1);
    }
}

/* Puts an object of the pages that changed after the txid `after`, as they are after info.max. *ret_listed: the entry
 * that a marker has for it. */
static void put(struct maker *m, const struct name *name, struct object_parts *parts, uint64_t after,
                struct listed *ret_listed)
{
    struct version versions[PAGES];
    uint8_t payload[PAGES * PAGE_BYTES];
    struct buf object = {0};
    struct digest digest;
    struct err e;
    struct segment_info *i = &parts->info;
    for (uint32_t pgno = 1; i->kind != OBJECT_MARKER && pgno <= PAGES; pgno++) {
        const uint64_t changed = changed_at(pgno, i->max);
        if (changed <= after)
            continue;
        page_at(pgno, changed, payload + parts->version_count * PAGE_BYTES);
        versions[parts->version_count++] =
            (struct version){.pgno = pgno, .kind = VERSION_IMAGE, .txid = changed, .hash = hash_at(pgno, changed)};
    }
    parts->versions = versions;
    parts->payload = payload;
    i->page_size = PAGE_BYTES;
    i->database = m->database;
    i->writer = i->run = (struct uid){{0x52}};
    i->time_ms = time_at(m, i->max);
    if (i->last_page == 0) {
        i->first_page = versions[0].pgno;
        i->last_page = versions[parts->version_count - 1].pgno;
    }
    if (i->kind == OBJECT_SEGMENT)
        i->checksum_before = checksum_at(i->min - 1);
    if (name->kind == NAME_LEVEL0)
        i->digest_before = m->head;
    check(object_make(m->codec, parts, &object, &digest, &e), &e);
    char key[NAME_MAX_BYTES];
    name_format(name, key);
    write_file(m, key, &object, i->time_ms);
    if (name->kind == NAME_LEVEL0)
        m->head = digest;
    if (ret_listed) {
        *ret_listed =
            (struct listed){.size = object.len, .digest = digest, .first_page = 1, .last_page = PAGES, .max = i->max};
        snprintf(ret_listed->name, sizeof ret_listed->name, "%s", key);
    }
    buf_release(&object);
}

static void put_segment(struct maker *m, unsigned level, uint64_t min, uint64_t max)
{
    const struct name name = {
        .kind = level ? NAME_LEVEL : NAME_LEVEL0, .level = level, .min = min, .max = level ? max : 0};
    const struct commit_record record = {
        .txid = max, .time_ms = time_at(m, max), .pages = PAGES, .checksum = checksum_at(max)};
    struct object_parts parts = {.info = {.kind = OBJECT_SEGMENT,
                                          .level = level,
                                          .min = min,
                                          .max = max,
                                          .flags = min == 1 ? SEGMENT_FROM_EMPTY : 0},
                                 .records = &record,
                                 .record_count = 1};
    put(m, &name, &parts, min - 1, NULL);
}

static void put_base(struct maker *m, uint64_t start)
{
    const struct uid run = {{0x52}};
    const struct name chunk = {.kind = NAME_CHUNK, .start = start, .run = run, .first_page = 1},
                      marker = {.kind = NAME_MARKER, .start = start, .run = run};
    const struct segment_info info = {.max = start, .start = start, .first_page = 1, .last_page = PAGES};
    struct listed listed;
    struct object_parts content = {.info = info}, head = {.info = info, .list = &listed, .list_count = 1};
    content.info.kind = OBJECT_CHUNK;
    head.info.kind = OBJECT_MARKER;
    put(m, &chunk, &content, 0, &listed);
    put(m, &marker, &head, 0, NULL);
}

int main(int argc, char **argv)
{
    struct maker m = {.dir = argv[1], .codec = codec_new()};
    struct replica_identity id;
    struct store *store = NULL;
    struct err e;
    const uint64_t count = argc == 4 ? strtoull(argv[2], NULL, 10) : 0;
    if (count < 10 || !m.codec) {
        fprintf(stderr, "usage: objects DIR COUNT NEWEST_MS\n");
        return 1;
    }
    m.newest_ms = strtoll(argv[3], NULL, 10);
    m.commits = count * FANOUT * FANOUT / (FANOUT * FANOUT + FANOUT + 3);
    check(store_open(m.dir, STORE_WRITE, &store, &e), &e);
    check(replica_identity_obtain(store, NULL, &id, &e), &e);
    store_close(store);
    m.database = id.database;
    for (uint64_t t = 1; t <= m.commits; t++) {
        put_segment(&m, 0, t, t);
        if (t % FANOUT == 0)
            put_segment(&m, 1, t - FANOUT + 1, t);
        if (t % (FANOUT * FANOUT) == 0) {
            put_segment(&m, 2, t - FANOUT * FANOUT + 1, t);
            put_base(&m, t);
        }
    }
    codec_free(m.codec);
    return 0;
}
