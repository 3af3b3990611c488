"""One connection for everybody's scripts and reads: what is asked in one turn of the loop goes out in one write.

A client that lends a connection to each command pays more for the lending than Redis needs for the answer. Here a
command is packed and put in a row, and answers are handed out in the order in which they come, by whoever the loop gives
the bytes to. Who asks when no answer is missing does not even wait for the end of the turn: in a process that had nothing to do,
whatever else the turn has to do would stand before the question.

After a loss everybody whose answer is missing is told so, and asks again on a new connection. One alarm watches over all who
wait, since they wait equally long. Nothing that blocks at the server belongs here: it would hold up those behind it.
"""

import asyncio
from collections import deque
from typing import Any, Final

from hiredis import pack_command
from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import AbstractBackoff
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import ReadOnlyError, ResponseError
from redis.exceptions import TimeoutError as Unanswered

from steward.work_stores.redis.wire import Wire

_AGAIN: Final = (Disconnected, Unanswered, ReadOnlyError)
"""After these a command is sent again."""


class Line:
    """A connection that many share. Use from one event loop."""

    def __init__(self, pool: ConnectionPool, backoff: AbstractBackoff, *, again: int, patience_s: float) -> None:
        """Make connections as ``pool`` would, without a ``socket_timeout``.

        An answer that was lost is asked for anew at once and then up to ``again`` times; all of that may take ``patience_s``.
        """
        self._pool = pool
        self._retry = Retry(backoff, again, _AGAIN)
        self._patience_s = patience_s
        self._wire: Wire | None = None
        self._connecting = asyncio.Lock()
        self._unsent: list[bytes] = []
        self._unanswered: deque[tuple[asyncio.Future[Any], float]] = deque()
        """Who waits, and until when: the later somebody came, the longer."""
        self._alarm: asyncio.TimerHandle | None = None

    async def ask(self, *command: Any) -> Any:
        """Return the answer to a command that can be sent twice. Raises what ``redis`` raises, and ``TimeoutError``."""
        packed = pack_command(command)
        until = asyncio.get_running_loop().time() + self._patience_s
        if self._wire is not None and not self._wire.lost:
            try:
                return await self._put(self._wire, packed, until)
            except _AGAIN as error:
                await self._failed(error)
        async with asyncio.timeout_at(until):
            return await self._retry.call_with_retry(lambda: self._ask(packed, until), self._failed)

    async def doubt(self) -> None:
        """Give the connection up if an answer is still missing that nobody waits for any more: it may be dead."""
        if self._unanswered and self._unanswered[0][0].done():
            await self.hang_up()

    async def hang_up(self) -> None:
        """Give the connection up."""
        wire, self._wire = self._wire, None
        self._tell(Disconnected("The connection was given up."))  # before anybody can ask on another one
        if wire is not None:
            await wire.close()

    async def _ask(self, packed: bytes, until: float) -> Any:
        if self._wire is None or self._wire.lost:
            async with self._connecting:
                if self._wire is None or self._wire.lost:
                    await self._connect()
        assert self._wire is not None
        return await self._put(self._wire, packed, until)

    def _put(self, wire: Wire, packed: bytes, until: float) -> asyncio.Future[Any]:
        """Send a command, at once or with others; return the future of its answer."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        if not self._unanswered:
            wire.write(packed)
        else:
            if not self._unsent:
                loop.call_soon(self._send)
            self._unsent.append(packed)
        self._unanswered.append((answer, until))
        if self._alarm is None:
            self._alarm = loop.call_at(until, self._look_at_the_clock)
        return answer

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
        waiting, _ = self._unanswered.popleft()
        if waiting.done():
            return
        if isinstance(answer, ResponseError):
            waiting.set_exception(answer)
        else:
            waiting.set_result(answer)

    def _look_at_the_clock(self) -> None:
        """Tell who has waited for too long, and wake up for the next one."""
        self._alarm = None
        loop = asyncio.get_running_loop()
        for waiting, until in self._unanswered:
            if until > loop.time():
                self._alarm = loop.call_at(until, self._look_at_the_clock)
                return
            if not waiting.done():
                waiting.set_exception(TimeoutError())

    def _lose(self, wire: Wire, error: Exception) -> None:
        """Who waits for an answer learns why there is none, unless there is another connection already."""
        if wire is self._wire and not wire.lost:
            wire.lost = True
            self._tell(error)

    def _tell(self, error: Exception) -> None:
        self._unsent.clear()
        unanswered, self._unanswered = self._unanswered, deque()
        for waiting, _ in unanswered:
            if not waiting.done():
                waiting.set_exception(error)
