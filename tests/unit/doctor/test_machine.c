/* doctor/machine.h: which versions of SQLite have the WAL-reset bug. */
#include "doctor/machine.h"

#include "unit.h"

static void the_wal_reset_bug_is_in_the_versions_that_have_it(void **state)
{
    static const int with[] = {3007000, 3040001, 3044005, 3045000, 3046001, 3050006, 3051000, 3051002},
                     without[] = {3006023, 3044006, 3050007, 3051003, 3052000};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(with); i++)
        assert_true(doctor_has_wal_reset_bug(with[i]));
    for (size_t i = 0; i < COUNT_OF(without); i++)
        assert_false(doctor_has_wal_reset_bug(without[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_wal_reset_bug_is_in_the_versions_that_have_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
