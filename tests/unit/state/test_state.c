/* state/state.h: what is found when the file is opened, in each case of its table. */
#include "failing_alloc.h"
#include "unit.h"

#include "base/endian.h"
#include "identity_random.h"
#include "state/state.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SLOTS 4
#define MAP_HEADER_AT (SLOTS * IDENTITY_SLOT_BYTES)
#define MAP_HEADER_BYTES 48
#define MAP_ENTRIES_AT (MAP_HEADER_AT + 4096)

enum { PAGES = 5000 };
static const struct uid first_run = {{1}}, second_run = {{2}};

static struct map_entry entry_of(uint32_t pgno, uint64_t txid)
{
    return (struct map_entry){.hash = pgno * UINT64_C(0x9e3779b97f4a7c15) + txid, .txid = txid};
}

static bool is_writer(const struct state *s, const struct uid *wanted)
{
    struct uid writer = state_writer(s);
    return uid_equal(&writer, wanted);
}

/* A start of the daemon, which puts something into its first replica. */
static void begin_run(struct state *s, const struct uid *run)
{
    state_end_runs(s, IDENTITY_KEEP_PAST);
    state_note_put(s, run, 0);
    struct identity id = state_identity(s);
    assert_true(identity_knows_run(&id, run));
}

static void open_state(struct state *s, const char *db, enum state_found wanted)
{
    struct err e;
    enum state_found found = STATE_NEW;
    assert_ok(state_open(s, db, &found, &e), &e);
    assert_int_equal(found, wanted);
}

static void commit(struct state *s, uint64_t txid)
{
    struct err e;
    assert_ok(map_resize(&s->map, PAGES + (uint32_t)txid, &e), &e);
    s->map.page_size = 4096;
    for (uint32_t pgno = txid == 1 ? 1 : PAGES; pgno <= s->map.pages; pgno++)
        map_set(&s->map, pgno, entry_of(pgno, txid));
    state_commit(s, &(struct state_position){
                        .txid = txid, .pos = {.frame = (uint32_t)txid * 10}, .time_ms = 1000, .db_size = 7});
}

/* A commit that writes every page. */
static void commit_all(struct state *s, uint64_t txid)
{
    struct err e;
    assert_ok(map_resize(&s->map, PAGES, &e), &e);
    s->map.page_size = 4096;
    for (uint32_t pgno = 1; pgno <= PAGES; pgno++)
        map_set(&s->map, pgno, entry_of(pgno, txid));
    state_commit(s, &(struct state_position){.txid = txid});
}

static void assert_map_of(const struct state *s, uint64_t txid)
{
    assert_true(state_txid(s) == txid);
    assert_int_equal(s->map.pages, PAGES + txid);
    assert_int_equal(s->map.page_size, 4096);
    for (uint32_t pgno = 1; pgno <= s->map.pages; pgno++) {
        uint64_t last = pgno < PAGES ? 1 : txid;
        assert_memory_equal(&s->map.entries[pgno - 1], &(struct map_entry[]){entry_of(pgno, last)}[0],
                            sizeof(struct map_entry));
    }
}

/* A database and its state file with two commits and one replica; the newest slot is the one of the replica. */
static struct uid make_state(void)
{
    struct state s;
    struct identity_replica replica;
    uint32_t index = 7;
    struct err e;
    assert_int_equal(file_write(temp_path("a.db"), "database", 8), 0);
    open_state(&s, temp_path("a.db"), STATE_NEW);
    begin_run(&s, &first_run);
    commit(&s, 1);
    commit(&s, 2);
    assert_ok(state_replica(&s, "/replica", &index, &replica, &e), &e);
    assert_int_equal(index, 0);
    replica.durable_txid = 2;
    state_set_replica(&s, index, &replica);
    assert_ok(state_sync(&s, &e), &e);
    struct uid writer = state_writer(&s);
    state_close(&s);
    return writer;
}

/* Opens the file as bytes. */
static uint8_t *state_bytes(size_t *ret_size)
{
    uint8_t *bytes = file_bytes(temp_path("a.db-seawall"), ret_size);
    assert_true(bytes && *ret_size > MAP_ENTRIES_AT);
    return bytes;
}

/* The index of the slot that counts. */
static size_t newest_slot(const uint8_t *bytes)
{
    static struct identity id;
    uint64_t newest = 0, serial = 0;
    size_t slot = SLOTS;
    for (size_t i = 0; i < SLOTS; i++)
        if (identity_decode(bytes + i * IDENTITY_SLOT_BYTES, &id, &serial) && serial > newest) {
            newest = serial;
            slot = i;
        }
    assert_true(slot < SLOTS);
    return slot;
}

static void write_state(const uint8_t *bytes, size_t n)
{
    assert_int_equal(file_write(temp_path("a.db-seawall"), bytes, n), 0);
}

static void assert_nothing_known(const struct state *s, const struct uid *old_writer)
{
    static const struct uid none;
    assert_false(is_writer(s, old_writer));
    assert_false(is_writer(s, &none));
    assert_int_equal(state_txid(s), 0);
    assert_int_equal(state_identity(s).run_count, 0);
    assert_int_equal(state_identity(s).replica_count, 0);
    assert_int_equal(s->map.pages, 0);
}

static void assert_map_lost(const struct state *s, const struct uid *writer)
{
    assert_true(is_writer(s, writer));
    assert_int_equal(s->map.pages, 0);
    assert_int_equal(s->map.page_size, 0);
    assert_true(s->map.sum == 0 && s->map.checksum == 0);
}

/* ---- intact */

