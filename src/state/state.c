/* state/state.c */
#include "state/state.h"

#include "base/endian.h"
#include "base/folder.h"
#include "base/invariant.h"
#include "base/io.h"
#include "base/path.h"
#include "base/trial.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SLOTS 4
#define OPENS_MAX 10 /* of a file that is replaced each time before it is locked */
#define MAP_HEADER_OFFSET (SLOTS * IDENTITY_SLOT_BYTES)
#define MAP_ENTRIES_OFFSET (MAP_HEADER_OFFSET + 4096)

struct state_record {
    struct identity identity;
    uint64_t serial;              /* of the slot that was written last */
    uint64_t seal;                /* of the map: random at open, then counted up, so that no two histories share one */
    uint8_t *fixed;               /* slots and map header, mapped */
    int current, synced, syncing; /* slots; -1: none */
    pthread_mutex_t lock;         /* guards all of the above, and the slots */
    pthread_mutex_t sync_lock;    /* held for the whole of a sync */
};

struct map_header {
    uint64_t magic;      /* in the byte order of the machine: a map of another byte order does not count */
    uint64_t txid, seal; /* as in the identity */
    uint32_t page_size, pages;
    uint64_t checksum, sum;
    uint64_t header_sum; /* of the fields above */
};
#define MAP_MAGIC UINT64_C(0x53574d4150303032)

static struct map_header *map_header_of(struct state_record *r)
{
    return (struct map_header *)(void *)(r->fixed + MAP_HEADER_OFFSET);
}

static uint64_t header_sum(const struct map_header *h)
{
    return hash64(h, offsetof(struct map_header, header_sum));
}

static struct state_record *lock(const struct state *s)
{
    assert(s->record);
    pthread_mutex_lock(&s->record->lock);
    return s->record;
}

static void unlock(struct state_record *r)
{
    pthread_mutex_unlock(&r->lock);
}

/* ---- writing: the functions in this part need the lock */

static void write_slot(struct state_record *r)
{
    int slot = 0;
    while (slot == r->current || slot == r->synced || slot == r->syncing)
        slot++;
    INVARIANT(slot < SLOTS, "the state file has no free slot");
    identity_encode(&r->identity, ++r->serial, r->fixed + slot * IDENTITY_SLOT_BYTES);
    r->current = slot;
}

static void seal(struct state_record *r, const struct map *map)
{
    r->identity.map_seal = ++r->seal;
    struct map_header h = {.magic = MAP_MAGIC,
                           .seal = r->seal,
                           .txid = r->identity.txid,
                           .page_size = map->page_size,
                           .pages = map->pages,
                           .checksum = map->checksum,
                           .sum = map->sum};
    h.header_sum = header_sum(&h);
    *map_header_of(r) = h;
    write_slot(r);
}

static void set_position(struct identity *id, const struct state_position *position)
{
    id->txid = position->txid;
    id->pos = position->pos;
    id->pos_before_reset = position->pos_before_reset;
    id->time_ms = position->time_ms;
    id->db_inode = position->db_inode;
    id->db_size = position->db_size;
    id->db_mtime_ns = position->db_mtime_ns;
    id->db_ctime_ns = position->db_ctime_ns;
    id->boot = position->boot;
}

void state_commit(struct state *s, const struct state_position *position)
{
    struct state_record *r = lock(s);
    INVARIANT(position->txid >= r->identity.txid, "state of txid %" PRIu64 " after txid %" PRIu64, position->txid,
              r->identity.txid);
    set_position(&r->identity, position);
    seal(r, &s->map);
    unlock(r);
}

void state_lose_map(struct state *s, uint64_t txid, int64_t time_ms)
{
    struct state_record *r = lock(s);
    r->identity.txid = txid;
    r->identity.time_ms = time_ms;
    r->identity.db_ctime_ns = 0;
    r->identity.map_seal = ++r->seal;
    write_slot(r);
    unlock(r);
}

