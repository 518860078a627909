/* daemon/control.h and connection.h: the protocol over a real socket, one turn of the loop after the other. Time is an
 * argument. */
#include "control/place.h"
#include "daemon/control.h" /* first: <fcntl.h> makes macros of names of watch.h */
#include "quiet_database.h"

#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct awake awake;
static struct fleet fleet;
static struct lane lanes[1];
static struct local_job local_job;
static struct control control;
static char folder[] = "/tmp/seawall-control-XXXXXX";
static struct replicate_config config = {.control = folder};
static int64_t now_ms;
static struct err err;

static int begin(void **state)
{
    (void)state;
    memset(&awake, 0, sizeof awake);
    memset(lanes, 0, sizeof lanes);
    now_ms = 1000;
    quiet_database(&awake.db, lanes, &local_job, &config);
    if (verification_records_init(&awake.verification.records, 1, &err))
        return -1;
    snprintf(awake.db.path, sizeof awake.db.path, "%s/app.db", folder);
    config.db_path = awake.db.path;
    if (fleet_init(&fleet, &config, 1, &(struct shared){.alone = true}, &err))
        return -1;
    fleet.list[0]->awake = &awake;
    return control_start(&control, &fleet, awake.db.path, folder, &err);
}

static int end(void **state)
{
    (void)state;
    control_stop(&control);
    verification_release(&awake.verification);
    fleet.list[0]->awake = NULL;
    fleet_release(&fleet);
    return 0;
}

static int connect_client(void)
{
    int fd = -1;
    assert_ok(control_place_connect(awake.db.path, folder, 1000, &fd, &err), &err);
    control_run(&control, now_ms); /* accepts the connection */
    return fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    control_run(&control, now_ms);
    control_run(&control, now_ms);
}

/* The text that came so far. *ended: the daemon has closed the connection. */
static const char *heard(int fd, bool *ended)
{
    static char text[CONNECTION_ANSWER_MAX];
    ssize_t n = read(fd, text, sizeof text - 1);
    if (ended)
        *ended = n == 0;
    text[n > 0 ? n : 0] = 0;
    return text;
}

static void status_is_one_line_of_json(void **state)
{
    (void)state;
    struct json *j = NULL;
    int64_t txid = 0;
    int fd = connect_client();
    say(fd, "{\"command\":\"status\"}\n");
    const char *text = heard(fd, NULL);
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    assert_ok(json_parse(text, strlen(text), &j, &err), &err);
    const struct json *replica = json_at(json_get(j, "replicas"), 0);
    assert_string_equal(json_get_text(replica, "url"), "/replica");
    assert_true(json_get_number(replica, "durable_txid", &txid));
    assert_int_equal(txid, 5);
    json_free(j);
    close(fd);
}

static void a_malformed_request_gets_an_error_and_the_next_one_is_answered(void **state)
{
    (void)state;
    int fd = connect_client();
    say(fd, "{\"command\":\"dance\"}\n");
    assert_string_equal(heard(fd, NULL), "{\"error\":\"unknown command\"}\n");
    say(fd, "{\"no\":1}\n");
    assert_string_equal(heard(fd, NULL), "{\"error\":\"unknown command\"}\n");
    say(fd, "nonsense\n");
    assert_non_null(strstr(heard(fd, NULL), "\"error\""));
    say(fd, "{\"command\":\"status\"}\n");
    assert_non_null(strstr(heard(fd, NULL), "\"replicas\""));
    close(fd);
}

static void two_requests_in_one_packet_get_two_answers(void **state)
{
    (void)state;
    int fd = connect_client();
    say(fd, "{\"command\":\"a\"}\n{\"command\":\"b\"}\n");
    control_run(&control, now_ms);
    assert_string_equal(heard(fd, NULL), "{\"error\":\"unknown command\"}\n{\"error\":\"unknown command\"}\n");
    close(fd);
}

static void a_sync_is_answered_when_a_later_local_job_got_through(void **state)
{
    (void)state;
    int fd = connect_client();
    say(fd, "{\"command\":\"sync\"}\n");
    assert_string_equal(heard(fd, NULL), "");
    assert_true(awake.db.signs.news); /* it asks for a run */
    awake.db.through_run = ++awake.db.runs;
    awake.db.lanes.captured.txid = 7;
    control_run(&control, now_ms);
    assert_string_equal(heard(fd, NULL), "");
    lanes[0].seen.durable = 7;
    control_run(&control, now_ms);
    assert_string_equal(heard(fd, NULL), "");
    assert_int_equal(lanes[0].check.asked, 1); /* it asks the store */
    lanes[0].check.done = ++lanes[0].check.started;
    control_run(&control, now_ms);
    assert_string_equal(heard(fd, NULL), "{\"state\":\"durable\",\"txid\":7}\n");
    close(fd);
}

static void a_sync_that_waits_is_answered_with_a_conflict(void **state)
{
    (void)state;
    int fd = connect_client();
    lanes[0].seen.state = DESTINATION_CONFLICT;
    say(fd, "{\"command\":\"sync\"}\n");
    awake.db.through_run = ++awake.db.runs;
    control_run(&control, now_ms);
    assert_string_equal(heard(fd, NULL), "{\"state\":\"conflict\",\"txid\":5}\n");
    close(fd);
}

