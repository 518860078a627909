/* provoker.c - an application that provokes a loss of commits in SQLite: a reset of the WAL during a checkpoint of
 * another process.
 *
 *   provoker DB ROUNDS SEED MMAP_BYTES
 *
 * It has one process that writes and two that checkpoint, by every kind of checkpoint in random order and at random
 * moments. In a round the writer commits some transactions quickly, then a few with pauses. Then a new connection
 * compares every row with what was committed. The first difference ends the run.
 *
 * Prints one line of JSON, and writes "id|value" of each row, as it should be, into DB.expected. Exits with 0 if
 * nothing was lost, with 3 after a loss, with 1 after any other failure. With delays.so preloaded, the loss is more
 * frequent. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROWS = 300, CHECKPOINTERS = 2, MODES = 4, PATIENCE_MS = 20000, EXIT_LOST = 3 };

/* In memory that the processes share. */
struct figures {
    volatile int stop;
    volatile long done[CHECKPOINTERS][MODES], busy[CHECKPOINTERS][MODES], failed[CHECKPOINTERS];
};

static struct figures *shared;
static const char *path;
static long mmap_bytes;
static uint64_t dice;
static uint64_t expected[ROWS + 1];

static unsigned below(unsigned n)
{
    dice = dice * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(dice >> 33) % n;
}

static void pause_us(long us)
{
    struct timespec left = {us / 1000000, us % 1000000 * 1000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}

static void need(sqlite3 *db, int rc, const char *what)
{
    if (rc == SQLITE_OK)
        return;
    fprintf(stderr, "%s: %s\n", what, sqlite3_errmsg(db));
    exit(1);
}

static void run(sqlite3 *db, const char *sql)
{
    need(db, sqlite3_exec(db, sql, NULL, NULL, NULL), sql);
}

static sqlite3 *connect_to_it(int busy_ms)
{
    sqlite3 *db = NULL;
    char sql[64];
    need(db, sqlite3_open(path, &db), "open");
    sqlite3_busy_timeout(db, busy_ms);
    sqlite3_wal_autocheckpoint(db, 0);
    snprintf(sql, sizeof sql, "PRAGMA mmap_size=%ld", mmap_bytes);
    run(db, sql);
    run(db, "PRAGMA synchronous=NORMAL");
    return db;
}

/* ---- a checkpointer */

static int draw_mode(void)
{
    static const int of_twenty[20] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 3, 3};
    return of_twenty[below(20)];
}

static void checkpoint_until_the_end(int me)
{
    static const int modes[MODES] = {SQLITE_CHECKPOINT_PASSIVE, SQLITE_CHECKPOINT_FULL, SQLITE_CHECKPOINT_RESTART,
                                     SQLITE_CHECKPOINT_TRUNCATE};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dice += (uint64_t)(me + 1) << 20;
    sqlite3 *db = connect_to_it(0);
    while (!shared->stop) {
        const int mode = draw_mode();
        if (below(2) == 0) /* so that the connection has the file mapped */
            sqlite3_exec(db, "SELECT sum(length(payload)) FROM t", NULL, NULL, NULL);
        sqlite3_busy_timeout(db, below(3) == 0 ? (int)below(6) : 0);
        const int rc = sqlite3_wal_checkpoint_v2(db, "main", modes[mode], NULL, NULL);
        if (rc == SQLITE_OK)
            shared->done[me][mode]++;
        else if ((rc & 0xff) == SQLITE_BUSY)
            shared->busy[me][mode]++;
        else
            shared->failed[me]++;
        if (below(4) > 0)
            pause_us(below(1500));
    }
    sqlite3_close(db);
}

/* ---- the writer */

static void set_row(sqlite3 *db, int id, uint64_t value, const char *sql)
{
    char text[128];
    snprintf(text, sizeof text, sql, id, value);
    run(db, text);
}

static void create(sqlite3 *db)
{
    run(db, "PRAGMA journal_mode=WAL");
    run(db, "CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, v INTEGER, payload BLOB)");
    run(db, "BEGIN IMMEDIATE");
    for (int id = 1; id <= ROWS; id++) {
        expected[id] = below(1u << 30);
        set_row(db, id, expected[id], "INSERT OR REPLACE INTO t VALUES(%d, %" PRIu64 ", zeroblob(900))");
    }
    run(db, "COMMIT");
}

static void commit_one(sqlite3 *db)
{
    uint64_t next[ROWS + 1];
    memcpy(next, expected, sizeof next);
    run(db, "BEGIN IMMEDIATE");
    for (unsigned n = 1 + below(3); n > 0; n--) {
        const int id = 1 + (int)below(ROWS);
        next[id] = below(1u << 30);
        set_row(db, id, next[id], "UPDATE t SET v = %2$" PRIu64 " WHERE id = %1$d");
    }
    run(db, "COMMIT");
    memcpy(expected, next, sizeof next);
}

