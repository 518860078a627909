/* bench/load.c - the application of the benchmark: one connection, one thread, the system's SQLite with its defaults.
 *
 *   load create DB                 an empty table `log` in WAL mode
 *   load fill   DB BYTES           rows into `log`, in one transaction, until the database has BYTES
 *   load items  DB ROWS            a table `item` of ROWS rows with an index
 *   load insert DB [OPTION...]     one row into `log` per transaction
 *   load update DB [OPTION...]     one random row of `item` per transaction; the indexed column changes too
 *
 *   --seconds S    how long (10)
 *   --rate N       transactions a second; 0 is flat out (0)
 *   --journal F    append (n, time of commit) to F, which survives a SIGKILL of this process
 *   --seed N       of the random numbers (1)
 *
 * Transaction n writes the number n: as the key of its row in `log`, or as `item.n`. So the newest transaction of a
 * copy is known from the copy. insert and update print one JSON object. A latency is the time of the one statement that
 * is the transaction, with all retries after SQLITE_BUSY. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum {
    BODY_SIZE = 200,
    WORD_COUNT = 2048,
    WORD_MAX = 12,
    BUSY_TIMEOUT_MS = 5000,
    JOURNAL_MAX = 1 << 20, /* entries; the file is sparse, so only entries that are used take space */
};

struct options {
    const char *journal;
    double seconds;
    double rate;
    uint64_t seed;
};

/* One entry for each commit, in the byte order of this machine. The first entry with n == 0 is the end. */
struct journal_entry {
    uint64_t n;
    uint64_t time_ns; /* CLOCK_REALTIME just after the commit returned */
};

struct latencies {
    uint64_t *ns;
    size_t count;
    size_t capacity;
};

static uint64_t random_state;
static char words[WORD_COUNT][WORD_MAX + 1];

__attribute__((format(printf, 1, 2), noreturn)) static void die(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fputs("load: ", stderr);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

static uint64_t now_ns(clockid_t clock)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* ---- the payload: text that zlib halves ---- */

static uint64_t random_next(void) /* xorshift64* */
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * 0x2545f4914f6cdd1du;
}

static void random_init(uint64_t seed)
{
    static const char *const syllables[32] = {
        "an",  "ber", "co",  "den", "el", "for", "ga", "hin", "is", "ju", "ka", "lo",  "mer", "na",   "or", "pre",
        "qua", "re",  "sto", "ti",  "un", "ver", "wa", "xi",  "yo", "ze", "al", "ing", "ous", "ment", "er", "ly",
    };
    random_state = 0x9e3779b97f4a7c15u; /* the words are the same in each run */
    for (int i = 0; i < WORD_COUNT; i++) {
        for (uint64_t left = 1 + random_next() % 3; left > 0; left--)
            strcat(words[i], syllables[random_next() >> 59]);
    }
    random_state = seed * 0x9e3779b97f4a7c15u + 1;
}

/* A JSON document: two identifiers, and a text in which some words are far more frequent than others. */
static void body_make(char body[BODY_SIZE + 1])
{
    uint64_t bits = random_next();
    int at = snprintf(body, BODY_SIZE + 1, "{\"id\":\"%012" PRIx64 "\",\"user\":%u,\"text\":\"", bits >> 16,
                      (unsigned)(bits & 0xffff));
    while (at < BODY_SIZE) {
        double where = (double)(random_next() >> 11) / 9007199254740992.0; /* 0 to 1 */
        const char *word = words[(size_t)(where * where * WORD_COUNT)];
        while (*word != 0 && at < BODY_SIZE)
            body[at++] = *word++;
        if (at < BODY_SIZE)
            body[at++] = ' ';
    }
    memcpy(body + BODY_SIZE - 2, "\"}", 3);
}

/* ---- SQLite ---- */

static sqlite3 *db_open(const char *path)
{
    sqlite3 *db;
    if (sqlite3_open(path, &db) != SQLITE_OK)
        die("open %s: %s", path, sqlite3_errmsg(db));
    sqlite3_extended_result_codes(db, 1);
    sqlite3_busy_timeout(db, BUSY_TIMEOUT_MS);
    return db;
}

static void db_close(sqlite3 *db)
{
    for (sqlite3_stmt *stmt; (stmt = sqlite3_next_stmt(db, NULL)) != NULL;)
        sqlite3_finalize(stmt);
    if (sqlite3_close(db) != SQLITE_OK)
        die("close: %s", sqlite3_errmsg(db));
}

static void db_run(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        die("%s: %s", sql, sqlite3_errmsg(db));
}

static sqlite3_stmt *db_prepare(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *stmt;
    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
        die("%s: %s", sql, sqlite3_errmsg(db));
    return stmt;
}

