/* `seawall status` as text, JSON and metrics, and `seawall sync`: with any answer of the daemon, or of another program
 * at its socket, the command ends with one of its exit codes. The first byte is the command. */
#include "fuzz_input.h"

#include "cli/cli.h"
#include "control/place.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

const struct fuzz_bounds fuzz_bounds = {.inputs = 30000, .megasteps = 8, .megabytes = 8};

static struct slice answer;
static int other_end = -1;

int __wrap_control_place_connect(const char *db, const char *folder, int64_t timeout_ms, int *ret_fd, struct err *e)
{
    int ends[2], size = 4 * FUZZ_INPUT_MAX;
    (void)db, (void)folder, (void)timeout_ms, (void)e;
    FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    FUZZ_CHECK(send(ends[1], answer.bytes, answer.size, MSG_DONTWAIT) == (ssize_t)answer.size);
    shutdown(ends[1], SHUT_WR);
    FUZZ_CHECK(fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0);
    if (other_end >= 0)
        close(other_end);
    other_end = ends[1];
    *ret_fd = ends[0];
    return 0;
}

size_t fuzz_seed(unsigned index, uint8_t *out, size_t cap)
{
    static const char *const texts[] = {
        "{\"database\":\"/a/"
        "app.db\",\"state\":\"following\",\"pid\":7,\"started\":\"2026-03-01T12:00:00.000Z\",\"stopping\":true,"
        "\"captured_txid\":9,\"captured_time\":\"2026-03-01T12:00:00.000Z\",\"wal_bytes\":41200,\"wal_frames\":10,"
        "\"page_size\":4096,"
        "\"error\":\"disk full\\n  HINT: make "
        "room\",\"replicas\":[{\"url\":\"s3://b/p\",\"state\":\"attached\",\"durable_txid\":8,"
        "\"lag_transactions\":1,\"lag_ms\":70000,\"fencing\":\"weak\",\"error\":\"x\",\"error_since\":\"y\","
        "\"retention_error\":\"z\","
        "\"base\":{\"running\":true,\"bytes\":5,\"total\":9},\"verification\":{\"time\":\"t\",\"ok\":false,"
        "\"problems\":3,\"problem\":\"p\","
        "\"running\":true,\"error\":\"e\",\"database_problem\":\"d\"},\"proven_restore\":{\"txid\":5,\"time\":\"t\"}},{"
        "\"state\":\"conflict\"}]}\n",
        "{\"state\":\"durable\",\"txid\":5}\n", "{\"state\":\"conflict\",\"txid\":-1}\n",
        "{\"error\":\"unknown command\\n  HINT: look\"}\n",
        "{\"replicas\":[7,[],{\"requests\":{\"put\":1,\"get\":2}}],\"checkpoints\":{},\"backlog\":{}}\n"};
    (void)cap;
    if (index >= 4 * COUNT_OF(texts))
        return 0;
    out[0] = (uint8_t)(index % 4);
    return 1 + seed_text(out + 1, texts[index / 4]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static FILE *nowhere;
    static char db[] = "app.db", json[] = "--json", metrics[] = "--metrics";
    struct slice in = {data, size};
    if (!nowhere)
        nowhere = stdout = stderr = fopen("/dev/null", "we");
    FUZZ_CHECK(nowhere);
    uint8_t how = slice_byte(&in) % 4;
    answer = in;
    int code = how == 3 ? sync_command.run(1, (char *[]){db})
                        : status_command.run(how == 0 ? 1 : 2, (char *[]){db, how == 1 ? json : metrics});
    FUZZ_CHECK(code >= 0 && code <= EXIT_INTERRUPTED);
    return 0;
}
