/* cli/parallel.c */
#include "cli/parallel.h"

#include "base/io.h"
#include "base/progress.h"
#include "cli/cli.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct child {
    pid_t pid; /* 0: the slot is free */
    size_t index;
    int output; /* what it prints */
};

struct crew {
    const struct parallel *p;
    struct parallel_result result;
    struct child children[PARALLEL_MAX];
    char **texts;          /* for each database: what its child printed; NULL: it has not ended, or it is printed */
    bool *ended;           /* for each database */
    size_t begun, printed; /* databases */
    size_t running;        /* children */
    struct progress progress;
    bool stop;       /* a signal came */
    sigset_t before; /* the signal mask of this process */
};

/* ---- output */

/* Prints what is complete, in order. A child escapes what it prints. */
static void print_ended(struct crew *w)
{
    for (; w->printed < w->p->count && w->ended[w->printed]; w->printed++) {
        char *text = w->texts[w->printed];
        if (!text)
            continue;
        progress_clear(&w->progress);
        text_put(stdout, text);
        free(text);
        w->texts[w->printed] = NULL;
    }
    fflush(stdout);
}

/* Takes the output of a child that ended. Without memory it is lost, but not the exit code. */
static char *take_output(int *fd)
{
    char *text = malloc(PARALLEL_OUTPUT + 1);
    size_t len = 0;
    while (text && len < PARALLEL_OUTPUT) {
        ssize_t n = read(*fd, text + len, PARALLEL_OUTPUT - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    io_close(fd);
    if (!text)
        return NULL;
    text[len] = 0;
    char *fitting = realloc(text, len + 1);
    return fitting ? fitting : text;
}

static void end(struct crew *w, size_t index, bool well)
{
    w->ended[index] = true;
    w->result.failed += !well;
}

/* ---- children */

/* The child leads a process group: signals of the terminal reach it only once, over the parent. */
static void run_child(struct crew *w, size_t index, int output, pid_t parent)
{
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent || dup2(output, STDOUT_FILENO) < 0)
        _exit(EXIT_FAILED);
    sigprocmask(SIG_SETMASK, &w->before, NULL);
    int code = w->p->run(w->p->context, index);
    fflush(stdout);
    _exit(code);
}

static void start(struct crew *w, struct child *free_slot)
{
    int fds[2];
    size_t index = w->begun++;
    pid_t parent = getpid(), pid = -1;
    fflush(stdout);
    if (pipe2(fds, O_CLOEXEC) == 0) {
        pid = fork();
        if (pid == 0)
            run_child(w, index, fds[1], parent);
        int sys = errno;
        io_close(&fds[1]);
        if (pid < 0)
            io_close(&fds[0]);
        errno = sys;
    }
    if (pid < 0) {
        w->p->lost(w->p->context, index, strerror(errno));
        end(w, index, false);
        return;
    }
    *free_slot = (struct child){.pid = pid, .index = index, .output = fds[0]};
    w->running++;
}

static void fill_slots(struct crew *w)
{
    for (size_t i = 0; i < w->p->at_once; i++)
        while (!w->children[i].pid && w->begun < w->p->count && !w->stop)
            start(w, &w->children[i]);
}

static void take_end(struct crew *w, struct child *c, int status)
{
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    if (WIFSIGNALED(status) && !w->stop) {
        char how[64];
        snprintf(how, sizeof how, "its process was ended by signal %d", WTERMSIG(status));
        w->p->lost(w->p->context, c->index, how);
    }
    w->texts[c->index] = take_output(&c->output);
    end(w, c->index, code == EXIT_DONE);
    w->result.interrupted |= w->stop && code != EXIT_DONE;
    c->pid = 0;
    w->running--;
}

static void reap(struct crew *w)
{
    for (size_t i = 0; i < w->p->at_once; i++) {
        int status = 0;
        if (w->children[i].pid && waitpid(w->children[i].pid, &status, WNOHANG) == w->children[i].pid)
            take_end(w, &w->children[i], status);
    }
}

static void pass_on(struct crew *w, int number)
{
    w->stop = true;
    for (size_t i = 0; i < w->p->at_once; i++)
        if (w->children[i].pid)
            kill(w->children[i].pid, number);
}

/* ---- all of them */

static void work(struct crew *w)
{
    sigset_t awaited;
    sigemptyset(&awaited);
    sigaddset(&awaited, SIGCHLD);
    sigaddset(&awaited, SIGINT);
    sigaddset(&awaited, SIGTERM);
    sigprocmask(SIG_BLOCK, &awaited, &w->before);
    progress_begin(&w->progress, progress_place_of_stderr(), "databases", w->p->what);
    fill_slots(w);
    while (w->running > 0) {
        int number = sigwaitinfo(&awaited, NULL);
        if (number == SIGINT || number == SIGTERM)
            pass_on(w, number);
        reap(w);
        fill_slots(w);
        print_ended(w);
        progress_report(&w->progress, w->begun - w->running, w->p->count);
    }
    print_ended(w);
    progress_end(&w->progress);
    w->result.interrupted |= w->stop && w->begun < w->p->count;
    sigprocmask(SIG_SETMASK, &w->before, NULL);
}

int parallel_run(const struct parallel *p, struct parallel_result *ret, struct err *e)
{
    struct crew w = {.p = p};
    assert(p->at_once >= 1 && p->at_once <= PARALLEL_MAX);
    w.texts = calloc(p->count + 1, sizeof *w.texts);
    w.ended = calloc(p->count + 1, sizeof *w.ended);
    int rc = w.texts && w.ended ? 0 : err_nomem(e, (p->count + 1) * sizeof *w.texts);
    if (rc == 0) {
        work(&w);
        *ret = w.result;
    }
    for (size_t i = 0; w.texts && i < p->count; i++)
        free(w.texts[i]);
    free(w.texts);
    free(w.ended);
    return rc;
}