static int64_t query_number(sqlite3_stmt *stmt)
{
    if (sqlite3_step(stmt) != SQLITE_ROW)
        die("%s: %s", sqlite3_sql(stmt), sqlite3_errmsg(sqlite3_db_handle(stmt)));
    int64_t value = sqlite3_column_int64(stmt, 0);
    sqlite3_reset(stmt);
    return value;
}

/* Runs the statement to its end. Returns how often SQLite returned SQLITE_BUSY. */
static unsigned stmt_run(sqlite3_stmt *stmt)
{
    unsigned busy = 0;
    for (;;) {
        int rc = sqlite3_step(stmt);
        if (rc == SQLITE_DONE && sqlite3_reset(stmt) == SQLITE_OK)
            return busy;
        rc = sqlite3_reset(stmt);
        if ((rc & 0xff) != SQLITE_BUSY)
            die("%s: %s (%d)", sqlite3_sql(stmt), sqlite3_errmsg(sqlite3_db_handle(stmt)), rc);
        busy++;
    }
}

static void create(sqlite3 *db)
{
    db_run(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
               "CREATE TABLE IF NOT EXISTS log (n INTEGER PRIMARY KEY, body TEXT NOT NULL);");
}

static sqlite3_stmt *prepare_insert(sqlite3 *db)
{
    return db_prepare(db, "INSERT INTO log (n, body) VALUES (?1, ?2)");
}

static void bind_insert(sqlite3_stmt *stmt, int64_t n, char body[BODY_SIZE + 1])
{
    body_make(body);
    sqlite3_bind_int64(stmt, 1, n);
    sqlite3_bind_text(stmt, 2, body, BODY_SIZE, SQLITE_STATIC);
}

static void bind_update(sqlite3_stmt *stmt, int64_t n, char body[BODY_SIZE + 1], int64_t rows)
{
    bind_insert(stmt, n, body);
    sqlite3_bind_int64(stmt, 3, (int64_t)(random_next() >> 32));
    sqlite3_bind_int64(stmt, 4, 1 + (int64_t)(random_next() % (uint64_t)rows));
}

static void fill(sqlite3 *db, int64_t size)
{
    create(db);
    sqlite3_stmt *stmt = prepare_insert(db);
    sqlite3_stmt *bytes = db_prepare(db, "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size");
    int64_t n = query_number(db_prepare(db, "SELECT coalesce(max(n), 0) FROM log"));
    char body[BODY_SIZE + 1];
    db_run(db, "BEGIN IMMEDIATE");
    while (query_number(bytes) < size) {
        for (int i = 0; i < 1000; i++) {
            bind_insert(stmt, ++n, body);
            stmt_run(stmt);
        }
    }
    db_run(db, "COMMIT");
}

static void items(sqlite3 *db, int64_t rows)
{
    db_run(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; BEGIN;"
               "CREATE TABLE item"
               "(id INTEGER PRIMARY KEY, key INTEGER NOT NULL, n INTEGER NOT NULL, body TEXT NOT NULL)");
    sqlite3_stmt *stmt = db_prepare(db, "INSERT INTO item (n, body, key, id) VALUES (?1, ?2, ?3, ?4)");
    char body[BODY_SIZE + 1];
    for (int64_t id = 1; id <= rows; id++) {
        bind_update(stmt, 0, body, rows);
        sqlite3_bind_int64(stmt, 4, id);
        stmt_run(stmt);
    }
    db_run(db, "CREATE INDEX item_key ON item (key); COMMIT");
}

/* ---- the measured load ---- */

static struct journal_entry *journal_open(const char *path)
{
    size_t size = JOURNAL_MAX * sizeof(struct journal_entry);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0 || ftruncate(fd, (off_t)size) != 0)
        die("%s: %s", path, strerror(errno));
    struct journal_entry *journal = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (journal == MAP_FAILED)
        die("mmap %s: %s", path, strerror(errno));
    close(fd);
    return journal;
}

static void journal_add(struct journal_entry *journal, size_t index, int64_t n)
{
    if (index + 1 >= JOURNAL_MAX) /* the last entry must stay the end */
        die("journal full after %zu commits", index);
    journal[index].time_ns = now_ns(CLOCK_REALTIME);
    __atomic_store_n(&journal[index].n, (uint64_t)n, __ATOMIC_RELEASE);
}

static void latencies_add(struct latencies *l, uint64_t ns)
{
    if (l->count == l->capacity) {
        l->capacity = l->capacity ? 2 * l->capacity : 1 << 20;
        l->ns = realloc(l->ns, l->capacity * sizeof(*l->ns));
        if (l->ns == NULL)
            die("out of memory");
    }
    l->ns[l->count++] = ns;
}

