"""What auditing costs: two installations side by side, one with its archiver and one without, drained in turns.

What is timed begins when the work is in the queue and ends when every job has ended and, where there is an audit, every event
is on record and signed: so nothing is left for later, and what the archiver has not come to by the end of the work is archived
with nothing beside it. The records of the submissions themselves are made in that time, too, the submissions are not. Both sides
are watched alike, by one look at a plan in twenty milliseconds.

What is looked for is what the audit takes of a throughput, which has neither beginning nor end. A drain has both: the archiver begins
half a second after the work, and at last it works alone. So drains are long: of ten thousand jobs, some seconds each. With drains of two
thousand what the audit takes looks twice as much. The process listens for events before the work is submitted, as ``steward up``
does, so what it has committed itself is at hand.

The archiver is in the worker's process, as in ``steward up``; or in another one, as where a ``steward serve`` beside the worker
does it: what that one has not come to when the jobs have ended is archived here, and counts as well. The ratio is the median of
those of the pairs, each of two drains that follow each other, the order changing: so it does not matter that a disk becomes slower
or faster meanwhile. The other rate is what the ratio makes it.
"""

import asyncio
import gc
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, nullcontext, suppress
from pathlib import Path

from figure import Figure, median

from installation import BREATH_S, Installation, installation
from steward.cli.processes import collect_again
from steward.maintenance.archiver import Archiver
from steward.plan import MAX_STEPS

CONCURRENCY = 64
ACTIONS = {"bench.wait": "jobs of 5 ms", "bench.noop": "empty jobs"}


async def _drain(here: Installation, action_id: str, jobs: int, *, audited: bool, elsewhere: bool = False) -> float:
    """Return how many jobs a second a worker gets done. ``elsewhere``: while another process archives."""
    names = [str(number) for number in range(jobs)]
    app = here.app
    archiver = Archiver(app.engine.dispatcher, app.audit_log, app.catalogue, app.recorder)
    with app.engine.dispatcher.hear_events() if audited else nullcontext():  # also while what is left is archived
        plans = [await here.submit(names[start : start + MAX_STEPS], action_id) for start in range(0, jobs, MAX_STEPS)]
        await app.recorder.written()
        began = time.perf_counter()
        archiving = asyncio.create_task(archiver.run()) if audited and not elsewhere else None
        async with here.worker(CONCURRENCY):
            await here.ended(*(plan.plan_id for plan in plans), breath_s=BREATH_S)
            if archiving is not None:
                archiving.cancel()
                with suppress(asyncio.CancelledError):
                    await archiving
            if audited:
                await archiver.turn()
            return jobs / (time.perf_counter() - began)


async def _compare(
    audited: Installation, plain: Installation, action_id: str, jobs: int, rounds: int, *, elsewhere: bool
) -> tuple[float, float]:
    """Return the rate with the audit, and what it is of the one without."""
    rates: dict[bool, list[float]] = {True: [], False: []}
    for number in range(rounds):
        for watched in (True, False) if number % 2 else (False, True):
            here = audited if watched else plain
            rates[watched].append(await _drain(here, action_id, jobs, audited=watched, elsewhere=elsewhere))
    return median(rates[True]), median([one / other for one, other in zip(rates[True], rates[False], strict=True)])


@contextmanager
def _as_in_a_process() -> Iterator[None]:
    """Look for garbage as a process of Steward does when it has started, and afterwards as before."""
    usual = gc.get_threshold()
    collect_again()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*usual)


@asynccontextmanager
async def _server(here: Installation) -> AsyncIterator[None]:
    """Have a ``steward serve`` beside; it archives when this begins."""
    server = subprocess.Popen(  # noqa: ASYNC220 - it is waited for by what it does
        [str(Path(sys.executable).with_name("steward")), "serve", "--port", "0"],
        env={**os.environ, **here.environment, "PYTHONPATH": str(Path(__file__).parent)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        await here.submit(["to be archived"])
        dispatcher = here.app.engine.dispatcher
        with dispatcher.hear_events() as listener:
            while await dispatcher.events_after(await here.app.audit_log.position(), limit=1):
                await listener.wait(BREATH_S)
        yield
    finally:
        server.terminate()
        await asyncio.to_thread(server.wait)


async def measure(folder: Path, jobs: int, rounds: int) -> list[Figure]:
    """Return the rate with the audit, beside the one without, for jobs that take a moment and for empty ones."""
    found = []
    async with AsyncExitStack() as open_here:
        homes = []
        for name in ("audited", "served", "plain"):
            (folder / name).mkdir()
            homes.append(await open_here.enter_async_context(installation(folder / name)))
        audited, served, plain = homes
        await open_here.enter_async_context(_server(served))
        open_here.enter_context(_as_in_a_process())
        for action_id, what in ACTIONS.items():
            for here, where in ((audited, "the worker's"), (served, "another")):
                rate, ratio = await _compare(here, plain, action_id, jobs, rounds, elsewhere=here is served)
                name = f"a worker drains {what}, {CONCURRENCY} slots, with the audit; the archiver in {where} process"
                found.append(Figure(name, rate, "/s", "without it", rate / ratio))
    return found
