/* daemon/scheduler.c - takes events: signals, changes of the -wal, ends of jobs, deadlines, requests on the control socket, output
 * of a verification, the end of the command of --exec. database.c, lanes.c, control.c and verification.c decide what follows. */
#include "daemon/scheduler.h"

#include "base/claim.h"
#include "base/clock.h"
#include "base/folder.h"
#include "base/io.h"
#include "base/log.h"
#include "base/privacy.h"
#include "base/sqlite_file.h"
#include "daemon/condition.h"
#include "daemon/control.h"
#include "daemon/exec.h"
#include "daemon/folders.h"
#include "daemon/notify.h"
#include "daemon/reload.h"
#include "daemon/status.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define CONTROL_LOOK_MS 1000   /* whether the socket is where commands look for it */
#define CONTROL_RETRY_MS 10000 /* after it could not be made */
#define ONE_SIGNAL_MS 500      /* `timeout` and a terminal can send a signal twice: to the process and to its group */
#define EXEC_LOOK_MS 1000      /* while only the command of --exec runs */

struct scheduler {
    struct pool *pool;
    struct workers *workers;
    int epoll_fd, signal_fd;
    int inotify_fd; /* tells of the next change of the -wal, once; -1: the kernel gave none */
    int close_fd;   /* tells each time that an application closes the -wal, or something happens to the database file */
    int wd;         /* watch of inotify_fd on the -wal; -1: not armed */
    int file_wd;    /* watch of close_fd on the database file */
    int path_fd;    /* tells of the next change in each folder on the way to the database, once */
    bool path_armed;
    bool interrupted;
    int64_t interrupted_ms; /* if so: when the signal came */
    bool reload_wanted;
    struct replicate_config config; /* SIGHUP can change its options */
    struct database db;
    struct folders folders;
    struct control control;
    int64_t control_at_ms; /* when the control socket is looked at, or tried again */
    struct complaint control_complaint;
    unsigned starts; /* of the database, when the control socket was opened */
    struct verification verification;
    struct notify notify;
    struct exec exec;
};

/* ---- signals */

/* With --exec these are passed on too. */
static const int passed_on[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGQUIT};

static void stop(struct scheduler *s)
{
    bool together = s->interrupted && clock_mono_ms() - s->interrupted_ms < ONE_SIGNAL_MS;
    if (together)
        return;
    if (s->db.stopping) {
        log_error("stopped at once by a %ssignal; what is not durable yet will be shipped after the next start",
                  s->interrupted ? "second " : "");
        verification_abandon(&s->verification);
        _exit(130);
    }
    s->interrupted = true;
    s->interrupted_ms = clock_mono_ms();
    log_info("stopping: shipping what is captured");
    database_stop(&s->db);
}

/* What the application wrote last is shipped, also if it made the database in its last second. */
static void end_with_command(struct scheduler *s)
{
    log_info("the command of --exec has ended with %d; shipping what it wrote", exec_exit_code(s->exec.status));
    s->db.pace.open_at_ms = 0;
    database_stop(&s->db);
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
        database_log_figures(&s->db);
    else if (number == SIGHUP)
        s->reload_wanted = true;
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
    for (size_t i = 0; s->config.exec && i < sizeof passed_on / sizeof passed_on[0]; i++)
        sigaddset(&signals, passed_on[i]);
    if (s->config.exec)
        sigaddset(&signals, SIGCHLD);
    pthread_sigmask(SIG_BLOCK, &signals, NULL); /* before any thread starts */
    s->signal_fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
    return s->signal_fd < 0 ? err_sys(e, errno, "signalfd") : 0;
}

/* While the local job is home: it reads the options. */
static void reload(struct scheduler *s)
{
    if (!s->reload_wanted || !s->db.home)
        return;
    s->reload_wanted = false;
    notify_reloading(&s->notify);
    reload_configuration(&s->config, &s->db);
}

/* ---- events */

static void alarm_commit(void *context, const char *wal_path)
{
    struct scheduler *s = context;
    if (s->wd < 0 && s->inotify_fd >= 0)
        s->wd = inotify_add_watch(s->inotify_fd, wal_path, IN_MODIFY | IN_ONESHOT);
}

/* When another file is put in the place of the database, the database has to be let go at once: as long as the wal-index
 * of the old file is kept alive, an application that opens the new file believes the old number of pages. */
static void alarm_opened(void *context, const char *path, const char *wal_path)
{
    struct scheduler *s = context;
    s->wd = -1; /* it may be another file */
    if (s->close_fd < 0)
        return;
    inotify_add_watch(s->close_fd, wal_path, IN_CLOSE_WRITE);
    s->file_wd = inotify_add_watch(s->close_fd, path, IN_CLOSE_WRITE | IN_ATTRIB | IN_MOVE_SELF);
}

