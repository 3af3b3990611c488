"""One connection for everybody's scripts and reads: what is asked in one turn of the loop goes out in one write.

A client that lends a connection to each command pays more for the lending than Redis needs for the answer. Here a
command is packed and put in a row, and answers are handed out in the order in which they come, by whoever the loop gives
the bytes to. After a loss everybody whose answer is missing is told so, and the next command connects anew. Nothing that blocks at the server belongs
here: it would hold up those behind it.
"""

import asyncio
from collections import deque
from typing import Any

from hiredis import pack_command
from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import ReadOnlyError, ResponseError

from steward.work_stores.redis.wire import Wire


class Line:
    """A connection that many share. Use from one event loop."""

    def __init__(self, pool: ConnectionPool, retry: Retry) -> None:
        """Make connections as ``pool`` would, without a ``socket_timeout``; send again as ``retry`` says when an answer is lost."""
        self._pool = pool
        self._retry = retry
        self._wire: Wire | None = None
        self._connecting = asyncio.Lock()
        self._unsent: list[bytes] = []
        self._unanswered: deque[asyncio.Future[Any]] = deque()

    async def ask(self, *command: Any) -> Any:
        """Return the answer to a command that can be sent twice. Raises what ``redis`` raises."""
        packed = pack_command(command)
        return await self._retry.call_with_retry(lambda: self._ask(packed), self._failed)

    async def doubt(self) -> None:
        """Give the connection up if an answer is still missing that nobody waits for any more: it may be dead."""
        if self._unanswered and self._unanswered[0].done():
            await self.hang_up()

    async def hang_up(self) -> None:
        """Give the connection up."""
        wire, self._wire = self._wire, None
        self._tell(Disconnected("The connection was given up."))  # before anybody can ask on another one
        if wire is not None:
            await wire.close()

    async def _ask(self, packed: bytes) -> Any:
        if self._wire is None or self._wire.lost:
            async with self._connecting:
                if self._wire is None or self._wire.lost:
                    await self._connect()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        if not self._unsent:
            loop.call_soon(self._send)
        self._unsent.append(packed)
        self._unanswered.append(answer)
        return await answer

    async def _failed(self, error: Exception) -> None:
        if isinstance(error, ReadOnlyError):  # a replica: who was the primary is elsewhere now
            await self.hang_up()

    async def _connect(self) -> None:
        if self._wire is not None:
            await self._wire.close()
        connection = self._pool.make_connection()
        await connection.connect()
        self._wire = Wire(connection, self._hear, self._lose)

    def _send(self) -> None:
        everything, self._unsent = self._unsent, []
        if self._wire is not None and not self._wire.lost and everything:
            self._wire.write(b"".join(everything))

    def _hear(self, answer: Any) -> None:
        waiting = self._unanswered.popleft()
        if waiting.done():
            return
        if isinstance(answer, ResponseError):
            waiting.set_exception(answer)
        else:
            waiting.set_result(answer)

    def _lose(self, wire: Wire, error: Exception) -> None:
        """Who waits for an answer learns why there is none, unless there is another connection already."""
        if wire is self._wire and not wire.lost:
            wire.lost = True
            self._tell(error)

    def _tell(self, error: Exception) -> None:
        self._unsent.clear()
        unanswered, self._unanswered = self._unanswered, deque()
        for waiting in unanswered:
            if not waiting.done():
                waiting.set_exception(error)
