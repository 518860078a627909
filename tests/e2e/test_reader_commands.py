"""`seawall shell` and `seawall diff`: SQL on a replica, and which rows differ between two transactions."""
import json
import random
import sqlite3
import subprocess

import pytest

from damage import flip
from readers import SHAPES, change
from seawall import BINARY, CORRUPT, DONE, FAILED, NOTHING, USAGE, seawall, told, url_of


@pytest.fixture
def history(stage):
    """A replica whose states are kept as lists of rows, by txid."""
    dice, stage.states = random.Random(5), {}
    app = stage.app = sqlite3.connect(stage.db, isolation_level=None)
    for statement in SHAPES:
        app.execute(statement.format(page_size=1024))
    app.execute("PRAGMA journal_mode=wal")
    stage.replicate()
    for _ in range(12):
        change(app, dice)
        app.execute("PRAGMA user_version=1")
        assert seawall("sync", stage.db).returncode == DONE
        stage.states[stage.last_txid()] = {table: set(app.execute(f"SELECT * FROM {table}")) for table in ("item", "tag")}
    return stage


def shell(stage, *arguments, code=DONE):
    result = seawall("shell", *arguments[:-1], url_of(stage.replica), arguments[-1])
    assert result.returncode == code, told(result)
    return (result.stdout + result.stderr).decode()


def diff(stage, one, other, *options):
    result = seawall("diff", "--json", "--txid", one, "--txid", other, *options, url_of(stage.replica))
    assert result.returncode == DONE, told(result)
    return json.loads(result.stdout)


def test_the_shell_reads_any_moment(history):
    for txid, state in history.states.items():
        assert shell(history, "--txid", txid, "SELECT count(*), seawall_txid() FROM item") == f"{len(state['item'])}|{txid}\n"
    assert shell(history, "SELECT 1, NULL, x'00ff', 'a' || char(10) || 'b', 2.5") == "1||x'00ff'|a\\x0ab|2.5\n"
    assert shell(history, "--header", "SELECT 1 AS one; SELECT 2 AS two WHERE 0") == "one\n1\ntwo\n"


def test_the_shell_reads_standard_input(history):
    result = subprocess.run([BINARY, "shell", url_of(history.replica)], input=b".tables\nSELECT\n count(*) > 0\nFROM item;\nSELECT 7",
                            capture_output=True, timeout=60)
    assert result.returncode == DONE and result.stdout == b"heavy\nitem\ntag\n1\n7\n", told(result)
    result = subprocess.run([BINARY, "shell", url_of(history.replica)], input=b".what\nSELECT 7;", capture_output=True, timeout=60)
    assert result.returncode == USAGE and b".tables" in result.stderr


def test_the_shell_writes_only_what_it_attaches(history):
    assert "readonly" in shell(history, "DELETE FROM item", code=FAILED)
    found = history.folder / "found.db"
    shell(history, f"ATTACH '{found}' AS f; CREATE TABLE f.kept AS SELECT * FROM item")
    last = max(history.states)
    assert set(sqlite3.connect(found).execute("SELECT * FROM kept")) == history.states[last]["item"]


def test_what_can_not_be_read_has_an_exit_code(history):
    assert "syntax" in shell(history, "SELEC 1", code=FAILED)
    assert "restore point" in shell(history, "--txid", 99999, "SELECT 1", code=NOTHING)
    assert "exclude" in shell(history, "--txid", 1, "--time", "now", "SELECT 1", code=USAGE)
    result = seawall("shell", history.folder / "none", "SELECT 1")
    assert result.returncode == NOTHING, told(result)
    for path in history.replica.glob("[0-9]/*"):
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert "object" in shell(history, "SELECT count(*) FROM item", code=CORRUPT)


def rows(shown, table, change_of):
    return [one for one in shown["changes"] if one["table"] == table and one["change"] == change_of]


def value(found):
    return "X'" + found.hex().upper() + "'" if isinstance(found, bytes) else found


