"""Modules with the interface of Python's sqlite3: the one of Python itself, pysqlite3, sqlcipher3, libsql, turso. The argument names it."""
import importlib
import sys

from protocol import serve


class Client:
    def __init__(self, module, key):
        self.module, self.key = importlib.import_module(module), key

    def open(self, path):
        self.db = self.module.connect(path)
        if self.key:
            self.db.execute(f"PRAGMA key = '{self.key}'")

    def value(self, sql):
        self.db.commit()  # a transaction that the module began by itself would refuse VACUUM and pragmas
        row = self.db.execute(sql).fetchone()
        self.db.commit()
        return row[0] if row else None

    def write(self, text):
        self.db.execute("INSERT INTO item(body) VALUES(?)", (text,))
        self.db.commit()

    def close(self):
        self.db.close()


serve(Client(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""))
