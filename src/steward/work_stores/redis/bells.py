"""How processes on one Redis wake each other: a message on a channel with the commit, never polling.

Scripts ring; here is who hears. One connection of its own waits for the messages of all channels that anybody in this
process listens to. A ring is only a hint ("look again"): whenever a channel is joined, or joined again after the
connection was lost, its listeners are woken, since something may have been said meanwhile.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Iterator
from typing import Any, Final

from redis.exceptions import RedisError

from steward.work_stores.redis.keys import key

_ALWAYS: Final = key("quiet_bell").encode()
"""What every process is joined to, so that it can tell whether it hears at all. Who runs no worker hears of no ready jobs."""
_ANY: Final = b":*"
_JOINED: Final = frozenset({"subscribe", "psubscribe"})
_SAID: Final = frozenset({"message", "pmessage"})
_AGAIN_S: Final = (0.05, 1.0)
"""How long to wait before connecting anew: at first, and at most."""


class _Listener:
    """Remembers that the bell rang until somebody waits for it."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        self._rung.set()

    async def wait(self, timeout_s: float) -> bool:
        """Return True if it rang since the last wait, or rings within ``timeout_s``."""
        try:
            async with asyncio.timeout(max(timeout_s, 0.0)):
                await self._rung.wait()
        except TimeoutError:
            return False
        self._rung.clear()
        return True


class Bells:
    """The channels that this process listens to. Use from one event loop."""

    def __init__(self, client: Any, own: bytes) -> None:
        """Take a client whose reads may wait for ever, and what this engine's own bells say: it need not hear itself."""
        self._client = client
        self._own = own
        self._listeners: dict[bytes, set[_Listener]] = {}
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def listen(self, channel: str) -> Iterator[_Listener]:
        """Yield a listener for a channel, or for all that begin alike (``…:*``)."""
        listener, name = _Listener(), channel.encode()
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
        for channel in channels:
            self._sound(channel)
            self._sound(channel.rpartition(b":")[0] + _ANY)

    async def open(self) -> None:
        """Connect, and return once what everybody listens to is heard."""
        connection = self._client.pubsub()
        await connection.subscribe(_ALWAYS)
        await connection.get_message(timeout=None)
        self._task = asyncio.get_running_loop().create_task(self._hear(connection))

    async def aclose(self) -> None:
        """Stop hearing."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _hear(self, connection: Any) -> None:
        """Follow the channels for as long as the engine is open, over every loss of the connection."""
        pause_s, joined = _AGAIN_S[0], {_ALWAYS}
        while True:
            try:
                joined = await self._join(connection, joined)
                joining = asyncio.create_task(self._keep_joined(connection, joined))
                try:
                    async for message in connection.listen():
                        pause_s = _AGAIN_S[0]
                        if message["type"] in _JOINED or (message["type"] in _SAID and message["data"] != self._own):
                            self._sound(message["pattern"] or message["channel"])
                finally:
                    joining.cancel()
                    await asyncio.gather(joining, return_exceptions=True)
            except (RedisError, OSError):
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _AGAIN_S[1])
            finally:
                with contextlib.suppress(RedisError, OSError):
                    await connection.aclose()
            connection, joined = self._client.pubsub(), set()

    async def _keep_joined(self, connection: Any, joined: set[bytes]) -> None:
        while True:
            await self._changed.wait()
            joined = await self._join(connection, joined)

    async def _join(self, connection: Any, joined: set[bytes]) -> set[bytes]:
        """Join and leave channels so that the connection follows those that are listened to."""
        self._changed.clear()
        wanted = set(self._listeners) | {_ALWAYS}
        for follow, names in (
            *((connection.subscribe, _plain(wanted - joined)), (connection.psubscribe, _patterns(wanted - joined))),
            *((connection.unsubscribe, _plain(joined - wanted)), (connection.punsubscribe, _patterns(joined - wanted))),
        ):
            if names:
                await follow(*names)
        return wanted

    def _sound(self, name: bytes) -> None:
        for listener in self._listeners.get(name, ()):
            listener.ring()


def _patterns(names: set[bytes]) -> set[bytes]:
    return {name for name in names if name.endswith(_ANY)}


def _plain(names: set[bytes]) -> set[bytes]:
    return names - _patterns(names)
