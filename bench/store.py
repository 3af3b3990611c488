"""The work store: submit, then claim, dispatch and settle, beside bare sqlite3 with the same statements."""

import asyncio
import time
from pathlib import Path

from figure import Figure, median
from replay import BARE, Recorder
from samples import CLOCK, DONE, SOMEBODY, submissions

from steward.database import Database, Doorbell
from steward.database.migrate import upgrade
from steward.work_store import Settlement, Submission, WorkEngine
from steward.work_stores.sql import SqlWorkEngine

CONCURRENT = 64
ROUNDS = 3


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


async def _run(folder: Path, count: int, clients: int | None, *, record: bool) -> float:
    """Return the seconds that the store needs, or those of the replay, to submit plans or (no clients) to carry them out."""
    database, bell = Database(f"sqlite:///{folder / 'store.db'}"), Doorbell(folder)
    work = submissions(count)
    try:
        upgrade(database)
        engine = SqlWorkEngine(database, bell, CLOCK)
        if clients is None:
            await submit_all(engine, work)
        recorder = Recorder(database) if record else None
        began = time.perf_counter()
        await (carry_out_all(engine, count) if clients is None else submit_all(engine, work, clients))
        return recorder.replay() if recorder is not None else time.perf_counter() - began
    finally:
        bell.close()
        await database.aclose()


async def measure(folder: Path, count: int) -> list[Figure]:
    """Return the rates, each beside the bare one; the two take turns so that neither has the quieter minute."""
    figures = []
    for clients, jobs, what in (
        (1, count // 4, "submit, single-step plans, one after the other"),
        (CONCURRENT, count, f"submit, single-step plans, {CONCURRENT} clients"),
        (None, count, f"claim, dispatch and settle, {CONCURRENT} at a time"),
    ):
        rates: dict[bool, list[float]] = {False: [], True: []}
        for number in range(ROUNDS * 2):
            record = bool(number % 2)
            home = folder / f"{clients} {number}"
            home.mkdir()
            rates[record].append(jobs / await _run(home, jobs, clients, record=record))
        figures.append(Figure(what, median(rates[False]), "/s", BARE, median(rates[True])))
    return figures
