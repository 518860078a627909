/* writer.c - the application of tests and benchmarks: it commits, keeps a record of its commits, and counts errors and
 * latencies.
 *
 * The content of transaction n (1, 2, 3, ...) follows from n. So `--check` decides for any copy of the database whether
 * it is exactly the state after a transaction, without any other source:
 *   insert   transaction n appends `rows` rows (id, txn = n, payload) to table t; ids count up from 1.
 *   update   transaction n rewrites one row of table item, chosen by n; its index on `code` moves with it.
 *   read     writes nothing: reads the last row twice in one snapshot, again and again.
 * At the end, and on SIGTERM or SIGINT, it prints its figures as one line of JSON. It uses libsqlite3, with one
 * connection. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    PAYLOAD_MAX = 1 << 20,
    SUB_BITS = 6, /* histogram: 64 buckets for each power of two, so at most 1.6 % off */
    BUCKETS = (64 - SUB_BITS) << SUB_BITS,
    HARD_ERRORS_MAX = 100, /* failures other than BUSY after which the application gives up */
    RETRY_US = 1000,
};

enum mode { MODE_INSERT, MODE_UPDATE, MODE_READ };
enum payload { PAYLOAD_TEXT, PAYLOAD_RANDOM, PAYLOAD_ZERO };

struct options {
    const char *path, *journal, *synchronous;
    enum mode mode;
    enum payload payload;
    double seconds, rate, hold_ms, pause_ms;                     /* seconds 0: no end; rate 0: flat out */
    int64_t count, table_rows, rows, size;                       /* count -1: no end; 0: only create the tables */
    int busy_timeout_ms, autocheckpoint, page_size, cache_pages; /* -1 or 0: SQLite's default */
    bool shared, read_first, intents, die_in_header, linger, check, integrity;
};

