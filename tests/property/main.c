/* property/main.c - seeds, the search for the smallest failing run, and the test of the test.
 *
 *   property [--seeds N] [--first SEED] [--steps N] [--off RULE]... [-v]   no seed may fail
 *   property --rules                                                       for each rule that is off some run must fail
 *
 * Each run is a process of its own, so an assert, a crash or a hang of the program under test is a failure like any. */
#include "sim.h"
#include "world.h"

#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { STEPS_MAX = 5000, RUN_SECONDS_MAX = 60, RULE_SEEDS = 3000, SHRINK_RUNS = 400 };

bool rule_off[RULE_COUNT];

static const struct {
    const char *name, *text;
} rules[] = {
#define RULE_TEXT(name, text) {#name, text},
    RULES(RULE_TEXT)};

/* For each rule a seed that fails when the rule is off; 0: a scenario fails. It is tried first. After a change of the
 * program or of the world it may not fail any more. Then the search takes longer, and prints the seed to write here. */
static const uint64_t known_seeds[RULE_COUNT] = {
    [RULE_durable_first] = 1,
    [RULE_attempts] = 5,
    [RULE_runs] = 1,
    [RULE_bind] = 6,
    [RULE_base_start] = 1,
    [RULE_lost_map] = 32,
    [RULE_splice] = 111,
    [RULE_split_state] = 2,
    [RULE_full_xor] = 686,
    [RULE_frame_sum] = 6,
    [RULE_files_as_left] = 50090,
    [RULE_empty_log] = 2874,
    [RULE_halfway] = 4,
    [RULE_sync_run] = 1,
    [RULE_reader_continues] = 1,
    [RULE_reader_lists] = 8,
    [RULE_reader_lists_on] = 98,
    [RULE_reader_behind] = 23,
    [RULE_follow_first] = 2719,
    [RULE_follow_note] = 2,
    [RULE_follow_frames] = 2,
    [RULE_follow_restart] = 2360,
    [RULE_follow_cookie] = 259,
    [RULE_follow_lists] = 292,
    [RULE_reader_on] = 2383,
    [RULE_pack_equal] = 700594,
};

static char folder[300];
static bool verbose, keep_going;
static int report_fd = -1; /* of the child */

void trace(const char *fmt, ...)
{
    va_list args;
    if (!verbose)
        return;
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    putchar('\n');
    fflush(stdout);
}

void broken(const char *fmt, ...)
{
    char text[1000];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (n > (int)sizeof text - 1)
        n = (int)sizeof text - 1;
    ssize_t written = write(report_fd, text, (size_t)n);
    (void)written;
    _exit(1);
}

/* ---- one run */

struct run {
    void (*scenario)(const char *folder); /* NULL: random steps of `seed` */
    uint64_t seed;
    size_t steps;
    bool skip[STEPS_MAX];
};

struct outcome {
    bool failed;
    char text[1200];
    struct world_figures figures;
};

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    return ftw->level > 0 ? remove(path) : 0;
}

static _Noreturn void child(const struct run *r, int fd)
{
    report_fd = fd;
    int null = open("/dev/null", O_WRONLY);
    if (!verbose && null >= 0)
        dup2(null, STDERR_FILENO); /* the log of the program goes there */
    alarm(RUN_SECONDS_MAX);
    if (r->scenario)
        r->scenario(folder);
    else
        world_run(folder, r->seed, r->steps, r->skip);
    ssize_t written = write(fd, &world_figures, sizeof world_figures);
    (void)written;
    _exit(0);
}

static struct outcome run(const struct run *r)
{
    struct outcome o = {0};
    int fds[2], status = 0;
    if (pipe(fds) != 0)
        abort();
    fflush(stdout);
    pid_t pid = fork();
    if (pid < 0)
        abort();
    if (pid == 0) {
        close(fds[0]);
        child(r, fds[1]);
    }
    close(fds[1]);
    char bytes[sizeof o.text];
    size_t n = 0;
    ssize_t got;
    while (n < sizeof bytes - 1 && (got = read(fds[0], bytes + n, sizeof bytes - 1 - n)) > 0)
        n += (size_t)got;
    close(fds[0]);
    waitpid(pid, &status, 0);
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    bytes[n] = 0;
    o.failed = !WIFEXITED(status) || WEXITSTATUS(status) != 0;
    if (!o.failed)
        memcpy(&o.figures, bytes, sizeof o.figures);
    else if (WIFSIGNALED(status))
        snprintf(o.text, sizeof o.text, "killed by signal %d (%s)", WTERMSIG(status),
                 WTERMSIG(status) == SIGABRT   ? "a broken invariant or an assert; -v shows which"
                 : WTERMSIG(status) == SIGALRM ? "it hangs"
                                               : "a crash");
    else
        snprintf(o.text, sizeof o.text, "%s", bytes);
    return o;
}

