/* What proves, without reading the pages, which state a copy is. */
#include "base/clock.h"
#include "failing_alloc.h"
#include "follow/check.h"
#include "follow/commit.h"
#include "sql.h"

/* A copy without a log, and a note that has its state. */
static struct note begin(struct mirror *copy)
{
    struct note n = {.phase = NOTE_FOLLOWING, .now = {.txid = 3}, .copied = true, .boot = clock_boot_id()};
    const char *path = temp_path("copy.db");
    struct err e;
    sqlite3 *db = sql_open(path, NULL);
    assert_int_equal(sqlite3_exec(db, "PRAGMA journal_mode=wal; CREATE TABLE t(a)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_ok(mirror_open(copy, path, 0640, &e), &e);
    assert_ok(mirror_stamp(copy, &n.stamp, &e), &e);
    return n;
}

static bool settles(const struct mirror *copy, struct note n)
{
    bool settled = false;
    struct err e;
    assert_ok(check_position(copy, &n, &settled, &e), &e);
    return settled;
}

static void a_log_without_frames_proves_a_state_that_was_copied_back_whole(void **state)
{
    (void)state;
    struct mirror copy;
    const struct note sound = begin(&copy);
    struct note n = sound;
    assert_true(settles(&copy, n));
    n.copied = false;
    assert_false(settles(&copy, n));
    n = sound;
    n.now.pos.frame = 7; /* they were in the log, and were copied back */
    assert_true(settles(&copy, n));
    n.next.txid = 4;
    assert_false(settles(&copy, n));
    n = sound;
    n.checkpointing = true;
    assert_false(settles(&copy, n));
    mirror_close(&copy);
}

static void a_note_of_another_boot_or_of_another_file_proves_nothing(void **state)
{
    (void)state;
    struct mirror copy;
    const struct note sound = begin(&copy);
    struct note n = sound;
    n.boot++;
    assert_false(settles(&copy, n));
    n.boot = 0;
    assert_false(settles(&copy, n));
    n = sound;
    n.stamp.mtime_ns++;
    assert_false(settles(&copy, n));
    n = sound;
    n.stamp.inode++;
    n.checkpointing = true;
    assert_false(settles(&copy, n));
    mirror_close(&copy);
}

/* Copies the log back, while another process may have written. Returns whether that proves the copy, later. */
static bool proven_by_checkpoint(bool written)
{
    struct mirror copy;
    struct note n = begin(&copy), none;
    struct note_file file;
    enum note_found found;
    struct err e;
    sqlite3 *db = sql_open(copy.path, NULL);
    assert_ok(note_open(&file, copy.path, &none, &found, &e), &e);
    if (written)
        assert_int_equal(sqlite3_exec(db, "INSERT INTO t VALUES(1)", NULL, NULL, NULL), SQLITE_OK);
    assert_ok(commit_copy_back(&copy, &n, &file, &e), &e);
    assert_int_equal(sqlite3_exec(db, "PRAGMA wal_checkpoint(truncate)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    mirror_close(&copy);
    note_close(&file);
    assert_ok(mirror_open(&copy, temp_path("copy.db"), 0640, &e), &e);
    const bool settled = settles(&copy, n);
    mirror_close(&copy);
    return settled;
}

static void a_checkpoint_proves_the_copy(void **state)
{
    (void)state;
    assert_true(proven_by_checkpoint(false));
}

static void a_checkpoint_does_not_prove_what_another_process_wrote(void **state)
{
    (void)state;
    assert_false(proven_by_checkpoint(true));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_IN_TEMP(a_log_without_frames_proves_a_state_that_was_copied_back_whole),
        UNIT_IN_TEMP(a_note_of_another_boot_or_of_another_file_proves_nothing),
        UNIT_IN_TEMP(a_checkpoint_proves_the_copy),
        UNIT_IN_TEMP(a_checkpoint_does_not_prove_what_another_process_wrote),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
