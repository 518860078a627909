/* base/folder.h: in a folder that may belong to another user, only files of ours are opened and changed. */
#include "base/folder.h"
#include "base/privacy.h"

#include "base/stage.h"
#include "unit.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

static bool begins_with_ours(int fd)
{
    char start[4];
    return pread(fd, start, sizeof start, 0) == (ssize_t)sizeof start && memcmp(start, "ours", sizeof start) == 0;
}

static const struct folder_file file = {.name = "f", .access = FOLDER_MAKE, .is_ours = begins_with_ours};

static struct folder open_temp(void)
{
    struct folder f;
    struct err e;
    assert_ok(folder_open(&f, temp_dir, &e), &e);
    return f;
}

static void expect(enum err_code code, const char *text)
{
    static const enum folder_access all[] = {FOLDER_READ, FOLDER_UPDATE, FOLDER_MAKE};
    struct folder f = open_temp();
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        struct folder_file one = file;
        struct err e;
        int fd = -1;
        one.access = all[i];
        assert_error(folder_open_file(&f, &one, &fd, &e), &e, code);
        assert_non_null(strstr(e.msg, text));
        assert_int_equal(fd, -1);
    }
    folder_close(&f);
}

static void expect_not_ours(const char *text)
{
    struct folder f = open_temp();
    struct err e;
    struct stat before, after;
    assert_int_equal(lstat(temp_path("f"), &before), 0);
    expect(ERR_CONFIG, text);
    assert_error(folder_remove_file(&f, &file, &e), &e, ERR_CONFIG);
    assert_int_equal(lstat(temp_path("f"), &after), 0);
    assert_true(before.st_ino == after.st_ino && before.st_mode == after.st_mode && before.st_size == after.st_size);
    folder_close(&f);
}

static void below_a_folder_no_link_is_allowed(void **state)
{
    char path[PATH_TEXT_MAX];
    struct err e;
    static const struct {
        const char *path;
        enum err_code code;
    } cases[] = {{"/d", ERR_NONE},       {"/d/missing/x", ERR_NONE}, {"//d//f", ERR_NONE},
                 {"/l/x", ERR_CONFIG},   {"/d/l", ERR_CONFIG},       {"/d/dangling", ERR_CONFIG},
                 {"/d/f/x", ERR_CONFIG}, {"/d/../x", ERR_CONFIG},    {"/missing/l", ERR_NONE}};
    (void)state;
    assert_int_equal(mkdir(temp_path("d"), 0700), 0);
    assert_int_equal(symlink(temp_dir, temp_path("l")), 0);
    assert_int_equal(symlink(temp_dir, temp_path("d/l")), 0);
    assert_int_equal(symlink("nowhere", temp_path("d/dangling")), 0);
    int fd = open(temp_path("d/f"), O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_ok(path_format(path, &e, "%s%s", temp_dir, cases[i].path), &e);
        if (cases[i].code)
            assert_error(folder_check_below(temp_dir, path, &e), &e, cases[i].code);
        else
            assert_ok(folder_check_below(temp_dir, path, &e), &e);
    }
    assert_ok(path_format(path, &e, "%s/l/d", temp_dir), &e); /* the folder itself may be a link */
    assert_ok(folder_check_below(temp_path("l"), path, &e), &e);
}

static void a_new_file_is_private_and_is_ours_from_then_on(void **state)
{
    struct folder f = open_temp();
    struct err e;
    struct stat st;
    int fd = -1;
    (void)state;
    assert_ok(folder_open_file(&f, &file, &fd, &e), &e);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(write(fd, "ours", 4), 4);
    close(fd);
    assert_ok(folder_open_file(&f, &file, &fd, &e), &e);
    close(fd);
    assert_ok(folder_remove_file(&f, &file, &e), &e);
    assert_int_equal(access(temp_path("f"), F_OK), -1);
    assert_ok(folder_remove_file(&f, &file, &e), &e);
    folder_close(&f);
}

static void a_symbolic_link_is_not_followed(void **state)
{
    (void)state;
    assert_int_equal(file_write(temp_path("victim"), "ours", 4), 0);
    assert_int_equal(symlink("victim", temp_path("f")), 0);
    expect_not_ours("is a symbolic link");
}