/* ---- the smallest run that fails */

static void shrink(struct run *r)
{
    unsigned tries = 0;
    for (size_t chunk = r->steps / 2; chunk > 0 && tries < SHRINK_RUNS; chunk /= 2)
        for (size_t at = 0; at < r->steps && tries < SHRINK_RUNS; at += chunk) {
            struct run *smaller = malloc(sizeof *smaller);
            bool any = false;
            if (!smaller)
                abort();
            *smaller = *r;
            for (size_t i = at; i < at + chunk && i < r->steps; i++) {
                any |= !r->skip[i];
                smaller->skip[i] = true;
            }
            if (any && ++tries && run(smaller).failed)
                *r = *smaller;
            free(smaller);
        }
}

static void show(struct run *r, const struct outcome *o)
{
    size_t left = 0;
    printf("\nseed %" PRIu64 ", %zu steps: %s\nlooking for fewer steps ...\n", r->seed, r->steps, o->text);
    shrink(r);
    for (size_t i = 0; i < r->steps; i++)
        left += !r->skip[i];
    printf("%zu steps are enough:\n", left);
    verbose = true;
    struct outcome again = run(r);
    printf("%s\n", again.text);
}

/* ---- many runs */

static struct outcome run_scenarios(void)
{
    struct outcome o = {0};
    static struct run r;
    void (*const scenarios[])(const char *) = {world_scenario_packed_away,
                                               world_scenario_sleeper,
                                               world_scenario_packed_by_clone,
                                               world_scenario_slow_answer,
                                               world_scenario_packed_away_for_money,
                                               world_scenario_packed_by_clone_for_money,
                                               world_scenario_heir,
                                               world_scenario_blind,
                                               world_scenario_emptied,
                                               world_scenario_unwatched,
                                               world_scenario_touched,
                                               world_scenario_stamped,
                                               world_scenario_begun_over,
                                               world_scenario_came_back,
                                               world_scenario_follows_on};
    for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0] && !o.failed; i++) {
        r.scenario = scenarios[i];
        o = run(&r);
    }
    return o;
}

static int survive(uint64_t first, uint64_t seeds, size_t steps)
{
    static struct run r;
    struct world_figures sum = {0};
    time_t started = time(NULL);
    struct outcome o = run_scenarios();
    if (o.failed) {
        printf("a scenario fails: %s\n", o.text);
        return 1;
    }
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        r = (struct run){.seed = seed, .steps = steps};
        o = run(&r);
        if (o.failed && keep_going) {
            printf("seed %" PRIu64 ": %.300s\n", seed, o.text);
            fflush(stdout);
            continue;
        }
        if (o.failed) {
            show(&r, &o);
            return 1;
        }
        sum.steps += o.figures.steps;
        sum.kills += o.figures.kills;
        sum.power_cuts += o.figures.power_cuts;
        sum.restores += o.figures.restores;
        sum.commits += o.figures.commits;
        sum.objects += o.figures.objects;
        sum.levels += o.figures.levels;
        sum.patches += o.figures.patches;
        sum.bases += o.figures.bases;
        sum.interiors += o.figures.interiors;
        sum.packs += o.figures.packs;
        sum.sleeps += o.figures.sleeps;
        sum.deleted += o.figures.deleted;
        sum.guarded_resets += o.figures.guarded_resets;
        sum.losses += o.figures.losses;
        sum.pages_read += o.figures.pages_read;
        sum.turns += o.figures.turns;
        sum.looks += o.figures.looks;
        sum.follower_kills += o.figures.follower_kills;
    }
    printf("%" PRIu64 " seeds survived: %" PRIu64 " steps, %" PRIu64 " commits, %" PRIu64 " level-0 objects, %" PRIu64
           " compacted segments with %" PRIu64 " patches, %" PRIu64 " bases, %" PRIu64 " with interior pages, %" PRIu64
           " packs, %" PRIu64 " sleeps, %" PRIu64 " objects deleted, %" PRIu64 " kills, %" PRIu64
           " power cuts, %" PRIu64 " restores compared, %" PRIu64 " resets of a guarded log, %" PRIu64
           " losses of objects, %" PRIu64 " pages read in place, %" PRIu64 " turns and %" PRIu64
           " kills of a follower, %" PRIu64 " looks at its copy, %ld s\n",
           seeds, sum.steps, sum.commits, sum.objects, sum.levels, sum.patches, sum.bases, sum.interiors, sum.packs,
           sum.sleeps, sum.deleted, sum.kills, sum.power_cuts, sum.restores, sum.guarded_resets, sum.losses,
           sum.pages_read, sum.turns, sum.follower_kills, sum.looks, (long)(time(NULL) - started));
    return 0;
}

