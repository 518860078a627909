/* control/place.h: a database has one name by every path, and a folder in which others could put a socket is not
 * used. */
#include "control/place.h"

#include "unit.h"

#include <sys/socket.h>

static struct err e;

static int connects(const char *db, const char *folder)
{
    int fd = -1, rc = control_place_connect(db, folder, 1000, &fd, &e);
    close(fd);
    return rc;
}

static void a_command_finds_the_socket_by_every_path_of_the_database(void **state)
{
    struct socket_listener l;
    (void)state;
    assert_int_equal(mkdir(temp_path("a"), 0700), 0);
    assert_int_equal(close(open(temp_path("a/app.db"), O_CREAT | O_RDWR | O_CLOEXEC, 0600)), 0);
    assert_int_equal(symlink("a", temp_path("folder")), 0);
    assert_int_equal(symlink("a/app.db", temp_path("link.db")), 0);
    assert_ok(control_place_listen(temp_path("a/app.db"), temp_path("run"), &l, &e), &e);
    const char *const paths[] = {"a/app.db", "folder/app.db", "link.db", "a/../a/app.db"};
    for (size_t i = 0; i < COUNT_OF(paths); i++)
        assert_ok(connects(temp_path(paths[i]), temp_path("run")), &e);
    assert_int_equal(rename(temp_path("a"), temp_path("b")), 0);
    assert_ok(connects(temp_path("b/app.db"), temp_path("run")), &e); /* the folder is the same */
    assert_int_equal(unlink(temp_path("b/app.db")), 0);
    assert_ok(connects(temp_path("b/app.db"), temp_path("run")), &e); /* the database may be missing */
    assert_error(connects(temp_path("b/other.db"), temp_path("run")), &e, ERR_NOTFOUND);
    socket_unlisten(&l);
    assert_error(connects(temp_path("b/app.db"), temp_path("run")), &e, ERR_NOTFOUND);
    assert_error(connects(temp_path("gone/app.db"), temp_path("run")), &e, ERR_NOTFOUND);
}

static void a_place_where_another_process_listens_is_left_alone(void **state)
{
    struct socket_listener first, second;
    (void)state;
    assert_ok(control_place_listen(temp_path("app.db"), temp_path("run"), &first, &e), &e);
    assert_error(control_place_listen(temp_path("app.db"), temp_path("run"), &second, &e), &e, ERR_EXISTS);
    assert_true(socket_is_at_its_path(&first));
    assert_int_equal(shutdown(first.fd, SHUT_RDWR), 0); /* as when its process died */
    assert_ok(control_place_listen(temp_path("app.db"), temp_path("run"), &second, &e), &e);
    assert_false(socket_is_at_its_path(&first));
    socket_unlisten(&first);
    assert_true(socket_is_at_its_path(&second));
    socket_unlisten(&second);
}

static void a_folder_that_others_can_write_to_is_not_used(void **state)
{
    struct socket_listener l;
    (void)state;
    assert_int_equal(mkdir(temp_path("run"), 0700), 0);
    assert_ok(control_place_listen(temp_path("app.db"), temp_path("run"), &l, &e), &e);
    assert_int_equal(chmod(temp_path("run"), 0770), 0);
    assert_error(connects(temp_path("app.db"), temp_path("run")), &e, ERR_NOTFOUND); /* any user may have made it */
    socket_unlisten(&l);
    assert_error(control_place_listen(temp_path("app.db"), temp_path("run"), &l, &e), &e, ERR_CONFIG);
    assert_int_equal(chmod(temp_path("run"), 01777), 0); /* sticky: others can't replace our socket */
    assert_ok(control_place_listen(temp_path("app.db"), temp_path("run"), &l, &e), &e);
    socket_unlisten(&l);
    assert_error(control_place_listen(temp_path("app.db"), temp_path("no/such"), &l, &e), &e, ERR_NOTFOUND);
}

static void without_a_choice_a_user_has_a_private_folder(void **state)
{
    struct socket_listener l;
    struct stat st;
    (void)state;
    if (geteuid() == 0)
        return; /* root uses /run/seawall: see tests/e2e/test_control_place.py */
    assert_int_equal(setenv("XDG_RUNTIME_DIR", temp_path("."), 1), 0);
    assert_ok(control_place_listen(temp_path("app.db"), NULL, &l, &e), &e);
    assert_ok(connects(temp_path("app.db"), NULL), &e);
    assert_int_equal(stat(temp_path("seawall"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    socket_unlisten(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_IN_TEMP(a_command_finds_the_socket_by_every_path_of_the_database),
        UNIT_IN_TEMP(a_place_where_another_process_listens_is_left_alone),
        UNIT_IN_TEMP(a_folder_that_others_can_write_to_is_not_used),
        UNIT_IN_TEMP(without_a_choice_a_user_has_a_private_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
