/* state/state.c */
#include "state/state.h"

#include "base/endian.h"
#include "base/io.h"
#include "base/path.h"
#include "base/trial.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SLOTS 4
#define MAP_HEADER_OFFSET (SLOTS * IDENTITY_SLOT_BYTES)
#define MAP_ENTRIES_OFFSET (MAP_HEADER_OFFSET + 4096)

struct map_header {
    uint64_t magic;      /* in the byte order of the machine: a map from another one is not believed */
    uint64_t txid, seal; /* as the identity has them */
    uint32_t page_size, pages;
    uint64_t checksum, sum;
    uint64_t header_sum; /* of the fields above */
};
#define MAP_MAGIC UINT64_C(0x53574d4150303032)

static struct map_header *map_header_of(struct state *s)
{
    return (struct map_header *)(void *)(s->fixed + MAP_HEADER_OFFSET);
}

static uint64_t header_sum(const struct map_header *h)
{
    return hash64(h, offsetof(struct map_header, header_sum));
}

static void write_slot(struct state *s)
{
    int slot = 0;
    while (slot == s->current || slot == s->synced || slot == s->syncing)
        slot++;
    identity_encode(&s->identity, ++s->serial, s->fixed + slot * IDENTITY_SLOT_BYTES);
    s->current = slot;
}

/* With the lock held. */
static void seal(struct state *s)
{
    s->identity.map_seal = ++s->seal;
    struct map_header h = {.magic = MAP_MAGIC,
                           .seal = s->seal,
                           .txid = s->identity.txid,
                           .page_size = s->map.page_size,
                           .pages = s->map.pages,
                           .checksum = s->map.checksum,
                           .sum = s->map.sum};
    h.header_sum = header_sum(&h);
    *map_header_of(s) = h;
    write_slot(s);
}

void state_seal(struct state *s)
{
    pthread_mutex_lock(&s->lock);
    seal(s);
    pthread_mutex_unlock(&s->lock);
}

void state_commit(struct state *s, const struct state_position *position)
{
    pthread_mutex_lock(&s->lock);
    s->identity.txid = position->txid;
    s->identity.pos = position->pos;
    s->identity.pos_before_reset = position->pos_before_reset;
    s->identity.time_ms = position->time_ms;
    s->identity.db_inode = position->db_inode;
    s->identity.db_size = position->db_size;
    s->identity.db_mtime_ns = position->db_mtime_ns;
    seal(s);
    pthread_mutex_unlock(&s->lock);
}

void state_lose_map(struct state *s, uint64_t txid, int64_t time_ms)
{
    pthread_mutex_lock(&s->lock);
    s->identity.txid = txid;
    s->identity.time_ms = time_ms;
    s->identity.map_seal = ++s->seal;
    write_slot(s);
    pthread_mutex_unlock(&s->lock);
}

int state_replica(struct state *s, const char *url, uint32_t *ret_index, struct identity_replica *ret_replica,
                  struct err *e)
{
    struct identity_replica *replica = NULL;
    pthread_mutex_lock(&s->lock);
    int rc = identity_replica_get(&s->identity, url, &replica, e);
    if (rc == 0) {
        *ret_index = (uint32_t)(replica - s->identity.replicas);
        *ret_replica = *replica;
    }
    pthread_mutex_unlock(&s->lock);
    return rc;
}

void state_set_replica(struct state *s, uint32_t index, const struct identity_replica *replica)
{
    pthread_mutex_lock(&s->lock);
    s->identity.replicas[index] = *replica;
    write_slot(s); /* the map may be half-way to its next state: it stays as it is */
    pthread_mutex_unlock(&s->lock);
}

void state_end_runs(struct state *s, enum identity_past past)
{
    pthread_mutex_lock(&s->lock);
    identity_end_runs(&s->identity, past);
    write_slot(s);
    pthread_mutex_unlock(&s->lock);
}

void state_note_put(struct state *s, const struct uid *run, uint32_t replica)
{
    pthread_mutex_lock(&s->lock);
    if (identity_note_put(&s->identity, run, replica))
        write_slot(s);
    pthread_mutex_unlock(&s->lock);
}

void state_note_looked(struct state *s, const struct uid *run, uint32_t replica)
{
    pthread_mutex_lock(&s->lock);
    identity_note_looked(&s->identity, run, replica);
    write_slot(s);
    pthread_mutex_unlock(&s->lock);
}

struct identity state_identity(struct state *s)
{
    pthread_mutex_lock(&s->lock);
    struct identity copy = s->identity;
    pthread_mutex_unlock(&s->lock);
    return copy;
}

struct uid state_writer(struct state *s)
{
    pthread_mutex_lock(&s->lock);
    struct uid writer = s->identity.writer;
    pthread_mutex_unlock(&s->lock);
    return writer;
}

uint64_t state_txid(struct state *s)
{
    pthread_mutex_lock(&s->lock);
    uint64_t txid = s->identity.txid;
    pthread_mutex_unlock(&s->lock);
    return txid;
}

int state_sync(struct state *s, struct err *e)
{
    pthread_mutex_lock(&s->sync_lock);
    pthread_mutex_lock(&s->lock);
    s->syncing = s->current;
    pthread_mutex_unlock(&s->lock);
    int rc = io_fsync(s->fd, s->path, e); /* covers what was written through the mappings */
    pthread_mutex_lock(&s->lock);
    if (rc == 0)
        s->synced = s->syncing;
    s->syncing = -1;
    pthread_mutex_unlock(&s->lock);
    pthread_mutex_unlock(&s->sync_lock);
    return rc;
}

