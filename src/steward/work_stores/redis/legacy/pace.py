"""How fast a walk over keys goes: so many Redis operations in a second and no more, whatever it finds."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from steward.errors import Invalid

Sleep = Callable[[float], Awaitable[Any]]


class Pace:
    """Counts operations and waits where they would come too fast."""

    def __init__(self, operations_per_s: int, sleep: Sleep = asyncio.sleep) -> None:
        """Allow so many in a second."""
        self._per_s = operations_per_s
        self._sleep = sleep
        self._began: float | None = None
        self.operations = 0

    async def take(self, count: int) -> None:
        """Count operations that are about to be sent; wait first if those before would still be under way."""
        loop = asyncio.get_running_loop()
        if self._began is None:
            self._began = loop.time()
        due = self._began + self.operations / self._per_s
        if (wait := due - loop.time()) > 0:
            await self._sleep(wait)
        self.operations += count


def checked_pace(operations_per_s: int, batch: int, max_keys: int | None = None) -> Pace:
    """Return the pace; raise ``Invalid`` for numbers that mean nothing."""
    if operations_per_s < 1 or batch < 1 or (max_keys is not None and max_keys < 1):
        raise Invalid("The rate, the batch and the number of keys are each at least 1.")
    return Pace(operations_per_s)
