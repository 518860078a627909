/* state/identity.h: any bytes as a slot of the state file: as they are, and with the right checksum. */
#include "fuzz.h"

#include "base/endian.h"
#include "identity_random.h"

const struct fuzz_bounds fuzz_bounds = {.inputs = 60000, .megasteps = 1, .megabytes = 4};

size_t fuzz_seed(unsigned index, uint8_t *out, size_t cap)
{
    static struct identity id;
    struct dice d = dice_of(index);
    if (index >= 8 || cap < IDENTITY_SLOT_BYTES)
        return 0;
    if (index == 0)
        fill_identity(&d, &id);
    else
        random_identity(&d, &id);
    memset(out, 0, IDENTITY_SLOT_BYTES);
    identity_encode(&id, index, out);
    return get_be32(out + 16);
}

static void decode(const uint8_t slot[IDENTITY_SLOT_BYTES])
{
    static uint8_t again[IDENTITY_SLOT_BYTES];
    static struct identity id;
    uint64_t serial = 0;
    if (!identity_decode(slot, &id, &serial))
        return;
    FUZZ_CHECK(id.run_count <= IDENTITY_RUNS_MAX && id.replica_count <= IDENTITY_REPLICAS_MAX);
    for (uint32_t i = 0; i < id.replica_count; i++)
        FUZZ_CHECK(id.replicas[i].attempt_count <= IDENTITY_ATTEMPTS_MAX);
    identity_encode(&id, serial, again);
    if (memcmp(again, slot, 8) ==
        0) { /* otherwise the slot has an older version, which the program reads and does not write */
        FUZZ_CHECK(memcmp(again, slot, get_be32(slot + 16)) == 0);
        return;
    }
    static uint8_t third[IDENTITY_SLOT_BYTES];
    FUZZ_CHECK(identity_decode(again, &id, &serial));
    identity_encode(&id, serial, third);
    FUZZ_CHECK(memcmp(again, third, get_be32(again + 16)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *slot = calloc(1, IDENTITY_SLOT_BYTES);
    FUZZ_CHECK(slot);
    memcpy(slot, data, size < IDENTITY_SLOT_BYTES ? size : IDENTITY_SLOT_BYTES);
    decode(slot);
    uint32_t claimed = get_be32(slot + 16);
    if (size >= 20 && size <= IDENTITY_SLOT_BYTES && (claimed < 20 || claimed > IDENTITY_SLOT_BYTES || claimed % 2))
        put_be32(slot + 16, claimed = (uint32_t)size);
    if (claimed >= 20 && claimed <= IDENTITY_SLOT_BYTES) {
        put_be64(slot + 8, hash64(slot + 16, claimed - 16));
        decode(slot);
    }
    free(slot);
    return 0;
}
