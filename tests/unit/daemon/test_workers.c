/* daemon/workers.h: jobs of stores that hang delay no local job, and each database gets the ends of its own jobs. */
#include "daemon/workers.h"

#include "base/clock.h"
#include "base/privacy.h"
#include "unit.h"

#include <poll.h>
#include <semaphore.h>

struct trial {
    struct job job;
    bool hangs; /* run() waits for the gate */
    unsigned runs, ends;
    mode_t privacy;        /* what run() found */
    struct workers *again; /* done() submits it once more; NULL: it does not */
};

static struct pool *pool;
static unsigned ended[2]; /* by the context of the workers */
static unsigned contexts[] = {0, 1};
static sem_t gate; /* for jobs that hang */

static void run(struct job *job, struct codec *codec)
{
    struct trial *t = (struct trial *)(void *)job;
    assert_non_null(codec);
    while (t->hangs && sem_wait(&gate) != 0) {
    }
    t->runs++;
    t->privacy = privacy();
}

static void done(struct job *job)
{
    struct trial *t = (struct trial *)(void *)job;
    t->ends++;
    if (t->again) {
        struct workers *w = t->again;
        t->again = NULL;
        workers_submit(w, job);
    }
}

static void note_end(void *context)
{
    ended[*(unsigned *)context]++;
}

static struct trial trial_of(enum job_kind kind)
{
    return (struct trial){.job = {.run = run, .done = done, .kind = kind}};
}

static struct workers *open_workers(unsigned *context)
{
    struct workers *w = NULL;
    struct err e;
    assert_ok(workers_open(pool, note_end, context, &w, &e), &e);
    return w;
}

/* Starts the pool. Returns the workers whose ended jobs ended[0] counts. */
static struct workers *start(unsigned local, unsigned of_stores)
{
    const struct pool_size size = {.local = local, .of_stores = of_stores};
    struct err e;
    assert_ok(pool_start(&size, &pool, &e), &e);
    assert_int_equal(sem_init(&gate, 0, 0), 0);
    ended[0] = ended[1] = 0;
    return open_workers(&contexts[0]);
}

static void stop(struct workers *w)
{
    pool_stop(pool);
    workers_close(w);
    sem_destroy(&gate);
}

static void reap_until(const unsigned *count, unsigned wanted)
{
    struct pollfd p = {.fd = pool_fd(pool), .events = POLLIN};
    while (*count < wanted) {
        assert_int_equal(poll(&p, 1, 60000), 1);
        pool_reap(pool);
    }
}

static void each_database_gets_the_ends_of_its_own_jobs(void **state)
{
    (void)state;
    struct workers *a = start(1, 2), *b = open_workers(&contexts[1]);
    struct trial one = trial_of(JOB_LOCAL), two = trial_of(JOB_OF_STORE);
    workers_set_privacy(b, 0077);
    two.again = b;
    workers_submit(a, &one.job);
    workers_submit(b, &two.job);
    reap_until(&ended[0], 1);
    reap_until(&ended[1], 2);
    assert_true(one.runs == 1 && one.ends == 1 && two.runs == 2 && two.ends == 2);
    assert_int_equal(one.privacy, 0);
    assert_int_equal(two.privacy, 0077);
    assert_ptr_equal(workers_context(&one.job), &contexts[0]);
    stop(a);
    workers_close(b);
}

static void stores_that_hang_delay_no_local_job(void **state)
{
    (void)state;
    struct workers *w = start(1, 2);
    struct trial hanging[5], local = trial_of(JOB_LOCAL);
    for (size_t i = 0; i < COUNT_OF(hanging); i++) { /* more than there are threads */
        hanging[i] = trial_of(JOB_OF_STORE);
        hanging[i].hangs = true;
        workers_submit(w, &hanging[i].job);
    }
    workers_submit(w, &local.job);
    reap_until(&local.ends, 1);
    assert_int_equal(ended[0], 1);
    for (size_t i = 0; i < COUNT_OF(hanging); i++)
        assert_int_equal(sem_post(&gate), 0);
    reap_until(&ended[0], 6);
    stop(w);
}

