/* s3/rules.h: which rules of a bucket touch the objects of a replica. */
#include "s3/rules.h"

#include "unit.h"

#define PREFIX "backup/app/"

static struct store_rules lifecycle(const char *rules)
{
    char xml[4096];
    struct store_rules r = {.removes = STORE_UNKNOWN};
    struct err e;
    snprintf(xml, sizeof xml,
             "<LifecycleConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">%s</LifecycleConfiguration>",
             rules);
    assert_int_equal(s3_rules_read_lifecycle(xml, strlen(xml), PREFIX, &r, &e), 0);
    return r;
}

#define RULE(filter, action) "<Rule><ID>it</ID>" filter "<Status>Enabled</Status>" action "</Rule>"
#define EXPIRES "<Expiration><Days>30</Days></Expiration>"

static void a_rule_touches_the_replica_by_its_prefix(void **state)
{
    static const struct {
        const char *rule;
        enum store_answer removes;
    } cases[] = {
        {RULE("<Prefix></Prefix>", EXPIRES), STORE_YES},
        {RULE("<Filter></Filter>", EXPIRES), STORE_YES},
        {RULE("<Filter/>", EXPIRES), STORE_YES},
        {RULE("<Filter><Prefix>backup/</Prefix></Filter>", EXPIRES), STORE_YES},
        {RULE("<Filter><Prefix>backup/app/0/</Prefix></Filter>", EXPIRES), STORE_YES},
        {RULE("<Filter><Prefix>backup/ap</Prefix></Filter>", EXPIRES), STORE_YES},
        {RULE("<Filter><Prefix>backup/apples/</Prefix></Filter>", EXPIRES), STORE_NO},
        {RULE("<Filter><Prefix>logs/</Prefix></Filter>", EXPIRES), STORE_NO},
        {RULE("<Filter><Tag><Key>a</Key><Value>b</Value></Tag></Filter>", EXPIRES), STORE_NO},
        {RULE("<Filter><And><Prefix>backup/</Prefix><Tag><Key>a</Key><Value>b</Value></Tag></And></Filter>", EXPIRES),
         STORE_NO},
        {RULE("<Filter><And><Prefix>backup/</Prefix><ObjectSizeGreaterThan>1</ObjectSizeGreaterThan></And></Filter>",
              EXPIRES),
         STORE_YES},
        {"<Rule><Prefix/><Status>Disabled</Status>" EXPIRES "</Rule>", STORE_NO},
        {RULE("<Prefix/>", "<Expiration><Date>2030-01-01T00:00:00.000Z</Date></Expiration>"), STORE_YES},
        {RULE("<Prefix/>", "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"),
         STORE_NO},
        {RULE("<Prefix/>", "<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation></"
                           "AbortIncompleteMultipartUpload>"),
         STORE_NO},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct store_rules r = lifecycle(cases[i].rule);
        if (r.removes != cases[i].removes)
            fail_msg("case %zu: %d", i, r.removes);
        assert_int_equal(r.rule[0] != 0, r.removes == STORE_YES);
    }
}

static void archives_and_old_versions_are_told_apart(void **state)
{
    (void)state;
    struct store_rules r =
        lifecycle(RULE("<Prefix/>", "<Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition>"));
    assert_int_equal(r.archives, STORE_YES);
    assert_int_equal(r.removes, STORE_NO);
    assert_string_equal(r.rule, "it");
    r = lifecycle(RULE("<Prefix/>", "<Transition><Days>1</Days><StorageClass>STANDARD_IA</StorageClass></Transition>"));
    assert_int_equal(r.archives, STORE_NO);
    r = lifecycle(RULE("<Prefix/>", "<NoncurrentVersionExpiration><NoncurrentDays>7</NoncurrentDays>"
                                    "</NoncurrentVersionExpiration>"));
    assert_int_equal(r.removes, STORE_NO);
    assert_int_equal(r.removes_old, STORE_YES);
    assert_string_equal(r.rule, "");
}

static void the_first_rule_does_not_decide_for_the_second(void **state)
{
    (void)state;
    const struct store_rules r =
        lifecycle(RULE("<Filter><Prefix>logs/</Prefix></Filter>", EXPIRES) RULE("<Prefix/>", EXPIRES));
    assert_int_equal(r.removes, STORE_YES);
    assert_int_equal(lifecycle("").removes, STORE_NO);
}

static void versions_and_locks_are_read(void **state)
{
    static const char enabled[] = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    static const char suspended[] = "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>";
    static const char never[] = "<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"/>";
    static const char lock[] =
        "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>";
    static const char all[] =
        "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>"
        "<Mode>COMPLIANCE</Mode><Days>1</Days></DefaultRetention></Rule></ObjectLockConfiguration>";
    struct store_rules r = {.keeps_versions = STORE_UNKNOWN};
    struct err e;
    (void)state;
    assert_int_equal(s3_rules_read_versioning(enabled, strlen(enabled), &r, &e), 0);
    assert_int_equal(r.keeps_versions, STORE_YES);
    assert_int_equal(s3_rules_read_versioning(suspended, strlen(suspended), &r, &e), 0);
    assert_int_equal(r.keeps_versions, STORE_NO);
    r.keeps_versions = STORE_UNKNOWN;
    assert_int_equal(s3_rules_read_versioning(never, strlen(never), &r, &e), 0);
    assert_int_equal(r.keeps_versions, STORE_NO);
    assert_int_equal(s3_rules_read_lock(lock, strlen(lock), &r, &e), 0);
    assert_int_equal(r.locks, STORE_YES);
    assert_int_equal(r.locks_all, STORE_NO);
    assert_int_equal(s3_rules_read_lock(all, strlen(all), &r, &e), 0);
    assert_int_equal(r.locks_all, STORE_YES);
}

static void an_answer_to_another_question_says_nothing(void **state)
{
    static const char listing[] = "<ListBucketResult><Name>b</Name></ListBucketResult>", torn[] = "<LifecycleConf";
    struct store_rules r = {.removes = STORE_UNKNOWN};
    struct err e;
    (void)state;
    assert_int_equal(s3_rules_read_versioning(listing, strlen(listing), &r, &e), -1);
    assert_int_equal(s3_rules_read_lock(listing, strlen(listing), &r, &e), -1);
    assert_int_equal(s3_rules_read_lifecycle(listing, strlen(listing), PREFIX, &r, &e), -1);
    assert_int_equal(s3_rules_read_lifecycle(torn, strlen(torn), PREFIX, &r, &e), -1);
    assert_int_equal(e.code, ERR_REMOTE);
    assert_int_equal(r.removes, STORE_UNKNOWN);
    assert_int_equal(r.keeps_versions, STORE_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rule_touches_the_replica_by_its_prefix),
        cmocka_unit_test(archives_and_old_versions_are_told_apart),
        cmocka_unit_test(the_first_rule_does_not_decide_for_the_second),
        cmocka_unit_test(versions_and_locks_are_read),
        cmocka_unit_test(an_answer_to_another_question_says_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
