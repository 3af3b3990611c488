"""Calls that come at the same moment, made as one: a store's verbs take many at once, and one commit serves them all.

Nothing waits for company. The first caller's question goes off at once; whoever comes while it is under way is asked about
together as soon as it is answered. So a lone call is as fast as without this, and a crowd costs few calls. Where a call is dear,
a crowd that was just answered may be given a few turns of the loop, in which those of it who come again do so: else they would
go on in two crowds that take turns.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from steward.errors import StoreUnavailable

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Together(Generic[Item, Answer]):
    """Asks about one item; many askers share a call. Use from one event loop."""

    def __init__(
        self,
        ask: Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]],
        *,
        most: int = sys.maxsize,
        turns: int = 0,
    ) -> None:
        """Ask with ``ask``, about ``most`` at a time; it answers each item in its place, or raises and has done nothing.

        ``turns``: of the loop, that who was asked about together has to come again before others go.
        """
        self._ask = ask
        self._most = most
        self._turns = turns
        self._waiting: list[tuple[Item, asyncio.Future[Answer]]] = []
        self._asking: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop  # that of whoever asks

    def __call__(self, item: Item) -> "asyncio.Future[Answer]":
        """Return what brings the answer for ``item``. Its question is asked also if the caller stops waiting meanwhile."""
        if self._asking is None:
            self._loop = asyncio.get_running_loop()
            self._asking = self._loop.create_task(self._ask_all())
        answer: asyncio.Future[Answer] = self._loop.create_future()
        self._waiting.append((item, answer))
        return answer

    async def _ask_all(self) -> None:
        try:
            while self._waiting:
                group, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                await self._ask_about(group)
                for _ in range(self._turns if len(group) > 1 else 0):
                    await asyncio.sleep(0)
        finally:
            self._asking = None

    async def _ask_about(self, group: list[tuple[Item, asyncio.Future[Answer]]]) -> None:
        try:
            answers = await self._ask([item for item, _ in group])
        except Exception as error:  # noqa: BLE001 - handed to whoever asked
            if len(group) > 1 and not isinstance(error, StoreUnavailable):
                for one in group:  # each stands alone: only the one at fault hears of it
                    await self._ask_about([one])
                return
            for _, waiting in group:
                if not waiting.done():
                    waiting.set_exception(error)
        else:
            for (_, waiting), answer in zip(group, answers, strict=True):
                if not waiting.done():
                    waiting.set_result(answer)
