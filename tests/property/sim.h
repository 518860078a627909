/* property/sim.h - a simulated world: a seed decides what databases, stores, clocks and kills do to the daemon.
 *
 * Real: src/ except the pool of threads (workers.c), the SQLite side (watch.c, checkpoint.c, the shim), the stores and
 * the programs around it (extension, command line); sim_process.c, sim_database.c and sim_store.c replace these. The database writes a real -wal with header,
 * frames, salts and checksums. The state file is a real file, mapped. No other process runs during a job; but the
 * process of the job may die at the points (sim_point) in it.
 *
 * The records of commits (struct truth) and of objects that were put (published.h) are for checks only. No code of src/
 * sees them. */
#ifndef PROPERTY_SIM_H
#define PROPERTY_SIM_H

#include "dice.h"

#include "daemon/database.h"

#include <setjmp.h>
#include <stdio.h>

enum {
    PAGES_MAX = 20,
    PAGE_BYTES_MAX = 1024,
    HOSTS_MAX = 4,
    STORES = 2,
    GRACE_MS = 120000, /* half of it is longer than LATE_MS */
    KEEP_ALL_MS = 150000,
    KEEP_LEVELS_MS = 240000,
    TICK_MS = 10,
    COOKIE_AT = 40,  /* in page 1: of the schema */
    SERIAL_AT = 72,  /* in page 1: the serial number of the state; SQLite leaves these bytes alone */
    LATE_MS = 12000, /* a PUT whose answer was lost is carried out after this time at the latest */
};

/* ---- time and chance */

extern int64_t true_ms; /* the time of the world, which the clocks of the stores show */
extern struct dice luck;
static inline bool chance(unsigned percent)
{
    return dice_below(&luck, 100) < percent;
}

/* ---- the end of a run: prints the promise that broke */
_Noreturn void broken(const char *fmt, ...) PRINTF_LIKE(1, 2);
#define NEED(condition, ...)                                                                                           \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            broken(__VA_ARGS__);                                                                                       \
    } while (0)
void trace(const char *fmt, ...) PRINTF_LIKE(1, 2); /* shown with -v */

/* ---- sim_database.c: an application's database */

/* A state that the application committed. Page 1 holds its serial number, which identifies the state of a restored
 * database. */
struct truth {
    unsigned host;
    size_t before; /* serial number of the state that this one was made from */
    bool alone;    /* it was not made by a commit: the database was made, rebuilt or replaced */
    uint32_t pages, page_size;
    uint64_t page1_hash;
    bool wild[PAGES_MAX + 1]; /* the database grew over this page and never wrote it: any bytes are right */
    uint8_t *bytes;
};
extern struct truth *truths; /* by serial number, from 1 */
extern size_t truth_count;
size_t truth_find(uint64_t page1_hash); /* 0: the application did not commit a state with this page 1 */
bool truth_equal(const struct truth *t, const uint8_t *bytes, uint32_t pages, uint32_t page_size);

/* The files of a database. An open handle keeps them when the path is removed or replaced. */
struct files {
    unsigned host;
    uint64_t inode;
    int64_t mtime_ns, ctime_ns;
    uint32_t page_size, file_pages;
    uint8_t file[PAGES_MAX * PAGE_BYTES_MAX];
    uint8_t *wal;
    size_t wal_len, wal_cap, wal_synced; /* bytes */
    bool generation_begun;               /* the header of this generation is in the file */
    uint32_t checkpoint_seq, backfilled;
    bool torn; /* a writer died between the two copies of the header: recovery would make `index` */
    struct wal_index_header index;
};

int64_t world_clock_ms(unsigned host); /* hosts.c: the wall clock of this machine */

struct sim_database {
    unsigned host;
    struct files *files; /* NULL: deleted */
    size_t serial;       /* of the newest state that was committed */
};

void sim_database_create(struct sim_database *db, unsigned host, uint32_t page_size);
void sim_database_commit(struct sim_database *db);
void sim_database_roll_back(struct sim_database *db); /* a transaction that spilled frames and was rolled back */
void sim_database_backfill(struct files *f);          /* copies all frames back into the file */
void sim_database_reset(struct files *f, bool truncate);
/* A checkpoint TRUNCATE by the application while the guard is held. False: frames are not copied back, and can't be
 * now. */
