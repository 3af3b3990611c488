"""One connection for everybody's scripts and reads: what is asked in one turn of the loop goes out in one write.

A client that lends a connection to each command pays more for the lending than Redis needs for the answer. Here a
command is packed and put in a row, and answers are handed out in the order in which they come. Connecting, TLS, names and
passwords, and reading what Redis says are the library's. After a loss everybody whose answer is missing is told so, and
the next command connects anew. Nothing that blocks at the server belongs here: it would hold up those behind it.
"""

import asyncio
import math
from collections import deque
from typing import Any

from hiredis import pack_command
from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import ReadOnlyError, RedisError, ResponseError


class Line:
    """A connection that many share. Use from one event loop."""

    def __init__(self, pool: ConnectionPool, retry: Retry) -> None:
        """Make connections as ``pool`` would, without a ``socket_timeout``; send again as ``retry`` says when an answer is lost."""
        self._pool = pool
        self._retry = retry
        self._connection: Any = None
        self._connecting = asyncio.Lock()
        self._unsent: list[bytes] = []
        self._unanswered: deque[asyncio.Future[Any]] = deque()
        self._sending: asyncio.Task[None] | None = None
        self._hearing: asyncio.Task[None] | None = None

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
        connection, self._connection = self._connection, None
        if self._hearing is not None:
            self._hearing.cancel()
            await asyncio.gather(self._hearing, return_exceptions=True)
        if connection is not None:
            await connection.disconnect(nowait=True)
        self._tell(Disconnected("The connection was given up."))

    async def _ask(self, packed: bytes) -> Any:
        if self._connection is None:
            async with self._connecting:
                if self._connection is None:
                    await self._connect()
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._unsent.append(packed)
        self._unanswered.append(answer)
        if self._sending is None:
            self._sending = asyncio.create_task(self._send())
        return await answer

    async def _failed(self, error: Exception) -> None:
        if isinstance(error, ReadOnlyError):  # a replica: who was the primary is elsewhere now
            await self.hang_up()

    async def _connect(self) -> None:
        connection = self._pool.make_connection()
        await connection.connect()
        self._connection = connection
        self._hearing = asyncio.create_task(self._hear(connection))

    async def _send(self) -> None:
        try:
            while self._unsent and (connection := self._connection) is not None:
                everything, self._unsent = b"".join(self._unsent), []
                try:
                    await connection.send_packed_command(everything, check_health=False)
                except (RedisError, OSError) as error:
                    self._lose(connection, error)
        finally:
            self._sending = None

    async def _hear(self, connection: Any) -> None:
        try:
            while True:
                try:
                    answer = await connection.read_response(disable_decoding=True, timeout=math.inf)
                except ResponseError as refused:
                    answer = refused
                waiting = self._unanswered.popleft()
                if waiting.done():
                    continue
                if isinstance(answer, ResponseError):
                    waiting.set_exception(answer)
                else:
                    waiting.set_result(answer)
        except (RedisError, OSError) as error:
            self._lose(connection, error)

    def _lose(self, connection: Any, error: Exception) -> None:
        """Forget the connection, unless there is another one already; who waits for an answer learns why there is none."""
        if connection is self._connection:
            self._connection = None
            self._tell(error)

    def _tell(self, error: Exception) -> None:
        self._unsent.clear()
        unanswered, self._unanswered = self._unanswered, deque()
        for waiting in unanswered:
            if not waiting.done():
                waiting.set_exception(error)