int state_replica(struct state *s, const char *url, uint32_t *ret_index, struct identity_replica *ret_replica,
                  struct err *e)
{
    struct identity_replica *replica = NULL;
    struct state_record *r = lock(s);
    int rc = identity_replica_get(&r->identity, url, &replica, e);
    if (rc == 0) {
        *ret_index = (uint32_t)(replica - r->identity.replicas);
        *ret_replica = *replica;
    }
    unlock(r);
    return rc;
}

void state_set_replica(struct state *s, uint32_t index, const struct identity_replica *replica)
{
    struct state_record *r = lock(s);
    INVARIANT(index < r->identity.replica_count, "replica %u of %u in the state file", index,
              r->identity.replica_count);
    r->identity.replicas[index] = *replica;
    write_slot(r); /* not seal(): the map may be half-way to its next state */
    unlock(r);
}

void state_end_runs(struct state *s, enum identity_past past)
{
    struct state_record *r = lock(s);
    identity_end_runs(&r->identity, past);
    write_slot(r);
    unlock(r);
}

void state_note_put(struct state *s, const struct uid *run, uint32_t replica)
{
    struct state_record *r = lock(s);
    if (identity_note_put(&r->identity, run, replica))
        write_slot(r);
    unlock(r);
}

void state_note_looked(struct state *s, const struct uid *run, uint32_t replica)
{
    struct state_record *r = lock(s);
    identity_note_looked(&r->identity, run, replica);
    write_slot(r);
    unlock(r);
}

int state_sync(struct state *s, struct err *e)
{
    assert(s->record);
    struct state_record *r = s->record;
    if (s->unsynced)
        return 0;
    pthread_mutex_lock(&r->sync_lock);
    pthread_mutex_lock(&r->lock);
    r->syncing = r->current;
    pthread_mutex_unlock(&r->lock);
    int rc = io_fsync(s->fd, s->path, e); /* covers what was written through the mappings */
    pthread_mutex_lock(&r->lock);
    if (rc == 0)
        r->synced = r->syncing;
    r->syncing = -1;
    pthread_mutex_unlock(&r->lock);
    pthread_mutex_unlock(&r->sync_lock);
    return rc;
}

/* ---- restart */

/* The identity after a restart, from the identity before it. */
static int restart_identity(struct identity *id, const struct state_restart *restart, struct err *e)
{
    struct identity_replica *replica = NULL;
    identity_end_runs(id, IDENTITY_LOSE_PAST);
    set_position(id, &(struct state_position){.txid = restart->txid, .time_ms = restart->time_ms});
    if (identity_replica_get(id, restart->url, &replica, e))
        return -1;
    bool ours = uid_equal(&replica->database, &restart->database) && replica->durable_txid > 0;
    if (ours && digest_is_zero(&restart->head))
        return 0;
    *replica = (struct identity_replica){.place = replica->place,
                                         .database = restart->database,
                                         .raced = replica->raced,
                                         .not_exclusive = replica->not_exclusive,
                                         .durable_txid = restart->txid,
                                         .anew_txid = restart->txid, /* where the replica began is not known: the
                                                                        largest txid is on the safe side */
                                         .head = restart->head,
                                         .head_checksum = restart->head_checksum};
    return 0;
}

static int copy_map(struct map *to, const struct map *from, struct err *e)
{
    map_clear(to);
    to->page_size = from->page_size;
    if (map_resize(to, from->pages, e))
        return -1;
    for (uint32_t pgno = 1; pgno <= from->pages; pgno++)
        map_set(to, pgno, map_get(from, pgno));
    return 0;
}

int state_restart(struct state *s, const struct state_restart *restart, struct err *e)
{
    assert(restart->txid > 0);
    INVARIANT(map_is_complete(restart->map), "the map of a restored database of %u pages has %u entries",
              restart->map->pages, restart->map->known);
    struct identity id = state_identity(s);
    if (restart_identity(&id, restart, e) || copy_map(&s->map, restart->map, e))
        return -1;
    struct state_record *r = lock(s);
    r->identity = id;
    seal(r, &s->map);
    unlock(r);
    return state_sync(s, e);
}

