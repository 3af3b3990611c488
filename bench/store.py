"""The work store: submit, then claim, dispatch and settle, side by side with the same rows in bare SQLite."""

import asyncio
import time
from pathlib import Path

from bare import Bare
from figure import Figure
from samples import CLOCK, DONE, IDS, SOMEBODY, submissions

from steward.work_store import Settlement, Submission, WorkEngine
from steward.work_stores.sql import open_sql_engine

CONCURRENT = 64
BARE = "bare sqlite3, same rows and group"


async def _submit_all(engine: WorkEngine, work: list[Submission]) -> float:
    """Return submits per second with ``CONCURRENT`` clients."""
    store, waiting = engine.open(SOMEBODY), iter(work)

    async def client() -> None:
        for submission in waiting:
            await store.submit(submission)

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(CONCURRENT)))
    return len(work) / (time.perf_counter() - began)


async def _carry_out_all(engine: WorkEngine, count: int) -> float:
    """Return jobs per second that are claimed, dispatched and settled, ``CONCURRENT`` at a time."""
    dispatcher, done = engine.dispatcher, 0
    began = time.perf_counter()
    while done < count:
        leases = (await dispatcher.claim("bench", limit=CONCURRENT)).leases
        await dispatcher.dispatch([lease.ref for lease in leases])
        await dispatcher.settle([Settlement(lease.ref, DONE) for lease in leases])
        done += len(leases)
    return count / (time.perf_counter() - began)


async def measure(folder: Path, count: int) -> list[Figure]:
    """Return both rates, each beside the bare one; the two take turns so that neither has the quieter minute."""
    bare = Bare(folder / "bare.db")
    await bare.prepare()
    half = count // 2
    async with open_sql_engine(f"sqlite:///{folder / 'store.db'}", clock=CLOCK, ids=IDS, home=folder) as engine:
        first = bare.rates(submissions(half))
        submit = await _submit_all(engine, submissions(count))
        carry = await _carry_out_all(engine, count)
        second = bare.rates(submissions(half))
    plain_submit, plain_carry = ((one + other) / 2 for one, other in zip(first, second, strict=True))
    return [
        Figure(f"submit, single-step plans, {CONCURRENT} clients", submit, "/s", BARE, plain_submit),
        Figure(f"claim, dispatch and settle, {CONCURRENT} at a time", carry, "/s", BARE, plain_carry),
    ]
