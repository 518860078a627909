"""The requests that compaction, bases and retention make at an S3 store."""
from ledger import TABLE, insert
from seawall import DONE


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