/* ---- reading */

struct identity state_identity(const struct state *s)
{
    struct state_record *r = lock(s);
    struct identity copy = r->identity;
    unlock(r);
    return copy;
}

struct state_position state_position_of(const struct identity *id)
{
    return (struct state_position){.txid = id->txid,
                                   .pos = id->pos,
                                   .pos_before_reset = id->pos_before_reset,
                                   .time_ms = id->time_ms,
                                   .db_inode = id->db_inode,
                                   .db_size = id->db_size,
                                   .db_mtime_ns = id->db_mtime_ns,
                                   .db_ctime_ns = id->db_ctime_ns,
                                   .boot = id->boot};
}

struct state_position state_position(const struct state *s)
{
    struct state_record *r = lock(s);
    struct state_position position = state_position_of(&r->identity);
    unlock(r);
    return position;
}

/* False: errno says why, or is 0 if it is another file. */
static bool is_at_its_path(const struct state *s)
{
    struct stat at_path, open_file;
    if (stat(s->path, &at_path) != 0 || fstat(s->fd, &open_file) != 0)
        return false;
    errno = 0;
    return at_path.st_dev == open_file.st_dev && at_path.st_ino == open_file.st_ino;
}

bool state_is_at_its_path(const struct state *s)
{
    return is_at_its_path(s);
}

bool state_is_lost(const struct state *s)
{
    return !is_at_its_path(s) && !io_is_passing(errno);
}

void state_adopt(struct state *s, const struct identity *removed)
{
    struct state_record *r = lock(s);
    INVARIANT((r->identity.txid == 0 && r->identity.run_count == 0) || uid_equal(&r->identity.writer, &removed->writer),
              "an identity is given to the state file of another writer");
    const struct binding here = r->identity.binding;
    r->identity = *removed;
    r->identity.binding = here;
    set_position(&r->identity, &(struct state_position){.txid = removed->txid, .time_ms = removed->time_ms});
    r->identity.map_seal = ++r->seal; /* the map has another: it does not count */
    write_slot(r);
    unlock(r);
    map_clear(&s->map);
    s->map.page_size = 0;
}

struct uid state_writer(const struct state *s)
{
    struct state_record *r = lock(s);
    struct uid writer = r->identity.writer;
    unlock(r);
    return writer;
}

uint64_t state_txid(const struct state *s)
{
    struct state_record *r = lock(s);
    uint64_t txid = r->identity.txid;
    unlock(r);
    return txid;
}

/* ---- opening */

/* Finds the newest intact slot. Returns its number; -1: no slot is intact. */
static int newest_slot(const uint8_t *slots, struct identity *ret_id, uint64_t *ret_serial)
{
    struct identity found;
    uint64_t serial = 0;
    int newest = -1;
    for (int i = 0; i < SLOTS; i++)
        if (identity_decode(slots + i * IDENTITY_SLOT_BYTES, &found, &serial) && (newest < 0 || serial > *ret_serial)) {
            *ret_id = found;
            *ret_serial = serial;
            newest = i;
        }
    return newest;
}

static bool load_identity(struct state_record *r)
{
    r->current = newest_slot(r->fixed, &r->identity, &r->serial);
    return r->current >= 0;
}

/* Maps the entries that the file has; map_resize would clear them. */
static bool map_entries(struct state *s, uint64_t file_size)
{
    size_t bytes = (size_t)(file_size - MAP_ENTRIES_OFFSET) / sizeof(struct map_entry) * sizeof(struct map_entry);
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, MAP_ENTRIES_OFFSET);
    if (at == MAP_FAILED)
        return false;
    s->map.mapping = at;
    s->map.mapped = bytes;
    s->map.entries = at;
    s->map.cap = (uint32_t)(bytes / sizeof(struct map_entry));
    return true;
}

