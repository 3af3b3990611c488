"""Plans of one step on their way to Redis: the first goes at once, and those that come while it is under way go together.

Nothing waits for company, so a lone one is as fast as without this, and a crowd costs few calls. Each has an answer of its
own; what is not plain about one concerns no other.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from redis.exceptions import ResponseError

from steward.errors import StoreUnavailable
from steward.work_stores.redis.server import Server

_MOST: Final = 100
"""How many go in one call: others that work with Redis wait for as long as that takes."""
_BROKEN_OFF: Final = "The answer was not waited for; the plan may or may not have been submitted. Send it again."


class Company:
    """Submits what ``lone_arguments`` returns. Use from one event loop."""

    def __init__(self, server: Server) -> None:
        """Send to ``server``."""
        self._server = server
        self._waiting: list[tuple[Sequence[Any], asyncio.Future[int | None]]] = []
        self._going: list[tuple[Sequence[Any], asyncio.Future[int | None]]] = []
        self._under_way = False
        self._together: asyncio.Task[None] | None = None

    async def submit(self, one: Sequence[Any]) -> int | None:
        """Return how many jobs are ready once it is in place; None: it is not that plain, and nothing was written."""
        if self._under_way:
            answer: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
            self._waiting.append((one, answer))
            return await answer
        self._under_way = True
        try:
            depth = await self._server.run("submit_one", *one)
        except StoreUnavailable as error:
            self._give_up(error)
            raise
        finally:
            if self._waiting:
                self._together = asyncio.create_task(self._submit_waiting())
                self._together.add_done_callback(self._ended)
            else:
                self._under_way = False
        return depth if isinstance(depth, int) else None

    async def _submit_waiting(self) -> None:
        while self._waiting:
            self._going, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
            await self._submit_all(self._going)
        self._under_way = False

    def _ended(self, together: asyncio.Task[None]) -> None:
        """Tell those who still wait, if it was broken off from outside, or before it began: nobody else would."""
        if together.cancelled() or together.exception() is not None:
            left, self._waiting = [*self._going, *self._waiting], []
            self._under_way = False
            _tell(left, StoreUnavailable(_BROKEN_OFF))

    async def _submit_all(self, group: Sequence[tuple[Sequence[Any], asyncio.Future[int | None]]]) -> None:
        asked: list[Any] = [len(group)]
        for one, _ in group:
            asked.append(len(one))
            asked += one
        try:
            depths = await self._server.run("submit_ones", *asked)
        except Exception as error:  # noqa: BLE001 - handed to whoever asked
            _tell(group, error)
            self._give_up(error)
            return
        if not depths:  # none of them is plain at present
            depths = [-1] * len(group)
        for (_, answer), depth in zip(group, depths, strict=True):
            if not answer.done():
                answer.set_result(depth if depth >= 0 else None)

    def _give_up(self, error: Exception) -> None:
        """Tell those who wait that Redis is away: they have waited as long as one may. What it refused was another's."""
        if not isinstance(error.__cause__, ResponseError):
            waiting, self._waiting = self._waiting, []
            _tell(waiting, error)


def _tell(group: Sequence[tuple[Sequence[Any], asyncio.Future[int | None]]], error: Exception) -> None:
    for _, answer in group:
        if not answer.done():
            answer.set_exception(error)
