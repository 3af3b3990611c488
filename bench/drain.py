"""How fast a worker in this process drains a queue of actions that do nothing, beside bare sqlite3."""

import gc
import time
from pathlib import Path

from figure import Figure, median
from replay import BARE, Recorder

from installation import BREATH_S, installation
from steward.plan import MAX_STEPS

CONCURRENCY = 64
ROUNDS = 3


async def _run(folder: Path, jobs: int, *, record: bool) -> float:
    """Return the seconds that the worker needs, or those of the replay."""
    async with installation(folder) as here:
        names = [f"drain {number}" for number in range(jobs)]
        plans = [await here.submit(names[start : start + MAX_STEPS]) for start in range(0, jobs, MAX_STEPS)]
        recorder = Recorder(here.app.database) if record else None
        gc.freeze()  # as a process does when it has started
        began = time.perf_counter()
        async with here.worker(CONCURRENCY):
            await here.ended(*(plan.plan_id for plan in plans), breath_s=BREATH_S)
            taken = time.perf_counter() - began
        return taken if recorder is None else recorder.replay()


async def measure(folder: Path, jobs: int) -> list[Figure]:
    """Return the rate of a drain."""
    rates: dict[bool, list[float]] = {False: [], True: []}
    for number in range(ROUNDS * 2):
        record = bool(number % 2)
        rates[record].append(jobs / await _run(folder / str(number), jobs, record=record))
    what = f"a worker drains actions that do nothing, {CONCURRENCY} slots"
    return [Figure(what, median(rates[False]), "/s", BARE, median(rates[True]))]
