"""How processes on one Redis wake each other: a message on a channel with the commit, never polling.

Scripts ring; here is who hears. One connection of its own waits for the messages of all channels that anybody in this
process listens to. A ring is only a hint ("look again"): whenever a channel is joined, or joined again after the
connection was lost, its listeners are woken, since something may have been said meanwhile.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Iterator
from typing import Any, Final

from hiredis import pack_command
from redis.asyncio import ConnectionPool
from redis.exceptions import RedisError

from steward.listener import Listener
from steward.work_stores.redis.keys import key
from steward.work_stores.redis.wire import Wire

_ALWAYS: Final = key("quiet_bell").encode()
"""What every process is joined to, so that it can tell whether it hears at all. Who runs no worker hears of no ready jobs."""
_ANY: Final = b":*"
_JOINED: Final = frozenset({b"subscribe", b"psubscribe"})
_SAID: Final = frozenset({b"message", b"pmessage"})
_AGAIN_S: Final = (0.05, 1.0)
"""How long to wait before connecting anew: at first, and at most."""


class Bells:
    """The channels that this process listens to. Use from one event loop."""

    def __init__(self, pool: ConnectionPool, own: bytes) -> None:
        """Make connections as ``pool`` would, and take what this engine's own bells say: it need not hear itself."""
        self._pool = pool
        self._own = own
        self._listeners: dict[bytes, set[Listener]] = {}
        self._changed = asyncio.Event()
        self._heard: asyncio.Future[None] | None = None
        """Who waits for the first word."""
        self._joined: set[bytes] = set()
        self._pause_s = _AGAIN_S[0]
        self._task: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def listen(self, channel: str) -> Iterator[Listener]:
        """Yield a listener for a channel, or for all that begin alike (``…:*``)."""
        listener, name = Listener(), channel.encode()
        self._listeners.setdefault(name, set()).add(listener)
        self._changed.set()
        try:
            yield listener
        finally:
            self._listeners[name].discard(listener)
            if not self._listeners[name]:
                del self._listeners[name]
            self._changed.set()

    def ring(self, channels: Iterable[bytes]) -> None:
        """Wake those who listen here; others are woken by the script that this comes from."""
        if not self._listeners:
            return
        for channel in channels:
            self._sound(channel)
            self._sound(channel.rpartition(b":")[0] + _ANY)

    async def open(self) -> None:
        """Connect, and return once what everybody listens to is heard."""
        self._heard = asyncio.get_running_loop().create_future()
        wire = await self._connect()
        try:
            await self._heard
        except BaseException:
            await wire.close()
            raise
        self._task = asyncio.create_task(self._follow(wire))

    async def aclose(self) -> None:
        """Stop hearing."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _follow(self, wire: Wire) -> None:
        """Follow the channels for as long as the engine is open, over every loss of the connection."""
        while True:
            try:
                while not wire.lost:
                    self._join(wire)
                    await self._changed.wait()
            finally:
                await wire.close()
            wire = await self._connect_again()

    async def _connect(self) -> Wire:
        connection = self._pool.make_connection()
        await connection.connect()
        wire, self._joined = Wire(connection, self._take, self._lose), set()
        self._join(wire)
        return wire

    async def _connect_again(self) -> Wire:
        while True:
            await asyncio.sleep(self._pause_s)
            self._pause_s = min(2 * self._pause_s, _AGAIN_S[1])
            with contextlib.suppress(RedisError, OSError):
                return await self._connect()

    def _join(self, wire: Wire) -> None:
        """Join and leave channels so that the connection follows those that are listened to."""
        self._changed.clear()
        wanted = set(self._listeners) | {_ALWAYS}
        new, old, self._joined = wanted - self._joined, self._joined - wanted, wanted
        commands: Any = (
            *((b"SUBSCRIBE", *_plain(new)), (b"PSUBSCRIBE", *_patterns(new))),
            *((b"UNSUBSCRIBE", *_plain(old)), (b"PUNSUBSCRIBE", *_patterns(old))),
        )
        if everything := b"".join(pack_command(command) for command in commands if len(command) > 1):
            wire.write(everything)

    def _take(self, told: Any) -> None:
        """Wake who listens to a channel that something was said on, or that was joined just now."""
        if isinstance(told, RedisError):
            raise told
        kind, name, *_, said = told
        if kind in _JOINED or (kind in _SAID and said != self._own):
            self._pause_s = _AGAIN_S[0]
            self._sound(name)
        if self._heard is not None and not self._heard.done():
            self._heard.set_result(None)

    def _lose(self, wire: Wire, error: Exception) -> None:
        wire.lost = True
        self._changed.set()
        if self._heard is not None and not self._heard.done():
            self._heard.set_exception(error)

    def _sound(self, name: bytes) -> None:
        for listener in self._listeners.get(name, ()):
            listener.ring()


def _patterns(names: set[bytes]) -> set[bytes]:
    return {name for name in names if name.endswith(_ANY)}


def _plain(names: set[bytes]) -> set[bytes]:
    return names - _patterns(names)
