"""The yardstick: the same statements, with the same values, in the same transactions, on Python's own sqlite3.

A run is made twice: once for the clock, and once with a recorder on the writer's connection, which notes what is sent to
SQLite (noting costs time, so it has a run of its own). The replay sends exactly that, with the same pragmas, to a copy of
the database as it was before, with nothing around it: no contract, no threads, no event loop. What SQLite and the disk
need for the work is the replay; the rest is Steward's own.

A run and its replay follow each other, and what counts is the ratio at the median of such pairs: both are over in a moment, in
which a disk may be slow.
"""

import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from figure import Figure, median
from sqlalchemy import event

from steward.database import Database
from steward.database.sql import CACHED_STATEMENTS
from steward.database.sqlite import _PRAGMAS

BARE = "bare sqlite3, same statements, pragmas and batches"

Step = Callable[[sqlite3.Connection], object]
Run = Callable[[Path, bool], Awaitable[float]]
"""Does the work in a folder of its own and returns the seconds that it takes, or (True) records it and returns those of its replay."""


class _Cursor(sqlite3.Cursor):
    """A cursor that notes what it runs (SQLAlchemy uses one to begin a transaction)."""

    def execute(self, sql: str, values: Any = (), /) -> "_Cursor":
        """Note it, then run it."""
        noting: Any = self.connection
        noting.note(lambda bare: bare.execute(sql, values).fetchall())
        return super().execute(sql, values)

    def executemany(self, sql: str, values: Iterable[Any], /) -> "_Cursor":
        """Note it, then run it."""
        noting: Any = self.connection
        each = list(values)
        noting.note(lambda bare: bare.executemany(sql, each))
        return super().executemany(sql, each)


class _Connection(sqlite3.Connection):
    """A connection that notes what it runs and where a transaction ends."""

    steps: list[tuple[float, Step]]
    """What was run, and when."""

    def note(self, step: Step) -> None:
        """Note a step."""
        self.steps.append((time.perf_counter(), step))

    def cursor(self, factory: Any = None, /) -> sqlite3.Cursor:
        """Return a cursor that notes."""
        return super().cursor(factory or _Cursor)

    def execute(self, sql: str, values: Any = (), /) -> sqlite3.Cursor:
        """Run it on a cursor that notes."""
        return self.cursor().execute(sql, values)

    def executemany(self, sql: str, values: Iterable[Any], /) -> sqlite3.Cursor:
        """Run it on a cursor that notes."""
        return self.cursor().executemany(sql, values)

    def commit(self) -> None:
        """Note it, then do it."""
        self.note(sqlite3.Connection.commit)
        super().commit()

    def rollback(self) -> None:
        """Note it, then do it."""
        self.note(sqlite3.Connection.rollback)
        super().rollback()


class Recorder:
    """Notes what a database's writer sends."""

    def __init__(self, database: Database) -> None:
        """Listen on a database that nobody uses at the moment, and keep a copy of it as it is now."""
        self.steps: list[tuple[float, Step]] = []
        self._copy = Path(f"{database.url.removeprefix('sqlite:///')}.before")
        engine = database._write_engine  # noqa: SLF001 - a yardstick looks closely
        with closing(engine.raw_connection()) as source, closing(sqlite3.connect(self._copy)) as copy:
            source.driver_connection.backup(copy)
        event.listen(engine, "do_connect", self._noting)
        engine.dispose()  # the next connection is one that notes

    def _noting(self, _dialect: object, _record: object, _args: object, options: dict[str, Any]) -> None:
        def connection(*args: Any, **more: Any) -> _Connection:
            made = _Connection(*args, **more)
            made.steps = self.steps
            return made

        options["factory"] = connection

    def replay(self, since: float = 0.0) -> float:
        """Return how many seconds bare sqlite3 takes for what was noted; what came before ``since`` is run, and not counted."""
        with closing(sqlite3.connect(self._copy, isolation_level=None, cached_statements=CACHED_STATEMENTS)) as bare:
            for pragma in _PRAGMAS:
                bare.execute(f"PRAGMA {pragma}")
            for _, step in (early for early in self.steps if early[0] < since):
                step(bare)
            counted = [step for at, step in self.steps if at >= since]
            began = time.perf_counter()
            for step in counted:
                step(bare)
            return time.perf_counter() - began


async def beside_bare(folder: Path, what: str, jobs: int, pairs: int, run: Run) -> Figure:
    """Return the median rate of so many runs, and beside it what the median ratio of the pairs makes of it."""
    rates, ratios = [], []
    for number in range(pairs):
        homes = [folder / f"{number} {side}" for side in ("steward", "bare")]
        for home in homes:
            home.mkdir(parents=True)
        taken, bare = [await run(home, record) for home, record in zip(homes, (False, True), strict=True)]
        rates.append(jobs / taken)
        ratios.append(bare / taken)
    return Figure(what, median(rates), "/s", BARE, median(rates) / median(ratios))
