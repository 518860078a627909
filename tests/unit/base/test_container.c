/* base/container.h: from a member to its struct. */
#include "base/container.h"

#include "unit.h"

struct outer {
    int before;
    int member;
};

static void a_member_leads_to_its_container(void **state)
{
    (void)state;
    struct outer o = {.before = 1};
    assert_ptr_equal(CONTAINER_OF(&o.member, struct outer, member), &o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(a_member_leads_to_its_container),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
