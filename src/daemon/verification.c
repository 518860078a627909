/* daemon/verification.c */
#include "daemon/verification.h"

#include "base/clock.h"
#include "base/container.h"
#include "base/io.h"
#include "base/json.h"
#include "base/log.h"
#include "base/spawn.h"
#include "base/stage.h"
#include "base/when.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define HOUR_MS INT64_C(3600000)
#define FIRST_MS HOUR_MS           /* of running, until a replica that was never verified is */
#define FAILED_MS (24 * HOUR_MS)   /* until one that has failed is verified again, at most */
#define RETRY_MS (10 * 60000)      /* after a try that came to no result, at most */
#define DEADLINE_MS (24 * HOUR_MS) /* for a child */
#define TERM_MS 2000               /* for one that was told to end */
#define REAP_MS 20                 /* between looks at one that has closed its output */
#define IDLE_MS 60000
#define OUT_MAX (2u << 20) /* verify tells at most 1000 problems */
#define ERR_TEXT_MAX 4096
#define FILE_MAX (256u << 10) /* 16 replicas, each far below 16 KiB */
#define FORMAT 1
#define NICEST 19

/* ---- the file */

static bool read_moment(const struct json *j, const char *key, int64_t *ret_ms)
{
    const char *text = json_get_text(j, key);
    return text && when_parse(text, 0, ret_ms);
}

static struct proof_record *record_of(struct proof *p, const char *url)
{
    for (size_t i = 0; url && i < p->db->lanes.count; i++)
        if (strcmp(p->db->lanes.list[i].url, url) == 0)
            return &p->records[i];
    return NULL;
}

static void take_record(struct proof *p, const struct json *j)
{
    struct proof_record *r = record_of(p, json_get_text(j, "url"));
    const char *text = json_get_text(j, "problem");
    int64_t problems = 0, txid = 0;
    if (!r || !read_moment(j, "verified", &r->verified_ms))
        return;
    r->ok = json_get_flag(j, "ok");
    if (json_get_number(j, "problems", &problems) && problems > 0)
        r->problems = (uint64_t)problems;
    if (text)
        snprintf(r->text, sizeof r->text, "%s", text);
    if (json_get_number(j, "proven_txid", &txid) && txid > 0 && read_moment(j, "proven", &r->proven_ms))
        r->proven_txid = (uint64_t)txid;
}

/* One that is not there, or that says nothing intelligible, is as if nothing had been verified. */
static void load(struct proof *p)
{
    struct json *j = NULL;
    struct err e;
    int64_t format = 0;
    if (path_format(p->path, &e, "%s" PROOF_SUFFIX, p->db->path)) {
        log_warn("results of verifications are lost with the next start: %s", e.msg);
        p->path[0] = 0;
        return;
    }
    int fd = open(p->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    char *bytes = fd >= 0 ? malloc(FILE_MAX) : NULL;
    ssize_t n = bytes ? read(fd, bytes, FILE_MAX) : -1;
    if (n > 0 && json_parse(bytes, (size_t)n, &j, &e) == 0 && json_get_number(j, "format", &format) &&
        format == FORMAT) {
        const struct json *list = json_get(j, "replicas");
        for (size_t i = 0; i < json_count(list); i++)
            take_record(p, json_at(list, i));
    } else if (n >= 0) {
        log_warn("'%s' can't be read; the replicas count as never verified", p->path);
    }
    json_free(j);
    free(bytes);
    io_close(&fd);
}

static void set_moment(struct json *j, const char *key, int64_t ms)
{
    char text[CLOCK_TEXT_MAX];
    clock_format(ms, text);
    json_set_text(j, key, text);
}

static char *document_of(const struct proof *p)
{
    struct json *j = json_object_new(), *list = json_list_new();
    json_set_number(j, "format", FORMAT);
    for (size_t i = 0; i < p->db->lanes.count; i++) {
        const struct proof_record *r = &p->records[i];
        if (r->verified_ms == 0)
            continue;
        struct json *one = json_object_new();
        json_set_text(one, "url", p->db->lanes.list[i].url);
        set_moment(one, "verified", r->verified_ms);
        json_set_flag(one, "ok", r->ok);
        json_set_number(one, "problems", (int64_t)r->problems);
        if (r->text[0])
            json_set_text(one, "problem", r->text);
        if (r->proven_ms > 0) {
            set_moment(one, "proven", r->proven_ms);
            json_set_number(one, "proven_txid", (int64_t)r->proven_txid);
        }
        json_push(list, one);
    }
    json_set(j, "replicas", list);
    char *text = json_print(j);
    json_free(j);
    return text;
}

static int replace_file(const char *path, const char *text, struct err *e)
{
    struct stage st = STAGE_NONE;
    char dir[PATH_TEXT_MAX];
    int rc = path_parent(path, dir, e) || stage_begin(&st, dir, 0600, e) || io_write(st.fd, text, strlen(text), e) ||
                     io_fsync(st.fd, path, e) || stage_name(&st, dir, e) || stage_rename(&st, path, e) ||
                     io_fsync_dir(dir, e)
                 ? -1
                 : 0;
    stage_end(&st);
    return rc;
}

static void run_write(struct job *job, struct codec *codec)
{
    struct proof *p = CONTAINER_OF(job, struct proof, job);
    (void)codec;
    p->rc = replace_file(p->path, p->document, &p->error);
}

static void write_done(struct job *job)
{
    struct proof *p = CONTAINER_OF(job, struct proof, job);
    p->writing = false;
    free(p->document);
    p->document = NULL;
    if (p->rc)
        log_warn("the result of a verification is lost with the next start: %s", p->error.msg);
}

static void start_write(struct proof *p)
{
    p->document = document_of(p);
    p->dirty = false;
    if (!p->document)
        return;
    p->writing = true;
    p->job = (struct job){.run = run_write, .done = write_done};
    workers_submit(p->db->workers, &p->job);
}

/* ---- the child */

/* Returns an errno. The URL goes by stdin. */
static int spawn_verify(bool restore, const int fds[3], pid_t *ret_pid)
{
    static const char *const with[] = {"seawall", "verify", "--json", "--restore", "-", NULL};
    static const char *const without[] = {"seawall", "verify", "--json", "-", NULL};
    return spawn_program("/proc/self/exe", restore ? with : without, fds, ret_pid);
}

static int add_pipe(struct proof *p, struct proof_pipe *pipe, int *fd, size_t ceiling)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = pipe};
    buf_release(&pipe->bytes);
    *pipe = (struct proof_pipe){.fd = *fd, .bytes = BUF_INIT(ceiling)};
    *fd = -1;
    return fcntl(pipe->fd, F_SETFL, O_NONBLOCK) != 0 || epoll_ctl(p->epoll_fd, EPOLL_CTL_ADD, pipe->fd, &event) != 0
               ? errno
               : 0;
}

