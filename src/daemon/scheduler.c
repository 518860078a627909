/* daemon/scheduler.c - takes events: signals, changes of the -wal, ends of jobs, deadlines, requests on the control
 * socket, output of a verification, the end of the command of --exec. fleet.c, database.c, lanes.c, control.c and
 * verification.c decide what follows. */
#include "daemon/scheduler.h"

#include "base/claim.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "daemon/condition.h"
#include "daemon/control.h"
#include "daemon/exec.h"
#include "daemon/left.h"
#include "daemon/newcomers.h"
#include "daemon/notify.h"
#include "daemon/reload.h"
#include "daemon/reporter.h"
#include "daemon/status.h"

#include <assert.h>
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define CONTROL_LOOK_MS 1000   /* whether the socket is where commands look for it */
#define CONTROL_RETRY_MS 10000 /* after it could not be made */
#define CONTROL_TAKEN_MS 50    /* while another daemon is expected to end */
#define OF_STORES_MAX 32       /* threads for jobs of stores */
#define MEMBERS_LOOK_MS 10000  /* between looks for databases that come or go; more if they take long: */
#define MEMBERS_LOOK_SHARE 500 /* so many times as long */
#define NEWS_LOOK_MS 50        /* from an event in a folder to the look, */
#define NEWS_LOOK_SHARE 20     /* or so many times as long as a look takes since the last one */
#define ONE_SIGNAL_MS 500      /* `timeout` and a terminal can send a signal twice: to the process and to its group */
#define LEFT_FIRST_MS 1000     /* a stop that takes longer says what it waits for, */
#define LEFT_AGAIN_MS 10000    /* and again so often */
#define EXEC_LOOK_MS 1000      /* while only the command of --exec runs */

struct scheduler {
    const struct daemon_config *config; /* borrowed */
    struct pool *pool;
    struct alarms *alarms;
    struct sleepers *sleepers;
    struct options options; /* those that count for the whole daemon, as they are now */
    struct ration ration;
    struct hoard hoard;
    struct commons commons; /* its outages are owned */
    struct verifier verifier;
    int epoll_fd, signal_fd;
    struct vanishing *vanishing;
    bool interrupted;
    int64_t interrupted_ms; /* if so: when the signal came */
    int64_t left_at_ms;     /* stopping: when the log says what is left; 0: not stopping */
    struct fleet fleet;
    struct notify notify;
    struct exec exec;
    bool failed;      /* the daemon itself, */
    struct err error; /* for this reason */
    struct control control;
    int64_t control_at_ms; /* when the control socket is looked at, or tried again */
    struct complaint control_complaint;
    struct reporter reporter;
    struct newcomers newcomers;
    int64_t look_at_ms;   /* when databases that are new are looked for */
    int64_t looked_ms;    /* when the last such look ended */
    int64_t look_took_ms; /* how long it took */
    struct complaint look_complaint;
    int64_t started_ms; /* monotonic */
    unsigned starts;    /* of the only database, when the control socket was opened */
};

/* ---- signals */

/* With --exec these are passed on too. */
static const int passed_on[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGQUIT};

static void stop(struct scheduler *s)
{
    bool together = s->interrupted && clock_mono_ms() - s->interrupted_ms < ONE_SIGNAL_MS;
    if (together)
        return;
    if (s->fleet.stopping) {
        log_error("stopped at once by a %ssignal; what is not durable yet will be shipped after the next start",
                  s->interrupted ? "second " : "");
        verifier_abandon(&s->verifier);
        _exit(130);
    }
    s->interrupted = true;
    s->interrupted_ms = clock_mono_ms();
    log_info("stopping: shipping what is captured");
    fleet_stop(&s->fleet);
}

/* What the application wrote last is shipped, also if it made the database in its last second. */
static void end_with_command(struct scheduler *s)
{
    log_info("the command of --exec has ended with %d; shipping what it wrote", exec_exit_code(s->exec.status));
    fleet_open_now(&s->fleet);
    fleet_stop(&s->fleet);
}

static void log_figures(const struct fleet *f)
{
    for (size_t i = 0; i < f->count; i++)
        if (f->list[i]->awake)
            database_log_figures(&f->list[i]->awake->db);
}