static void a_link_to_nothing_makes_nothing(void **state)
{
    (void)state;
    assert_int_equal(symlink("victim", temp_path("f")), 0);
    expect_not_ours("is a symbolic link");
    assert_int_equal(access(temp_path("victim"), F_OK), -1);
}

static void a_second_name_of_another_file_is_not_opened(void **state)
{
    (void)state;
    assert_int_equal(file_write(temp_path("victim"), "ours", 4), 0);
    assert_int_equal(link(temp_path("victim"), temp_path("f")), 0);
    expect_not_ours("has a second name");
}

static void a_fifo_is_refused_at_once(void **state)
{
    (void)state;
    assert_int_equal(mkfifo(temp_path("f"), 0600), 0);
    expect_not_ours("is not a regular file");
}

static void a_folder_or_a_socket_is_refused(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)state;
    assert_int_equal(mkdir(temp_path("f"), 0700), 0);
    expect_not_ours("is not a regular file");
    assert_int_equal(rmdir(temp_path("f")), 0);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", temp_path("f"));
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    expect_not_ours("is not a regular file");
    close(fd);
}

static void a_file_of_another_program_stays_as_it_is(void **state)
{
    size_t n = 0;
    (void)state;
    assert_int_equal(file_write(temp_path("f"), "theirs", 6), 0);
    expect_not_ours("is a file of another program");
    assert_int_equal(file_write(temp_path("f"), "our", 3), 0); /* shorter than the bytes that are compared */
    expect_not_ours("is a file of another program");
    uint8_t *bytes = file_bytes(temp_path("f"), &n);
    assert_memory_equal(bytes, "our", 3);
    free(bytes);
}

/* Only root can make a file of another user. Its owner counts, unless its contents are ours. */
static void who_owns_a_file_counts(void **state)
{
    struct folder f = open_temp();
    struct folder_file one = file;
    struct err e;
    struct stat st;
    int fd = -1;
    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(file_write(temp_path("f"), "", 0), 0);
    assert_int_equal(file_write(temp_path("db"), "database", 8), 0);
    assert_int_equal(chown(temp_path("f"), 65534, 65534), 0);
    expect_not_ours("belongs to another user");
    one.like = "db";
    assert_error(folder_open_file(&f, &one, &fd, &e), &e, ERR_CONFIG); /* the database is root's */
    assert_int_equal(chown(temp_path("db"), 65534, 65534), 0);
    assert_ok(folder_open_file(&f, &one, &fd, &e), &e);
    folder_give_to_owner(&f, &one, fd);
    close(fd);
    assert_int_equal(chown(temp_path("f"), 0, 0), 0);
    assert_ok(folder_open_file(&f, &one, &fd, &e), &e);
    folder_give_to_owner(&f, &one, fd);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_uid, 65534);
    close(fd);
    assert_int_equal(file_write(temp_path("f"), "ours", 4), 0);
    assert_int_equal(chown(temp_path("f"), 65533, 65533), 0); /* a daemon that runs as a third user */
    assert_ok(folder_open_file(&f, &one, &fd, &e), &e);
    folder_give_to_owner(&f, &one, fd);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_uid, 65533);
    close(fd);
    folder_close(&f);
}

static void a_folder_that_is_swapped_meanwhile_changes_nothing(void **state)
{
    struct stage st;
    struct err e;
    (void)state;
    assert_int_equal(mkdir(temp_path("db"), 0700), 0);
    assert_int_equal(mkdir(temp_path("victim"), 0700), 0);
    assert_int_equal(file_write(temp_path("victim/f"), "precious", 8), 0);
    assert_ok(stage_begin(&st, temp_path("db"), &e), &e);
    assert_ok(stage_name(&st, &e), &e);
    assert_int_equal(rename(temp_path("db"), temp_path("old")), 0);
    assert_int_equal(symlink("victim", temp_path("db")), 0);
    assert_ok(stage_rename(&st, "f", &e), &e);
    assert_ok(folder_sync(&st.folder, &e), &e);
    stage_end(&st);
    assert_int_equal(access(temp_path("old/f"), F_OK), 0);
    size_t n = 0;
    uint8_t *bytes = file_bytes(temp_path("victim/f"), &n);
    assert_int_equal(n, 8);
    free(bytes);
}

