/* state/identity.c */
#include "state/identity.h"

#include "base/endian.h"
#include "base/io.h"
#include "base/path.h"
#include "base/trial.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SLOT_MAGIC_OF(version) (UINT64_C(0x53454157414c4c30) + (version)) /* "SEAWALL" and a digit */
#define VERSION_OLDEST 2u
#define VERSION_ANEW 3u  /* the first with anew_txid */
#define VERSION_STAMP 4u /* the first with db_ctime_ns and boot */
#define VERSION VERSION_STAMP

/* ---- binding */

#define MACHINE_ID "/etc/machine-id"

/* A machine without a readable file has the id "". A read that fails, or ends early, must not give that or a part: the
 * same machine would be another one the next time. */
static int read_machine_id(char out[64], struct err *e)
{
    size_t got = 0;
    ssize_t n = 0;
    int fd = open(MACHINE_ID, O_RDONLY | O_CLOEXEC);
    out[0] = 0;
    if (fd < 0)
        return io_is_passing(errno) ? err_sys(e, errno, "open '" MACHINE_ID "'") : 0;
    while (got < 63 && ((n = read(fd, out + got, 63 - got)) > 0 || (n < 0 && errno == EINTR)))
        got += n > 0 ? (size_t)n : 0;
    int error = errno;
    close(fd);
    out[got] = 0;
    return n < 0 && error != EISDIR ? err_sys(e, error, "read '" MACHINE_ID "'") : 0;
}

int binding_of(const char *db_path, uint64_t state_inode, struct binding *ret_binding, struct err *e)
{
    char text[64 + 1 + PATH_MAX] = "", real[PATH_MAX];
    if (!realpath(db_path, real))
        return err_sys(e, errno, "'%s'", db_path);
    if (read_machine_id(text, e))
        return -1;
    size_t n = strlen(text);
    snprintf(text + n, sizeof text - n, "|%s", real);
    ret_binding->inode = state_inode;
    return digest_of(text, strlen(text), &ret_binding->place, e);
}

/* ---- bytes */

struct writer {
    uint8_t *at;
};

static void put_bytes(struct writer *w, const void *bytes, size_t n)
{
    memcpy(w->at, bytes, n);
    w->at += n;
}
static void put_u32(struct writer *w, uint32_t v)
{
    put_be32(w->at, v);
    w->at += 4;
}
static void put_u64(struct writer *w, uint64_t v)
{
    put_be64(w->at, v);
    w->at += 8;
}
static void put_pos(struct writer *w, const struct wal_pos *pos)
{
    put_bytes(w, pos->salt, WAL_SALT_BYTES);
    put_u32(w, pos->frame);
    put_u32(w, pos->sum.s0);
    put_u32(w, pos->sum.s1);
}

/* of a replica */
#define FLAG_UNRELATED 1u
#define FLAG_RACED 2u
#define FLAG_NOT_EXCLUSIVE 4u

#define FIXED_BYTES 256
#define RUN_BYTES (UID_BYTES + 8 + 4)
#define REPLICA_BYTES                                                                                                  \
    (DIGEST_BYTES + UID_BYTES + 8 + DIGEST_BYTES + 8 + 8 + 8 + 4 + 4 + IDENTITY_ATTEMPTS_MAX * DIGEST_BYTES)
_Static_assert(FIXED_BYTES + IDENTITY_RUNS_MAX * RUN_BYTES + IDENTITY_REPLICAS_MAX * REPLICA_BYTES <=
                   IDENTITY_SLOT_BYTES,
               "an identity fits into its slot");

