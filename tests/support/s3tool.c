/* support/s3tool.c - runs one operation of a store from the command line, for tests and figures.
 *
 *   s3tool URL put KEY FILE | get KEY OFFSET N | tail KEY N | list PREFIX AFTER | remove KEY... | time
 *   s3tool URL probe KEY FILE             prints the result of store_probe: strong or weak
 *   s3tool URL race                       prints the result of store_race: strong or weak
 *   s3tool URL bench SIZE COUNT THREADS   puts COUNT objects of SIZE bytes below bench/; prints a line of JSON with
 *                                         put_per_s, p50_ms, p99_ms, cpu_us, rss_kib
 *   s3tool URL busy SIZE THREADS          gets SIZE bytes of the object "busy" in each of THREADS threads at the same
 *                                         time; prints rss_kib as JSON
 *
 * Prints the result and exits with 0, or prints "ERR_X: message" and exits with 1. */
#include "base/clock.h"
#include "storage/open.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define OBJECT_MAX (256u << 20)

#define CODE(code) [code] = #code
static const char *const codes[] = {
    CODE(ERR_NONE),   CODE(ERR_IO),       CODE(ERR_NOMEM),   CODE(ERR_CORRUPT), CODE(ERR_BUSY),     CODE(ERR_SQLITE),
    CODE(ERR_REMOTE), CODE(ERR_TIMEOUT),  CODE(ERR_LIMIT),   CODE(ERR_CONFIG),  CODE(ERR_CONFLICT), CODE(ERR_NOTFOUND),
    CODE(ERR_EXISTS), CODE(ERR_CANCELED), CODE(ERR_CONTENT), CODE(ERR_GONE),    CODE(ERR_CLAIM)};

static int slurp(const char *path, struct buf *out, struct err *e)
{
    uint8_t piece[65536];
    size_t n;
    FILE *f = fopen(path, "rbe");
    int rc = f ? 0 : err_set(e, ERR_IO, 0, "can't read '%s'", path);
    while (rc == 0 && (n = fread(piece, 1, sizeof piece, f)) > 0)
        rc = buf_append(out, piece, n, e);
    if (f)
        fclose(f);
    return rc;
}

static int put(struct store *s, const char *key, const char *path, struct err *e)
{
    struct buf b = BUF_INIT(OBJECT_MAX);
    int64_t ms = 0;
    int rc = slurp(path, &b, e);
    if (rc == 0)
        rc = store_put_new(s, key, b.data, b.len, &ms, e);
    if (rc == 0)
        printf("put %zu bytes at %" PRId64 "\n", b.len, ms);
    buf_release(&b);
    return rc;
}

static int probe(struct store *s, const char *key, const char *path, struct err *e)
{
    struct buf b = BUF_INIT(OBJECT_MAX);
    int rc = slurp(path, &b, e);
    if (rc == 0)
        rc = store_probe(s, key, b.data, b.len, e);
    if (rc == 0)
        puts(s->fencing == STORE_FENCING_STRONG ? "strong" : "weak");
    buf_release(&b);
    return rc;
}

static int race(struct store *s, struct err *e)
{
    int rc = store_race(s, STORE_RACERS, e);
    if (rc == 0)
        puts(s->fencing == STORE_FENCING_STRONG ? "strong" : "weak");
    return rc;
}

static int get(struct store *s, const char *key, const char *offset, const char *n, struct err *e)
{
    size_t len = strtoul(n, NULL, 10);
    uint8_t *bytes = malloc(len + 1);
    int rc = bytes ? store_read(s, key, strtoull(offset, NULL, 10), bytes, len, e) : err_nomem(e, len);
    if (rc == 0)
        fwrite(bytes, 1, len, stdout);
    free(bytes);
    return rc;
}

static int tail(struct store *s, const char *key, const char *n, struct err *e)
{
    struct buf b = BUF_INIT(OBJECT_MAX);
    uint64_t size = 0;
    int rc = store_read_tail(s, key, strtoul(n, NULL, 10), &b, &size, e);
    if (rc == 0) {
        fprintf(stderr, "size %" PRIu64 "\n", size);
        fwrite(b.data, 1, b.len, stdout);
    }
    buf_release(&b);
    return rc;
}

static int print_entry(void *context, const struct store_entry *entry)
{
    (void)context;
    printf("%s %" PRIu64 " %" PRId64 "\n", entry->key, entry->size, entry->time_ms);
    return 0;
}

/* ---- figures */

struct bench {
    struct store *store;
    pthread_mutex_t lock;
    size_t size;
    unsigned next, count;
    double *ms; /* owned; the duration of each PUT */
    int64_t run;
    bool failed;
    struct err error;
};

static void *bench_thread(void *arg)
{
    struct bench *b = arg;
    uint8_t *bytes = malloc(b->size);
    struct err e;
    for (size_t i = 0; bytes && i < b->size; i++)
        bytes[i] = (uint8_t)(i * 2654435761u >> 13);
    for (;;) {
        char key[STORE_KEY_MAX];
        pthread_mutex_lock(&b->lock);
        unsigned i = b->next < b->count && !b->failed ? b->next++ : UINT32_MAX;
        pthread_mutex_unlock(&b->lock);
        if (i == UINT32_MAX || !bytes)
            break;
        snprintf(key, sizeof key, "bench/%" PRIx64 "/%08x", b->run, i);
        int64_t start = clock_mono_ns();
        if (store_put_new(b->store, key, bytes, b->size, NULL, &e)) {
            pthread_mutex_lock(&b->lock);
            b->failed = true;
            b->error = e;
            pthread_mutex_unlock(&b->lock);
        }
        b->ms[i] = (double)(clock_mono_ns() - start) / 1e6;
    }
    free(bytes);
    return NULL;
}

