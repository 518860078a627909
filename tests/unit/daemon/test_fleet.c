/* daemon/fleet.h: which database has a file, and which member is meant. */
#include "daemon/fleet.h" /* first: <fcntl.h> makes macros of names of watch.h */

#include "unit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static struct stat make_file(const char *path)
{
    struct stat st = {.st_size = 0};
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    close(fd);
    return st;
}

/* A fleet of one database, which was woken when `path` was the file `st`, and has nothing open now. */
static void wake(struct fleet *f, struct awake *a, struct replicate_config *config, const struct stat *st)
{
    const struct shared shared = {.alone = false};
    struct err e;
    assert_ok(fleet_init(f, config, 1, &shared, &e), &e);
    *a = (struct awake){.member = f->list[0], .db = {.config = config}};
    a->alarms.device = st->st_dev;
    a->alarms.inode = st->st_ino;
    f->list[0]->awake = a;
}

static void sleep_again(struct fleet *f)
{
    f->list[0]->awake = NULL;
    fleet_release(f);
}

static void a_database_that_is_about_to_be_opened_has_its_file(void **state)
{
    (void)state;
    struct replicate_config config = {.db_path = temp_path("about-to-open.db")};
    const struct stat st = make_file(config.db_path);
    struct fleet f;
    struct awake a;
    wake(&f, &a, &config, &st);
    assert_true(fleet_has(&f, "another-name.db", &st));
    sleep_again(&f);
}

/* File systems give the number of a file that was removed to another one. */
static void a_database_that_was_removed_does_not_have_the_file_with_its_number(void **state)
{
    (void)state;
    struct replicate_config config = {.db_path = temp_path("removed.db")};
    const struct stat st = make_file(temp_path("other.db"));
    struct fleet f;
    struct awake a;
    wake(&f, &a, &config, &st);
    assert_int_not_equal(access(config.db_path, F_OK), 0);
    assert_false(fleet_has(&f, temp_path("other.db"), &st));
    sleep_again(&f);
}

/* What the path leads to may be open already; that is noted when the local job has ended. */
static void a_database_that_appeared_has_its_file_before_that_is_noted(void **state)
{
    (void)state;
    struct replicate_config config = {.db_path = temp_path("appeared.db")};
    const struct stat st = make_file(config.db_path), none = {.st_ino = 0};
    struct state opened;
    struct fleet f;
    struct awake a;
    wake(&f, &a, &config, &none);
    snprintf(a.db.path, sizeof a.db.path, "%s", config.db_path);
    a.db.state = &opened;
    assert_true(fleet_has(&f, "another-name.db", &st));
    sleep_again(&f);
}

static void a_member_is_held_by_its_number_too(void **state)
{
    (void)state;
    const struct replicate_config config[] = {{.db_path = "/x/a.db"}, {.db_path = "/x/b.db"}};
    const struct shared shared = {.alone = false};
    struct fleet f;
    struct err e;
    assert_ok(fleet_init(&f, config, 2, &shared, &e), &e);
    const struct member *a = f.list[0], *b = f.list[1];
    assert_int_not_equal(a->number, b->number);
    assert_true(fleet_holds(&f, a, a->number) && fleet_holds(&f, b, b->number));
    assert_false(fleet_holds(&f, a, b->number));
    assert_false(fleet_holds(&f, (const struct member *)&f, a->number));
    fleet_release(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_IN_TEMP(a_database_that_is_about_to_be_opened_has_its_file),
        UNIT_IN_TEMP(a_database_that_was_removed_does_not_have_the_file_with_its_number),
        UNIT_IN_TEMP(a_database_that_appeared_has_its_file_before_that_is_noted),
        UNIT(a_member_is_held_by_its_number_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
