"""How a drain is watched, whoever works: by a look now and then, which takes little from those that work."""

import asyncio
from typing import Final

from steward.plan import PlanStatus
from steward.work_store import WorkStore

SLOTS: Final = 64
PAUSE_S: Final = 0.02


async def seen_to_end(store: WorkStore, plan_id: str) -> None:
    """Return when a plan has ended, by a look now and then, as the libraries' drains are watched.

    Whoever is woken by each event takes from the two cores that the worker and the server have; when jobs ran their results tell.
    """
    while (plan := await store.get_plan(plan_id)) is not None and plan.status is PlanStatus.RUNNING:  # noqa: ASYNC110
        await asyncio.sleep(PAUSE_S)