static void close_pipe(struct proof_pipe *pipe)
{
    io_close(&pipe->fd); /* which takes it out of the epoll */
}

/* A URL is shorter than a pipe is deep: this does not wait for the child. */
static int hand_over_url(int fd, const char *url)
{
    struct err e;
    return fcntl(fd, F_SETFL, O_NONBLOCK) != 0 || io_write(fd, url, strlen(url), &e) || io_write(fd, "\n", 1, &e) ? EIO
                                                                                                                  : 0;
}

/* Returns an errno. The child's ends of its three pipes, and ours. */
static int start_with(struct proof *p, const char *url, int theirs[3], int ours[3])
{
    for (int i = 0; i < 3; i++) {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) != 0)
            return errno;
        theirs[i] = ends[i == 0 ? 0 : 1];
        ours[i] = ends[i == 0 ? 1 : 0];
    }
    int rc = hand_over_url(ours[0], url);
    if (rc == 0)
        rc = add_pipe(p, &p->out, &ours[1], OUT_MAX);
    if (rc == 0)
        rc = add_pipe(p, &p->err, &ours[2], ERR_TEXT_MAX);
    return rc ? rc : spawn_verify(p->restoring, theirs, &p->pid);
}

static void note_no_result(struct proof *p, struct proof_record *r, int64_t now_ms, int code, const char *text)
{
    const char *url = p->db->lanes.list[p->index].url;
    int64_t interval = (int64_t)p->db->config->options.verify_interval_ms;
    if (!r->error[0] || r->error_code != code)
        log_warn("replica '%s': could not be verified, trying again: %s", url, text);
    snprintf(r->error, sizeof r->error, "%s", text);
    r->error_code = code;
    r->retry_at_ms = now_ms + (interval < RETRY_MS ? interval : RETRY_MS);
}

static void start_child(struct proof *p, size_t index, int64_t now_ms)
{
    int theirs[3] = {-1, -1, -1}, ours[3] = {-1, -1, -1};
    p->index = index;
    p->begun_ms = now_ms;
    p->term_ms = 0;
    int rc = start_with(p, p->db->config->urls[index], theirs, ours);
    for (int i = 0; i < 3; i++) {
        io_close(&theirs[i]);
        io_close(&ours[i]);
    }
    if (rc == 0) {
        setpriority(PRIO_PROCESS, (id_t)p->pid, NICEST);
        return;
    }
    p->pid = 0;
    close_pipe(&p->out);
    close_pipe(&p->err);
    note_no_result(p, &p->records[index], now_ms, -rc, strerror(rc));
}

