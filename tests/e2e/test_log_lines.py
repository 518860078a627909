"""The log of a start has one line for what the daemon found and how it continues."""
import re

import pytest

from application import SLOW_SYNC
from compare import copy_file
from ledger import TABLE, insert
from seawall import COMPARED, DONE, level_zero

CONTINUES = r"continues at txid (\d+)(?:, adopted (\d+) objects?)?$"


def number_told(daemon, words):
    """The first number in the one line that matches."""
    return int(re.search(words, daemon.told_once(words))[1])


def assert_no_warning(daemon):
    assert not re.search(r"WARN|ERROR", daemon.log()), daemon.log()


def start(stage):
    app = stage.ledger()
    app.commit(TABLE, insert(1500))
    app.commit("DELETE FROM big WHERE id % 3 = 0")
    return app, stage.replicate()


def test_a_start_that_finds_nothing_new_says_where_it_continues(stage):
    app, daemon = start(stage)
    app.commit(insert(3))
    assert daemon.stop() == DONE
    points = stage.points()
    daemon = stage.replicate("--once", live=False)
    assert daemon.wait(30) == DONE
    assert number_told(daemon, CONTINUES) == points[-1]
    assert "adopted" not in daemon.log()
    assert_no_warning(daemon)
    assert stage.points() == points


def test_a_start_after_an_object_that_was_put_but_not_noted_says_that_it_is_adopted(stage):
    app, daemon = start(stage)
    assert daemon.stop() == DONE
    before = len(level_zero(stage.replica))
    daemon = stage.replicate(environment={"LD_PRELOAD": str(SLOW_SYNC), "SLOWSYNC_MS": "400"})
    daemon.wait_for(lambda: re.search(CONTINUES, daemon.log(), re.M), 20, "the daemon knows the replica")
    app.commit(insert(1))
    daemon.wait_for(lambda: len(level_zero(stage.replica)) > before, 20, "the object has its name")
    daemon.kill()   # the folder is not synced yet, so the object does not count as durable
    daemon = stage.replicate("--once", live=False)
    assert daemon.wait(30) == DONE
    assert number_told(daemon, CONTINUES) == stage.last_txid()
    assert re.search(r"adopted 1 object", daemon.told_once(CONTINUES))
    stage.assert_restore_equals_source()


def test_a_start_with_an_older_state_file_says_that_it_compares(stage):
    app, daemon = start(stage)
    app.commit(insert(3))
    daemon.wait_for(lambda: stage.wal_bytes() == 0, 10, "the state is at rest")
    state, saved = f"{stage.db}-seawall", stage.folder / "saved-state"
    copy_file(state, saved)
    before = stage.last_txid()
    app.commit(insert(3))
    assert daemon.stop() == DONE
    copy_file(saved, state)   # as after a power cut
    daemon = stage.replicate("--once", live=False)
    assert daemon.wait(30) == DONE
    assert number_told(daemon, r"was left at txid (\d+)") > before
    daemon.told_once(COMPARED)
    assert_no_warning(daemon)
    stage.assert_restore_equals_source()


def test_a_take_over_says_whose_history_is_continued(stage):
    app, daemon = start(stage)
    assert daemon.stop() == DONE
    before = stage.last_txid()
    stage.db.with_name(stage.db.name + "-seawall").unlink()
    daemon = stage.replicate("--once", live=False)
    assert daemon.wait(30) != DONE
    assert re.search(r"another writer .*\n.*HINT: .*--take-over", daemon.log()), daemon.log()
    daemon = stage.replicate("--once", "--take-over", live=False)
    assert daemon.wait(30) == DONE
    assert number_told(daemon, r"takes over .* at txid (\d+)") == before
    assert re.search(r" 0 of \d+ differ; its size or its replicas' positions do, to be shipped as", daemon.told_once(COMPARED))
    assert_no_warning(daemon)
    stage.assert_restore_equals_source()


CHANGES = {
    "vacuum": ["VACUUM"],
    "growth": [insert(3000)],
    "shrink": ["DELETE FROM big WHERE id > 10", "VACUUM"],
    "page size": ["PRAGMA journal_mode=delete", "PRAGMA page_size=16384", "VACUUM", "PRAGMA journal_mode=wal"],
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_start_after_a_change_of_shape_says_that_it_compared_the_pages(stage, change):
    app, daemon = start(stage)
    assert daemon.stop() == DONE
    before = stage.last_txid()
    for statement in CHANGES[change]:
        app.run(statement)
    app.close()   # the last connection: SQLite removes the WAL, which had the single commits
    daemon = stage.replicate("--once", live=False)
    assert daemon.wait(30) == DONE
    assert re.search(r" [1-9]\d* of \d+ differ, to be shipped as", daemon.told_once(COMPARED))
    assert number_told(daemon, r"up to date at txid (\d+)") == stage.last_txid() == before + 1
    assert_no_warning(daemon)
    stage.assert_restore_equals_source()


def test_a_change_of_shape_under_the_daemon_adds_no_line_to_the_log(stage):
    app, daemon = start(stage)
    told = len(daemon.log())
    for change in ("vacuum", "growth", "shrink"):
        for statement in CHANGES[change]:
            app.run(statement)
    daemon.wait_for(stage.restores_source, 10, "the replica has it all")
    assert daemon.log()[told:] == "", "the log has lines for commits"
    assert daemon.stop() == DONE