/* Watches each folder of the path, links followed. */
static void watch_folders(struct scheduler *s, const char *path)
{
    const uint32_t changes = IN_CREATE | IN_DELETE | IN_MOVE | IN_DELETE_SELF | IN_MOVE_SELF;
    char folder[PATH_TEXT_MAX];
    struct err e;
    int rc = path_parent(path, folder, &e);
    for (size_t n = rc == 0 ? strlen(folder) : 0; n > 0;) {
        inotify_add_watch(s->path_fd, folder, changes | IN_ONLYDIR | IN_ONESHOT);
        while (n > 0 && folder[n - 1] != '/')
            n--;
        while (n > 1 && folder[n - 1] == '/')
            n--;
        if (n == 1 && folder[0] == '/' && folder[1] == 0)
            break;
        folder[n] = 0;
    }
}

/* A folder in which much happens wakes the daemon once between two looks. What is missed, the next look finds. */
static void alarm_path(void *context, const char *given, const char *path)
{
    struct scheduler *s = context;
    if (s->path_armed || s->path_fd < 0)
        return;
    s->path_armed = true;
    watch_folders(s, given);
    watch_folders(s, path);
}

static void handle_inotify(struct scheduler *s, int fd)
{
    char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    ssize_t n;
    while ((n = read(fd, buffer, sizeof buffer)) > 0)
        for (char *p = buffer; p < buffer + n;) {
            const struct inotify_event *event = (const struct inotify_event *)(const void *)p;
            p += sizeof *event + event->len;
            if (fd == s->path_fd) {
                s->path_armed = false;
                if (!(event->mask & IN_IGNORED))
                    database_path_changed(&s->db);
                continue;
            }
            if (fd == s->close_fd && event->wd == s->file_wd)
                database_touched(&s->db);
            else if (event->mask & IN_CLOSE_WRITE)
                database_closed(&s->db);
            if (fd == s->inotify_fd && (event->mask & (IN_IGNORED | IN_Q_OVERFLOW)))
                s->wd = -1; /* one-shot: to be armed again */
            if (event->mask & IN_MODIFY)
                database_woken(&s->db);
        }
}

/* A job that hangs may hold locks that the application waits for. When the process ends, the kernel frees them. */
static void watch_over_jobs(struct scheduler *s)
{
    const struct job *job = pool_look(s->pool, clock_mono_ms());
    if (job) {
        log_error("database '%s': a job has been running for over %lld s; ending so that its locks are freed",
                  s->db.config->db_path, (long long)job->deadline_ms / 1000);
        verification_abandon(&s->verification);
        _exit(1);
    }
}

static int add_fd(struct scheduler *s, int fd, struct err *e)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    return epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &event) ? err_sys(e, errno, "epoll_ctl") : 0;
}

static bool control_is_open(const struct scheduler *s)
{
    return s->control.connections.epoll_fd >= 0;
}

/* Another path leads to the database, or the socket was removed: its name is made again. */
static void close_lost_control(struct scheduler *s, int64_t now_ms)
{
    bool look = control_is_open(s) && now_ms >= s->control_at_ms;
    if (look)
        s->control_at_ms = now_ms + CONTROL_LOOK_MS;
    if (s->starts == s->db.starts && !(look && !control_is_at_its_place(&s->control)))
        return;
    s->starts = s->db.starts;
    control_stop(&s->control);
    s->control = CONTROL_NONE;
    s->control_at_ms = now_ms;
}

/* Without the socket the daemon works, but can't be asked. */
static void open_control(struct scheduler *s, int64_t now_ms)
{
    struct err e;
    close_lost_control(s, now_ms);
    bool wanted = s->db.state && !s->db.config->once; /* a run that ends by itself needs none */
    if (control_is_open(s) || !wanted || now_ms < s->control_at_ms)
        return;
    s->control_at_ms = now_ms + CONTROL_LOOK_MS;
    if (control_start(&s->control, &s->db, &s->verification, &e) == 0 &&
        add_fd(s, s->control.connections.epoll_fd, &e) == 0) {
        s->control_complaint = (struct complaint){.text = ""};
        return;
    }
    control_stop(&s->control);
    s->control = CONTROL_NONE;
    s->control_at_ms = now_ms + CONTROL_RETRY_MS;
    if (complaint_text_is_news(&s->control_complaint, &e))
        log_warn("database '%s': 'seawall status' and 'seawall sync' will find no daemon: %s", s->db.config->db_path,
                 e.msg);
}

/* ---- the service manager, and the command of --exec */