bool sim_database_checkpoint_guarded(struct sim_database *db);
void sim_database_recover(struct sim_database *db); /* all processes died: makes the wal-index again from the WAL */
void sim_database_power_cut(struct sim_database *db);
void sim_database_torn(struct sim_database *db);                        /* commits, and dies while writing the header */
void sim_database_rebuild(struct sim_database *db, uint32_t page_size); /* VACUUM into another page size */
/* Another database is put in its place: the bytes of a committed state. */
void sim_database_replace(struct sim_database *db, unsigned host, const uint8_t *bytes, uint32_t pages,
                          uint32_t page_size, size_t serial);
void sim_files_read(const struct files *f, uint32_t pgno, uint8_t *out); /* reads a page as SQLite does */

/* ---- sim_store.c: stores that lose, delay and repeat */

struct sim_object {
    char key[STORE_KEY_MAX];
    uint8_t *bytes;
    size_t size;
    int64_t born_ms;
    int64_t
        listed_ms; /* what a listing says, by a clock without offset: born_ms, unless the time of the file was set */
};

struct sim_store {
    const char *url;
    struct sim_object *objects; /* ascending keys */
    size_t count, cap;
    struct flying {
        int64_t at_ms;
        struct sim_object object;
    } flying[64];
    size_t flying_count;
    bool costs; /* each request costs money, so the daemon keeps a budget and packs rarely */
    bool down;
    unsigned loss;       /* percent of requests that go wrong */
    int requests_left;   /* how many requests are answered; negative: all */
    int64_t blind_until; /* until then reads and listings find no object, as with a listing that lags */
    int64_t clock_offset_ms;
    /* NULL, or called once while the process is suspended: before it sends a PUT; after the store has an object of
     * level 0, before the process reads the answer. */
    void (*before_put)(void), (*after_put)(void);
};
extern struct sim_store stores[STORES];
void sim_store_tick(struct sim_store *s);
const struct sim_object *sim_store_get(const struct sim_store *s, const char *key);
void sim_store_delete(struct sim_store *s, const char *key);
/* Called for each object that a store receives (published.c). */
void world_landed(struct sim_store *s, const struct sim_object *o);

/* ---- sim_process.c: daemons */

struct sim_process {
    unsigned host;
    struct replicate_config config;
    struct commons commons;
    const char *urls[STORES];
    struct database *db;
    const struct local *local; /* of `db`, while a job has it too */
    struct sim_database *files_of;
    const char *state_path;
    struct sim_job {
        struct job *job;
        bool ran;
    } jobs[16];
    size_t job_count;
    uint8_t *synced; /* owned by the host; the state file as it was synced last */
    int64_t clock_offset_ms;
    uint64_t boots; /* power cuts of its machine */
    jmp_buf death;
    int points_to_live; /* the process dies after so many points; negative: it does not */
    bool dead;
    struct state *state; /* its descriptor is closed when the process dies */
};
extern struct sim_process *running; /* the process whose code runs now; NULL: the test itself */
extern struct codec *sim_codec;
/* Called when a database was closed, to be opened again later (hosts.c). */
void world_slept(void);
extern bool sim_calm; /* the machine has no faults, and no commit happens during a job */

/* A place where the process may die. */
void sim_point(void);

/* Starts a daemon. Returns false if it ended at once. */
bool sim_process_start(struct sim_process *p);
/* Lets the process decide, and continues one of its jobs. False: it has ended or died; *ret_error says why if it ended
 * with an error. */
bool sim_process_turn(struct sim_process *p, struct err *ret_error);
void sim_process_kill(struct sim_process *p);
bool sim_process_watches(const struct sim_process *p, const struct files *f); /* it holds the watch or the guard */
bool sim_process_guards(const struct sim_process *p, const struct files *f);

/* Called when the state file is synced: hosts.c keeps its bytes. */
void world_state_synced(const struct sim_process *p);

#endif