def test_each_pair_of_moments_differs_by_the_rows_that_differ(history):
    txids = sorted(history.states)
    columns = {"item": ("id", "kind", "name", "price", "payload"), "tag": ("word", "item", "weight")}
    key = {"item": lambda row: row["id"], "tag": lambda row: (row["word"], row["item"])}
    for one, other in zip(txids, txids[1:] + txids[:1]):
        low, high = min(one, other), max(one, other)
        shown = diff(history, one, other)
        assert (shown["from"], shown["to"], shown["schema"]) == (low, high, [])
        for table, names in columns.items():
            before, after = ({key[table](row): row for row in ({name: value(found) for name, found in zip(names, one_row)}
                                                              for one_row in history.states[txid][table])} for txid in (low, high))
            assert {key[table](r["row"]): r["row"] for r in rows(shown, table, "inserted")} == {k: v for k, v in after.items() if k not in before}
            assert {key[table](r["row"]): r["row"] for r in rows(shown, table, "deleted")} == {k: v for k, v in before.items() if k not in after}
            assert {key[table](r["after"]): (r["before"], r["after"]) for r in rows(shown, table, "changed")} == {
                k: (before[k], v) for k, v in after.items() if k in before and before[k] != v}


def test_rows_that_a_leaf_lost_are_shown_though_its_neighbour_begins_earlier_now(stage):
    """Rows near a page in size: after the deletion the range of an unchanged leaf begins where the rows were."""
    app = stage.ledger("PRAGMA page_size=4096")
    app.commit("CREATE TABLE t(id INTEGER PRIMARY KEY, a)", *(f"INSERT INTO t VALUES({i}, zeroblob({1200 if i % 10 else 3880}))"
                                                             for i in (10, 20, 30, 40, 50, 51, 52, 53, 60, 70, 80, 90)))
    assert seawall("snapshot", stage.db, url_of(stage.replica)).returncode == DONE
    app.commit("DELETE FROM t WHERE id IN (52, 53)")
    assert seawall("snapshot", stage.db, url_of(stage.replica)).returncode == DONE
    shown = diff(stage, 1, 2)
    assert [one["row"]["id"] for one in rows(shown, "t", "deleted")] == [52, 53]
    assert len([one for one in shown["changes"] if one["table"] == "t"]) == 2


def test_a_difference_of_the_schema_is_shown(history):
    before = max(history.states)
    app = history.app
    app.execute("BEGIN")
    for statement in ("CREATE TABLE more(a, b DEFAULT 'B')", "INSERT INTO more(a) VALUES(1.0)", "DROP VIEW heavy", "ALTER TABLE tag ADD COLUMN note",
                      "CREATE TABLE odd(rowid, \"a\"\"b\" TEXT COLLATE NOCASE)", "INSERT INTO odd VALUES('r', 'Text')"):
        app.execute(statement)
    app.execute("COMMIT")
    assert seawall("sync", history.db).returncode == DONE
    middle = history.last_txid()
    app.execute("UPDATE odd SET \"a\"\"b\" = 'TEXT'")
    app.execute("UPDATE more SET a = 1")
    assert seawall("sync", history.db).returncode == DONE
    shown = diff(history, before, middle)
    assert {(one["type"], one["name"], one["change"]) for one in shown["schema"]} == {
        ("table", "more", "inserted"), ("view", "heavy", "deleted"), ("table", "tag", "changed"), ("table", "odd", "inserted")}
    assert [one["row"] for one in rows(shown, "more", "inserted")] == [{"a": 1.0, "b": "B"}]
    shown = diff(history, middle, history.last_txid())
    assert rows(shown, "odd", "changed")[0]["after"] == {"rowid": "r", 'a"b': "TEXT"}
    assert len(rows(shown, "more", "changed")) == 1    # 1 is not 1.0
    assert {one["table"] for one in diff(history, middle, history.last_txid(), "--table", "ODD")["changes"]} == {"odd"}
    text = seawall("diff", "--txid", middle, "--txid", history.last_txid(), url_of(history.replica)).stdout.decode()
    assert "~ odd rowid 1 ('r', 'Text') -> ('r', 'TEXT')\n" in text and "odd: 0 inserted, 0 deleted, 1 changed\n" in text


