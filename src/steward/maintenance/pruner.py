"""Forgets work that ended longer ago than the retention."""

from steward.maintenance import Duty
from steward.work_store import Dispatcher

_HOURLY_S = 3600.0


def pruner(dispatcher: Dispatcher, retention_s: int) -> Duty:
    """Return the duty."""

    async def run_once() -> int:
        return await dispatcher.purge(retention_s)

    return Duty("pruner", _HOURLY_S, run_once)
