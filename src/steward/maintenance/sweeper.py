"""Recovers lost leases and expires what nobody decided: half a lease is the longest they wait to be noticed.

A machine's clock can jump, when it wakes from sleep for example, and then every lease looks lost or looks good for ever.
So after a jump there is no sweep for one lease time, in which every worker that lives renews what it holds.
"""

import time
from collections.abc import Callable

import structlog

from steward.clock import Clock
from steward.job import HEARTBEAT_S, LEASE_S
from steward.maintenance import Duty
from steward.work_store import Dispatcher, Swept

_log = structlog.get_logger("steward.maintenance")


class _Steadiness:
    """Compares the clock that leases are measured by with one that cannot be set."""

    def __init__(self, clock: Clock, monotonic: Callable[[], float]) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._apart_s: float | None = None
        self._quiet_until = float("-inf")

    def steady(self) -> bool:
        """Say whether the clock has not jumped by more than a heartbeat within the last lease time."""
        now = self._monotonic()
        apart_s = self._clock.now().timestamp() - now
        if self._apart_s is not None and abs(apart_s - self._apart_s) > HEARTBEAT_S:
            self._quiet_until = now + LEASE_S
            jumped_s = round(apart_s - self._apart_s, 1)
            _log.warning("The clock jumped; leases are left alone for a while.", action="clock_jumped", by_s=jumped_s)
        self._apart_s = apart_s
        return now >= self._quiet_until


def sweeper(dispatcher: Dispatcher, clock: Clock, *, monotonic: Callable[[], float] = time.monotonic) -> Duty:
    """Return the duty; ``clock`` is the one by which the store measures leases."""
    steadiness = _Steadiness(clock, monotonic)

    async def run_once() -> Swept:
        return await dispatcher.sweep() if steadiness.steady() else Swept()

    return Duty("sweeper", LEASE_S / 2, run_once)
