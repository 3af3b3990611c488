"""What only the SQL engine can show: what its statements cost, and what a damaged row does to a listing."""

import asyncio
import random
import sqlite3
import threading
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Table, create_engine
from sqlalchemy.sql import Select

from steward.clock import SystemClock
from steward.database.sql import ROWS_AT_ONCE, compiled, together
from steward.database.tables import approvals, jobs, metadata, plans
from steward.ids import IdFactory
from steward.job import LEASE_S, JobStatus
from steward.spending import Spending
from steward.work_stores.sql import limit_statements, open_sql_engine, statements, told_statements, turn_statements
from steward.work_stores.sql.listed import LISTED_COLUMNS, in_one_row
from steward.work_stores.sql.rows import ApprovalRow, JobRow, PlanRow
from steward.workspace import Budget
from tests.conftest import FakeClock
from tests.contracts.builders import ALPHA, BETA, World, asking, done, doubt, failure
from tests.turns import turn

pytestmark = pytest.mark.anyio

HOMES = (statements, limit_statements, turn_statements, told_statements)
WALKS = (
    *("JOB", "JOBS_BY_ID", "JOBS_OF_PLAN", "LIST_JOBS", "LIST_JOBS_BY_STATUS", "READY_JOBS"),
    *("DUE_JOBS", "DUE_WORKSPACES", "LOST_LEASES", "NEXT_DUE", "NEXT_LEASE_END", "READY_QUEUES", "QUEUE", "PLANS"),
    *("LIST_PLANS", "LIST_PLANS_BY_STATUS", "LIST_LIVE_DRAFTS", "LIST_APPROVALS", "CLAIMED", "EVENTS_AFTER"),
    *("EVENTS_OF_PLAN_AFTER", "ALL_EVENTS_AFTER", "ENDED_PLANS", "OLD_DRAFTS", "OLD_APPROVALS"),
)
"""Statements that run on every request, claim or sweep (one plan's own page, a few hundred rows at most, may sort)."""
LIMITING = (
    *("READY_ACTIONS", "READY_JOBS_OF_ACTION", "RUNNING_BY_ACTION", "OTHER_READY_QUEUES", "STARTS"),
    *("SPENT", "KNOWN_UNITS", "NTH_SPENDING", "USED"),
)
"""The same, where a workspace has caps or budgets."""


VALUES = {
    **dict.fromkeys(("w", "job_id", "plan_id", "approval_id", "status", "action_id", "b"), "x"),
    **dict.fromkeys(("after", "before", "settled", "now", "limit", "keep", "since", "n"), 1),
    **dict.fromkeys(("ids", "keys", "but", "units"), '["x"]'),
}


def query_plan(statement: Select[tuple[object, ...]]) -> list[str]:
    """Return SQLite's query plan for a statement, as the engine sends it, over the tables as they are."""
    engine = create_engine("sqlite://")
    known = compiled(statement, engine.dialect)
    with engine.connect() as connection:
        metadata.create_all(connection)
        explained = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {known.text}", known.bind(VALUES))
        return [row[3] for row in explained]


@pytest.mark.parametrize("name", [*WALKS, *LIMITING])
def test_w39_what_runs_often_walks_an_index(name: str) -> None:
    """No statement on a busy path reads a whole table or sorts one, so its cost does not grow with other work."""
    statement = next(getattr(home, name) for home in HOMES if hasattr(home, name))
    for line in query_plan(statement):
        harmless = any(
            word in line
            for word in ("COVERING INDEX", "ix_queues_ready", "CONSTANT ROW", "PRIMARY KEY", "VIRTUAL TABLE")
        )
        assert not line.startswith("SCAN") or harmless, line
        assert "TEMP B-TREE FOR ORDER BY" not in line


@pytest.mark.parametrize("name", ["ADD_JOBS", "ADD_PLAN", "ADD_APPROVAL", "ADD_CLAIM", "ADD_EVENTS", "SPEND"])
def test_many_rows_go_in_as_one_does(name: str) -> None:
    """An insert of many names the columns of the one in their order, so that the values of rows can follow each other."""
    statement = next(getattr(home, name) for home in HOMES if hasattr(home, name))
    dialect = create_engine("sqlite://").dialect
    columns, one = compiled(statement, dialect).text.split(" VALUES ")
    for number in ROWS_AT_ONCE:
        assert together(statement, dialect, number) == f"{columns} VALUES {', '.join([one] * number)}"


