"""sqlite-utils, as a library."""
import sqlite_utils

from protocol import serve


class Client:
    def open(self, path):
        self.db = sqlite_utils.Database(path)

    def value(self, sql):
        row = self.db.execute(sql).fetchone()
        self.db.conn.commit()
        return row[0] if row else None

    def write(self, text):
        self.db["item"].insert({"body": text})

    def close(self):
        self.db.close()


serve(Client())
