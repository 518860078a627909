/* daemon/condition.c */
#include "daemon/condition.h"

const char *condition_name(enum condition c)
{
    static const char *const names[] = {
        "following",           "starting",     "first copy", "behind", "failing", "waiting for the database",
        "verification failed", "replica lost", "conflict"};
    return names[c];
}

bool condition_is_well(enum condition c, int64_t for_ms)
{
    if (c == CONDITION_BEHIND || c == CONDITION_FAILING)
        return for_ms < CONDITION_PATIENCE_MS;
    return c < CONDITION_BEHIND;
}

static int64_t since(int64_t then_ms, int64_t now_ms)
{
    return now_ms > then_ms ? now_ms - then_ms : 0;
}

int64_t condition_behind_since_ms(const struct database *db, const struct lane *l)
{
    if (db->lanes.captured.txid <= lane_restorable_txid(l))
        return 0;
    const int64_t since_ms = lag_since_ms(&db->lag, lane_restorable_txid(l));
    return since_ms > 0 ? since_ms : l->loss.since_ms;
}

enum condition condition_of_replica(const struct database *db, const struct lane *l,
                                    const struct verification_record *r, int64_t now_ms, int64_t *ret_for_ms)
{
    uint64_t durable = lane_restorable_txid(l), captured = db->lanes.captured.txid;
    *ret_for_ms = 0;
    if (l->seen.state == DESTINATION_CONFLICT)
        return CONDITION_CONFLICT;
    if (l->loss.since_ms > 0)
        return CONDITION_LOST;
    if (r->verified_ms > 0 && !r->ok)
        return CONDITION_VERIFICATION_FAILED;
    if (l->failing_since_ms > 0) {
        *ret_for_ms = since(l->failing_since_ms, now_ms);
        return captured > durable ? CONDITION_BEHIND : CONDITION_FAILING;
    }
    if (!l->asked || captured == 0)
        return CONDITION_STARTING;
    if (durable == 0)
        return CONDITION_FIRST_COPY;
    if (captured == durable)
        return CONDITION_FOLLOWING;
    *ret_for_ms = since(condition_behind_since_ms(db, l), now_ms);
    return CONDITION_BEHIND;
}

enum condition condition_of_database(const struct database *db)
{
    if (db->complaint.text[0])
        return CONDITION_WAITING;
    return db->figures.at == LOCAL_CLOSED && db->runs == 0 ? CONDITION_STARTING : CONDITION_FOLLOWING;
}

int condition_percent(const struct lane *l)
{
    const struct copy *c = l->copy.copy.terms.kind == COPY_BASE ? &l->copy.copy : &l->paused_base;
    uint64_t put = 0;
    if (c->terms.kind != COPY_BASE || c->terms.end_page == 0 || l->copy.closing)
        return -1;
    for (size_t i = 0; i < c->objects.count; i++)
        if (c->objects.list[i].last_page > 0)
            put += c->objects.list[i].last_page - c->objects.list[i].first_page + 1;
    return (int)(put * 100 / c->terms.end_page);
}
