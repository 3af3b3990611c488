"""The work store: submit, then claim, dispatch and settle, beside bare sqlite3 with the same statements."""

import asyncio
import time
from pathlib import Path

from figure import Figure, median
from replay import Recorder
from samples import CLOCK, DONE, SOMEBODY, submissions

from steward.database import Database, Doorbell
from steward.database.migrate import upgrade
from steward.work_store import Settlement, Submission, WorkEngine
from steward.work_stores.sql import SqlWorkEngine

CONCURRENT = 64
BARE = "bare sqlite3, same statements, pragmas and batches"
_ROUNDS = 5


async def _submit_all(engine: WorkEngine, work: list[Submission]) -> None:
    """Submit with ``CONCURRENT`` clients."""
    store, waiting = engine.open(SOMEBODY), iter(work)

    async def client() -> None:
        for submission in waiting:
            await store.submit(submission)

    await asyncio.gather(*(client() for _ in range(CONCURRENT)))


async def _carry_out_all(engine: WorkEngine, count: int) -> None:
    """Claim, dispatch and settle, ``CONCURRENT`` at a time."""
    dispatcher, done = engine.dispatcher, 0
    while done < count:
        leases = (await dispatcher.claim("bench", limit=CONCURRENT)).leases
        await dispatcher.dispatch([lease.ref for lease in leases])
        await dispatcher.settle([Settlement(lease.ref, DONE) for lease in leases])
        done += len(leases)


async def _round(folder: Path, count: int) -> list[tuple[float, float]]:
    """Return the seconds of the store and of the replay, for submit and for the rest."""
    folder.mkdir()
    database, bell = Database(f"sqlite:///{folder / 'store.db'}"), Doorbell(folder)
    recorder = Recorder(database)
    work, taken = submissions(count), []
    try:
        upgrade(database)
        engine = SqlWorkEngine(database, bell, CLOCK)
        for run in (_submit_all(engine, work), _carry_out_all(engine, count)):
            recorder.begin()
            began = time.perf_counter()
            await run
            taken.append((time.perf_counter() - began, recorder.replay()))
    finally:
        bell.close()
        await database.aclose()
    return taken


async def measure(folder: Path, count: int) -> list[Figure]:
    """Return both rates, each beside the bare one; the two take turns so that neither has the quieter minute."""
    rounds = [await _round(folder / str(number), count // _ROUNDS) for number in range(_ROUNDS)]
    submit, carry = (
        tuple(median([count // _ROUNDS / taken[who] for taken in runs]) for who in (0, 1))
        for runs in zip(*rounds, strict=True)
    )
    return [
        Figure(f"submit, single-step plans, {CONCURRENT} clients", submit[0], "/s", BARE, submit[1]),
        Figure(f"claim, dispatch and settle, {CONCURRENT} at a time", carry[0], "/s", BARE, carry[1]),
    ]
