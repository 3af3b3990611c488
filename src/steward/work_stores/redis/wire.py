"""A connection whose bytes are read where the loop gives them out: no task has to be woken that then looks for them.

Connecting, TLS, names and passwords are the library's, and what its reader makes of the bytes.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from hiredis import Reader
from redis.asyncio.connection import DefaultParser
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import InvalidResponse, RedisError


class Wire(asyncio.Protocol):
    """What has become of a connection that the library made: bytes go out as they are given, answers come in whole."""

    def __init__(self, connection: Any, hear: Callable[[Any], None], lose: Callable[["Wire", Exception], None]) -> None:
        """Take over a connection that is open; ``hear`` may raise a ``RedisError``, after which it is lost."""
        self.lost = False
        """For whoever is told of the loss to remember."""
        self._connection = connection
        self._transport: asyncio.Transport = connection._writer.transport  # noqa: SLF001 - it has no public name
        self._hear = hear
        self._lose = lose
        self._reader = Reader(protocolError=InvalidResponse, replyError=DefaultParser.parse_error)
        self._transport.set_protocol(self)
        self._transport.set_write_buffer_limits(0)  # what is written goes out now, and not when the loop's turn ends

    def write(self, everything: bytes) -> None:
        """Send packed commands."""
        self._transport.write(everything)

    async def close(self) -> None:
        """Hang up."""
        await self._connection.disconnect(nowait=True)

    def data_received(self, data: bytes) -> None:
        """Hand on what is whole."""
        self._reader.feed(data)
        try:
            while (answer := self._reader.gets()) is not False:
                if isinstance(answer, Disconnected):  # such as one that is still loading what it had
                    raise answer
                self._hear(answer)
        except RedisError as error:
            self._lose(self, error)
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell that nothing will come any more."""
        self._lose(self, exc or Disconnected("The server closed the connection."))