static void identity_and_map_come_back_as_they_were(void **state)
{
    struct state s;
    (void)state;
    struct uid writer = make_state();
    for (int again = 0; again < 2; again++) {
        open_state(&s, temp_path("a.db"), STATE_INTACT);
        assert_map_of(&s, 2);
        assert_true(is_writer(&s, &writer));
        assert_true(identity_knows_run(&(struct identity[]){state_identity(&s)}[0], &first_run));
        assert_int_equal(state_identity(&s).replicas[0].durable_txid, 2);
        assert_int_equal(state_identity(&s).pos.frame, 20);
        assert_int_equal(state_identity(&s).db_size, 7);
        state_close(&s);
    }
}

static void a_map_that_was_loaded_goes_on(void **state)
{
    struct state s;
    struct err e;
    (void)state;
    make_state();
    open_state(&s, temp_path("a.db"), STATE_INTACT);
    commit(&s, 3);
    assert_ok(map_resize(&s.map, 100000, &e), &e); /* needs a larger file */
    map_set(&s.map, 100000, entry_of(100000, 4));
    state_commit(&s, &(struct state_position){.txid = 4});
    uint64_t sum = s.map.sum, checksum = s.map.checksum;
    state_close(&s);
    open_state(&s, temp_path("a.db"), STATE_INTACT);
    assert_true(s.map.sum == sum && s.map.checksum == checksum);
    assert_int_equal(s.map.pages, 100000);
    assert_int_equal(map_get(&s.map, 100000).txid, 4);
    assert_int_equal(map_get(&s.map, 99999).txid, 0);
    assert_ok(map_resize(&s.map, 10, &e), &e);
    state_commit(&s, &(struct state_position){.txid = 5});
    state_close(&s);
    open_state(&s, temp_path("a.db"), STATE_INTACT);
    assert_int_equal(s.map.pages, 10);
    assert_ok(map_resize(&s.map, 100000, &e), &e); /* where old entries lie in the file */
    assert_int_equal(map_get(&s.map, 100000).txid, 0);
    state_close(&s);
}

static void a_killed_process_leaves_its_last_whole_state(void **state)
{
    struct state s;
    (void)state;
    make_state();
    for (int torn = 0; torn < 2; torn++) {
        pid_t child = fork();
        if (child == 0) {
            enum state_found found;
            struct err e;
            if (state_open(&s, temp_path("a.db"), &found, &e) || found != STATE_INTACT)
                _exit(1);
            if (torn)
                map_set(&s.map, 1, entry_of(1, 4)); /* the next commit, not complete yet */
            else
                commit(&s, 3);
            raise(SIGKILL);
        }
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        open_state(&s, temp_path("a.db"), torn ? STATE_MAP_LOST : STATE_INTACT);
        if (!torn)
            assert_map_of(&s, 3);
        assert_int_equal(state_txid(&s), 3);
        state_close(&s);
    }
}

/* ---- map torn, stale, cut off */

static void a_torn_map_is_lost_and_the_identity_stays(void **state)
{
    struct state s;
    size_t n = 0;
    (void)state;
    struct uid writer = make_state();
    uint8_t *bytes = state_bytes(&n);
    const size_t damaged[] = {MAP_ENTRIES_AT, MAP_ENTRIES_AT + 8, MAP_ENTRIES_AT + 16 * PAGES,
                              MAP_ENTRIES_AT + 16 * (PAGES + 2) - 1};
    for (size_t i = 0; i < COUNT_OF(damaged) + MAP_HEADER_BYTES; i++) {
        size_t at = i < COUNT_OF(damaged) ? damaged[i]
                                          : MAP_HEADER_AT + i - COUNT_OF(damaged); /* each byte of the header too */
        bytes[at] ^= 0x20;
        write_state(bytes, n);
        open_state(&s, temp_path("a.db"), STATE_MAP_LOST);
        assert_map_lost(&s, &writer);
        assert_int_equal(state_txid(&s), 2);
        assert_int_equal(state_identity(&s).replicas[0].durable_txid, 2);
        state_close(&s);
        bytes[at] ^= 0x20;
    }
    bytes[MAP_ENTRIES_AT + 16 * (PAGES + 2)] ^= 1; /* beyond the last page, so it does not count */
    write_state(bytes, n);
    open_state(&s, temp_path("a.db"), STATE_INTACT);
    state_close(&s);
    free(bytes);
}

static void a_map_that_was_cut_off_is_lost(void **state)
{
    struct state s;
    size_t n = 0;
    (void)state;
    struct uid writer = make_state();
    uint8_t *bytes = state_bytes(&n);
    const size_t cuts[] = {MAP_ENTRIES_AT + 16 * (PAGES + 2) - 1, MAP_ENTRIES_AT + 1, MAP_ENTRIES_AT,
                           MAP_HEADER_AT + 20, MAP_HEADER_AT};
    for (size_t i = 0; i < COUNT_OF(cuts); i++) {
        write_state(bytes, cuts[i]);
        open_state(&s, temp_path("a.db"), STATE_MAP_LOST);
        assert_map_lost(&s, &writer);
        commit_all(&s, 3); /* a resync fills it again */
        state_close(&s);
        open_state(&s, temp_path("a.db"), STATE_INTACT);
        assert_int_equal(state_txid(&s), 3);
        assert_int_equal(s.map.pages, PAGES);
        assert_true(map_is_complete(&s.map));
        state_close(&s);
    }
    free(bytes);
}

