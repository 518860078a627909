/* follow/note.c */
#include "follow/note.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/io.h"

#include <errno.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define SLOT_BYTES 4096
#define SLOTS 3
#define SYNCED_SLOT 2
#define LOCK_TRIES 20 /* note_peek holds the lock for a moment */
#define LOCK_PAUSE_US 10000
static const uint8_t magic[8] = {'s', 'e', 'a', 'f', 'o', 'l', 'l', '1'};

_Static_assert(NOTE_ERROR_BYTES + NOTE_URL_BYTES + 1024 < SLOT_BYTES, "a note must fit into its slot");

/* ---- bytes */

static void add_bytes(struct buf *b, const void *bytes, size_t n)
{
    memcpy(b->data + b->len, bytes, n);
    b->len += n;
}

static void add64(struct buf *b, uint64_t v)
{
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(v >> (56 - 8 * i));
    add_bytes(b, bytes, sizeof bytes);
}

static void add_point(struct buf *b, const struct note_point *p)
{
    add64(b, p->txid);
    add64(b, (uint64_t)p->time_ms);
    add64(b, p->checksum);
    add64(b, (uint64_t)p->pages << 32 | p->page_size);
    add_bytes(b, p->pos.salt, WAL_SALT_BYTES);
    add64(b, p->pos.frame);
    add64(b, (uint64_t)p->pos.sum.s0 << 32 | p->pos.sum.s1);
    add_bytes(b, p->head.bytes, DIGEST_BYTES);
    add_bytes(b, p->page1.bytes, PAGE1_KEPT);
    add64(b, p->cookie_shift);
}

static void read_bytes(struct cursor *c, void *out, size_t n)
{
    const uint8_t *p = cursor_bytes(c, n);
    if (p)
        memcpy(out, p, n);
}

static struct note_point read_point(struct cursor *c)
{
    struct note_point p = {.txid = cursor_be64(c), .time_ms = (int64_t)cursor_be64(c), .checksum = cursor_be64(c)};
    p.pages = cursor_be32(c);
    p.page_size = cursor_be32(c);
    read_bytes(c, p.pos.salt, WAL_SALT_BYTES);
    p.pos.frame = (uint32_t)cursor_be64(c);
    p.pos.sum.s0 = cursor_be32(c);
    p.pos.sum.s1 = cursor_be32(c);
    read_bytes(c, p.head.bytes, DIGEST_BYTES);
    read_bytes(c, p.page1.bytes, PAGE1_KEPT);
    p.cookie_shift = (uint32_t)cursor_be64(c);
    return p;
}

static void encode(const struct note *n, uint64_t serial, uint8_t slot[SLOT_BYTES])
{
    struct buf b = {.data = slot};
    memset(slot, 0, SLOT_BYTES);
    add_bytes(&b, magic, sizeof magic);
    add64(&b, serial);
    add64(&b, n->phase);
    add_bytes(&b, n->database.bytes, UID_BYTES);
    add64(&b, n->mode);
    add_point(&b, &n->now);
    add_point(&b, &n->next);
    add64(&b, n->stamp.inode);
    add64(&b, n->stamp.size);
    add64(&b, (uint64_t)n->stamp.mtime_ns);
    add64(&b, n->checkpointing);
    add64(&b, (uint64_t)n->current_ms);
    add64(&b, (uint64_t)n->looked_ms);
    add64(&b, (uint64_t)n->failing_ms);
    add64(&b, n->newest);
    add64(&b, n->steps);
    add64(&b, n->jumps);
    add64(&b, n->requests);
    add_bytes(&b, n->error, NOTE_ERROR_BYTES);
    add_bytes(&b, n->url, NOTE_URL_BYTES);
    add64(&b, n->copied);
    add64(&b, n->boot);
    b.len = SLOT_BYTES - 8;
    add64(&b, hash64(slot, SLOT_BYTES - 8));
}

/* False: the slot is not whole, or of something else. */
static bool decode(const uint8_t slot[SLOT_BYTES], struct note *n, uint64_t *ret_serial)
{
    struct cursor sum = cursor_of(slot + SLOT_BYTES - 8, 8), c = cursor_of(slot, SLOT_BYTES);
    const uint8_t *first = cursor_bytes(&c, sizeof magic);
    if (!first || memcmp(first, magic, sizeof magic) != 0 || cursor_be64(&sum) != hash64(slot, SLOT_BYTES - 8))
        return false;
    *n = (struct note){.phase = NOTE_MAKING};
    *ret_serial = cursor_be64(&c);
    n->phase = (enum note_phase)cursor_be64(&c);
    read_bytes(&c, n->database.bytes, UID_BYTES);
    n->mode = (mode_t)cursor_be64(&c) & 0777;
    n->now = read_point(&c);
    n->next = read_point(&c);
    n->stamp.inode = cursor_be64(&c);
    n->stamp.size = cursor_be64(&c);
    n->stamp.mtime_ns = (int64_t)cursor_be64(&c);
    n->checkpointing = cursor_be64(&c) != 0;
    n->current_ms = (int64_t)cursor_be64(&c);
    n->looked_ms = (int64_t)cursor_be64(&c);
    n->failing_ms = (int64_t)cursor_be64(&c);
    n->newest = cursor_be64(&c);
    n->steps = cursor_be64(&c);
    n->jumps = cursor_be64(&c);
    n->requests = cursor_be64(&c);
    read_bytes(&c, n->error, NOTE_ERROR_BYTES);
    read_bytes(&c, n->url, NOTE_URL_BYTES);
    n->copied = cursor_be64(&c) != 0;
    n->boot = cursor_be64(&c);
    n->error[NOTE_ERROR_BYTES - 1] = n->url[NOTE_URL_BYTES - 1] = '\0';
    return !c.bad && n->phase >= NOTE_MAKING && n->phase <= NOTE_PROMOTING;
}

