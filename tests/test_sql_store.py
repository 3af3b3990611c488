"""What only the SQL engine can show: what its statements cost, and what a damaged row does to a listing."""

import sqlite3
from dataclasses import fields
from pathlib import Path

import pytest
from sqlalchemy import Table, create_engine
from sqlalchemy.sql import Select

from steward.clock import SystemClock
from steward.database.sql import compiled
from steward.database.tables import approvals, jobs, metadata, plans
from steward.ids import IdFactory
from steward.job import JobStatus
from steward.work_stores.sql import open_sql_engine, statements
from steward.work_stores.sql.rows import ApprovalRow, JobRow, PlanRow
from tests.conftest import FakeClock
from tests.contracts.builders import ALPHA, BETA, World

pytestmark = pytest.mark.anyio

WALKS = (
    *("JOB", "JOBS_BY_ID", "JOBS_OF_PLAN", "LIST_JOBS", "LIST_JOBS_BY_STATUS", "READY_JOBS"),
    *("DUE_JOBS", "DUE_WORKSPACES", "LOST_LEASES", "NEXT_DUE", "NEXT_LEASE_END", "READY_QUEUES", "QUEUE", "PLAN"),
    *("LIST_PLANS", "LIST_PLANS_BY_STATUS", "LIST_LIVE_DRAFTS", "LIST_APPROVALS", "CLAIMED", "EVENTS_AFTER"),
    *("EVENTS_OF_PLAN_AFTER", "ALL_EVENTS_AFTER", "ENDED_PLANS", "OLD_DRAFTS", "OLD_APPROVALS"),
)
"""Statements that run on every request, claim or sweep (one plan's own page, a few hundred rows at most, may sort)."""


VALUES = {
    **dict.fromkeys(("w", "job_id", "plan_id", "approval_id", "status"), "x"),
    **dict.fromkeys(("after", "before", "now", "limit", "keep"), 1),
    **dict.fromkeys(("ids", "keys"), '["x"]'),
}


def query_plan(statement: Select[tuple[object, ...]]) -> list[str]:
    """Return SQLite's query plan for a statement, as the engine sends it, over the tables as they are."""
    engine = create_engine("sqlite://")
    known = compiled(statement, engine.dialect)
    with engine.connect() as connection:
        metadata.create_all(connection)
        explained = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {known.text}", known.bind(VALUES))
        return [row[3] for row in explained]


@pytest.mark.parametrize("name", WALKS)
def test_w39_what_runs_often_walks_an_index(name: str) -> None:
    """No statement on a busy path reads a whole table or sorts one, so its cost does not grow with other work."""
    for line in query_plan(getattr(statements, name)):
        harmless = any(
            word in line
            for word in ("COVERING INDEX", "ix_queues_ready", "CONSTANT ROW", "PRIMARY KEY", "VIRTUAL TABLE")
        )
        assert not line.startswith("SCAN") or harmless, line
        assert "TEMP B-TREE FOR ORDER BY" not in line


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *(("result", "{broken"), ("error", "[]"), ("history", '[{"number": 1}]'), ("labels", b"\xff")),
        *(("status", "finished"), ("enqueued_at", "yesterday"), ("retry", "often"), ("depends_on", "s1")),
    ],
)
async def test_w43_a_damaged_row_is_shown_degraded_beside_the_others(
    tmp_path: Path, clock: FakeClock, column: str, value: object
) -> None:
    """One unreadable value in one job neither fails the page nor hides a job; the damaged one says what it is."""
    file = tmp_path / "work.db"
    ids = IdFactory(SystemClock())
    async with open_sql_engine(f"sqlite:///{file}", clock=clock, ids=ids, home=None) as engine:
        world = World(engine, clock)
        damaged, whole = (await world.submit()).job_ids[0], (await world.submit()).job_ids[0]
        with sqlite3.connect(file) as connection:
            connection.execute(f"UPDATE jobs SET {column} = ? WHERE job_id = ?", (value, damaged))
        connection.close()
        page = await engine.open(ALPHA).list_jobs(limit=10)
        by_id = {job.job_id: job for job in page.jobs}
        assert by_id[whole].status is JobStatus.PENDING
        error = by_id[damaged].error
        assert error is not None
        assert error.code == "unreadable_record"


@pytest.mark.parametrize(
    ("kind", "table"), [(JobRow, jobs), (PlanRow, plans), (ApprovalRow, approvals)], ids=["jobs", "plans", "approvals"]
)
def test_a_row_class_lists_the_columns_in_the_order_of_the_table(kind: type, table: Table) -> None:
    """A selected row becomes one by position, so a column in the wrong place would be another's value."""
    assert [field.name for field in fields(kind)] == table.columns.keys()


def test_the_statements_are_all_named_and_have_a_purpose() -> None:
    """Every statement is a constant of one module, followed by a sentence that says what it is for."""
    source = Path(statements.__file__).read_text(encoding="utf-8")
    named = [line.split(" ", 1)[0] for line in source.splitlines() if line[:1].isupper() and " = " in line]
    for name in named:
        if name != "W":
            after = source.split(f"\n{name} = ", 1)[1].split("\n\n", 1)[0]
            assert '"""' in after, name


async def test_what_happens_elsewhere_wakes_nobody(tmp_path: Path, clock: FakeClock) -> None:
    """Whoever follows one workspace reads its log again only when something happened there, here or in another process."""
    ids = IdFactory(clock)
    url = f"sqlite:///{tmp_path / 'steward.db'}"
    async with (
        open_sql_engine(url, clock=clock, ids=ids, home=tmp_path) as here,
        open_sql_engine(url, clock=clock, ids=ids, home=tmp_path) as there,
    ):
        world = World(here, clock)
        with world.alpha.listen() as alpha, there.open(ALPHA).listen() as far, there.open(BETA).listen() as far_beta:
            await world.submit(world.job(), who=BETA)
            assert await far_beta.wait(5)
            assert [await alpha.wait(0), await far.wait(0)] == [False, False]
            await world.submit(world.job())
            assert [await alpha.wait(5), await far.wait(5)] == [True, True]
