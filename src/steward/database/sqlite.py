"""SQLite: one writer at a time, so one lane; a write-ahead log, flushed at every commit."""

import contextlib
import os
import sqlite3
from collections.abc import Hashable, Iterator
from typing import Any, Final

import sqlalchemy
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DBAPIError, IntegrityError

from steward.database.kind import Kind, Plain, Whose
from steward.database.sql import CACHED_STATEMENTS
from steward.errors import Conflict, StoreUnavailable

_BUSY_MS: Final = 1_500
"""How long to wait for another process's write: within the two seconds in which a 503 is due."""
_WRITE: Final = "BEGIN IMMEDIATE"
_READ: Final = "BEGIN"
_PRAGMAS: Final = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    "temp_store=MEMORY",
    "cache_size=-8000",
)


def _nothing(value: None) -> None:
    """Return None as it is, for SQLite's NULL."""
    del value


sqlite3.register_adapter(type(None), _nothing)
"""Otherwise Python's sqlite3 looks, for each NULL, for something that could adapt it, and makes an exception of not finding it:
that takes longer than to bind a text.
"""


def _make_private(url: str) -> None:
    """Make the file of a new SQLite database, readable by its owner alone; SQLite's other files follow its mode."""
    file = sqlalchemy.make_url(url).database
    if file:
        with contextlib.suppress(OSError):  # SQLite itself will say what is wrong with the place
            os.close(os.open(file, os.O_CREAT | os.O_RDONLY, 0o600))


def _configure(engine: Engine, begin: str, busy_ms: int = _BUSY_MS) -> None:
    @event.listens_for(engine, "connect")
    def _connect(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        for pragma in (f"busy_timeout={busy_ms}", *_PRAGMAS):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "reset")
    def _reset(connection: sqlite3.Connection, *_: object) -> None:
        connection.rollback()  # behind a commit that failed, too, which SQLAlchemy takes for the end: it would keep the lock

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        driver: Any = connection.connection.driver_connection
        driver.execute(begin)  # itself: through SQLAlchemy it costs as much again as the rest of an empty transaction


class Sqlite(Kind):
    """A SQLite file."""

    writers = 1
    patience_s = None
    line = None

    def __init__(self, url: str, *, readers: int) -> None:
        """Open the file, which is made if there is none."""
        _make_private(url)
        options: dict[str, Any] = {
            "connect_args": {"cached_statements": CACHED_STATEMENTS},
            "hide_parameters": True,  # errors are logged, and what was to be stored is nobody's to read there
        }
        self.write_engine = sqlalchemy.create_engine(url, pool_size=1, max_overflow=0, **options)
        self.read_engine = sqlalchemy.create_engine(url, pool_size=readers, max_overflow=0, **options)
        self.glance_engine = sqlalchemy.create_engine(url, pool_size=1, max_overflow=0, **options)
        _configure(self.write_engine, _WRITE)
        _configure(self.read_engine, _READ)
        _configure(self.glance_engine, _READ, busy_ms=0)

    def lane(self, whose: Whose) -> Hashable:
        """Return the one lane that there is."""
        del whose

    def light(self, engine: Engine, whose: Whose) -> contextlib.AbstractContextManager[Plain] | None:
        """Return a transaction on the driver's own connection for whoever speaks through ``Sql`` alone."""
        return self._transaction(engine) if whose.piped else None

    @contextlib.contextmanager
    def _transaction(self, engine: Engine) -> Iterator[Plain]:
        with contextlib.closing(engine.raw_connection()) as lent:
            driver: Any = lent.driver_connection
            driver.execute(_WRITE if engine is self.write_engine else _READ)
            try:
                yield Plain(engine.dialect, driver)
                driver.execute("COMMIT")
            except BaseException:
                driver.rollback()
                raise

    def pipe(self, connection: Connection, whose: Whose) -> contextlib.AbstractContextManager[Any]:
        """Return nothing in particular: there is no server to wait for."""
        del connection, whose
        return contextlib.nullcontext()

    def told(self, error: Exception) -> Exception:
        """Return a broken rule of the schema as a conflict, anything else of the driver's as an outage."""
        if not isinstance(error, (DBAPIError, sqlite3.Error)):
            return error
        broken_rule = isinstance(error, (IntegrityError, sqlite3.IntegrityError))
        told = Conflict("An id in it exists already.") if broken_rule else StoreUnavailable()
        told.__cause__ = error
        return told

    def is_away(self, error: Exception) -> bool:
        """Return True: the file, or the one lock on it, is the same for everybody."""
        del error
        return True

    def is_over(self, connection: Connection, error: Exception) -> bool:
        """Return False: a file does not hang up."""
        del connection, error
        return False

    def discard(self, engine: Engine, connection: Connection) -> None:
        """Do nothing: no transaction is over before its time."""

    def what_now(self, error: Exception, *, ending: bool) -> Exception:
        """Return the error as it is."""
        del ending
        return error
