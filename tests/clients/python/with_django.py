"""Django's ORM, with its default settings for SQLite."""
import django
from django.conf import settings
from django.db import connection, connections, models

from protocol import serve


def begin(path):
    settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": path}}, INSTALLED_APPS=[])
    django.setup()

    class Item(models.Model):
        body = models.TextField()

        class Meta:
            app_label = "clients"
            db_table = "item"

    return Item


class Client:
    item = None

    def open(self, path):
        if self.item is None:
            self.item = begin(path)
        connection.ensure_connection()

    def value(self, sql):
        with connection.cursor() as cursor:
            cursor.execute(sql)
            row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None

    def write(self, text):
        self.item.objects.create(body=text)

    def close(self):
        connections.close_all()


serve(Client())