/* The limits of all databases together. */
static void limit_all(struct scheduler *s)
{
    const struct options *o = &s->options;
    const struct budget *now = &s->ration.budget;
    if (now->per_hour != o->total_put_rate || now->most != o->total_put_burst)
        s->ration.budget = budget_full(o->total_put_rate, o->total_put_burst, clock_mono_ms());
    s->hoard.limit = o->total_max_pending;
    s->fleet.shared.awake_max = o->awake_max;
}

/* A file with an error changes nothing. */
static int reload(void *scheduler, struct err *e)
{
    struct scheduler *s = scheduler;
    const struct daemon_config *c = s->config;
    const struct config_known known = {.is = fleet_has, .context = &s->fleet};
    struct daemon_config next;
    notify_reloading(&s->notify);
    int rc = c->again.read(c->again.context, &known, &next, e);
    if (rc == 0) {
        rc = fleet_update(&s->fleet, &next, FLEET_RELOAD, e);
        if (rc == 0) {
            reload_shared(&s->options, &next.shared);
            limit_all(s);
            reporter_set(&s->reporter, next.listen);
        }
        c->again.release(c->again.context);
    }
    if (rc != 0)
        log_error("SIGHUP: the configuration stays as it was: %s", e->msg);
    return rc;
}

static int add_database(void *scheduler, const struct one_database *wanted, struct err *e)
{
    struct scheduler *s = scheduler;
    const struct daemon_config *c = s->config;
    const struct config_known known = {.is = fleet_has, .context = &s->fleet};
    struct daemon_config next;
    if (c->again.one(c->again.context, wanted, &known, &next, e))
        return -1;
    int rc = fleet_add(&s->fleet, &next, e);
    c->again.release(c->again.context);
    return rc;
}

static void hang_up(struct scheduler *s)
{
    struct err e;
    int rc = 0;
    if (s->config->again.read)
        rc = reload(s, &e);
    else
        log_info("SIGHUP: going on; there is no configuration file to read again");
    (void)rc; /* the log has said it */
}

static int watch_folder(void *newcomers, const char *folder, struct err *e)
{
    (void)e;
    newcomers_watch(newcomers, folder);
    return 0;
}

/* The folders are watched before they are looked into: what comes in between has an event. */
static int find_databases(struct scheduler *s, struct err *e)
{
    const struct daemon_config *c = s->config;
    const struct config_known known = {.is = fleet_has, .context = &s->fleet};
    struct daemon_config next;
    if (c->again.each_folder(c->again.context, watch_folder, &s->newcomers, e) ||
        c->again.look(c->again.context, &known, &next, e))
        return -1;
    int rc = fleet_update(&s->fleet, &next, FLEET_LOOK, e);
    c->again.release(c->again.context);
    return rc;
}

/* Databases come and go. A look takes at most a five-hundredth of the time, if nothing happens in the folders. Returns
 * in how many ms the next one is. */
static int look_for_databases(struct scheduler *s, int64_t now_ms)
{
    struct err e;
    if (!s->config->again.look || s->fleet.stopping)
        return MEMBERS_LOOK_MS;
    if (now_ms < s->look_at_ms)
        return (int)(s->look_at_ms - now_ms);
    int rc = find_databases(s, &e);
    if (rc != 0 && complaint_text_is_news(&s->look_complaint, &e))
        log_error("looking for databases that are new: %s", e.msg);
    if (rc == 0)
        complaint_is_over(&s->look_complaint);
    s->looked_ms = clock_mono_ms();
    s->look_took_ms = s->looked_ms - now_ms;
    const int64_t wait_ms = MEMBERS_LOOK_SHARE * s->look_took_ms;
    s->look_at_ms = s->looked_ms + (wait_ms > MEMBERS_LOOK_MS ? wait_ms : MEMBERS_LOOK_MS);
    return MEMBERS_LOOK_MS;
}

/* A name came or went in a folder of a pattern. A database that is gone has to be missed twice. */
static void look_soon(struct scheduler *s, int64_t now_ms)
{
    const int64_t least_ms = s->looked_ms + NEWS_LOOK_SHARE * s->look_took_ms, soon_ms = now_ms + NEWS_LOOK_MS,
                  at_ms = soon_ms > least_ms ? soon_ms : least_ms;
    if (at_ms < s->look_at_ms)
        s->look_at_ms = at_ms;
}

