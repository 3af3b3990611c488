"""The work store on PostgreSQL, flushed to disk at every commit, beside the same on SQLite: ``python bench/postgresql.py``."""

import asyncio
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from figure import Figure, median
from samples import CLOCK, submissions
from store import CONCURRENT, carry_out_all, submit_all
from tests.postgresql import PostgresServer

from steward.database import Database, bell_for
from steward.database.migrate import upgrade
from steward.work_stores.sql import SqlWorkEngine

COUNT = 2_000
ROUNDS = 5


async def _run(url: str, home: Path) -> tuple[float, float]:
    """Return the plans per second that are submitted, and then carried out."""
    database = Database(url)
    bell = bell_for(database, home)
    work = submissions(COUNT)
    try:
        upgrade(database)
        engine = SqlWorkEngine(database, bell, CLOCK)
        began = time.perf_counter()
        await submit_all(engine, work)
        submitted = time.perf_counter()
        await carry_out_all(engine, COUNT)
        return COUNT / (submitted - began), COUNT / (time.perf_counter() - submitted)
    finally:
        bell.close()
        await database.aclose()


def main() -> None:
    """Take turns between the two, and print the medians."""
    server, folder = PostgresServer(fsync="on", full_page_writes="on"), Path(tempfile.mkdtemp())
    rates: dict[str, list[tuple[float, float]]] = {"postgresql": [], "sqlite": []}
    try:
        for number in range(ROUNDS):
            home = folder / str(number)
            home.mkdir()
            rates["postgresql"].append(asyncio.run(_run(server.url(server.new_database()), home)))
            rates["sqlite"].append(asyncio.run(_run(f"sqlite:///{home / 'store.db'}", home)))
    finally:
        server.remove()
        shutil.rmtree(folder)
    for place, what in enumerate(
        (f"submit, {CONCURRENT} clients", f"claim, dispatch and settle, {CONCURRENT} at a time")
    ):
        here, there = (median([rate[place] for rate in rates[kind]]) for kind in ("postgresql", "sqlite"))
        print(Figure(f"PostgreSQL: {what}", here, "/s", "SQLite", there))


if __name__ == "__main__":
    main()