static void a_map_of_another_txid_is_stale(void **state)
{
    struct state s;
    size_t n = 0;
    (void)state;
    struct uid writer = make_state();
    uint8_t *old = state_bytes(&n);
    open_state(&s, temp_path("a.db"), STATE_INTACT);
    commit(&s, 3);
    state_close(&s);
    uint8_t *bytes = state_bytes(&n);
    memcpy(bytes + MAP_HEADER_AT, old + MAP_HEADER_AT, n - MAP_HEADER_AT); /* a whole map, but of txid 2 */
    write_state(bytes, n);
    open_state(&s, temp_path("a.db"), STATE_MAP_LOST);
    assert_map_lost(&s, &writer);
    assert_int_equal(state_txid(&s), 3);
    state_close(&s);
    free(old);
    free(bytes);
}

/* ---- the older slot */

static void a_torn_slot_falls_back_to_the_older_one_and_the_map_of_its_txid(void **state)
{
    struct state s;
    size_t n = 0;
    (void)state;
    struct uid writer = make_state(); /* the newest slot has a position of the replica */
    uint8_t *bytes = state_bytes(&n);
    size_t newest = newest_slot(bytes) * IDENTITY_SLOT_BYTES;
    uint32_t size = get_be32(bytes + newest + 16);
    for (size_t i = 0; i < size; i += i < 200 ? 1 : 13) {
        bytes[newest + i] ^= 0x08;
        write_state(bytes, n);
        open_state(&s, temp_path("a.db"), STATE_INTACT);
        assert_true(is_writer(&s, &writer));
        assert_int_equal(state_txid(&s), 2);
        assert_int_equal(state_identity(&s).replica_count, 0); /* as before that position */
        state_close(&s);
        bytes[newest + i] ^= 0x08;
    }
    free(bytes);
}

static void an_older_slot_of_another_txid_has_no_map(void **state)
{
    struct state s;
    size_t n = 0;
    (void)state;
    struct uid writer = make_state();
    open_state(&s, temp_path("a.db"), STATE_INTACT);
    commit(&s, 3);
    commit(&s, 4);
    state_close(&s);
    uint8_t *bytes = state_bytes(&n);
    bytes[newest_slot(bytes) * IDENTITY_SLOT_BYTES + 100] ^= 1;
    write_state(bytes, n);
    open_state(&s, temp_path("a.db"), STATE_MAP_LOST);
    assert_map_lost(&s, &writer);
    assert_int_equal(state_txid(&s), 3);
    state_close(&s);
    free(bytes);
}

static void after_a_fall_back_the_next_write_counts(void **state)
{
    struct state s;
    size_t n = 0;
    (void)state;
    make_state();
    uint8_t *bytes = state_bytes(&n);
    bytes[newest_slot(bytes) * IDENTITY_SLOT_BYTES + 100] ^= 1;
    write_state(bytes, n);
    open_state(&s, temp_path("a.db"), STATE_INTACT);
    begin_run(&s, &second_run);
    state_close(&s);
    open_state(&s, temp_path("a.db"), STATE_INTACT);
    assert_true(identity_is_past(&(struct identity[]){state_identity(&s)}[0], &first_run, 2));
    assert_true(identity_knows_run(&(struct identity[]){state_identity(&s)}[0], &second_run));
    state_close(&s);
    free(bytes);
}

/* ---- every combination of what may have happened to the two parts: the table in state.h */

enum part { PART_INTACT, PART_TORN, PART_OLDER, PART_COPIED, PART_GONE, PARTS };

enum { IDENTITY_BYTES = SLOTS * IDENTITY_SLOT_BYTES };

static void spoil_identity(enum part how, uint8_t *bytes, const uint8_t *older, const uint8_t *elsewhere)
{
    if (how == PART_TORN)
        bytes[newest_slot(bytes) * IDENTITY_SLOT_BYTES + 100] ^= 1;
    if (how == PART_OLDER)
        memcpy(bytes, older, IDENTITY_BYTES);
    if (how == PART_COPIED)
        memcpy(bytes, elsewhere, IDENTITY_BYTES);
    if (how == PART_GONE)
        memset(bytes, 0, IDENTITY_BYTES);
}

static void spoil_map(enum part how, uint8_t *bytes, const uint8_t *older, const uint8_t *elsewhere, size_t n)
{
    size_t size = n - MAP_HEADER_AT;
    if (how == PART_TORN)
        bytes[MAP_ENTRIES_AT + 16] ^= 1;
    if (how == PART_OLDER)
        memcpy(bytes + MAP_HEADER_AT, older + MAP_HEADER_AT, size);
    if (how == PART_COPIED)
        memcpy(bytes + MAP_HEADER_AT, elsewhere + MAP_HEADER_AT, size);
    if (how == PART_GONE)
        memset(bytes + MAP_HEADER_AT, 0, size);
}

/* A history of four commits, and the file as it was after two of them. */
static uint8_t *history(const char *db, uint8_t **ret_older, size_t *ret_n)
{
    struct state s;
    char path[sizeof s.path];
    assert_int_equal(file_write(temp_path(db), "database", 8), 0);
    open_state(&s, temp_path(db), STATE_NEW);
    snprintf(path, sizeof path, "%s", s.path);
    begin_run(&s, &first_run);
    commit(&s, 1);
    commit(&s, 2);
    *ret_older = file_bytes(path, ret_n);
    commit(&s, 3);
    commit(&s, 4);
    state_close(&s);
    return file_bytes(path, ret_n);
}