static void take_signal(struct scheduler *s, int number)
{
    bool commanded = exec_is_running(&s->exec);
    if (number == SIGCHLD) {
        if (exec_has_ended(&s->exec))
            end_with_command(s);
        return;
    }
    exec_signal(&s->exec, number);
    if (number == SIGUSR1)
        log_figures(&s->fleet);
    else if (number == SIGHUP)
        hang_up(s);
    else if ((number == SIGTERM || number == SIGINT) && !commanded) /* else the end of the command ends the daemon */
        stop(s);
}

static void handle_signals(struct scheduler *s)
{
    struct signalfd_siginfo info;
    while (read(s->signal_fd, &info, sizeof info) == (ssize_t)sizeof info)
        take_signal(s, (int)info.ssi_signo);
}

static int open_signals(struct scheduler *s, struct err *e)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGUSR1);
    sigaddset(&signals, SIGHUP);
    for (size_t i = 0; s->config->exec && i < sizeof passed_on / sizeof passed_on[0]; i++)
        sigaddset(&signals, passed_on[i]);
    if (s->config->exec)
        sigaddset(&signals, SIGCHLD);
    pthread_sigmask(SIG_BLOCK, &signals, NULL); /* before any thread starts */
    s->signal_fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
    return s->signal_fd < 0 ? err_sys(e, errno, "signalfd") : 0;
}

/* ---- events */

/* A job that hangs may hold locks that the application waits for. When the process ends, the kernel frees them. */
static void watch_over_jobs(struct scheduler *s)
{
    const struct job *job = pool_look(s->pool, clock_mono_ms());
    if (job) {
        const struct member *m = workers_context(job);
        log_error("database '%s': a job has been running for over %lld s; ending so that its locks are freed",
                  m->config->db_path, (long long)job->deadline_ms / 1000);
        verifier_abandon(&s->verifier);
        _exit(1);
    }
}

static int add_fd(struct scheduler *s, int fd, struct err *e)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    return epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &event) ? err_sys(e, errno, "epoll_ctl") : 0;
}

/* Without this descriptor the daemon works, but notices something late. */
static void add_helpful_fd(struct scheduler *s, int fd, const char *without)
{
    struct err e;
    if (fd >= 0 && add_fd(s, fd, &e))
        log_warn("%s: %s", without, e.msg);
}

static bool control_is_open(const struct scheduler *s)
{
    return s->control.connections.epoll_fd >= 0;
}

/* A daemon of one database has its socket where the database is; that is known when the database was opened. */
static const struct database *the_database(const struct scheduler *s)
{
    const struct awake *a = s->config->socket_of ? NULL : s->fleet.list[0]->awake;
    return a ? &a->db : NULL;
}

/* Another path leads to the database, or the socket was removed: its name is made again. */
static void close_lost_control(struct scheduler *s, int64_t now_ms)
{
    const struct database *db = the_database(s);
    const unsigned starts = db ? db->starts : 0;
    bool look = control_is_open(s) && now_ms >= s->control_at_ms;
    if (look)
        s->control_at_ms = now_ms + CONTROL_LOOK_MS;
    if (s->starts == starts && !(look && !control_is_at_its_place(&s->control)))
        return;
    s->starts = starts;
    control_leave(&s->control);
    s->control = CONTROL_NONE;
    s->control_at_ms = now_ms;
}

/* Another daemon may have the socket until it ends. */
static bool waits_for_lock(const struct scheduler *s, int64_t now_ms)
{
    const struct daemon_config *c = s->config;
    return c->count > 0 && now_ms - s->started_ms < (int64_t)c->databases[0].lock_wait_ms;
}

/* Without the socket the daemon works, but can't be asked. A run that ends by itself needs none. */
static void open_control(struct scheduler *s, int64_t now_ms)
{
    const struct database *db = the_database(s);
    const char *of = s->config->socket_of ? s->config->socket_of : db && db->state ? db->path : NULL;
    struct err e;
    close_lost_control(s, now_ms);
    if (control_is_open(s) || !of || s->config->once || now_ms < s->control_at_ms)
        return;
    s->control_at_ms = now_ms + CONTROL_LOOK_MS;
    if (control_start(&s->control, &s->fleet, of, s->config->control, &e) == 0 &&
        add_fd(s, s->control.connections.epoll_fd, &e) == 0) {
        s->control_complaint = (struct complaint){.text = ""};
        s->control.reload = s->config->again.read ? reload : NULL;
        s->control.add = s->config->again.one ? add_database : NULL;
        s->control.context = s;
        return;
    }
    control_stop(&s->control);
    s->control = CONTROL_NONE;
    s->control_at_ms = now_ms + (waits_for_lock(s, now_ms) ? CONTROL_TAKEN_MS : CONTROL_RETRY_MS);
    if (!waits_for_lock(s, now_ms) && complaint_text_is_news(&s->control_complaint, &e))
        log_warn("'%s': 'seawall status' and 'seawall sync' will find no daemon: %s", of, e.msg);
}

