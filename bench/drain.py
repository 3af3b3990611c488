"""How fast a worker in this process drains a queue of actions that do nothing, beside bare sqlite3.

What is timed goes from the first action that begins until the last plan has ended and is committed, as with every peer; the replay
begins its clock at the same statement.

``python bench/drain.py`` drains the same queue on SQLite, PostgreSQL and Redis in turns, the last two on servers of its own
that flush to disk: PostgreSQL at every commit, Redis every second.
"""

import shutil
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import noop
import structlog
import uvloop
from figure import Figure, median
from replay import Recorder, beside_bare

from installation import installation
from steward.cli.processes import collect_again
from steward.plan import MAX_STEPS, PlanStatus

CONCURRENCY = 64
ROUNDS = 3
PAIRS = 9
JOBS = 1_500


async def _run(jobs: int, folder: Path, record: bool, **elsewhere: str) -> float:
    """Return the seconds that the worker needs, or those of the replay."""
    async with installation(folder, **elsewhere) as here:
        names = [f"drain {number}" for number in range(jobs)]
        for start in range(0, jobs, MAX_STEPS):
            await here.submit(names[start : start + MAX_STEPS])
        recorder = Recorder(here.app.database) if record else None
        store = here.app.engine.open(here.principal)
        noop.begun.clear()
        collect_again()  # as a process does when it has started
        async with here.worker(CONCURRENCY):
            with store.listen() as listener:  # rung at each commit; plans are looked at when nothing is left to begin
                while len(noop.begun) < jobs or (await store.list_plans(limit=1, status=PlanStatus.RUNNING)).plans:
                    await listener.wait(1.0)
            taken = time.perf_counter() - noop.begun[0]
        return taken if recorder is None else recorder.replay(noop.begun[0])


async def measure(folder: Path, jobs: int) -> list[Figure]:
    """Return the rate of a drain."""
    what = f"a worker drains actions that do nothing, {CONCURRENCY} slots"
    return [await beside_bare(folder, what, jobs, PAIRS, partial(_run, jobs))]


def main() -> None:
    """Take turns between the engines, and print the medians."""
    sys.path.insert(0, str(Path(__file__).parent.parent))
    from tests.postgresql import PostgresServer  # noqa: PLC0415 - only here are servers needed
    from tests.redis_server import RedisServer  # noqa: PLC0415

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("warning"))
    postgres = PostgresServer(fsync="on", full_page_writes="on")
    redis, folder = RedisServer("--appendonly", "yes"), Path(tempfile.mkdtemp())
    rates: dict[str, list[float]] = {"SQLite": [], "PostgreSQL": [], "Redis": []}
    try:
        for number in range(ROUNDS):
            for engine, elsewhere in (
                ("SQLite", {}),
                ("PostgreSQL", {"DATABASE_URL": postgres.url(postgres.new_database())}),
                ("Redis", {"REDIS_URL": redis.url(redis.new_database())}),
            ):
                home = folder / f"{engine} {number}"
                rates[engine].append(JOBS / uvloop.run(_run(JOBS, home, False, **elsewhere)))
    finally:
        postgres.remove()
        redis.stop()
        shutil.rmtree(folder)
    for engine in ("PostgreSQL", "Redis"):
        what = f"{engine}: a worker drains actions that do nothing, {CONCURRENCY} slots"
        print(Figure(what, median(rates[engine]), "/s", "SQLite", median(rates["SQLite"])))


if __name__ == "__main__":
    main()