static void every_combination_of_the_two_parts_has_its_outcome(void **state)
{
    static const enum state_found expected[PARTS][PARTS] = {
        [PART_INTACT] = {STATE_INTACT, STATE_MAP_LOST, STATE_MAP_LOST, STATE_MAP_LOST, STATE_MAP_LOST},
        [PART_TORN] = {STATE_MAP_LOST, STATE_MAP_LOST, STATE_MAP_LOST, STATE_MAP_LOST, STATE_MAP_LOST},
        [PART_OLDER] = {STATE_MAP_LOST, STATE_MAP_LOST, STATE_INTACT, STATE_MAP_LOST, STATE_MAP_LOST},
        [PART_COPIED] = {STATE_NEW, STATE_NEW, STATE_NEW, STATE_NEW, STATE_NEW},
        [PART_GONE] = {STATE_NEW, STATE_NEW, STATE_NEW, STATE_NEW, STATE_NEW},
    };
    uint8_t *older = NULL, *unused = NULL;
    size_t n = 0, m = 0;
    (void)state;
    uint8_t *whole = history("a.db", &older, &n), *elsewhere = history("b.db", &unused, &m);
    uint8_t *bytes = malloc(n);
    assert_true(whole && older && elsewhere && bytes && n == m);
    for (enum part id = PART_INTACT; id < PARTS; id++)
        for (enum part map = PART_INTACT; map < PARTS; map++) {
            struct state s;
            struct err e;
            enum state_found found = STATE_NEW;
            memcpy(bytes, whole, n);
            spoil_identity(id, bytes, older, elsewhere);
            spoil_map(map, bytes, older, elsewhere, n);
            write_state(bytes, n);
            assert_ok(state_open(&s, temp_path("a.db"), &found, &e), &e);
            if (found != expected[id][map])
                fail_msg("identity %d, map %d: found %d, not %d", id, map, found, expected[id][map]);
            if (found != STATE_INTACT)
                assert_int_equal(s.map.pages, 0);
            if (found != STATE_NEW)
                assert_int_equal(state_txid(&s), id == PART_OLDER ? 2 : id == PART_TORN ? 3 : 4);
            state_close(&s);
        }
    free(bytes);
    free(whole);
    free(elsewhere);
    free(older);
    free(unused);
}

/* ---- gone */

static void without_a_state_file_nothing_is_known(void **state)
{
    struct state s;
    (void)state;
    struct uid writer = make_state();
    assert_int_equal(unlink(temp_path("a.db-seawall")), 0);
    open_state(&s, temp_path("a.db"), STATE_NEW);
    assert_nothing_known(&s, &writer);
    state_close(&s);
}

static void with_all_slots_torn_nothing_is_known(void **state)
{
    struct state s;
    size_t n = 0;
    (void)state;
    struct uid writer = make_state();
    uint8_t *bytes = state_bytes(&n);
    for (size_t i = 0; i < SLOTS; i++)
        bytes[i * IDENTITY_SLOT_BYTES + 50] ^= 1;
    write_state(bytes, n);
    open_state(&s, temp_path("a.db"), STATE_NEW);
    assert_nothing_known(&s, &writer);
    commit(&s, 1);
    struct uid fresh = state_writer(&s);
    state_close(&s);
    open_state(&s, temp_path("a.db"), STATE_INTACT);
    assert_true(is_writer(&s, &fresh));
    assert_map_of(&s, 1);
    state_close(&s);
    free(bytes);
}

/* After a power cut any block that was written after the sync may be torn. */
static void a_synced_state_survives_a_power_cut_that_tears_all_later_writes(void **state)
{
    struct state s;
    struct err e;
    size_t n = 0, m = 0;
    (void)state;
    struct uid writer = make_state();
    for (unsigned writes = 1; writes <= 9; writes++) {
        open_state(&s, temp_path("a.db"), STATE_INTACT);
        assert_ok(state_sync(&s, &e), &e);
        uint8_t *synced = state_bytes(&n);
        uint64_t txid = state_txid(&s);
        for (unsigned i = 0; i < writes; i++)
            state_note_looked(&s, &first_run, 0);
        uint8_t *torn = state_bytes(&m);
        assert_int_equal(n, m);
        for (size_t i = 0; i < MAP_HEADER_AT; i++)
            if (torn[i] != synced[i])
                torn[i] ^= 0x55;
        state_close(&s);
        write_state(torn, n);
        open_state(&s, temp_path("a.db"), STATE_INTACT);
        assert_true(is_writer(&s, &writer));
        assert_true(state_txid(&s) == txid);
        state_close(&s);
        write_state(synced, n);
        free(synced);
        free(torn);
    }
}

static void assert_refused(void)
{
    struct state s;
    struct err e;
    enum state_found found = STATE_NEW;
    assert_error(state_open(&s, temp_path("a.db"), &found, &e), &e, ERR_CONFIG);
}