/* What a new connection reads. */
struct sight {
    int rows, wrong;
    bool sound;
};

static int see_row(void *context, int columns, char **values, char **names)
{
    struct sight *s = context;
    const long id = strtol(values[0], NULL, 10);
    (void)columns;
    (void)names;
    s->rows++;
    s->wrong += id < 1 || id > ROWS || strtoull(values[1], NULL, 10) != expected[id];
    return 0;
}

static int see_check(void *context, int columns, char **values, char **names)
{
    (void)columns;
    (void)names;
    ((struct sight *)context)->sound = strcmp(values[0], "ok") == 0;
    return 0;
}

static bool everything_is_there(void)
{
    struct sight s = {0};
    sqlite3 *db = connect_to_it(PATIENCE_MS);
    int rc = sqlite3_exec(db, "SELECT id, v FROM t", see_row, &s, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, "PRAGMA quick_check(1)", see_check, &s, NULL);
    sqlite3_close(db);
    if (rc != SQLITE_OK || s.rows != ROWS || s.wrong > 0 || !s.sound) {
        fprintf(stderr, "lost: %d rows of %d, %d of them wrong, sound: %d, code %d\n", s.rows, ROWS, s.wrong, s.sound,
                rc);
        return false;
    }
    return true;
}

/* Whether the WAL was reset since the last call. The file has no locks, so it may be opened and closed. */
static bool wal_began_anew(void)
{
    static unsigned char last[8];
    unsigned char salts[8];
    char name[4200];
    snprintf(name, sizeof name, "%s-wal", path);
    const int fd = open(name, O_RDONLY | O_CLOEXEC);
    const bool changed = fd >= 0 && pread(fd, salts, sizeof salts, 16) == (ssize_t)sizeof salts &&
                         memcmp(salts, last, sizeof salts) != 0;
    if (fd >= 0)
        close(fd);
    if (changed)
        memcpy(last, salts, sizeof last);
    return changed;
}

static void write_expected(void)
{
    char name[4200];
    snprintf(name, sizeof name, "%s.expected", path);
    FILE *f = fopen(name, "w");
    for (int id = 1; f && id <= ROWS; id++)
        fprintf(f, "%d|%" PRIu64 "\n", id, expected[id]);
    if (!f || fclose(f) != 0)
        exit(1);
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: provoker DB ROUNDS SEED MMAP_BYTES\n");
        return 2;
    }
    path = argv[1];
    const long rounds = strtol(argv[2], NULL, 10);
    dice = strtoull(argv[3], NULL, 10) * 2654435761u + 1;
    mmap_bytes = strtol(argv[4], NULL, 10);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return 1;
    sqlite3 *db = connect_to_it(PATIENCE_MS);
    create(db);
    sqlite3_close(db); /* no connection may be open across a fork */
    pid_t children[CHECKPOINTERS];
    for (int i = 0; i < CHECKPOINTERS; i++)
        if ((children[i] = fork()) == 0) {
            checkpoint_until_the_end(i);
            _exit(0);
        }
    db = connect_to_it(PATIENCE_MS);
    long round = 0, commits = 0, resets = 0;
    bool lost = false;
    while (round < rounds && !lost) {
        for (unsigned quick = 5 + below(25); quick > 0; quick--, commits++)
            commit_one(db);
        for (unsigned slow = 2 + below(5); slow > 0; slow--, commits++) {
            pause_us(below(2500));
            commit_one(db);
        }
        round++;
        lost = !everything_is_there();
        resets += wal_began_anew();
    }
    shared->stop = 1;
    for (int i = 0; i < CHECKPOINTERS; i++)
        waitpid(children[i], NULL, 0);
    sqlite3_close(db);
    write_expected();
    long done = 0, busy = 0, failed = 0;
    for (int i = 0; i < CHECKPOINTERS; i++) {
        failed += shared->failed[i];
        for (int m = 0; m < MODES; m++) {
            done += shared->done[i][m];
            busy += shared->busy[i][m];
        }
    }
    printf(
        "{\"sqlite\": \"%s\", \"rounds\": %ld, \"lost\": %d, \"commits\": %ld, \"resets\": %ld, \"checkpoints\": %ld, "
        "\"busy\": %ld, \"failed\": %ld}\n",
        sqlite3_libversion(), round, lost, commits, resets, done, busy, failed);
    return lost ? EXIT_LOST : 0;
}
