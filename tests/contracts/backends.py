"""Where the contract suite gets its engines from: one class per kind of store, and nothing else in the suite knows one.

A new engine joins by a class here and its name in ``BACKENDS``. A backend names one place where work is kept; opening it
twice gives two engines on the same work, as two processes have.
"""

import shutil
import sqlite3
import weakref
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path
from typing import Final, Protocol

from psycopg import sql

from steward.clock import Clock
from steward.database.tables import metadata
from steward.event import EventSink
from steward.ids import IdFactory
from steward.work_store import WorkEngine
from tests.postgresql import server
from tests.redis_server import everything, shared_server


class Backend(Protocol):
    """One place where work is kept."""

    def open(
        self, clock: Clock, ids: IdFactory, sinks: Sequence[EventSink] = ()
    ) -> AbstractAsyncContextManager[WorkEngine]:
        """Open an engine on this place; it follows ``clock``."""
        ...

    def holds(self, marker: str) -> bool:
        """Say whether these characters stand anywhere in what is committed, seen past the engine."""
        ...


class SqliteBackend:
    """SQLite in a folder of its own."""

    def __init__(self, folder: Path, template: Path | None = None) -> None:
        """Use ``folder``; start as a copy of ``template`` (a folder that has been opened before), which saves time."""
        self._folder = folder
        if template is None:
            folder.mkdir(parents=True, exist_ok=True)
        else:
            shutil.copytree(template, folder, dirs_exist_ok=True)
        self._file = folder / "steward.db"

    def open(
        self, clock: Clock, ids: IdFactory, sinks: Sequence[EventSink] = ()
    ) -> AbstractAsyncContextManager[WorkEngine]:
        """Open an engine on this file."""
        from steward.work_stores.sql import open_sql_engine

        return open_sql_engine(f"sqlite:///{self._file}", clock=clock, ids=ids, home=self._folder, sinks=sinks)

    def holds(self, marker: str) -> bool:
        """Look through every column of every table on a connection of our own."""
        wanted = marker.encode()
        with closing(sqlite3.connect(f"file:{self._file}?mode=ro", uri=True)) as connection:
            tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            for table in tables:
                for row in connection.execute(f'SELECT * FROM "{table}"'):
                    if any(wanted in (cell if isinstance(cell, bytes) else str(cell).encode()) for cell in row):
                        return True
        return False


class PostgresBackend:
    """A database of its own on the run's PostgreSQL, given back when nobody holds this any more."""

    def __init__(self, folder: Path, template: Path | None = None) -> None:
        """Need neither folder nor template."""
        del folder, template
        self._name = server().lend()
        weakref.finalize(self, server().give_back, self._name)

    def open(
        self, clock: Clock, ids: IdFactory, sinks: Sequence[EventSink] = ()
    ) -> AbstractAsyncContextManager[WorkEngine]:
        """Open an engine on this database."""
        from steward.work_stores.sql import open_sql_engine

        return open_sql_engine(server().url(self._name), clock=clock, ids=ids, home=None, sinks=sinks)

    def holds(self, marker: str) -> bool:
        """Look through every column of every table on a connection of our own."""
        wanted = marker.encode()
        with server().administrator(self._name) as connection:
            for table in metadata.tables:
                for row in connection.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(table))):
                    if any(wanted in (cell if isinstance(cell, bytes) else str(cell).encode()) for cell in row):
                        return True
        return False


class RedisBackend:
    """A database of its own in a real server that all tests share."""

    def __init__(self, folder: Path, template: Path | None = None) -> None:
        """Take an empty database; nothing is kept in a folder."""
        self._server = shared_server()
        self._database = self._server.new_database()

    def open(
        self, clock: Clock, ids: IdFactory, sinks: Sequence[EventSink] = ()
    ) -> AbstractAsyncContextManager[WorkEngine]:
        """Open an engine on this database."""
        from steward.work_stores.redis import open_redis_engine

        return open_redis_engine(self._server.url(self._database), clock=clock, ids=ids, safety="fast", sinks=sinks)

    def holds(self, marker: str) -> bool:
        """Look through every key and whatever it holds on a connection of our own."""
        wanted = marker.encode()
        with closing(self._server.client(self._database)) as client:
            return any(wanted in part for part in everything(client))


MakeBackend = Callable[[Path, Path | None], Backend]
BACKENDS: Final[dict[str, MakeBackend]] = {
    "postgresql": PostgresBackend,
    "redis": RedisBackend,
    "sqlite": SqliteBackend,
}
"""Every engine there is, by the name it has in a test's id: given a folder and a template folder, make the place."""
