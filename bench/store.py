"""The work store: submit, then claim, dispatch and settle, beside bare sqlite3 with the same statements."""

import asyncio
import time
from functools import partial
from pathlib import Path

from figure import Figure
from replay import Recorder, beside_bare
from samples import CLOCK, DONE, SOMEBODY, submissions

from steward.cli.processes import collect_again
from steward.database import Database, Doorbell
from steward.database.migrate import upgrade
from steward.work_store import Settlement, Submission, WorkEngine
from steward.work_stores.sql import SqlWorkEngine

CONCURRENT = 64
PAIRS = 7


async def submit_all(engine: WorkEngine, work: list[Submission], clients: int = CONCURRENT) -> None:
    """Submit with so many clients at once."""
    store, waiting = engine.open(SOMEBODY), iter(work)

    async def client() -> None:
        for submission in waiting:
            await store.submit(submission)

    await asyncio.gather(*(client() for _ in range(clients)))


async def carry_out_all(engine: WorkEngine, count: int) -> None:
    """Claim, dispatch and settle, ``CONCURRENT`` at a time."""
    dispatcher, done = engine.dispatcher, 0
    while done < count:
        leases = (await dispatcher.claim("bench", limit=CONCURRENT)).leases
        await dispatcher.dispatch([lease.ref for lease in leases])
        await dispatcher.settle([Settlement(lease.ref, DONE) for lease in leases])
        done += len(leases)


async def _run(count: int, clients: int | None, folder: Path, record: bool) -> float:
    """Return the seconds that the store needs, or those of the replay, to submit plans or (no clients) to carry them out."""
    database, bell = Database(f"sqlite:///{folder / 'store.db'}"), Doorbell(folder)
    work = submissions(count)
    try:
        upgrade(database)
        engine = SqlWorkEngine(database, bell, CLOCK)
        if clients is None:
            await submit_all(engine, work)
        recorder = Recorder(database) if record else None
        collect_again()  # as a process does when it has started
        began = time.perf_counter()
        await (carry_out_all(engine, count) if clients is None else submit_all(engine, work, clients))
        return recorder.replay() if recorder is not None else time.perf_counter() - began
    finally:
        bell.close()
        await database.aclose()


async def measure(folder: Path, count: int) -> list[Figure]:
    """Return the rates, each beside the bare one."""
    return [
        await beside_bare(folder / f"{clients}", what, jobs, PAIRS, partial(_run, jobs, clients))
        for clients, jobs, what in (
            (1, count // 4, "submit, single-step plans, one after the other"),
            (CONCURRENT, count, f"submit, single-step plans, {CONCURRENT} clients"),
            (None, count, f"claim, dispatch and settle, {CONCURRENT} at a time"),
        )
    ]
