"""A restore of a damaged replica fails with exit code 5 and names the object, or it gives the right database."""
from concurrent.futures import ThreadPoolExecutor
import os
from pathlib import Path

import pytest

from compare import copy_tree, drop
from ledger import TABLE, insert
from seawall import CORRUPT, DONE, level_zero, objects, restore, told
from waiting import figure

WORKERS = 2


class DamagedCopy:
    """A copy of the replica for one worker: it damages an object, restores, checks the result, and repairs the object."""

    def __init__(self, replica, folder, txid, expected):
        self.replica, self.target = copy_tree(replica, folder), Path(f"{folder}.db")
        self.txid, self.expected = txid, expected

    def judge(self, key, what):
        drop(self.target)
        result = restore(self.replica, self.target, "--txid", self.txid, seconds=30)
        case = f"{key}, {what}"
        if result.returncode == DONE:
            assert self.target.read_bytes() == self.expected, f"{case}: a wrong database was restored"
            return "restored"
        assert result.returncode == CORRUPT, f"{case}: {told(result)}"
        assert key.encode() in result.stderr, f"{case}: the message does not name the object: {told(result)}"
        assert not self.target.exists(), f"{case}: a failed restore left a file"
        return "refused"

    def with_byte_flipped(self, key, at):
        path = self.replica / key
        whole = path.read_bytes()
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1:])
        try:
            return self.judge(key, f"bit {at % 8} of byte {at} flipped")
        finally:
            path.write_bytes(whole)

    def truncated(self, key, length):
        path = self.replica / key
        whole = path.read_bytes()
        os.truncate(path, length)
        try:
            return self.judge(key, f"truncated to {length} of {len(whole)} bytes")
        finally:
            path.write_bytes(whole)


@pytest.fixture
def small(stage):
    """A small replica with a base and four commits, each in an object of its own; and try_all, which runs cases of damage in threads."""
    app = stage.ledger("PRAGMA page_size=1024")
    app.commit(TABLE, insert(12, 300))
    daemon = stage.replicate()
    for statement in (insert(3, 200), "UPDATE big SET payload = zeroblob(250) WHERE id % 4 = 0", "DELETE FROM big WHERE id > 10", insert(5, 90)):
        before = len(level_zero(stage.replica))
        app.commit(statement)
        daemon.wait_for(lambda: len(level_zero(stage.replica)) > before, 10, "the commit is durable")
    app.close()
    assert daemon.stop() == DONE
    txid = stage.last_txid()
    expected = stage.restored().read_bytes()
    copies = [DamagedCopy(stage.replica, stage.folder / f"copy-{i}", txid, expected) for i in range(WORKERS)]

    def try_all(operation, cases):
        def worker(i):
            return [getattr(copies[i], operation)(*case) for case in cases[i::WORKERS]]
        with ThreadPoolExecutor(WORKERS) as pool:
            outcomes = [outcome for part in pool.map(worker, range(WORKERS)) for outcome in part]
        stage.note(f"{operation}: {len(outcomes)} cases, {outcomes.count('refused')} refused, {outcomes.count('restored')} restored correctly")
    stage.try_all = try_all
    return stage


def sampled(length, wanted):
    """`wanted` positions of 0..length-1, evenly spread, the first and the last 8 among them."""
    step = max(1, length // wanted)
    return sorted({*range(0, length, step), *range(min(8, length)), *range(max(0, length - 8), length)})


def sizes(replica):
    return [(key, (Path(replica) / key).stat().st_size) for key in objects(replica)]


def test_a_flipped_byte_is_refused_by_name_or_does_not_matter(small):
    cases = [(key, at) for key, size in sizes(small.replica) for at in sampled(size, figure(1 << 40, 60))]
    small.try_all("with_byte_flipped", cases)


def test_a_truncated_object_is_refused_by_name_or_does_not_matter(small):
    cases = [(key, length) for key, size in sizes(small.replica) for length in sampled(size, figure(1 << 40, 25))]
    small.try_all("truncated", cases)
