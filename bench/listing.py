"""A page of jobs: what it costs when the workspace has few, and when it has a million. The two take turns."""

import time
from contextlib import AsyncExitStack
from pathlib import Path

from figure import Figure, median
from samples import CLOCK, SOMEBODY, submissions

from steward.clock import milliseconds
from steward.database import Database, Doorbell
from steward.database.migrate import upgrade
from steward.database.sql import Sql
from steward.job import JobStatus
from steward.work_store import WorkStore
from steward.work_stores.sql import SqlWorkEngine, statements
from steward.work_stores.sql.rows import JOB_COLUMNS, JobRow
from steward.work_stores.sql.submit import new_job_row

PAGE = 50
_CHUNK = 100_000
_ROUNDS = 400
_OWN = {"job_id": "printf('job_%024d', number)", "plan_id": "printf('plan_%024d', number)"}
_COPY = f"""
    WITH RECURSIVE numbers (number) AS (VALUES (?1) UNION ALL SELECT number + 1 FROM numbers WHERE number + 1 < ?2)
    INSERT INTO jobs ({", ".join(JOB_COLUMNS)})
    SELECT {", ".join(_OWN.get(name, name) for name in JOB_COLUMNS)} FROM numbers, jobs WHERE job_id = 'job_first'
"""


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
    row.job_id, row.result = "job_first", '{"ok":true}'
    return row


async def fill(database: Database, count: int) -> str:
    """Put ``count`` copies of an ended job into the workspace; return the one in the middle."""
    await database.write(lambda connection: Sql(connection).run_for_each(statements.ADD_JOBS, [_ended_job()]))
    for start in range(0, count, _CHUNK):
        upto = min(start + _CHUNK, count)
        await database.write(
            lambda connection, start=start, upto=upto: connection.exec_driver_sql(_COPY, (start, upto))
        )
    return f"job_{count // 2:024d}"


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
            middle[size] = await fill(database, size)
            stores[size] = SqlWorkEngine(database, Doorbell(None), CLOCK).open(SOMEBODY)
        for number in range(_ROUNDS):
            for size in (few, many) if number % 4 in {1, 2} else (many, few):
                times[size].append(await _page_ms(stores[size], middle[size] if number % 2 else None))
    what = f"a page of {PAGE} among {many:,} jobs"
    return [Figure(what, median(times[many]), "ms", f"among {few:,} jobs", median(times[few]))]
