"""What auditing costs: two installations side by side, one with its archiver and one without, drained in turns.

The audited one has ended when every job has and every event is on record and signed, so nothing is left for later.
"""

import asyncio
import time
from contextlib import suppress
from pathlib import Path

from figure import Figure, median

from installation import BREATH_S, Installation, installation
from steward.maintenance.archiver import Archiver
from steward.plan import MAX_STEPS

CONCURRENCY = 64
ACTIONS = {"bench.wait": "jobs of 5 ms", "bench.noop": "empty jobs"}


async def _drain(here: Installation, action_id: str, jobs: int, *, audited: bool) -> float:
    """Return how many jobs a second a worker gets done."""
    names = [str(number) for number in range(jobs)]
    plans = [await here.submit(names[start : start + MAX_STEPS], action_id) for start in range(0, jobs, MAX_STEPS)]
    app = here.app
    await app.recorder.written()
    archiver = Archiver(app.engine.dispatcher, app.audit_log, app.catalogue, app.recorder)
    began = time.perf_counter()
    archiving = asyncio.create_task(archiver.run()) if audited else None
    async with here.worker(CONCURRENCY):
        await here.ended(*(plan.plan_id for plan in plans), breath_s=BREATH_S)
        if archiving is not None:
            archiving.cancel()
            with suppress(asyncio.CancelledError):
                await archiving
            await archiver.turn()
        return jobs / (time.perf_counter() - began)


async def measure(folder: Path, jobs: int, rounds: int) -> list[Figure]:
    """Return the rate with the audit, beside the one without, for jobs that take a moment and for empty ones."""
    found = []
    for name in ("audited", "plain"):
        (folder / name).mkdir()
    async with installation(folder / "audited") as audited, installation(folder / "plain") as plain:
        for action_id, what in ACTIONS.items():
            rates: dict[bool, list[float]] = {True: [], False: []}
            for number in range(rounds):
                for watched in (True, False) if number % 2 else (False, True):
                    here = audited if watched else plain
                    rates[watched].append(await _drain(here, action_id, jobs, audited=watched))
            found.append(
                Figure(
                    f"a worker drains {what}, {CONCURRENCY} slots, with the audit",
                    median(rates[True]),
                    "/s",
                    "without it",
                    median(rates[False]),
                )
            )
    return found