static int compare_ns(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The latency, in ms, that `share` of the sorted latencies do not exceed. */
static double latencies_at(const struct latencies *l, double share)
{
    return l->count == 0 ? 0 : (double)l->ns[(size_t)(share * (double)(l->count - 1))] / 1e6;
}

static void sleep_until(uint64_t ns)
{
    struct timespec ts = {.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
        continue;
}

static void measure(sqlite3_stmt *stmt, int64_t n, int64_t item_count, const struct options *opt)
{
    struct journal_entry *journal = opt->journal != NULL ? journal_open(opt->journal) : NULL;
    struct latencies latencies = {0};
    char body[BODY_SIZE + 1];
    uint64_t busy = 0;
    uint64_t start = now_ns(CLOCK_MONOTONIC), end = start + (uint64_t)(opt->seconds * 1e9);
    uint64_t now = start;

    while (now < end) {
        n++;
        if (item_count > 0)
            bind_update(stmt, n, body, item_count);
        else
            bind_insert(stmt, n, body);
        if (opt->rate > 0)
            sleep_until(start + (uint64_t)((double)latencies.count / opt->rate * 1e9));
        uint64_t before = now_ns(CLOCK_MONOTONIC);
        busy += stmt_run(stmt);
        now = now_ns(CLOCK_MONOTONIC);
        if (journal != NULL)
            journal_add(journal, latencies.count, n);
        latencies_add(&latencies, now - before);
    }
    qsort(latencies.ns, latencies.count, sizeof(*latencies.ns), compare_ns);
    printf("{\"commits\": %zu, \"rate\": %.1f, "
           "\"p50_ms\": %.4f, \"p99_ms\": %.4f, \"p999_ms\": %.4f, \"max_ms\": %.4f, "
           "\"busy\": %" PRIu64 ", \"last_n\": %" PRId64 ", \"sqlite\": \"%s\"}\n",
           latencies.count, (double)latencies.count / ((double)(now - start) / 1e9), latencies_at(&latencies, 0.5),
           latencies_at(&latencies, 0.99), latencies_at(&latencies, 0.999), latencies_at(&latencies, 1), busy, n,
           sqlite3_libversion());
    free(latencies.ns);
}

static void insert(sqlite3 *db, const struct options *opt)
{
    create(db);
    int64_t last = query_number(db_prepare(db, "SELECT coalesce(max(n), 0) FROM log"));
    measure(prepare_insert(db), last, 0, opt);
}

static void update(sqlite3 *db, const struct options *opt)
{
    db_run(db, "PRAGMA synchronous = NORMAL");
    int64_t last = query_number(db_prepare(db, "SELECT max(n) FROM item"));
    int64_t count = query_number(db_prepare(db, "SELECT count(*) FROM item"));
    measure(db_prepare(db, "UPDATE item SET n = ?1, body = ?2, key = ?3 WHERE id = ?4"), last, count, opt);
}

static struct options options_parse(int argc, char **argv)
{
    struct options opt = {.seconds = 10, .seed = 1};
    for (int i = 0; i < argc; i += 2) {
        if (i + 1 == argc)
            die("%s needs a value", argv[i]);
        if (strcmp(argv[i], "--seconds") == 0)
            opt.seconds = strtod(argv[i + 1], NULL);
        else if (strcmp(argv[i], "--rate") == 0)
            opt.rate = strtod(argv[i + 1], NULL);
        else if (strcmp(argv[i], "--journal") == 0)
            opt.journal = argv[i + 1];
        else if (strcmp(argv[i], "--seed") == 0)
            opt.seed = strtoull(argv[i + 1], NULL, 10);
        else
            die("unknown option %s", argv[i]);
    }
    return opt;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        die("usage: load create|fill|items|insert|update DB [BYTES|ROWS] "
            "[--seconds S] [--rate N] [--journal F] [--seed N]");
    const char *what = argv[1];
    int needs_size = strcmp(what, "fill") == 0 || strcmp(what, "items") == 0;
    if (needs_size && argc < 4)
        die("%s needs a size", what);
    int64_t size = needs_size ? strtoll(argv[3], NULL, 10) : 0;
    int skip = needs_size ? 4 : 3;
    struct options opt = options_parse(argc - skip, argv + skip);

    random_init(opt.seed);
    sqlite3 *db = db_open(argv[2]);
    if (strcmp(what, "create") == 0)
        create(db);
    else if (strcmp(what, "fill") == 0)
        fill(db, size);
    else if (strcmp(what, "items") == 0)
        items(db, size);
    else if (strcmp(what, "insert") == 0)
        insert(db, &opt);
    else if (strcmp(what, "update") == 0)
        update(db, &opt);
    else
        die("unknown command %s", what);
    db_close(db);
    return 0;
}
