"""The yardstick: the same statements, with the same values, in the same transactions, on Python's own sqlite3.

A recorder on the writer's connection notes what a run sends to SQLite while it is measured. The replay sends exactly that,
with the same pragmas, to a copy of the database as it was before, with nothing around it: no contract, no threads, no event
loop. What SQLite and the disk need for the work is the replay; the rest is Steward's own.
"""

import sqlite3
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import event

from steward.database import Database
from steward.database.engine import _PRAGMAS

Step = Callable[[sqlite3.Connection], object]


class _Cursor(sqlite3.Cursor):
    """A cursor that notes what it runs (SQLAlchemy uses it to begin a transaction)."""

    def execute(self, sql: str, values: Any = (), /) -> "_Cursor":
        """Note it, then run it."""
        noted: _Connection = self.connection  # type: ignore[assignment]
        noted.steps.append(lambda bare: bare.execute(sql, values).fetchall())
        return super().execute(sql, values)


class _Connection(sqlite3.Connection):
    """A connection that notes what it runs."""

    steps: list[Step]

    def cursor(self, factory: Any = None, /) -> sqlite3.Cursor:
        """Return a cursor that notes, too."""
        return super().cursor(factory or _Cursor)

    def execute(self, sql: str, values: Any = (), /) -> sqlite3.Cursor:
        """Note it, then run it."""
        self.steps.append(lambda bare: bare.execute(sql, values).fetchall())
        return sqlite3.Cursor(self).execute(sql, values)

    def executemany(self, sql: str, values: Iterable[Any], /) -> sqlite3.Cursor:
        """Note it, then run it."""
        each = list(values)
        self.steps.append(lambda bare: bare.executemany(sql, each))
        return sqlite3.Cursor(self).executemany(sql, each)

    def commit(self) -> None:
        """Note it, then do it."""
        self.steps.append(sqlite3.Connection.commit)
        super().commit()

    def rollback(self) -> None:
        """Note it, then do it."""
        self.steps.append(sqlite3.Connection.rollback)
        super().rollback()


class Recorder:
    """Notes what a database's writer sends."""

    def __init__(self, database: Database) -> None:
        """Listen on a database that nobody uses at the moment."""
        self.steps: list[Step] = []
        self._file = Path(str(database.url).removeprefix("sqlite:///"))
        self._copy = self._file.with_name("before.db")

        def connect(_dialect: object, _record: object, _args: object, options: dict[str, Any]) -> None:
            options["factory"] = self._connection

        engine = database._write_engine  # noqa: SLF001 - a yardstick looks closely
        event.listen(engine, "do_connect", connect)
        engine.dispose()  # the next connection is one that notes

    def _connection(self, *args: Any, **options: Any) -> _Connection:
        made = _Connection(*args, **options)
        made.steps = self.steps
        return made

    def begin(self) -> None:
        """Keep a copy of the database as it is now, and note only what follows."""
        with closing(sqlite3.connect(self._file)) as source, closing(sqlite3.connect(self._copy)) as copy:
            source.backup(copy)
        self.steps.clear()

    def replay(self) -> float:
        """Return how many seconds bare sqlite3 takes for what was noted since ``begin``."""
        with closing(sqlite3.connect(self._copy, isolation_level=None, cached_statements=512)) as bare:
            for pragma in _PRAGMAS:
                bare.execute(f"PRAGMA {pragma}")
            began = time.perf_counter()
            for step in list(self.steps):
                step(bare)
            return time.perf_counter() - began
