"""The floor: what one operation of the SQL store costs, as the page about it says."""

import re
from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import event

from steward.database import Database, Doorbell
from steward.database.migrate import upgrade
from steward.work_store import Settlement
from steward.work_stores.sql import SqlWorkEngine
from tests.conftest import FakeClock
from tests.contracts.builders import World, done, request_claim

pytestmark = pytest.mark.anyio

T = TypeVar("T")
PAGE = Path(__file__).parent.parent / "docs" / "explanation" / "floor.md"
ROW = re.compile(r"^\| ((?:submit|claim|dispatch|settle) [^|]+?) \| (\d+) \| (\d+) \|$", re.MULTILINE)
FRAME = ("BEGIN", "SAVEPOINT", "RELEASE", "COMMIT")
WRITES = ("INSERT", "UPDATE", "DELETE")


class Counter:
    """Counts what the writer sends to SQLite during an operation."""

    def __init__(self, database: Database) -> None:
        """Listen to a database that has not been used yet."""
        self.found: dict[str, tuple[int, int]] = {}
        self._sent: list[str] = []
        event.listen(database._write_engine, "connect", lambda driver, _: driver.set_trace_callback(self._sent.append))

    async def during(self, what: str, doing: Awaitable[T]) -> T:
        """Return the answer, having noted statements and flushes: a commit flushes if anything was written."""
        self._sent.clear()
        answer = await doing
        inside = [text for text in self._sent if not text.startswith(FRAME)]
        written = any(text.startswith(WRITES) for text in inside)
        self.found[what] = (len(inside), self._sent.count("COMMIT") if written else 0)
        return answer


async def test_an_operation_costs_what_the_page_about_it_says(tmp_path: Path, clock: FakeClock) -> None:
    """Each takes as many statements and flushes to disk as the table has."""
    database = Database(f"sqlite:///{tmp_path / 'work.db'}")
    counter = Counter(database)
    try:
        upgrade(database)
        world = World(SqlWorkEngine(database, Doorbell(None), clock), clock)
        dispatcher = world.dispatcher
        await world.submit()  # the workspace has its row from now on
        await world.claim()
        await counter.during("submit a plan of one step", world.submit())
        for number, job, them in (
            (1, "one job", "it, which ends its plan"),
            (10, "ten jobs of ten plans", "the ten together"),
        ):
            claimed = await counter.during(f"claim {job}", dispatcher.claim("worker", limit=number))
            refs = [lease.ref for lease in claimed.leases]
            await counter.during(f"dispatch {them.partition(',')[0]}", dispatcher.dispatch(refs))
            await counter.during(f"settle {them}", dispatcher.settle([Settlement(ref, done()) for ref in refs]))
            for _ in range(10 if number == 1 else 0):
                await world.submit()
        await counter.during("claim when nothing is ready", dispatcher.claim("worker", limit=1))
        named = world.submit(claims=[request_claim("a name")])
        await counter.during("submit it with an idempotency key", named)
    finally:
        await database.aclose()
    written = {what: (int(statements), int(flushes)) for what, statements, flushes in ROW.findall(PAGE.read_text())}
    assert written == counter.found