/* ---- the service manager, and the command of --exec */

static void tell_manager(struct scheduler *s, int64_t now_ms)
{
    char status[NOTIFY_STATUS_MAX];
    if (s->notify.fd < 0)
        return;
    fleet_line(&s->fleet, now_ms, status, sizeof status);
    const struct notify_state state = {.up = fleet_is_up(&s->fleet),
                                       .stopping = s->fleet.stopping && !exec_is_running(&s->exec),
                                       .alive = !pool_stuck(s->pool, notify_patience_ms(&s->notify), now_ms),
                                       .status = status};
    notify_run(&s->notify, &state, now_ms);
}

static void start_command(struct scheduler *s)
{
    bool wanted = s->exec.command && !s->exec.pid && !s->exec.ended && !s->failed;
    if (!wanted || !fleet_is_up(&s->fleet) || fleet_is_guarded(&s->fleet) || s->fleet.stopping ||
        fleet_ended(&s->fleet) || exec_start(&s->exec, &s->error) == 0)
        return;
    s->failed = true;
    fleet_stop(&s->fleet);
}

/* The replication has failed, and the databases are released. The application goes on to its end. */
static void outlive(struct scheduler *s, const struct err *e)
{
    if (!exec_is_running(&s->exec))
        return;
    log_error("nothing is replicated any more, and the command of --exec goes on without it: %s", e->msg);
    while (exec_is_running(&s->exec)) {
        struct pollfd signals = {.fd = s->signal_fd, .events = POLLIN};
        struct signalfd_siginfo info;
        const struct notify_state state = {.up = true, .alive = true, .status = "failed: nothing is replicated"};
        notify_run(&s->notify, &state, clock_mono_ms());
        poll(&signals, 1, EXEC_LOOK_MS);
        while (read(s->signal_fd, &info, sizeof info) == (ssize_t)sizeof info)
            exec_signal(&s->exec, info.ssi_signo == SIGCHLD ? 0 : (int)info.ssi_signo);
        exec_has_ended(&s->exec);
    }
}

/* ---- the loop */

/* Says what a stop waits for. Returns in how many ms again. */
static int tell_left(struct scheduler *s, int64_t now_ms)
{
    char text[LEFT_TEXT_MAX];
    if (!s->fleet.stopping)
        return LEFT_AGAIN_MS;
    if (s->left_at_ms == 0)
        s->left_at_ms = now_ms + LEFT_FIRST_MS;
    if (now_ms >= s->left_at_ms) {
        s->left_at_ms = now_ms + LEFT_AGAIN_MS;
        if (left_text(&s->fleet, now_ms, text))
            log_info("stopping: %s", text);
    }
    return (int)(s->left_at_ms - now_ms);
}

static void take_event(struct scheduler *s, int fd)
{
    if (fd == s->signal_fd)
        handle_signals(s);
    else if (fd == pool_fd(s->pool))
        pool_reap(s->pool);
    else if (fd == vanishing_fd(s->vanishing))
        vanishing_take(s->vanishing, clock_mono_ms());
    else if (fd == s->newcomers.fd) {
        if (newcomers_take(&s->newcomers))
            look_soon(s, clock_mono_ms());
    } else if (fd == sleepers_fd(s->sleepers))
        sleepers_take(s->sleepers, clock_mono_ms());
    else if (fd == s->verifier.epoll_fd)
        fleet_take_verifier(&s->fleet);
    else
        alarms_take(s->alarms, fd); /* or it is the control, which takes its events at each turn */
}

static int sooner(int a, int b)
{
    return a < b ? a : b;
}

