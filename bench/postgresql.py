"""Steward on PostgreSQL beside the job libraries that live there, on one server that flushes every commit.

``python bench/postgresql.py`` makes a virtualenv for each peer, of the versions below, and takes turns: a round of each, in a
database of its own, then the next. Steward does what it always does (record, events, tenant index, row-level security, lease,
dispatch record, sealing, policy); SQLite with the same stands beside it. Each of Steward's submissions has an
idempotency key, each workflow of DBOS its id, each task of procrastinate that is deferred alone a queueing lock; its batches
cannot have one. A drain is timed from the first job that begins until the records have all, on every side.
"""

import argparse
import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from secrets import token_hex

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.append(str(Path(__file__).parent / "peers"))

import noop
import structlog
import uvloop
from figure import median
from on_postgresql import BATCH, SLOTS, enqueue
from rich.console import Console
from rich.table import Table
from samples import SOMEBODY, submissions
from sqlalchemy import func, select
from tests.postgresql import PostgresServer

from installation import Installation, installation
from steward.database.tables import jobs
from steward.work_store import IdempotencyClaim, Submission

PEERS = {
    "procrastinate": ("procrastinate==3.10.0", "psycopg[binary,pool]==3.3.9", "uvloop==0.23.0"),
    "dbos": ("dbos==3.4.0", "psycopg[binary]==3.3.9", "uvloop==0.23.0"),
}
WHAT = ("enqueue, one at a time", f"enqueue, {BATCH} at a time", f"drain by one worker, {SLOTS} slots")
_POLL_S = 0.05
_COMPLETED = select(func.count()).select_from(jobs).where(jobs.c.status == "completed")


def _named(work: list[Submission]) -> Iterator[Submission]:
    """Yield submissions with an idempotency key each."""
    for each in work:
        name = IdempotencyClaim("request", each.plan.plan_id, (each.plan.digest,), 0)
        yield replace(each, idempotency=(name,))


async def _stored(here: Installation, count: int) -> list[float]:
    """Return the rates at which the store takes submissions."""
    store = here.app.engine.open(SOMEBODY)
    work = _named(submissions(count * 2))

    async def many(number: int) -> None:
        await asyncio.gather(*(store.submit(next(work)) for _ in range(number)))

    return await enqueue(count, lambda: store.submit(next(work)), many)


async def _through(here: Installation, count: int) -> list[float]:
    """Return the rates at which plans of one step, with an idempotency key each, are checked, decided and submitted."""

    async def one() -> None:
        await here.submit(["nothing"], key=token_hex(16))

    async def many(number: int) -> None:
        await asyncio.gather(*(one() for _ in range(number)))

    return await enqueue(count, one, many)


async def _drained(here: Installation, count: int) -> float:
    """Return the jobs per second of a worker, from the first job that begins until the records have all as completed."""
    noop.begun.clear()
    async with here.worker(SLOTS):
        while await here.app.database.read(lambda connection: connection.execute(_COMPLETED).scalar_one()) < count:  # noqa: ASYNC110
            await asyncio.sleep(_POLL_S)
        return count / (time.perf_counter() - noop.begun[0])


async def _steward(folder: Path, urls: tuple[str, ...], count: int) -> dict[str, list[float]]:
    """Return the rates of the store alone and of all of Steward, in the two databases at ``urls``, or on SQLite."""
    one, other = ({"DATABASE_URL": url} for url in urls) if urls else ({}, {})
    async with installation(folder / "store", **one) as here:
        stored = await _stored(here, count)
    async with installation(folder / "all", **other) as here:
        through = await _through(here, count)
        through.append(await _drained(here, count + count // 4))
    return {"Steward's store": stored, "Steward": through}


def _peer(python: Path, name: str, url: str, count: int) -> list[float]:
    command = [python, Path(__file__).parent / "peers" / f"{name}.py", url, str(count)]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    except subprocess.TimeoutExpired as late:
        raise SystemExit(
            f"{name} had no figures after {late.timeout:.0f} s. It said: {late.stdout!r} {late.stderr!r}"
        ) from None
    if done.returncode or not done.stdout:
        raise SystemExit(f"{name} ended with {done.returncode} and no figures. It said:\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def _virtualenvs(folder: Path) -> dict[str, Path]:
    """Make one for each peer that has none there; return where their interpreters are."""
    for name, packages in PEERS.items():
        if (folder / name).exists():
            continue
        subprocess.run([sys.executable, "-m", "venv", folder / name], check=True)
        subprocess.run([folder / name / "bin" / "pip", "install", "--quiet", *packages], check=True)
    return {name: folder / name / "bin" / "python" for name in PEERS}


def _round(server: PostgresServer, folder: Path, peers: dict[str, Path], count: int) -> dict[str, list[float]]:
    """Measure each once."""
    new = lambda: server.url(server.new_database())  # noqa: E731
    found = uvloop.run(_steward(folder / "postgresql", (new(), new()), count))
    found |= {name: _peer(python, name, new(), count) for name, python in peers.items()}
    on_sqlite = uvloop.run(_steward(folder / "sqlite", (), count))
    return found | {f"{name}, SQLite": rates for name, rates in on_sqlite.items()}


def main() -> None:
    """Measure and print the medians."""
    parser = argparse.ArgumentParser(description="Measure Steward on PostgreSQL beside its peers.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=2_000, help="jobs of a round, a multiple of 100")
    parser.add_argument("--virtualenvs", type=Path, help="a folder that keeps those of the peers for the next time")
    asked = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("warning"))
    server, folder = PostgresServer(fsync="on", full_page_writes="on", autovacuum="on"), Path(tempfile.mkdtemp())
    try:
        peers = _virtualenvs(asked.virtualenvs or folder)
        rounds = [_round(server, folder / str(number), peers, asked.count) for number in range(asked.rounds)]
    finally:
        server.remove()
        shutil.rmtree(folder)
    table = Table(title=f"Jobs/s on one PostgreSQL 18, medians of {asked.rounds} rounds", title_justify="left")
    for heading in ("Who", *WHAT):
        table.add_column(heading, justify="left" if heading == "Who" else "right")
    for who in rounds[0]:
        medians = [median(each) for each in zip(*(found[who] for found in rounds), strict=True)]
        table.add_row(who, *(f"{each:,.0f}" for each in medians))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
