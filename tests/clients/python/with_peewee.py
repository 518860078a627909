"""peewee, with the defaults of SqliteDatabase."""
from peewee import Model, SqliteDatabase, TextField

from protocol import serve

database = SqliteDatabase(None)


class Item(Model):
    body = TextField()

    class Meta:
        database = database
        table_name = "item"


class Client:
    def open(self, path):
        database.init(path)
        database.connect()

    def value(self, sql):
        row = database.execute_sql(sql).fetchone()
        return row[0] if row else None

    def write(self, text):
        Item.create(body=text)

    def close(self):
        database.close()


serve(Client())