/* The kinds of errors that are counted. The last one counts all others. */
static const struct kind {
    int code;
    const char *name;
} kinds[] = {
    {SQLITE_BUSY, "busy"},
    {SQLITE_BUSY_SNAPSHOT, "busy_snapshot"},
    {SQLITE_BUSY_RECOVERY, "busy_recovery"},
    {SQLITE_PROTOCOL, "protocol"},
    {SQLITE_CORRUPT, "corrupt"},
    {-1, "other"},
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

struct app {
    struct options opt;
    sqlite3 *db;
    sqlite3_stmt *begin, *commit, *rollback, *write, *last;
    int journal;
    uint64_t errors[KINDS], hard_errors, episodes; /* an episode is a run of failures with no success between */
    uint64_t commits, torn_reads;
    int64_t n;                              /* the last transaction that was committed */
    uint64_t latency[BUCKETS], latency_max; /* ns, from the first try to success */
    char first_error[200];
    unsigned char bytes[PAYLOAD_MAX];
};

static volatile sig_atomic_t stop_asked;

static void on_signal(int signal_number)
{
    (void)signal_number;
    stop_asked = 1;
}

static void die(const char *what, const char *why)
{
    fprintf(stderr, "writer: %s: %s\n", what, why);
    exit(2);
}

/* Time */

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void sleep_until(uint64_t at_ns)
{
    struct timespec t = {.tv_sec = (time_t)(at_ns / 1000000000u), .tv_nsec = (long)(at_ns % 1000000000u)};
    while (!stop_asked && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
        ;
}

static void sleep_us(double us)
{
    if (us > 0)
        sleep_until(clock_ns(CLOCK_MONOTONIC) + (uint64_t)(us * 1000));
}

/* Latencies */

static int bucket_of(uint64_t ns)
{
    if (ns < (1u << SUB_BITS))
        return (int)ns;
    int top = 63 - __builtin_clzll(ns);
    return ((top - SUB_BITS + 1) << SUB_BITS) | (int)((ns >> (top - SUB_BITS)) & ((1u << SUB_BITS) - 1));
}

static double bucket_us(int bucket)
{
    int block = bucket >> SUB_BITS, sub = bucket & ((1 << SUB_BITS) - 1);
    return block == 0 ? sub / 1e3 : (double)((uint64_t)(sub | 1 << SUB_BITS) << (block - 1)) / 1e3;
}

static void latency_add(struct app *a, uint64_t ns)
{
    a->latency[bucket_of(ns)]++;
    if (ns > a->latency_max)
        a->latency_max = ns;
}

static double latency_us(const struct app *a, double share)
{
    uint64_t seen = 0, wanted = (uint64_t)((double)a->commits * share);
    for (int i = 0; i < BUCKETS; i++)
        if ((seen += a->latency[i]) > wanted)
            return bucket_us(i);
    return (double)a->latency_max / 1e3;
}

/* Content: everything follows from the number of the transaction. */

static uint64_t mix(uint64_t x) /* splitmix64 */
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* Fills `bytes` for row `row` of transaction `n`: words as in a log, which deflate to a third; noise; or zeros. */
static void payload_fill(struct app *a, int64_t n, int64_t row)
{
    static const char words[64][8] = {
        "GET ",   "POST ",  "PUT ",   "users/", "orders/", "items/", "200 ",   "404 ",   "500 ",   "true",    "false",
        "null",   "id=",    "name=",  "time=",  "host=",   "path=",  "code=",  "size=",  "from ",  "to ",     "error ",
        "warn ",  "info ",  "debug ", "start ", "stop ",   "open ",  "close ", "read ",  "write ", "commit ", "retry ",
        "north ", "south ", "east ",  "west ",  "red ",    "green ", "blue ",  "alpha ", "beta ",  "gamma ",  "delta ",
        "one ",   "two ",   "three ", "four ",  "five ",   "six ",   "seven ", "eight ", "nine ",  "ten ",    "0",
        "1",      "2",      "3",      "4",      "5",       "6",      "7",      "8",      "9",
    };
    size_t size = (size_t)a->opt.size, at = 0;
    uint64_t noise = mix((uint64_t)n << 20 ^ (uint64_t)row);
    if (a->opt.payload == PAYLOAD_ZERO)
        memset(a->bytes, 0, size);
    while (a->opt.payload != PAYLOAD_ZERO && at < size) {
        noise = mix(noise);
        for (int i = 0; i < 8 && at < size; i++) {
            const char *from = (const char *)&noise + i;
            size_t length = 1;
            if (a->opt.payload == PAYLOAD_TEXT) {
                from = words[(noise >> (i * 8)) & 63];
                length = strnlen(from, sizeof(words[0]));
            }
            if (length > size - at)
                length = size - at;
            memcpy(a->bytes + at, from, length);
            at += length;
        }
    }
}

static int64_t updated_row(const struct app *a, int64_t n)
{
    return (int64_t)(mix((uint64_t)n) % (uint64_t)a->opt.table_rows) + 1;
}

static int64_t row_code(int64_t row, int64_t n)
{
    return (int64_t)(mix((uint64_t)row ^ (uint64_t)n << 32) >> 16);
}

/* SQL */

static void must(struct app *a, const char *sql)
{
    if (sqlite3_exec(a->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        die(sql, sqlite3_errmsg(a->db));
}

static sqlite3_stmt *prepare(struct app *a, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v3(a->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL) != SQLITE_OK)
        die(sql, sqlite3_errmsg(a->db));
    return statement;
}

/* Runs a statement to its end; returns the extended result code. */
static int run(sqlite3_stmt *statement)
{
    while (sqlite3_step(statement) == SQLITE_ROW)
        ;
    return sqlite3_reset(statement);
}

/* The one integer that `statement` selects; 0 when it selects nothing. */
static int number(sqlite3_stmt *statement, int64_t *ret_value)
{
    int64_t value = sqlite3_step(statement) == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
    int rc = sqlite3_reset(statement);
    if (rc == SQLITE_OK)
        *ret_value = value;
    return rc;
}

static bool text_is(struct app *a, const char *sql, const char *wanted)
{
    sqlite3_stmt *statement = prepare(a, sql);
    bool same =
        sqlite3_step(statement) == SQLITE_ROW && strcmp((const char *)sqlite3_column_text(statement, 0), wanted) == 0;
    sqlite3_finalize(statement);
    return same;
}

static int write_row(struct app *a, int64_t n, int64_t row)
{
    payload_fill(a, n, row);
    sqlite3_bind_int64(a->write, 1, n);
    sqlite3_bind_blob(a->write, 2, a->bytes, (int)a->opt.size, SQLITE_STATIC);
    if (a->opt.mode == MODE_UPDATE) {
        sqlite3_bind_int64(a->write, 3, row_code(row, n));
        sqlite3_bind_int64(a->write, 4, row);
    }
    return run(a->write);
}

static void open_database(struct app *a)
{
    struct options *o = &a->opt;
    int flags = SQLITE_OPEN_READWRITE | (o->check ? 0 : SQLITE_OPEN_CREATE);
    char sql[100];
    if (sqlite3_open_v2(o->path, &a->db, flags, NULL) != SQLITE_OK)
        die(o->path, sqlite3_errmsg(a->db));
    sqlite3_extended_result_codes(a->db, 1);
    sqlite3_busy_timeout(a->db, 10000); /* for the preparations; the asked one is set at their end */
    if (o->page_size > 0) {
        snprintf(sql, sizeof(sql), "PRAGMA page_size=%d", o->page_size);
        must(a, sql);
    }
    if (!o->check && !text_is(a, "PRAGMA journal_mode", "wal"))
        must(a, "PRAGMA journal_mode=wal");
    snprintf(sql, sizeof(sql), "PRAGMA synchronous=%s", o->synchronous);
    must(a, sql);
    if (o->autocheckpoint >= 0)
        sqlite3_wal_autocheckpoint(a->db, o->autocheckpoint);
    if (o->cache_pages > 0) {
        snprintf(sql, sizeof(sql), "PRAGMA cache_size=%d", o->cache_pages);
        must(a, sql);
    }
}

static void fill_items(struct app *a)
{
    sqlite3_stmt *insert = prepare(a, "INSERT INTO item(id, txn, code, payload) VALUES(?1, 0, ?2, ?3)");
    for (int64_t row = 1; row <= a->opt.table_rows; row++) {
        payload_fill(a, 0, row);
        sqlite3_bind_int64(insert, 1, row);
        sqlite3_bind_int64(insert, 2, row_code(row, 0));
        sqlite3_bind_blob(insert, 3, a->bytes, (int)a->opt.size, SQLITE_STATIC);
        if (run(insert) != SQLITE_OK)
            die("fill table item", sqlite3_errmsg(a->db));
    }
    sqlite3_finalize(insert);
}

static void prepare_tables(struct app *a)
{
    bool update = a->opt.mode == MODE_UPDATE;
    const char *find = update ? "SELECT count(*) FROM sqlite_master WHERE name = 'item'"
                              : "SELECT count(*) FROM sqlite_master WHERE name = 't'";
    if (text_is(a, find, "0")) { /* otherwise nothing is written: with a daemon attached it would be a transaction */
        must(a, "BEGIN IMMEDIATE");
        if (update) {
            must(a, "CREATE TABLE item(id INTEGER PRIMARY KEY, txn INTEGER, code INTEGER, payload BLOB)");
            must(a, "CREATE INDEX item_code ON item(code)");
            fill_items(a);
        } else {
            must(a, "CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, txn INTEGER, payload BLOB)");
        }
        must(a, "COMMIT");
    }
    a->begin = prepare(a, a->opt.read_first || a->opt.mode == MODE_READ ? "BEGIN" : "BEGIN IMMEDIATE");
    a->commit = prepare(a, "COMMIT");
    a->rollback = prepare(a, "ROLLBACK");
    a->last = prepare(a, update ? "SELECT max(txn) FROM item" : "SELECT txn FROM t ORDER BY id DESC LIMIT 1");
    a->write = prepare(a, update ? "UPDATE item SET txn = ?1, payload = ?2, code = ?3 WHERE id = ?4"
                                 : "INSERT INTO t(txn, payload) VALUES(?1, ?2)");
    if (number(a->last, &a->n) != SQLITE_OK)
        die("read the last transaction", sqlite3_errmsg(a->db));
    sqlite3_busy_timeout(a->db, a->opt.busy_timeout_ms);
}

/* Journal: the record of commits. Lines of 35 bytes: "b" (before the commit) or "c" (committed), n, nanoseconds. */

static void journal_add(struct app *a, char what, int64_t n)
{
    char line[64];
    if (a->journal < 0)
        return;
    int length = snprintf(line, sizeof(line), "%c %012" PRId64 " %019" PRIu64 "\n", what, n, clock_ns(CLOCK_REALTIME));
    if (write(a->journal, line, (size_t)length) != length)
        die("append to the journal", strerror(errno));
}

/* --die-in-header: SQLite writes frames to the WAL. Then it writes the second copy of the wal-index header, calls
 * xShmBarrier, and writes the first copy. So the process dies in the first barrier after a write to the WAL. */

static sqlite3_io_methods wal_methods, database_methods;
static const sqlite3_io_methods *wal_below, *database_below;
static bool frames_written;

static int wal_write(sqlite3_file *file, const void *bytes, int length, sqlite3_int64 at)
{
    frames_written = true;
    return wal_below->xWrite(file, bytes, length, at);
}

static void barrier_or_death(sqlite3_file *file)
{
    database_below->xShmBarrier(file);
    if (frames_written)
        kill(getpid(), SIGKILL);
}

static void arm_death_in_header(struct app *a)
{
    sqlite3_file *database = NULL, *wal = NULL;
    int64_t ignored;
    (void)number(a->last, &ignored); /* a read opens the WAL */
    if (sqlite3_file_control(a->db, "main", SQLITE_FCNTL_FILE_POINTER, &database) != SQLITE_OK ||
        sqlite3_file_control(a->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal) != SQLITE_OK || wal->pMethods == NULL)
        die("find the open files", sqlite3_errmsg(a->db));
    database_below = database->pMethods;
    wal_below = wal->pMethods;
    database_methods = *database_below;
    wal_methods = *wal_below;
    database_methods.xShmBarrier = barrier_or_death;
    wal_methods.xWrite = wal_write;
    database->pMethods = &database_methods;
    wal->pMethods = &wal_methods;
}

/* One transaction */

static int read_transaction(struct app *a)
{
    int64_t before = 0, after = 0;
    int rc = run(a->begin);
    if (rc == SQLITE_OK)
        rc = number(a->last, &before);
    sleep_us(a->opt.hold_ms * 1000);
    if (rc == SQLITE_OK)
        rc = number(a->last, &after);
    if (rc == SQLITE_OK)
        rc = run(a->commit);
    if (rc == SQLITE_OK && before != after)
        a->torn_reads++;
    a->n = after;
    return rc;
}

/* With `shared`, the number is drawn under the write lock: several applications then count as one. */
static int write_transaction(struct app *a, int64_t *n)
{
    struct options *o = &a->opt;
    bool one_statement = o->rows == 1 && !o->shared && !o->read_first;
    int64_t last = 0;
    int rc = one_statement ? SQLITE_OK : run(a->begin);
    if (rc == SQLITE_OK && (o->shared || o->read_first)) {
        rc = number(a->last, &last);
        if (o->shared)
            *n = last + 1;
    }
    if (rc == SQLITE_OK && o->read_first)
        sleep_us(o->hold_ms * 1000);
    if (o->intents)
        journal_add(a, 'b', *n);
    if (o->mode == MODE_UPDATE)
        return rc == SQLITE_OK ? write_row(a, *n, updated_row(a, *n)) : rc;
    for (int64_t row = 0; rc == SQLITE_OK && row < o->rows; row++)
        rc = write_row(a, *n, row);
    return rc == SQLITE_OK && !one_statement ? run(a->commit) : rc;
}

/* The kind whose code is `rc`, otherwise the kind of its primary code, otherwise "other". */
static int kind_of(int rc)
{
    for (int i = 0; i < KINDS; i++)
        if (kinds[i].code == rc)
            return i;
    return rc == (rc & 0xff) ? KINDS - 1 : kind_of(rc & 0xff);
}

static void error_add(struct app *a, int rc)
{
    a->errors[kind_of(rc)]++;
    if ((rc & 0xff) != SQLITE_BUSY)
        a->hard_errors++;
    if (a->first_error[0] == '\0')
        snprintf(a->first_error, sizeof(a->first_error), "%d %s", rc, sqlite3_errstr(rc));
}

/* Tries the next transaction until it succeeds. False: a signal came, or there were too many errors. */
static bool transact(struct app *a)
{
    uint64_t start = clock_ns(CLOCK_MONOTONIC);
    int64_t n = a->n + 1;
    bool failed = false;
    for (;;) {
        int rc = a->opt.mode == MODE_READ ? read_transaction(a) : write_transaction(a, &n);
        if (rc == SQLITE_OK)
            break;
        error_add(a, rc);
        a->episodes += failed ? 0 : 1;
        failed = true;
        if (!sqlite3_get_autocommit(a->db))
            (void)run(a->rollback);
        if (stop_asked || a->hard_errors > HARD_ERRORS_MAX)
            return false;
        sleep_us(RETRY_US);
    }
    latency_add(a, clock_ns(CLOCK_MONOTONIC) - start);
    a->commits++;
    if (a->opt.mode != MODE_READ) {
        a->n = n;
        journal_add(a, 'c', n);
    }
    return true;
}

static double work(struct app *a)
{
    struct options *o = &a->opt;
    uint64_t start = clock_ns(CLOCK_MONOTONIC), now = start;
    uint64_t end = o->seconds > 0 ? start + (uint64_t)(o->seconds * 1e9) : UINT64_MAX;
    for (int64_t done = 0; !stop_asked && done != o->count && now < end; done++) {
        if (o->rate > 0)
            sleep_until(start + (uint64_t)((double)done * 1e9 / o->rate));
        if (o->die_in_header && done == o->count - 1)
            arm_death_in_header(a);
        if (stop_asked || !transact(a))
            break;
        sleep_us(o->pause_ms * 1000);
        now = clock_ns(CLOCK_MONOTONIC);
    }
    return (double)(clock_ns(CLOCK_MONOTONIC) - start) / 1e9;
}

static void report(const struct app *a, double seconds)
{
    printf("{\"commits\": %" PRIu64 ", \"last\": %" PRId64 ", \"seconds\": %.3f, \"rate\": %.1f", a->commits, a->n,
           seconds, seconds > 0 ? (double)a->commits / seconds : 0.0);
    printf(", \"latency_us\": {\"p50\": %.1f, \"p99\": %.1f, \"p999\": %.1f, \"max\": %.1f}", latency_us(a, 0.5),
           latency_us(a, 0.99), latency_us(a, 0.999), (double)a->latency_max / 1e3);
    printf(", \"errors\": {");
    for (int i = 0; i < KINDS; i++)
        printf("%s\"%s\": %" PRIu64, i == 0 ? "" : ", ", kinds[i].name, a->errors[i]);
    printf("}, \"episodes\": %" PRIu64 ", \"torn_reads\": %" PRIu64 ", \"first_error\": \"%s\"}\n", a->episodes,
           a->torn_reads, a->first_error);
    fflush(stdout);
}

/* Check: whether this file is exactly the state after a transaction. */

static bool payload_is(struct app *a, sqlite3_stmt *row, int column, int64_t n, int64_t index)
{
    payload_fill(a, n, index);
    return sqlite3_column_bytes(row, column) == a->opt.size &&
           memcmp(sqlite3_column_blob(row, column), a->bytes, (size_t)a->opt.size) == 0;
}

static const char *check_inserts(struct app *a, int64_t *ret_last)
{
    sqlite3_stmt *row = prepare(a, "SELECT id, txn, payload FROM t ORDER BY id");
    int64_t seen = 0;
    const char *why = NULL;
    while (why == NULL && sqlite3_step(row) == SQLITE_ROW) {
        int64_t n = seen / a->opt.rows + 1, index = seen % a->opt.rows;
        seen++;
        if (sqlite3_column_int64(row, 0) != seen)
            why = "a row is missing";
        else if (sqlite3_column_int64(row, 1) != n)
            why = "a row is of another transaction";
        else if (!payload_is(a, row, 2, n, index))
            why = "a payload is wrong";
        *ret_last = n;
    }
    if (sqlite3_finalize(row) != SQLITE_OK)
        why = sqlite3_errmsg(a->db);
    return why == NULL && seen % a->opt.rows != 0 ? "half a transaction" : why;
}

static const char *check_updates(struct app *a, int64_t *ret_last)
{
    int64_t rows = a->opt.table_rows, seen = 0;
    int64_t *expected = calloc((size_t)rows + 1, sizeof(*expected));
    sqlite3_stmt *last = prepare(a, "SELECT max(txn) FROM item");
    sqlite3_stmt *row = prepare(a, "SELECT id, txn, code, payload FROM item ORDER BY id");
    const char *why = expected == NULL ? "out of memory" : NULL;
    if (why == NULL && number(last, ret_last) != SQLITE_OK)
        why = sqlite3_errmsg(a->db);
    for (int64_t n = 1; why == NULL && n <= *ret_last; n++)
        expected[updated_row(a, n)] = n;
    while (why == NULL && sqlite3_step(row) == SQLITE_ROW) {
        int64_t id = sqlite3_column_int64(row, 0);
        seen++;
        if (id != seen || id > rows)
            why = "a row is missing";
        else if (sqlite3_column_int64(row, 1) != expected[id])
            why = "a row is of another transaction";
        else if (sqlite3_column_int64(row, 2) != row_code(id, expected[id]))
            why = "a code is wrong";
        else if (!payload_is(a, row, 3, expected[id], id))
            why = "a payload is wrong";
    }
    if (why == NULL && seen != rows)
        why = "rows are missing at the end";
    sqlite3_finalize(last);
    sqlite3_finalize(row);
    free(expected);
    return why;
}

static int check(struct app *a)
{
    int64_t last = 0;
    const char *why = NULL;
    if (a->opt.integrity && !text_is(a, "PRAGMA integrity_check", "ok"))
        why = "integrity_check complains";
    if (why == NULL)
        why = a->opt.mode == MODE_UPDATE ? check_updates(a, &last) : check_inserts(a, &last);
    printf("{\"last\": %" PRId64 ", \"ok\": %s, \"why\": \"%s\"}\n", last, why == NULL ? "true" : "false",
           why == NULL ? "" : why);
    return why == NULL ? 0 : 1;
}

/* Command line */

static void usage(void)
{
    fputs("usage: writer [options] DB\n"
          "  --mode insert|update|read    what a transaction does (insert)\n"
          "  --seconds S, --count N       when to end (never; SIGTERM ends it too); --count 0 only creates the tables\n"
          "  --rate R                     transactions per second (0: flat out)\n"
          "  --rows N                     rows per transaction (1)\n"
          "  --size BYTES                 payload of a row (200)\n"
          "  --payload text|random|zero   what it is made of (text)\n"
          "  --table-rows N               rows of the table that update changes (400000)\n"
          "  --synchronous MODE           off, normal, full, extra (normal)\n"
          "  --busy-timeout MS            (0)\n"
          "  --autocheckpoint FRAMES      (SQLite's default); --cache-pages N; --page-size N likewise\n"
          "  --shared                     draw n under the write lock: several writers count as one\n"
          "  --read-first                 start with a read, wait --hold MS, then write\n"
          "  --hold MS, --pause MS        how long a reader keeps its snapshot, how long it waits between two\n"
          "  --journal PATH, --intents    append each committed n with its time; --intents: also before the commit\n"
          "  --die-in-header              kill the process in the last of --count commits, between the two header "
          "copies\n"
          "  --linger                     report, then keep the connection open until SIGTERM\n"
          "  --check, --integrity         no writing: is DB exactly the state after some n?\n",
          stderr);
    exit(2);
}

static int choice(const char *value, const char *const *names)
{
    for (int i = 0; names[i] != NULL; i++)
        if (strcmp(value, names[i]) == 0)
            return i;
    usage();
    return -1;
}

static double figure(const char *value)
{
    char *end = NULL;
    double number = strtod(value, &end);
    if (end == value || *end != '\0' || number < 0)
        usage();
    return number;
}

static struct options parse(int argc, char **argv)
{
    static const char *const modes[] = {"insert", "update", "read", NULL};
    static const char *const payloads[] = {"text", "random", "zero", NULL};
    static const char *const synchronous[] = {"off", "normal", "full", "extra", NULL};
    enum {
        MODE = 1,
        SECONDS,
        COUNT,
        RATE,
        ROWS,
        SIZE,
        PAYLOAD,
        TABLE_ROWS,
        SYNCHRONOUS,
        BUSY,
        AUTOCHECKPOINT,
        CACHE,
        PAGE_SIZE,
        HOLD,
        PAUSE,
        JOURNAL,
        SHARED,
        READ_FIRST,
        INTENTS,
        DIE,
        LINGER,
        CHECK,
        INTEGRITY
    };
    static const struct option longs[] = {
        {"mode", 1, 0, MODE},
        {"seconds", 1, 0, SECONDS},
        {"count", 1, 0, COUNT},
        {"rate", 1, 0, RATE},
        {"rows", 1, 0, ROWS},
        {"size", 1, 0, SIZE},
        {"payload", 1, 0, PAYLOAD},
        {"table-rows", 1, 0, TABLE_ROWS},
        {"synchronous", 1, 0, SYNCHRONOUS},
        {"busy-timeout", 1, 0, BUSY},
        {"autocheckpoint", 1, 0, AUTOCHECKPOINT},
        {"cache-pages", 1, 0, CACHE},
        {"page-size", 1, 0, PAGE_SIZE},
        {"hold", 1, 0, HOLD},
        {"pause", 1, 0, PAUSE},
        {"journal", 1, 0, JOURNAL},
        {"shared", 0, 0, SHARED},
        {"read-first", 0, 0, READ_FIRST},
        {"intents", 0, 0, INTENTS},
        {"die-in-header", 0, 0, DIE},
        {"linger", 0, 0, LINGER},
        {"check", 0, 0, CHECK},
        {"integrity", 0, 0, INTEGRITY},
        {0, 0, 0, 0},
    };
    struct options o = {
        .synchronous = "normal", .count = -1, .rows = 1, .size = 200, .table_rows = 400000, .autocheckpoint = -1};
    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        switch (c) {
        case MODE:
            o.mode = (enum mode)choice(optarg, modes);
            break;
        case SECONDS:
            o.seconds = figure(optarg);
            break;
        case COUNT:
            o.count = (int64_t)figure(optarg);
            break;
        case RATE:
            o.rate = figure(optarg);
            break;
        case ROWS:
            o.rows = (int64_t)figure(optarg);
            break;
        case SIZE:
            o.size = (int64_t)figure(optarg);
            break;
        case PAYLOAD:
            o.payload = (enum payload)choice(optarg, payloads);
            break;
        case TABLE_ROWS:
            o.table_rows = (int64_t)figure(optarg);
            break;
        case SYNCHRONOUS:
            o.synchronous = synchronous[choice(optarg, synchronous)];
            break;
        case BUSY:
            o.busy_timeout_ms = (int)figure(optarg);
            break;
        case AUTOCHECKPOINT:
            o.autocheckpoint = (int)figure(optarg);
            break;
        case CACHE:
            o.cache_pages = (int)figure(optarg);
            break;
        case PAGE_SIZE:
            o.page_size = (int)figure(optarg);
            break;
        case HOLD:
            o.hold_ms = figure(optarg);
            break;
        case PAUSE:
            o.pause_ms = figure(optarg);
            break;
        case JOURNAL:
            o.journal = optarg;
            break;
        case SHARED:
            o.shared = true;
            break;
        case READ_FIRST:
            o.read_first = true;
            break;
        case INTENTS:
            o.intents = true;
            break;
        case DIE:
            o.die_in_header = true;
            break;
        case LINGER:
            o.linger = true;
            break;
        case CHECK:
            o.check = true;
            break;
        case INTEGRITY:
            o.integrity = true;
            break;
        default:
            usage();
        }
    }
    if (optind + 1 != argc || o.size > PAYLOAD_MAX || o.rows < 1 || o.table_rows < 1)
        usage();
    if (o.mode == MODE_UPDATE && (o.shared || o.read_first || o.rows > 1))
        usage();
    o.path = argv[optind];
    return o;
}

int main(int argc, char **argv)
{
    static struct app app = {.journal = -1};
    struct sigaction action = {.sa_handler = on_signal};
    int rc = 0;
    app.opt = parse(argc, argv);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    open_database(&app);
    if (app.opt.check) {
        rc = check(&app);
    } else {
        prepare_tables(&app);
        if (app.opt.journal != NULL) {
            app.journal = open(app.opt.journal, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
            if (app.journal < 0)
                die(app.opt.journal, strerror(errno));
        }
        double seconds = work(&app);
        report(&app, seconds);
        while (app.opt.linger && !stop_asked)
            pause();
        rc = app.hard_errors > HARD_ERRORS_MAX ? 1 : 0;
    }
    sqlite3_finalize(app.begin);
    sqlite3_finalize(app.commit);
    sqlite3_finalize(app.rollback);
    sqlite3_finalize(app.write);
    sqlite3_finalize(app.last);
    if (sqlite3_close(app.db) != SQLITE_OK)
        die("close", sqlite3_errmsg(app.db));
    return rc;
}