void identity_encode(const struct identity *id, uint64_t serial, uint8_t slot[IDENTITY_SLOT_BYTES])
{
    assert(id->run_count <= IDENTITY_RUNS_MAX && id->replica_count <= IDENTITY_REPLICAS_MAX);
    struct writer w = {slot};
    put_u64(&w, SLOT_MAGIC_OF(VERSION));
    put_u64(&w, 0); /* checksum, below */
    put_u32(&w, 0); /* size, below */
    put_u64(&w, serial);
    put_bytes(&w, id->binding.place.bytes, DIGEST_BYTES);
    put_u64(&w, id->binding.inode);
    put_bytes(&w, id->writer.bytes, UID_BYTES);
    put_u64(&w, id->txid);
    put_pos(&w, &id->pos);
    put_pos(&w, &id->pos_before_reset);
    put_u64(&w, id->map_seal);
    put_u64(&w, (uint64_t)id->time_ms);
    put_u64(&w, id->db_inode);
    put_u64(&w, id->db_size);
    put_u64(&w, (uint64_t)id->db_mtime_ns);
    put_u64(&w, (uint64_t)id->db_ctime_ns);
    put_u64(&w, id->boot);
    put_u32(&w, id->run_count);
    put_u32(&w, id->replica_count);
    assert(w.at - slot <= FIXED_BYTES);
    for (uint32_t i = 0; i < id->run_count; i++) {
        put_bytes(&w, id->runs[i].id.bytes, UID_BYTES);
        put_u64(&w, id->runs[i].upto);
        put_u32(&w, id->runs[i].unlooked);
    }
    for (uint32_t i = 0; i < id->replica_count; i++) {
        const struct identity_replica *r = &id->replicas[i];
        put_bytes(&w, r->place.bytes, DIGEST_BYTES);
        put_bytes(&w, r->database.bytes, UID_BYTES);
        put_u64(&w, r->durable_txid);
        put_bytes(&w, r->head.bytes, DIGEST_BYTES);
        put_u64(&w, r->head_checksum);
        put_u64(&w, r->base_owed);
        put_u64(&w, r->anew_txid);
        put_u32(&w, (r->unrelated ? FLAG_UNRELATED : 0) | (r->raced ? FLAG_RACED : 0) |
                        (r->not_exclusive ? FLAG_NOT_EXCLUSIVE : 0));
        put_u32(&w, r->attempt_count);
        put_bytes(&w, r->attempts, r->attempt_count * sizeof r->attempts[0]);
    }
    size_t size = (size_t)(w.at - slot);
    put_be32(slot + 16, (uint32_t)size);
    put_be64(slot + 8, hash64(slot + 16, size - 16));
}

static void take_bytes(struct cursor *c, void *out, size_t n)
{
    const uint8_t *p = cursor_bytes(c, n);
    if (p)
        memcpy(out, p, n);
}
static struct wal_pos take_pos(struct cursor *c)
{
    struct wal_pos pos = {0};
    take_bytes(c, pos.salt, WAL_SALT_BYTES);
    pos.frame = cursor_be32(c);
    pos.sum.s0 = cursor_be32(c);
    pos.sum.s1 = cursor_be32(c);
    return pos;
}

static void take_run(struct cursor *c, struct identity_run *run)
{
    take_bytes(c, run->id.bytes, UID_BYTES);
    run->upto = cursor_be64(c);
    run->unlooked = cursor_be32(c);
}

static void take_replica(struct cursor *c, unsigned version, struct identity_replica *r)
{
    take_bytes(c, r->place.bytes, DIGEST_BYTES);
    take_bytes(c, r->database.bytes, UID_BYTES);
    r->durable_txid = cursor_be64(c);
    take_bytes(c, r->head.bytes, DIGEST_BYTES);
    r->head_checksum = cursor_be64(c);
    r->base_owed = cursor_be64(c);
    r->anew_txid = version < VERSION_ANEW ? r->durable_txid : cursor_be64(c);
    uint32_t flags = cursor_be32(c);
    r->unrelated = flags & FLAG_UNRELATED;
    r->raced = flags & FLAG_RACED;
    r->not_exclusive = flags & FLAG_NOT_EXCLUSIVE;
    r->attempt_count = cursor_be32(c);
    if (flags > (FLAG_UNRELATED | FLAG_RACED | FLAG_NOT_EXCLUSIVE) || r->attempt_count > IDENTITY_ATTEMPTS_MAX) {
        c->bad = true;
        return;
    }
    take_bytes(c, r->attempts, r->attempt_count * sizeof r->attempts[0]);
}

/* 0: this is none that can be read. */
static unsigned version_of(const uint8_t *slot)
{
    for (unsigned version = VERSION_OLDEST; version <= VERSION; version++)
        if (get_be64(slot) == SLOT_MAGIC_OF(version))
            return version;
    return 0;
}

bool identity_has_magic(const uint8_t bytes[IDENTITY_MAGIC_BYTES])
{
    return version_of(bytes) != 0;
}

bool identity_decode(const uint8_t slot[IDENTITY_SLOT_BYTES], struct identity *ret_id, uint64_t *ret_serial)
{
    struct identity id = {0};
    uint32_t size = get_be32(slot + 16);
    const unsigned version = version_of(slot);
    if (version == 0 || size < 20 || size > IDENTITY_SLOT_BYTES || get_be64(slot + 8) != hash64(slot + 16, size - 16))
        return false;
    struct cursor c = cursor_of(slot + 20, size - 20);
    uint64_t serial = cursor_be64(&c);
    take_bytes(&c, id.binding.place.bytes, DIGEST_BYTES);
    id.binding.inode = cursor_be64(&c);
    take_bytes(&c, id.writer.bytes, UID_BYTES);
    id.txid = cursor_be64(&c);
    id.pos = take_pos(&c);
    id.pos_before_reset = take_pos(&c);
    id.map_seal = cursor_be64(&c);
    id.time_ms = (int64_t)cursor_be64(&c);
    id.db_inode = cursor_be64(&c);
    id.db_size = cursor_be64(&c);
    id.db_mtime_ns = (int64_t)cursor_be64(&c);
    if (version >= VERSION_STAMP) {
        id.db_ctime_ns = (int64_t)cursor_be64(&c);
        id.boot = cursor_be64(&c);
    }
    id.run_count = cursor_be32(&c);
    id.replica_count = cursor_be32(&c);
    if (c.bad || id.run_count > IDENTITY_RUNS_MAX || id.replica_count > IDENTITY_REPLICAS_MAX)
        return false;
    for (uint32_t i = 0; i < id.run_count; i++)
        take_run(&c, &id.runs[i]);
    for (uint32_t i = 0; i < id.replica_count; i++)
        take_replica(&c, version, &id.replicas[i]);
    if (c.bad || cursor_left(&c) != 0)
        return false;
    *ret_id = id;
    *ret_serial = serial;
    return true;
}