def step(stage, *statements):
    """Makes one state, and returns its txid."""
    for statement in statements:
        stage.app.execute(statement)
    assert seawall("sync", stage.db).returncode == DONE
    return stage.last_txid()


def text_diff(stage, one, other, *options):
    result = seawall("diff", "--txid", one, "--txid", other, *options, url_of(stage.replica))
    assert result.returncode == DONE, told(result)
    return result.stdout.decode()


@pytest.mark.parametrize("changes", [
    ["ALTER TABLE t RENAME COLUMN b TO x", "UPDATE t SET x = 'NEW' WHERE a = 1"],
    ["ALTER TABLE t DROP COLUMN b", "ALTER TABLE t ADD COLUMN c", "UPDATE t SET c = 'NEW' WHERE a = 1"]], ids=["renamed", "replaced"])
def test_a_row_of_another_form_is_a_changed_row(history, changes):
    one = step(history, "CREATE TABLE t(a INTEGER PRIMARY KEY, b)", "INSERT INTO t VALUES(1, 'old'), (2, 'same')")
    other = step(history, *changes)
    names = [row[1] for row in history.app.execute("PRAGMA table_info(t)")]
    shown = diff(history, one, other, "--table", "t")
    assert {r["after"]["a"]: (r["before"], r["after"]) for r in rows(shown, "t", "changed")} == {
        row[0]: ({"a": row[0], "b": {1: "old", 2: "same"}[row[0]]}, dict(zip(names, row))) for row in history.app.execute("SELECT * FROM t")}
    assert shown["tables"] == [{"table": "t", "inserted": 0, "deleted": 0, "changed": 2}]


ODD_VALUES = [   # before and after as SQL, and as JSON; the last: the line of the text
    ("0.0", "-0.0", 0.0, -0.0, "(1, 0.0) -> (1, -0.0)"),
    ("9e999", "-9e999", float("inf"), float("-inf"), "(1, 9e999) -> (1, -9e999)"),
    ("'a' || char(0) || 'b'", "'a' || char(0) || 'c'", "a\0b", "a\0c", "(1, 'a\\x00b') -> (1, 'a\\x00c')"),
    ("CAST(x'ff41' AS TEXT)", "x'ff41'", "CAST(X'FF41' AS TEXT)", "X'FF41'", "(1, '\\xffA') -> (1, X'FF41')"),
    ("'x' || char(127, 27, 10, 34, 92)", "char(128512, 0x202e, 0xe0001, 0x85)", 'x\x7f\x1b\n"\\', "\U0001f600\u202e\U000e0001\x85", None),
    ("1", "1.0", 1, 1.0, "(1, 1) -> (1, 1.0)"),
    ("9007199254740993", "0.1", 9007199254740993, 0.1, "(1, 9007199254740993) -> (1, 0.1)"),
    ("1e-310", "1.7976931348623157e308", 1e-310, 1.7976931348623157e308, None),
    ("'it''s'", "x''", "it's", "X''", "(1, 'it''s') -> (1, X'')"),
    ("NULL", "''", None, "", "(1, NULL) -> (1, '')"),
]


def test_each_value_is_shown_as_it_is(history):
    step(history, *(f"CREATE TABLE v{n}(a INTEGER PRIMARY KEY, v)" for n in range(len(ODD_VALUES))))
    one = step(history, *(f"INSERT INTO v{n} VALUES(1, {before})" for n, (before, *_) in enumerate(ODD_VALUES)))
    other = step(history, *(f"UPDATE v{n} SET v = {after}" for n, (_, after, *_) in enumerate(ODD_VALUES)))
    shown, text = diff(history, one, other), text_diff(history, one, other)
    for n, (_, _, before, after, line) in enumerate(ODD_VALUES):
        found = [(r["before"]["v"], r["after"]["v"]) for r in rows(shown, f"v{n}", "changed")]
        assert list(map(repr, found)) == [repr((before, after))], n
        assert line is None or f"~ v{n} {line}\n" in text
    assert shell(history, "--txid", one, "SELECT v FROM v2") == "a\\x00b\n"