/* A database that does not exist yet may be what the command makes. */
static bool is_up(const struct database *db)
{
    return condition_of_database(db) != CONDITION_STARTING && (db->home || db->figures.at != LOCAL_CLOSED);
}

static void tell_manager(struct scheduler *s, int64_t now_ms)
{
    char status[NOTIFY_STATUS_MAX];
    if (s->notify.fd < 0)
        return;
    status_line(&s->db, &s->verification, status, sizeof status);
    const struct notify_state state = {.up = is_up(&s->db),
                                       .stopping = s->db.stopping && !exec_is_running(&s->exec),
                                       .alive = !pool_stuck(s->pool, notify_patience_ms(&s->notify), now_ms),
                                       .status = status};
    notify_run(&s->notify, &state, now_ms);
}

static void start_command(struct scheduler *s)
{
    struct err e;
    bool wanted = s->exec.command && !s->exec.pid && !s->exec.ended;
    if (wanted && is_up(&s->db) && !s->db.stopping && !s->db.failed && exec_start(&s->exec, &e))
        database_fail(&s->db, &e);
}

/* The replication has failed, and the database is released. The application goes on to its end. */
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

/* The daemon works without: what vanishes from a folder is then noticed within the hour. */
static void watch_replica_folders(struct scheduler *s)
{
    struct err e;
    if (!folders_watch(&s->folders, &s->db.lanes) || add_fd(s, s->folders.fd, &e) == 0)
        return;
    log_warn("what vanishes from a folder is noticed within the hour: %s", e.msg);
    folders_stop(&s->folders);
}

static int loop(struct scheduler *s, struct err *e)
{
    struct epoll_event events[8];
    for (;;) {
        int64_t now = clock_mono_ms();
        open_control(s, now);
        control_run(&s->control, now);
        database_schedule(&s->db);
        int verification_ms = verification_run(&s->verification, now), database_ms = database_timeout_ms(&s->db);
        watch_replica_folders(s);
        watch_over_jobs(s);
        start_command(s);
        reload(s);
        tell_manager(s, now);
        if (database_finished(&s->db))
            return 0;
        int n = epoll_wait(s->epoll_fd, events, 8, verification_ms < database_ms ? verification_ms : database_ms);
        if (n < 0 && errno != EINTR)
            return err_sys(e, errno, "epoll_wait");
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == s->signal_fd)
                handle_signals(s);
            else if (fd == s->inotify_fd || fd == s->close_fd || fd == s->path_fd)
                handle_inotify(s, fd);
            else if (fd == s->folders.fd)
                folders_take_events(&s->folders, &s->db.lanes, clock_mono_ms());
            else if (fd == pool_fd(s->pool)) /* control and verification take their events at each turn */
                pool_reap(s->pool);
        }
    }
}

/* ---- start and end */

/* Enough threads for all jobs of all replicas. */
static struct pool_size pool_wanted(size_t replicas)
{
    return (struct pool_size){.local = 1, .of_stores = (unsigned)replicas * (2 + COPY_IN_FLIGHT)};
}

static int open_fds(struct scheduler *s, size_t replicas, struct err *e)
{
    if (open_signals(s, e))
        return -1;
    s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    s->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (s->epoll_fd < 0)
        return err_sys(e, errno, "start the event loop");
    s->close_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    s->path_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (s->inotify_fd < 0 || s->close_fd < 0)
        log_warn("no inotify (%s): commits are seen once a second", strerror(errno));
    if (add_fd(s, s->signal_fd, e) || (s->inotify_fd >= 0 && add_fd(s, s->inotify_fd, e)) ||
        (s->close_fd >= 0 && add_fd(s, s->close_fd, e)) || (s->path_fd >= 0 && add_fd(s, s->path_fd, e)))
        return -1;
    const struct pool_size size = pool_wanted(replicas);
    if (pool_start(&size, &s->pool, e) || workers_open(s->pool, NULL, NULL, &s->workers, e))
        return -1;
    return add_fd(s, pool_fd(s->pool), e);
}

/* No SQLite handle of this file is open yet in this process, so closing a descriptor of our own drops no lock. A database that is
 * missing may appear later. */