static void any_other_file_in_its_place_is_refused_and_stays(void **state)
{
    uint8_t text[] = "not a state file";
    size_t n = 0;
    struct stat st;
    (void)state;
    make_state();
    write_state(text, sizeof text);
    assert_int_equal(chmod(temp_path("a.db-seawall"), 0640), 0);
    assert_refused();
    uint8_t *bytes = file_bytes(temp_path("a.db-seawall"), &n);
    assert_int_equal(n, sizeof text);
    assert_memory_equal(bytes, text, n);
    assert_int_equal(stat(temp_path("a.db-seawall"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    free(bytes);
}

static void a_link_a_fifo_or_a_second_name_in_its_place_is_refused(void **state)
{
    struct stat st;
    (void)state;
    make_state();
    assert_int_equal(rename(temp_path("a.db-seawall"), temp_path("moved")), 0);
    assert_int_equal(symlink("moved", temp_path("a.db-seawall")), 0);
    assert_refused();
    assert_int_equal(unlink(temp_path("a.db-seawall")), 0);
    assert_int_equal(symlink("nowhere", temp_path("a.db-seawall")), 0);
    assert_refused();
    assert_int_equal(access(temp_path("nowhere"), F_OK), -1);
    assert_int_equal(unlink(temp_path("a.db-seawall")), 0);
    assert_int_equal(mkfifo(temp_path("a.db-seawall"), 0600), 0);
    assert_refused();
    assert_int_equal(unlink(temp_path("a.db-seawall")), 0);
    assert_int_equal(link(temp_path("moved"), temp_path("a.db-seawall")), 0);
    assert_refused();
    assert_int_equal(stat(temp_path("moved"), &st), 0);
    assert_int_equal(st.st_nlink, 2);
}

/* ---- restart */

enum { RESTART_PAGES = 300 };
static const char *const url = "/replica";

static void init_restart(struct map *map, struct state_restart *restart, uint64_t txid)
{
    struct err e;
    map_init_memory(map, 1024);
    assert_ok(map_resize(map, RESTART_PAGES, &e), &e);
    for (uint32_t pgno = 1; pgno <= RESTART_PAGES; pgno++)
        map_set(map, pgno, entry_of(pgno, 1 + pgno % txid));
    *restart = (struct state_restart){.txid = txid,
                                      .time_ms = 123456,
                                      .map = map,
                                      .url = url,
                                      .database = {{7, 7}},
                                      .head = {{9, 9}},
                                      .head_checksum = map->checksum};
}

/* A second implementation of the rule in state.h. */
static void expect_restart(struct identity *id, const struct state_restart *r, const struct digest *place)
{
    uint32_t i = 0;
    for (uint32_t k = 0; k < id->run_count; k++)
        id->runs[k].upto = 0;
    while (i < id->replica_count && !digest_equal(&id->replicas[i].place, place))
        i++;
    for (uint32_t k = 0; k < id->replica_count; k++)
        id->replicas[k].unrelated = true;
    bool ours =
        i < id->replica_count && uid_equal(&id->replicas[i].database, &r->database) && id->replicas[i].durable_txid > 0;
    const struct identity_replica before = i < id->replica_count ? id->replicas[i] : (struct identity_replica){0};
    if (!ours || !digest_is_zero(&r->head))
        id->replicas[i] = (struct identity_replica){.place = *place,
                                                    .database = r->database,
                                                    .raced = before.raced, /* knowledge about the store stays */
                                                    .not_exclusive = before.not_exclusive,
                                                    .durable_txid = r->txid,
                                                    .anew_txid = r->txid,
                                                    .head = r->head,
                                                    .head_checksum = r->head_checksum};
    if (i == id->replica_count)
        id->replica_count++;
    id->txid = r->txid;
    id->time_ms = r->time_ms;
    id->pos = id->pos_before_reset = (struct wal_pos){.frame = 0};
    id->db_inode = id->db_size = 0;
    id->db_mtime_ns = id->db_ctime_ns = 0;
    id->boot = 0;
}

/* Puts an identity into the state file, bound to it, in place. */
static void put_identity(struct identity *id)
{
    struct stat st;
    struct err e;
    const char *path = temp_path("a.db-seawall");
    uint8_t *slots = calloc(SLOTS, IDENTITY_SLOT_BYTES);
    assert_true(slots && stat(path, &st) == 0);
    assert_ok(binding_of(temp_path("a.db"), st.st_ino, &id->binding, &e), &e);
    identity_encode(id, 1, slots);
    write_state(slots, (size_t)SLOTS * IDENTITY_SLOT_BYTES);
    free(slots);
}

static void assert_restarted(struct state *s, const struct identity *expected, const struct map *map)
{
    struct identity id = state_identity(s), wanted = *expected;
    wanted.map_seal = id.map_seal;
    assert_identities_equal(&id, &wanted);
    assert_int_equal(s->map.page_size, map->page_size);
    assert_int_equal(s->map.pages, map->pages);
    assert_true(s->map.checksum == map->checksum && s->map.sum == map->sum);
    assert_memory_equal(s->map.entries, map->entries, map->pages * sizeof map->entries[0]);
}

static void a_restart_keeps_who_we_are_and_begins_at_the_restore_point_of_one_replica(void **state)
{
    struct dice dice = dice_of(5);
    struct map map;
    struct state_restart restart;
    struct digest place;
    struct state s;
    struct err e;
    (void)state;
    make_state();
    init_restart(&map, &restart, 9);
    assert_ok(digest_of(url, strlen(url), &place, &e), &e);
    for (int i = 0; i < 60; i++) {
        static struct identity id;
        random_identity(&dice, &id);
        id.replica_count %= IDENTITY_REPLICAS_MAX;
        if (id.replica_count > 0 && i % 3) { /* the replica is known, as one of this database or of another one */
            id.replicas[id.replica_count - 1].place = place;
            if (i % 3 == 2)
                id.replicas[id.replica_count - 1].database = restart.database;
        }
        restart.head = (struct digest){{i % 4 ? 9 : 0}};
        put_identity(&id);
        open_state(&s, temp_path("a.db"), STATE_MAP_LOST);
        assert_ok(state_restart(&s, &restart, &e), &e);
        expect_restart(&id, &restart, &place);
        assert_restarted(&s, &id, &map);
        state_close(&s);
        open_state(&s, temp_path("a.db"), STATE_INTACT);
        assert_restarted(&s, &id, &map);
        state_close(&s);
    }
    map_release(&map);
}

static void a_restart_goes_back_in_txids_and_the_next_commit_goes_on_from_it(void **state)
{
    struct map map;
    struct state_restart restart;
    struct state s;
    struct err e;
    (void)state;
    struct uid writer = make_state();
    init_restart(&map, &restart, 1);
    open_state(&s, temp_path("a.db"), STATE_INTACT); /* txid 2, with pages of 4096 bytes */
    assert_ok(state_restart(&s, &restart, &e), &e);
    assert_true(is_writer(&s, &writer));
    struct identity id = state_identity(&s);
    assert_true(identity_knows_run(&id, &first_run));
    assert_false(identity_is_past(&id, &first_run, 1)); /* it went on from the database that was replaced */
    map_set(&s.map, 7, entry_of(7, 2));
    state_commit(&s, &(struct state_position){.txid = 2});
    state_close(&s);
    open_state(&s, temp_path("a.db"), STATE_INTACT);
    assert_int_equal(state_txid(&s), 2);
    assert_int_equal(map_get(&s.map, 7).txid, 2);
    assert_int_equal(map_get(&s.map, 8).txid, 1);
    state_close(&s);
    map_release(&map);
}

static void a_restart_that_fails_leaves_the_state_as_it_was(void **state)
{
    struct map map;
    struct state_restart restart;
    struct identity_replica replica;
    struct state s;
    struct err e;
    uint32_t index = 0;
    char other[32];
    (void)state;
    make_state();
    init_restart(&map, &restart, 5);
    restart.url = "/one more";
    open_state(&s, temp_path("a.db"), STATE_INTACT);
    for (int i = 1; i < IDENTITY_REPLICAS_MAX; i++) {
        snprintf(other, sizeof other, "/replica-%d", i);
        assert_ok(state_replica(&s, other, &index, &replica, &e), &e);
        state_set_replica(&s, index, &replica);
    }
    static struct identity before, after;
    before = state_identity(&s);
    assert_error(state_restart(&s, &restart, &e), &e, ERR_LIMIT);
    after = state_identity(&s);
    assert_identities_equal(&before, &after);
    state_close(&s);
    open_state(&s, temp_path("a.db"), STATE_INTACT);
    after = state_identity(&s);
    assert_identities_equal(&before, &after);
    assert_map_of(&s, 2);
    state_close(&s);
    map_release(&map);
}

/* ---- looked at */

static void a_look_reads_the_identity_of_a_file_that_another_process_has_open(void **state)
{
    struct identity id;
    struct state s;
    struct err e;
    (void)state;
    struct uid writer = make_state();
    assert_error(state_peek(temp_path("b.db"), &id, &e), &e, ERR_NOTFOUND);
    open_state(&s, temp_path("a.db"), STATE_INTACT);
    assert_ok(state_peek(temp_path("a.db"), &id, &e), &e);
    assert_true(uid_equal(&id.writer, &writer));
    assert_int_equal(id.txid, state_txid(&s));
    state_commit(&s, &(struct state_position){.txid = id.txid + 1});
    assert_ok(state_peek(temp_path("a.db"), &id, &e), &e);
    assert_int_equal(id.txid, state_txid(&s));
    state_close(&s);
}

static void a_look_finds_no_identity_in_a_copy_or_in_another_file(void **state)
{
    struct identity id;
    struct err e;
    (void)state;
    make_state();
    assert_int_equal(file_copy_apart(temp_path("a.db"), temp_path("b.db")), 0);
    assert_int_equal(file_copy_apart(temp_path("a.db-seawall"), temp_path("b.db-seawall")), 0);
    assert_error(state_peek(temp_path("b.db"), &id, &e), &e, ERR_CORRUPT);
    assert_int_equal(truncate(temp_path("b.db-seawall"), 0), 0);
    assert_error(state_peek(temp_path("b.db"), &id, &e), &e, ERR_CORRUPT);
    assert_int_equal(file_copy_apart("/proc/self/exe", temp_path("b.db-seawall")), 0);
    assert_error(state_peek(temp_path("b.db"), &id, &e), &e, ERR_CONFIG);
}

/* ---- copied */

static void a_copy_at_another_path_proves_nothing(void **state)
{
    struct state s;
    (void)state;
    struct uid writer = make_state();
    assert_int_equal(file_copy_apart(temp_path("a.db"), temp_path("b.db")), 0);
    assert_int_equal(file_copy_apart(temp_path("a.db-seawall"), temp_path("b.db-seawall")), 0);
    open_state(&s, temp_path("b.db"), STATE_NEW);
    assert_nothing_known(&s, &writer);
    state_close(&s);
    open_state(&s, temp_path("a.db"), STATE_INTACT); /* the original is not touched */
    state_close(&s);
}

static void a_copy_that_was_put_back_in_its_place_proves_nothing(void **state)
{
    struct state s;
    (void)state;
    struct uid writer = make_state();
    assert_int_equal(file_copy_apart(temp_path("a.db-seawall"), temp_path("backup")), 0);
    assert_int_equal(rename(temp_path("backup"), temp_path("a.db-seawall")), 0); /* it may be old */
    open_state(&s, temp_path("a.db"), STATE_NEW);
    assert_nothing_known(&s, &writer);
    begin_run(&s, &second_run); /* the serial of its slot is above those of the old slots */
    struct uid fresh = state_writer(&s);
    state_close(&s);
    open_state(&s, temp_path("a.db"), STATE_MAP_LOST);
    assert_true(is_writer(&s, &fresh));
    assert_false(identity_knows_run(&(struct identity[]){state_identity(&s)}[0], &first_run));
    state_close(&s);
}

static void a_database_that_was_replaced_keeps_its_state_file(void **state)
{
    struct state s;
    (void)state;
    struct uid writer = make_state();
    assert_int_equal(file_copy_apart(temp_path("a.db"), temp_path("new.db")), 0);
    assert_int_equal(rename(temp_path("new.db"), temp_path("a.db")), 0);
    open_state(&s, temp_path("a.db"), STATE_INTACT); /* db_inode shows it, so the pages are compared */
    assert_true(is_writer(&s, &writer));
    state_close(&s);
}

/* ---- who may open it */

static void a_second_open_is_refused_as_busy(void **state)
{
    struct state s, other;
    struct err e;
    enum state_found found;
    (void)state;
    make_state();
    open_state(&s, temp_path("a.db"), STATE_INTACT);
    assert_error(state_open(&other, temp_path("a.db"), &found, &e), &e, ERR_BUSY);
    assert_contains(e.msg, "HINT");
    commit(&s, 3); /* the first one goes on */
    state_close(&s);
    state_close(&other); /* allowed after a failed open */
    open_state(&s, temp_path("a.db"), STATE_INTACT);
    state_close(&s);
}

static void a_missing_database_gets_no_state_file(void **state)
{
    struct state s;
    struct stat st;
    struct err e;
    enum state_found found;
    (void)state;
    assert_error(state_open(&s, temp_path("absent.db"), &found, &e), &e, ERR_NOTFOUND);
    assert_int_not_equal(stat(temp_path("absent.db-seawall"), &st), 0);
    assert_error(state_open(&s, temp_path("no/folder.db"), &found, &e), &e, ERR_NOTFOUND);
}

static void the_state_file_is_as_readable_as_the_database(void **state)
{
    struct state s;
    struct stat st;
    (void)state;
    assert_int_equal(file_write(temp_path("a.db"), "database", 8), 0);
    assert_int_equal(chmod(temp_path("a.db"), 0640), 0);
    open_state(&s, temp_path("a.db"), STATE_NEW);
    state_close(&s);
    assert_int_equal(stat(temp_path("a.db-seawall"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
}

static void a_removed_state_file_is_noticed_and_its_identity_goes_on_in_a_new_one(void **state)
{
    struct state old, new;
    struct err e;
    (void)state;
    make_state();
    open_state(&old, temp_path("a.db"), STATE_INTACT);
    assert_true(state_is_at_its_path(&old));
    assert_int_equal(unlink(temp_path("a.db-seawall")), 0);
    assert_false(state_is_at_its_path(&old));
    open_state(&new, temp_path("a.db"), STATE_NEW); /* the lock was removed with the file */
    assert_true(state_is_at_its_path(&new));
    assert_false(state_is_at_its_path(&old));
    struct identity was = state_identity(&old);
    state_close(&old);
    state_adopt(&new, &was);
    struct identity is = state_identity(&new);
    assert_true(uid_equal(&is.writer, &was.writer));
    assert_int_equal(is.txid, was.txid);
    assert_int_equal(is.time_ms, was.time_ms);
    assert_int_equal(is.replica_count, was.replica_count);
    assert_int_equal(is.pos.frame, 0);
    assert_ok(state_sync(&new, &e), &e);
    state_close(&new);
    open_state(&new, temp_path("a.db"), STATE_MAP_LOST); /* the identity is bound to the new file, and has no map */
    struct uid writer = state_writer(&new);
    assert_true(uid_equal(&writer, &was.writer));
    state_close(&new);
}

/* The path of the database led to another file for a while, and leads to the first one again. */
static void an_older_file_of_the_same_writer_gets_the_newer_identity(void **state)
{
    struct state s;
    struct err e;
    (void)state;
    make_state();
    open_state(&s, temp_path("a.db"), STATE_INTACT);
    struct identity newer = state_identity(&s);
    newer.txid += 5;
    state_adopt(&s, &newer);
    assert_int_equal(state_txid(&s), newer.txid);
    assert_int_equal(s.map.pages, 0);
    assert_ok(state_sync(&s, &e), &e);
    state_close(&s);
    open_state(&s, temp_path("a.db"), STATE_MAP_LOST);
    assert_int_equal(state_txid(&s), newer.txid);
    state_close(&s);
}

static void a_reserved_file_is_locked_and_leaves_nothing_behind(void **state)
{
    struct state_reservation mine, other;
    struct state s;
    enum state_found found;
    struct err e;
    (void)state;
    assert_ok(state_reserve(&mine, temp_path("n.db"), &e), &e); /* the database is missing */
    assert_error(state_reserve(&other, temp_path("n.db"), &e), &e, ERR_BUSY);
    state_unreserve(&mine, temp_path("n.db"));
    assert_int_not_equal(access(temp_path("n.db-seawall"), F_OK), 0);
    make_state();
    assert_ok(state_reserve(&mine, temp_path("a.db"), &e), &e);
    assert_error(state_open(&s, temp_path("a.db"), &found, &e), &e, ERR_BUSY);
    assert_ok(state_open_reserved(&s, &mine, temp_path("a.db"), &found, &e), &e);
    assert_int_equal(found, STATE_INTACT);
    assert_int_equal(mine.fd, -1);
    assert_error(state_reserve(&other, temp_path("a.db"), &e), &e, ERR_BUSY);
    state_close(&s);
    assert_ok(state_reserve(&mine, temp_path("a.db"), &e), &e);
    state_unreserve(&mine, temp_path("a.db"));
    open_state(&s, temp_path("a.db"), STATE_INTACT); /* a file that existed before stays */
    state_close(&s);
    assert_ok(state_reserve(&mine, temp_path("no/such/n.db"), &e), &e); /* nothing to reserve, and no error */
    assert_int_equal(mine.fd, -1);
    state_unreserve(&mine, temp_path("no/such/n.db"));
}

/* Without a map the database file proves nothing. */
static void a_stamp_goes_with_the_map(void **state)
{
    static struct identity found;
    struct state s;
    struct err e;
    const char *db = temp_path("a.db");
    (void)state;
    assert_int_equal(file_write(db, "x", 1), 0);
    open_state(&s, db, STATE_NEW);
    commit(&s, 1);
    state_commit(&s, &(struct state_position){.txid = 2, .db_ctime_ns = 77});
    assert_ok(state_peek(db, &found, &e), &e);
    assert_true(found.txid == 2 && found.db_ctime_ns == 77);
    state_lose_map(&s, 3, 1000);
    assert_ok(state_peek(db, &found, &e), &e);
    assert_true(found.txid == 3 && found.db_ctime_ns == 0);
    state_close(&s);
}

static int open_and_close(void *context, struct err *e)
{
    struct state s;
    enum state_found found = STATE_NEW;
    if (state_open(&s, context, &found, e))
        return -1;
    assert_int_equal(found, STATE_INTACT);
    assert_map_of(&s, 2);
    state_close(&s);
    return 0;
}

/* An open that fails leaves no lock. */
static void each_allocation_at_open_fails_once(void **state)
{
    char db[1024];
    (void)state;
    make_state();
    snprintf(db, sizeof db, "%s", temp_path("a.db"));
    assert_each_allocation_fails_once(open_and_close, db);
}

/* ---- the moment between open and lock */

static unsigned replacements; /* of the state file of a.db, still to come: each just before a lock */

int flock(int fd, int operation)
{
    if (replacements > 0) {
        replacements--;
        assert_return_code(rename(temp_path("a.db-seawall"), temp_path("old")), errno);
        int other = open(temp_path("a.db-seawall"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        assert_return_code(other, errno);
        close(other);
    }
    return (int)syscall(SYS_flock, fd, operation);
}

static void a_file_that_is_replaced_before_it_is_locked_is_opened_again(void **state)
{
    (void)state;
    struct state_reservation mine, other;
    struct state s;
    struct err e;
    make_state();
    replacements = 1;
    assert_ok(state_reserve(&mine, temp_path("a.db"), &e), &e);
    assert_int_equal(replacements, 0);
    assert_error(state_reserve(&other, temp_path("a.db"), &e), &e, ERR_BUSY); /* the file at the path is locked */
    state_unreserve(&mine, temp_path("a.db"));
    make_state();
    replacements = 1;
    open_state(&s, temp_path("a.db"), STATE_NEW); /* the file that is there now */
    assert_true(state_is_at_its_path(&s));
    state_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_IN_TEMP(identity_and_map_come_back_as_they_were),
        UNIT_IN_TEMP(a_map_that_was_loaded_goes_on),
        UNIT_IN_TEMP(a_killed_process_leaves_its_last_whole_state),
        UNIT_IN_TEMP(a_torn_map_is_lost_and_the_identity_stays),
        UNIT_IN_TEMP(a_map_that_was_cut_off_is_lost),
        UNIT_IN_TEMP(a_map_of_another_txid_is_stale),
        UNIT_IN_TEMP(a_torn_slot_falls_back_to_the_older_one_and_the_map_of_its_txid),
        UNIT_IN_TEMP(an_older_slot_of_another_txid_has_no_map),
        UNIT_IN_TEMP(after_a_fall_back_the_next_write_counts),
        UNIT_IN_TEMP(every_combination_of_the_two_parts_has_its_outcome),
        UNIT_IN_TEMP(a_stamp_goes_with_the_map),
        UNIT_IN_TEMP(without_a_state_file_nothing_is_known),
        UNIT_IN_TEMP(a_restart_keeps_who_we_are_and_begins_at_the_restore_point_of_one_replica),
        UNIT_IN_TEMP(a_restart_goes_back_in_txids_and_the_next_commit_goes_on_from_it),
        UNIT_IN_TEMP(a_restart_that_fails_leaves_the_state_as_it_was),
        UNIT_IN_TEMP(a_removed_state_file_is_noticed_and_its_identity_goes_on_in_a_new_one),
        UNIT_IN_TEMP(an_older_file_of_the_same_writer_gets_the_newer_identity),
        UNIT_IN_TEMP(a_reserved_file_is_locked_and_leaves_nothing_behind),
        UNIT_IN_TEMP(a_file_that_is_replaced_before_it_is_locked_is_opened_again),
        UNIT_IN_TEMP(with_all_slots_torn_nothing_is_known),
        UNIT_IN_TEMP(a_synced_state_survives_a_power_cut_that_tears_all_later_writes),
        UNIT_IN_TEMP(any_other_file_in_its_place_is_refused_and_stays),
        UNIT_IN_TEMP(a_link_a_fifo_or_a_second_name_in_its_place_is_refused),
        UNIT_IN_TEMP(a_look_reads_the_identity_of_a_file_that_another_process_has_open),
        UNIT_IN_TEMP(a_look_finds_no_identity_in_a_copy_or_in_another_file),
        UNIT_IN_TEMP(a_copy_at_another_path_proves_nothing),
        UNIT_IN_TEMP(a_copy_that_was_put_back_in_its_place_proves_nothing),
        UNIT_IN_TEMP(a_database_that_was_replaced_keeps_its_state_file),
        UNIT_IN_TEMP(a_second_open_is_refused_as_busy),
        UNIT_IN_TEMP(a_missing_database_gets_no_state_file),
        UNIT_IN_TEMP(the_state_file_is_as_readable_as_the_database),
        UNIT_IN_TEMP(each_allocation_at_open_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