/* Two stores hang, with more jobs than there are threads. A third one gets its jobs done, one after the other. */
static void stores_that_hang_delay_no_other_store(void **state)
{
    (void)state;
    struct workers *w = start(1, 8), *of[3];
    struct trial hanging[2][12], well[6];
    const char *const names[] = {"one", "two", "three"};
    struct err e;
    for (size_t k = 0; k < 3; k++)
        assert_ok(workers_of_store(w, names[k], &of[k], &e), &e);
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; i < COUNT_OF(hanging[k]); i++) {
            hanging[k][i] = trial_of(JOB_OF_STORE);
            hanging[k][i].hangs = true;
            workers_submit(of[k], &hanging[k][i].job);
        }
    for (size_t i = 0; i < COUNT_OF(well); i++) {
        well[i] = trial_of(JOB_OF_STORE);
        workers_submit(of[2], &well[i].job);
    }
    reap_until(&ended[0], COUNT_OF(well));
    for (size_t i = 0; i < COUNT_OF(well); i++)
        assert_int_equal(well[i].ends, 1);
    for (size_t i = 0; i < 2 * COUNT_OF(hanging[0]); i++)
        assert_int_equal(sem_post(&gate), 0);
    reap_until(&ended[0], COUNT_OF(well) + 2 * COUNT_OF(hanging[0]));
    for (size_t k = 0; k < 3; k++)
        workers_close(of[k]);
    stop(w);
}

/* With one store there is nobody to leave threads for. */
static void one_store_has_all_threads(void **state)
{
    (void)state;
    struct workers *w = start(1, 4), *of = NULL;
    struct trial jobs[4];
    struct err e;
    assert_ok(workers_of_store(w, "one", &of, &e), &e);
    workers_set_privacy(w, 0027);
    for (size_t i = 0; i < COUNT_OF(jobs); i++) {
        jobs[i] = trial_of(JOB_OF_STORE);
        jobs[i].hangs = i < 3;
        workers_submit(of, &jobs[i].job);
    }
    reap_until(&jobs[3].ends, 1);
    assert_int_equal(jobs[3].privacy, 0027); /* that of the database */
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(sem_post(&gate), 0);
    reap_until(&ended[0], 4);
    workers_close(of);
    stop(w);
}

/* A disk that hangs holds up the local job of one database. A later one gets a thread of its own. */
static void a_local_job_that_hangs_delays_no_other_for_long(void **state)
{
    (void)state;
    struct workers *w = start(1, 1);
    struct trial hanging = trial_of(JOB_LOCAL), local = trial_of(JOB_LOCAL);
    hanging.hangs = true;
    workers_submit(w, &hanging.job);
    workers_submit(w, &local.job);
    struct pollfd p = {.fd = pool_fd(pool), .events = POLLIN};
    while (local.ends == 0) {
        assert_null(pool_look(pool, clock_mono_ms()));
        if (poll(&p, 1, 50) == 1)
            pool_reap(pool);
    }
    assert_int_equal(hanging.ends, 0);
    assert_int_equal(sem_post(&gate), 0);
    reap_until(&hanging.ends, 1);
    stop(w);
}

static void a_job_without_progress_is_overdue(void **state)
{
    (void)state;
    struct workers *w = start(1, 1);
    struct trial hanging = trial_of(JOB_LOCAL);
    hanging.hangs = true;
    hanging.job.deadline_ms = 1000;
    workers_submit(w, &hanging.job);
    const struct job *late = NULL;
    while (!late) /* once it runs */
        late = pool_look(pool, clock_mono_ms() + 5000);
    assert_ptr_equal(late, &hanging.job);
    assert_null(pool_look(pool, clock_mono_ms()));
    atomic_store(&hanging.job.beat_ms, clock_mono_ms() + 4500);
    assert_null(pool_look(pool, clock_mono_ms() + 5000));
    int64_t beat = (int64_t)atomic_load(&hanging.job.beat_ms);
    assert_null(pool_stuck(pool, 300, beat + 300)); /* a shorter limit counts, a longer one does not */
    assert_ptr_equal(pool_stuck(pool, 300, beat + 301), &hanging.job);
    assert_null(pool_stuck(pool, INT64_MAX, beat + 1000));
    assert_ptr_equal(pool_stuck(pool, INT64_MAX, beat + 1001), &hanging.job);
    hanging.job.deadline_ms = 0; /* read by this thread alone */
    assert_null(pool_stuck(pool, 0, INT64_MAX));
    assert_int_equal(sem_post(&gate), 0);
    reap_until(&hanging.ends, 1);
    stop(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_database_gets_the_ends_of_its_own_jobs),
        cmocka_unit_test(stores_that_hang_delay_no_local_job),
        cmocka_unit_test(stores_that_hang_delay_no_other_store),
        cmocka_unit_test(one_store_has_all_threads),
        cmocka_unit_test(a_local_job_that_hangs_delays_no_other_for_long),
        cmocka_unit_test(a_job_without_progress_is_overdue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
