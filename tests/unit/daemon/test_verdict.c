/* daemon/verdict.h: the result of a verification, from the exit code and the output of the verifier. */
#include "unit.h"

#include "daemon/verdict.h"

#include <signal.h>

static const struct verification_record before = {
    .verified_ms = 1000, .ok = true, .proven_ms = 900, .proven_txid = 4, .error = "old", .error_code = 9};

static uint64_t requests[REQUEST_FIGURES]; /* that verdicts added */

static enum verdict judge(int status, const char *out, const char *err, struct verification_record *r)
{
    *r = before;
    const struct verifier_end end = {
        .status = status, .out = out, .out_len = out ? strlen(out) : 0, .err = err, .err_len = err ? strlen(err) : 0};
    return verdict_take(&end, 5000, r, requests);
}

static int exited(int code)
{
    return code << 8;
}

static void sound_and_restored_is_a_proof(void **state)
{
    struct verification_record r;
    (void)state;
    assert_int_equal(judge(exited(0), "{\"ok\":true,\"restored_txid\":7}", NULL, &r), VERDICT_SOUND);
    assert_true(r.ok);
    assert_int_equal(r.verified_ms, 5000);
    assert_int_equal(r.proven_ms, 5000);
    assert_int_equal(r.proven_txid, 7);
    assert_string_equal(r.error, "");
}

static void the_requests_that_it_names_are_added(void **state)
{
    struct verification_record r;
    (void)state;
    memset(requests, 0, sizeof requests);
    requests[REQUEST_GET] = 5;
    judge(exited(0), "{\"ok\":true,\"requests\":{\"get\":7,\"list\":2,\"put\":-1,\"head\":\"x\"}}", NULL, &r);
    judge(exited(1), NULL, "seawall: out of memory\n", &r);
    assert_int_equal(requests[REQUEST_GET], 12);
    assert_int_equal(requests[REQUEST_LIST], 2);
    assert_int_equal(requests[REQUEST_PUT] + requests[REQUEST_HEAD], 0);
}

static void a_fault_of_the_database_itself_is_a_proof_and_is_kept(void **state)
{
    struct verification_record r;
    (void)state;
    assert_int_equal(
        judge(exited(10), "{\"ok\":true,\"restored_txid\":7,\"database_problem\":\"NULL value\"}", NULL, &r),
        VERDICT_SOUND);
    assert_true(r.ok);
    assert_int_equal(r.proven_txid, 7);
    assert_string_equal(r.content, "NULL value");
    assert_string_equal(r.text, "");
}

static void sound_without_a_restore_keeps_the_older_proof(void **state)
{
    struct verification_record r;
    (void)state;
    assert_int_equal(judge(exited(0), "{\"ok\":true}", NULL, &r), VERDICT_SOUND);
    assert_int_equal(r.verified_ms, 5000);
    assert_int_equal(r.proven_ms, 900);
    assert_int_equal(r.proven_txid, 4);
}

static void damage_names_the_first_problem_and_counts_all(void **state)
{
    struct verification_record r;
    (void)state;
    assert_int_equal(judge(exited(5),
                           "{\"ok\":false,\"problem_count\":3,\"problems\":[{\"object\":\"0/1\",\"problem\":\"cut\"}]}",
                           NULL, &r),
                     VERDICT_DAMAGED);
    assert_false(r.ok);
    assert_int_equal(r.problems, 3);
    assert_string_equal(r.text, "0/1: cut");
    assert_int_equal(r.proven_ms, 900);
}

static void nothing_to_restore_is_damage_of_a_replica_that_had_something(void **state)
{
    struct verification_record r;
    (void)state;
    assert_int_equal(judge(exited(4), NULL, "seawall: there is nothing\n  HINT: look\n", &r), VERDICT_DAMAGED);
    assert_int_equal(r.problems, 1);
    assert_string_equal(r.text, "there is nothing");
}

static void any_other_end_is_no_result_and_keeps_the_last_one(void **state)
{
    const struct {
        int status;
        const char *out, *err, *text;
        int code;
    } cases[] = {
        {exited(1), NULL, "seawall: the disk is full\n", "the disk is full", 1},
        {exited(1), NULL, "trying again: 503\nseawall: gave up\n", "gave up", 1},
        {exited(2), NULL, NULL, "its process ended with status 2", 2},
        {exited(5), NULL, "seawall: object '0/1' claims too much\n", "object '0/1' claims too much", 5},
        {exited(0), "{\"ok\":true", NULL, "its process ended with status 0", 0},   /* cut short */
        {exited(0), "{\"ok\":false}", NULL, "its process ended with status 0", 0}, /* contradicts itself */
        {exited(0), NULL, NULL, "its process ended with status 0", 0},             /* more than can be kept */
        {SIGKILL, NULL, "seawall: hm", "its process was killed by signal 9", -1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct verification_record r;
        assert_int_equal(judge(cases[i].status, cases[i].out, cases[i].err, &r), VERDICT_NO_RESULT);
        assert_string_equal(r.error, cases[i].text);
        assert_int_equal(r.error_code, cases[i].code);
        assert_true(r.ok);
        assert_int_equal(r.verified_ms, 1000);
        assert_int_equal(r.proven_txid, 4);
    }
}

static void a_child_over_its_deadline_is_no_result(void **state)
{
    struct verification_record r = before;
    (void)state;
    const struct verifier_end end = {.status = SIGTERM, .over_deadline = true};
    assert_int_equal(verdict_take(&end, 5000, &r, requests), VERDICT_NO_RESULT);
    assert_string_equal(r.error, "it took more than 24 hours and was ended");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sound_and_restored_is_a_proof),
        cmocka_unit_test(a_fault_of_the_database_itself_is_a_proof_and_is_kept),
        cmocka_unit_test(sound_without_a_restore_keeps_the_older_proof),
        cmocka_unit_test(damage_names_the_first_problem_and_counts_all),
        cmocka_unit_test(nothing_to_restore_is_damage_of_a_replica_that_had_something),
        cmocka_unit_test(the_requests_that_it_names_are_added),
        cmocka_unit_test(any_other_end_is_no_result_and_keeps_the_last_one),
        cmocka_unit_test(a_child_over_its_deadline_is_no_result),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
