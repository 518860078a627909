"""aiosqlite, with its defaults."""
import asyncio

import aiosqlite

from protocol import serve

loop = asyncio.new_event_loop()
run = loop.run_until_complete


class Client:
    def open(self, path):
        self.db = run(aiosqlite.connect(path))

    def value(self, sql):
        cursor = run(self.db.execute(sql))
        row = run(cursor.fetchone())
        run(cursor.close())
        run(self.db.commit())
        return row[0] if row else None

    def write(self, text):
        run(self.db.execute("INSERT INTO item(body) VALUES(?)", (text,)))
        run(self.db.commit())

    def close(self):
        run(self.db.close())


serve(Client())