static int loop(struct scheduler *s, struct err *e)
{
    struct epoll_event events[16];
    for (;;) {
        int64_t now = clock_mono_ms();
        open_control(s, now);
        control_run(&s->control, now);
        verifier_reap_orphan(&s->verifier, now);
        int ms = look_for_databases(s, now);
        ms = sooner(ms, outages_turn(s->commons.outages, now));
        ms = sooner(ms, ration_turn(&s->ration, now));
        ms = sooner(ms, fleet_turn(&s->fleet, now)); /* behind those that wake databases */
        ms = sooner(ms, tell_left(s, now));
        ms = sooner(ms, reporter_run(&s->reporter, now));
        watch_over_jobs(s);
        start_command(s);
        tell_manager(s, now);
        if (fleet_ended(&s->fleet))
            return 0;
        if (!control_is_open(s) && waits_for_lock(s, now) && ms > CONTROL_TAKEN_MS)
            ms = CONTROL_TAKEN_MS;
        if (!s->control_complaint.text[0] && ms > CONTROL_LOOK_MS) /* also for clients that are silent */
            ms = CONTROL_LOOK_MS;
        int n = epoll_wait(s->epoll_fd, events, 16, ms);
        if (n < 0 && errno != EINTR)
            return err_sys(e, errno, "epoll_wait");
        for (int i = 0; i < n; i++)
            take_event(s, events[i].data.fd);
    }
}

/* ---- start and end */

/* Enough threads for all jobs of all replicas of a few databases. */
static struct pool_size pool_wanted(const struct daemon_config *config)
{
    size_t replicas = 0;
    for (size_t i = 0; i < config->count && replicas < WORKERS_MAX; i++)
        replicas += config->databases[i].url_count;
    const unsigned jobs = config->socket_of ? OF_STORES_MAX : (unsigned)replicas * (2 + COPY_IN_FLIGHT),
                   many = config->socket_of != NULL;
    return (struct pool_size){.local = 1 + many, .of_stores = jobs < OF_STORES_MAX ? jobs : OF_STORES_MAX};
}

static int open_fds(struct scheduler *s, struct err *e)
{
    const struct pool_size size = pool_wanted(s->config);
    int fds[ALARMS_FDS];
    if (open_signals(s, e))
        return -1;
    s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (s->epoll_fd < 0)
        return err_sys(e, errno, "start the event loop");
    if (alarms_open(&s->alarms, e) || sleepers_open(&s->sleepers, member_woken, e) ||
        vanishing_open(&s->vanishing, e) || outages_open(&s->commons.outages, e) ||
        verifier_open(&s->verifier, s->config->shared.memory, e) || pool_start(&size, &s->pool, e))
        return -1;
    alarms_fds(s->alarms, fds);
    for (size_t i = 0; i < ALARMS_FDS; i++)
        if (fds[i] >= 0 && add_fd(s, fds[i], e))
            return -1;
    if (s->config->again.look)
        newcomers_open(&s->newcomers);
    add_helpful_fd(s, s->newcomers.fd, "databases that are new are found within ten seconds");
    add_helpful_fd(s, vanishing_fd(s->vanishing), "what vanishes from a folder is noticed within the hour");
    add_helpful_fd(s, sleepers_fd(s->sleepers), "what is written while databases sleep is noticed within a minute");
    return add_fd(s, s->signal_fd, e) || add_fd(s, s->verifier.epoll_fd, e) || add_fd(s, pool_fd(s->pool), e) ? -1 : 0;
}

static void save_memory(void)
{
    struct rlimit limit;
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_MMAP_THRESHOLD, 16 << 20); /* pieces of 8 MiB come and go: fresh pages each time would cost too much */
    mallopt(M_TRIM_THRESHOLD, 64 << 20); /* given back at rest, by malloc_trim */
    sqlite3_config(SQLITE_CONFIG_PAGECACHE, NULL, 0, 0); /* an open watch then costs 53 KiB instead of 131 */
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
            log_warn("can't raise the limit of open files: %s", strerror(errno));
    }
}

static void close_all(struct scheduler *s)
{
    pool_stop(s->pool);
    alarms_close(s->alarms);
    sleepers_close(s->sleepers);
    verifier_stop(&s->verifier);
    io_close(&s->signal_fd);
    vanishing_close(s->vanishing);
    newcomers_close(&s->newcomers);
    outages_close(s->commons.outages);
    io_close(&s->epoll_fd);
}

