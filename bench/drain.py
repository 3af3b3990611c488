"""How fast a worker in this process drains a queue of actions that do nothing, beside bare sqlite3.

``python bench/drain.py`` drains the same queue on SQLite, PostgreSQL and Redis in turns, the last two on servers of its own
that flush to disk: PostgreSQL at every commit, Redis every second.
"""

import asyncio
import shutil
import sys
import tempfile
import time
from pathlib import Path

import noop
import structlog
import uvloop
from figure import Figure, median
from replay import BARE, Recorder

from installation import installation
from steward.cli.processes import collect_again
from steward.plan import MAX_STEPS

CONCURRENCY = 64
ROUNDS = 3
PAIRS = 9
"""How often a drain and its replay follow each other: a replay takes a fraction of a second, in which a disk may be slow."""
JOBS = 1_500
_BREATH_S = 0.005


async def _run(folder: Path, jobs: int, *, record: bool, **elsewhere: str) -> float:
    """Return the seconds that the worker needs, or those of the replay."""
    async with installation(folder, **elsewhere) as here:
        names = [f"drain {number}" for number in range(jobs)]
        plans = [await here.submit(names[start : start + MAX_STEPS]) for start in range(0, jobs, MAX_STEPS)]
        recorder = Recorder(here.app.database) if record else None
        noop.begun.clear()
        collect_again()  # as a process does when it has started
        began = time.perf_counter()
        async with here.worker(CONCURRENCY):
            while len(noop.begun) < jobs:  # noqa: ASYNC110 - to look at the plans meanwhile costs a twentieth of the drain
                await asyncio.sleep(_BREATH_S)
            await here.ended(*(plan.plan_id for plan in plans))
            taken = time.perf_counter() - began
        return taken if recorder is None else recorder.replay()


async def measure(folder: Path, jobs: int) -> list[Figure]:
    """Return the rate of a drain, and the ratio at the median of pairs."""
    rates: dict[bool, list[float]] = {False: [], True: []}
    for number in range(PAIRS * 2):
        record = bool(number % 2)
        rates[record].append(jobs / await _run(folder / str(number), jobs, record=record))
    rate, ratio = median(rates[False]), median([one / bare for one, bare in zip(*rates.values(), strict=True)])
    return [Figure(f"a worker drains actions that do nothing, {CONCURRENCY} slots", rate, "/s", BARE, rate / ratio)]


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
                rates[engine].append(JOBS / uvloop.run(_run(home, JOBS, record=False, **elsewhere)))
    finally:
        postgres.remove()
        redis.stop()
        shutil.rmtree(folder)
    for engine in ("PostgreSQL", "Redis"):
        what = f"{engine}: a worker drains actions that do nothing, {CONCURRENCY} slots"
        print(Figure(what, median(rates[engine]), "/s", "SQLite", median(rates["SQLite"])))


if __name__ == "__main__":
    main()
