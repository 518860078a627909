"""apsw with apsw.bestpractice, which its documentation recommends."""
import apsw
import apsw.bestpractice

from protocol import serve

apsw.bestpractice.apply(apsw.bestpractice.recommended)


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