static void take(struct proof_pipe *pipe)
{
    char bytes[16384];
    ssize_t n;
    struct err e;
    while ((n = read(pipe->fd, bytes, sizeof bytes)) > 0)
        pipe->overflow |= buf_append(&pipe->bytes, bytes, (size_t)n, &e) != 0;
    if (n == 0 || (errno != EAGAIN && errno != EINTR))
        close_pipe(pipe);
}

/* ---- what it found */

/* The first line that it said on stderr, without what goes on by itself. */
static void first_complaint(const struct proof_pipe *err, char out[PROOF_TEXT_MAX])
{
    static const char prefix[] = "seawall: ", retry[] = "trying again";
    const char *at = (const char *)err->bytes.data, *end = at ? at + err->bytes.len : NULL;
    out[0] = 0;
    while (at && at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t n = (size_t)((newline ? newline : end) - at);
        if (n > sizeof prefix && memcmp(at, prefix, sizeof prefix - 1) == 0) {
            at += sizeof prefix - 1;
            n -= sizeof prefix - 1;
        }
        if (n < sizeof retry || memcmp(at, retry, sizeof retry - 1) != 0) {
            snprintf(out, PROOF_TEXT_MAX, "%.*s", (int)n, at);
            return;
        }
        at = newline ? newline + 1 : end;
    }
}

static void note_sound(struct proof *p, struct proof_record *r, const struct json *found)
{
    const char *url = p->db->lanes.list[p->index].url;
    int64_t txid = 0;
    r->ok = true;
    r->problems = 0;
    r->text[0] = 0;
    if (json_get_number(found, "restored_txid", &txid) && txid > 0) {
        r->proven_ms = r->verified_ms;
        r->proven_txid = (uint64_t)txid;
        log_info("replica '%s': verified; txid %" PRIu64 " was restored and is sound", url, r->proven_txid);
    } else {
        log_info("replica '%s': verified, without a restore", url);
    }
}

/* found: what it said; NULL: nothing but an error. */
static void note_failure(struct proof *p, struct proof_record *r, const struct json *found)
{
    const struct json *first = json_at(json_get(found, "problems"), 0);
    const char *object = json_get_text(first, "object"), *problem = json_get_text(first, "problem");
    int64_t count = 0;
    r->ok = false;
    r->problems = json_get_number(found, "problem_count", &count) && count > 0 ? (uint64_t)count : 1;
    if (problem)
        snprintf(r->text, sizeof r->text, "%s%s%s", object ? object : "", object && *object ? ": " : "", problem);
    else
        first_complaint(&p->err, r->text);
    log_error("replica '%s': verification found %" PRIu64
              " problem%s: %s\n  HINT: 'seawall verify --full' on it names them all; "
              "begin a new replica under another URL, and keep this one for what it can still give",
              p->db->lanes.list[p->index].url, r->problems, r->problems == 1 ? "" : "s", r->text);
}

/* Exit codes as in seawall(1). It was shipped to with success, so a replica in which nothing is found has lost it. */
static void judge(struct proof *p, int status, int64_t now_ms)
{
    struct proof_record *r = &p->records[p->index];
    struct json *found = NULL;
    struct err e;
    char text[PROOF_TEXT_MAX];
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    bool said =
        !p->out.overflow && p->out.bytes.len > 0 && json_parse(p->out.bytes.data, p->out.bytes.len, &found, &e) == 0;
    bool sound = code == 0 && said && json_get_flag(found, "ok");
    if (sound || code == 5 || code == 4) {
        r->verified_ms = clock_wall_ms();
        r->error[0] = 0;
        if (sound)
            note_sound(p, r, found);
        else
            note_failure(p, r, found);
        p->dirty = true;
    } else {
        first_complaint(&p->err, text);
        if (p->term_ms > 0)
            snprintf(text, sizeof text, "it took more than %lld hours and was ended",
                     (long long)(DEADLINE_MS / HOUR_MS));
        else if (code < 0)
            snprintf(text, sizeof text, "the process that did it was killed by signal %d", WTERMSIG(status));
        else if (!text[0])
            snprintf(text, sizeof text, "the process that did it ended with status %d", code);
        note_no_result(p, r, now_ms, code, text);
    }
    json_free(found);
}

static bool reap(struct proof *p, int *ret_status)
{
    pid_t got = waitpid(p->pid, ret_status, WNOHANG);
    return got == p->pid;
}

static void end_child(struct proof *p)
{
    p->pid = 0;
    close_pipe(&p->out);
    close_pipe(&p->err);
    buf_release(&p->out.bytes);
    buf_release(&p->err.bytes);
}

