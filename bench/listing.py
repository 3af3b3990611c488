"""A page of jobs: what it costs when the workspace has few, and when it has a million. The two take turns."""

import time
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from figure import Figure, median
from samples import CLOCK, IDS, SOMEBODY, submissions

from steward.clock import milliseconds
from steward.database import Database, Doorbell
from steward.database.migrate import upgrade
from steward.database.sql import Sql
from steward.job import JobStatus
from steward.work_store import WorkStore
from steward.work_stores.sql import SqlWorkEngine, statements
from steward.work_stores.sql.rows import JobRow
from steward.work_stores.sql.submit import new_job_row

PAGE = 50
_CHUNK = 10_000
_ROUNDS = 200


def _ended_job() -> JobRow:
    (sample,) = submissions(1)[0].jobs
    row = new_job_row(
        sample,
        workspace_id=SOMEBODY.workspace_id,
        plan_id="plan_0",
        actor_id=SOMEBODY.actor_id,
        position=0,
        status=JobStatus.COMPLETED,
        now=milliseconds(CLOCK.now()),
        request_id="bench",
    )
    row.result = '{"ok":true}'
    return row


async def _fill(database: Database, count: int) -> str:
    """Put ``count`` ended jobs into the workspace, without the way through plans; return the one in the middle."""
    sample, middle = _ended_job(), ""
    for start in range(0, count, _CHUNK):
        rows = [
            replace(sample, job_id=IDS.new("job"), plan_id=f"plan_{number}")
            for number in range(start, min(start + _CHUNK, count))
        ]
        await database.write(lambda connection, rows=rows: Sql(connection).run_for_each(statements.ADD_JOBS, rows))
        middle = rows[0].job_id if start <= count // 2 else middle
    return middle


async def _page_ms(store: WorkStore, after: str | None) -> float:
    began = time.perf_counter()
    await store.list_jobs(limit=PAGE, after=after)
    return (time.perf_counter() - began) * 1000


async def measure(folder: Path, few: int, many: int) -> list[Figure]:
    """Return the median cost of a page at both sizes: the first page and one in the middle of the walk alternate."""
    times: dict[int, list[float]] = {few: [], many: []}
    async with AsyncExitStack() as stack:
        stores: dict[int, WorkStore] = {}
        middle: dict[int, str] = {}
        for size in times:
            database = Database(f"sqlite:///{folder / f'{size}.db'}")
            stack.push_async_callback(database.aclose)
            upgrade(database)
            middle[size] = await _fill(database, size)
            stores[size] = SqlWorkEngine(database, Doorbell(None), CLOCK).open(SOMEBODY)
        for number in range(_ROUNDS):
            for size, store in stores.items():
                times[size].append(await _page_ms(store, middle[size] if number % 2 else None))
    what = f"a page of {PAGE} among {many:,} jobs"
    return [Figure(what, median(times[many]), "ms", f"among {few:,} jobs", median(times[few]))]
