"""How soon an idle worker picks up a lone job: one in the same process, and one in a process of its own."""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

from figure import Figure, median, percentile_99

from installation import BREATH_S, Installation, installation
from steward.cli.processes import collect_again

_PAUSE_S = 0.1
"""Between jobs: until the worker sleeps again and what happened is on record."""


async def _one(here: Installation, name: str) -> tuple[float, float]:
    """Return milliseconds until a job runs: since it was asked for, and since it was there to be picked up."""
    asked = time.perf_counter()
    submitted = await here.submit([name])
    there = time.perf_counter()
    await asyncio.sleep(BREATH_S)  # to look at the plan meanwhile would keep the worker waiting
    await here.ended(submitted.plan_id)
    job = await here.app.engine.open(here.principal).get_job(submitted.job_ids[0])
    assert job is not None
    await asyncio.sleep(_PAUSE_S)
    return (job.result["at"] - asked) * 1000, (job.result["at"] - there) * 1000


async def _figures(here: Installation, lone: int, where: str) -> list[Figure]:
    await _one(here, "the first, for which the worker may still have to start")
    collect_again()  # as a process does when it has started
    asked, there = zip(*[await _one(here, f"lone {number}") for number in range(lone)], strict=True)
    return [
        Figure(f"a lone job picked up by an idle worker in {where}, median", median(there), "ms"),
        Figure(f"a lone job picked up by an idle worker in {where}, 99 %", percentile_99(there), "ms"),
        Figure(f"from asking for it to running in {where}, median", median(asked), "ms"),
    ]


async def measure(folder: Path, lone: int) -> list[Figure]:
    """Return medians and the 99th percentile, with the worker here and with it elsewhere."""
    async with installation(folder / "here") as here, here.worker(16):
        figures = await _figures(here, lone, "the same process")
    async with installation(folder / "elsewhere") as here:
        worker = subprocess.Popen(  # noqa: ASYNC220 - it is waited for by what it does
            [str(Path(sys.executable).with_name("steward")), "worker"],
            env={**os.environ, **here.environment, "PYTHONPATH": str(Path(__file__).parent)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            figures += await _figures(here, lone, "another process")
        finally:
            worker.terminate()
            worker.wait()
    return figures
