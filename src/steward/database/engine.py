"""The database behind threads: writers that commit what waits together, a few readers beside them.

Every commit costs a flush to disk, so what has queued up in one lane meanwhile is run in a single transaction, each unit in
a savepoint of its own. A unit that fails is rolled back alone; after an error nothing of it remains. Nobody hears of success
before the commit. What differs between databases is in ``sqlite`` and ``postgres``: how many write at once, what belongs in
one lane, how a transaction begins, and what its errors mean.

(Measured while choosing: SQLAlchemy's asyncio layer on SQLite is about eight times slower than this.)
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, TypeVar

import sqlalchemy
import stamina
import structlog
from sqlalchemy import Connection, Engine

from steward.database.glance import Glance
from steward.database.kind import Kind, Lost, Whose
from steward.database.lanes import Lanes
from steward.errors import StoreUnavailable

T = TypeVar("T")

_log = structlog.get_logger("steward.database")
_READERS: Final = 4
_GROUP: Final = 64
"""Most units in one commit."""
_PING_S: Final = 2.0
_NO_ANSWER: Final = "The store does not answer in time; a change may or may not have been made. Send it again."


@dataclass(slots=True)
class _Unit:
    """One write that waits for a writer."""

    run: Callable[[Connection], Any]
    then: Callable[[Any], None] | None
    whose: Whose
    since: float
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None


def _kind_of(url: str) -> Kind:
    if sqlalchemy.make_url(url).get_backend_name() == "sqlite":
        from steward.database.sqlite import Sqlite  # noqa: PLC0415 - each kind brings its own driver

        return Sqlite(url, readers=_READERS)
    from steward.database.postgres import Postgres  # noqa: PLC0415

    return Postgres(url, readers=_READERS)


class Database:
    """A SQL database. ``read`` and ``write`` run a function of a connection on a thread and return what it returns.

    Both raise ``StoreUnavailable`` when the database cannot be reached or is locked for too long.
    """

    def __init__(self, url: str) -> None:
        """Open ``url``, a SQLAlchemy URL of a SQLite file, which is made if there is none, or of a PostgreSQL database."""
        self.url = url
        self.kind = _kind_of(url)
        self._write_engine, self._read_engine = self.kind.write_engine, self.kind.read_engine
        self._glance = Glance(self.kind.glance_engine)
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="steward-read")
        self._lanes: Lanes[_Unit] = Lanes(_GROUP)
        self._closed = False
        self._away = {self._write_engine: 0.0, self._read_engine: 0.0}
        self._heard = dict(self._away)
        self._writers = [
            threading.Thread(target=self._write_loop, name=f"steward-write-{number}", daemon=True)
            for number in range(self.kind.writers)
        ]
        for writer in self._writers:
            writer.start()

    async def read(
        self,
        run: Callable[[Connection], T],
        *,
        tenant: str | None = None,
        piped: bool = False,
        patient: bool = False,
    ) -> T:
        """Return ``run(connection)``, seen in one consistent snapshot; of ``tenant`` alone, if given.

        ``piped``: it speaks through ``Sql`` alone. ``patient``: it is waited for, however long the database says nothing.
        """
        loop = asyncio.get_running_loop()
        whose = Whose(tenant, locks=True, piped=piped)
        reading = loop.run_in_executor(self._readers, self._read, run, whose, time.monotonic())
        return await self._answer(reading, self._read_engine, patient=patient)

    def at_once(self, run: Callable[[Connection], T]) -> T:
        """Return ``run(connection)``, which asks for a few rows in one statement, without leaving this thread.

        Raises ``WouldWait`` where that is not to be had: then ``read``.
        """
        return self._glance.at(run)

    async def write(
        self,
        run: Callable[[Connection], T],
        then: Callable[[T], None] | None = None,
        *,
        tenant: str | None = None,
        locks: bool = False,
        piped: bool = False,
        patient: bool = False,
        quick: bool = False,
    ) -> T:
        """Return ``run(connection)`` once it is committed; ``then`` is called with it on the event loop just before.

        ``run`` may be rolled back and its exception raised here, and it may be run again; it must have no effect outside
        the connection. ``then`` is called also if the caller has stopped waiting meanwhile.

        It takes turns with every other write, in all processes, unless it ``locks`` the rows that it is about to change.
        ``tenant``: it does, and touches rows of this workspace only. ``piped``, ``patient``: as in ``read``; a write that was
        not waited for may be done later. ``quick``: it is piped, small and waits for no answer, so that no thread is needed.
        """
        if self._closed:
            raise StoreUnavailable("The store is closed.")
        loop = asyncio.get_running_loop()
        whose = Whose(tenant, locks=locks or tenant is not None, piped=piped)
        unit = _Unit(run, then, whose, time.monotonic(), loop, loop.create_future())
        line = self.kind.line
        if quick and line is not None and line.is_free():
            line.send(run, whose, partial(self._settle, unit))
        else:
            self._lanes.put(self.kind.lane(whose), unit)
        return await self._answer(unit.future, self._write_engine, patient=patient)

    def _settle(self, unit: _Unit, result: Any, error: Exception | None) -> None:
        """Tell what a write came to that went without a thread, or let a thread run it again."""
        if isinstance(error, Lost) and not self._closed:
            self._lanes.put(self.kind.lane(unit.whose), unit)
            return
        if error is None:
            self._heard[self._write_engine] = time.monotonic()
        unit.result, unit.error = result, None if error is None else self.kind.told(error)
        _tell([unit])

    async def _answer(self, answer: asyncio.Future[T], engine: Engine, *, patient: bool) -> T:
        """Return what the future brings, unless the database has answered nobody for longer than a 503 may take.

        If the caller is cancelled, or told that meanwhile, only this future hears of it.
        """
        patience_s = self.kind.patience_s
        if patient or patience_s is None:
            return await answer
        since, left_s = time.monotonic(), patience_s
        try:
            while left_s > 0:
                if (await asyncio.wait((answer,), timeout=left_s))[0]:
                    return answer.result()
                left_s = max(since, self._heard[engine]) + patience_s - time.monotonic()
        except asyncio.CancelledError:
            answer.cancel()
            raise
        answer.cancel()
        raise StoreUnavailable(_NO_ANSWER)

    def run_sync(self, run: Callable[[Connection], T]) -> T:
        """Return ``run(connection)`` in a write transaction on the calling thread, however long it takes: for migrations."""
        try:
            return self._transact(self._write_engine, Whose(None, patient=True), run)
        except Exception as error:
            raise self.kind.told(error) from error

    async def ping(self) -> None:
        """Return if the database answers; raise ``StoreUnavailable`` otherwise."""
        try:
            async with asyncio.timeout(_PING_S):
                await self.read(lambda connection: connection.exec_driver_sql("SELECT 1").scalar())
        except TimeoutError as error:
            raise StoreUnavailable from error

    async def aclose(self) -> None:
        """Finish what is queued, then close every connection."""
        self._closed = True
        if self.kind.line is not None:
            await self.kind.line.aclose()
        self._lanes.close()
        for writer in self._writers:
            await asyncio.to_thread(writer.join)
        self._readers.shutdown(wait=True)
        self._glance.close()
        self._read_engine.dispose()
        self._write_engine.dispose()

    def read_sync(self, run: Callable[[Connection], T]) -> T:
        """Return ``run(connection)`` as ``read`` does, on the calling thread."""
        return self._read(run, Whose(None, locks=True), None)

    def _read(self, run: Callable[[Connection], T], whose: Whose, since: float | None) -> T:
        if since is not None and since < self._away[self._read_engine]:
            raise StoreUnavailable  # it has waited for an outage that others met: nobody waits for it twice
        try:
            return self._in_turns(self._read_engine, whose, run)
        except Exception as error:
            raise self.kind.told(error) from error

    def _write_loop(self) -> None:
        while (taken := self._lanes.take()) is not None:
            lane, group = taken
            try:
                self._commit(group)
            finally:
                self._lanes.done(lane)

    def _commit(self, group: list[_Unit]) -> None:
        """Run a group in one transaction and tell everybody how it went."""
        try:
            self._run_group(group)
        except Exception as error:  # noqa: BLE001 - whatever it was, nothing is committed and everybody must be told
            told = self.kind.told(error)
            for unit in group:
                unit.error = unit.error or told
        for loop in {id(unit.loop): unit.loop for unit in group}.values():
            mine = [unit for unit in group if unit.loop is loop]
            try:
                loop.call_soon_threadsafe(_tell, mine)
            except RuntimeError:  # that loop is closed: nobody waits there any more
                continue

    def _run_group(self, group: list[_Unit]) -> None:
        if all(unit.since < self._away[self._write_engine] for unit in group):
            raise StoreUnavailable
        if len(group) == 1:
            (unit,) = group
            unit.result = self._in_turns(self._write_engine, unit.whose, unit.run)
            return
        whose = replace(group[0].whose, piped=False)  # each is to know of its own errors
        self._in_turns(self._write_engine, whose, lambda connection: self._run_all(connection, group))

    def _run_all(self, connection: Connection, group: list[_Unit]) -> None:
        driver: Any = connection.connection.driver_connection
        for unit in group:
            unit.result = unit.error = None
            driver.execute("SAVEPOINT unit")
            try:
                unit.result = unit.run(connection)
            except Exception as error:
                if self.kind.is_over(connection, error):
                    raise
                unit.error = self.kind.told(error)
                driver.execute("ROLLBACK TO unit")
            driver.execute("RELEASE unit")

    def _in_turns(self, engine: Engine, whose: Whose, run: Callable[[Connection], T]) -> T:
        """Return ``run(connection)``, run again a few times if the database gave its transaction up."""
        with contextlib.suppress(Lost):
            return self._transact(engine, whose, run)
        for attempt in stamina.retry_context(on=Lost, attempts=5, timeout=1.5, wait_initial=0.01, wait_max=0.2):
            with attempt:
                return self._transact(engine, whose, run)
        raise AssertionError("it returned or raised")

    def _transact(self, engine: Engine, whose: Whose, run: Callable[[Connection], T]) -> T:
        """Return ``run(connection)``, committed. Raises ``Lost`` if nothing of it is left and it may be run again."""
        begun = ending = False
        try:
            light = self.kind.light(engine, whose)
            if light is not None:
                with light as connection:
                    begun = True
                    answer = run(connection)
                self._heard[engine] = time.monotonic()
                return answer
            with engine.connect() as connection:
                connection.execution_options(whose=whose)
                try:
                    with contextlib.ExitStack() as frame:
                        with self.kind.pipe(connection, whose):
                            transaction = frame.enter_context(connection.begin())
                            begun = True
                            answer = run(connection)
                            ending = True
                        transaction.commit()
                        self._heard[engine] = time.monotonic()
                        return answer
                except Exception as error:
                    if not self.kind.is_over(connection, error):
                        raise
                    self.kind.discard(engine, connection)
                    raise self.kind.what_now(error, ending=ending) from error
        except Exception as error:
            if not begun and self.kind.is_away(error):
                self._away[engine] = time.monotonic()
            raise


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