static int by_ms(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static long rss_kib(void)
{
    long pages = 0, ignored = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f && fscanf(f, "%ld %ld", &ignored, &pages) != 2)
        pages = 0;
    if (f)
        fclose(f);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static int64_t cpu_us(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (int64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 + u.ru_utime.tv_usec + u.ru_stime.tv_usec;
}

static void run_threads(unsigned n, void *(*fn)(void *), void *arg)
{
    pthread_t threads[256];
    unsigned started = 0;
    while (started < n && started < 256 && pthread_create(&threads[started], NULL, fn, arg) == 0)
        started++;
    for (unsigned i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
}

static int bench(struct store *s, const char *size, const char *count, const char *threads, struct err *e)
{
    struct bench b = {
        .store = s, .lock = PTHREAD_MUTEX_INITIALIZER, .size = strtoul(size, NULL, 10), .run = clock_wall_ms()};
    b.count = (unsigned)strtoul(count, NULL, 10);
    b.ms = calloc(b.count + 1, sizeof *b.ms);
    if (!b.ms)
        return err_nomem(e, b.count);
    int64_t cpu = cpu_us(), start = clock_mono_ns();
    run_threads((unsigned)strtoul(threads, NULL, 10), bench_thread, &b);
    double seconds = (double)(clock_mono_ns() - start) / 1e9;
    cpu = cpu_us() - cpu;
    qsort(b.ms, b.count, sizeof *b.ms, by_ms);
    if (!b.failed)
        printf(
            "{\"size\": %zu, \"count\": %u, \"put_per_s\": %.1f, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"cpu_us\": %.1f, "
            "\"rss_kib\": %ld}\n",
            b.size, b.count, b.count / seconds, b.ms[b.count / 2], b.ms[b.count * 99 / 100], (double)cpu / b.count,
            rss_kib());
    free(b.ms);
    *e = b.error;
    return b.failed ? -1 : 0;
}

static void *busy_thread(void *arg)
{
    struct bench *b = arg;
    uint8_t *bytes = malloc(b->size);
    struct err e = {.code = ERR_NOMEM};
    if (!bytes || store_read(b->store, "busy", 0, bytes, b->size, &e)) {
        pthread_mutex_lock(&b->lock);
        b->failed = true;
        b->error = e;
        pthread_mutex_unlock(&b->lock);
    }
    free(bytes);
    return NULL;
}

static int busy(struct store *s, const char *size, const char *threads, struct err *e)
{
    struct bench b = {.store = s, .lock = PTHREAD_MUTEX_INITIALIZER, .size = strtoul(size, NULL, 10)};
    run_threads((unsigned)strtoul(threads, NULL, 10), busy_thread, &b);
    if (!b.failed)
        printf("{\"rss_kib\": %ld}\n", rss_kib());
    *e = b.error;
    return b.failed ? -1 : 0;
}

/* ---- */

static int run(struct store *s, int argc, char **argv, struct err *e)
{
    const char *what = argv[0];
    int64_t ms = 0;
    if (strcmp(what, "put") == 0 && argc == 3)
        return put(s, argv[1], argv[2], e);
    if (strcmp(what, "probe") == 0 && argc == 3)
        return probe(s, argv[1], argv[2], e);
    if (strcmp(what, "race") == 0 && argc == 1)
        return race(s, e);
    if (strcmp(what, "get") == 0 && argc == 4)
        return get(s, argv[1], argv[2], argv[3], e);
    if (strcmp(what, "tail") == 0 && argc == 3)
        return tail(s, argv[1], argv[2], e);
    if (strcmp(what, "list") == 0 && argc == 3)
        return store_list(s, argv[1], argv[2], print_entry, NULL, e);
    if (strcmp(what, "remove") == 0 && argc > 1)
        return store_remove_all(s, (const char *const *)(void *)(argv + 1), (size_t)argc - 1, e);
    if (strcmp(what, "bench") == 0 && argc == 4)
        return bench(s, argv[1], argv[2], argv[3], e);
    if (strcmp(what, "busy") == 0 && argc == 3)
        return busy(s, argv[1], argv[2], e);
    if (strcmp(what, "time") != 0 || argc != 1)
        return err_set(e, ERR_CONFIG, 0, "see the beginning of s3tool.c");
    int rc = store_time(s, &ms, e);
    if (rc == 0)
        printf("%" PRId64 "\n", ms);
    return rc;
}

int main(int argc, char **argv)
{
    struct store *s = NULL;
    struct err e = {.code = ERR_CONFIG, .msg = "usage: s3tool URL COMMAND ..."};
    int rc = argc < 3 ? -1 : store_open(argv[1], STORE_WRITE, &s, &e);
    if (rc == 0)
        rc = run(s, argc - 2, argv + 2, &e);
    store_close(s);
    if (rc)
        printf("%s: %s\n", codes[e.code], e.msg);
    return rc ? 1 : 0;
}
