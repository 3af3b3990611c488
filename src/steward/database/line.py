"""A connection to PostgreSQL that the event loop speaks over by itself, for a transaction that is one packet.

To hand a lone, small transaction to a thread and to hear of it takes longer than to do it: the two wake each other, and share one
interpreter. What asks for nothing on its way can be sent by whoever wants it, and its answer wakes the loop. There is one such
connection in a process, opened aside when it is first missed. While it is not there, or busy, or the server has given a
transaction up, the threads do the work; so nobody ever waits for it, and only they have to know how one tries again.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

import psycopg
from sqlalchemy import Connection, Engine

from steward.database.kind import Lost, Settle, Whose
from steward.database.pipe import GIVEN_UP, IN_DOUBT, Pipe
from steward.errors import StoreUnavailable

_AGAIN_S: Final = 1.0
"""From an attempt to connect to the next."""


class LoopLine:
    """The connection, in the hands of the event loop that first wanted it."""

    def __init__(self, engine: Engine, begin: Callable[[Pipe, Whose], None]) -> None:
        """Take it from the pool of an ``engine``; a transaction begins with what ``begin`` sends."""
        self._engine = engine
        self._begin = begin
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connection: Connection | None = None
        self._opening: asyncio.Task[None] | None = None
        self._not_before = 0.0
        self._under_way: tuple[Any, Settle] | None = None
        self._socket = -1
        self._waits_for_room = False
        self._closed = False

    def is_free(self) -> bool:
        """Say whether this loop may send a transaction now. If there is no connection, see to it that there will be."""
        loop = asyncio.get_running_loop()
        if self._connection is not None:
            return self._loop is loop and self._under_way is None
        if self._opening is None and not self._closed and time.monotonic() >= self._not_before:
            self._loop, self._opening = loop, loop.create_task(self._open(loop))
        return False

    async def _open(self, loop: asyncio.AbstractEventLoop) -> None:
        self._not_before = time.monotonic() + _AGAIN_S
        try:
            connection = await asyncio.to_thread(self._engine.connect)
        except Exception:  # noqa: BLE001 - the threads meet the same, and tell of it
            return
        finally:
            self._opening = None
        self._connection, self._socket = connection, _driver(connection).fileno()
        loop.add_reader(self._socket, self._hear)

    def send(self, run: Callable[[Connection], Any], whose: Whose, settle: Settle) -> None:
        """Send what ``run`` sends over the connection, as one transaction; ``run`` waits for nothing. The line is free."""
        connection = self._connection
        assert connection is not None
        pipe = Pipe.of(connection)
        try:
            pipe.__enter__()
            self._begin(pipe, whose)
            result = run(connection)
            pipe.send_end()
        except Exception as error:  # noqa: BLE001 - it is told; what was begun goes with the connection
            self._drop()
            settle(None, error)
        else:
            self._under_way = result, settle
            self._flush()

    def _flush(self) -> None:
        """Send on, now or when there is room."""
        assert self._connection is not None
        assert self._loop is not None
        try:
            full = _driver(self._connection).pgconn.flush()
        except psycopg.Error:
            self._lose()
            return
        if full:
            self._loop.add_writer(self._socket, self._flush)
            self._waits_for_room = True
        elif self._waits_for_room:
            self._loop.remove_writer(self._socket)
            self._waits_for_room = False

    def _hear(self) -> None:
        """Take in what the server says: an answer, or that it goes away."""
        assert self._connection is not None
        pipe = Pipe.of(self._connection)
        try:
            _driver(self._connection).pgconn.consume_input()
            over = self._under_way is not None and pipe.take_in()
        except Exception:  # noqa: BLE001 - whatever it was
            self._lose()
            return
        if over:
            error = pipe.error
            self._settle(Lost() if error is not None and error.sqlstate in GIVEN_UP else error)

    def _lose(self) -> None:
        """Give the connection up; nobody knows what the answer would have been."""
        self._drop()
        self._settle(StoreUnavailable(IN_DOUBT))

    def _settle(self, error: Exception | None) -> None:
        if self._under_way is not None:
            (result, settle), self._under_way = self._under_way, None
            settle(result, error)

    def _drop(self) -> None:
        """Close the connection, whatever is under way on it."""
        connection, self._connection = self._connection, None
        assert connection is not None
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
        self._waits_for_room = False
        connection.invalidate()
        connection.close()

    async def aclose(self) -> None:
        """Wait for what is under way, then close it."""
        self._closed = True
        loop = asyncio.get_running_loop()
        if self._opening is not None and self._loop is loop:
            await asyncio.wait((self._opening,))
        if self._under_way is not None and self._loop is loop:
            (result, settle), over = self._under_way, asyncio.Event()

            def settle_and_go_on(result: Any, error: Exception | None) -> None:
                settle(result, error)
                over.set()

            self._under_way = result, settle_and_go_on
            await over.wait()
        if self._connection is not None:
            self._drop()


def _driver(connection: Connection) -> psycopg.Connection[Any]:
    driver: Any = connection.connection.driver_connection
    return driver