static void some_connections_are_reserved_for_requests_other_than_sync(void **state)
{
    (void)state;
    int fds[CONTROL_SYNCS_MAX + 1];
    for (int i = 0; i <= CONTROL_SYNCS_MAX; i++) {
        fds[i] = connect_client();
        say(fds[i], "{\"command\":\"sync\"}\n");
    }
    assert_string_equal(heard(fds[0], NULL), "");
    assert_non_null(strstr(heard(fds[CONTROL_SYNCS_MAX], NULL), "too many"));
    for (int i = 0; i <= CONTROL_SYNCS_MAX; i++)
        close(fds[i]);
}

static void a_request_without_an_end_closes_the_connection(void **state)
{
    (void)state;
    char text[CONNECTION_REQUEST_MAX + 1];
    bool ended = false;
    int fd = connect_client();
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = 0;
    say(fd, text);
    heard(fd, &ended);
    assert_true(ended);
    close(fd);
}

static void the_connection_of_a_silent_client_is_closed(void **state)
{
    (void)state;
    bool ended = false;
    int fd = connect_client();
    now_ms += CONNECTION_PATIENCE_MS;
    control_run(&control, now_ms);
    heard(fd, &ended);
    assert_false(ended);
    now_ms += 1;
    control_run(&control, now_ms);
    heard(fd, &ended);
    assert_true(ended);
    close(fd);
}

static void a_sync_that_waits_when_the_daemon_ends_gets_an_error(void **state)
{
    (void)state;
    bool ended = false;
    int fd = connect_client();
    say(fd, "{\"command\":\"sync\"}\n");
    control_stop(&control);
    assert_non_null(strstr(heard(fd, NULL), "the daemon ended before everything was durable"));
    heard(fd, &ended);
    assert_true(ended);
    close(fd);
    assert_ok(control_start(&control, &fleet, awake.db.path, folder, &err), &err);
}

static void a_sync_that_waits_when_its_database_ends_gets_the_same_error(void **state)
{
    (void)state;
    int fd = connect_client();
    say(fd, "{\"command\":\"sync\"}\n");
    fleet.list[0]->awake = NULL;
    fleet.list[0]->stopping = fleet.list[0]->ended = true;
    control_run(&control, now_ms);
    assert_non_null(strstr(heard(fd, NULL), "the daemon ended before everything was durable"));
    close(fd);
}

static void a_sync_that_waits_when_its_database_fails_gets_the_reason(void **state)
{
    struct err why;
    (void)state;
    err_set(&why, ERR_CONFIG, 0, "it has two names");
    int fd = connect_client();
    say(fd, "{\"command\":\"sync\"}\n");
    fleet.list[0]->error = &why;
    fleet.list[0]->leaving = true; /* its jobs have not ended */
    control_run(&control, now_ms);
    assert_non_null(strstr(heard(fd, NULL), "nothing is replicated: it has two names"));
    fleet.list[0]->error = NULL;
    fleet.list[0]->leaving = false;
    close(fd);
}

static void a_sync_that_waits_when_the_daemon_starts_over_is_asked_to_come_again(void **state)
{
    (void)state;
    bool ended = false;
    int fd = connect_client();
    say(fd, "{\"command\":\"sync\"}\n");
    control_leave(&control);
    assert_non_null(strstr(heard(fd, NULL), "the daemon started over before everything was durable; ask it again"));
    heard(fd, &ended);
    assert_true(ended);
    close(fd);
    assert_ok(control_start(&control, &fleet, awake.db.path, folder, &err), &err);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder); /* fails if the socket is still there */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(status_is_one_line_of_json, begin, end),
        cmocka_unit_test_setup_teardown(a_malformed_request_gets_an_error_and_the_next_one_is_answered, begin, end),
        cmocka_unit_test_setup_teardown(two_requests_in_one_packet_get_two_answers, begin, end),
        cmocka_unit_test_setup_teardown(a_sync_is_answered_when_a_later_local_job_got_through, begin, end),
        cmocka_unit_test_setup_teardown(a_sync_that_waits_is_answered_with_a_conflict, begin, end),
        cmocka_unit_test_setup_teardown(some_connections_are_reserved_for_requests_other_than_sync, begin, end),
        cmocka_unit_test_setup_teardown(a_request_without_an_end_closes_the_connection, begin, end),
        cmocka_unit_test_setup_teardown(the_connection_of_a_silent_client_is_closed, begin, end),
        cmocka_unit_test_setup_teardown(a_sync_that_waits_when_the_daemon_ends_gets_an_error, begin, end),
        cmocka_unit_test_setup_teardown(a_sync_that_waits_when_its_database_ends_gets_the_same_error, begin, end),
        cmocka_unit_test_setup_teardown(a_sync_that_waits_when_its_database_fails_gets_the_reason, begin, end),
        cmocka_unit_test_setup_teardown(a_sync_that_waits_when_the_daemon_starts_over_is_asked_to_come_again, begin,
                                        end),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
