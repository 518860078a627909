"""apsw, with the defaults of its module alone."""
import apsw

from protocol import serve


class Client:
    def open(self, path):
        self.db = apsw.Connection(path)

    def value(self, sql):
        row = self.db.execute(sql).fetchone()
        return row[0] if row else None

    def write(self, text):
        self.db.execute("INSERT INTO item(body) VALUES(?)", (text,))

    def close(self):
        self.db.close()


serve(Client())
