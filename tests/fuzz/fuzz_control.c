/* daemon/control.h and connection.h: a client sends any bytes in any portions. Each line gets one line of JSON as its
 * answer, or the connection ends. The first byte is the size of a portion. */
#include "control/place.h"
#include "daemon/control.h" /* first: <fcntl.h> makes macros of names of watch.h */
#include "quiet_database.h"

#include "fuzz_files.h"
#include "fuzz_input.h"

#include <sys/socket.h>

const struct fuzz_bounds fuzz_bounds = {.inputs = 15000, .megasteps = 20, .megabytes = 4};

static struct awake awake;
static struct fleet fleet;
static struct lane lanes[1];
static struct local_job local_job;
static struct control control;
static struct replicate_config config = {.control = fuzz_folder};

static void begin(void)
{
    struct err e;
    if (awake.db.lanes.list)
        return;
    quiet_database(&awake.db, lanes, &local_job, &config);
    FUZZ_CHECK(verification_records_init(&awake.verification.records, 1, &e) == 0);
    snprintf(awake.db.path, sizeof awake.db.path, "%s", fuzz_path("app.db"));
    config.db_path = awake.db.path;
    FUZZ_CHECK(fleet_init(&fleet, &config, 1, &(struct shared){.alone = true}, &e) == 0);
    fleet.list[0]->awake = &awake;
    FUZZ_CHECK(control_start(&control, &fleet, awake.db.path, fuzz_folder, &e) == 0);
}

size_t fuzz_seed(unsigned index, uint8_t *out, size_t cap)
{
    static const char *const texts[] = {"\xff{\"command\":\"status\"}\n",
                                        "\x03{\"command\":\"sync\"}\n{\"command\":\"base\"}\n",
                                        "\x10{\"command\":\"dance\"}\nnonsense\n\n{}\n[]\n{\"command\":7}\n",
                                        "\x01{\"command\":\"\\u0000\"}\n\xff\xfe"};
    (void)cap;
    return index < COUNT_OF(texts) ? seed_text(out, texts[index]) : 0;
}

/* Reads the answers so far. Returns how many lines came; -1: the daemon ended the connection. */
static int hear(int fd)
{
    static char text[2 * CONNECTION_ANSWER_MAX];
    int lines = 0;
    ssize_t n = recv(fd, text, sizeof text, MSG_DONTWAIT);
    if (n == 0)
        return -1;
    for (char *at = text; n > 0 && at < text + n;) {
        struct json *j = NULL;
        struct err e;
        char *newline = memchr(at, '\n', (size_t)(text + n - at));
        FUZZ_CHECK(newline && json_parse(at, (size_t)(newline - at), &j, &e) == 0);
        json_free(j);
        lines++;
        at = newline + 1;
    }
    return lines;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = {data, size < 4 * CONNECTION_REQUEST_MAX ? size : 4 * CONNECTION_REQUEST_MAX};
    int64_t now_ms = 1000;
    struct err e;
    int fd = -1, answers = 0, asked = 0, heard = 0;
    begin();
    size_t portion = 1 + slice_byte(&in) * 16u;
    FUZZ_CHECK(control_place_connect(awake.db.path, fuzz_folder, 1000, &fd, &e) == 0);
    control_run(&control, now_ms);
    for (; in.size > 0 && heard >= 0; in.bytes += portion, in.size -= portion) {
        portion = portion < in.size ? portion : in.size;
        for (size_t i = 0; i < portion; i++)
            asked += in.bytes[i] == '\n';
        if (send(fd, in.bytes, portion, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
            break;
        for (int turn = 0; turn < 2 && (heard = hear(fd)) >= 0; turn++) {
            answers += heard;
            control_run(&control, now_ms);
        }
    }
    shutdown(fd, SHUT_WR);
    for (int turn = 0; turn < 5000 && (heard = hear(fd)) >= 0; turn++) {
        answers += heard;
        control_run(&control, now_ms);
        if (connections_waiting(&control.connections) > 0)
            now_ms += 1000;
        if (control.connections.count == 0)
            break;
    }
    FUZZ_CHECK(answers <= asked);
    close(fd);
    for (int turn = 0; turn < 100 && control.connections.count > 0; turn++)
        control_run(&control, now_ms += 2 * CONNECTION_PATIENCE_MS);
    FUZZ_CHECK(control.connections.count == 0);
    return 0;
}