static bool load_identity(struct state *s)
{
    struct identity found;
    uint64_t serial = 0;
    for (int i = 0; i < SLOTS; i++)
        if (identity_decode(s->fixed + i * IDENTITY_SLOT_BYTES, &found, &serial) &&
            (s->current < 0 || serial > s->serial)) {
            s->identity = found;
            s->serial = serial;
            s->current = i;
        }
    return s->current >= 0;
}

/* True if the map in the file is whole and of the identity's txid; then s->map is it. */
static bool load_map(struct state *s, uint64_t file_size)
{
    struct map_header h = *map_header_of(s);
    if (h.magic != MAP_MAGIC || h.header_sum != header_sum(&h) || h.txid != s->identity.txid ||
        h.seal != s->identity.map_seal)
        return false;
    if (MAP_ENTRIES_OFFSET + (uint64_t)h.pages * sizeof(struct map_entry) > file_size)
        return false;
    if (h.pages > 0) { /* map what is there; map_resize would clear it */
        size_t bytes = (size_t)(file_size - MAP_ENTRIES_OFFSET) / sizeof(struct map_entry) * sizeof(struct map_entry);
        void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, MAP_ENTRIES_OFFSET);
        if (at == MAP_FAILED)
            return false;
        s->map.mapping = at;
        s->map.mapped = bytes;
        s->map.entries = at;
        s->map.cap = (uint32_t)(bytes / sizeof(struct map_entry));
    }
    s->map.pages = h.pages;
    s->map.page_size = h.page_size;
    for (uint32_t pgno = 1; pgno <= h.pages; pgno++) {
        struct map_entry entry = s->map.entries[pgno - 1];
        s->map.checksum ^= entry.hash;
        s->map.sum ^= map_entry_sum(pgno, entry);
        s->map.known += entry.txid != 0;
    }
    if ((s->map.sum == h.sum || !RULE(full_xor)) && s->map.checksum == h.checksum)
        return true;
    map_clear(&s->map);
    s->map.page_size = 0;
    return false;
}

static int open_file(struct state *s, struct err *e)
{
    s->fd = open(s->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->fd < 0)
        return err_sys(e, errno, "open state file '%s'", s->path);
    if (flock(s->fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK)
            return err_sys(e, errno, "lock '%s'", s->path);
        err_set(e, ERR_BUSY, 0, "another process has locked '%s'", s->path);
        return err_hint(e, "a seawall daemon or restore is at work on this database; stop it first");
    }
    int rc = posix_fallocate(s->fd, 0, MAP_ENTRIES_OFFSET);
    if (rc != 0)
        return err_sys(e, rc, "reserve room for '%s'", s->path);
    s->fixed = mmap(NULL, MAP_ENTRIES_OFFSET, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
    if (s->fixed == MAP_FAILED) {
        s->fixed = NULL;
        return err_sys(e, errno, "map '%s'", s->path);
    }
    return 0;
}

/* The state file takes owner and mode of the database: who can read one may read the other. */
static void copy_owner(struct state *s, const char *db_path)
{
    struct stat st;
    if (stat(db_path, &st) != 0)
        return;
    int rc = fchmod(s->fd, st.st_mode & 0666);
    if (rc == 0 && geteuid() == 0)
        rc = fchown(s->fd, st.st_uid, st.st_gid);
    (void)rc; /* only a convenience */
}

int state_open(struct state *s, const char *db_path, enum state_found *ret_found, struct err *e)
{
    struct binding binding;
    struct stat st;
    *s = (struct state){.fd = -1,
                        .map = {.fd = -1},
                        .lock = PTHREAD_MUTEX_INITIALIZER,
                        .sync_lock = PTHREAD_MUTEX_INITIALIZER,
                        .current = -1,
                        .synced = -1,
                        .syncing = -1};
    snprintf(s->path, sizeof s->path, "%s" STATE_SUFFIX, db_path);
    if (stat(db_path, &st) != 0) {
        err_sys(e, errno, "database '%s'", db_path);
        goto fail;
    }
    if (open_file(s, e))
        goto fail;
    if (fstat(s->fd, &st) != 0) {
        err_sys(e, errno, "stat '%s'", s->path);
        goto fail;
    }
    if (binding_of(db_path, st.st_ino, &binding, e))
        goto fail;
    s->map.fd = s->fd;
    s->map.offset = MAP_ENTRIES_OFFSET;
    if (random_bytes(&s->seal, sizeof s->seal, e))
        goto fail;
    bool known = load_identity(s);
    if (path_sync_name(s->path, e) ||
        (known && state_sync(s, e))) /* what we go on from must not be taken back by a power cut */
        goto fail;
    bool bound =
        known &&
        ((digest_equal(&s->identity.binding.place, &binding.place) && s->identity.binding.inode == binding.inode) ||
         !RULE(bind));
    if (!bound) {
        s->identity = (struct identity){.binding = binding};
        if (random_bytes(s->identity.writer.bytes, UID_BYTES, e))
            goto fail;
        copy_owner(s, db_path);
        *ret_found = STATE_NEW;
    } else {
        *ret_found = load_map(s, (uint64_t)st.st_size) ? STATE_INTACT : STATE_MAP_LOST;
    }
    if (*ret_found == STATE_MAP_LOST && !RULE(split_state)) {
        struct uid writer = s->identity.writer;
        s->identity = (struct identity){.binding = binding, .writer = writer};
        *ret_found = STATE_NEW;
    }
    return 0;
fail:
    state_close(s);
    return -1;
}

void state_close(struct state *s)
{
    map_release(&s->map);
    if (s->fixed)
        munmap(s->fixed, MAP_ENTRIES_OFFSET);
    s->fixed = NULL;
    io_close(&s->fd); /* and with it the lock */
}