@pytest.mark.parametrize("name", ["LIST_JOBS", "LIST_JOBS_BY_STATUS", "LIST_JOBS_OF_PLAN"])
def test_a_page_as_one_text_is_found_as_its_rows_are(name: str) -> None:
    """What a list is read by walks the index that the statement itself walks, and sorts nothing that it does not."""
    statement = getattr(statements, name)
    one, *more = query_plan(in_one_row(statement))
    assert one.startswith("CO-ROUTINE")
    rest = ["SCAN found", "SCALAR SUBQUERY 1", *query_plan(statements.QUEUE)]
    assert more == [*query_plan(statement), *rest]


async def test_a_short_page_waits_for_no_thread(tmp_path: Path, clock: FakeClock) -> None:
    """With every reader busy a page is there at once; a long one, or one of a plan, which may be sorted, is read by a reader."""
    url, free, busy = f"sqlite:///{tmp_path / 'work.db'}", threading.Event(), threading.Semaphore(0)
    async with open_sql_engine(url, clock=clock, ids=IdFactory(SystemClock()), home=None) as engine:
        submitted = await World(engine, clock).submit()
        store, database = engine.open(ALPHA), engine._engine.database

        def hold(_: Connection) -> None:
            busy.release()
            free.wait(10)

        held = [asyncio.create_task(database.read(hold)) for _ in range(4)]
        for _ in held:
            assert await asyncio.to_thread(busy.acquire, timeout=10)
        waiting = [
            asyncio.create_task(store.list_jobs(limit=51)),
            asyncio.create_task(store.list_jobs(limit=5, plan_id=submitted.plan_id)),
        ]
        short = [await store.list_jobs(limit=50, status=status) for status in (None, JobStatus.PENDING)]
        for _ in range(5):  # turns of the loop, in which they would be read if they needed no reader
            await turn()
        assert not any(task.done() for task in waiting)
        free.set()
        pages = [*short, *await asyncio.gather(*waiting)]
        assert [[job.job_id for job in page.jobs] for page in pages] == [list(submitted.job_ids)] * 4
        await asyncio.gather(*held)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *(("result", "{broken"), ("error", "[]"), ("history", '[{"number": 1}]'), ("labels", b"\xff")),
        *(("status", "finished"), ("enqueued_at", "yesterday"), ("retry", "often"), ("depends_on", "s1")),
        *(("result", b"\xff"), ("held_for", "fun")),
    ],
)
async def test_w43_a_damaged_row_is_shown_degraded_beside_the_others(
    tmp_path: Path, clock: FakeClock, column: str, value: object
) -> None:
    """One unreadable value in one job neither fails the page nor hides a job; who would show the value says what it is."""
    file = tmp_path / "work.db"
    ids = IdFactory(SystemClock())
    async with open_sql_engine(f"sqlite:///{file}", clock=clock, ids=ids, home=None) as engine:
        world = World(engine, clock)
        damaged, whole = (await world.submit()).job_ids[0], (await world.submit()).job_ids[0]
        with sqlite3.connect(file) as connection:
            connection.execute(f"UPDATE jobs SET {column} = ? WHERE job_id = ?", (value, damaged))
        connection.close()
        page = await engine.open(ALPHA).list_jobs(limit=10)
        assert [job.job_id for job in page.jobs] == [whole, damaged]
        assert (page.jobs[0].status, page.jobs[0].error) == (JobStatus.PENDING, None)
        got = await engine.open(ALPHA).get_job(damaged)
        assert got is not None
        for job in (got, page.jobs[1]) if column in LISTED_COLUMNS else (got,):
            assert job.error is not None
            assert job.error.code == "unreadable_record"


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *(("history", '[{"number": 1}]'), ("labels", b"\xff"), ("retry", "often"), ("depends_on", "s1")),
        *(("effect", "some"), ("fence", "x"), ("attempts", "x")),
    ],
)
@pytest.mark.parametrize("claimed", [False, True])
async def test_w43_a_job_that_cannot_be_read_stops_nobody_elses(
    tmp_path: Path, clock: FakeClock, column: str, value: object, claimed: bool
) -> None:
    """Ready, or with a lease that has run out: the others go on, and it waits for a person, who settles it."""
    file = tmp_path / "work.db"
    async with open_sql_engine(f"sqlite:///{file}", clock=clock, ids=IdFactory(SystemClock()), home=None) as engine:
        world = World(engine, clock)
        (damaged,), (whole,), (other,) = [(await world.submit(who=who)).job_ids for who in (ALPHA, ALPHA, BETA)]
        if claimed:
            assert len(await world.claim()) == 3
            clock.advance(LEASE_S + 1)
        with closing(sqlite3.connect(file, isolation_level=None)) as connection:
            connection.execute(f"UPDATE jobs SET {column} = ? WHERE job_id = ?", (value, damaged))
        assert (await world.dispatcher.sweep()).leases_lost == (3 if claimed else 0)
        assert {lease.job.job_id for lease in await world.claim()} - {damaged} == {whole, other}
        job = await world.job_of(damaged)
        assert job.error is not None
        assert (job.status, job.error.code) == (JobStatus.UNKNOWN, "unreadable_record")
        assert (await world.alpha.resolve_job(damaged, "failed", "looked")).status is JobStatus.FAILED
        await world.run(whole)


