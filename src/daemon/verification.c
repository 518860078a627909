/* daemon/verification.c */
#include "daemon/verification.h"

#include "base/clock.h"
#include "base/container.h"
#include "base/disk.h"
#include "base/log.h"
#include "daemon/verdict.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOUR_MS INT64_C(3600000)
#define FIRST_MS HOUR_MS         /* from the start until a replica that was never verified is due, at most */
#define FAILED_MS (24 * HOUR_MS) /* until a replica whose verification found problems is due again, at most */
#define RETRY_MS (10 * 60000)    /* until the next try after one without a result, at most */
#define REAP_MS 20               /* between looks at a verifier that is about to end */
#define IDLE_MS 60000            /* between looks whether a replica is due */

static int64_t interval_ms(const struct verification *v)
{
    return (int64_t)v->db->config->options.verify_interval_ms;
}

/* ---- the file */

static void load(struct verification *v)
{
    struct err e;
    v->loaded = true;
    if (path_format(v->path, &e, "%s" VERIFICATION_SUFFIX, v->db->path)) {
        log_warn("results of verifications are lost with the next start: %s", e.msg);
        v->path[0] = 0;
        return;
    }
    verification_records_load(&v->records, v->path, path_name(v->db->path));
}

static void run_write(struct job *job, struct codec *codec)
{
    struct verification *v = CONTAINER_OF(job, struct verification, job);
    (void)codec;
    v->rc = verification_records_write(v->path, v->document, &v->error);
}

static void write_done(struct job *job)
{
    struct verification *v = CONTAINER_OF(job, struct verification, job);
    v->writing = false;
    free(v->document);
    v->document = NULL;
    if (v->rc)
        log_warn("the result of a verification is lost with the next start: %s", v->error.msg);
}

static void start_write(struct verification *v)
{
    v->document = verification_records_print(&v->records);
    v->dirty = false;
    if (!v->document)
        return;
    v->writing = true;
    v->job = (struct job){.run = run_write, .done = write_done};
    workers_submit(v->db->workers, &v->job);
}

/* ---- the result of a verification */

static void retry_later(const struct verification *v, struct verification_record *r, int64_t now_ms)
{
    r->retry_at_ms = now_ms + (interval_ms(v) < RETRY_MS ? interval_ms(v) : RETRY_MS);
}

static void log_no_result(const char *url, const struct verification_record *r, bool same_as_before)
{
    if (!same_as_before)
        log_warn("replica '%s': could not be verified, trying again: %s", url, r->error);
}

static void log_result(const char *url, enum verdict verdict, const struct verification_record *r)
{
    if (verdict != VERDICT_DAMAGED && r->content[0] && r->proven_ms == r->verified_ms)
        log_warn("replica '%s': verified; txid %" PRIu64 " was restored. %s", url, r->proven_txid, r->content);
    else if (verdict == VERDICT_DAMAGED)
        log_error("replica '%s': verification found %" PRIu64
                  " problem%s: %s\n  HINT: 'seawall verify --full' on it names them all; "
                  "begin a new replica under another URL, and keep this one for what it can still give",
                  url, r->problems, r->problems == 1 ? "" : "s", r->text);
    else if (r->proven_ms == r->verified_ms)
        log_info("replica '%s': verified; txid %" PRIu64 " was restored and is sound", url, r->proven_txid);
    else
        log_info("replica '%s': verified, without a restore", url);
}

static void judge(struct verification *v, int status, int64_t now_ms)
{
    struct verification_record *r = &v->records.list[v->index];
    const char *url = v->records.urls[v->index];
    const struct verifier *child = v->verifier;
    const struct verifier_end end = {.status = status,
                                     .over_deadline = child->term_ms > 0,
                                     .out = child->out.overflow ? NULL : (const char *)child->out.bytes.data,
                                     .out_len = child->out.bytes.len,
                                     .err = (const char *)child->err.bytes.data,
                                     .err_len = child->err.bytes.len};
    bool failed_before = r->error[0] != 0;
    int code_before = r->error_code;
    struct lane *l = &v->db->lanes.list[v->index];
    enum verdict verdict = verdict_take(&end, clock_wall_ms(), r, l->requests_before);
    if (verdict == VERDICT_NO_RESULT) {
        log_no_result(url, r, failed_before && code_before == r->error_code);
        retry_later(v, r, now_ms);
        return;
    }
    log_result(url, verdict, r);
    v->dirty = true;
}

/* ---- which replica is due */

