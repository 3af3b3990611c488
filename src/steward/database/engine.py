"""The database behind threads: one writer that commits what waits together, a few readers beside it.

SQLite allows one writer at a time and every commit costs a flush to disk, so all writes of a process go through one
thread, which runs whatever has queued up meanwhile in a single transaction, each unit in a savepoint of its own. A unit
that fails is rolled back alone; after an error nothing of it remains. Nobody hears of success before the commit.

(Measured while choosing: SQLAlchemy's asyncio layer on SQLite is about eight times slower than this.)
"""

import asyncio
import contextlib
import os
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import sqlalchemy
import structlog
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DBAPIError, IntegrityError

from steward.database.sql import CACHED_STATEMENTS
from steward.errors import Conflict, StoreUnavailable

T = TypeVar("T")

_log = structlog.get_logger("steward.database")
_READERS: Final = 4
_GROUP: Final = 64
"""Most units in one commit."""
_BUSY_MS: Final = 1_500
"""How long to wait for another process's write: within the two seconds in which a 503 is due."""
_PRAGMAS: Final = (
    "journal_mode=WAL",
    "synchronous=FULL",
    f"busy_timeout={_BUSY_MS}",
    "foreign_keys=ON",
    "temp_store=MEMORY",
    "cache_size=-8000",
)


@dataclass(slots=True)
class _Unit:
    """One write that waits for the writer."""

    run: Callable[[Connection], Any]
    then: Callable[[Any], None] | None
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None


def _make_private(url: str) -> None:
    """Make the file of a new SQLite database, readable by its owner alone; SQLite's other files follow its mode."""
    file = sqlalchemy.make_url(url).database
    if file:
        with contextlib.suppress(OSError):  # SQLite itself will say what is wrong with the place
            os.close(os.open(file, os.O_CREAT | os.O_RDONLY, 0o600))


def _configure(engine: Engine, begin: str) -> None:
    @event.listens_for(engine, "connect")
    def _connect(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)


def _translated(error: BaseException) -> BaseException:
    """Return what the caller is told: a broken rule of the schema is a conflict, anything else of the driver's an outage."""
    if not isinstance(error, (DBAPIError, sqlite3.Error)):
        return error
    broken_rule = isinstance(error, (IntegrityError, sqlite3.IntegrityError))
    told = Conflict("An id in it exists already.") if broken_rule else StoreUnavailable()
    told.__cause__ = error
    return told