@pytest.mark.parametrize(
    ("column", "value"), [("document", "{broken"), ("status", "finished"), ("created_at", "x"), ("finished_at", "soon")]
)
async def test_w43_a_damaged_plan_or_question_hides_no_other(
    tmp_path: Path, clock: FakeClock, column: str, value: str
) -> None:
    """Both lists show the others, and the damaged one as far as it can be read."""
    file = tmp_path / "work.db"
    async with open_sql_engine(f"sqlite:///{file}", clock=clock, ids=IdFactory(SystemClock()), home=None) as engine:
        world = World(engine, clock)
        (one, first), (two, second) = await asking(world), await asking(world)
        damaged = {"document": "detail", "finished_at": "decided_at"}.get(column, column)
        with closing(sqlite3.connect(file, isolation_level=None)) as connection:
            connection.execute(f"UPDATE plans SET {column} = ? WHERE plan_id = ?", (value, one.plan_id))
            if damaged != "status":  # it is listed by its status
                connection.execute(f"UPDATE approvals SET {damaged} = ? WHERE approval_id = ?", (value, first))
        plans = (await world.alpha.list_plans(limit=9)).plans
        assert [plan.plan_id for plan in plans] == [two.plan_id, one.plan_id]
        assert "cannot be read" in plans[1].document["intent"]
        approvals = (await world.alpha.list_approvals(limit=9)).approvals
        assert [approval.approval_id for approval in approvals] == [second, first]


@pytest.mark.parametrize(
    ("kind", "table"), [(JobRow, jobs), (PlanRow, plans), (ApprovalRow, approvals)], ids=["jobs", "plans", "approvals"]
)
def test_a_row_class_lists_the_columns_in_the_order_of_the_table(kind: type, table: Table) -> None:
    """A selected row becomes one by position, so a column in the wrong place would be another's value."""
    assert [field.name for field in fields(kind)] == table.columns.keys()


def test_the_statements_are_all_named_and_have_a_purpose() -> None:
    """Every statement is a constant of one of three modules, followed by a sentence that says what it is for."""
    source = "\n".join(Path(module.__file__).read_text(encoding="utf-8") for module in HOMES)
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


async def test_what_is_spent_is_always_the_number_of_distinct_units(tmp_path: Path, clock: FakeClock) -> None:
    """Through random dispatches, ends, refusals, windows that pass, and the purge: the count never drifts."""
    file, chance = tmp_path / "work.db", random.Random(11)
    ids = IdFactory(clock)
    count = "SELECT budget, count(DISTINCT unit) FROM spendings GROUP BY budget HAVING count(*) > 0 ORDER BY budget"
    async with open_sql_engine(f"sqlite:///{file}", clock=clock, ids=ids, home=None) as engine:
        world = World(engine, clock)
        for _ in range(60):
            submitted = await world.submit(*[world.job(f"s{n}") for n in range(4)])
            await world.claim()
            leases = [world.leases[job_id] for job_id in submitted.job_ids]
            budgets: Any = {
                "messages_out": Budget(limit=9, window_s=60),
                "outside_recipients": Budget(limit=7, window_s=90),
            }
            spends = {
                lease.ref: Spending(
                    budgets=budgets,
                    recipients=tuple((f"p{n}",) for n in chance.sample(range(12), chance.randint(1, 3))),
                )
                for lease in leases
            }
            await world.dispatcher.dispatch([lease.ref for lease in leases], spends)
            for lease in leases:
                await world.settle(lease, chance.choice([done(), failure(), doubt(), failure()]))
            clock.advance(chance.choice([0, 1, 20, 70, 200]))
            if chance.random() < 0.1:
                clock.advance(32 * 86_400)
                await world.dispatcher.purge(86_400)
            with closing(sqlite3.connect(file)) as connection:
                kept = connection.execute("SELECT budget, total FROM spent WHERE total > 0 ORDER BY budget").fetchall()
                assert connection.execute(count).fetchall() == kept