static bool is_due(const struct verification *v, size_t index, int64_t now_ms)
{
    const struct verification_record *r = &v->records.list[index];
    const struct lane *l = &v->db->lanes.list[index];
    int64_t interval = interval_ms(v), age = clock_wall_ms() - r->verified_ms;
    if (l->seen.state != DESTINATION_ATTACHED || l->failing_since_ms > 0 || lane_restorable_txid(l) == 0)
        return false; /* there is nothing to prove, or the store does not answer */
    if (now_ms < r->retry_at_ms)
        return false;
    if (r->verified_ms == 0 || age < 0) /* never; or by a clock that was wrong */
        return now_ms - v->started_ms >= (interval < FIRST_MS ? interval : FIRST_MS);
    if (r->ok && r->proven_ms > 0 && r->proven_txid >= l->seen.durable)
        return false; /* no commits since the last restore: an idle database costs nothing */
    return age >= (r->ok || interval < FAILED_MS ? interval : FAILED_MS);
}

/* A restore that fills the disk of the application would be worse than none. */
static bool room_for_restore(struct verification *v)
{
    const struct captured_head *head = &v->db->lanes.captured;
    const char *dir = disk_temporary_folder();
    struct disk disk;
    uint64_t needed = 2 * (uint64_t)head->newest.pages * head->page_size;
    if (!disk_look(dir, &disk) || disk.free_bytes > needed)
        return true; /* if the folder is missing, verify says so */
    if (!v->told_room)
        log_warn("'%s' has less than twice the room of the database: replicas are verified, but not by a restore\n  "
                 "HINT: set TMPDIR to a folder with room",
                 dir);
    v->told_room = true;
    return false;
}

static void start_verifier(struct verification *v, size_t index, int64_t now_ms)
{
    struct verification_record *r = &v->records.list[index];
    enum verifier_restore restore = room_for_restore(v) ? VERIFIER_RESTORES : VERIFIER_CHECKS;
    v->index = index;
    int rc = verifier_start(v->verifier, v->db->config->urls[index], restore, now_ms);
    v->verifier->user = rc == 0 ? v : NULL;
    if (rc == 0)
        return;
    bool same = r->error[0] && r->error_code == -rc;
    snprintf(r->error, sizeof r->error, "%s", strerror(rc));
    r->error_code = -rc;
    log_no_result(v->records.urls[index], r, same);
    retry_later(v, r, now_ms);
}

static void start_next(struct verification *v, int64_t now_ms)
{
    for (size_t i = 0; i < v->records.count; i++) {
        size_t index = (v->index + 1 + i) % v->records.count;
        if (!is_due(v, index, now_ms))
            continue;
        start_verifier(v, index, now_ms);
        return;
    }
}

static void look_after_verifier(struct verification *v, int64_t now_ms)
{
    int status = 0;
    if (!verifier_look(v->verifier, now_ms, &status))
        return;
    if (!v->db->stopping)
        judge(v, status, now_ms);
    verifier_forget(v->verifier);
}

/* The child of the verifier verifies a replica of this database. */
static bool has_child(const struct verification *v)
{
    return v->verifier && v->verifier->pid > 0 && v->verifier->user == v;
}

int verification_run(struct verification *v, int64_t now_ms)
{
    const struct database *db = v->db;
    if (v->verifier->epoll_fd < 0 || !db->state || db->config->once || interval_ms(v) == (int64_t)OPTION_NEVER)
        return IDLE_MS;
    if (!v->loaded)
        load(v);
    if (has_child(v))
        look_after_verifier(v, now_ms);
    if (db->stopping || db->failed)
        verification_abandon(v);
    else if (v->verifier->pid == 0 && !v->writing)
        start_next(v, now_ms);
    if (v->dirty && !v->writing && v->path[0])
        start_write(v);
    return has_child(v) && verifier_is_ending(v->verifier) ? REAP_MS : IDLE_MS;
}

bool verification_is_running(const struct verification *v, size_t index)
{
    return has_child(v) && v->index == index;
}

/* ---- start and end */

int verification_start(struct verification *v, struct database *db, struct verifier *verifier, struct err *e)
{
    *v = (struct verification){.db = db, .verifier = verifier, .started_ms = clock_mono_ms()};
    if (verification_records_init(&v->records, db->lanes.count, e))
        return -1;
    for (size_t i = 0; i < db->lanes.count; i++)
        v->records.urls[i] = db->lanes.list[i].url;
    return 0;
}

void verification_abandon(struct verification *v)
{
    if (!has_child(v))
        return;
    verifier_abandon(v->verifier);
    v->verifier->user = NULL;
}

void verification_release(struct verification *v)
{
    verification_abandon(v);
    verification_records_release(&v->records);
    free(v->document);
    v->document = NULL;
}