def test_a_hidden_rowid_is_shown(history):
    """VACUUM gives other rowids to rows that nobody touched."""
    one = step(history, "CREATE TABLE t(v)", "CREATE TABLE k(v TEXT PRIMARY KEY)", "INSERT INTO t(rowid, v) VALUES(5, 'p'), (9, 'q')",
               "INSERT INTO k(rowid, v) VALUES(7, 'r')", "CREATE TABLE own(a INTEGER PRIMARY KEY, v)", "INSERT INTO own VALUES(3, 's')")
    other = step(history, "DELETE FROM t WHERE v = 'p'", "UPDATE k SET v = 'R'", "UPDATE own SET v = 'S'", "INSERT INTO t(rowid, v) VALUES(2, 'n')")
    assert text_diff(history, one, other) == (
        "~ k rowid 7 ('r') -> ('R')\n~ own (3, 's') -> (3, 'S')\n- t rowid 5 ('p')\n+ t rowid 2 ('n')\n"
        "k: 0 inserted, 0 deleted, 1 changed\nown: 0 inserted, 0 deleted, 1 changed\nt: 1 inserted, 1 deleted, 0 changed\n")
    assert [r["rowid"] for r in diff(history, one, other)["changes"] if "rowid" in r] == [7, 5, 2]


def test_a_wide_table_is_compared(history):
    one = step(history, f"CREATE TABLE w(id INTEGER PRIMARY KEY, {', '.join(f'c{n}' for n in range(998))})", "INSERT INTO w(id) VALUES(1), (2)")
    other = step(history, "UPDATE w SET c997 = 7 WHERE id = 2")
    changed, = rows(diff(history, one, other), "w", "changed")
    assert {name for name in changed["after"] if changed["after"][name] != changed["before"][name]} == {"c997"} and changed["after"]["c997"] == 7


def test_a_table_that_can_not_be_compared_is_named_and_the_others_are_compared(history):
    history.app.create_collation("own", lambda x, y: (x > y) - (x < y))
    one = step(history, "CREATE TABLE a1(k TEXT COLLATE own PRIMARY KEY, v) WITHOUT ROWID", "INSERT INTO a1 VALUES('k', 1)",
               "CREATE TABLE a2(rowid, _rowid_, oid)", "INSERT INTO a2 VALUES(1, 2, 3)",
               f"CREATE TABLE a3({', '.join(f'c{n}' for n in range(1500))})", "INSERT INTO a3(c1) VALUES(1)",
               "CREATE TABLE b1(rowid, _rowid_ INTEGER PRIMARY KEY, oid)", "INSERT INTO b1 VALUES(1, 2, 3)",
               "CREATE TABLE b2(rowid PRIMARY KEY, _rowid_, oid) WITHOUT ROWID", "INSERT INTO b2 VALUES(1, 2, 3)",
               "CREATE TABLE z(id INTEGER PRIMARY KEY, v)", "INSERT INTO z VALUES(1, 1)")
    other = step(history, "UPDATE a1 SET v = 2", "UPDATE a2 SET oid = 4", "UPDATE a3 SET c1 = 2", "UPDATE b1 SET oid = 4", "UPDATE b2 SET oid = 4",
                 "UPDATE z SET v = 2")
    result = seawall("diff", "--json", "--txid", one, "--txid", other, url_of(history.replica))
    assert result.returncode == FAILED, told(result)
    shown = json.loads(result.stdout)
    assert {r["table"]: r["after"] for r in shown["changes"]} == {
        "b1": {"rowid": 1, "_rowid_": 2, "oid": 4}, "b2": {"rowid": 1, "_rowid_": 2, "oid": 4}, "z": {"id": 1, "v": 2}}
    assert [t["table"] for t in shown["tables"]] == ["b1", "b2", "z"] and [t["table"] for t in shown["errors"]] == ["a1", "a2", "a3"]
    for name, reason in ("a1", "own"), ("a2", "oid"), ("a3", "columns"):
        assert any(f"'{name}'" in line and reason in line for line in result.stderr.decode().splitlines()), told(result)


