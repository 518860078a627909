"""The requests that compaction, bases and retention make at an S3 store."""
from application import check
from compare import drop
from ledger import TABLE, insert
from seawall import DONE, restore_points, seawall, told


def keys(s3, level):
    return [key for key in s3.server.objects if key.split("/")[-2] == level]


def test_compacting_and_bases_download_nothing(stage, s3):
    app = stage.ledger()
    app.commit(TABLE, insert(50))
    daemon = stage.replicate("--fanout", "3", "--base-interval", "2s", "--prune-interval", "never")
    app.commit(insert(1))
    daemon.wait_for(lambda: len(keys(s3, "0")) >= 2, 20, "the daemon ships")
    start = len(s3.server.requests())
    for _ in range(30):
        before = len(keys(s3, "0"))
        app.commit("UPDATE big SET payload = randomblob(400) WHERE id % 9 = (SELECT count(*) FROM mark) % 9")
        daemon.wait_for(lambda: len(keys(s3, "0")) > before, 20, "the commit is shipped")
    daemon.wait_for(lambda: keys(s3, "1") and keys(s3, "2"), 20, "levels")
    daemon.wait_for(lambda: any(key.endswith("/marker") for key in s3.server.objects), 20, "a base")
    assert daemon.stop() == DONE
    assert s3.server.requests("head", since=start) == []
    looks = s3.server.requests("list", since=start)    # after a base a look lists the objects; it reads no pages
    assert 1 <= len(looks) <= len([key for key in s3.server.objects if key.endswith("/marker")])
    read = [record.key.removeprefix("backup/app/") for record in s3.server.requests("get", since=start)]
    assert len(read) == 3 * len(looks)
    assert all(key == "seawall.json" or key.startswith("0/") or key.endswith("/marker") for key in read), read
    put = [record.key for record in s3.server.requests("put", since=start)]
    assert len(put) == len(set(put)), "nothing is put twice"
    app.close()
    stage.assert_restore_equals_source()


def numbers(key):
    return [int(text, 16) for text in key.partition("/")[2].split("-")]


def packs(s3):
    return [numbers(key) for key in s3.keys() if key.startswith("pack/")]


def lie_in(pack, s3):
    return [key for key in s3.keys() if key.startswith("0/") and pack[0] <= numbers(key)[0] <= pack[1]]


def test_what_was_just_put_is_packed_without_reading_it(stage, s3):
    """Then what is packed goes, and each commit stays a restore point."""
    stage.prepare()
    options = ("--grace", "20s", "--prune-interval", "5s", "--put-rate", "never")
    daemon = stage.replicate(*options)
    start = len(s3.server.requests())
    writer = stage.writer(rate=100)
    daemon.wait_for(lambda: packs(s3), 60, "a pack")
    pack = packs(s3)[0]
    read = [key for record in s3.server.requests("get", since=start)
            if (key := record.key.removeprefix("backup/app/")).startswith("0/") and pack[0] < numbers(key)[0] < pack[1]]
    assert len(set(read)) < 20, "retention and looks read some, but not all"
    daemon.wait_for(lambda: not lie_in(pack, s3), 60, "what is packed goes")
    writer.stop()
    assert daemon.stop() == DONE, daemon.log()
    daemon = stage.replicate(*options)
    daemon.wait_log("continues at txid")
    assert daemon.stop() == DONE, daemon.log()
    assert stage.restores_source()
    newest = stage.last_txid()
    assert list(restore_points(s3.url())) == list(range(1, newest + 1))
    known = {}
    for txid in (pack[0], pack[0] + 1, pack[1], pack[1] + 1):
        restored = stage.restored(txid)
        known[txid] = check(restored)
        drop(restored)
    assert known[pack[0]] + 1 == known[pack[0] + 1] and known[pack[1]] + 1 == known[pack[1] + 1], known
    result = seawall("verify", "--full", s3.url())
    assert result.returncode == DONE, told(result)
