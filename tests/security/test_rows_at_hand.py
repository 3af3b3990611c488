"""A transaction looks first at the rows that it holds already; also there a job is given out in its own workspace only."""

from collections.abc import Callable
from pathlib import Path

import pytest

from steward.clock import milliseconds
from steward.database import Database
from steward.ids import IdFactory
from steward.work_stores.sql import open_sql_engine
from steward.work_stores.sql.transaction import Work
from tests.conftest import FakeClock
from tests.contracts.builders import ALPHA, BETA, World

pytestmark = pytest.mark.anyio


async def handed_out(folder: Path, clock: FakeClock, hold: Callable[[Work, str], object]) -> list[bool]:
    """Return whether alpha's job is given out to alpha and to beta in a transaction that holds its row already."""
    url = f"sqlite:///{folder / 'work.db'}"
    async with open_sql_engine(url, clock=clock, ids=IdFactory(clock), home=None) as engine:
        world = World(engine, clock)
        (job_id,) = (await world.submit()).job_ids
        await world.submit(who=BETA)
        database = Database(url)
        try:

            def look(connection: object) -> list[bool]:
                work = Work(connection, milliseconds(clock.now()))  # pyrefly: ignore[bad-argument-type]
                hold(work, job_id)
                return [work.job(who.workspace_id, job_id) is not None for who in (ALPHA, BETA)]

            return await database.write(look)
        finally:
            await database.aclose()


async def test_a_row_that_was_found_by_its_id_is_its_own_workspaces(tmp_path: Path, clock: FakeClock) -> None:
    """The dispatcher loads by id alone; that opens nothing to a workspace that asks by id afterwards."""
    assert await handed_out(tmp_path, clock, lambda work, job_id: work.jobs_by_id([job_id])) == [True, False]


async def test_a_row_that_its_workspace_has_loaded_is_not_anothers(tmp_path: Path, clock: FakeClock) -> None:
    """What alpha looked up is at hand, and beta still does not get it."""
    assert await handed_out(tmp_path, clock, lambda work, job_id: work.job("alpha", job_id)) == [True, False]


async def test_a_row_that_was_changed_is_not_anothers(tmp_path: Path, clock: FakeClock) -> None:
    """Also one that is about to be written back."""

    def change(work: Work, job_id: str) -> None:
        work.touch(work.jobs_by_id([job_id])[job_id])

    assert await handed_out(tmp_path, clock, change) == [True, False]