class Database:
    """A SQL database. ``read`` and ``write`` run a function of a connection on a thread and return what it returns.

    Both raise ``StoreUnavailable`` when the database cannot be reached or is locked for too long.
    """

    def __init__(self, url: str) -> None:
        """Open ``url``, a SQLAlchemy URL of a SQLite file, which is made if there is none."""
        self.url = url
        _make_private(url)
        keep = {"cached_statements": CACHED_STATEMENTS}
        self._write_engine = sqlalchemy.create_engine(url, pool_size=1, max_overflow=0, connect_args=keep)
        self._read_engine = sqlalchemy.create_engine(url, pool_size=_READERS, max_overflow=0, connect_args=keep)
        _configure(self._write_engine, "BEGIN IMMEDIATE")
        _configure(self._read_engine, "BEGIN")
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="steward-read")
        self._units: queue.SimpleQueue[_Unit | None] = queue.SimpleQueue()
        self._closed = False
        self._writer = threading.Thread(target=self._write_loop, name="steward-write", daemon=True)
        self._writer.start()

    async def read(self, run: Callable[[Connection], T]) -> T:
        """Return ``run(connection)``, seen in one consistent snapshot."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self.read_sync, run)

    async def write(self, run: Callable[[Connection], T], then: Callable[[T], None] | None = None) -> T:
        """Return ``run(connection)`` once it is committed; ``then`` is called with it on the event loop just before.

        ``run`` may be rolled back and its exception raised here; it must have no effect outside the connection.
        ``then`` is called also if the caller has stopped waiting meanwhile.
        """
        if self._closed:
            raise StoreUnavailable("The store is closed.")
        loop = asyncio.get_running_loop()
        unit = _Unit(run, then, loop, loop.create_future())
        self._units.put(unit)
        return await unit.future  # if the caller is cancelled meanwhile, only this future hears of it

    def run_sync(self, run: Callable[[Connection], T]) -> T:
        """Return ``run(connection)`` in a write transaction on the calling thread: for migrations at start."""
        try:
            with self._write_engine.connect() as connection, connection.begin():
                return run(connection)
        except (DBAPIError, sqlite3.Error) as error:
            raise _translated(error) from error

    async def ping(self) -> None:
        """Return if the database answers; raise ``StoreUnavailable`` otherwise."""
        try:
            async with asyncio.timeout(2.0):
                await self.read(lambda connection: connection.exec_driver_sql("SELECT 1").scalar())
        except TimeoutError as error:
            raise StoreUnavailable from error

    async def aclose(self) -> None:
        """Finish what is queued, then close every connection."""
        self._closed = True
        self._units.put(None)
        await asyncio.to_thread(self._writer.join)
        self._readers.shutdown(wait=True)
        self._read_engine.dispose()
        self._write_engine.dispose()

    def read_sync(self, run: Callable[[Connection], T]) -> T:
        """Return ``run(connection)``, seen in one consistent snapshot, on the calling thread."""
        try:
            with self._read_engine.connect() as connection, connection.begin():
                return run(connection)
        except (DBAPIError, sqlite3.Error) as error:
            raise _translated(error) from error

    def _write_loop(self) -> None:
        while (unit := self._units.get()) is not None:
            group = [unit, *self._waiting(_GROUP - 1)]
            self._commit(group)

    def _waiting(self, most: int) -> list[_Unit]:
        """Take up to ``most`` units that wait by now."""
        taken: list[_Unit] = []
        while len(taken) < most:
            try:
                unit = self._units.get_nowait()
            except queue.Empty:
                break
            if unit is None:  # the end, which the loop must see
                self._units.put(None)
                break
            taken.append(unit)
        return taken

    def _commit(self, group: list[_Unit]) -> None:
        """Run a group in one transaction and tell everybody how it went."""
        begun = False
        try:
            with self._write_engine.connect() as connection, connection.begin():
                begun = True
                for unit in group:
                    self._run(connection, unit)
        except Exception as error:  # noqa: BLE001 - whatever it was, nothing is committed and everybody must be told
            if not begun:  # whoever has queued up meanwhile has waited for the same lock: nobody waits for it twice
                group += self._waiting(self._units.qsize())
            for unit in group:
                unit.error = _translated(error)
        for loop in {id(unit.loop): unit.loop for unit in group}.values():
            mine = [unit for unit in group if unit.loop is loop]
            try:
                loop.call_soon_threadsafe(_tell, mine)
            except RuntimeError:  # that loop is closed: nobody waits there any more
                continue

    @staticmethod
    def _run(connection: Connection, unit: _Unit) -> None:
        driver: Any = connection.connection.driver_connection
        driver.execute("SAVEPOINT unit")
        try:
            unit.result = unit.run(connection)
        except Exception as error:  # noqa: BLE001 - handed to whoever waits for this unit
            unit.error = _translated(error)
            driver.execute("ROLLBACK TO unit")
        driver.execute("RELEASE unit")


def _tell(group: list[_Unit]) -> None:
    for unit in group:
        if unit.error is None and unit.then is not None:
            try:
                unit.then(unit.result)
            except Exception:  # noqa: BLE001 - it is committed, and the rest of the group waits for its answers
                _log.exception("A listener failed after a commit.", action="listener_failed")
        if unit.future.cancelled():
            continue
        if unit.error is None:
            unit.future.set_result(unit.result)
        else:
            unit.future.set_exception(unit.error)
