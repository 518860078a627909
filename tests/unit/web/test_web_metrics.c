/* web/metrics.h: a status in the format of Prometheus. */
#include "unit.h"

#include "web/metrics.h"

static char *printed(const char *status)
{
    struct json *j = NULL;
    struct err e;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    assert_ok(json_parse(status, strlen(status), &j, &e), &e);
    metrics_print(json_get(j, "databases"), out);
    fclose(out);
    json_free(j);
    return text;
}

static void has_line(const char *text, const char *line)
{
    char whole[512];
    snprintf(whole, sizeof whole, "\n%s\n", line);
    assert_contains(text, whole);
}

static void each_value_has_the_labels_of_its_database_and_replica(void **state)
{
    char *text =
        printed("{\"databases\":[{\"database\":\"/a.db\",\"running\":true,\"version\":\"1.2\",\"state\":\"resting\","
                "\"started\":\"1970-01-01T00:00:12.345Z\",\"captured_txid\":7,\"longest_write_lock_us\":1500,"
                "\"replicas\":[{\"url\":\"s3://b/a\",\"state\":\"attached\",\"durable_txid\":5,\"lag_transactions\":2,"
                "\"lag_ms\":1050,\"fencing\":\"weak\",\"error\":null,\"retention_error\":\"lost\",\"requests\":{"
                "\"put\":3,\"failed\":1},"
                "\"verification\":{\"time\":null,\"ok\":null,\"problems\":0},\"proven_restore\":null}]}]}");
    (void)state;
    has_line(text, "seawall_up{database=\"/a.db\"} 1");
    has_line(text, "seawall_info{database=\"/a.db\",version=\"1.2\"} 1");
    has_line(text, "seawall_state{database=\"/a.db\",state=\"resting\"} 1");
    has_line(text, "seawall_state{database=\"/a.db\",state=\"closed\"} 0");
    has_line(text, "seawall_start_time_seconds{database=\"/a.db\"} 12.345");
    has_line(text, "seawall_captured_txid{database=\"/a.db\"} 7");
    has_line(text, "seawall_longest_write_lock_seconds{database=\"/a.db\"} 0.001500");
    has_line(text, "seawall_replica_lag_seconds{database=\"/a.db\",replica=\"s3://b/a\"} 1.050");
    has_line(text, "seawall_replica_failing{database=\"/a.db\",replica=\"s3://b/a\"} 0");
    has_line(text, "seawall_replica_retention_failing{database=\"/a.db\",replica=\"s3://b/a\"} 1");
    has_line(text, "seawall_replica_fencing_strong{database=\"/a.db\",replica=\"s3://b/a\"} 0");
    has_line(text, "seawall_replica_requests_total{database=\"/a.db\",replica=\"s3://b/a\",kind=\"put\"} 3");
    has_line(text, "# TYPE seawall_replica_requests_total counter");
    assert_null(strstr(text, "\nseawall_replica_verified_ok{")); /* a value that is not known has no sample */
    assert_null(strstr(text, "\nseawall_replica_proven_restore_txid{"));
    free(text);
}

static void a_character_that_would_end_a_label_is_escaped(void **state)
{
    char *text = printed("{\"databases\":[{\"database\":\"/a \\\"b\\\"\\\\c\\nd=,{}\\u00e4.db\",\"running\":false}]}");
    (void)state;
    has_line(text, "seawall_up{database=\"/a \\\"b\\\"\\\\c\\nd=,{}\xc3\xa4.db\"} 0");
    free(text);
}

static void control_characters_are_escaped_in_a_label(void **state)
{
    char *text = printed("{\"databases\":[{\"database\":\"/\\u001b[31m\\u009b\\n.db\",\"running\":false}]}");
    (void)state;
    has_line(text, "seawall_up{database=\"/\\\\x1b[31m\\\\u009b\\n.db\"} 0");
    free(text);
}

static void a_database_without_a_daemon_is_down_and_has_no_other_samples(void **state)
{
    char *text = printed("{\"databases\":[{\"database\":\"/a.db\",\"running\":false,\"error\":\"no daemon\"}]}");
    (void)state;
    has_line(text, "seawall_up{database=\"/a.db\"} 0");
    for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        assert_true(!*line || *line == '#' || strncmp(line, "seawall_up{", 11) == 0);
    free(text);
}

/* The format demands it: all samples of a name together, after its one HELP and its one TYPE. */
static void the_samples_of_a_family_are_together(void **state)
{
    char *text = printed(
        "{\"databases\":[{\"database\":\"/a.db\",\"running\":true,\"state\":\"resting\",\"captured_txid\":1,"
        "\"replicas\":[{\"url\":\"x\",\"state\":\"resync\",\"durable_txid\":1},{\"url\":\"y\",\"durable_txid\":1}]},"
        "{\"database\":\"/b.db\",\"running\":true,\"state\":\"closed\",\"captured_txid\":2,"
        "\"replicas\":[{\"url\":\"z\",\"state\":\"conflict\",\"durable_txid\":1}]}]}");
    char family[128] = "", *rest = NULL;
    unsigned samples = 0;
    (void)state;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char name[128];
        if (sscanf(line, "# HELP %127s", name) == 1) {
            assert_null(strstr(rest, line));
            memcpy(family, name, sizeof family);
        } else if (sscanf(line, "# TYPE %127s", name) == 1) {
            assert_string_equal(name, family);
        } else {
            assert_int_equal(sscanf(line, "%127[a-z_]{", name), 1);
            assert_string_equal(name, family);
            samples++;
        }
    }
    assert_true(samples > 15);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(each_value_has_the_labels_of_its_database_and_replica),
        UNIT(a_character_that_would_end_a_label_is_escaped),
        UNIT(control_characters_are_escaped_in_a_label),
        UNIT(a_database_without_a_daemon_is_down_and_has_no_other_samples),
        UNIT(the_samples_of_a_family_are_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