/* ---- the file */

static bool is_note(int fd)
{
    uint8_t first[SLOTS][sizeof magic] = {{0}};
    struct err failed = {.code = ERR_NONE};
    for (size_t i = 0; i < SLOTS; i++)
        if (io_pread(fd, first[i], sizeof magic, i * SLOT_BYTES, &failed) == 0 &&
            memcmp(first[i], magic, sizeof magic) == 0)
            return true;
    errno = failed.code == ERR_IO ? failed.sys : 0;
    return false;
}

static int open_file(struct note_file *f, const char *path, enum folder_access access, struct err *e)
{
    *f = NOTE_FILE_NONE;
    if (path_format(f->path, e, "%s" NOTE_SUFFIX, path))
        return -1;
    const struct folder_file file = {
        .name = path_name(f->path), .access = access, .like = path_name(path), .is_ours = is_note};
    return folder_open_path(f->path, &file, &f->fd, e);
}

static enum note_found read_file(struct note_file *f, struct note *ret_note)
{
    uint8_t slot[SLOT_BYTES];
    struct err ignored;
    enum note_found found = NOTE_NONE;
    f->serial = 0;
    for (uint64_t i = 0; i < SLOTS; i++) {
        struct note n;
        uint64_t serial = 0;
        if (io_pread(f->fd, slot, SLOT_BYTES, i * SLOT_BYTES, &ignored))
            continue;
        if (!decode(slot, &n, &serial)) {
            found = found == NOTE_NONE ? NOTE_BROKEN : found;
        } else if (found != NOTE_WHOLE || serial > f->serial) {
            *ret_note = n;
            f->serial = serial;
            found = NOTE_WHOLE;
        }
    }
    return found;
}

int note_open(struct note_file *f, const char *path, struct note *ret_note, enum note_found *ret_found, struct err *e)
{
    *ret_note = (struct note){.phase = NOTE_MAKING};
    if (open_file(f, path, FOLDER_MAKE, e))
        return -1;
    int tries = 0;
    while (flock(f->fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK && tries++ < LOCK_TRIES)
        clock_sleep_us(LOCK_PAUSE_US);
    if (tries > LOCK_TRIES || flock(f->fd, LOCK_EX | LOCK_NB) != 0) {
        bool taken = errno == EWOULDBLOCK;
        err_sys(e, errno, "lock '%s'", f->path);
        note_close(f);
        if (!taken)
            return -1;
        err_set(e, ERR_BUSY, 0, "another 'seawall follow' keeps the copy '%s'", path);
        return err_hint(e, "'seawall follow --status %s' says how far it is", path);
    }
    *ret_found = read_file(f, ret_note);
    return 0;
}

int note_peek(const char *path, struct note *ret_note, bool *ret_running, struct err *e)
{
    struct note_file f;
    if (open_file(&f, path, FOLDER_READ, e))
        return -1;
    *ret_running = flock(f.fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    enum note_found found = read_file(&f, ret_note);
    if (found != NOTE_WHOLE) /* it was being written */
        found = read_file(&f, ret_note);
    note_close(&f);
    return found == NOTE_WHOLE ? 0 : err_set(e, ERR_CORRUPT, 0, "'%s%s' has no whole note", path, NOTE_SUFFIX);
}

int note_save(struct note_file *f, const struct note *n, struct err *e)
{
    uint8_t slot[SLOT_BYTES];
    encode(n, f->serial + 1, slot);
    if (io_pwrite(f->fd, slot, SLOT_BYTES, (f->serial + 1) % 2 * SLOT_BYTES, e))
        return err_wrap(e, "'%s'", f->path);
    f->serial++;
    return 0;
}

/* The two slots in turn are durable before the third one is written, and the other way round. So at least one slot is whole
 * whatever a power cut tears. */
int note_sync(const struct note_file *f, struct err *e)
{
    uint8_t slot[SLOT_BYTES];
    if (io_fsync(f->fd, f->path, e) || io_pread(f->fd, slot, SLOT_BYTES, f->serial % 2 * SLOT_BYTES, e) ||
        io_pwrite(f->fd, slot, SLOT_BYTES, SYNCED_SLOT * SLOT_BYTES, e) || io_fsync(f->fd, f->path, e))
        return -1;
    return path_fsync_parent(f->path, e);
}

void note_close(struct note_file *f)
{
    io_close(&f->fd);
}

int note_remove(struct note_file *f, struct err *e)
{
    struct folder folder;
    if (folder_open_parent(&folder, f->path, e))
        return -1;
    int rc = folder_remove(&folder, path_name(f->path), e);
    folder_close(&folder);
    note_close(f);
    return rc;
}