static void a_temporary_folder_is_removed_with_its_files(void **state)
{
    struct folder_temporary t;
    struct err e;
    struct stat st;
    char path[PATH_TEXT_MAX];
    (void)state;
    assert_ok(folder_make_temporary(&t, temp_dir, "proof", &e), &e);
    assert_int_equal(stat(t.own.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_ok(folder_temporary_path(&t, "restored.db", path, &e), &e);
    assert_int_equal(file_write(path, "x", 1), 0);
    assert_ok(folder_remove_temporary(&t, &e), &e);
    assert_int_equal(names_in(temp_dir), 0);
    assert_error(folder_make_temporary(&t, temp_path("absent"), "proof", &e), &e, ERR_NOTFOUND);
}

static void a_temporary_folder_that_is_swapped_takes_no_other_files_with_it(void **state)
{
    struct folder_temporary t;
    struct err e;
    char path[PATH_TEXT_MAX];
    (void)state;
    assert_int_equal(mkdir(temp_path("victim"), 0700), 0);
    assert_int_equal(file_write(temp_path("victim/precious"), "x", 1), 0);
    assert_ok(folder_make_temporary(&t, temp_dir, "proof", &e), &e);
    assert_int_equal(rename(t.own.path, temp_path("moved")), 0);
    assert_int_equal(symlink("victim", t.own.path), 0);
    assert_ok(folder_temporary_path(&t, "restored.db", path, &e), &e);
    assert_int_equal(file_write(path, "x", 1), 0);
    assert_int_equal(access(temp_path("victim/restored.db"), F_OK), -1);
    assert_error(folder_remove_temporary(&t, &e), &e, ERR_IO);
    assert_non_null(strstr(e.msg, "was moved"));
    assert_int_equal(access(temp_path("victim/precious"), F_OK), 0);
    assert_int_equal(names_in(temp_path("moved")), 0);
}

static void files_of_sqlite_are_regular_and_have_one_name(void **state)
{
    static const char *const suffixes[] = {"-wal", "-shm", "-journal"};
    char db[PATH_TEXT_MAX], path[PATH_TEXT_MAX];
    struct err e;
    (void)state;
    snprintf(db, sizeof db, "%s", temp_path("app.db"));
    for (size_t i = 0; i < COUNT_OF(suffixes); i++) {
        assert_int_equal(snprintf(path, sizeof path, "%s%s", db, suffixes[i]) < (int)sizeof path, true);
        assert_ok(folder_check_sqlite_files(db, &e), &e);
        assert_int_equal(symlink("nowhere", path), 0);
        assert_error(folder_check_sqlite_files(db, &e), &e, ERR_CONFIG);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(mkfifo(path, 0600), 0);
        assert_error(folder_check_sqlite_files(db, &e), &e, ERR_CONFIG);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(file_write(path, "x", 1), 0);
        assert_ok(folder_check_sqlite_files(db, &e), &e);
        assert_int_equal(link(path, temp_path("second")), 0);
        assert_error(folder_check_sqlite_files(db, &e), &e, ERR_CONFIG);
        assert_int_equal(unlink(temp_path("second")), 0);
    }
}

/* What is made for a database is never more readable than it. */
static void what_is_made_is_as_private_as_the_database(void **state)
{
    static const struct {
        mode_t before, like, file, folder;
    } cases[] = {
        {0022, 0600, 0600, 0700}, {0022, 0640, 0640, 0750}, {0022, 0660, 0640, 0750}, {0022, 0644, 0644, 0755},
        {0002, 0644, 0644, 0755}, {0002, 0664, 0664, 0775}, {0000, 0666, 0666, 0777}, {0000, 0604, 0604, 0705},
        {0077, 0666, 0600, 0700}, {0000, 0400, 0600, 0700},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        pid_t child = fork(); /* the umask belongs to the process */
        if (child == 0) {
            struct stage st;
            struct stat file_stat, dir_stat;
            struct err e;
            umask(cases[i].before);
            privacy_set(privacy_of(0600));
            privacy_set(privacy_of(cases[i].like));
            struct folder f;
            bool right = folder_open(&f, temp_dir, &e) == 0 && stage_begin_shared(&st, &f, &e) == 0 &&
                         fstat(st.fd, &file_stat) == 0 && (file_stat.st_mode & 0777) == cases[i].file &&
                         path_make_dirs(temp_path("d"), &e) == 0 && stat(temp_path("d"), &dir_stat) == 0 &&
                         (dir_stat.st_mode & 0777) == cases[i].folder;
            _exit(right ? 0 : 1);
        }
        int status = -1;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        assert_int_equal(rmdir(temp_path("d")), 0);
    }
}

static void a_trusted_folder_is_nobody_elses(void **state)
{
    const uid_t other[] = {12345};
    const struct folder_trust make = {.make = 0700}, look = {.make = 0}, link = {.may_be_link = true};
    const struct folder_trust others = {.owners = other, .owner_count = 1};
    struct folder f;
    struct stat st;
    struct err e;
    (void)state;
    assert_error(folder_open_trusted(&f, temp_path("run"), &look, &e), &e, ERR_NOTFOUND);
    mode_t before = umask(0777);
    assert_ok(folder_open_trusted(&f, temp_path("run"), &make, &e), &e);
    umask(before);
    folder_close(&f);
    assert_int_equal(stat(temp_path("run"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700); /* whatever the umask */
    assert_int_equal(chmod(temp_path("run"), 0755), 0);
    assert_ok(folder_open_trusted(&f, temp_path("run"), &make, &e), &e);
    folder_close(&f);
    assert_int_equal(stat(temp_path("run"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755); /* a folder that was there keeps its mode */
    for (mode_t bit = 020; bit >= 02; bit >>= 3) {
        assert_int_equal(chmod(temp_path("run"), 0700 | bit), 0);
        assert_error(folder_open_trusted(&f, temp_path("run"), &make, &e), &e, ERR_CONFIG);
    }
    assert_int_equal(chmod(temp_path("run"), 0700), 0);
    assert_int_equal(symlink("run", temp_path("link")), 0);
    assert_error(folder_open_trusted(&f, temp_path("link"), &make, &e), &e, ERR_CONFIG);
    assert_ok(folder_open_trusted(&f, temp_path("link"), &link, &e), &e);
    folder_close(&f);
    assert_int_equal(close(open(temp_path("file"), O_CREAT | O_RDWR | O_CLOEXEC, 0600)), 0);
    assert_error(folder_open_trusted(&f, temp_path("file"), &make, &e), &e, ERR_CONFIG);
    if (geteuid() != 0)
        return;
    assert_int_equal(chown(temp_path("run"), 12345, 12345), 0);
    assert_error(folder_open_trusted(&f, temp_path("run"), &make, &e), &e, ERR_CONFIG);
    assert_ok(folder_open_trusted(&f, temp_path("run"), &others, &e), &e);
    folder_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_IN_TEMP(below_a_folder_no_link_is_allowed),
        UNIT_IN_TEMP(a_new_file_is_private_and_is_ours_from_then_on),
        UNIT_IN_TEMP(a_symbolic_link_is_not_followed),
        UNIT_IN_TEMP(a_link_to_nothing_makes_nothing),
        UNIT_IN_TEMP(a_second_name_of_another_file_is_not_opened),
        UNIT_IN_TEMP(a_fifo_is_refused_at_once),
        UNIT_IN_TEMP(a_folder_or_a_socket_is_refused),
        UNIT_IN_TEMP(a_trusted_folder_is_nobody_elses),
        UNIT_IN_TEMP(a_file_of_another_program_stays_as_it_is),
        UNIT_IN_TEMP(who_owns_a_file_counts),
        UNIT_IN_TEMP(a_folder_that_is_swapped_meanwhile_changes_nothing),
        UNIT_IN_TEMP(a_temporary_folder_is_removed_with_its_files),
        UNIT_IN_TEMP(a_temporary_folder_that_is_swapped_takes_no_other_files_with_it),
        UNIT_IN_TEMP(files_of_sqlite_are_regular_and_have_one_name),
        UNIT_IN_TEMP(what_is_made_is_as_private_as_the_database),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
