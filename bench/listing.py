"""A page of jobs: what it costs when the workspace has few, and when it has many."""

import time
from pathlib import Path

from figure import Figure, median
from samples import CLOCK, IDS, SOMEBODY, submissions

from steward.clock import milliseconds
from steward.database import Database, Doorbell
from steward.database.migrate import upgrade
from steward.job import JobStatus
from steward.work_store import WorkStore
from steward.work_stores.sql import SqlWorkEngine, statements
from steward.work_stores.sql.submit import new_job_row

PAGE = 50
_CHUNK = 2_000
_ROUNDS = 100


async def _fill(database: Database, count: int) -> None:
    """Put ``count`` ended jobs into the workspace, without the way through plans."""
    (sample,) = submissions(1)[0].jobs
    now = milliseconds(CLOCK.now())
    row = new_job_row(
        sample,
        workspace_id=SOMEBODY.workspace_id,
        plan_id="plan_0",
        actor_id=SOMEBODY.actor_id,
        position=0,
        status=JobStatus.COMPLETED,
        now=now,
        request_id="bench",
    ).values()
    for start in range(0, count, _CHUNK):
        rows = [
            {**row, "job_id": IDS.new("job"), "plan_id": IDS.new("plan"), "result": '{"ok":true}'}
            for _ in range(min(_CHUNK, count - start))
        ]
        await database.write(lambda connection, rows=rows: connection.execute(statements.ADD_JOBS, rows))


async def _page_ms(store: WorkStore) -> float:
    """Return the median time of a page: the first one and one in the middle of the walk alternate."""
    first = await store.list_jobs(limit=PAGE)
    times = []
    for number in range(_ROUNDS):
        began = time.perf_counter()
        await store.list_jobs(limit=PAGE, after=first.next_after if number % 2 else None)
        times.append((time.perf_counter() - began) * 1000)
    return median(times)


async def measure(folder: Path, sizes: list[int]) -> list[Figure]:
    """Return the cost of a page at each size; all but the first are compared with the first."""
    database, bell = Database(f"sqlite:///{folder / 'listing.db'}"), Doorbell(None)
    figures: list[Figure] = []
    try:
        upgrade(database)
        store = SqlWorkEngine(database, bell, CLOCK).open(SOMEBODY)
        there = 0
        for size in sizes:
            await _fill(database, size - there)
            there = size
            cost = await _page_ms(store)
            other = figures[0].value if figures else None
            what = f"a page of {PAGE} among {size:,} jobs"
            figures.append(Figure(what, cost, "ms", f"among {sizes[0]:,}" if figures else "", other))
    finally:
        bell.close()
        await database.aclose()
    return figures
