/* state/state.h: a damaged state file is opened as one of the three kinds (enum state_found), and can be used.
 *
 * An input is a list of changes to a valid file, 8 bytes each: offset (3) | length | value (4). The offset lies in a
 * slot or in the map header; the value is repeated. The first byte: bit 0: checksums are fitted to the bytes; bit 1:
 * the file is cut off at the last offset. */
#include "fuzz_files.h"
#include "fuzz_input.h"

#include "base/endian.h"
#include "dice.h"
#include "state/state.h"

#include <sys/stat.h>

const struct fuzz_bounds fuzz_bounds = {.inputs = 60000, .megasteps = 2, .megabytes = 8};

enum {
    FITTED = 1,
    CUT = 2,
    CHANGE = 8,
    SLOTS = 4,
    MAP_HEADER = SLOTS * IDENTITY_SLOT_BYTES,
    MAP_HEADER_SUM = 48,
    MAP_ENTRIES = MAP_HEADER + 4096,
    PAGES = 50,
    FILE_BYTES = 1 << 17
};

static uint8_t valid[FILE_BYTES];
static size_t valid_size;

/* A file with an identity in each slot and a map of PAGES pages. */
static void make_file(void)
{
    const char *db = fuzz_path("app.db"), *path = fuzz_path("app.db" STATE_SUFFIX);
    struct state s;
    struct err e;
    enum state_found found;
    struct identity_replica replica;
    uint32_t index = 0;
    fuzz_write(db, "", 0);
    FUZZ_CHECK(state_open(&s, db, &found, &e) == 0 && found == STATE_NEW);
    s.map.page_size = 512;
    FUZZ_CHECK(map_resize(&s.map, PAGES, &e) == 0);
    for (uint64_t txid = 1; txid <= 4; txid++) {
        for (uint32_t pgno = 1; pgno <= PAGES; pgno++)
            map_set(&s.map, pgno, (struct map_entry){.hash = pgno * txid, .txid = txid});
        state_commit(&s, &(struct state_position){.txid = txid, .time_ms = 1000});
        FUZZ_CHECK(state_sync(&s, &e) == 0);
    }
    FUZZ_CHECK(state_replica(&s, "/replica", &index, &replica, &e) == 0);
    state_close(&s);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, valid, sizeof valid) : -1;
    FUZZ_CHECK(n >= MAP_ENTRIES + PAGES * 16);
    close(fd);
    valid_size = MAP_ENTRIES + PAGES * 16; /* the rest of the file is room to grow */
}

size_t fuzz_seed(unsigned index, uint8_t *out, size_t cap)
{
    struct dice d = dice_of(index);
    size_t changes = index % 4;
    if (index >= 40 || cap < 1 + 4 * CHANGE)
        return 0;
    dice_fill(&d, out, 1 + changes * CHANGE);
    out[0] = (uint8_t)(index % 5 ? FITTED : index % 2 * CUT);
    for (size_t i = 0; i < changes; i++) {
        uint32_t at = dice_below(&d, 6) * IDENTITY_SLOT_BYTES + dice_below(&d, 200);
        out[1 + i * CHANGE] = (uint8_t)(at >> 16);
        put_be16(out + 2 + i * CHANGE, (uint16_t)at);
        out[4 + i * CHANGE] &= 15;
    }
    return 1 + changes * CHANGE;
}

static void fit(uint8_t *file)
{
    for (uint8_t *slot = file; slot < file + MAP_HEADER; slot += IDENTITY_SLOT_BYTES) {
        uint32_t size = get_be32(slot + 16);
        if (size >= 20 && size <= IDENTITY_SLOT_BYTES)
            put_be64(slot + 8, hash64(slot + 16, size - 16));
    }
    uint64_t sum = hash64(file + MAP_HEADER, MAP_HEADER_SUM);
    memcpy(file + MAP_HEADER + MAP_HEADER_SUM, &sum, sizeof sum);
}

static size_t damage(struct slice in, uint8_t *file)
{
    uint8_t how = slice_byte(&in);
    size_t size = valid_size, at = 0;
    memcpy(file, valid, valid_size);
    for (; in.size >= CHANGE; in.bytes += CHANGE, in.size -= CHANGE) {
        at = ((size_t)in.bytes[0] << 16 | get_be16(in.bytes + 1)) % valid_size;
        for (size_t i = 0; i < in.bytes[3] && at + i < valid_size; i++)
            file[at + i] ^= in.bytes[4 + i % 4];
    }
    if (how & FITTED)
        fit(file);
    return how & CUT ? at : size;
}

static void use(struct state *s, enum state_found found)
{
    struct err e;
    struct identity id = state_identity(s);
    struct identity_replica replica;
    uint32_t index = 0;
    FUZZ_CHECK(id.run_count <= IDENTITY_RUNS_MAX && id.replica_count <= IDENTITY_REPLICAS_MAX);
    FUZZ_CHECK(found != STATE_NEW || (state_txid(s) == 0 && s->map.pages == 0));
    for (uint32_t pgno = 1; pgno <= s->map.pages && pgno < 1000; pgno++)
        map_get(&s->map, pgno);
    if (s->map.pages > 0)
        FUZZ_CHECK(map_next_changed(&s->map, 1, 1) <= s->map.pages + 1);
    if (state_replica(s, "/replica", &index, &replica, &e) == 0)
        state_set_replica(s, index, &replica);
    else
        FUZZ_CHECK(e.code == ERR_LIMIT);
    state_lose_map(s, state_txid(s), 2000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t file[FILE_BYTES];
    struct state s;
    struct stat st;
    struct err e = {.code = ERR_NONE};
    enum state_found found;
    const char *path = fuzz_path("app.db" STATE_SUFFIX);
    if (valid_size == 0)
        make_file();
    int fd = open(path, O_RDWR | O_CLOEXEC); /* keeps the inode, which is a part of the binding */
    size_t n = damage((struct slice){data, size}, file);
    FUZZ_CHECK(fd >= 0 && pwrite(fd, file, n, 0) == (ssize_t)n && ftruncate(fd, (off_t)n) == 0);
    close(fd);
    if (state_open(&s, fuzz_path("app.db"), &found, &e) == 0) {
        use(&s, found);
        state_close(&s);
        FUZZ_CHECK(stat(path, &st) == 0 && st.st_size < 1 << 24);
    } else {
        FUZZ_CHECK(e.code == ERR_CONFIG);
    }
    return 0;
}