/* Looks for a run that fails. Returns its seed; 0: a scenario fails; UINT64_MAX: none fails. */
static uint64_t find_failure(enum rule rule, uint64_t first, size_t steps, struct outcome *ret_outcome)
{
    static struct run r;
    *ret_outcome = run_scenarios();
    if (ret_outcome->failed)
        return 0;
    for (uint64_t i = 0; i <= RULE_SEEDS; i++) {
        uint64_t seed = i == 0 ? known_seeds[rule] : first + i - 1;
        r = (struct run){.seed = seed, .steps = steps};
        *ret_outcome = run(&r);
        if (ret_outcome->failed)
            return seed;
    }
    return UINT64_MAX;
}

static int test_rules(uint64_t first, size_t steps)
{
    int missed = 0;
    for (size_t i = 0; i < RULE_COUNT; i++) {
        struct outcome o;
        rule_off[i] = true;
        uint64_t seed = find_failure((enum rule)i, first, steps, &o);
        rule_off[i] = false;
        o.text[strcspn(o.text, "\n")] = 0;
        if (o.failed)
            printf("ok   %-16s off, seed %" PRIu64 ": %.110s\n", rules[i].name, seed, o.text);
        else
            printf("MISS %-16s off: nothing fails (%s)\n", rules[i].name, rules[i].text);
        fflush(stdout);
        missed += !o.failed;
    }
    return missed > 0;
}

static int usage(void)
{
    fprintf(stderr, "property [--seeds N] [--first SEED] [--steps N] [--off RULE]... [--rules] [-v]\nrules:\n");
    for (size_t i = 0; i < RULE_COUNT; i++)
        fprintf(stderr, "  %-16s %s\n", rules[i].name, rules[i].text);
    return 2;
}

static bool switch_off(const char *name)
{
    for (size_t i = 0; i < RULE_COUNT; i++)
        if (strcmp(rules[i].name, name) == 0)
            return rule_off[i] = true;
    return false;
}

int main(int argc, char **argv)
{
    uint64_t seeds = 100, first = 1;
    size_t steps = 400;
    bool only_rules = false;
    for (int i = 1; i < argc; i++) {
        bool more = i + 1 < argc;
        if (more && strcmp(argv[i], "--seeds") == 0)
            seeds = strtoull(argv[++i], NULL, 10);
        else if (more && strcmp(argv[i], "--first") == 0)
            first = strtoull(argv[++i], NULL, 10);
        else if (more && strcmp(argv[i], "--steps") == 0)
            steps = strtoull(argv[++i], NULL, 10);
        else if (more && strcmp(argv[i], "--off") == 0 && switch_off(argv[i + 1]))
            i++;
        else if (strcmp(argv[i], "--rules") == 0)
            only_rules = true;
        else if (strcmp(argv[i], "--keep-going") == 0)
            keep_going = true;
        else if (strcmp(argv[i], "-v") == 0)
            verbose = true;
        else
            return usage();
    }
    if (steps > STEPS_MAX)
        return usage();
    snprintf(folder, sizeof folder, "%s/seawall-property-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(folder))
        return usage();
    int rc = only_rules ? test_rules(first, steps) : survive(first, seeds, steps);
    rmdir(folder);
    return rc;
}
