/* retention/retention.c - the decision, step by step. */
#include "retention/retention.h"

#include "base/invariant.h"
#include "replica/packs.h"
#include "retention/decision.h"

#include <assert.h>
#include <stdlib.h>

#define VALID_MS_MIN 60000 /* a decision is valid for half of the grace period, but at least for so long */

static struct retention_verdict *begin_verdicts(struct retention_plan *p, const struct catalog_object *list,
                                                size_t count)
{
    struct retention_verdict *first = p->verdicts + p->count;
    for (size_t i = 0; i < count; i++)
        p->verdicts[p->count++] =
            (struct retention_verdict){.name = list[i].name, .size = list[i].size, .time_ms = list[i].time_ms};
    return first;
}

static int read_head(struct decision *d, struct err *e)
{
    struct catalog *c = d->c;
    if (!catalog_head(c))
        return err_set(e, ERR_NOTFOUND, 0, "'%s' has no object of level 0: nothing is deleted", c->store->url);
    struct catalog_object *head = catalog_head(c);
    if (catalog_load(c, head, e))
        return err_wrap(e, "nothing is deleted");
    d->head_max = head->segment->trailer.info.max;
    d->head_run = head->segment->trailer.info.run;
    d->out.head_writer = head->segment->trailer.info.writer;
    return 0;
}

static int begin(struct decision *d, struct err *e)
{
    const struct catalog *c = d->c;
    const struct retention_policy *p = d->policy;
    const size_t segments = catalog_segment_count(c),
                 all = segments + c->packed_count + c->marker_count + c->chunk_count + c->part_count + 1;
    d->keep_all_ms = p->keep_all_ms > p->grace_ms ? p->keep_all_ms : p->grace_ms;
    d->window_ms = p->keep_levels_ms > d->keep_all_ms ? p->keep_levels_ms : d->keep_all_ms;
    d->settle_ms = pack_settle_ms(c->store, p->grace_ms);
    d->segment_count = segments;
    d->out.verdicts = calloc(all, sizeof *d->out.verdicts);
    d->needed = calloc(segments + 1, sizeof *d->needed);
    d->expired = calloc(segments + 1, sizeof *d->expired);
    d->relied = calloc(segments + 1, sizeof *d->relied);
    d->ends = calloc(segments + 1, sizeof *d->ends);
    d->bases = calloc(c->marker_count + 1, sizeof *d->bases);
    if (!d->out.verdicts || !d->needed || !d->expired || !d->relied || !d->ends || !d->bases)
        return err_nomem(e, all * sizeof *d->out.verdicts);
    d->segments = begin_verdicts(&d->out, c->level0, c->level0_count);
    begin_verdicts(&d->out, c->levels, c->level_count);
    d->packed = begin_verdicts(&d->out, c->packed, c->packed_count);
    d->markers = begin_verdicts(&d->out, c->markers, c->marker_count);
    d->chunks = begin_verdicts(&d->out, c->chunks, c->chunk_count);
    d->parts = begin_verdicts(&d->out, c->parts, c->part_count);
    d->out.verdicts[d->out.count++] = (struct retention_verdict){
        .size = c->identity_size, .time_ms = c->identity_time_ms, .reason = RETENTION_IDENTITY};
    return 0;
}

static void count_verdicts(struct retention_plan *p)
{
    for (size_t i = 0; i < p->count; i++) {
        const struct retention_verdict *v = &p->verdicts[i];
        *(v->goes ? &p->delete_count : &p->keep_count) += 1;
        *(v->goes ? &p->delete_bytes : &p->keep_bytes) += v->size;
    }
}

/* Checks rule A once more, independently: a mistake in another rule must not cost data. */
static void check_rule_a(const struct decision *d)
{
    const struct catalog_object *head = catalog_head(d->c);
    INVARIANT(!d->segments[catalog_segment_index(d->c, head)].goes,
              "'%s': the newest object of level 0 would be deleted", d->c->store->url);
    for (size_t i = 0; i < d->out.count; i++) {
        const struct retention_verdict *v = &d->out.verdicts[i];
        const bool packed = v->reason == RETENTION_PACKED || v->reason == RETENTION_LEVEL_PACKED;
        const uint64_t age_ms = packed ? d->settle_ms : d->policy->grace_ms;
        INVARIANT(!v->goes || (v->name.kind != NAME_OTHER && decision_older(d, v->time_ms, age_ms)),
                  "'%s': an object that must stay would be deleted: %s", d->c->store->url,
                  retention_reason_text(v->reason));
    }
}

static int judge_all(struct decision *d, struct err *e)
{
    if (retention_policy_check(d->policy, e) || read_head(d, e) || begin(d, e))
        return -1;
    if (retention_judge_bases(d, e) || retention_judge_segments(d, e) || retention_judge_chunks(d, e) ||
        retention_judge_parts(d, e))
        return -1;
    check_rule_a(d);
    count_verdicts(&d->out);
    return 0;
}

/* Everything but the verdicts. */
static void release_work(struct decision *d)
{
    for (size_t i = 0; d->bases && i < d->c->marker_count; i++)
        free(d->bases[i].segments);
    free(d->bases);
    free(d->needed);
    free(d->expired);
    free(d->relied);
    free(d->ends);
}

int retention_decide(struct catalog *c, const struct retention_policy *policy, int64_t now_ms,
                     struct retention_plan *ret_plan, struct err *e)
{
    struct decision d = {.c = c, .policy = policy, .now_ms = now_ms};
    assert(c->store && c->codec);
    d.out.now_ms = now_ms;
    d.out.valid_ms = (int64_t)policy->grace_ms / 2 > VALID_MS_MIN ? (int64_t)policy->grace_ms / 2 : VALID_MS_MIN;
    int rc = judge_all(&d, e);
    if (rc == 0 && d.out.delete_count > 0)
        rc = retention_prove(&d, e);
    if (rc != 0 && e->code == ERR_GONE)
        e->code = ERR_BUSY;
    if (rc == 0)
        *ret_plan = d.out;
    else
        retention_plan_release(&d.out);
    release_work(&d);
    return rc;
}

int retention_decide_now(struct replica_handle *r, const struct retention_policy *policy,
                         struct retention_plan *ret_plan, struct err *e)
{
    int64_t now_ms = 0;
    if (store_time(r->store, &now_ms, e) || replica_handle_list(r, e))
        return -1;
    int rc = retention_decide(&r->catalog, policy, now_ms, ret_plan, e);
    catalog_release(&r->catalog);
    return rc;
}
