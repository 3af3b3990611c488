"""What the directory has just read, for a tenth of a second, so that a busy key costs no look-up on every request.

Only what exists is remembered: ids that somebody makes up neither fill the memory nor push anything out of it. A change by
this process is forgotten at once, and a read that was under way meanwhile is not remembered. A change by another process
is seen within twice ``TTL_S``: it may have been committed just after a read that took almost that long itself.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

from cachetools import TTLCache

from steward.clock import Clock
from steward.database.glance import WouldWait

T = TypeVar("T")

TTL_S: Final = 0.1
MOST_ENTRIES: Final = 10_000


class ShortMemory:
    """A bounded memory of single rows by key. To be used from one event loop."""

    def __init__(self, clock: Clock) -> None:
        """Take the clock by which things are forgotten."""
        self._timer = _Timer(clock)
        self._kept: TTLCache[tuple[str, ...], Any] = TTLCache(MOST_ENTRIES, TTL_S, self._timer)
        self._reading: dict[tuple[str, ...], tuple[float, asyncio.Task[Any]]] = {}
        self._changes = 0

    async def recall(
        self,
        key: tuple[str, ...],
        read: Callable[[], Awaitable[T | None]],
        at_once: Callable[[], T | None] | None = None,
    ) -> T | None:
        """Return what is remembered under ``key``, else what ``at_once`` or ``read`` returns.

        Those who ask together share a read. ``at_once`` may raise ``WouldWait``.
        """
        try:
            return self._kept[key]  # and not get(), which looks at the clock once more
        except KeyError:
            return await self._find(key, read, at_once)

    async def _find(
        self, key: tuple[str, ...], read: Callable[[], Awaitable[T | None]], at_once: Callable[[], T | None] | None
    ) -> T | None:
        if at_once is not None:
            with suppress(WouldWait):
                found = at_once()
                if found is not None:
                    self._kept[key] = found
                return found
        now = self._timer()
        began, reading = self._reading.get(key, (now, None))
        if reading is None or now - began >= TTL_S:
            reading = asyncio.create_task(self._read(key, now, read))
            self._reading[key] = now, reading
        return await asyncio.shield(reading)

    async def _read(self, key: tuple[str, ...], began: float, read: Callable[[], Awaitable[T | None]]) -> T | None:
        changes = self._changes
        try:
            found = await read()
        finally:
            if self._reading.get(key, (None, None))[1] is asyncio.current_task():
                del self._reading[key]
        if found is not None and changes == self._changes and self._timer() - began < TTL_S:
            self._kept[key] = found
        return found

    def forget(self, *key: str) -> None:
        """Forget what was changed."""
        self._changes += 1
        self._kept.pop(key, None)
        self._reading.pop(key, None)  # whoever asks from now on must not be told what was before

    def __len__(self) -> int:
        """Return how much is remembered."""
        return len(self._kept)


class _Timer:
    """Seconds that never run backwards: a clock that is set back must not keep anything alive, so it counts as enough."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = clock.now()
        self._elapsed = 0.0

    def __call__(self) -> float:
        now = self._clock.now()
        passed = (now - self._last).total_seconds()
        self._last = now
        self._elapsed += passed if passed >= 0 else TTL_S
        return self._elapsed