/* ---- replicas and runs */

int identity_replica_get(struct identity *id, const char *url, struct identity_replica **ret_replica, struct err *e)
{
    struct digest place;
    if (digest_of(url, strlen(url), &place, e))
        return -1;
    for (uint32_t i = 0; i < id->replica_count; i++)
        if (digest_equal(&id->replicas[i].place, &place)) {
            *ret_replica = &id->replicas[i];
            return 0;
        }
    if (id->replica_count == IDENTITY_REPLICAS_MAX) {
        err_set(e, ERR_LIMIT, 0, "state file: more than %d replicas of one database", IDENTITY_REPLICAS_MAX);
        return err_hint(
            e, "replicas that are not used any more count too; stop the daemon and remove the state file, then "
               "start it with --take-over");
    }
    struct identity_replica *r = &id->replicas[id->replica_count++];
    *r = (struct identity_replica){.place = place};
    *ret_replica = r;
    return 0;
}

bool identity_replica_tried(const struct identity_replica *replica, const struct digest *digest)
{
    for (uint32_t i = 0; i < replica->attempt_count; i++)
        if (digest_equal(&replica->attempts[i], digest))
            return true;
    return false;
}

static const struct identity_run *find_run(const struct identity *id, const struct uid *run)
{
    for (uint32_t i = 0; i < id->run_count; i++)
        if (uid_equal(&id->runs[i].id, run))
            return &id->runs[i];
    return NULL;
}

bool identity_knows_run(const struct identity *id, const struct uid *run)
{
    return RULE(runs) && find_run(id, run) != NULL;
}

bool identity_is_past(const struct identity *id, const struct uid *run, uint64_t max)
{
    const struct identity_run *r = find_run(id, run);
    return RULE(runs) && r && r->upto != RUN_OPEN && (max <= r->upto || !RULE(runs_upto));
}

void identity_end_runs(struct identity *id, enum identity_past past)
{
    for (uint32_t i = 0; i < id->run_count; i++) {
        if (past == IDENTITY_LOSE_PAST)
            id->runs[i].upto = 0;
        else if (id->runs[i].upto == RUN_OPEN)
            id->runs[i].upto = id->txid;
    }
    for (uint32_t i = 0; i < id->replica_count && past == IDENTITY_LOSE_PAST && RULE(lost_map); i++)
        id->replicas[i].unrelated = true;
}

/* Forgets the oldest run that no replica waits for. */
static void forget_a_run(struct identity *id)
{
    uint32_t i = 0;
    while (i < id->run_count && id->runs[i].unlooked != 0)
        i++;
    if (i == id->run_count)
        i = 0;
    memmove(id->runs + i, id->runs + i + 1, (id->run_count - i - 1) * sizeof id->runs[0]);
    id->run_count--;
}

bool identity_note_put(struct identity *id, const struct uid *run, uint32_t replica)
{
    assert(replica < IDENTITY_REPLICAS_MAX);
    uint32_t bit = UINT32_C(1) << replica, i = 0;
    while (i < id->run_count && !uid_equal(&id->runs[i].id, run))
        i++;
    if (i < id->run_count && (id->runs[i].unlooked & bit))
        return false;
    if (i == IDENTITY_RUNS_MAX) {
        forget_a_run(id);
        i--;
    }
    if (i == id->run_count)
        id->runs[id->run_count++] = (struct identity_run){.id = *run, .upto = RUN_OPEN};
    id->runs[i].unlooked |= bit;
    return true;
}

void identity_note_looked(struct identity *id, const struct uid *run, uint32_t replica)
{
    assert(replica < IDENTITY_REPLICAS_MAX);
    for (uint32_t i = 0; i < id->run_count; i++)
        if (!uid_equal(&id->runs[i].id, run))
            id->runs[i].unlooked &= ~(UINT32_C(1) << replica);
}