static void look_after_child(struct proof *p, int64_t now_ms)
{
    struct epoll_event events[2];
    int status = 0, n = epoll_wait(p->epoll_fd, events, 2, 0);
    for (int i = 0; i < n; i++)
        take(events[i].data.ptr);
    if (reap(p, &status)) {
        if (p->out.fd >= 0) /* what it said last; somebody else may keep the pipe open */
            take(&p->out);
        if (p->err.fd >= 0)
            take(&p->err);
        if (!p->db->stopping)
            judge(p, status, now_ms);
        end_child(p);
        return;
    }
    if (p->term_ms == 0 && now_ms - p->begun_ms > DEADLINE_MS) {
        p->term_ms = now_ms;
        kill(-p->pid, SIGTERM);
    } else if (p->term_ms > 0 && now_ms - p->term_ms > TERM_MS) {
        kill(-p->pid, SIGKILL);
    }
}

/* ---- whose turn is it? */

static bool is_due(const struct proof *p, size_t index, int64_t now_ms)
{
    const struct proof_record *r = &p->records[index];
    const struct lane *l = &p->db->lanes.list[index];
    int64_t interval = (int64_t)p->db->config->options.verify_interval_ms, age = clock_wall_ms() - r->verified_ms;
    if (l->seen.state != DESTINATION_ATTACHED || l->failing_since_ms > 0 || l->seen.durable == 0 || l->seen.base_owed)
        return false; /* nothing to be proven, or nobody to ask */
    if (now_ms < r->retry_at_ms)
        return false;
    if (r->verified_ms == 0 || age < 0) /* never; or by a clock that was wrong */
        return now_ms - p->started_ms >= (interval < FIRST_MS ? interval : FIRST_MS);
    if (r->ok && r->proven_ms > 0 &&
        r->proven_txid >= l->seen.durable) /* idle is free: what nobody wrote was proven already */
        return false;
    return age >= (r->ok || interval < FAILED_MS ? interval : FAILED_MS);
}

/* A restore that fills the disk of the application would be worse than none. */
static bool room_for_restore(struct proof *p)
{
    const char *dir = getenv("TMPDIR");
    struct statvfs room;
    uint64_t needed = 2 * (uint64_t)p->db->lanes.captured.newest.pages * p->db->lanes.captured.page_size;
    if (!dir || !*dir)
        dir = "/tmp";
    if (statvfs(dir, &room) != 0 || (uint64_t)room.f_bavail * room.f_frsize > needed)
        return true; /* a folder that is not there: verify says so */
    if (!p->told_room)
        log_warn("'%s' has less than twice the room of the database: replicas are verified, but not by a restore\n  "
                 "HINT: set TMPDIR "
                 "to a folder with room",
                 dir);
    p->told_room = true;
    return false;
}

static void start_next(struct proof *p, int64_t now_ms)
{
    const struct database *db = p->db;
    for (size_t i = 0; i < db->lanes.count; i++) {
        size_t index = (p->index + 1 + i) % db->lanes.count;
        if (!is_due(p, index, now_ms))
            continue;
        p->restoring = room_for_restore(p);
        start_child(p, index, now_ms);
        return;
    }
}

int proof_run(struct proof *p, int64_t now_ms)
{
    const struct database *db = p->db;
    if (p->epoll_fd < 0 || !db->state || db->config->once || db->config->options.verify_interval_ms == OPTION_NEVER)
        return IDLE_MS;
    if (!p->loaded) {
        p->loaded = true;
        load(p);
    }
    if (p->pid > 0)
        look_after_child(p, now_ms);
    if (db->stopping || db->failed)
        proof_abandon(p);
    else if (p->pid == 0 && !p->writing)
        start_next(p, now_ms);
    if (p->dirty && !p->writing && p->path[0])
        start_write(p);
    return p->pid > 0 && p->out.fd < 0 && p->err.fd < 0 ? REAP_MS : IDLE_MS;
}

/* ---- start and end */

int proof_start(struct proof *p, struct database *db, struct err *e)
{
    *p = PROOF_NONE;
    p->db = db;
    p->started_ms = clock_mono_ms();
    p->records = calloc(db->lanes.count, sizeof *p->records);
    if (!p->records)
        return err_nomem(e, db->lanes.count * sizeof *p->records);
    p->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    return p->epoll_fd < 0 ? err_sys(e, errno, "epoll_create1") : 0;
}

void proof_abandon(const struct proof *p)
{
    if (p->pid > 0)
        kill(-p->pid, SIGTERM); /* then it removes what it has restored */
}

void proof_stop(struct proof *p)
{
    int64_t until = clock_mono_ms() + TERM_MS;
    int status = 0;
    proof_abandon(p);
    while (p->pid > 0 && !reap(p, &status)) {
        if (clock_mono_ms() > until)
            kill(-p->pid, SIGKILL);
        clock_sleep_us(1000 * REAP_MS);
    }
    end_child(p);
    io_close(&p->epoll_fd);
}

void proof_release(struct proof *p)
{
    free(p->records);
    p->records = NULL;
    free(p->document);
    p->document = NULL;
}
