/* support/identity_random.h - random identities: no field is left empty. */
#ifndef TESTS_IDENTITY_RANDOM_H
#define TESTS_IDENTITY_RANDOM_H

#include "dice.h"
#include "state/identity.h"

#include <string.h>

static inline void random_run(struct dice *d, struct identity_run *run)
{
    dice_fill(d, run->id.bytes, UID_BYTES);
    run->upto = dice_below(d, 2) ? RUN_OPEN : dice_next(d);
    run->unlooked = (uint32_t)dice_next(d);
}

static inline void random_replica(struct dice *d, struct identity_replica *r)
{
    dice_fill(d, r->place.bytes, DIGEST_BYTES);
    dice_fill(d, r->database.bytes, UID_BYTES);
    dice_fill(d, r->head.bytes, DIGEST_BYTES);
    r->durable_txid = dice_next(d);
    r->head_checksum = dice_next(d);
    r->base_owed = dice_next(d);
    r->anew_txid = dice_next(d);
    r->unrelated = dice_below(d, 2);
    r->raced = dice_below(d, 2);
    r->not_exclusive = dice_below(d, 2);
    r->attempt_count = dice_below(d, IDENTITY_ATTEMPTS_MAX + 1);
    dice_fill(d, r->attempts, r->attempt_count * sizeof r->attempts[0]);
}

static inline void random_pos(struct dice *d, struct wal_pos *pos)
{
    dice_fill(d, pos->salt, WAL_SALT_BYTES);
    pos->frame = (uint32_t)dice_next(d);
    pos->sum = (struct wal_sum){(uint32_t)dice_next(d), (uint32_t)dice_next(d)};
}

static inline void random_identity(struct dice *d, struct identity *id)
{
    memset(id, 0, sizeof *id);
    dice_fill(d, id->binding.place.bytes, DIGEST_BYTES);
    id->binding.inode = dice_next(d);
    dice_fill(d, id->writer.bytes, UID_BYTES);
    id->txid = dice_next(d);
    random_pos(d, &id->pos);
    random_pos(d, &id->pos_before_reset);
    id->time_ms = (int64_t)dice_next(d);
    id->db_inode = dice_next(d);
    id->db_size = dice_next(d);
    id->db_mtime_ns = (int64_t)dice_next(d);
    id->db_ctime_ns = (int64_t)dice_next(d);
    id->boot = dice_next(d);
    id->run_count = dice_below(d, IDENTITY_RUNS_MAX + 1);
    id->replica_count = dice_below(d, IDENTITY_REPLICAS_MAX + 1);
    for (uint32_t i = 0; i < id->run_count; i++)
        random_run(d, &id->runs[i]);
    for (uint32_t i = 0; i < id->replica_count; i++)
        random_replica(d, &id->replicas[i]);
}

/* Makes an identity that is as large as possible. */
static inline void fill_identity(struct dice *d, struct identity *id)
{
    random_identity(d, id);
    id->run_count = IDENTITY_RUNS_MAX;
    id->replica_count = IDENTITY_REPLICAS_MAX;
    for (uint32_t i = 0; i < id->run_count; i++)
        random_run(d, &id->runs[i]);
    for (uint32_t i = 0; i < id->replica_count; i++) {
        random_replica(d, &id->replicas[i]);
        id->replicas[i].attempt_count = IDENTITY_ATTEMPTS_MAX;
        dice_fill(d, id->replicas[i].attempts, sizeof id->replicas[i].attempts);
    }
}

/* Compares field by field: the padding between fields may differ, and so may entries beyond the counts. */
#define assert_identities_equal(a, b)                                                                                  \
    do {                                                                                                               \
        const struct identity *x_ = (a), *y_ = (b);                                                                    \
        assert_true(digest_equal(&x_->binding.place, &y_->binding.place) && x_->binding.inode == y_->binding.inode);   \
        assert_true(uid_equal(&x_->writer, &y_->writer) && x_->txid == y_->txid && x_->time_ms == y_->time_ms);        \
        assert_true(wal_pos_equal(&x_->pos, &y_->pos) && wal_pos_equal(&x_->pos_before_reset, &y_->pos_before_reset)); \
        assert_true(x_->db_inode == y_->db_inode && x_->db_size == y_->db_size && x_->db_mtime_ns == y_->db_mtime_ns); \
        assert_true(x_->db_ctime_ns == y_->db_ctime_ns && x_->boot == y_->boot);                                       \
        assert_true(x_->run_count == y_->run_count && x_->replica_count == y_->replica_count);                         \
        assert_memory_equal(x_->runs, y_->runs, x_->run_count * sizeof x_->runs[0]);                                   \
        for (uint32_t i_ = 0; i_ < x_->replica_count; i_++) {                                                          \
            const struct identity_replica *r_ = &x_->replicas[i_], *s_ = &y_->replicas[i_];                            \
            assert_true(digest_equal(&r_->place, &s_->place) && uid_equal(&r_->database, &s_->database));              \
            assert_true(r_->durable_txid == s_->durable_txid && digest_equal(&r_->head, &s_->head));                   \
            assert_true(r_->head_checksum == s_->head_checksum && r_->base_owed == s_->base_owed &&                    \
                        r_->anew_txid == s_->anew_txid && r_->unrelated == s_->unrelated);                             \
            assert_true(r_->raced == s_->raced && r_->not_exclusive == s_->not_exclusive);                             \
            assert_int_equal(r_->attempt_count, s_->attempt_count);                                                    \
            assert_memory_equal(r_->attempts, s_->attempts, r_->attempt_count * sizeof r_->attempts[0]);               \
        }                                                                                                              \
    } while (0)

#endif