static int check_is_database(const char *path, struct err *e)
{
    uint8_t bytes[SQLITE_FILE_MAGIC_BYTES];
    struct stat st;
    privacy_set(privacy_of(0600));                          /* as long as there is no database */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* does not block if it is a FIFO */
    if (fd < 0)
        return errno == ENOENT ? 0 : err_set(e, ERR_CONFIG, errno, "database '%s': %s", path, strerror(errno));
    int rc = fstat(fd, &st);
    bool regular = rc == 0 && S_ISREG(st.st_mode);
    if (regular)
        privacy_set(privacy_of(st.st_mode));
    size_t n = regular && st.st_size < (off_t)sizeof bytes ? (size_t)st.st_size : sizeof bytes;
    if (rc != 0)
        err_sys(e, errno, "stat");
    else if (regular)
        rc = io_pread(fd, bytes, n, 0, e);
    close(fd);
    if (rc != 0)
        return err_wrap(e, "database '%s'", path);
    if (!regular)
        return err_set(e, ERR_CONFIG, 0, "'%s' is not a SQLite database: it is not a regular file", path);
    if (n == 0 || sqlite_file_has_magic(bytes, n))
        return 0;
    err_set(e, ERR_CONFIG, 0, "'%s' is not a SQLite database", path);
    return err_hint(e, "the database comes first, then the URLs; an encrypted database can't be replicated");
}

static void save_memory(void)
{
    struct rlimit limit;
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_MMAP_THRESHOLD,
            4 << 20); /* buffers of a megabyte come and go under load: fresh pages each time would cost too much */
    mallopt(M_TRIM_THRESHOLD, 64 << 20);                 /* given back at rest, by malloc_trim */
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
    workers_close(s->workers);
    folders_close(&s->folders);
    if (s->inotify_fd >= 0)
        close(s->inotify_fd);
    if (s->close_fd >= 0)
        close(s->close_fd);
    if (s->path_fd >= 0)
        close(s->path_fd);
    if (s->signal_fd >= 0)
        close(s->signal_fd);
    if (s->epoll_fd >= 0)
        close(s->epoll_fd);
}

static int run_database(struct scheduler *s, struct replicate_summary *ret_summary, struct err *e)
{
    if (database_init(&s->db, &s->config, s->workers, e))
        return -1;
    s->db.alarm = (struct alarm){.commit = alarm_commit, .opened = alarm_opened, .path = alarm_path, .context = s};
    int rc = verification_start(&s->verification, &s->db, e) || add_fd(s, s->verification.verifier.epoll_fd, e)
                 ? -1
                 : loop(s, e);
    control_stop(&s->control);
    verification_stop(&s->verification);
    if (rc != 0)
        database_abandon(&s->db);
    *ret_summary = database_summary(&s->db);
    ret_summary->interrupted = s->interrupted;
    ret_summary->hung = s->db.hung;
    if (rc == 0 && s->db.failed) {
        *e = s->db.error;
        rc = -1;
    }
    if (s->db.hung)
        return rc;
    if (s->db.state)
        database_log_figures(&s->db);
    database_release(&s->db);
    return rc;
}

int scheduler_run(const struct replicate_config *config, struct replicate_summary *ret_summary, struct err *e)
{
    *ret_summary = (struct replicate_summary){.replicas = config->url_count};
    struct scheduler *s = calloc(1, sizeof *s);
    if (!s)
        return err_nomem(e, sizeof *s);
    s->folders = FOLDERS_NONE;
    s->control = CONTROL_NONE;
    s->verification = VERIFICATION_NONE;
    s->notify = NOTIFY_NONE;
    s->config = *config;
    s->exec.command = config->exec;
    s->epoll_fd = s->signal_fd = s->inotify_fd = s->close_fd = s->path_fd = s->wd = s->file_wd = -1;
    save_memory();
    if (!config->once)
        notify_open(&s->notify);
    claim_set_limit((size_t)config->options.memory);
    int rc = open_fds(s, config->url_count, e); /* first: from here on a signal is an event */
    int sqlite = rc == 0 ? seawall_vfs_register(0) : SQLITE_OK;
    if (sqlite != SQLITE_OK)
        rc = err_set(e, sqlite == SQLITE_NOMEM ? ERR_NOMEM : ERR_SQLITE, sqlite, "can't register the VFS: %s",
                     sqlite3_errstr(sqlite));
    if (rc == 0)
        rc = folder_check_database_name(config->db_path, "-journal", e);
    if (rc == 0) /* before a folder or a state file is made for a file that is not a database */
        rc = check_is_database(config->db_path, e) || folder_check_one_name(config->db_path, e) ? -1 : 0;
    if (rc == 0)
        rc = run_database(s, ret_summary, e);
    if (rc != 0)
        outlive(s, e);
    ret_summary->commanded = s->exec.ended;
    ret_summary->command_code = s->exec.ended ? exec_exit_code(s->exec.status) : 0;
    notify_close(&s->notify);
    if (ret_summary->hung)
        return rc; /* a worker still uses it. NOLINT(clang-analyzer-unix.Malloc) */
    close_all(s);
    verification_release(&s->verification);
    free(s);
    return rc;
}