/* What came of all databases. `rc`: not 0 if the loop failed; then `e` says why. */
static int sum_up(const struct scheduler *s, struct daemon_summary *ret_summary, int rc, struct err *e)
{
    const struct fleet *f = &s->fleet;
    size_t failed = 0;
    for (size_t i = 0; i < f->count; i++) {
        const struct member *m = f->list[i];
        ret_summary->hung |= member_hangs(m);
        if (m->error && failed++ == 0 && rc == 0)
            *e = *m->error;
        if (m->error && !f->shared.alone)
            log_error("database '%s': %s", m->config->db_path, m->error->msg);
    }
    if (f->count > 0)
        ret_summary->first = f->list[0]->summary;
    ret_summary->interrupted = s->interrupted;
    ret_summary->databases = f->count;
    ret_summary->failed = failed;
    if (rc != 0)
        return rc;
    if (s->failed) {
        *e = s->error;
        return -1;
    }
    if (failed == 0)
        return 0;
    return !f->shared.alone ? err_set(e, e->code, 0, "%zu of %zu databases are not durable", failed, f->count) : -1;
}

static int run_fleet(struct scheduler *s, struct daemon_summary *ret_summary, struct err *e)
{
    const struct shared shared = {.pool = s->pool,
                                  .alarms = s->alarms,
                                  .sleepers = s->sleepers,
                                  .commons = &s->commons,
                                  .awake_max = s->options.awake_max,
                                  .verifier = &s->verifier,
                                  .vanishing = s->vanishing,
                                  .alone = !s->config->socket_of};
    if (fleet_init(&s->fleet, s->config->databases, s->config->count, &shared, e))
        return -1;
    int rc = 0;
    s->look_at_ms = clock_mono_ms() + NEWS_LOOK_MS; /* from then on the folders are watched */
    reporter_init(&s->reporter, &s->fleet, s->epoll_fd);
    reporter_set(&s->reporter, s->config->once ? NULL : s->config->listen);
    if (shared.alone) /* its error is that of the daemon */
        rc = member_open(s->fleet.list[0], clock_mono_ms(), e);
    if (rc == 0)
        rc = loop(s, e);
    control_stop(&s->control);
    reporter_release(&s->reporter);
    verifier_stop(&s->verifier);
    if (rc != 0)
        fleet_abandon(&s->fleet);
    rc = sum_up(s, ret_summary, rc, e);
    if (!ret_summary->hung)
        fleet_release(&s->fleet);
    return rc;
}

int scheduler_run(const struct daemon_config *config, struct daemon_summary *ret_summary, struct err *e)
{
    assert(config->socket_of || config->count == 1);
    *ret_summary = (struct daemon_summary){.first.replicas = config->count > 0 ? config->databases[0].url_count : 0};
    struct scheduler *s = calloc(1, sizeof *s);
    if (!s)
        return err_nomem(e, sizeof *s);
    s->config = config;
    s->options = config->shared;
    s->commons.ration = &s->ration;
    s->commons.hoard = &s->hoard;
    limit_all(s);
    s->started_ms = clock_mono_ms();
    s->control = CONTROL_NONE;
    s->verifier = VERIFIER_NONE;
    s->notify = NOTIFY_NONE;
    s->newcomers = NEWCOMERS_NONE;
    s->exec.command = config->exec;
    s->epoll_fd = s->signal_fd = -1;
    save_memory();
    if (!config->once)
        notify_open(&s->notify);
    claim_set_limit((size_t)config->shared.memory);
    int rc = open_fds(s, e); /* first: from here on a signal is an event */
    int sqlite = rc == 0 ? seawall_vfs_register(0) : SQLITE_OK;
    if (sqlite != SQLITE_OK)
        rc = err_set(e, sqlite == SQLITE_NOMEM ? ERR_NOMEM : ERR_SQLITE, sqlite, "can't register the VFS: %s",
                     sqlite3_errstr(sqlite));
    if (rc == 0)
        rc = run_fleet(s, ret_summary, e);
    if (rc != 0)
        outlive(s, e);
    ret_summary->commanded = s->exec.ended;
    ret_summary->command_code = s->exec.ended ? exec_exit_code(s->exec.status) : 0;
    notify_close(&s->notify);
    if (ret_summary->hung)
        return rc; /* a worker still uses it. NOLINT(clang-analyzer-unix.Malloc) */
    close_all(s);
    free(s);
    return rc;
}