@pytest.mark.parametrize("options, code, words", [
    ([], USAGE, "give it twice"), (["--txid", "1"], USAGE, "give it twice"), (["--txid", "1", "--txid", "2", "--txid", "3"], USAGE, "txid"),
    (["--txid", "0", "--txid", "2"], USAGE, "txid"), (["--txid", "1", "--txid", "99999"], NOTHING, "99999"),
    (["--txid", "1", "--txid", "2", "--table", "none"], USAGE, "none")])
def test_a_diff_that_can_not_be_made_says_why(history, options, code, words):
    result = seawall("diff", *options, url_of(history.replica))
    assert result.returncode == code and words in result.stderr.decode(), told(result)


def replicated(stage, *statements):
    """Runs statements on the database, and ships them. Returns the txid."""
    app = sqlite3.connect(stage.db, isolation_level=None)
    for statement in statements:
        app.execute(statement).fetchall()
    app.close()
    result = seawall("replicate", "--once", stage.db, url_of(stage.replica))
    assert result.returncode == DONE, told(result)
    return stage.last_txid()


def changes_between(stage, before, after):
    result = seawall("diff", "--json", "--txid", before, "--txid", after, url_of(stage.replica))
    assert result.returncode == DONE, told(result)
    return [(one["table"], one["change"], one.get("row", one.get("after"))) for one in json.loads(result.stdout)["changes"]]


FILL = "WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < {rows}) INSERT INTO {table} SELECT n, randomblob({size}) FROM i"


@pytest.mark.parametrize("auto_vacuum", [0, 1])
def test_a_table_whose_pages_are_the_same_is_not_read(stage, auto_vacuum):
    """Some rows of it can't be read: nothing notices that."""
    before = replicated(stage, f"PRAGMA auto_vacuum={auto_vacuum}", "PRAGMA journal_mode=wal", "CREATE TABLE loud(id INTEGER PRIMARY KEY, a)",
                        "CREATE TABLE quiet(id INTEGER PRIMARY KEY, a)", "CREATE TABLE keyed(k PRIMARY KEY, a) WITHOUT ROWID",
                        FILL.format(table="loud", rows=2000, size=100), FILL.format(table="quiet", rows=4000, size=400),
                        FILL.format(table="keyed", rows=1000, size=50))
    after = replicated(stage, "UPDATE loud SET a = 'x' WHERE id IN (3, 1500)", "DELETE FROM loud WHERE id = 700")
    assert sorted(changes_between(stage, before, after), key=str) == [
        ("loud", "changed", {"id": 1500, "a": "x"}), ("loud", "changed", {"id": 3, "a": "x"}),
        next(one for one in changes_between(stage, before, after) if one[1] == "deleted")]
    largest = max((path for path in stage.replica.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    flip(largest, largest.stat().st_size // 2)
    assert seawall("shell", url_of(stage.replica), "SELECT sum(length(a)) FROM quiet").returncode == CORRUPT
    assert len(changes_between(stage, before, after)) == 3


def test_rows_that_changed_beside_their_leaf_are_found(stage):
    """The end of a long value is written in place: the leaf that has its begin stays as it was."""
    before = replicated(stage, "PRAGMA journal_mode=wal", "CREATE TABLE t(id INTEGER PRIMARY KEY, a)",
                        FILL.format(table="t", rows=3000, size=200), "UPDATE t SET a = randomblob(20000) WHERE id % 500 = 7")
    after = replicated(stage, "UPDATE t SET a = CAST(substr(a, 1, 19000) || zeroblob(1000) AS BLOB) WHERE id = 1007")
    assert [(table, change, row["id"]) for table, change, row in changes_between(stage, before, after)] == [("t", "changed", 1007)]


def test_many_places_of_a_table_are_compared(stage):
    """More ranges of rowids than are kept."""
    before = replicated(stage, "PRAGMA journal_mode=wal", "CREATE TABLE t(id INTEGER PRIMARY KEY, a)", FILL.format(table="t", rows=12000, size=300))
    ids = list(range(-5, 24000, 35))
    after = replicated(stage, "BEGIN", *(f"INSERT OR REPLACE INTO t VALUES({n}, 'new')" for n in ids), "COMMIT")
    found = changes_between(stage, before, after)
    assert sorted(row["id"] for _, _, row in found) == ids
    assert {change for _, change, _ in found} == {"inserted", "changed"}
