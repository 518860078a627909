"""SQLAlchemy's ORM, with its default engine for SQLite."""
from sqlalchemy import create_engine, text as statement
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from protocol import serve


class Base(DeclarativeBase):
    pass


class Item(Base):
    __tablename__ = "item"
    id: Mapped[int] = mapped_column(primary_key=True)
    body: Mapped[str]


class Client:
    def open(self, path):
        self.engine = create_engine(f"sqlite:///{path}")

    def value(self, sql):
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            result = connection.execute(statement(sql))
            row = result.fetchone() if result.returns_rows else None
            return row[0] if row else None

    def write(self, text):
        with Session(self.engine) as session:
            session.add(Item(body=text))
            session.commit()

    def close(self):
        self.engine.dispose()


serve(Client())
