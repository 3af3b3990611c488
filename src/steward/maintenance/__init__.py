"""What the installation does by itself, a duty per file: each has an interval and runs once at a time.

Duties are safe to run in several processes: the store's operations are atomic and find nothing left to do.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from steward.errors import StoreUnavailable

_log = structlog.get_logger("steward.maintenance")


@dataclass(frozen=True, slots=True)
class Duty:
    """Something done every ``interval_s`` seconds."""

    name: str
    interval_s: float
    run_once: Callable[[], Awaitable[object]]

    async def loop(self) -> None:
        """Do it for ever; a failure is logged and the next turn tries again."""
        while True:
            try:
                await self.run_once()
            except StoreUnavailable:
                _log.warning("The store is away.", action="duty_failed", duty=self.name)
            except Exception:  # noqa: BLE001 - a duty must outlive whatever went wrong in one turn
                _log.exception("A duty failed.", action="duty_failed", duty=self.name)
            await asyncio.sleep(self.interval_s)


async def run_duties(duties: Sequence[Duty], stop: asyncio.Event) -> None:
    """Run every duty until ``stop`` is set."""
    loops = [asyncio.create_task(duty.loop(), name=duty.name) for duty in duties]
    try:
        await stop.wait()
    finally:
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