/* Loads the map of the file into s->map. False: it is not whole, or not that of the identity; then s->map is empty. */
static bool load_map(struct state *s, uint64_t file_size)
{
    struct map_header h = *map_header_of(s->record);
    const struct identity *id = &s->record->identity;
    if (h.magic != MAP_MAGIC || h.header_sum != header_sum(&h) || h.txid != id->txid || h.seal != id->map_seal)
        return false;
    if (MAP_ENTRIES_OFFSET + (uint64_t)h.pages * sizeof(struct map_entry) > file_size)
        return false;
    if (h.pages > 0 && !map_entries(s, file_size))
        return false;
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

/* A process can have died before it wrote a slot. */
static bool has_empty_slots(int fd)
{
    uint8_t bytes[4096];
    for (off_t at = 0; at < MAP_HEADER_OFFSET; at += (off_t)sizeof bytes) {
        ssize_t n = pread(fd, bytes, sizeof bytes, at);
        for (ssize_t i = 0; i < n; i++)
            if (bytes[i] != 0)
                return false;
        if (n <= 0)
            return n == 0;
    }
    return true;
}

/* Whether the file is a state file. A file of another program must stay as it is. */
static bool is_state_file(int fd)
{
    uint8_t magic[IDENTITY_MAGIC_BYTES];
    struct err failed = {.code = ERR_NONE};
    for (uint64_t at = 0; at < MAP_HEADER_OFFSET; at += IDENTITY_SLOT_BYTES)
        if (io_pread(fd, magic, sizeof magic, at, &failed) == 0 && identity_has_magic(magic))
            return true;
    errno = failed.code == ERR_IO ? failed.sys : 0;
    return errno == 0 && has_empty_slots(fd);
}

static int open_file(struct state *s, const char *db_path, struct err *e)
{
    const struct folder_file file = {
        .name = path_name(s->path), .like = path_name(db_path), .access = FOLDER_MAKE, .is_ours = is_state_file};
    return folder_open_path(s->path, &file, &s->fd, e) ? err_wrap(e, "state file") : 0;
}

static int lock_file(const struct state *s, struct err *e)
{
    if (flock(s->fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    if (errno != EWOULDBLOCK)
        return err_sys(e, errno, "lock '%s'", s->path);
    err_set(e, ERR_BUSY, 0, "another process has locked '%s'", s->path);
    return err_hint(e, "a seawall daemon or restore is at work on this database; stop it first");
}

/* Between open and lock the file can be removed or replaced: by a restore that ends its reservation, or by a person.
 * The lock of a file that the path does not lead to keeps nobody away, so the file that is there now is opened. */
static int open_and_lock(struct state *s, const char *db_path, struct err *e)
{
    for (int tries = 0; tries < OPENS_MAX; tries++) {
        if (open_file(s, db_path, e) || lock_file(s, e))
            return -1;
        if (state_is_at_its_path(s))
            return 0;
        io_close(&s->fd);
    }
    return err_set(e, ERR_BUSY, 0, "'%s' is removed or replaced again and again", s->path);
}

/* Maps the fixed part of the file. */
static int map_fixed(struct state *s, struct err *e)
{
    int rc = posix_fallocate(s->fd, 0, MAP_ENTRIES_OFFSET);
    if (rc != 0)
        return err_sys(e, rc, "reserve room for '%s'", s->path);
    void *at = mmap(NULL, MAP_ENTRIES_OFFSET, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
    if (at == MAP_FAILED)
        return err_sys(e, errno, "map '%s'", s->path);
    s->record->fixed = at;
    s->map.fd = s->fd;
    s->map.offset = MAP_ENTRIES_OFFSET;
    return 0;
}

/* Gives a new state file the owner and the mode of the database, so that the same users can read both. */
static void copy_owner(const struct state *s, const char *db_path)
{
    struct stat db, own;
    if (stat(db_path, &db) != 0 || fstat(s->fd, &own) != 0 || own.st_uid != geteuid())
        return;
    int rc = 0;
    if (geteuid() == 0)
        rc = fchown(s->fd, db.st_uid, db.st_gid);
    bool same_group = fstat(s->fd, &own) == 0 && own.st_gid == db.st_gid;
    if (rc == 0) /* the rights of one group are not given to another one */
        rc = fchmod(s->fd, db.st_mode & (same_group ? 0666 : 0606));
    (void)rc; /* the state file works without it */
}

static int new_identity(struct identity *id, const struct binding *binding, struct err *e)
{
    *id = (struct identity){.binding = *binding};
    return random_bytes(id->writer.bytes, UID_BYTES, e);
}

static bool is_bound(const struct identity *id, const struct binding *binding)
{
    return (digest_equal(&id->binding.place, &binding->place) && id->binding.inode == binding->inode) || !RULE(bind);
}

/* Reads identity and map of the open file. */
static int load(struct state *s, const char *db_path, const struct binding *binding, enum state_found *ret_found,
                struct err *e)
{
    struct state_record *r = s->record;
    struct stat st;
    if (fstat(s->fd, &st) != 0)
        return err_sys(e, errno, "stat '%s'", s->path);
    bool known = load_identity(r);
    if (!s->unsynced && path_sync_name(s->path, e))
        return -1;
    if (known && state_sync(s, e)) /* a power cut must not take back the state that we go on from */
        return -1;
    *ret_found = STATE_NEW;
    if (!known || !is_bound(&r->identity, binding)) {
        copy_owner(s, db_path);
        return new_identity(&r->identity, binding, e);
    }
    *ret_found = load_map(s, (uint64_t)st.st_size) ? STATE_INTACT : STATE_MAP_LOST;
    if (*ret_found == STATE_MAP_LOST && !RULE(split_state)) {
        r->identity = (struct identity){.binding = *binding, .writer = r->identity.writer};
        *ret_found = STATE_NEW;
    }
    return 0;
}

/* ---- looking */

static int read_slots(int fd, struct identity *ret_identity, struct err *e)
{
    uint8_t *slot = malloc(IDENTITY_SLOT_BYTES);
    struct identity *found = malloc(sizeof *found);
    uint64_t serial = 0, newest = 0;
    bool any = false;
    int rc = slot && found ? 0 : err_nomem(e, sizeof *found);
    for (int i = 0; rc == 0 && i < SLOTS; i++) {
        if (pread(fd, slot, IDENTITY_SLOT_BYTES, (off_t)i * IDENTITY_SLOT_BYTES) != IDENTITY_SLOT_BYTES ||
            !identity_decode(slot, found, &serial) || (any && serial <= newest))
            continue;
        *ret_identity = *found;
        newest = serial;
        any = true;
    }
    free(slot);
    free(found);
    return rc == 0 && !any ? err_set(e, ERR_CORRUPT, 0, "the state file has no identity") : rc;
}

int state_peek(const char *db_path, struct identity *ret_identity, struct err *e)
{
    char path[PATH_TEXT_MAX];
    struct folder_file file = {.like = path_name(db_path), .access = FOLDER_READ, .is_ours = is_state_file};
    struct binding binding;
    struct stat st;
    int fd = -1;
    if (path_format(path, e, "%s" STATE_SUFFIX, db_path))
        return -1;
    file.name = path_name(path);
    if (folder_open_path(path, &file, &fd, e))
        return err_wrap(e, "state file");
    int rc = fstat(fd, &st) == 0 ? 0 : err_sys(e, errno, "stat '%s'", path);
    if (rc == 0)
        rc = binding_of(db_path, st.st_ino, &binding, e);
    if (rc == 0)
        rc = read_slots(fd, ret_identity, e);
    if (rc == 0 && !is_bound(ret_identity, &binding))
        rc = err_set(e, ERR_CORRUPT, 0, "the state file is a copy of another one");
    io_close(&fd);
    return rc;
}

static struct state_record *record_new(void)
{
    struct state_record *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    pthread_mutex_init(&r->lock, NULL);
    pthread_mutex_init(&r->sync_lock, NULL);
    r->current = r->synced = r->syncing = -1;
    return r;
}

static int open_and_load(struct state *s, const char *db_path, enum state_found *ret_found, struct err *e)
{
    struct binding binding;
    struct stat st;
    s->record = record_new();
    if (!s->record)
        return err_nomem(e, sizeof *s->record);
    if (path_format(s->path, e, "%s" STATE_SUFFIX, db_path))
        return -1;
    if (stat(db_path, &st) != 0)
        return err_sys(e, errno, "database '%s'", db_path);
    bool reserved = s->fd >= 0; /* and locked */
    if ((!reserved && open_and_lock(s, db_path, e)) || map_fixed(s, e))
        return -1;
    if (fstat(s->fd, &st) != 0)
        return err_sys(e, errno, "stat '%s'", s->path);
    if (binding_of(db_path, st.st_ino, &binding, e) || random_bytes(&s->record->seal, sizeof s->record->seal, e))
        return -1;
    return load(s, db_path, &binding, ret_found, e);
}

int state_reserve(struct state_reservation *r, const char *db_path, struct err *e)
{
    struct state s = {.fd = -1, .map = {.fd = -1}};
    struct stat st;
    *r = STATE_RESERVATION_NONE;
    if (path_format(s.path, e, "%s" STATE_SUFFIX, db_path))
        return -1;
    if (open_and_lock(&s, db_path, e)) {
        const bool opened = s.fd >= 0 || e->code == ERR_BUSY;
        io_close(&s.fd);
        return opened ? -1 : 0; /* what is wrong with a file that can't be opened, state_open says */
    }
    r->fd = s.fd;
    r->made = fstat(s.fd, &st) == 0 && st.st_size == 0;
    return 0;
}

void state_unreserve(struct state_reservation *r, const char *db_path)
{
    struct state s = {.fd = r->fd};
    struct folder f = FOLDER_NONE;
    struct err ignored;
    if (r->fd >= 0 && r->made && path_format(s.path, &ignored, "%s" STATE_SUFFIX, db_path) == 0 &&
        state_is_at_its_path(&s) && folder_open_parent(&f, s.path, &ignored) == 0) {
        int rc = folder_remove(&f, path_name(s.path), &ignored);
        (void)rc; /* an empty file is like none */
        folder_close(&f);
    }
    io_close(&r->fd);
}

static int open_state(struct state *s, const char *db_path, enum state_found *ret_found, struct err *e)
{
    if (open_and_load(s, db_path, ret_found, e) == 0)
        return 0;
    state_close(s);
    return -1;
}

int state_open(struct state *s, const char *db_path, enum state_found *ret_found, struct err *e)
{
    *s = (struct state){.fd = -1, .map = {.fd = -1}};
    return open_state(s, db_path, ret_found, e);
}

int state_open_reserved(struct state *s, struct state_reservation *taken, const char *db_path,
                        enum state_found *ret_found, struct err *e)
{
    *s = (struct state){.fd = taken->fd, .map = {.fd = -1}, .unsynced = taken->unsynced};
    *taken = STATE_RESERVATION_NONE;
    return open_state(s, db_path, ret_found, e);
}

void state_close(struct state *s)
{
    struct state_record *r = s->record;
    map_release(&s->map);
    if (r) {
        if (r->fixed)
            munmap(r->fixed, MAP_ENTRIES_OFFSET);
        pthread_mutex_destroy(&r->lock);
        pthread_mutex_destroy(&r->sync_lock);
    }
    free(r);
    s->record = NULL;
    io_close(&s->fd); /* and with it the lock */
}
